"""The story of a rollout: from a pin at a commit to an endpoint in service, or back with Git saying so.

Traffic first: moving it back needs neither Git, MLflow nor Redis. Git is written afterwards, and a hold keeps
automation from trying the same again.
"""

from datetime import timedelta

from gitops.aftermath import BY_HAND, finish, restore, waiting_rollback, write_back
from gitops.announced import check_plan
from gitops.desired import Desired, check_pin, digest_of, read_desired
from gitops.disk.space import require_room
from gitops.errors import InputError, NotFoundError, RefusedError, StalledError
from gitops.holding import say_held
from gitops.models import (
    fetch_judged,
    fetch_version,
    hash_folder,
    is_kept,
    model_folder,
    parse_manifest,
    verify_kept,
)
from gitops.plans import configuration_name, plan_digest
from gitops.ports import Configuration, Deps, Endpoint, EndpointStatus, Readiness
from gitops.rebuilding import bring_environment
from gitops.records import Direction, Environment, Frozen, Repository, Rollout
from gitops.smoke import NOT_ASKED, Smoked, run_smoke
from gitops.steps import Done, Ended, Facts, Outcome, Phase, Step, Story, Wait
from gitops.tiers import tier_facts
from gitops.writes import KeepLock, Wake

_TWICE = "pass twice"
_LOCKED = timedelta(seconds=5)
_HELD = timedelta(seconds=30)
_LOOK = timedelta(seconds=1)


def admit(deps: Deps, rollout: Rollout) -> Outcome:
    """Wait for our turn on the endpoint, and for holds to be lifted; a newer pin takes our place."""
    busy = [
        other
        for other in deps.store.active_rollouts(target=rollout.target, host=rollout.host, endpoint=rollout.endpoint)
        if other.id != rollout.id and other.phase is Phase.RUNNING
    ]
    if busy:
        return Wait(_LOCKED, "Locked", f"rollout {busy[0].id} of version {busy[0].version} is under way")
    known = _environment(deps, rollout)
    facts: Facts = {"previous_version": known.serving, "previous_configuration": known.configuration}
    if rollout.direction is Direction.ROLLBACK:
        facts = {**facts, "unchanged": _is_serving(deps, rollout, known) or None}
        return Done(facts=facts, message=f"back to version {rollout.version or 'nothing'}")
    if newer := _find_newer(rollout, _desired_now(deps, rollout)):
        return newer
    if held := _find_hold(deps, rollout, known):
        return held
    return Done(facts=facts, message=f"{known.serving or 'nothing'} -> {rollout.version or 'nothing'}")


def _find_hold(deps: Deps, rollout: Rollout, known: Environment) -> Wait | None:
    """Return what a rollout waits for that follows a pin where automation is held.

    What only brings back the version that served until now is held by nothing: somebody else moved the traffic.
    """
    if rollout.direction is Direction.ROLLBACK or known.serving == rollout.version:
        return None
    holds = deps.store.holds(repository_id=rollout.repository_id, path=rollout.path)
    if not holds:
        return None
    return Wait(_HELD, "Held", say_held(holds[0], rollout.endpoint))


def _environment(deps: Deps, rollout: Rollout) -> Environment:
    known = deps.store.environment(rollout.repository_id, rollout.path)
    if known is None:
        raise StalledError("EnvironmentMissing", f"{rollout.path} of {rollout.repository} is not known any more")
    return known


def _repository(deps: Deps, rollout: Rollout) -> Repository:
    repository = deps.store.repository(rollout.repository_id)
    if repository is None:
        raise StalledError("RepositoryMissing", f"{rollout.repository} is not connected any more: launchpin add it")
    return repository


def _desired_now(deps: Deps, rollout: Rollout) -> Desired:
    """Return what the base branch asks for at its head, as far as the mirror knows; compare keeps it fresh."""
    repository = _repository(deps, rollout)
    head = deps.mirror.heads(repository).get(f"refs/heads/{repository.default_branch}", rollout.commit)
    return read_desired(deps, repository, commit=head, path=rollout.path)


def _find_newer(rollout: Rollout, now: Desired) -> Ended | None:
    """Return the end of a rollout whose pin was changed since; the newest one wins."""
    if (now.pin.model_name, now.pin.model_version) == (rollout.model, rollout.version):
        return None
    message = f"the pin is {now.pin.model_version or 'empty'} now"
    return Ended(Phase.SUPERSEDED, "NewerPin", message, writes=(Wake("compare", str(rollout.repository_id)),))


