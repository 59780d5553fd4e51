"""What the deploy repository asks of one environment at one commit: the pin and the endpoint, read together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from gitops.buildspec import Pin, read_pin
from gitops.config.endpoint import EndpointFile, Unjudged, parse_endpoint
from gitops.errors import InputError, LaunchpinError, NotFoundError, RefusedError
from gitops.plans import plan_digest
from gitops.ports import Deps
from gitops.records import Environment, Repository, Version
from gitops.tiers import check_tier, served_there

_BUILDSPECS = ("buildspec.yml", "buildspec.yaml")
_ENDPOINTS = ("endpoint.yaml", "endpoint.yml")


@dataclass(frozen=True)
class Desired:
    """One environment as a commit describes it.

    Args:
        repository_id: of the deploy repository.
        repository: its name.
        path: the environment's directory.
        buildspec: the path of the file that holds the pin.
        text: that file's bytes.
    """

    repository_id: int
    repository: str
    path: str
    commit: str
    pin: Pin
    endpoint: EndpointFile
    buildspec: str
    text: bytes

    @property
    def place(self) -> str:
        """The environment as people write it: `OWNER/NAME:PATH`."""
        return f"{self.repository}:{self.path}"


@lru_cache(maxsize=64)
def environment_paths(files: tuple[str, ...]) -> tuple[str, ...]:
    """Return the directories that hold both a buildspec and an endpoint file; remembered, for it is asked each minute.

    Args:
        files: every path of a commit.
    """
    folders: dict[tuple[str, ...], set[str]] = {_BUILDSPECS: set(), _ENDPOINTS: set()}
    for file in files:
        folder, _, name = file.rpartition("/")
        for names, found in folders.items():
            if name in names:
                found.add(folder or ".")
    return tuple(sorted(folders[_BUILDSPECS] & folders[_ENDPOINTS]))


def is_touched(path: str, files: Iterable[str]) -> bool:
    """Return whether one of these files says what the environment in this directory should be."""
    places = (PurePosixPath(file) for file in files)
    return any(place.name in (*_BUILDSPECS, *_ENDPOINTS) and place.parent == PurePosixPath(path) for place in places)


def read_desired(deps: Deps, repository: Repository, *, commit: str, path: str) -> Desired:
    """Return what a commit asks of an environment, from the mirror.

    Raises:
        InputError: a file is wrong, with its line.
        NotFoundError: a file is missing, or is there in both spellings.
    """
    buildspec, text = _read_one(deps, repository, commit, path, _BUILDSPECS)
    endpoint_path, endpoint_text = _read_one(deps, repository, commit, path, _ENDPOINTS)
    pin = read_pin(text, file=buildspec)
    endpoint = parse_endpoint(endpoint_text, file=endpoint_path)
    return Desired(
        repository_id=repository.id,
        repository=repository.full_name,
        path=path,
        commit=commit,
        pin=pin,
        endpoint=endpoint,
        buildspec=buildspec,
        text=text,
    )


def _read_one(
    deps: Deps, repository: Repository, commit: str, path: str, spellings: tuple[str, ...]
) -> tuple[str, bytes]:
    found = []
    for name in spellings:
        place = f"{path}/{name}" if path not in ("", ".") else name
        content = deps.mirror.read(repository, commit, place)
        if content is not None:
            found.append((place, content))
    if not found:
        raise NotFoundError("FileMissing", f"{path} has no {spellings[0]} at {commit[:12]}")
    if len(found) > 1:
        raise InputError("both_spellings", f"{path} has {spellings[0]} and {spellings[1]}: keep one", file=path)
    return found[0]


Claims = Mapping[tuple[str, str], Sequence[Environment]]
"""The recorded environments by target and endpoint."""


def read_claims(deps: Deps) -> Claims:
    """Return who has which endpoint."""
    found: dict[tuple[str, str], list[Environment]] = {}
    for each in deps.store.environments():
        found.setdefault((each.target, each.endpoint), []).append(each)
    return found


def check_place(deps: Deps, desired: Desired, known: Environment | None, *, claims: Claims) -> None:
    """Hold a pin against the service and the environment it stands in, whatever version it names.

    Args:
        known: what is recorded of the environment; None when it is new.
        claims: who has which endpoint.

    Raises:
        RefusedError: `pin_refused`, with what is wrong with it, or `endpoint_taken`.
    """
    pin = desired.pin
    if pin.tracking_uri not in deps.service.tracking_uris:
        message = f"TRACKING_URI {pin.tracking_uri[:200]} is not one that this service allows"
        raise RefusedError("pin_refused", f"{message}: write {deps.service.tracking_uri}")
    if known is not None and known.serving and pin.model_version and pin.model_name != known.model:
        message = f"{desired.path} serves {known.model}, and the pin names another model, {pin.model_name}"
        raise RefusedError("pin_refused", f"{message}: give each its own directory, or empty the pin first")
    for other in claims.get((desired.endpoint.target.value, desired.endpoint.endpoint), ()):
        if _came_first(other, desired, known) and _is_claimed(deps, other):
            raise taken(desired, f"{other.repository}:{other.path}")


def taken(desired: Desired, owner: str) -> RefusedError:
    """Return the refusal of an endpoint that another environment has.

    Args:
        owner: that environment, as people write it.
    """
    message = f"endpoint {desired.endpoint.endpoint} is that of {owner}: write another one in {desired.endpoint.file}"
    return RefusedError("endpoint_taken", message)


def _came_first(other: Environment, desired: Desired, known: Environment | None) -> bool:
    """Return whether another environment has the endpoint that this one asks for; who was known with it first keeps it.

    One target is one host here, so the host needs no look.
    """
    place = (desired.repository_id, desired.path)
    if (other.repository_id, other.path) == place:
        return False
    is_known_here = known is not None and (known.target, known.endpoint) == (other.target, other.endpoint)
    # Both are recorded with it only in databases from before this rule: then the place decides, for one must.
    return not is_known_here or (other.repository_id, other.path) < place


def _is_claimed(deps: Deps, other: Environment) -> bool:
    """Return whether an environment's files still ask for its endpoint; those of a directory that is gone do not."""
    repository = deps.store.repository(other.repository_id)
    if repository is None:
        return False
    try:
        head = deps.mirror.heads(repository).get(f"refs/heads/{repository.default_branch}", "")
        now = read_desired(deps, repository, commit=head, path=other.path) if head else None
    except NotFoundError:
        return False
    except LaunchpinError:
        return True  # cannot be read now, and its endpoint stays as it is meanwhile
    return now is not None and (now.endpoint.target.value, now.endpoint.endpoint) == (other.target, other.endpoint)


