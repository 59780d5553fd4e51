"""Which paths of a repository are ours, in either spelling of their ending. Pure."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from gitops.errors import InputError

_ENDINGS = (".yaml", ".yml")


def find_all(paths: Iterable[str], stem: str) -> tuple[str, ...]:
    """Return every `stem.yaml` and `stem.yml`, sorted.

    Args:
        paths: files relative to the repository.

    Raises:
        InputError: `file_twice` when one directory has both spellings.
    """
    wanted = {f"{stem}{ending}" for ending in _ENDINGS}
    found: dict[str, str] = {}
    for path in sorted(set(paths)):
        folder, _, name = path.rpartition("/")
        if name not in wanted:
            continue
        if folder in found:
            message = f"{PurePosixPath(found[folder]).name} stands beside it; keep one of the two"
            raise InputError("file_twice", message, file=path)
        found[folder] = path
    return tuple(sorted(found.values()))


def find_one(paths: Iterable[str], stem: str, *, folder: str = "") -> str | None:
    """Return the path of `stem.yaml` or `stem.yml` directly in a folder, None where there is neither.

    Raises:
        InputError: `file_twice` when it has both.
    """
    prefix = "" if folder in {"", "."} else f"{folder}/"
    wanted = {f"{prefix}{stem}{ending}" for ending in _ENDINGS}
    found = find_all((path for path in paths if path in wanted), stem)
    return found[0] if found else None
