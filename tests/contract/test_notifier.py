"""The way out over loopback: a real web server and a real mail server, kind and unkind."""

import hashlib
import hmac
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from gitops.errors import InputError, RefusedError, RetryError
from gitops.notifiers import FileNotifier, guard, http, smtp
from gitops.notifiers.signing import sign
from gitops.ports import Packet, Taken
from tests.support.receivers import (
    SECRET,
    Answer,
    MailReceiver,
    WebReceiver,
    hang_up,
    mail,
    reply,
    web,
    write_notify,
    write_secret,
)

__all__ = ["mail", "web"]

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PACKET = Packet("n-1", b'{"a": "\xc3\xa9"}', "application/json", NOW)
MAIL = Packet("n-1", b"Subject: hello\r\n\r\nYou.\r\n.\r\n", "message/rfc822", NOW)


@pytest.fixture
def channels(tmp_path: Path, web: WebReceiver, mail: MailReceiver) -> FileNotifier:
    write_secret(tmp_path, "slack.url", web.url)
    write_secret(tmp_path, "events.secret", SECRET)
    smtp = f"host: 127.0.0.1, port: {mail.port}, from: a@example.com, to: [b@example.com, c@example.com], tls: none"
    webhook = f"webhook: {{url: '{web.url}', secret_file: events.secret}}"
    return FileNotifier(
        write_notify(
            tmp_path, f"chat: {{slack: {{url_file: slack.url}}}}, events: {{{webhook}}}, team: {{smtp: {{{smtp}}}}}"
        )
    )


def send(notifier: FileNotifier, name: str, packet: Packet = PACKET) -> str:
    """Send a packet, and return what was said; nobody is left."""
    taken = hand_over(notifier, name, packet)
    assert taken.left == ()
    return taken.said


def hand_over(notifier: FileNotifier, name: str, packet: Packet = PACKET) -> Taken:
    file = notifier.file()
    return notifier.send(file.channels[name], packet, file=file)


# ---------------------------------------------------------------- HTTP


def test_post_arrives_whole_and_the_answer_is_told(channels: FileNotifier, web: WebReceiver) -> None:
    assert send(channels, "chat") == "200 ok"
    (post,) = web.posts
    assert (post.path, post.body) == ("/hook?token=abc", PACKET.content)
    assert post.headers["content-type"] == "application/json"
    assert not any(name.startswith("webhook-") for name in post.headers)


def test_webhook_is_signed_as_standard_webhooks_says(channels: FileNotifier, web: WebReceiver) -> None:
    send(channels, "events")
    (post,) = web.posts
    stamp = post.headers["webhook-timestamp"]
    assert (post.headers["webhook-id"], stamp) == ("n-1", str(int(NOW.timestamp())))
    key = b64decode(SECRET.removeprefix("whsec_"))
    wanted = hmac.new(key, f"n-1.{stamp}.".encode() + post.body, hashlib.sha256).digest()
    assert post.headers["webhook-signature"] == f"v1,{b64encode(wanted).decode()}"


def test_signature_is_that_of_the_reference() -> None:
    # The vector that the libraries of Standard Webhooks test themselves with.
    moment = datetime.fromtimestamp(1614265330, tz=UTC)
    headers = sign(SECRET, id="msg_p5jXN8AQM9LWM0D4loKWxJek", moment=moment, body=b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_sign_side_by_side_while_one_replaces_the_other() -> None:
    newer = "whsec_" + b64encode(b"n" * 32).decode()
    both = sign(f"{newer}\n{SECRET}\n", id="n-1", moment=NOW, body=b"{}")["webhook-signature"].split(" ")
    assert both == [sign(one, id="n-1", moment=NOW, body=b"{}")["webhook-signature"] for one in (newer, SECRET)]


@pytest.mark.parametrize("text", ["plain words", "whsec_c2hvcnQ=", "whsec_!!!!", "whsec_" + "A" * 200])
def test_secret_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        sign(text, id="n-1", moment=NOW, body=b"{}")
    assert caught.value.reason == "secret_invalid"
    assert text not in str(caught.value)


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_answer_that_asks_for_patience_is_tried_again(channels: FileNotifier, web: WebReceiver, status: int) -> None:
    web.answers = [reply(status, b"later", retry_after="17")]
    with pytest.raises(RetryError) as caught:
        send(channels, "chat")
    assert (caught.value.reason, caught.value.after) == ("NotifyUnavailable", 17.0)
    assert f"{status} later" in caught.value.message


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_refusal_says_what_was_answered(channels: FileNotifier, web: WebReceiver, status: int) -> None:
    web.answers = [reply(status, b"no\x1b[31m\r\nsuch hook")]
    with pytest.raises(RefusedError) as caught:
        send(channels, "chat")
    assert caught.value.message == f"it answered {status} no [31m such hook"


def test_lost_answer_is_tried_again(channels: FileNotifier, web: WebReceiver) -> None:
    web.answers = [hang_up]
    with pytest.raises(RetryError):
        send(channels, "chat")
    assert len(web.posts) == 1


def endless(status: int, **headers: str) -> Answer:
    """Return an answer with a status, and words without end."""

    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65536)

    return flood


