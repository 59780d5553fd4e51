"""The Python interpreters of this machine: found, asked who they are, never downloaded."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from gitops.environments.requirements import UNRESOLVABLE
from gitops.errors import RefusedError, StalledError

_PATIENCE = 20.0  # seconds
_EXACT = re.compile(r"={0,2}\s*(\d+)\.(\d+)(\.\d+)*(\.\*)?")
_ANY = re.compile(r"(={0,2}\s*3(\.\*)?)?")
_QUESTION = """
import json, sys, sysconfig
print(json.dumps({
    "path": getattr(sys, "_base_executable", "") or sys.executable,
    "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": sys.implementation.name,
    "platform": "%s %s" % (sysconfig.get_platform(), sysconfig.get_config_var("SOABI") or ""),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """An interpreter outside any virtual environment.

    Args:
        version: `3.11.7` for example.
        platform: operating system, processor and binary interface.
    """

    path: str
    version: str
    implementation: str
    platform: str

    @property
    def minor(self) -> str:
        """The version without its patch: what wheels are built for."""
        return self.version.rpartition(".")[0]


class Interpreters:
    """Finds interpreters.

    Args:
        candidates: programs to ask, the first that fits is taken; by default the one that runs this, then what is on
            PATH, then what pyenv and uv keep.
    """

    def __init__(self, candidates: Sequence[Path] | None = None) -> None:
        self._candidates = candidates
        self._known: dict[str, Interpreter | None] = {}

    def choose(self, asked: str, *, file: str = "") -> Interpreter:
        """Return an installed interpreter of the asked minor version, our own where it fits.

        Args:
            asked: `3.11`, `3.11.7` (its patch is not asked for), a specifier such as `>=3.10`, or empty for any.
            file: where that is written, for the way out.

        Raises:
            StalledError: `NoInterpreter`, naming those found.
            RefusedError: `EnvironmentUnresolvable` when it is no version.
        """
        return next(self.fitting(asked, file=file))

    def fitting(self, asked: str, *, file: str = "") -> Iterator[Interpreter]:
        """Give every interpreter that `choose` could return, the best first; those behind are asked when they are due.

        Args and errors are those of `choose`.
        """
        fits = _specifiers(asked)
        found: list[Interpreter] = []
        is_any = False
        for candidate in self._candidates if self._candidates is not None else _candidates():
            interpreter = self._ask(candidate)
            if interpreter is None:
                continue
            if fits.contains(interpreter.version, prereleases=True):
                is_any = True
                yield interpreter
            else:
                found.append(interpreter)
        if is_any:
            return
        versions = ", ".join(sorted({interpreter.version for interpreter in found})) or "none"
        version = asked.strip().lstrip("=").strip()
        change = f", or ask for another in {file}" if file else ""
        message = f"Python {version} is not installed here (found: {versions}): install it on this machine{change}"
        raise StalledError("NoInterpreter", message)

    def _ask(self, candidate: Path) -> Interpreter | None:
        """Return who a program is; None when it does not answer, as a version manager's stub may not."""
        if str(candidate) not in self._known:
            self._known[str(candidate)] = _ask(candidate)
        return self._known[str(candidate)]


def _specifiers(asked: str) -> SpecifierSet:
    if _ANY.fullmatch(asked.strip()):
        return SpecifierSet(">=3")
    if match := _EXACT.fullmatch(asked.strip()):
        return SpecifierSet(f"=={match[1]}.{match[2]}.*")
    try:
        return SpecifierSet(asked)
    except InvalidSpecifier as error:
        raise RefusedError(UNRESOLVABLE, f"{asked!r} is no Python version; write 3.11 for example") from error


def _candidates() -> Iterable[Path]:
    yield Path(sys.executable)
    names = [f"python3.{minor}" for minor in range(30, 7, -1)]
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        yield from (Path(folder) / name for name in names if folder and (Path(folder) / name).is_file())
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv"))
    for keeper in (pyenv / "versions", home / ".local" / "share" / "uv" / "python"):
        yield from sorted(keeper.glob("*/bin/python3.[0-9]*[0-9]"), reverse=True)


def _ask(candidate: Path) -> Interpreter | None:
    try:
        answer = subprocess.run(  # noqa: S603 - an interpreter this machine's owner installed
            [candidate, "-I", "-c", _QUESTION],
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )
        return Interpreter(**json.loads(answer.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return None
