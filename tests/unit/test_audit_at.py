from datetime import timedelta

import pytest

from gitops.audit.at import Folders, serving_at, serving_spans
from gitops.audit.entry import Entry, Evidence, Subject
from gitops.errors import InputError
from tests.support.audit_log import START, make_entry

ENDPOINT = "iris-production"


def rollout(kind: str, version: str, *, minute: int, evidence: Evidence | None = None) -> Entry:
    subject = Subject(endpoint=ENDPOINT, model="iris", version=version, env="production", rollout_id=f"r{minute}")
    return make_entry(f"rollout.{kind}", minute=minute, subject=subject, evidence=evidence)


def training(version: str, *, minute: int, sha: str, gates: Evidence | None = None) -> Entry:
    subject = Subject(model="iris", version=version, sha=sha, repo="acme/iris", training_id=f"t{version}")
    return make_entry("training.succeeded", minute=minute, subject=subject, evidence=gates or {"verdict": "pass"})


def merge(
    version: str, *, minute: int, by: str, env: str = "production", approved_by: tuple[str, ...] | None = None
) -> Entry:
    subject = Subject(model="iris", version=version, env=env, pr=minute)
    reviewed: Evidence = {} if approved_by is None else {"approved_by": approved_by}
    told: Evidence = {"merged_by": by, "merge_sha": "m" * 40, **reviewed}
    return make_entry("promotion.merged", minute=minute, subject=subject, evidence=told)


GATE = {"metric": "accuracy", "value": "0.93", "operator": "above", "threshold": "0.9", "outcome": "pass"}
TRAIL = [
    training("1", minute=1, sha="a" * 40),
    merge("1", minute=2, by="ann"),
    rollout("applied", "1", minute=3, evidence={"serving": "1"}),
    rollout("succeeded", "1", minute=5, evidence={"serving": "1"}),
    training("2", minute=10, sha="b" * 40, gates={"verdict": "pass", "gates": [GATE, {"message": "f1 is fine"}, "ok"]}),
    merge("2", minute=11, by="auto", env="staging"),
    merge("2", minute=12, by="bob", approved_by=("ann", "cyd")),
    rollout("applied", "2", minute=13, evidence={"serving": "2", "previous": "1"}),
    rollout("succeeded", "2", minute=15, evidence={"serving": "2", "previous": "1"}),
    merge("3", minute=20, by="cyd"),
    rollout("applied", "3", minute=21, evidence={"serving": "3", "previous": "2"}),
    rollout("rolled_back", "3", minute=23, evidence={"serving": "2"}),
    merge("2", minute=30, by="dan"),
    rollout("succeeded", "2", minute=31, evidence={"serving": "2"}),
]


def version_at(minute: float) -> str:
    return serving_at(TRAIL, ENDPOINT, time=START + timedelta(minutes=minute)).version


@pytest.mark.parametrize(
    ("minute", "version"),
    [(3, "1"), (4, "1"), (12.99, "1"), (13, "2"), (20.5, "2"), (21, "3"), (22.9, "3"), (23, "2"), (900, "2")],
)
def test_version_is_the_one_traffic_went_to_when_asked_for_a_time(minute: float, version: str) -> None:
    assert version_at(minute) == version


def test_answer_names_commit_verdict_and_approver_when_all_are_on_record() -> None:
    answer = serving_at(TRAIL, ENDPOINT, time=START + timedelta(minutes=16))
    assert (answer.known, answer.model, answer.version, answer.env) == (True, "iris", "2", "production")
    assert answer.since == START + timedelta(minutes=13)
    assert (answer.repo, answer.sha, answer.training_id, answer.verdict) == ("acme/iris", "b" * 40, "t2", "pass")
    assert answer.gates == ("accuracy 0.93 above 0.9 pass", "f1 is fine", "ok")
    assert (answer.approved_by, answer.merged_by, answer.merge_sha) == (("ann", "cyd"), "bob", "m" * 40)
    for part in ("iris v2", "b" * 40, "judged pass", "approved by ann, cyd, merged by bob"):
        assert part in answer.message


