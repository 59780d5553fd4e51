"""What must hold after any fault, read from the outsides and the database, never from what the loop says of itself.

Each check carries the number of its promise in RELIABILITY.md and fails with one sentence.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pygit2
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from gitops.audit import merkle
from gitops.audit.entry import parse
from gitops.manifest import ManifestFile, build_manifest
from tests.faults.walker_setting import Scene
from tests.faults.walker_stage import ARTIFACTS
from tests.faults.walker_state import final_state, normal
from tests.faults.walker_witness import Witness, blob_of, facts_of

_PIN = re.compile(rb'^ *- MODEL_VERSION="[0-9]*"', re.MULTILINE)
_RESTING = {"Comparing", "Anchoring", "AwaitingMerge", "Polling", "Held"}
_OURS = "launchpin[bot]"


def check(scene: Scene, *, unobserved: Collection[str] = ()) -> dict[str, Any]:
    """Hold everything against every promise, and return the final state with its changing names taken out.

    Args:
        unobserved: the effects whose intents may stay open here, because their steps may see first what came of them.

    Raises:
        AssertionError: the first promise that was broken.
    """
    engine = create_engine(scene.play.database, poolclass=NullPool)
    with closing(scene.open_store()) as store:
        seen = Witness(scene, store, engine)
        for hold in _PROMISES:
            hold(seen)
        _effects(seen, unobserved)
        return normal(final_state(seen), scene)


# ---------------------------------------------------------------- the promises


def _i4_deliveries(seen: Witness) -> None:
    rows = seen.rows("SELECT id, phase, facts FROM deliveries")
    assert len(rows) == bool(seen.scene.play.delivery), f"I4: {len(rows)} deliveries"
    for row in rows:
        assert row["phase"] == "Succeeded", f"I4: the delivery is {row['phase']}"
        outcome = facts_of(row).get("outcome")
        assert outcome == "woke", f"I4: it ended as {outcome}: {facts_of(row)}"


def _i5_trainings(seen: Witness) -> None:
    asked = "SELECT repository_id, ref, commit, config_sha256 FROM trainings WHERE nonce = ''"
    _once("I5 training", [tuple(row.values()) for row in seen.rows(asked.replace(" commit,", ' "commit",'))])


def _i8_code(seen: Witness) -> None:
    commits = {row["sha"] for row in seen.rows('SELECT "commit" AS sha FROM trainings')}
    for run in seen.runs():
        tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
        assert tags["mlflow.source.git.commit"] in commits, "I8: a run is of another commit than its training"
    workspace = Path(seen.scene.play.folder) / "workspace"
    left = [path.name for path in workspace.glob("*")] if workspace.exists() else []
    assert not left, f"I8: checkouts are left: {left}"


def _i9_processes(seen: Witness) -> None:
    home = Path(seen.scene.play.folder) / "trainings"
    left = [path.name for path in (home / "trainings").glob("*")]
    assert not left, f"I9: records of runners are left: {left}"


def _i11_runs(seen: Witness) -> None:
    keys = []
    for run in seen.runs():
        tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
        keys.append(tags["launchpin.run_key"])
        assert run["info"]["status"] in {"FINISHED", "FAILED"}, f"I11: run {keys[-1]} is {run['info']['status']}"
    _once("I11 run", keys)
    trainings = seen.rows("SELECT id FROM trainings")
    allowed = {f"{row['id']}/{attempt}" for row in trainings for attempt in (1, 2)}
    assert set(keys) <= allowed, f"I11: runs {sorted(set(keys) - allowed)} belong to no attempt"


def _i12_bytes(seen: Witness) -> None:
    for row in seen.rows("SELECT model, version, manifest_sha256 FROM versions"):
        found = _hash_version(seen, row["model"], row["version"])
        assert found == row["manifest_sha256"], f"I12: {row['model']} {row['version']} has other bytes: {found}"


def _hash_version(seen: Witness, model: str, version: str) -> str:
    stage = seen.stage
    place = stage.track("GET", "model-versions/get-download-uri", name=model, version=version)["artifact_uri"]
    folder = place.split(":", 1)[1].strip("/")
    listed = stage.http.get(f"{stage.mlflow}{ARTIFACTS}", params={"path": folder}).json()["files"]
    files = []
    for entry in listed:
        content = stage.http.get(f"{stage.mlflow}{ARTIFACTS}/{folder}/{entry['path']}").content
        files.append(ManifestFile(entry["path"], len(content), hashlib.sha256(content).hexdigest()))
    return build_manifest(files).digest


def _i13_verdicts(seen: Witness) -> None:
    for row in seen.rows("SELECT id, phase, facts FROM trainings"):
        assert row["phase"] == "Succeeded", f"I13: training {row['id']} is {row['phase']}"
        assert facts_of(row).get("verdict") == "pass", f"I13: {row['id']} moved on without a verdict"
    for row in seen.rows("SELECT version, verdict FROM versions"):
        assert row["verdict"] == "pass", f"I13: version {row['version']} was judged {row['verdict']}"


def _i14_versions(seen: Witness) -> None:
    if not seen.scene.is_training:
        return
    owners = []
    for version in seen.versions():
        tags = {tag["key"]: tag["value"] for tag in version.get("tags", [])}
        owners.append(tags.get("launchpin.training", ""))
    trainings = [row["id"] for row in seen.rows("SELECT id FROM trainings")]
    assert sorted(owners) == sorted(trainings), f"I14: versions of {owners} for trainings {trainings}"


def _i16_commits(seen: Witness) -> None:
    for repository in seen.repositories():
        git = seen.git(repository)
        for commit in _commits_of(git):
            if commit.author.name != _OURS or len(commit.parents) != 1:
                continue
            touched = _touched(git, commit)
            assert len(touched) == 1, f"I16: our commit touches {touched}"
            was, now = (_PIN.sub(b"", blob_of(git, each, touched[0])) for each in (commit.parents[0], commit))
            if touched[0] == "checkpoints.txt":
                assert now.startswith(was), "I16: an anchor was rewritten"
            else:
                assert was == now, f"I16: our commit changes more than the pin of {touched[0]}"


def _commits_of(git: pygit2.Repository) -> Iterator[pygit2.Commit]:
    seen: set[str] = set()
    for name in git.branches.local:
        for commit in git.walk(git.branches[name].target):
            if str(commit.id) not in seen:
                seen.add(str(commit.id))
                yield commit


def _touched(git: pygit2.Repository, commit: pygit2.Commit) -> list[str]:
    return [delta.new_file.path for delta in git.diff(commit.parents[0], commit).deltas]


def _i17_pulls(seen: Witness) -> None:
    """At most one pull request of a branch is open at any time; what the forge made is what was asked for."""
    pulls = seen.forge_rows("pulls")
    for head in {pull["head_ref"] for pull in pulls}:
        same = [pull for pull in pulls if pull["head_ref"] == head]
        for earlier, later in pairwise(same):
            over = earlier["closed_at"] or earlier["merged_at"]
            assert over, f"I17: pull requests {earlier['number']} and {later['number']} of {head} are open together"
            assert over <= later["created_at"], f"I17: {earlier['number']} and {later['number']} were open together"
    asked = seen.scene.asked("forge", "POST", r"/pulls$")
    made = sum(effect.applied for effect in asked)
    # A forge that died may have made one and said nothing.
    unknown = sum(effect.status == 0 or effect.status >= httpx.codes.INTERNAL_SERVER_ERROR for effect in asked)
    assert made <= len(pulls) <= made + unknown, f"I17: {made} pull requests were made, the forge has {len(pulls)}"
    _once("I17 pull request", [(pull["head_ref"], pull["title"]) for pull in pulls])


def _i18_desired(seen: Witness) -> None:
    repository = seen.scene.deploy_repository
    if repository is None:
        return
    git = seen.git(repository)
    head = git[git.branches["main"].target].peel(pygit2.Commit)
    for row in seen.rows("SELECT path, pinned, serving, endpoint, sync_reason FROM environments"):
        buildspec = blob_of(git, head, f"{row['path']}/buildspec.yml").decode()
        pin = re.findall(r'MODEL_VERSION="([0-9]*)"', buildspec)[0]
        assert row["pinned"] == pin, f"I18: {row['path']} is known to pin {row['pinned']}, its head pins {pin}"
        live = seen.stage.host_process.target.describe(row["endpoint"])
        answering = live.version if live is not None and live.live else ""
        assert row["serving"] == answering, f"I18: {row['path']} is known to serve {row['serving']}, not {answering}"
        is_open = row["sync_reason"] == "RollbackPending" or "rollout" in seen.scene.play.parked
        assert pin == answering or is_open, f"I18: {pin} is pinned, {answering} serves"


def _i19_rollouts(seen: Witness) -> None:
    """One rollout runs on an endpoint at a time, as the audit log has it in its order."""
    running: dict[str, str] = {}
    for row in seen.rows("SELECT bytes FROM audit_entries ORDER BY position"):
        entry = parse(bytes(row["bytes"]))
        if not entry.kind.startswith("rollout."):
            continue
        endpoint, rollout = entry.subject.endpoint, entry.subject.rollout_id
        if entry.to == "Running":
            holder = running.setdefault(endpoint, rollout)
            assert holder == rollout, f"I19: rollouts {holder} and {rollout} ran together"
        elif running.get(endpoint) == rollout:
            del running[endpoint]
    assert not running, f"I19: rollouts are left running: {running}"


def _i25_audit(seen: Witness) -> None:
    wrong = seen.store.check_audit_joins()
    assert not wrong, f"I25: {wrong[0]}"
    leaves = [bytes(row["bytes"]) for row in seen.rows("SELECT bytes FROM audit_entries ORDER BY position")]
    root = merkle.root_of(merkle.hash_leaf(leaf) for leaf in leaves)
    assert root == seen.store.audit_root(len(leaves)), "I25: the root is not that of the stored entries"


def _anchored(seen: Witness) -> None:
    repository = seen.scene.deploy_repository
    if repository is None or not seen.scene.play.origin:
        return
    git = seen.git(repository)
    assert "launchpin-audit" in git.branches.local, "no head was anchored"
    tip = git[git.branches["launchpin-audit"].target].peel(pygit2.Commit)
    written = blob_of(git, tip, "checkpoints.txt").decode()
    notes = [str(row["note"]) for row in seen.rows("SELECT note FROM audit_checkpoints ORDER BY size")]
    assert written == "".join(f"{note}\n" for note in notes), "the anchored heads are not those that were signed"


def _jobs(seen: Witness) -> None:
    for job in seen.store.jobs():
        is_resting = job.state == "idle" or (job.state == "waiting" and job.reason in _RESTING)
        assert is_resting, f"a job is left: {job.kind} {job.state}: {job.reason} {job.message}"


def _effects(seen: Witness, unobserved: Collection[str]) -> None:
    """Every intent was followed up to what came of it."""
    left = {row["name"] for row in seen.rows("SELECT name FROM effects WHERE observed_at IS NULL")} - set(unobserved)
    assert not left, f"these intents were never observed: {', '.join(sorted(left))}"


def _host(seen: Witness) -> None:
    """No configuration was made twice, and none but those that rollouts asked for."""
    known = seen.stage.configurations(seen.scene.endpoint)
    wanted = len({(row["model"], row["version"]) for row in seen.rows("SELECT model, version FROM rollouts")})
    wanted += seen.scene.name.startswith("back")
    assert len(known) <= wanted, f"the endpoint host has {known}"


def _checks(seen: Witness) -> None:
    """A check was said once and then changed, never said again beside itself."""
    _once("check run", [(row["repo_id"], row["head_sha"], row["name"]) for row in seen.forge_rows("check_runs")])


def _once(what: str, keys: list[Any]) -> None:
    twice = [key for key, count in Counter(keys).items() if count > 1]
    assert not twice, f"{what} made {Counter(keys)[twice[0]]} times: {twice[0]}"


_PROMISES = (
    _i4_deliveries,
    _i5_trainings,
    _i8_code,
    _i9_processes,
    _i11_runs,
    _i12_bytes,
    _i13_verdicts,
    _i14_versions,
    _i16_commits,
    _i17_pulls,
    _i18_desired,
    _i19_rollouts,
    _i25_audit,
    _anchored,
    _jobs,
    _host,
    _checks,
)
