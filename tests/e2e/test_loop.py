"""The loop, end to end: from a push to a prediction, and what happens when it must not come to one."""

from pathlib import Path

import httpx
import pytest

from gitops.audit.bundle import write_bundle
from gitops.audit.entry import parse
from gitops.audit.verify import Code, verify_bundle
from gitops.cli.demo.traffic import Traffic
from gitops.store import check_audit_joins
from tests.support.live import Live, Pair, git, make_pair

# What names its slices here is a model's whole life, which takes minutes; the demo plays one in each run.
JSON = {"content-type": "application/json"}


def deployed(live: Live, folder: Path, name: str, *, bake: str = "1s") -> tuple[Pair, str]:
    """Bring a good first version into staging."""
    pair = make_pair(live, folder, name, bake=bake)
    version = pair.trained(pair.push()).facts.version
    assert version is not None
    pair.serving("staging", version)
    return pair, version


def test_a_push_becomes_a_prediction_from_production(live: Live, clones: Path) -> None:
    pair = make_pair(live, clones, "whole")
    training = pair.trained(pair.push())
    assert (training.phase, training.facts.verdict) == ("Succeeded", "pass")
    version = training.facts.version or ""
    staging = pair.serving("staging", version)
    assert pair.proposed("staging", version).merge == "auto"

    proposed = pair.proposed("production", version)
    body = live.api("GET", f"/repos/{pair.deploy_repository}/pulls/{proposed.facts.number}")["body"]
    assert proposed.facts.plan_digest is not None
    assert proposed.facts.plan_digest in body
    assert training.commit in body
    pair.merge(proposed)
    production = pair.serving("production", version)

    answer = httpx.post(
        f"{production.url}/invocations", content=pair.example(version), headers=JSON, trust_env=False, timeout=30
    )
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 3
    assert staging.url != production.url
    champion = live.store.champion("whole")
    assert champion is not None
    assert champion.version == version
    assert f'MODEL_VERSION="{version}"' in pair.pinned("production")
    assert live.checks(pair.repository, training.commit)["launchpin/train (whole)"][0] == "success"


def test_the_audit_trail_of_a_promotion_is_whole_anchored_and_verifies_offline(live: Live, clones: Path) -> None:
    pair, version = deployed(live, clones, "audited")
    # Jobs in flight may add entries; the join holds in every state of the database.
    assert check_audit_joins(live.store) == []
    kinds = [parse(raw) for raw in live.store.audit_entries(0, 10_000)]
    ours = [entry.kind for entry in kinds if entry.subject.model == "audited"]
    for kind in ("training.started", "training.judged", "training.succeeded", "promotion.succeeded", "rollout.applied"):
        assert kind in ours, kind
    merged = next(entry for entry in kinds if entry.kind == "promotion.succeeded" and entry.subject.model == "audited")
    assert merged.evidence["merged_by"] == "launchpin[bot]"
    applied = next(entry for entry in kinds if entry.kind == "rollout.applied" and entry.subject.model == "audited")
    assert applied.evidence["serving"] == version

    wanted = live.store.ask_checkpoint()
    live.wait("a signed head", lambda: _signed(live, wanted))
    heads = live.store.checkpoints()
    notes = [head.note for head in heads]
    live.wait("the anchor in Git", lambda: _anchored(live, pair, notes[-1]))
    covered = heads[-1].size
    key = (live.layout.secrets / "audit.pub").read_text().strip()
    bundle = clones / "bundle"
    write_bundle(bundle, live.store.audit_entries(0, covered), notes=notes, keys=[key])
    assert verify_bundle(bundle, key=key).code is Code.INTACT
    entries = bundle / "entries.jsonl"
    entries.write_bytes(entries.read_bytes().replace(b"audited", b"audites", 1))
    assert verify_bundle(bundle, key=key).code is Code.ALTERED


