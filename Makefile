# Launchpin's commands, for people and for CI. GNU make 3.81 and a POSIX shell are enough.

SHELL := /bin/sh
BIN := .venv/bin
ARGS :=
# The model that the demo plays with: iris or churn.
EXAMPLE := iris
# Test processes: many tests wait for other processes, so a few more than two cores keep busy.
TESTERS := 4
# A test that takes every case of its own has so many seconds.
LONGER := --timeout 1500
PATIENCE := $(if $(filter all,$(LAUNCHPIN_FAULTS)),$(LONGER))

# Whatever the user's shell has set for other projects must not reach this one's environment.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX PIP_USER PIP_TARGET PIP_PREFIX
unexport UV_PYTHON UV_SYSTEM_PYTHON UV_PROJECT_ENVIRONMENT

# A developer's environment holds everything a demo needs, so it is never taken apart for one.
DEMO := .venv/.demo-installed
DEV := .venv/.dev-installed
ANY := $(if $(wildcard $(DEV)),$(DEV),$(DEMO))

# An environment whose interpreter is gone, after an upgrade of the system say, is made again.
GONE := $(shell test ! -d .venv || $(BIN)/python -c '' 2>/dev/null || echo gone)

INSTALL = sh .ci/install
# Set by the installer where only this machine's own certificates are trusted on the way to the package index.
CERTIFICATES = $$(test ! -e .venv/.system-certs || echo UV_SYSTEM_CERTS=true)
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header $(ARGS)

.PHONY: help demo test check docs faults bench strangers lock clean gone

help:
	@echo 'make demo    the whole loop on this machine: push, train, judge, merge, serve, prove'
	@echo 'make test    the tests of one ordinary run; LAUNCHPIN_FAULTS=all adds what takes turns from run to run: hours'
	@echo 'make check   lint, format, types and import contracts'
	@echo 'make docs    write the parts of docs/reference that the code knows'
	@echo 'make faults  kill, cut and starve every part, all cases; prints a table, ends with an error on a breach'
	@echo 'make bench   measure everything against its baseline, and write docs/reference/benchmarks.md'
	@echo 'make strangers ARGS="FOLDER..."  take projects that others wrote from init to a prediction'
	@echo 'make lock    resolve the locks again; ARGS=--upgrade takes newer versions'
	@echo 'make clean   remove .venv and caches; no data'
	@echo
	@echo 'ARGS="..." is passed on, as in: make demo ARGS="--no-wait --report report.json"'
	@echo 'EXAMPLE=churn has the demo play with another model'

demo: $(ANY)
	@env $(CERTIFICATES) $(BIN)/launchpin demo --example $(EXAMPLE) $(ARGS)

# Most tests run each time. What takes minutes (most end-to-end tests, the examples without Launchpin) and nine of ten cases
# of the fault tests belong to other slices of ten: LAUNCHPIN_FAULTS=0, which is the default here, to 9 names one, even
# ones on SQLite and the others on PostgreSQL, and CI takes the next one with each run. Everything at once, in hours:
#   make test LAUNCHPIN_FAULTS=all
# `.venv/bin/python -m tests.slices` prints which test belongs to which slice.
test: $(DEV)
	@env $(CERTIFICATES) $(BIN)/pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder $(PATIENCE) $(ARGS)

faults: $(DEV)
	@env $(CERTIFICATES) LAUNCHPIN_FAULTS=all $(BIN)/pytest tests/faults \
		tests/e2e/test_demo.py::test_parts_die_in_turn_and_the_end_is_the_same_as_without \
		--numprocesses $(TESTERS) --dist load --maxschedchunk 1 $(LONGER) $(ARGS)

bench: $(DEV)
	@env $(CERTIFICATES) $(BIN)/python -m tests.benchmarks $(ARGS)

strangers: $(DEV)
	@env $(CERTIFICATES) $(BIN)/python -m tests.strangers $(ARGS)

check: $(DEV)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(DEV)
	@$(BIN)/python -m tests.reference

lock: $(BIN)/uv
	@$(COMPILE) pyproject.toml -o requirements.lock
	@$(COMPILE) --group pyproject.toml:dev pyproject.toml -c requirements.lock -o .ci/dev.lock
	@printf 'hatchling\neditables\n' | $(COMPILE) - -c .ci/dev.lock -o .ci/build.lock

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(DEMO): requirements.lock .ci/build.lock pyproject.toml $(BIN)/uv
	@$(INSTALL) requirements.lock .ci/build.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements.lock .ci/dev.lock pyproject.toml $(BIN)/uv
	@$(INSTALL) .ci/dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The installer itself comes by pip, with its hashes from the same lock.
$(BIN)/uv: $(GONE)
	@python=$$(sh .ci/find-python) || exit 1; \
	echo "Installing into .venv with $$("$$python" --version): about 250 MB to download, 1 GB on disk (2 GB after a demo), 1 to 3 minutes, once."; \
	"$$python" -m venv --clear .venv
	@awk '/^[A-Za-z0-9]/ { wanted = /^uv==/ } wanted' requirements.lock > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
		--require-hashes --requirement .venv/uv.txt
