"""The whole loop on a real stack: push to pull request without the training, merge to the target's first call.

Each begins on a stack at rest, as when a person pushes or merges: what an earlier step left to do is not measured.

And a pin's commit through the forge's API, against what a script would do: clone, edit, push.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gitops.audit.entry import Entry, parse
from gitops.buildspec import set_pin
from gitops.forge.github import GitHubForge
from gitops.forge.pacing import WriteLimits
from gitops.records import Promotion, Rollout, Training
from gitops.steps import Phase
from tests.benchmarks.figures import Measured, Must, Reach, Result, Row, Scale, time_in_turn
from tests.support.forge import running_forge
from tests.support.live import Live, Pair, final, make_pair, running

_BUILDSPEC = """\
version: 0.2
phases:
  pre_build:
    commands:
      - TRACKING_URI="http://127.0.0.1:2"
      - MODEL_NAME="iris"
      - MODEL_VERSION="1"
"""
_BOT = "launchpin[bot]"
# A busy machine takes minutes for what takes seconds elsewhere: the first training makes an environment.
_PATIENCE = 900.0
# Longer than news of a commit may be left untold.
_AT_REST = 1.5


def measure(scale: Scale) -> Result:
    """Measure some rounds through a whole stack, after one that fills the caches; and the pin's commit."""
    with tempfile.TemporaryDirectory() as folder:
        commit = _measure_pin(Path(folder), times=scale.pick(15, quick=2))
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "stack") as live:
        pair = _make_pair(live, Path(folder))
        rounds = [_round(pair, number) for number in range(scale.pick(11, quick=1))]
    rounds = rounds[1:] or rounds
    to_pull = Measured(tuple(pull for pull, _ in rounds), "ms")
    to_call = Measured(tuple(call for _, call in rounds), "ms")
    what = "push to pull request on a stack at rest, the time of the training's own process left out"
    return Result(
        (
            Row(f"{what}, p50", to_pull, reach=_at_most(1000)),
            Row(f"{what}, the slowest of {len(rounds)}", to_pull, reach=_at_most(2000), figure=max(to_pull.values)),
            Row("merge to the target's first call, model already here, p50", to_call, reach=_at_most(250)),
            commit,
        )
    )


def _at_most(milliseconds: float) -> Reach:
    return Reach(Must.AT_MOST, milliseconds)


def _make_pair(live: Live, folder: Path) -> Pair:
    """Make the repositories; how fast a model answers on a busy machine is not what is measured."""
    pair = make_pair(live, folder, "bench", bake="1s")
    for name in ("staging", "production"):
        pair.edit(f"deploy/{name}/endpoint.yaml", "max_latency: 2s", "max_latency: 30s")
    pair.push("deploy", message="Have patience")
    return pair


def _round(pair: Pair, number: int) -> tuple[float, float]:
    """Push, let staging follow by itself, merge production's pull request; return both times in milliseconds."""
    pair.append("model/train.py", f"\n# {number}\n")
    _await_rest(pair.live)
    pushed = datetime.now(UTC)
    training = _trained(pair, pair.push())
    version = training.facts.version or ""
    proposed = _proposed(pair, "production", version)
    staging = _proposed(pair, "staging", version)
    _await_rest(pair.live)
    merged = _merge(pair, proposed)
    rollout = _rolled_out(pair, version)
    entries = _entries(pair.live)
    spent = training.facts.seconds
    assert spent is not None
    opened = _moment(entries, "promotion.proposed", lambda each: each.subject.promotion_id == staging.id)
    called = _called(pair.live, rollout.facts.configuration or "")
    return (opened - pushed).total_seconds() * 1000 - spent * 1000, (called - merged).total_seconds() * 1000


def _merge(pair: Pair, promotion: Promotion) -> datetime:
    """Merge as the person, on a connection that is open already, and return the moment before."""
    with pair.live.forge() as client:
        path = f"/repos/{pair.deploy_repository}/pulls/{promotion.facts.number}"
        client.get(path).raise_for_status()
        merged = datetime.now(UTC)
        client.put(f"{path}/merge").raise_for_status()
    return merged


def _await_rest(live: Live) -> None:
    """Wait until nothing has been at work for a moment, and nothing has been about to be."""
    quiet_since = time.monotonic()

    def is_at_rest() -> bool | None:
        nonlocal quiet_since
        if live.store.depth() or any(job.state == "leased" for job in live.store.jobs()):
            quiet_since = time.monotonic()
        return time.monotonic() - quiet_since >= _AT_REST or None

    live.wait("a stack at rest", is_at_rest, timeout=_PATIENCE)