def _signed(live: Live, wanted: int) -> bool | None:
    heads = live.store.checkpoints()
    return True if heads and heads[-1].size >= wanted else None


def _anchored(live: Live, pair: Pair, note: str) -> bool | None:
    written = live.file(pair.deploy_repository, "checkpoints.txt", ref="launchpin-audit")
    return True if note in written else None


@pytest.mark.slices(2, 3, 6, 7)
def test_a_worse_model_gets_no_pull_request_and_its_commit_says_why(live: Live, clones: Path) -> None:
    pair, version = deployed(live, clones, "worse")
    pair.edit("model/launchpin.yaml", "max_depth: 3,", "max_depth: 1,")
    commit = pair.push()
    training = pair.trained(commit)
    assert (training.phase, training.reason) == ("Refused", "GateRefused")
    assert training.facts.version is None
    assert training.facts.run_id is not None

    def check() -> tuple[str, str, str] | None:
        said = live.checks(pair.repository, commit).get("launchpin/train (worse)")
        return said if said is not None and said[0] == "failure" else None

    _, title, _ = live.wait("the check", check)
    assert "accuracy 0.66" in title
    assert "is not above 0.9" in title
    known = pair.environment("staging")
    assert known is not None
    assert (known.serving, known.pinned) == (version, version)


_BRITTLE = """
import os


class Brittle(DecisionTreeClassifier):
    def predict(self, X, check_input=True):
        if os.getpid() != self.trained_in:
            self.served = getattr(self, "served", 0) + 1
            if self.served > self.answers:
                raise RuntimeError("this model has broken")
        return super().predict(X, check_input)


def break_after(tree, answers):
    brittle = Brittle()
    brittle.__dict__.update(tree.__dict__, trained_in=os.getpid(), answers=answers)
    return brittle


def main() -> None:"""


def break_model(pair: Pair, *, answers: int) -> None:
    """Make the model answer as a good one does, until it has served so many predictions."""
    pair.edit("model/train.py", "\ndef main() -> None:", _BRITTLE)
    pair.edit(
        "model/train.py",
        "            tree,\n",
        f'            break_after(tree, {answers}),\n            serialization_format="cloudpickle",\n',
    )


@pytest.mark.slices(0, 1, 4, 5, 8, 9)
def test_a_model_that_fails_its_smoke_or_its_bake_is_rolled_back_while_nobody_sees_an_error(
    live: Live, clones: Path
) -> None:
    # Long enough for the client to meet the version after its few good answers, both smoke tests among them.
    pair, good = deployed(live, clones, "brittle", bake="6s")
    script = (pair.model / "train.py").read_text()
    endpoint = pair.serving("staging", good).url
    with Traffic(f"{endpoint}/invocations", pair.example(good)) as traffic:
        break_model(pair, answers=0)
        broken = pair.trained(pair.push()).facts.version or ""
        rollout = pair.rolled_out("staging", broken)
        assert (rollout.phase, rollout.reason, rollout.facts.serving) == ("RolledBack", "SmokeFailed", good)
        assert f'MODEL_VERSION="{good}"' in pair.pinned("staging")
        message = pair.head_message()
        assert f"Launchpin-Rollback-Of: {rollout.commit}" in message
        assert "Launchpin-Hold: staging SmokeFailed" in message

        resumed = live.ask("resume", endpoint="brittle-staging")
        assert resumed.facts.result["lifted"] == 1
        pair.edit("model/train.py", "break_after(tree, 0)", "break_after(tree, 8)")
        baked = pair.trained(pair.push()).facts.version or ""
        rollout = pair.rolled_out("staging", baked)
        assert (rollout.phase, rollout.reason) == ("RolledBack", "EndpointUnhealthy")

        (pair.model / "train.py").write_text(script + "# mended\n")
        mended = pair.trained(pair.push()).facts.version or ""
        held = live.wait("the hold", lambda: _held(pair, mended))
        assert "resume" in held
        known = pair.environment("staging")
        assert known is not None
        assert known.serving == good
        live.ask("resume", endpoint="brittle-staging")
        pair.serving("staging", mended)
    assert traffic.bad == []
    assert traffic.good > 50


