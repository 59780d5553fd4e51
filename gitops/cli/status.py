"""`launchpin status`: parts, repositories, models, endpoints, and what is moving. Reads only."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.installed import Installed
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.show import print_json, table
from gitops.cli.up import mint_links
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.record import PartState, State
from gitops.embedded.stack.supervisor import part_states
from gitops.errors import NotFoundError
from gitops.holding import is_pause
from gitops.ports import JobView, Store
from gitops.records import Environment, Health, Hold, Promotion, Repository, Training
from gitops.trainers.redaction import show_controls
from gitops.words import age, cut, tiered, until

_OF_PEOPLE = {"training", "promotion", "rollout", "command"}
_NAME, _TEXT, _WIDE = 26, 72, 80
_FAR = 500


@dataclass(frozen=True)
class Model:
    """A model as the trainings and environments tell.

    Args:
        champion: the version to beat, empty when there is none.
        newest: the newest version with a verdict, empty when there is none.
        champion_tier: empty for none.
        newest_tier: likewise.
    """

    name: str
    champion: str
    newest: str
    champion_tier: str = ""
    newest_tier: str = ""


@dataclass(frozen=True)
class Overview:
    """Everything that `status` shows, read at one time.

    Args:
        kept_out: the newest promotion of each place where its version's tier is too low there.
    """

    now: datetime
    repositories: Sequence[Repository]
    models: Sequence[Model]
    environments: Sequence[Environment]
    holds: Sequence[Hold]
    moving: Sequence[JobView]
    kept_out: Sequence[Promotion] = ()


@click.command()
@stack_dir_option
@json_option
def status(stack_dir: Path, *, as_json: bool) -> None:
    """Show parts, repositories, models and endpoints, and what is moving."""
    layout = Layout.load(stack_dir)
    parts = part_states(layout)
    is_running = _is_any_up(parts)
    try:
        with opened(stack_dir) as (_, store):
            overview = read_overview(store)
    except NotFoundError:
        overview = None
    if overview is not None and not is_running:
        overview = replace(overview, environments=as_last_seen(overview.environments), moving=[])
    links = asdict(mint_links(layout)) if is_running else {}
    if as_json:
        shown = _to_json(overview) if overview else {}
        print_json({"ok": True, "up": is_running, "parts": [asdict(part) for part in parts], **shown, "urls": links})
        return
    blocks = [_show_parts(parts, layout, is_up=is_running)]
    if overview is not None:
        blocks[:0] = _show_pause(overview)
        blocks += _show_overview(overview)
    if links:
        lines = [f"  {name:<10} {url}" for name, url in links.items()]
        blocks.append("\n".join(["Links; the first two sign you in, once, within 15 minutes:", *lines]))
    click.echo("\n\n".join(blocks))


def is_up(layout: Layout) -> bool:
    """Return whether any part of a stack runs; of a service nobody knows here, and it is taken to."""
    return isinstance(layout, Installed) or _is_any_up(part_states(layout))


def _is_any_up(parts: Sequence[PartState]) -> bool:
    return any(part.state is not State.STOPPED for part in parts)


def as_last_seen(environments: Sequence[Environment]) -> Sequence[Environment]:
    """Say of endpoints whose stack is down what was known last, and that nothing of them answers now."""
    asleep = {"health": Health.UNKNOWN, "url": "", "message": "as it was last seen: nothing runs"}
    return [one.model_copy(update=asleep) for one in environments]


def read_overview(store: Store) -> Overview:
    """Read what is known of everything but the parts."""
    environments = store.environments()
    return Overview(
        now=store.now(),
        repositories=store.repositories(),
        models=[_read_model(store, name) for name in model_names(store)],
        environments=environments,
        holds=store.holds(),
        moving=[job for job in store.jobs() if job.kind in _OF_PEOPLE or job.tries],
        kept_out=_read_kept_out(store, environments),
    )


def _read_kept_out(store: Store, environments: Sequence[Environment]) -> Sequence[Promotion]:
    """Return the newest promotion of each place where its tier is too low, and nobody pinned it all the same."""
    newest: dict[tuple[int, str], Promotion] = {}
    for one in store.recent("promotion", limit=_FAR):
        if isinstance(one, Promotion):
            newest.setdefault((one.repository_id, one.path), one)
    pinned = {(one.repository_id, one.path, one.pinned) for one in environments}
    refused = [one for one in newest.values() if one.phase.is_final and one.reason == "TierTooLow"]
    return [one for one in refused if (one.repository_id, one.path, one.version) not in pinned]


def model_names(store: Store) -> Sequence[str]:
    """Return the models that were trained lately, or have an environment."""
    trained = [one.model for one in store.recent("training", limit=_FAR) if isinstance(one, Training)]
    return sorted({*trained, *(one.model for one in store.environments())} - {""})


def _read_model(store: Store, name: str) -> Model:
    champion, newest = store.champion(name), next(iter(store.versions(name, limit=1)), None)
    return Model(
        name=name,
        champion=champion.version if champion else "",
        newest=newest.version if newest else "",
        champion_tier=champion.tier if champion else "",
        newest_tier=newest.tier if newest else "",
    )


def _show_parts(parts: Sequence[PartState], layout: Layout, *, is_up: bool) -> str:
    if not is_up:
        return f"Nothing runs in {layout.dir}: `launchpin up` starts it."
    rows = [(part.name, part.state, part.restarts or "", part.url or _last_end(part)) for part in parts]
    return table(("PART", "STATE", "RESTARTS", "URL"), rows)


def _show_pause(overview: Overview) -> Iterator[str]:
    """Give what is to be known before anything else."""
    for one in filter(is_pause, overview.holds):
        since = f"{age(one.created_at, overview.now)} ago"
        words = f"PAUSED by {one.author} {since}: {one.message}"
        yield show_controls(cut(words, _WIDE)) + "\n  nothing is merged or rolled out; launchpin resume --all lifts it"


def _last_end(part: PartState) -> str:
    return f"see {part.log}" if part.restarts else ""


def _show_overview(overview: Overview) -> Iterator[str]:
    if not overview.repositories:
        yield "No repository is connected: `launchpin init model DIR`, then `launchpin add DIR`."
        return
    rows: Iterable[Sequence[object]] = [
        (cut(one.full_name, 40), one.role, one.default_branch, ", ".join(one.secrets)) for one in overview.repositories
    ]
    yield table(("REPOSITORY", "ROLE", "BRANCH", "SECRETS"), rows)
    if overview.models:
        rows = [
            (
                cut(one.name, 40),
                tiered(one.newest, one.newest_tier) or "-",
                tiered(one.champion, one.champion_tier) or "-",
            )
            for one in overview.models
        ]
        yield table(("MODEL", "NEWEST", "CHAMPION"), rows)
    if overview.environments:
        yield _show_environments(overview)
    yield _show_moving(overview)


def _show_environments(overview: Overview) -> str:
    rows = [
        (
            cut(one.endpoint or f"{one.repository}:{one.path}", _NAME),
            one.pinned or "-",
            tiered(one.serving, one.tier) or "-",
            one.sync,
            one.health,
            age(one.serving_since, overview.now) if one.serving else "",
        )
        for one in overview.environments
    ]
    lines = [table(("ENDPOINT", "PINNED", "SERVING", "SYNC", "HEALTH", "SINCE"), rows)]
    for one in overview.environments:
        why = ": ".join(part for part in (one.sync_reason, one.message) if part)
        if why:
            lines.append("  " + show_controls(cut(f"{one.endpoint or one.path}: {why}", _TEXT)))
    for promotion in overview.kept_out:
        endpoint = _endpoint_of(promotion, overview.environments)
        told = f"{promotion.facts.tier or 'no tier'}, and {promotion.facts.min_tier} is asked for"
        lines.append("  " + show_controls(cut(f"{endpoint}: {promotion.version} is kept out: {told}", _TEXT)))
        lines.append("    " + show_controls(cut(f"{promotion.reason}: {promotion.message}", _TEXT)))
    for hold in (one for one in overview.holds if not is_pause(one)):
        endpoint = _endpoint_of(hold, overview.environments)
        lines.append("  " + show_controls(cut(f"{endpoint} is held by {hold.author}", _TEXT)))
        lines.append("    " + show_controls(cut(f"{hold.message}; launchpin resume lifts it", _TEXT)))
    return "\n".join(lines)


def _endpoint_of(about: Hold | Promotion, environments: Sequence[Environment]) -> str:
    place = (about.repository_id, about.path)
    known = (one.endpoint for one in environments if (one.repository_id, one.path) == place)
    return next(known, "") or about.environment


def _show_moving(overview: Overview) -> str:
    if not overview.moving:
        return "Nothing is moving."
    lines = ["Moving:"]
    for job in overview.moving:
        tried = f", tried {job.tries} times" if job.tries else ""
        lines.append(f"  {job.kind} {job.subject}: {job.state}, next look {until(job.not_before, overview.now)}{tried}")
        why = ": ".join(part for part in (job.reason, job.message) if part)
        if why:
            lines.append("    " + show_controls(cut(why, _TEXT)))
    return "\n".join(lines)


def _to_json(overview: Overview) -> dict[str, object]:
    holds = {(hold.repository_id, hold.path): hold for hold in overview.holds}
    endpoints = []
    for one in overview.environments:
        hold = holds.get((one.repository_id, one.path))
        endpoints.append({**one.model_dump(mode="json"), "hold": hold.model_dump(mode="json") if hold else None})
    pause = next(filter(is_pause, overview.holds), None)
    return {
        "time": overview.now.isoformat(),
        "paused": pause.model_dump(mode="json") if pause else None,
        "repositories": [one.model_dump(mode="json") for one in overview.repositories],
        "models": [asdict(one) for one in overview.models],
        "endpoints": endpoints,
        "kept_out": [one.model_dump(mode="json") for one in overview.kept_out],
        "moving": [{**asdict(job), "not_before": job.not_before.isoformat()} for job in overview.moving],
    }
