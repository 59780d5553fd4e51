"""Attacks 1 to 9 and 20 to 25 at the door, over raw sockets against the real server; 0w means nothing was written."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.bootstrap import hook_secrets
from gitops.errors import InputError
from gitops.settings import Settings
from gitops.store import SqlStore
from tests.support.web import PATH, SECRET, Knock, Reply, knock, serving, sign
from webhooks.receive import Receiver
from webhooks.signature import is_signed


@pytest.fixture
def door(store: SqlStore) -> Iterator[int]:
    with serving(Receiver(store, path=PATH, secrets=("an older one", SECRET))) as port:
        yield port


def nothing_written(store: SqlStore) -> bool:
    return not store.recent("delivery") and not store.jobs() and store.audit_size() == 0


def refusal(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json()["code"]


def test_a_signed_delivery_is_stored_once_when_it_is_accepted(door: int, store: SqlStore) -> None:
    request = Knock(body=b'{"a": 1}')
    assert refusal(knock(door, request)) == (202, "accepted")
    kept = store.delivery(request.guid)
    assert kept is not None
    assert kept.body == b'{"a": 1}'
    assert [job.kind for job in store.jobs()] == ["delivery"]


def test_attack_01_no_signature_is_refused(door: int, store: SqlStore) -> None:
    assert refusal(knock(door, Knock(without=(b"x-hub-signature-256",)))) == (401, "signature_invalid")
    assert nothing_written(store)


def test_attack_02_without_a_secret_nothing_starts(store: SqlStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="LAUNCHPIN_HOOK_SECRET_FILES"):
        hook_secrets(Settings(home=tmp_path))
    for secrets in ((), ("",), (SECRET, "")):
        with pytest.raises(ValueError, match="secret is required"):
            Receiver(store, path=PATH, secrets=secrets)


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(sign(b"{}", "another secret"), id="attack_03_wrong_digest"),
        pytest.param(sign(b"{}").upper().replace(b"SHA256", b"sha256"), id="attack_04_upper_case"),
        pytest.param(b"sha1=" + b"0" * 40, id="attack_05_sha1"),
        pytest.param(sign(b"{}")[:-1], id="attack_06_63_digits"),
        pytest.param(sign(b"{}") + b"0", id="attack_06_65_digits"),
        pytest.param(b"", id="attack_06_empty"),
        pytest.param("sha256=é".encode() + b"0" * 62, id="attack_07_not_ascii"),
    ],
)
def test_attacks_03_to_07_every_wrong_signature_gets_the_same_answer(
    door: int,
    store: SqlStore,
    signature: bytes,
) -> None:
    wrong = knock(door, Knock(signature=signature))
    missing = knock(door, Knock(without=(b"x-hub-signature-256",)))
    assert refusal(wrong) == (401, "signature_invalid")
    assert wrong.body == missing.body
    assert nothing_written(store)


def test_attack_06_a_ten_kilobyte_header_is_refused(door: int, store: SqlStore) -> None:
    assert knock(door, Knock(signature=b"sha256=" + b"0" * 10_240)).status in {401, 431}
    assert nothing_written(store)


def test_attack_08_two_signature_headers_are_refused_when_one_is_right(door: int, store: SqlStore) -> None:
    doubled = Knock(headers=((b"x-hub-signature-256", b"sha256=" + b"0" * 64),))
    assert refusal(knock(door, doubled)) == (400, "duplicate_header")
    assert nothing_written(store)


def test_attack_09_a_reserialised_body_is_refused(door: int, store: SqlStore) -> None:
    assert refusal(knock(door, Knock(body=b'{"a":1}', signature=sign(b'{"a": 1}')))) == (401, "signature_invalid")
    assert nothing_written(store)


def test_attack_09_the_published_known_answer_verifies() -> None:
    header = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert is_signed(b"Hello, World!", header, secrets=("It's a Secret to Everybody",))


def test_attack_20_the_same_delivery_again_makes_no_row(door: int, store: SqlStore) -> None:
    request = Knock()
    knock(door, request)
    assert refusal(knock(door, request)) == (200, "duplicate")
    assert len(store.recent("delivery")) == 1


def test_attack_21_the_same_id_with_another_body_is_a_conflict(door: int, store: SqlStore) -> None:
    guid = str(uuid.uuid4())
    knock(door, Knock(guid=guid))
    assert refusal(knock(door, Knock(guid=guid, body=b'{"other": 1}'))) == (409, "delivery_conflict")
    kept = store.delivery(guid)
    assert kept is not None
    assert kept.body == b"{}"


@pytest.mark.parametrize("guid", ["", "not-a-uuid", "0" * 5000, "12345678-1234-1234-1234-1234567890zz"])
def test_attack_22_a_delivery_id_that_is_no_uuid_is_refused(door: int, store: SqlStore, guid: str) -> None:
    assert refusal(knock(door, Knock(guid=guid))) == (400, "bad_delivery_id")
    assert nothing_written(store)


def test_attack_22_a_newline_in_the_delivery_id_reaches_nothing(door: int, store: SqlStore) -> None:
    smuggled = f"{uuid.uuid4()}\r\nX-Evil: 1"
    reply = knock(door, Knock(guid=smuggled))
    # The newline ends the header: what is left is a plain delivery id and a header nobody reads.
    assert reply.status == 202
    assert [kept.id for kept in store.recent("delivery")] == [smuggled.partition("\r")[0]]


def test_attack_25_a_ping_is_answered_and_stored_nowhere(door: int, store: SqlStore) -> None:
    assert refusal(knock(door, Knock(event="ping"))) == (200, "pong")
    assert nothing_written(store)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Knock(method="GET"), (405, "method_not_allowed")),
        (Knock(path="/webhook/other"), (404, "not_found")),
        (Knock(headers=((b"content-encoding", b"gzip"),)), (415, "content_encoding")),
        (Knock(without=(b"content-type",)), (415, "content_type")),
    ],
)
def test_the_door_names_what_is_wrong_before_it_reads_a_body(
    door: int,
    store: SqlStore,
    request_: Knock,
    expected: tuple[int, str],
) -> None:
    assert refusal(knock(door, request_)) == expected
    assert nothing_written(store)


def test_a_declared_gigabyte_is_refused_without_reading_it(door: int, store: SqlStore) -> None:
    huge = Knock(without=(b"content-length",), headers=((b"Content-Length", b"1000000000"),))
    reply = knock(door, huge)
    assert refusal(reply) == (413, "body_too_large")
    assert reply.json()["limit"] == 26_214_400
    assert nothing_written(store)