def _held(pair: Pair, version: str) -> str | None:
    found = pair.promotion("staging", version)
    return found.message if found is not None and found.reason == "Held" else None


@pytest.mark.slices(0, 1)
def test_a_first_deploy_that_fails_leaves_no_endpoint_and_an_empty_pin(live: Live, clones: Path) -> None:
    pair = make_pair(live, clones, "first")
    break_model(pair, answers=0)
    version = pair.trained(pair.push()).facts.version or ""
    rollout = pair.rolled_out("staging", version)
    assert (rollout.phase, rollout.reason, rollout.facts.serving) == ("RolledBack", "SmokeFailed", "")
    assert 'MODEL_VERSION=""' in pair.pinned("staging")
    answer = httpx.get(f"{live.layout.url('endpoints')}/endpoints/first-staging/ping", trust_env=False, timeout=10)
    assert answer.status_code == 404


@pytest.mark.slices(2, 3)
def test_a_push_and_a_merge_are_seen_when_no_webhook_comes(live: Live, clones: Path) -> None:
    pair = make_pair(live, clones, "silent", hooks=False)
    training = pair.trained(pair.push())
    assert training.cause.kind == "poll"
    version = training.facts.version or ""
    pair.serving("staging", version)
    pair.merge(pair.proposed("production", version))
    pair.serving("production", version)
    deliveries = [record for record in live.store.recent("delivery", limit=500) if record.cause.kind == "poll"]
    assert deliveries == []


@pytest.mark.slices(4, 5)
def test_i18_a_revert_on_the_base_branch_rolls_back(live: Live, clones: Path) -> None:
    pair, first = deployed(live, clones, "reverted")
    pair.append("model/train.py", "# again\n")
    second = pair.trained(pair.push()).facts.version or ""
    pair.serving("staging", second)
    pair.pull()
    pair.edit("deploy/staging/buildspec.yml", f'MODEL_VERSION="{second}"', f"MODEL_VERSION='{first}'")
    pair.push("deploy", message="Back to the first")
    rollout = pair.rolled_out("staging", first)
    assert rollout.phase == "Succeeded"
    pair.serving("staging", first)


@pytest.mark.slices(6, 7)
def test_a_rollback_by_hand_moves_traffic_writes_git_and_holds(live: Live, clones: Path) -> None:
    pair, first = deployed(live, clones, "byhand")
    pair.append("model/train.py", "# again\n")
    second = pair.trained(pair.push()).facts.version or ""
    pair.serving("staging", second)
    done = live.ask("rollback", endpoint="byhand-staging", reason="looks odd")
    assert done.phase == "Succeeded", done.message
    known = pair.serving("staging", first)
    assert f'MODEL_VERSION="{first}"' in pair.pinned("staging")
    assert "looks odd" in pair.head_message()
    assert [hold.author for hold in live.store.holds(path="staging", repository_id=known.repository_id)] == ["ada"]


