"""`plan`: what a version would do to an endpoint, from what is known: it asks no forge, and begins nothing.

What Git pins and asks is as it was at the last look. A version is refused here for the reasons for which `promote`
refuses it, and one that is pinned already for the tier that its rollout would be refused for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.eligibility import check_place, check_version, name_of
from gitops.errors import RefusedError
from gitops.explaining import Place
from gitops.holding import say_held
from gitops.records import Environment, MergeMode, Promotion, Version
from gitops.telling import answers, showing
from gitops.telling.library import Library
from gitops.telling.subjects import find_place

if TYPE_CHECKING:
    from gitops.config.endpoint import EndpointFile
    from gitops.tiers import Demand

_NEWEST = 50


@dataclass(frozen=True)
class _Planned:
    """A version beside a place.

    Args:
        serving: the version that has the traffic there, and the champion: None where nothing is known of it.
        demand: the tier that is asked for there, None where any will do.
        proposal: the open promotion of that very version.
        other: the open promotion of another one, which would give way.
        is_declined: a person closed its pull request there.
    """

    place: Place
    number: str
    version: Version | None
    serving: Version | None
    champion: Version | None
    demand: "Demand | None"
    refusal: RefusedError | None
    proposal: Promotion | None
    other: Promotion | None
    is_declined: bool

    @property
    def is_pinned(self) -> bool:
        """Whether Git pins it already."""
        return bool(self.number) and self.place.environment.pinned == self.number

    @property
    def serves(self) -> bool:
        """Whether it has the traffic already."""
        return bool(self.number) and self.place.environment.serving == self.number

    @property
    def changes(self) -> bool:
        """Whether anything would change."""
        return bool(self.number) and not (self.is_pinned and self.serves) and self.refusal is None

    @property
    def same_environment(self) -> bool | None:
        """Whether it needs the Python environment of what serves; None where that is not known of both."""
        keys = [one.environment_key for one in (self.version, self.serving) if one is not None and one.environment_key]
        return keys[0] == keys[1] if len(keys) == 2 else None  # noqa: PLR2004 - one of each


def tell_plan(library: Library, endpoint: str, number: str) -> answers.Plan:
    """Return what a version would do to an endpoint.

    Args:
        endpoint: its name, or REPOSITORY:PATH.
        number: the version; empty for the one that is proposed there, else the newest good one, else the pinned one.

    Raises:
        InputError: `endpoint_unclear`.
        UnknownNameError: no endpoint is called so.
    """
    return tell_plan_at(library, library.place(find_place(library, endpoint)), number)


def tell_plan_at(library: Library, place: Place, number: str) -> answers.Plan:
    """Return what a version would do to a place, of which everything was read.

    Args:
        number: as `tell_plan` takes it.
    """
    environment, planned = place.environment, _plan(library, place, number)
    return answers.Plan(
        id=showing.place_of(environment),
        endpoint=environment.endpoint,
        environment=environment.name,
        target=environment.target,
        model=environment.model,
        serving=environment.serving,
        pinned=environment.pinned,
        pin_commit=environment.pin_commit,
        champion=planned.champion.version if planned.champion else "",
        version=planned.number,
        same_environment=planned.same_environment,
        verdict=planned.version.verdict if planned.version else "",
        gates=showing.show_gates(planned.version.gates) if planned.version else (),
        tier=planned.version.tier if planned.version else "",
        min_tier=planned.demand.tier if planned.demand else None,
        asked_by=planned.demand.files if planned.demand else (),
        changes=planned.changes,
        refusal=_refusal(planned.refusal),
        pull=_pull(planned.proposal),
        metrics=_compare(planned),
        warnings=tuple(_warnings(planned)),
        steps=tuple(_steps(planned)),
        waits=tuple(_waits(library, planned)),
    )


def _plan(library: Library, place: Place, asked: str) -> _Planned:
    from gitops.tiers import find_demand  # noqa: PLC0415 - it brings YAML, which an idle web process does without

    environment = place.environment
    proposed = next((one for one in place.promotions if not one.phase.is_final), None)
    number = asked or (proposed.version if proposed else _newest_good(library, place))
    is_proposed = proposed is not None and proposed.version == number
    # What a pull request says is known to whoever may look at its repository.
    known = library.store if is_proposed else library
    version = known.version(environment.model, number) if number else None
    return _Planned(
        place=place,
        number=number,
        version=version,
        serving=library.version(environment.model, environment.serving) if environment.serving else None,
        champion=library.champion(environment.model),
        demand=find_demand(version, showing.place_of(environment), _asked(environment)),
        refusal=_check(place, version, number),
        proposal=proposed if is_proposed else None,
        other=None if is_proposed else proposed,
        is_declined=library.store.is_declined(environment.repository_id, environment.name, environment.model, number),
    )


def _newest_good(library: Library, place: Place) -> str:
    environment = place.environment
    found = library.versions(environment.model, limit=_NEWEST)
    good = (one.version for one in found if one.verdict == "pass" and not one.quarantined)
    return next(good, environment.pinned)


def _check(place: Place, version: Version | None, number: str) -> RefusedError | None:
    """Return why `promote` would refuse it, or the rollout of one that Git pins already."""
    from gitops.tiers import check_tier, served_there  # noqa: PLC0415 - as above

    environment = place.environment
    is_pinned = environment.pinned == number
    # That it is pinned is no obstacle to a plan, nor is its tier where it served before.
    if not number or (is_pinned and (version is None or served_there(environment, environment.model, number))):
        return None
    try:
        if not is_pinned:
            check_place(environment, check_version(version, environment.model, number))
        name = f"{environment.model} {number}"
        check_tier(name, version, showing.place_of(environment), _asked(environment))
    except RefusedError as error:
        return error
    return None


def _asked(environment: Environment) -> "EndpointFile | None":
    """Return what its endpoint.yaml asks of a version, as it was last compared; None where it never was."""
    from gitops.config.endpoint import EndpointFile  # noqa: PLC0415 - as above

    file = environment.endpoint_file
    return EndpointFile(file, environment.endpoint, min_tier=environment.min_tier) if file else None


def _refusal(error: RefusedError | None) -> answers.Refusal | None:
    return answers.Refusal(reason=error.reason, message=error.message) if error else None


def _pull(promotion: Promotion | None) -> answers.PlannedPull | None:
    if promotion is None:
        return None
    facts = promotion.facts
    return answers.PlannedPull(
        number=facts.number, url=facts.url, merge=promotion.merge.value, plan_digest=facts.plan_digest
    )


def _compare(planned: _Planned) -> tuple[answers.Compared, ...]:
    if planned.version is None:
        return ()
    ours, theirs, best = (one.metrics if one else {} for one in (planned.version, planned.serving, planned.champion))
    return tuple(
        answers.Compared(
            metric=name, planned=ours.get(name, ""), serving=theirs.get(name, ""), champion=best.get(name, "")
        )
        for name in sorted(ours.keys() | theirs.keys() | best.keys())
    )


# ---------------------------------------------------------------- in words


def _warnings(planned: _Planned) -> Iterator[str]:
    serving = planned.place.environment.serving
    if not planned.changes:
        return
    if planned.version is None:
        yield f"no verdict on version {planned.number} is known here: no gate may have judged it"
    if _is_older(planned.number, serving):
        yield f"version {planned.number} is older than version {serving}, which serves"
    if _is_lower(planned.version, planned.serving):
        has = f"has the tier {planned.version.tier}" if planned.version and planned.version.tier else "has no tier"
        theirs = planned.serving.tier if planned.serving else ""
        yield f"version {planned.number} {has}, and version {serving}, which serves, has the tier {theirs}"
    if planned.same_environment is False:
        yield f"version {planned.number} needs another Python environment than version {serving}, which serves"


def _is_older(number: str, serving: str) -> bool:
    return number.isdecimal() and serving.isdecimal() and int(number) < int(serving)


def _is_lower(planned: Version | None, serving: Version | None) -> bool:
    """Return whether a version's tier is below that of another one, in the order that the first was judged by."""
    names = [tier.name for tier in planned.tiers] if planned else []
    if planned is None or serving is None or serving.tier not in names:
        return False
    return planned.tier not in names or names.index(planned.tier) > names.index(serving.tier)


