"""`status`, `versions`, `endpoints`, `history`, `audit at`: what there is, what was judged how, what served when."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from gitops.audit import history
from gitops.audit.at import Answer, serving_at
from gitops.audit.entry import Entry
from gitops.errors import NotFoundError, UnknownNameError
from gitops.ports import JobView, Mark
from gitops.records import Environment, Hold, Promotion, Version
from gitops.telling import answers, shapes, showing
from gitops.telling.library import Library

_OF_PEOPLE = frozenset({"training", "promotion", "rollout", "command"})


def read_versions(library: Library, model: str, *, limit: int, after: Mark | None = None) -> Sequence[Version]:
    """Return the versions of a model, newest first, from a place on.

    Raises:
        UnknownNameError: nobody knows the model.
    """
    found = library.versions(model, limit=limit, after=after)
    if not found and after is None and model not in library.model_names:
        raise UnknownNameError("model", model, library.model_names)
    return found


def serving(version: Version, environments: Iterable[Environment]) -> list[Environment]:
    """Return where a version serves."""
    return [place for place in environments if place.model == version.model and place.serving == version.version]


def tell_versions(library: Library, model: str, *, limit: int) -> answers.Versions:
    """Return the versions of a model as programs read them.

    Raises:
        UnknownNameError: nobody knows the model.
    """
    found = read_versions(library, model, limit=limit + 1)
    environments = library.environments_of(model)
    shown = tuple(show_version(one, environments) for one in found[:limit])
    return answers.Versions(model=model, versions=shown, is_whole=len(found) <= limit)


def show_version(version: Version, environments: Iterable[Environment]) -> shapes.Version:
    """Return a version as programs read it, with where it serves of these environments."""
    return showing.version(version, serving(version, environments))


def endpoints_of(library: Library, model: str) -> Sequence[Environment]:
    """Return the endpoints of a model, or all of them without one.

    Raises:
        UnknownNameError: nobody knows the model.
    """
    found = [one for one in library.environments if model in {"", one.model}]
    if model and not found:
        check_model(library, model)
    return found


def check_model(library: Library, model: str) -> None:
    """Refuse the name of a model that nobody knows.

    Raises:
        UnknownNameError: with the names that are meant perhaps.
    """
    if model not in library.model_names:
        raise UnknownNameError("model", model, library.model_names)


def tell_endpoints(environments: Iterable[Environment], holds: Sequence[Hold], pause: Hold | None) -> answers.Endpoints:
    """Return endpoints as programs read them.

    Args:
        holds: the open ones, a pause among them.
        pause: the hold on everything.
    """
    shown = tuple(showing.endpoint(one, holds) for one in environments)
    return answers.Endpoints(paused=showing.hold(pause) if pause else None, endpoints=shown)


def read_models(library: Library) -> list[answers.Model]:
    """Return the models that were trained lately or have an environment, by name."""
    champions, newest = library.champions(), library.newest_versions(library.model_names)
    return [_model(name, champions.get(name), newest.get(name)) for name in library.model_names]


def _model(name: str, champion: Version | None, newest: Version | None) -> answers.Model:
    return answers.Model(
        name=name,
        champion=champion.version if champion else "",
        newest=newest.version if newest else "",
        champion_tier=champion.tier if champion else "",
        newest_tier=newest.tier if newest else "",
    )


def find_kept_out(library: Library) -> list[Promotion]:
    """Return the newest promotion of each place where its tier is too low, and nobody pinned it all the same."""
    newest: dict[tuple[int, str], Promotion] = {}
    for one in library.promotions:
        newest.setdefault((one.repository_id, one.path), one)
    pinned = {(one.repository_id, one.path, one.pinned) for one in library.environments}
    refused = [one for one in newest.values() if one.phase.is_final and one.reason == "TierTooLow"]
    return [one for one in refused if (one.repository_id, one.path, one.version) not in pinned]


def moving(library: Library) -> list[JobView]:
    """Return the jobs that people ask after, and those that were tried in vain."""
    return [job for job in library.jobs if job.kind in _OF_PEOPLE or job.tries]


def tell_status(library: Library, environments: Iterable[Environment], jobs: Iterable[JobView]) -> answers.Status:
    """Return what there is and what is moving, as programs read it.

    Args:
        environments: as they are, or as they were last seen.
    """
    told = tell_endpoints(environments, library.all_holds, library.pause)
    return answers.Status(
        time=library.store.now(),
        paused=told.paused,
        repositories=tuple(map(showing.repository, library.repositories)),
        models=tuple(read_models(library)),
        endpoints=told.endpoints,
        kept_out=tuple(map(showing.promotion, find_kept_out(library))),
        moving=tuple(map(_moving, jobs)),
    )


def _moving(job: JobView) -> answers.Moving:
    return answers.Moving(
        kind=job.kind,
        subject=job.subject,
        state=job.state,
        not_before=job.not_before,
        tries=job.tries,
        reason=job.reason,
        message=job.message,
    )


def read_history(
    entries: Callable[[], Iterable[Entry]], name: str
) -> tuple[Sequence[history.Tenure], Sequence[history.KeptOut]]:
    """Return which version of a model, or on an endpoint, served when, and what was kept out, oldest first.

    Args:
        entries: reads the audit log, as far as whoever asks may know it.

    Raises:
        NotFoundError: `NothingServed`.
        UnknownNameError: no entry names it.
    """
    found, others = history.tenures(entries(), name), history.kept_out(entries(), name)
    if not found and not others:
        known = history.known_names(entries())
        if name in known or not known:
            raise NotFoundError("NothingServed", "nothing has served there yet: merge a promotion's pull request")
        raise UnknownNameError("model or endpoint", name, known)
    return found, others


def read_serving(
    entries: Callable[[], Iterable[Entry]], endpoint: str, *, time: datetime, others: Iterable[str] = ()
) -> Answer:
    """Return what the audit log says of an endpoint, or of REPOSITORY:PATH, at a time.

    Args:
        entries: as `read_history` takes them.
        time: an aware datetime.
        others: names of endpoints and places that are known, though no entry may be about them.

    Raises:
        UnknownNameError: nobody knows the name.
    """
    answer = serving_at(entries(), endpoint, time=time)
    if not answer.known:
        found = {name for entry in entries() for name in (entry.subject.endpoint, history.place_of(entry))}
        known = sorted({*found, *others} - {""})
        if endpoint not in known:
            raise UnknownNameError("endpoint", endpoint, known)
    return answer


def tell_history(
    name: str, found: Sequence[history.Tenure], others: Sequence[history.KeptOut], *, limit: int
) -> answers.History:
    """Return the newest of these times as programs read them, newest first.

    Args:
        others: what was kept out.
    """
    return answers.History(
        name=name,
        times=len(found),
        history=tuple(map(_tenure, found[::-1][:limit])),
        kept_out=tuple(map(_kept_out, others[::-1][:limit])),
    )


def _kept_out(one: history.KeptOut) -> answers.KeptOut:
    return answers.KeptOut(
        environment=one.env,
        model=one.model,
        version=one.version,
        time=one.time,
        reason=one.reason,
        message=one.message,
        endpoint=one.endpoint,
    )


def _tenure(one: history.Tenure) -> answers.Tenure:
    return answers.Tenure(
        endpoint=one.endpoint,
        environment=one.env,
        model=one.model,
        version=one.version,
        start=one.start,
        end=one.end,
        ended=one.ended,
        repository=one.repo,
        commit=one.sha,
        training_id=one.training_id,
        verdict=one.verdict,
        approved_by=one.approved_by,
        merged_by=one.merged_by,
        pull=one.pull,
        merge_commit=one.merge_sha,
        rollout_id=one.rollout_id,
    )