def _makes_way(deps: Deps, rollout: Rollout) -> Ended | None:
    """Return the end of a rollout that something newer takes the place of before traffic moves, stalled or not."""
    if rollout.direction is Direction.ROLLBACK:
        return None
    active = deps.store.active_rollouts(target=rollout.target, host=rollout.host, endpoint=rollout.endpoint)
    waiting = [other for other in active if other.id != rollout.id]
    if waiting:
        message = f"rollout {waiting[-1].id} of version {waiting[-1].version or 'none'} takes its place"
        return Ended(Phase.SUPERSEDED, "NewerRollout", message)
    try:
        return _find_newer(rollout, _desired_now(deps, rollout))
    except (InputError, NotFoundError):
        return None  # what is wrong at the head is said on its own commit


def _desired(deps: Deps, rollout: Rollout) -> Desired:
    return read_desired(deps, _repository(deps, rollout), commit=rollout.commit, path=rollout.path)


def verify(deps: Deps, rollout: Rollout) -> Outcome:
    """Check that the version exists, may be used and is byte for byte what was judged.

    Where its files are kept here, those are hashed again; the registry's are compared while the version starts.
    """
    if newer := _makes_way(deps, rollout):
        return newer
    if not rollout.version or rollout.facts.unchanged:
        return Done(message="" if rollout.version else "the pin is empty")
    if rollout.direction is Direction.ROLLBACK:
        return _verify_kept(deps, rollout)
    desired = _desired(deps, rollout)
    version = check_pin(deps, desired, known=_environment(deps, rollout))
    name = _environment(deps, rollout).name
    if newer := check_plan(
        deps, rollout, _repository(deps, rollout), environment=name, desired=desired, version=version
    ):
        return newer
    require_room(deps.service.models, deps.service.least_free)
    if version is None:
        return _verify_unjudged(deps, rollout, desired)
    is_here = is_kept(deps, version)
    if not is_here:
        fetch_judged(deps, version)
    facts: Facts = {
        "manifest_sha256": version.manifest_sha256,
        "environment_key": version.environment_key,
        "plan_digest": digest_of(desired, environment=name, host=rollout.host, version=version),
        "compared": not is_here,
        **tier_facts(version, desired.place, desired.endpoint),
    }
    return Done(facts=facts, message=f"version {rollout.version} is what was judged")


def _verify_kept(deps: Deps, rollout: Rollout) -> Outcome:
    """Check the files that were kept when the version served: a way back needs neither Git nor, as a rule, MLflow."""
    version = deps.store.version(rollout.model, rollout.version)
    if version is None:
        raise RefusedError("VersionUnknown", f"{rollout.model} {rollout.version} has no verdict of Launchpin's")
    verify_kept(deps, version)
    facts: Facts = {"manifest_sha256": version.manifest_sha256, "environment_key": version.environment_key}
    return Done(facts=facts, message=f"version {rollout.version} is what was judged")


def _verify_unjudged(deps: Deps, rollout: Rollout, desired: Desired) -> Outcome:
    """Take a version without a verdict where endpoint.yaml allows it, in an environment of its own requirements."""
    found = fetch_version(deps, rollout.model, rollout.version)
    requirements = model_folder(deps, found.digest) / "requirements.txt"
    if not requirements.is_file():
        raise RefusedError("pin_refused", f"{rollout.model} {rollout.version} has no requirements.txt to serve it by")
    lock = deps.environments.lock_requirements(requirements.read_text(encoding="utf-8"), python="")
    deps.environments.build(lock)
    facts: Facts = {
        "manifest_sha256": found.digest,
        "environment_key": lock.key,
        "plan_digest": digest_of(
            desired, environment=_environment(deps, rollout).name, host=rollout.host, version=None
        ),
    }
    message = f"version {rollout.version} has no verdict of ours; unjudged is warn"
    return Done(facts=facts, writes=(KeepLock(lock),), message=message)


def prepare(deps: Deps, rollout: Rollout) -> Outcome:
    """Start the version without traffic and ask it the smoke questions."""
    if newer := _makes_way(deps, rollout):
        return newer
    if not rollout.version or rollout.facts.unchanged:
        return Done(is_idle=True)
    known = _environment(deps, rollout)
    if _is_serving(deps, rollout, known):
        return Done(facts={"unchanged": True, "configuration": known.configuration}, message="nothing changes")
    # A hold that was set since the rollout was admitted keeps traffic where it is, too.
    return _find_hold(deps, rollout, known) or _start(deps, rollout)