def check_pin(deps: Deps, desired: Desired, *, known: Environment | None = None) -> Version | None:
    """Hold a pin against what exists and what is allowed; the endpoint is not asked.

    Args:
        known: what is recorded of the environment; None when it is new.

    Returns:
        Our verdict on the version; None for an empty pin, or for a version without one where that is allowed.

    Raises:
        RefusedError: `pin_refused`, with what is wrong with it, `endpoint_taken`, `TierTooLow` or `TierUnknown`.
    """
    check_place(deps, desired, known, claims=read_claims(deps))
    pin = desired.pin
    if not pin.model_version:
        return None
    name = f"{pin.model_name} {pin.model_version}"
    if deps.registry.version(pin.model_name, pin.model_version) is None:
        raise RefusedError("pin_refused", f"{name} does not exist in the registry")
    version = deps.store.version(pin.model_name, pin.model_version)
    if version is None and desired.endpoint.unjudged is Unjudged.REFUSE:
        raise RefusedError("pin_refused", f"{name} has no verdict of Launchpin's, and unjudged is refuse")
    if version is not None and version.quarantined:
        raise RefusedError("pin_refused", f"{name} is quarantined")
    if version is not None and version.verdict != "pass":
        raise RefusedError("pin_refused", f"{name} did not pass its gates")
    if not served_there(known, pin.model_name, pin.model_version):
        check_tier(name, version, desired.place, desired.endpoint)
    return version


def digest_of(desired: Desired, *, environment: str, host: str, version: Version | None) -> str:
    """Return the plan's digest of what a commit asks of an environment."""
    return plan_digest(
        {
            "target": desired.endpoint.target.value,
            "host": host,
            "endpoint": desired.endpoint.endpoint,
            "environment": environment,
            "tracking_uri": desired.pin.tracking_uri,
            "model": desired.pin.model_name,
            "version": desired.pin.model_version,
            "manifest_sha256": version.manifest_sha256 if version else "",
            "settings": desired.endpoint.to_facts(),
            "serving_environment": version.environment_key if version else "",
        }
    )