def _trained(pair: Pair, commit: str) -> Training:
    training = pair.live.wait("the training", lambda: final(pair.training(commit)), timeout=_PATIENCE)
    assert training.facts.version is not None, training.message
    return training


def _proposed(pair: Pair, name: str, version: str) -> Promotion:
    """Wait for a version's pull request; it never comes where the rollout before it went wrong."""

    def look() -> Promotion | None:
        _check(pair.rollout("staging"))
        found = pair.promotion(name, version)
        return found if found is not None and found.facts.number is not None else None

    return pair.live.wait(f"the pull request in {name}", look, timeout=_PATIENCE)


def _rolled_out(pair: Pair, version: str) -> Rollout:
    def look() -> Rollout | None:
        found = pair.rollout("production")
        return final(found) if found is not None and found.version == version else None

    rollout = pair.live.wait("the rollout in production", look, timeout=_PATIENCE)
    _check(rollout)
    return rollout


def _check(rollout: Rollout | None) -> None:
    """Stop at once where a rollout went wrong: what is waited for never comes then."""
    if rollout is not None and rollout.phase.is_final:
        assert rollout.phase is Phase.SUCCEEDED, f"{rollout.reason}: {rollout.message}"


def _entries(live: Live) -> list[Entry]:
    return [parse(raw) for raw in live.store.audit_entries(0, 1_000_000)]


def _called(live: Live, configuration: str) -> datetime:
    """Return when the endpoint host took a configuration: by its own record, after it hashed the model's files."""
    state = json.loads((live.layout.dir / "endpoints" / "state.json").read_text(encoding="utf-8"))
    return datetime.fromtimestamp(state["configurations"][configuration]["prepared_at"], UTC)


def _moment(entries: list[Entry], kind: str, is_it: Callable[[Entry], bool]) -> datetime:
    return next(_time(each) for each in entries if each.kind == kind and is_it(each))


def _time(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.ts)


def _measure_pin(folder: Path, *, times: int) -> Row:
    """Commit a pin on a branch of its own, by the API and by a clone, in turn."""
    with running_forge(folder / "forge") as forge:
        # Our own limit on writes is for GitHub's sake, and not what is measured.
        adapter = GitHubForge(forge.api, forge.bot, login=_BOT, limits=WriteLimits(minute=100_000, hour=100_000))
        made = adapter.ensure_repository("acme/pins")
        clone = folder / "clone"
        forge.git("clone", "-q", made.clone_url, str(clone), cwd=folder)
        (clone / "staging").mkdir()
        (clone / "staging" / "buildspec.yml").write_text(_BUILDSPEC)
        forge.git("add", "-A", cwd=clone)
        forge.git("commit", "-q", "-m", "Begin", cwd=clone)
        forge.git("push", "-q", "origin", "HEAD:refs/heads/main", cwd=clone)
        numbers = iter(range(2, 10_000))

        def by_api() -> None:
            head = adapter.head("acme/pins", "main")
            text = adapter.read_file("acme/pins", ref=head, path="staging/buildspec.yml")
            assert text is not None
            version = next(numbers)
            change = set_pin(text, version=str(version), file="staging/buildspec.yml")
            adapter.commit_file(
                "acme/pins",
                parent=head,
                branch=f"launchpin/api/{version}",
                path="staging/buildspec.yml",
                content=change.text.encode(),
                message=f"Pin {version}",
                create=True,
            )

        def by_clone() -> None:
            version, place = next(numbers), folder / "again"
            forge.git("clone", "-q", "--depth", "1", made.clone_url, str(place), cwd=folder)
            file = place / "staging" / "buildspec.yml"
            file.write_text(file.read_text().replace('MODEL_VERSION="1"', f'MODEL_VERSION="{version}"'))
            forge.git("commit", "-q", "-a", "-m", f"Pin {version}", cwd=place)
            forge.git("push", "-q", "origin", f"HEAD:refs/heads/clone/{version}", cwd=place)
            shutil.rmtree(place)

        ours, scripted = time_in_turn(by_api, by_clone, times=times)
    return Row("a pin's commit on a branch of its own", ours, {"clone, edit, commit, push": scripted})