def _start(deps: Deps, rollout: Rollout) -> Outcome:
    target = deps.targets[rollout.target]
    configuration = _configuration(deps, rollout)
    facts: Facts = {"configuration": configuration.name, "compared": rollout.facts.compared}
    # Asked for once: a target starts a failed configuration again when it is asked again. What got no traffic for long
    # was stopped meanwhile, and must be asked for again.
    state = target.configuration(configuration.name) if rollout.facts.configuration == configuration.name else None
    if state is None or state.is_stopped:
        state = target.prepare(configuration)
    if rollout.facts.compared is False:
        is_asked = rollout.facts.configuration == configuration.name
        return _compare(deps, rollout, facts) if is_asked else _starting(rollout, facts)
    if state.readiness is Readiness.STARTING:
        return _starting(rollout, facts, after=_LOOK)
    if state.readiness is Readiness.FAILED:
        return _failed(facts, state.reason or "StartFailed", state.message, state.tail)
    if rollout.direction is Direction.ROLLBACK:
        # It answered the questions when it first served; the file that asks them may be what is broken now.
        return Done(facts=facts, message=f"version {rollout.version} is ready")
    smoked = _ask(deps, rollout, configuration.name)
    if smoked.failure:
        return _failed(facts, "SmokeFailed", smoked.failure)
    return Done(facts={**facts, "smoke": smoked.noted}, message=smoked.words)


def _compare(deps: Deps, rollout: Rollout, facts: Facts) -> Wait:
    """Hold the registry's files against what was judged, while a version that was kept here starts.

    That is written down before anything else happens: a large model is not downloaded twice.
    """
    version = deps.store.version(rollout.model, rollout.version)
    if version is None:
        raise RefusedError("VersionUnknown", f"{rollout.model} {rollout.version} has no verdict of Launchpin's")
    require_room(deps.service.models, deps.service.least_free)
    fetch_judged(deps, version)
    return _starting(rollout, {**facts, "compared": True})


def _starting(rollout: Rollout, facts: Facts, *, after: timedelta = timedelta(0)) -> Wait:
    return Wait(after, "Starting", f"version {rollout.version} is starting", facts=facts)


def _ask(deps: Deps, rollout: Rollout, configuration: str) -> Smoked:
    """Ask the smoke questions."""
    return run_smoke(
        deps,
        target=rollout.target,
        configuration=configuration,
        tests=_desired(deps, rollout).endpoint.smoke,
        folder=model_folder(deps, rollout.facts.manifest_sha256 or ""),
    )


def _is_serving(deps: Deps, rollout: Rollout, known: Environment) -> bool:
    """Return whether the version answers already, as far as the record and the target agree."""
    if not rollout.version or known.serving != rollout.version:
        return False
    live = deps.targets[rollout.target].describe(rollout.endpoint)
    if live is None or live.live != known.configuration or live.model not in {"", rollout.model}:
        return False
    return live.status is EndpointStatus.IN_SERVICE


def _configuration(deps: Deps, rollout: Rollout) -> Configuration:
    digest = rollout.facts.manifest_sha256 or ""
    environment = bring_environment(deps, rollout.facts.environment_key or "")
    folder = model_folder(deps, digest)
    version = deps.store.version(rollout.model, rollout.version)
    settings = plan_digest({"environment": environment.key})
    return Configuration(
        name=configuration_name(rollout.endpoint, digest, settings),
        endpoint=rollout.endpoint,
        model=rollout.model,
        version=rollout.version,
        model_dir=folder,
        manifest=parse_manifest(version.manifest) if version else hash_folder(folder),
        python=environment.python,
        environment_key=environment.key,
    )


def _failed(facts: Facts, reason: str, message: str, tail: tuple[str, ...] = ()) -> Done:
    return Done(
        facts={**facts, "failure": reason, "failure_message": message[:1000], "log_tail": list(tail[-20:])},
        message=f"{reason}: {message}",
    )


