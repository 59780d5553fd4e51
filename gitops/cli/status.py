"""`launchpin status`: parts, repositories, models, endpoints, and what is moving. Reads only."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import click

from gitops.cli.asking import opened
from gitops.cli.installed import Installed, find_layout, is_up, states_of
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.parts import show_service
from gitops.cli.show import print_json, table
from gitops.cli.up import mint_links
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.record import PartState
from gitops.errors import NotFoundError
from gitops.holding import is_pause
from gitops.ports import JobView
from gitops.records import Environment, Health, Hold, Promotion, Repository
from gitops.telling.answers import Status
from gitops.telling.library import Library
from gitops.telling.lists import find_kept_out, moving, tell_status
from gitops.telling.service import read_service, tell_service
from gitops.trainers.redaction import show_controls
from gitops.words import age, cut, tiered, until

_NAME, _TEXT, _WIDE = 26, 72, 80
_BY_HAND = "`launchpin init model DIR`, then `launchpin add DIR`"
_BY_THE_API = "POST /api/v1/connect does it, as an admin"


@dataclass(frozen=True)
class Overview:
    """Everything that `status` shows, read at one time.

    Args:
        kept_out: the newest promotion of each place where its version's tier is too low there.
        told: the same as programs read it.
    """

    now: datetime
    repositories: Sequence[Repository]
    environments: Sequence[Environment]
    holds: Sequence[Hold]
    moving: Sequence[JobView]
    told: Status
    kept_out: Sequence[Promotion] = ()


@click.command()
@stack_dir_option
@json_option
def status(stack_dir: Path, *, as_json: bool) -> None:
    """Show parts, repositories, models and endpoints, and what is moving."""
    layout = find_layout(stack_dir)
    if isinstance(layout, Installed):
        _show_installed(layout, stack_dir, as_json=as_json)
        return
    parts = states_of(layout)
    is_running = is_up(layout)
    try:
        with opened(stack_dir) as (_, store):
            overview = _read_overview(Library(store), is_running=is_running)
    except NotFoundError:
        overview = None
    links = asdict(mint_links(layout)) if is_running else {}
    if as_json:
        shown = _to_json(overview) if overview else {}
        print_json({"ok": True, "up": is_running, "parts": [asdict(part) for part in parts], **shown, "urls": links})
        return
    blocks = [_show_parts(parts, layout, is_up=is_running)]
    if overview is not None:
        blocks[:0] = _show_pause(overview)
        blocks += _show_overview(overview, connect=_BY_HAND)
    if links:
        lines = [f"  {name:<10} {url}" for name, url in links.items()]
        blocks.append("\n".join(["Links; the first two sign you in, once, within 15 minutes:", *lines]))
    click.echo("\n\n".join(blocks))


def _show_installed(layout: Installed, stack_dir: Path, *, as_json: bool) -> None:
    """Show a service: its parts are as the database knows them, for its processes are nobody's here."""
    with opened(stack_dir) as (_, store):
        overview = _read_overview(Library(store), is_running=True)
        service = read_service(store)
    addresses = {"dashboard" if part == "web" else part: url for part, url in layout.addresses.items()}
    if as_json:
        told = {"up": True, "parts": [], "service": tell_service(service), "urls": addresses}
        print_json({"ok": True, **told, **_to_json(overview)})
        return
    blocks = [*_show_pause(overview), show_service(service), *_show_overview(overview, connect=_BY_THE_API)]
    if addresses:
        blocks.append("\n".join(show_controls(f"{name:<10} {url}") for name, url in addresses.items()))
    click.echo("\n\n".join(blocks))


def as_last_seen(environments: Iterable[Environment]) -> list[Environment]:
    """Say of endpoints whose stack is down what was known last, and that nothing of them answers now."""
    asleep = {"health": Health.UNKNOWN, "url": "", "message": "as it was last seen: nothing runs"}
    return [one.model_copy(update=asleep) for one in environments]


def _read_overview(library: Library, *, is_running: bool) -> Overview:
    """Read what is known of everything but the parts; where nothing runs, as it was last seen."""
    environments = library.environments if is_running else as_last_seen(library.environments)
    jobs = moving(library) if is_running else []
    told = tell_status(library, environments, jobs)
    kept_out = find_kept_out(library)
    return Overview(told.time, library.repositories, environments, library.all_holds, jobs, told, kept_out)


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


def _show_overview(overview: Overview, *, connect: str) -> Iterator[str]:
    """Give everything that is not about parts.

    Args:
        connect: how a repository is connected here.
    """
    if not overview.repositories:
        yield f"No repository is connected: {connect}."
        return
    rows: Iterable[Sequence[object]] = [
        (cut(one.full_name, 40), one.role, one.default_branch, ", ".join(one.secrets)) for one in overview.repositories
    ]
    yield table(("REPOSITORY", "ROLE", "BRANCH", "SECRETS"), rows)
    if overview.told.models:
        rows = [
            (
                cut(one.name, 40),
                tiered(one.newest, one.newest_tier) or "-",
                tiered(one.champion, one.champion_tier) or "-",
            )
            for one in overview.told.models
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
    """Return the same as programs read it, with what is for whoever owns the stack's folder alone."""
    told = overview.told.model_dump(mode="json")
    secrets = [{"secrets": list(one.secrets)} for one in overview.repositories]
    known = [{**one, **more} for one, more in zip(told["repositories"], secrets, strict=True)]
    return {**told, "repositories": known}