def trickling(begin: bytes) -> Answer:
    """Return an answer that goes on for ever, each byte soon enough for a timeout that counts silence alone."""

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(begin)
        while True:
            handler.wfile.write(b"x")
            time.sleep(0.05)

    return trickle


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Say yes, and close the connection in the middle of the words that go with it."""
    handler.send_response(200)
    handler.send_header("content-length", "100")
    handler.end_headers()
    handler.wfile.write(b"o")


@pytest.mark.parametrize(
    "answer",
    [endless(200), trickling(b"HTTP/1.1 200 OK\r\n\r\n"), trickling(b"HTTP/1.1 200 OK\r\nx-"), cut],
    ids=["endless words", "slow words", "slow head", "cut words"],
)
def test_post_that_was_taken_is_taken_whatever_else_is_said(
    channels: FileNotifier, web: WebReceiver, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.answers = [answer]
    monkeypatch.setattr(http, "ending", partial(guard.ending, seconds=0.5))
    begun = time.monotonic()
    assert send(channels, "chat").startswith("200")
    assert time.monotonic() - begun < 5
    assert len(web.posts) == 1


def test_answer_without_end_is_judged_by_its_status(channels: FileNotifier, web: WebReceiver) -> None:
    web.answers = [endless(503, retry_after="17"), endless(410)]
    with pytest.raises(RetryError) as busy:
        send(channels, "chat")
    assert (busy.value.reason, busy.value.after) == ("NotifyUnavailable", 17.0)
    with pytest.raises(RefusedError, match="it answered 410"):
        send(channels, "chat")


def test_answer_whose_status_does_not_come_is_left_when_its_time_is_over(
    channels: FileNotifier, web: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.answers = [trickling(b"HTTP/1.1 2")]
    monkeypatch.setattr(http, "ending", partial(guard.ending, seconds=0.5))
    begun = time.monotonic()
    with pytest.raises(RetryError):
        send(channels, "chat")
    assert time.monotonic() - begun < 5


def test_nobody_there_is_tried_again(channels: FileNotifier, tmp_path: Path) -> None:
    write_secret(tmp_path, "slack.url", "http://127.0.0.1:1/")
    with pytest.raises(RetryError) as caught:
        send(channels, "chat")
    assert caught.value.reason == "NotifyUnavailable"


# ---------------------------------------------------------------- files


def test_secrets_and_channels_are_read_anew_each_time(channels: FileNotifier, web: WebReceiver, tmp_path: Path) -> None:
    send(channels, "chat")
    write_secret(tmp_path, "slack.url", web.url.replace("abc", "xyz"))
    send(channels, "chat")
    assert [post.path for post in web.posts] == ["/hook?token=abc", "/hook?token=xyz"]


def test_secret_that_others_may_read_is_not_used(channels: FileNotifier, web: WebReceiver, tmp_path: Path) -> None:
    (tmp_path / "slack.url").chmod(0o640)
    with pytest.raises(InputError) as caught:
        send(channels, "chat")
    assert caught.value.reason == "insecure_mode"
    assert web.posts == []


def test_every_secret_is_learned_so_that_no_log_shows_it(web: WebReceiver, tmp_path: Path) -> None:
    learned: list[str] = []
    write_secret(tmp_path, "slack.url", web.url)
    notifier = FileNotifier(write_notify(tmp_path, "chat: {slack: {url_file: slack.url}}"), learn=learned.append)
    send(notifier, "chat")
    assert learned == [web.url]


def test_file_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        FileNotifier(tmp_path / "notify.yaml").file()
    assert caught.value.reason == "file_unreadable"


# ---------------------------------------------------------------- mail


def test_mail_arrives_whole(channels: FileNotifier, mail: MailReceiver) -> None:
    assert send(channels, "team", MAIL) == "taken; 221 bye"
    (got,) = mail.mails
    assert (got.sender, got.to) == ("a@example.com", ("b@example.com", "c@example.com"))
    # A line that is a dot alone is doubled on the way (RFC 5321, 4.5.2).
    assert got.content == b"Subject: hello\r\n\r\nYou.\r\n..\r\n"


@pytest.mark.parametrize(
    ("at", "says", "error"),
    [
        ("HELLO", "421 not now", RetryError),
        ("HELLO", "554 go away", RefusedError),
        ("MAIL", "451 later", RetryError),
        ("MAIL", "550 not you", RefusedError),
        ("RCPT", "550 nobody", RefusedError),
        ("RCPT", "450 later", RetryError),
        ("END", "452 full", RetryError),
        ("END", "554 spam", RefusedError),
    ],
)
def test_mail_server_says_whether_to_try_again(
    channels: FileNotifier, mail: MailReceiver, at: str, says: str, error: type[Exception]
) -> None:
    mail.says[at] = says
    with pytest.raises(error, match=says.partition(" ")[2]):
        send(channels, "team", MAIL)


def hang_up_at_goodbye(_: Callable[[bytes], object]) -> None:
    """Close the connection instead of an answer."""


def mumble_at_goodbye(say: Callable[[bytes], object]) -> None:
    say(b"\xff nonsense\r\n")


def drag_on_at_goodbye(say: Callable[[bytes], object]) -> None:
    """Answer a byte at a time, for ever."""
    while True:
        say(b"2")
        time.sleep(0.05)


def say_nothing_at_goodbye(_: Callable[[bytes], object]) -> None:
    threading.Event().wait(5)


@pytest.mark.parametrize(
    "goodbye",
    [hang_up_at_goodbye, mumble_at_goodbye, drag_on_at_goodbye, say_nothing_at_goodbye],
    ids=["gone", "nonsense", "slow", "silent"],
)
def test_mail_that_was_taken_is_taken_however_the_server_says_goodbye(
    channels: FileNotifier,
    mail: MailReceiver,
    goodbye: Callable[[Callable[[bytes], object]], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mail.on_quit = goodbye
    monkeypatch.setattr(smtp, "ending", partial(guard.ending, seconds=1.0))
    begun = time.monotonic()
    assert send(channels, "team", MAIL).startswith("taken")
    assert time.monotonic() - begun < 4
    assert len(mail.mails) == 1


def test_mail_whose_end_was_not_answered_is_tried_again(
    channels: FileNotifier, mail: MailReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail.says["END"] = "250-half of a"  # and no more: whether it was taken is not known
    monkeypatch.setattr(smtp, "ending", partial(guard.ending, seconds=0.5))
    with pytest.raises(RetryError):
        send(channels, "team", MAIL)


@pytest.mark.parametrize(
    ("says", "left"), [("450 greylisted", ("c@example.com",)), ("550 nobody", ())], ids=["for now", "for good"]
)
def test_receivers_whom_the_server_refuses_are_named_and_those_for_now_are_left(
    channels: FileNotifier, mail: MailReceiver, says: str, left: tuple[str, ...]
) -> None:
    mail.says["RCPT c@example.com"] = says
    taken = hand_over(channels, "team", MAIL)
    assert taken == Taken(f"taken, but not for c@example.com ({says}); 221 bye", left)
    (got,) = mail.mails
    assert got.to == ("b@example.com",)


def test_mail_is_not_sent_in_the_clear_where_the_server_cannot_encrypt(mail: MailReceiver, tmp_path: Path) -> None:
    smtp = f"host: 127.0.0.1, port: {mail.port}, from: a@example.com, to: [b@example.com]"
    notifier = FileNotifier(write_notify(tmp_path, f"team: {{smtp: {{{smtp}}}}}"))
    with pytest.raises(RefusedError, match="STARTTLS"):
        send(notifier, "team", MAIL)
    assert mail.mails == []
