"""`launchpin audit`: a log that a real relay's signer signs, exported, verified offline, and asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gitops.embedded.stack.environment import settings_for
from gitops.writes import Audit
from tests.support.cli import Stack, call, make_stack
from tests.support.store import write
from workers.signer import Signer

SUBJECT = {"model": "iris", "version": "2", "endpoint": "iris-staging", "env": "staging"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Give a stack with a few entries."""
    with make_stack(tmp_path) as stack:
        write(
            stack.store,
            Audit("training.succeeded", {**SUBJECT, "sha": "d" * 40, "repo": "acme/iris"}, {"verdict": "pass"}),
            Audit("promotion.succeeded", dict(SUBJECT), {"merged_by": "mona", "merge_sha": "e" * 40}),
            Audit("rollout.applied", dict(SUBJECT), {"serving": "2"}),
        )
        yield stack


@contextmanager
def signing(stack: Stack) -> Iterator[None]:
    """Sign heads in a thread, as the relay does."""
    stop = threading.Event()
    signer = Signer(stack.store, settings_for(stack.layout))

    def sign() -> None:
        while not stop.wait(0.02):
            signer.sign_when_due()

    thread = threading.Thread(target=sign)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def bundle(stack: Stack, tmp_path: Path) -> Path:
    """Give an exported bundle, whose key lies beside it."""
    with signing(stack):
        result = stack.launchpin("audit", "export", tmp_path / "bundle", "--json")
    assert result.code == 0, result.both
    (tmp_path / "key.txt").write_text(result.json["key"] + "\n")
    return tmp_path / "bundle"


def test_bundle_is_intact_under_the_pinned_key_when_it_was_exported(bundle: Path, stack: Stack) -> None:
    result = call("audit", "verify", bundle, "--key", bundle.parent / "key.txt", "--json")

    assert result.code == 0, result.both
    assert (result.json["finding"], result.json["pinned"]) == ("intact", True)
    assert result.json["size"] == stack.store.audit_size()
    assert "boundary: none" in result.json["boundary"]


def test_bundle_ends_at_a_new_head_when_entries_came_after_the_last(stack: Stack, tmp_path: Path) -> None:
    with signing(stack):
        first = stack.launchpin("audit", "export", tmp_path / "one", "--json")
        write(stack.store, Audit("rollout.succeeded", dict(SUBJECT), {"serving": "2"}))
        second = stack.launchpin("audit", "export", tmp_path / "two", "--json")

    assert second.json["entries"] > first.json["entries"]
    assert call("audit", "verify", tmp_path / "two").code == 0


def test_verifier_says_that_the_key_is_unpinned_when_none_is_given(bundle: Path) -> None:
    result = call("audit", "verify", bundle)

    assert result.code == 0
    assert "unpinned" in result.out


@pytest.mark.parametrize("name", ["entries.jsonl", "checkpoints.txt", "keys.txt"])
def test_attack_byte_changed_in_a_bundle_is_found(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(bytes(content))

    assert call("audit", "verify", bundle, "--key", bundle.parent / "key.txt").code in {1, 2, 3}


def test_cut_bundle_is_incomplete_when_an_anchor_knows_more(bundle: Path, stack: Stack) -> None:
    anchors = bundle.parent / "anchors.txt"
    with signing(stack):
        write(stack.store, Audit("rollout.succeeded", dict(SUBJECT), {"serving": "2"}))
        stack.launchpin("audit", "export", bundle.parent / "newer")
    anchors.write_bytes((bundle.parent / "newer/checkpoints.txt").read_bytes())

    assert call("audit", "verify", bundle, "--anchors", anchors).code == 3


def test_anchors_in_several_files_are_given_by_their_folder(bundle: Path) -> None:
    folder = bundle.parent / "anchors"
    folder.mkdir()
    assert call("audit", "verify", bundle, "--anchors", folder).code == 4
    heads = (bundle / "checkpoints.txt").read_bytes()
    (folder / "checkpoints.txt").write_bytes(b"")
    (folder / "checkpoints-000002.txt").write_bytes(heads)
    assert call("audit", "verify", bundle, "--anchors", folder).code == 0
    (folder / "checkpoints-000002.txt").write_bytes(heads.replace(b"\n", b"\r\n"))
    assert call("audit", "verify", bundle, "--anchors", folder).code == 1
    (folder / "checkpoints-000003.txt").write_bytes(heads)
    (folder / "checkpoints-000002.txt").unlink()
    missing = call("audit", "verify", bundle, "--anchors", folder)
    assert missing.code == 4
    assert "holds no checkpoints-000002.txt" in missing.both


@pytest.mark.parametrize(
    "arguments",
    [["nowhere"], [], ["nowhere", "--kye", "x"], [".", "--key", "missing"], [".", "--anchors", "missing"]],
)
def test_wrong_usage_is_never_taken_for_a_forked_log_when_verifying(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert call("audit", "verify", *arguments).code == 4


def test_existing_bundle_is_kept_when_another_one_would_replace_it(bundle: Path, stack: Stack) -> None:
    before = (bundle / "entries.jsonl").read_bytes()

    with signing(stack):
        result = stack.launchpin("audit", "export", bundle)

    assert result.code != 0
    assert "another directory" in result.err
    assert (bundle / "entries.jsonl").read_bytes() == before


def test_export_is_inconclusive_when_nobody_signs(stack: Stack, tmp_path: Path) -> None:
    late = stack.launchpin("audit", "export", tmp_path / "bundle", "--timeout", "0.3", "--json")
    stack.set_down()
    down = stack.launchpin("audit", "export", tmp_path / "bundle", "--json")

    assert (late.code, down.code) == (3, 3)
    assert (late.json["error"]["reason"], down.json["error"]["reason"]) == ("NoHead", "NotUp")
    assert not (tmp_path / "bundle").exists()


def test_what_served_is_answered_from_the_log_and_from_a_bundle(stack: Stack, bundle: Path) -> None:
    live = stack.launchpin("audit", "at", "--endpoint", "iris-staging", "--time", "now", "--json")
    offline = call("audit", "at", bundle, "--endpoint", "iris-staging", "--time", "now")

    assert live.code == 0, live.both
    assert (live.json["version"], live.json["merged_by"], live.json["verdict"]) == ("2", "mona", "pass")
    assert live.json["approved_by"] is None
    assert "merged by mona, no reviews on record" in offline.out
    assert "iris v2 has served on iris-staging since" in offline.out
    assert "d" * 40 in offline.out


def test_time_before_the_first_record_is_not_known_when_it_is_asked_for(stack: Stack) -> None:
    result = stack.launchpin("audit", "at", "--endpoint", "iris-staging", "--time", "2001-01-01T00:00:00Z")

    assert result.code == 3
    assert "not known before" in result.out


def test_question_is_refused_when_time_or_endpoint_are_none(stack: Stack) -> None:
    for moment in ("yesterday", "2026-01-31T12:00:00", ""):
        assert stack.launchpin("audit", "at", "--endpoint", "iris-staging", "--time", moment).code == 2
    mistyped = stack.launchpin("audit", "at", "--endpoint", "iris-stagng", "--time", "now")

    assert mistyped.code == 2
    assert "did you mean iris-staging?" in mistyped.err


def test_altered_bundle_answers_nothing_when_it_is_asked(bundle: Path) -> None:
    content = (bundle / "entries.jsonl").read_bytes()
    (bundle / "entries.jsonl").write_bytes(content.replace(b"mona", b"lisa"))

    result = call("audit", "at", bundle, "--endpoint", "iris-staging", "--time", "now")

    assert result.code == 2
    assert "has served" not in result.out