def apply(deps: Deps, rollout: Rollout) -> Outcome:
    """Give the version the endpoint's traffic; the target goes back by itself while it bakes."""
    if rollout.facts.failure or rollout.facts.unchanged:
        return Done(is_idle=True)
    target = deps.targets[rollout.target]
    if not rollout.version:
        target.restore(rollout.endpoint, "")
        return Done(facts={"applied": True, "serving": ""}, message="nothing serves")
    bake = timedelta(0)
    if rollout.direction is Direction.FORWARD:
        bake = _desired(deps, rollout).endpoint.strategy.bake
    configuration = rollout.facts.configuration or ""
    _forget_failure(deps, rollout, configuration)
    deps.effects.once(
        "apply_configuration",
        f"apply:{rollout.id}",
        look=lambda: _applied(target.describe(rollout.endpoint), configuration),
        act=lambda: Applied(configuration=target.apply(rollout.endpoint, configuration, bake=bake).desired),
        result=Applied,
    )
    return Done(
        facts={"applied": True, "serving": rollout.version, "bake_seconds": f"{bake.total_seconds():g}"},
        message=f"version {rollout.version} has the traffic",
    )


def _forget_failure(deps: Deps, rollout: Rollout, configuration: str) -> None:
    """Let a version that failed here before be tried again: a person pinned it anew."""
    target = deps.targets[rollout.target]
    endpoint = target.describe(rollout.endpoint)
    if endpoint is not None and endpoint.failure and endpoint.desired == configuration and endpoint.live:
        target.restore(rollout.endpoint, endpoint.live)


class Applied(Frozen):
    """A configuration was given an endpoint's traffic."""

    configuration: str


def _applied(endpoint: Endpoint | None, configuration: str) -> Applied | None:
    return Applied(configuration=configuration) if endpoint is not None and endpoint.desired == configuration else None


def bake(deps: Deps, rollout: Rollout) -> Outcome:
    """Watch the endpoint until its target says that the requested configuration is the one in service."""
    facts = rollout.facts
    if facts.failure or facts.unchanged or not rollout.version:
        return Done(is_idle=True)
    endpoint = deps.targets[rollout.target].describe(rollout.endpoint)
    trouble = _trouble(deps, rollout, endpoint)
    if trouble is not None or endpoint is None:
        return trouble or Done()
    if rollout.direction is Direction.FORWARD and facts.smoke not in {_TWICE, NOT_ASKED}:
        return _smoke_again(deps, rollout)
    if endpoint.status is not EndpointStatus.IN_SERVICE:
        message = f"{endpoint.requests} requests, {endpoint.errors} errors, {endpoint.seconds_left:.0f} s to go"
        return Wait(_LOOK, "Baking", message)
    if endpoint.live != facts.configuration:
        return _failed({}, "EndpointChanged", f"another configuration is live: {endpoint.live}")
    return Done(message=f"in service after {endpoint.requests} requests without an error")


def _trouble(deps: Deps, rollout: Rollout, endpoint: Endpoint | None) -> Done | None:
    """Return why a bake ends early, if it does: the endpoint failed, or a person wants it back."""
    if endpoint is None:
        return _failed({}, "EndpointMissing", "the target knows no such endpoint any more")
    if endpoint.failure or endpoint.status is EndpointStatus.FAILED:
        why = ": ".join(
            part for part in (endpoint.failure.removeprefix("EndpointUnhealthy: "), endpoint.message) if part
        )
        return _failed({}, "EndpointUnhealthy", why)
    asked = waiting_rollback(deps, rollout) if rollout.direction is Direction.FORWARD else None
    if asked is not None:
        return _failed({}, BY_HAND, f"{asked.cause.actor} asked for version {asked.version} during its bake")
    return None


def _smoke_again(deps: Deps, rollout: Rollout) -> Outcome:
    """Ask the smoke questions once more now that the version has traffic; then watch."""
    try:
        failure = _ask(deps, rollout, rollout.facts.configuration or "").failure
    except (InputError, NotFoundError, RefusedError) as error:
        failure = str(error)
    if failure:
        return _failed({}, "SmokeFailed", f"with traffic: {failure}")
    return Wait(timedelta(0), "Baking", "the smoke test passed again", facts={"smoke": _TWICE})


ROLLOUT = Story(
    "rollout",
    (
        Step("admit", admit, event="admitted"),
        Step("verify", verify, event="verified", deadline=timedelta(minutes=70)),
        Step("prepare", prepare, event="prepared", deadline=timedelta(minutes=90)),
        Step("apply", apply, event="applied"),
        Step("bake", bake, event="baked"),
        Step("restore", restore, event="restored"),
        Step("write_back", write_back, event="written_back"),
        Step("finish", finish, event="finished", deadline=timedelta(minutes=20)),
    ),
    lambda deps, subject: deps.store.rollout(subject),
    is_reported=True,
)