@pytest.mark.slices(8, 9)
def test_attack_52_a_pin_to_a_version_that_does_not_exist_is_refused_on_the_pull_request_and_at_rollout(
    live: Live, clones: Path
) -> None:
    pair, version = deployed(live, clones, "pinned")
    pair.pull()
    pair.edit("deploy/staging/buildspec.yml", f'MODEL_VERSION="{version}"', "MODEL_VERSION=77")
    git(pair.deploy, "checkout", "-q", "-b", "by-hand")
    git(pair.deploy, "commit", "-qam", "Pin 77")
    git(pair.deploy, "push", "-q", "launchpin", "by-hand")
    number = live.api("POST", f"/repos/{pair.deploy_repository}/pulls", title="Pin 77", head="by-hand", base="main")[
        "number"
    ]
    sha = git(pair.deploy, "rev-parse", "HEAD").strip()

    def check() -> tuple[str, str, str] | None:
        return live.checks(pair.deploy_repository, sha).get("launchpin/plan (staging)")

    state, title, _ = live.wait("the plan's check", check)
    assert (state, "does not exist" in title) == ("failure", True)
    live.api("PUT", f"/repos/{pair.deploy_repository}/pulls/{number}/merge")
    rollout = pair.rolled_out("staging", "77")
    assert (rollout.phase, rollout.reason) == ("Refused", "pin_refused")
    known = pair.environment("staging")
    assert known is not None
    assert (known.serving, known.sync) == (version, "OutOfSync")
    answer = httpx.post(
        f"{known.url}/invocations", content=pair.example(version), headers=JSON, trust_env=False, timeout=30
    )
    assert answer.status_code == 200


@pytest.mark.slices(4, 5)
def test_a_pull_request_that_a_person_closes_is_not_opened_again_for_that_version(live: Live, clones: Path) -> None:
    pair, version = deployed(live, clones, "closed")
    proposed = pair.proposed("production", version)
    live.api("PATCH", f"/repos/{pair.deploy_repository}/pulls/{proposed.facts.number}", state="closed")

    def declined() -> bool | None:
        known = live.store.promotion(proposed.id)
        return True if known is not None and known.reason == "PullRequestClosed" else None

    live.wait("the answer", declined)
    assert live.store.is_declined(proposed.repository_id, "production", "closed", version)
    pair.append("model/train.py", "# again\n")
    newer = pair.trained(pair.push()).facts.version or ""
    again = pair.proposed("production", newer)
    assert again.facts.number != proposed.facts.number


@pytest.mark.slices(0, 1)
def test_i17_a_newer_version_takes_over_the_open_pull_request(live: Live, clones: Path) -> None:
    pair, version = deployed(live, clones, "newer")
    first = pair.proposed("production", version)
    pair.append("model/train.py", "# again\n")
    newer = pair.trained(pair.push()).facts.version or ""
    second = pair.proposed("production", newer)
    assert second.facts.number == first.facts.number
    open_now = live.api("GET", f"/repos/{pair.deploy_repository}/pulls?state=open")
    assert [pull["number"] for pull in open_now] == [first.facts.number]
    assert newer in open_now[0]["title"]
    superseded = live.store.promotion(first.id)
    assert superseded is not None
    assert superseded.phase == "Superseded"


def test_a_wrong_launchpin_file_gets_a_check_with_its_line_and_trains_nothing(live: Live, clones: Path) -> None:
    pair = make_pair(live, clones, "wrongfile")
    pair.edit("model/launchpin.yaml", "timeout: 10m", "timeuot: 10m")
    commit = pair.push()

    def check() -> tuple[str, str, str] | None:
        return live.checks(pair.repository, commit).get("launchpin/config (launchpin.yaml)")

    state, title, _ = live.wait("the check", check)
    assert state == "failure"
    assert "launchpin.yaml:11" in title
    assert "timeout" in title
    assert pair.training(commit) is None


@pytest.mark.slices(6, 7)
def test_a_rollout_that_changes_nothing_is_not_begun_when_only_a_comment_changed(live: Live, clones: Path) -> None:
    pair, version = deployed(live, clones, "comment")
    before = pair.rollout("staging")
    pair.pull()
    with (pair.deploy / "staging" / "buildspec.yml").open("a") as file:
        file.write("# a note\n")
    commit = pair.push("deploy", message="A note")

    def compared() -> bool | None:
        known = pair.environment("staging")
        return True if known is not None and known.pin_commit == commit and known.sync == "Synced" else None

    live.wait("the comparison", compared)
    after = pair.rollout("staging")
    assert before is not None
    assert after is not None
    assert (after.id, after.version) == (before.id, version)
