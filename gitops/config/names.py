"""Names and paths that people choose: what is canonical, and what could lead astray. Pure.

Two names that look or sort alike must not both exist (attack 41), and no path may leave its folder (attack 55).
"""

import re
import unicodedata

MAX_NAME = 200
MAX_PATH = 400
NO_TIER = "none"
"""How the registry's tag names that a version has no tier; no tier is called so."""

_CONFUSING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, invisible, unassigned
_ENVIRONMENT = re.compile(r"[a-z]([a-z0-9_-]{0,61}[a-z0-9])?")
_VERSION_ALIAS = re.compile(r"v[0-9]+")
_RESERVED = frozenset({"latest", "champion", "challenger"})
_ENDPOINT = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_MAX_ENDPOINT = 63  # SageMaker, CreateEndpoint
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}/[A-Za-z0-9._-]{1,100}")
_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_OUR_SECRETS = re.compile(
    r"PATH|HOME|IFS|ENV|BASH_ENV|(LAUNCHPIN_|LD_|DYLD_|PYTHON).*|MLFLOW_(TRACKING_URI|EXPERIMENT_(ID|NAME)|RUN_(ID|CONTEXT))"
)
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
_CHANNEL = re.compile(r"[a-z]([a-z0-9_-]{0,38}[a-z0-9])?")
_MAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?=.{1,253}\Z)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_DRIVE = re.compile(r"[A-Za-z]:")


class BadNameError(ValueError):
    """A name or path cannot be accepted.

    Args:
        reason: the stable code.
        message: the limit and the way out.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def twin_key(name: str) -> str:
    """Return what two names share that differ by case or by Unicode form only."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_canonical(name: str) -> None:
    """Refuse a name that has a twin spelling, invisible characters, or white space at its ends.

    Raises:
        BadNameError: `name_not_canonical` or `name_invalid`.
    """
    if not 1 <= len(name) <= MAX_NAME:
        raise BadNameError("name_invalid", f"a name has 1 to {MAX_NAME} characters")
    if unicodedata.normalize("NFC", name) != name:
        raise BadNameError("name_not_canonical", "the name is not in Unicode's composed form (NFC); retype it")
    if any(unicodedata.category(char) in _CONFUSING for char in name):
        raise BadNameError("name_not_canonical", "the name has control or invisible characters; retype it")
    if name.strip() != name:
        raise BadNameError("name_not_canonical", "the name begins or ends with white space; remove it")


def check_model(name: str) -> None:
    """Refuse what is no name of a registered model; MLflow's own limits are `/`, `:` and names that are paths.

    Raises:
        BadNameError: with the way out.
    """
    check_canonical(name)
    if "/" in name or ":" in name:
        raise BadNameError("name_invalid", "a model's name has neither `/` nor `:`; use `-` instead")
    if name == "." or name.startswith(".."):
        raise BadNameError("name_invalid", "a model's name must not look like a path; begin with a letter")


def check_environment(name: str) -> None:
    """Refuse what cannot name an environment: it becomes a branch's segment and a registry alias.

    Raises:
        BadNameError: with the way out.
    """
    check_canonical(name)
    if name != twin_key(name):
        raise BadNameError(
            "name_not_canonical", "an environment is written in lower-case letters; `staging` for example"
        )
    if not _ENVIRONMENT.fullmatch(name):
        message = "an environment has 1 to 63 characters a-z, 0-9, - and _, begins with a letter, ends with no sign"
        raise BadNameError("name_invalid", message)
    if name in _RESERVED or _VERSION_ALIAS.fullmatch(name):
        message = "latest, champion, challenger and v1, v2 ... are aliases with a meaning; choose another name"
        raise BadNameError("name_reserved", message)


def check_tier(name: str) -> None:
    """Refuse what cannot name a tier: it is written in two repositories, and into the registry's tags.

    Raises:
        BadNameError: with the way out.
    """
    check_canonical(name)
    if name != twin_key(name):
        raise BadNameError("name_not_canonical", "a tier is written in lower-case letters; `gold` for example")
    if not _ENVIRONMENT.fullmatch(name):
        message = "a tier has 1 to 63 characters a-z, 0-9, - and _, begins with a letter, ends with no sign"
        raise BadNameError("name_invalid", message)
    if name == NO_TIER:
        raise BadNameError("name_reserved", f"{NO_TIER} says that a version has no tier; choose another name")