@pytest.mark.parametrize(
    ("approved_by", "told", "words"),
    [
        (None, None, "merged by eve, no reviews on record"),
        ((), (), "approved by nobody, merged by eve"),
        (("ann",), ("ann",), "approved by ann, merged by eve"),
    ],
    ids=["unknown", "nobody", "somebody"],
)
def test_who_merged_is_not_told_to_have_approved(
    approved_by: tuple[str, ...] | None, told: tuple[str, ...] | None, words: str
) -> None:
    trail = [merge("7", minute=1, by="eve", approved_by=approved_by), rollout("succeeded", "7", minute=2)]
    answer = serving_at(trail, ENDPOINT, time=START + timedelta(minutes=3))
    assert (answer.approved_by, answer.merged_by) == (told, "eve")
    assert answer.message.endswith(words)


def test_merge_is_the_one_before_the_switch_when_a_later_merge_changed_nothing() -> None:
    restored = serving_at(TRAIL, ENDPOINT, time=START + timedelta(minutes=40))
    assert (restored.version, restored.merged_by) == ("2", "bob")
    assert restored.since == START + timedelta(minutes=23)


def test_merge_is_found_when_it_was_recorded_after_the_switch() -> None:
    trail = [rollout("applied", "7", minute=1, evidence={"serving": "7"}), merge("7", minute=2, by="eve")]
    assert serving_at(trail, ENDPOINT, time=START + timedelta(minutes=1)).merged_by == ""
    assert serving_at(trail, ENDPOINT, time=START + timedelta(minutes=3)).merged_by == "eve"


def test_gaps_are_said_when_the_trail_does_not_know() -> None:
    answer = serving_at(TRAIL, ENDPOINT, time=START + timedelta(minutes=22))
    assert (answer.version, answer.sha, answer.verdict) == ("3", "", "")
    assert "no training on record" in answer.message
    assert "no verdict on record" in answer.message


def test_nothing_is_known_when_asked_about_a_time_before_the_first_record() -> None:
    answer = serving_at(TRAIL, ENDPOINT, time=START + timedelta(minutes=2, seconds=59))
    assert not answer.known
    assert answer.version == ""
    assert answer.message == f"not known before {(START + timedelta(minutes=3)).isoformat()}"


def test_nothing_is_known_when_the_endpoint_has_no_record() -> None:
    answer = serving_at(TRAIL, "other", time=START + timedelta(minutes=30))
    assert (answer.known, answer.message) == (False, "not known: no record of endpoint other")


@pytest.mark.parametrize("evidence", [{}, {"serving": ""}])
def test_nothing_serves_when_the_first_rollout_failed(evidence: Evidence) -> None:
    trail = [
        rollout("applied", "1", minute=1, evidence={"serving": "1"}),
        rollout("rolled_back", "1", minute=2, evidence=evidence),
    ]
    answer = serving_at(trail, ENDPOINT, time=START + timedelta(minutes=3))
    assert (answer.known, answer.version, answer.merged_by) == (True, "", "")
    assert answer.message.startswith("nothing has served")


def test_subject_is_taken_when_a_rollout_does_not_name_what_serves() -> None:
    trail = [rollout("succeeded", "4", minute=1)]
    assert serving_at(trail, ENDPOINT, time=START + timedelta(minutes=2)).version == "4"


def test_spans_follow_each_other_when_versions_change() -> None:
    spans = serving_spans(TRAIL, ENDPOINT, Folders())
    assert [span.version for span in spans] == ["1", "2", "3", "2"]
    assert [span.end for span in spans] == [*(span.start for span in spans[1:]), None]
    assert [span.kind for span in spans][-1] == "rollout.rolled_back"


def test_time_is_refused_when_it_has_no_zone() -> None:
    with pytest.raises(InputError):
        serving_at(TRAIL, ENDPOINT, time=START.replace(tzinfo=None))
