"""What infra/ starts is what the code knows: settings, commands, users, images, ports and secrets of compose.yaml."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops.settings import Settings

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
COMPOSE: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"].startswith("launchpin:"))
SCRIPT = (INFRA / "compose" / "prepare.sh").read_text(encoding="utf-8")
CONTAINERFILE = (INFRA / "image" / "Containerfile").read_text(encoding="utf-8")
UID = "10001:10001"
DIGEST = re.compile(r"[^:@]+:[^@]+@sha256:[0-9a-f]{64}")
PROGRAMS = Path(sys.executable).parent


def run(*command: str) -> str:
    """Run one of the tools of this environment; return what it complains about."""
    done = subprocess.run([PROGRAMS / command[0], *command[1:]], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def filled(value: str) -> str:
    """Return a value as compose fills it in where nobody set anything."""
    return re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)\}", lambda found: found[1] or "", value)


# ---------------------------------------------------------------- by the tools of others


def test_the_compose_file_follows_the_compose_specification() -> None:
    assert run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(INFRA / "compose.yaml")) == ""


def test_a_compose_file_with_a_mistake_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: a, read_only: [1]}}\n", encoding="utf-8")
    found = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(tmp_path / "compose.yaml"))
    assert "services.web.read_only" in found


def test_the_workflows_follow_their_schema() -> None:
    workflows = sorted(str(file) for file in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows) == ""


def test_hadolint_has_nothing_to_say_of_the_containerfile() -> None:
    assert run("hadolint", str(INFRA / "image" / "Containerfile")) == ""


@pytest.mark.parametrize("script", ["image/try.sh", "compose/prepare.sh", "compose/roles.sh"])
def test_the_scripts_are_what_a_shell_reads_and_may_be_run(script: str) -> None:
    file = INFRA / script
    shell = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("#!")
    assert subprocess.run([shell, "-n", str(file)], capture_output=True, text=True, check=False).stderr == ""
    assert file.stat().st_mode & 0o111 == 0o111


# ---------------------------------------------------------------- images


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    if name in OURS:
        assert image == f"launchpin:{tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}"
    elif name == "mlflow":
        # No digest of it was known where this was written; its version is that of the client, patches aside.
        client = re.search(r"^mlflow==(\d+\.\d+)\.", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
        assert client is not None
        assert re.fullmatch(rf"ghcr\.io/mlflow/mlflow:v{re.escape(client[1])}\.\d+-full", image)
    else:
        assert DIGEST.fullmatch(image)


def test_the_base_of_our_image_is_pinned_and_both_stages_have_it() -> None:
    (base,) = re.findall(r"^ARG BASE=(.+)$", CONTAINERFILE, re.MULTILINE)
    assert DIGEST.fullmatch(base)
    assert re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE) == ["${BASE}", "${BASE}"]


def test_our_image_installs_what_is_locked_with_hashes_and_runs_as_the_user_of_its_services() -> None:
    installs = re.findall(r"pip install ([^&]*)", CONTAINERFILE.replace("\\\n", " "))
    assert installs
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
    assert re.findall(r"^USER (.+)$", CONTAINERFILE, re.MULTILINE) == [UID]


def test_the_builder_is_sent_only_what_the_image_is_made_of() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignored[0] == "*"
    sent = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE)
    assert sent == {name for line in copies for name in line.split()}


# ---------------------------------------------------------------- confinement


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_is_root_or_may_become_it_or_write_to_its_root(name: str) -> None:
    service = SERVICES[name]
    uid, gid = service["user"].split(":")
    assert int(uid) > 0
    assert int(gid) > 0
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert any(place.startswith("/tmp:") for place in service["tmpfs"])  # noqa: S108 - the container's own


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_has_limits_and_all_that_stay_are_looked_after(name: str) -> None:
    service = SERVICES[name]
    assert {"mem_limit", "cpus", "pids_limit", "restart"} <= service.keys()
    assert ("healthcheck" in service) is (name != "database")


def test_the_training_limit_fits_into_the_container_that_trains() -> None:
    training = SERVICES["training"]
    assert training["mem_limit"] == "4g"
    slots = int(training["environment"]["LAUNCHPIN_TRAINING_SLOTS"])
    assert slots * int(training["environment"]["LAUNCHPIN_TRAINING_MEMORY"]) <= 4 * 1024**3 * 80 // 100
    assert slots * int(training["environment"]["LAUNCHPIN_TRAINING_TASKS"]) < training["pids_limit"]


def test_web_alone_is_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8080:8080"]}
    assert all("network_mode" not in service for service in SERVICES.values())


def test_only_what_speaks_with_the_world_is_on_a_network_that_leads_there() -> None:
    inner = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    outside = {name for name, service in SERVICES.items() if set(service["networks"]) - inner}
    assert outside == {"web", "control", "training"}
    users = {name for name, service in SERVICES.items() if "objects" in service["networks"]}
    assert users == {"mlflow", "s3", "training"}


def test_only_who_asks_mlflow_is_on_a_network_with_it() -> None:
    ways = set(SERVICES["mlflow"]["networks"])
    neighbours = {name for name, service in SERVICES.items() if ways & set(service["networks"])}
    assert neighbours == {"mlflow", "control", "training", "postgres", "s3"}


def test_the_inner_parts_of_the_store_are_on_loopback() -> None:
    command = SERVICES["s3"]["command"]
    assert {"-ip.bind=127.0.0.1", "-s3.ip.bind=0.0.0.0", "-s3.config=/run/secrets/s3_identities"} <= set(command)


def test_what_a_service_waits_for_is_there() -> None:
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other == "database" else "service_healthy"
            assert (other in SERVICES, how) == (True, {"condition": wanted})


# ---------------------------------------------------------------- against the code


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_can_be_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = SERVICES[name].get("environment", {})
    settings = {f"LAUNCHPIN_{field.upper()}" for field in Settings.model_fields}
    assert set(environment) <= settings
    for key, value in environment.items():
        monkeypatch.setenv(key, filled(value))
    Settings()


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_of_ours_with_options_that_it_knows(name: str) -> None:
    python, isolated, run_module, module, *options = SERVICES[name]["command"]
    assert (python, isolated, run_module) == ("python", "-P", "-m")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    if spec.submodule_search_locations:
        spec = importlib.util.find_spec(f"{module}.__main__")
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text(encoding="utf-8")
    assert '__name__ == "__main__"' in text
    assert all(f'"{option}"' in text for option in options if option.startswith("--"))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_secrets_are_files_and_never_values(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    environment: dict[str, str] = service.get("environment", {})
    said = " ".join([*environment.values(), *service.get("command", ())])
    assert set(re.findall(r"/run/secrets/(\w+)", said)) <= set(service.get("secrets", ()))
    for key, value in environment.items():
        if re.search(r"PASSWORD|TOKEN|SECRET|_KEY|CREDENTIALS", key):
            assert key.endswith(("_FILE", "_FILES", "_DIR"))
            assert "/" in value


def test_every_secret_is_made_for_the_user_that_reads_it() -> None:
    users = dict(re.findall(r"(\w+)=(\d+:\d+)", SCRIPT))
    made = {file: users[owner] for owner, file in re.findall(r"keep \$(\w+) (\w+)", SCRIPT)}
    (loop,) = re.findall(r"for name in ([\w ]+); do random \| keep \$ours", SCRIPT)
    made |= dict.fromkeys(loop.split(), users["ours"])
    assert set(made) == set(COMPOSE["secrets"])
    for service in SERVICES.values():
        for secret in service.get("secrets", ()):
            assert made[secret] == service["user"]
            assert COMPOSE["secrets"][secret]["file"] == f"./compose/secrets/{secret}"


def test_no_secret_can_be_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"infra/.env", "infra/compose/secrets/"} <= set(ignored)


def test_the_signing_key_is_on_a_volume_that_the_relay_shares_with_nobody_but_who_makes_it() -> None:
    holders = {
        name for name, one in SERVICES.items() for place in one.get("volumes", ()) if place.startswith("signer:")
    }
    assert holders == {"relay", "database"}


def test_the_endpoint_host_sees_the_files_that_the_control_worker_names() -> None:
    def places(name: str) -> dict[str, str]:
        return dict(reversed(place.split(":")[:2]) for place in SERVICES[name]["volumes"])

    control, host = places("control"), places("endpoints")
    assert {place: control[place] for place in host} == host


def test_the_page_says_how_much_memory_the_limits_add_up_to() -> None:
    units = {"m": 1, "g": 1024}
    # The one that makes the tables has ended before the others begin.
    running = [service["mem_limit"] for name, service in SERVICES.items() if name != "database"]
    total = sum(int(limit[:-1]) * units[limit[-1]] for limit in running) / 1024
    page = (ROOT / "docs" / "how-to" / "run-with-compose.md").read_text(encoding="utf-8")
    assert f"add up to {total:g} GB" in page
