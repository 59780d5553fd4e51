"""Attacks 24 to 33: signed deliveries that mean harm. The status named there is the delivery's outcome (I4).

Every part but the store is untouchable here: an outside call fails the test.
"""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.errors import InputError
from gitops.payloads import read_event, read_json
from gitops.records import Role
from gitops.store import SqlStore
from gitops.writes import SaveRepository
from tests.support.deps import make_deps, run_all
from tests.support.payloads import SHA, comment, person, pull_request, push, repository
from tests.support.store import make_delivery, make_repository, write


def outcome_of(store: SqlStore, folder: Path, event: str, body: bytes) -> str:
    """Deliver, let the workers run, and return the outcome as the API shows it."""
    delivery = make_delivery(body, event=event)
    store.save_delivery(delivery)
    run_all(make_deps(store, folder))
    ended = store.delivery(delivery.id)
    assert ended is not None
    assert ended.phase == "Succeeded"
    facts = ended.facts
    return f"{facts.outcome}:{facts.reason}" if facts.reason else facts.outcome


@pytest.fixture
def connected(store: SqlStore) -> SqlStore:
    write(store, SaveRepository(make_repository(id=1001, full_name="acme/iris", role=Role.MODEL)))
    return store


def is_untouched(store: SqlStore) -> bool:
    kinds = {job.kind for job in store.jobs()}
    return not store.recent("training") and kinds.isdisjoint({"training", "promotion", "rollout", "report"})


def test_attack_24_an_unknown_event_is_ignored(connected: SqlStore, tmp_path: Path) -> None:
    assert outcome_of(connected, tmp_path, "sponsorship", b"{}") == "ignored:event"
    assert is_untouched(connected)


def test_attack_26_a_repository_that_is_not_connected_is_rejected(connected: SqlStore, tmp_path: Path) -> None:
    assert outcome_of(connected, tmp_path, "push", push(repository=repository(9))) == "rejected:repo_not_allowed"
    assert is_untouched(connected)


def test_attack_26_a_re_registered_name_with_another_id_is_rejected(connected: SqlStore, tmp_path: Path) -> None:
    squatted = push(repository=repository(9, "acme/iris"))
    assert outcome_of(connected, tmp_path, "push", squatted) == "rejected:repo_not_allowed"
    assert is_untouched(connected)


@pytest.mark.parametrize("changes", [{"sender": None}, {"repository": None}, {"repository": []}, {"after": 7}])
def test_attack_27_a_field_of_another_form_is_rejected_by_name(
    connected: SqlStore, tmp_path: Path, changes: dict[str, object]
) -> None:
    assert outcome_of(connected, tmp_path, "push", push(**changes)) == "rejected:schema"
    with pytest.raises(InputError) as refused:
        read_event("push", push(**changes))
    assert refused.value.field == next(iter(changes))
    assert is_untouched(connected)


def test_attack_27_an_array_instead_of_an_object_is_rejected(connected: SqlStore, tmp_path: Path) -> None:
    assert outcome_of(connected, tmp_path, "push", b"[1]") == "rejected:schema"


def test_attack_27_a_missing_field_is_rejected_by_name() -> None:
    body = json.loads(push())
    del body["after"]
    with pytest.raises(InputError) as refused:
        read_event("push", json.dumps(body).encode())
    assert refused.value.field == "after"


@pytest.mark.parametrize("after", ["../../x", "A" * 40, "1" * 39, "1" * 41, "", "1" * 40 + "\n"])
def test_attack_28_a_commit_that_is_no_sha_is_rejected(connected: SqlStore, tmp_path: Path, after: str) -> None:
    assert outcome_of(connected, tmp_path, "push", push(after=after)) == "rejected:schema"
    assert is_untouched(connected)


def test_attack_28_a_deleted_branch_is_ignored(connected: SqlStore, tmp_path: Path) -> None:
    assert outcome_of(connected, tmp_path, "push", push(after="0" * 40)) == "ignored:deleted"
    assert is_untouched(connected)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a": NaN}', id="nan"),
        pytest.param(b'{"a": -Infinity}', id="infinity"),
        pytest.param(b'{"a": 1e400}', id="overflow"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", id="5000_digits"),
        pytest.param(b'{"a": 9223372036854775808}', id="two_to_the_63"),
        pytest.param(b'{"a": 1, "a": 2}', id="duplicate_key"),
        pytest.param(b"[" * 200_000, id="nesting"),
        pytest.param(b'{"a":' * 200_000 + b"1" + b"}" * 200_000, id="nested_objects"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', id="bom"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="utf_16"),
        pytest.param(b'{"a": "\\ud800"}', id="lone_surrogate"),
        pytest.param(b'{"\\ud800": 1}', id="surrogate_key"),
        pytest.param(b'["x", ["\\ud800"]]', id="surrogate_in_a_list"),
        pytest.param(b'"\\u0000"', id="nul"),
        pytest.param(b'{"a": "\\u0000"}', id="nul_in_object"),
        pytest.param(b"", id="empty"),
        pytest.param(b"{} {}", id="two_documents"),
        pytest.param(b"\xff\xfe\x00", id="binary"),
    ],
)
def test_attack_29_json_that_could_mean_two_things_is_rejected(
    connected: SqlStore, tmp_path: Path, body: bytes
) -> None:
    assert outcome_of(connected, tmp_path, "push", body) == "rejected:bad_json"
    assert is_untouched(connected)


@given(st.binary(max_size=300))
def test_attack_29_no_body_whatsoever_breaks_the_reader(body: bytes) -> None:
    with contextlib.suppress(InputError):
        read_json(body)


def test_plain_json_reads_as_it_is_written() -> None:
    assert read_json(b'{"a": [1, -2.5, "\xc3\xa9", null, true, {}]}') == {"a": [1, -2.5, "é", None, True, {}]}


def test_attack_30_a_push_of_2048_commits_reads_only_what_is_needed() -> None:
    body = push(commits=[{"id": SHA, "message": "m" * 100, "added": ["a"] * 10}] * 2048)
    event = read_event("push", body)
    assert event is not None
    assert not hasattr(event, "commits")


def test_attack_32_a_pull_request_from_a_fork_is_ignored(connected: SqlStore, tmp_path: Path) -> None:
    fork = pull_request(head_repository=repository(77, "mallory/iris"), action="labeled")
    assert outcome_of(connected, tmp_path, "pull_request", fork) == "ignored:fork"
    assert is_untouched(connected)


def test_attack_32_a_pull_request_whose_fork_is_gone_is_ignored(connected: SqlStore, tmp_path: Path) -> None:
    assert outcome_of(connected, tmp_path, "pull_request", pull_request(head_repository=None)) == "ignored:fork"


def test_attack_33_a_deploy_comment_does_nothing(connected: SqlStore, tmp_path: Path) -> None:
    assert outcome_of(connected, tmp_path, "issue_comment", comment("/deploy prod")) == "ignored:comment"
    assert is_untouched(connected)


def test_i04_every_delivery_ends_with_exactly_one_outcome(connected: SqlStore, tmp_path: Path) -> None:
    bodies = [push(after="0" * 40), b"{", comment("x"), push(sender=person("eve", 9), repository=repository(2))]
    for body in bodies * 3:
        connected.save_delivery(make_delivery(body, event="push"))
    run_all(make_deps(connected, tmp_path))
    ended = connected.recent("delivery", limit=50)
    assert len(ended) == len(bodies) * 3
    assert {record.phase.value for record in ended} == {"Succeeded"}
    assert {record.facts.outcome for record in ended if hasattr(record, "facts")} == {"ignored", "rejected"}
