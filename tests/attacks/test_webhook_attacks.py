"""Attacks 1 to 10, 12, 14 to 18 and 20 to 25 at the door, over raw sockets to the real server; 0w: nothing written."""

import gzip
import itertools
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.bootstrap import hook_secrets
from gitops.errors import InputError
from gitops.settings import Settings
from gitops.store import SqlStore
from tests.support.web import PATH, SECRET, Knock, Reply, knock, serving, sign, talk
from webhooks.guard import HostGuard
from webhooks.receive import Receiver
from webhooks.replies import Send
from webhooks.saving import ThreadKeeper
from webhooks.signature import is_signed

Headers = tuple[tuple[bytes, bytes], ...]


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    """Give one kind of store: the door is in front of it, and the store's own tests run on both."""
    store = SqlStore(sqlite_url)
    yield store
    store.close()


@pytest.fixture
def door(store: SqlStore) -> Iterator[int]:
    with serving(Receiver(ThreadKeeper(store), path=PATH, secrets=("an older one", SECRET))) as port:
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
            Receiver(ThreadKeeper(store), path=PATH, secrets=secrets)


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
    assert refusal(knock(door, Knock(signature=b"sha256=" + b"0" * 10_240))) == (431, "header_too_large")
    assert refusal(knock(door, Knock(headers=((b"x" * 10_240, b"1"),)))) == (431, "header_too_large")
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


def test_attack_10_a_declared_gigabyte_is_refused_without_reading_it(door: int, store: SqlStore) -> None:
    head = Knock(without=(b"content-length",), headers=((b"Content-Length", b"1000000000"),)).raw()
    (reply,) = talk(door, [head.removesuffix(b"{}")])
    assert refusal(reply) == (413, "body_too_large")
    assert reply.json()["limit"] == 26_214_400
    assert reply.headers["connection"] == "close"
    assert nothing_written(store)


def test_attack_12_what_follows_a_refused_body_is_a_bad_request_that_ends_the_connection(
    door: int, store: SqlStore
) -> None:
    head = Knock(body=b"x" * 100, signature=b"sha256=" + b"0" * 64, without=(b"connection",)).raw()
    sent: list[int] = []

    def gigabyte() -> Iterator[bytes]:
        for number in range(1_000_000_000 // 65_536):
            sent.append(number)
            yield b"x" * 65_536

    wrong, bad = talk(door, itertools.chain([head], gigabyte()))
    assert refusal(wrong) == (401, "signature_invalid")
    assert (bad.status, bad.headers["connection"]) == (400, "close")
    assert len(sent) < 1000, "the server read on after it had answered"
    assert nothing_written(store)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"identity, gzip"])
def test_attack_14_a_compressed_body_is_refused_without_unpacking_it(
    door: int, store: SqlStore, encoding: bytes
) -> None:
    bomb = gzip.compress(b"0" * 20_000_000)
    packed = Knock(body=bomb, headers=((b"Content-Encoding", encoding),))
    assert refusal(knock(door, packed)) == (415, "content_encoding")
    assert nothing_written(store)


@pytest.mark.parametrize("kind", [b"application/x-www-form-urlencoded", b"text/plain", b"", b"application/jsonp"])
def test_attack_15_another_content_type_is_refused_with_the_way_out(door: int, store: SqlStore, kind: bytes) -> None:
    reply = knock(door, Knock(body=b"payload=%7B%7D", without=(b"content-type",), headers=((b"Content-Type", kind),)))
    assert refusal(reply) == (415, "content_type")
    assert "set content type to application/json" in reply.json()["detail"]
    assert nothing_written(store)


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "DELETE", "PATCH", "HEAD", "BREW"])
def test_attack_16_every_other_method_is_refused_with_the_right_one(door: int, store: SqlStore, method: str) -> None:
    request = Knock(method=method).raw()
    (reply,) = talk(door, [request]) if method != "HEAD" else talk_head(door, request)
    assert reply.status == 405
    assert reply.headers["allow"] == "POST"
    assert nothing_written(store)


def talk_head(port: int, request: bytes) -> list[Reply]:
    """Return the answer to HEAD: it names a length and has no body."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(request)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    assert body == b""
    lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    return [Reply(int(head.split()[1]), {name.lower(): value for name, _, value in lines}, body)]


def test_attack_17_every_unknown_path_gets_the_same_answer(door: int, store: SqlStore) -> None:
    paths = ("/webhook", "/webhook/", "/webhook/other", f"{PATH}/", f"{PATH}0", PATH[:-1], PATH.upper(), "/webhook/%00")
    answers = {knock(door, Knock(path=path)).body for path in paths}
    assert answers == {b'{"status": 404, "code": "not_found", "detail": "nothing is here"}'}
    assert nothing_written(store)


SMUGGLED = Knock(path=PATH, without=(b"connection",)).raw()
CHUNKED = (b"Transfer-Encoding", b"chunked")


@pytest.mark.parametrize(
    ("headers", "without", "body"),
    [
        pytest.param((CHUNKED,), (), b"0\r\n\r\n", id="length_and_chunks"),
        pytest.param(
            (CHUNKED, (b"Content-Length", b"9999")), (b"content-length",), b"0\r\n\r\n", id="chunks_and_length"
        ),
        pytest.param(((b"Content-Length", b"7"),), (), b"", id="two_lengths"),
        pytest.param(((b"Transfer-Encoding", b"chunked, identity"),), (), b"", id="a_coding_after_chunks"),
        pytest.param(((b"Transfer-Encoding", b"xchunked"),), (), b"", id="an_unknown_coding"),
        pytest.param(((b"Transfer-Encoding ", b"chunked"),), (), b"", id="a_space_in_the_name"),
        pytest.param((CHUNKED, CHUNKED), (b"content-length",), b"0\r\n\r\n", id="chunks_twice"),
    ],
)
def test_attack_18_a_body_with_two_lengths_is_a_bad_request_and_what_follows_is_never_read(
    door: int, store: SqlStore, headers: Headers, without: tuple[bytes, ...], body: bytes
) -> None:
    first = Knock(body=body, headers=headers, without=(*without, b"connection")).raw()
    replies = talk(door, [first + SMUGGLED])
    assert [reply.status for reply in replies] == [400]
    assert replies[0].headers["connection"] == "close"
    assert nothing_written(store)


def test_two_plain_requests_on_one_connection_are_both_answered(door: int, store: SqlStore) -> None:
    first = Knock(without=(b"connection",)).raw()
    replies = talk(door, [first + Knock().raw()])
    assert [reply.status for reply in replies] == [202, 202]
    assert len(store.recent("delivery")) == 2


def test_attack_18_two_lengths_pass_no_other_door_either() -> None:
    async def page(_: object, __: object, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a page"})

    with serving(HostGuard(page, allowed={"127.0.0.1"})) as port:
        (reply,) = talk(port, [Knock(path="/", headers=(CHUNKED,), body=b"0\r\n\r\n").raw()])
    assert refusal(reply) == (400, "ambiguous_length")