def check_endpoint(name: str) -> None:
    """Refuse what no target takes; the limits are SageMaker's, so that an endpoint can move there.

    Raises:
        BadNameError: with the way out.
    """
    if len(name) > _MAX_ENDPOINT or not _ENDPOINT.fullmatch(name):
        message = "an endpoint has 1 to 63 characters a-z, A-Z, 0-9 and -, with a letter or digit at both ends"
        raise BadNameError("name_invalid", message)


def check_repository(name: str) -> None:
    """Refuse what is not `OWNER/NAME`.

    Raises:
        BadNameError: with the way out.
    """
    repository = name.partition("/")[2]
    if not _REPOSITORY.fullmatch(name) or repository in {".", ".."} or repository.endswith(".git"):
        message = "write a repository as OWNER/NAME, without a host and without .git; `acme/iris-deploy` for example"
        raise BadNameError("name_invalid", message)


def check_secret(name: str) -> None:
    """Refuse what is no environment variable, or one that decides how the training runs.

    Raises:
        BadNameError: with the way out.
    """
    if not _SECRET.fullmatch(name):
        raise BadNameError("name_invalid", "a secret is the name of an environment variable; `DB_PASSWORD` for example")
    if _OUR_SECRETS.fullmatch(name):
        raise BadNameError("name_reserved", "this variable is set by Launchpin or steers the interpreter; rename it")


def check_parameter(name: str) -> None:
    """Refuse what cannot be a parameter of an entry point.

    Raises:
        BadNameError: with the way out.
    """
    if not _PARAMETER.fullmatch(name):
        raise BadNameError(
            "name_invalid", "a parameter has 1 to 100 letters, digits, `_`, `-`, `.` and begins with a letter"
        )


def check_channel(name: str) -> None:
    """Refuse what cannot name a channel that messages go to.

    Raises:
        BadNameError: with the way out.
    """
    if not _CHANNEL.fullmatch(name):
        message = "a channel has 1 to 40 characters a-z, 0-9, - and _, begins with a letter, ends with no sign"
        raise BadNameError("name_invalid", message)


def check_mail(address: str) -> None:
    """Refuse what is no plain address of mail: no name beside it, no quotes, no line of its own.

    Raises:
        BadNameError: with the way out.
    """
    if not _MAIL.fullmatch(address):
        raise BadNameError("address_invalid", "write an address alone; `on-call@example.com` for example")


def check_file(path: str) -> None:
    """Refuse what cannot be a file's path on this machine, absolute or beside the file that names it.

    Raises:
        BadNameError: with the way out.
    """
    if not 1 <= len(path) <= MAX_PATH or any(unicodedata.category(char) in _CONFUSING for char in path):
        raise BadNameError("path_invalid", f"a path has 1 to {MAX_PATH} characters, all of them visible")


def clean_path(path: str) -> str:
    """Return a relative path in its one spelling: no `./` before it, no `/` after it; `.` for the folder itself.

    Raises:
        BadNameError: `path_invalid` when it could leave its folder or mean two things.
    """
    if not 1 <= len(path) <= MAX_PATH:
        raise BadNameError("path_invalid", f"a path has 1 to {MAX_PATH} characters")
    if path.startswith(("/", "~", "-")) or "\\" in path or _DRIVE.match(path) or "://" in path:
        raise BadNameError("path_invalid", "write a path relative to this file, with `/`; `models/iris` for example")
    if unicodedata.normalize("NFC", path) != path or any(unicodedata.category(char) in _CONFUSING for char in path):
        raise BadNameError("path_invalid", "the path has control, invisible or decomposed characters; retype it")
    if "%2e" in path.lower() or "%2f" in path.lower() or "#" in path or "?" in path:
        raise BadNameError("path_invalid", "write the path itself, without %-escapes, `#` and `?`")
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts or ".git" in {part.lower() for part in parts}:
        raise BadNameError("path_invalid", "a path must stay below this file's folder, without `..` and `.git`")
    return "/".join(parts) or "."