def _steps(planned: _Planned) -> Iterator[str]:
    environment = planned.place.environment
    if not planned.number:
        yield f"nothing: no version of {environment.model or 'a model'} is good enough to be proposed"
    elif planned.refusal is not None:
        yield f"nothing: {planned.refusal.message}"
    elif planned.is_pinned and planned.serves:
        yield f"nothing: version {planned.number} is pinned and serves"
    else:
        if planned.is_pinned:
            yield f"Git pins version {planned.number} already: no pull request is needed"
        else:
            yield from _proposing(planned)
        yield from _rolling_out(planned)


def _proposing(planned: _Planned) -> Iterator[str]:
    environment = planned.place.environment
    change = f"the pin in {environment.repository}:{environment.path} from {environment.pinned or 'none'}"
    change += f" to {planned.number}"
    proposal = planned.proposal
    if proposal is not None and proposal.facts.number is not None:
        yield f"pull request {proposal.facts.number} changes {change}: {proposal.facts.url or 'it is open'}"
    elif proposal is not None:
        yield f"a pull request that changes {change} is being opened"
    else:
        command = f"launchpin promote {environment.model} {planned.number} --to {name_of(environment)}"
        yield f"`{command}` opens a pull request that changes {change}"
    if planned.other is not None:
        yield f"the proposal of version {planned.other.version} gives way to it"
    if proposal is None:
        yield "launchpin.yaml of its commit says who merges; a person does where it does not say"
    elif proposal.merge is MergeMode.AUTO:
        yield "Launchpin merges it when its checks have passed"
    else:
        yield "a person merges it"


def _rolling_out(planned: _Planned) -> Iterator[str]:
    environment = planned.place.environment
    before = f"version {environment.serving}" if environment.serving else "nothing"
    where = f" on the target {environment.target}" if environment.target else ""
    if planned.serves:
        yield f"version {planned.number} serves already: no traffic moves"
        return
    yield f"version {planned.number} is started{where} and tried; {before} serves until it answers well"
    yield f"then it gets the traffic of {name_of(environment)}, and is watched for a while"
    if environment.serving:
        yield f"should it fail, {before} gets the traffic back, Git is set back, and the endpoint is held"
    else:
        yield "should it fail, it is taken out of service, and the endpoint is held"


def _waits(library: Library, planned: _Planned) -> Iterator[str]:
    if not planned.changes:
        return
    place = planned.place
    holds = [*([library.pause] if library.pause else []), *place.holds]
    yield from (say_held(one, name_of(place.environment)) for one in holds)
    for one in place.rollouts:
        if not one.phase.is_final and one.version != planned.number:
            yield f"rollout {one.id} of version {one.version or 'none'} is under way: one at a time"
    if planned.is_declined and planned.proposal is None:
        yield "a person closed its pull request here: only `launchpin promote` proposes it again"
