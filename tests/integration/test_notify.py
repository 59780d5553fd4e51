"""Messages on their way: ends of rollouts in the store, the loop's own jobs, real receivers. Nothing waits for them."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from gitops import notify
from gitops.bootstrap import stories
from gitops.config.channels import Channel
from gitops.leasing import LeaseTimes
from gitops.messages import Message
from gitops.notices import PATIENCE, LetterState, News
from gitops.notifiers import FileNotifier, guard, http
from gitops.ports import Exit
from gitops.reconcile import Loop, run_until_idle
from gitops.records import Rollout
from gitops.steps import Done, Ended, Phase, Queue, Stalled
from gitops.store import SqlStore
from gitops.store.migrate import migrate
from gitops.writes import OpenRollout
from tests.support.deps import make_deps
from tests.support.receivers import (
    SECRET,
    Answer,
    MailReceiver,
    WebReceiver,
    hang_up,
    mail,
    reply,
    web,
    web_receiver,
    write_notify,
    write_secret,
)
from tests.support.store import LEASE, Clock, make_rollout, make_url, take, write

__all__ = ["mail", "web"]

SECOND = timedelta(seconds=1)
FAILED = Ended(Phase.ROLLED_BACK, "SmokeFailed", "SmokeFailed: it answered 500", facts={"serving": "1"})
QUIET = LeaseTimes(lease=LEASE, heartbeat=timedelta(hours=1))


class Office:
    """An installation where somebody is told: a store, a notify.yaml, and the loop."""

    def __init__(self, store: SqlStore, clock: Clock, folder: Path) -> None:
        self.store, self.clock, self.folder = store, clock, folder
        deps = make_deps(store, folder, notifier=FileNotifier(folder / "notify.yaml"))
        self.loop = Loop(deps, stories(), "test", QUIET)

    def fail(self, **changes: str) -> Rollout:
        """Let a rollout fail, and its endpoint go back."""
        return self.end(FAILED, **changes)

    def end(self, outcome: Ended | Done | Stalled, **changes: str) -> Rollout:
        rollout = make_rollout(**changes)
        write(self.store, OpenRollout(rollout))
        claim = take(self.store)
        while claim.subject != rollout.id:
            claim = take(self.store)
        self.store.finish(claim, Exit(self.store.rollout(rollout.id), outcome, step="bake"))
        ended = self.store.rollout(rollout.id)
        assert ended is not None
        return ended

    def work(self, *, after: timedelta = 2 * SECOND) -> None:
        """Let time pass, and do what is ready then."""
        self.clock.advance(after)
        run_until_idle(self.loop, Queue.CONTROL)

    def states(self) -> Counter[str]:
        return Counter(letter.state.value for letter, _ in self.store.letters())

    def job(self, kind: str, subject: str) -> tuple[str, str]:
        return next((job.state, job.reason) for job in self.store.jobs() if (job.kind, job.subject) == (kind, subject))


@pytest.fixture
def office(database_url: str, clock: Clock, tmp_path: Path, web: WebReceiver) -> Iterator[Office]:
    """Give an installation that tells one web receiver of everything, on each database in turn."""
    write_secret(tmp_path, "s", SECRET)
    write_notify(
        tmp_path, f"events: {{webhook: {{url: '{web.url}', secret_file: s}}}}", rules="{outcomes: [all], to: [events]}"
    )
    store = SqlStore(database_url, clock=clock, is_told=True)
    yield Office(store, clock, tmp_path)
    store.close()


def read(web: WebReceiver) -> list[tuple[str, str]]:
    """Return what came in: each with its id and its outcome."""
    events = [json.loads(post.body) for post in web.posts]
    return [(event["id"], event["data"]["customData"]["outcome"]) for event in events]


def test_message_arrives_exactly_once_when_nothing_fails(office: Office, web: WebReceiver) -> None:
    office.fail()
    office.end(Done(), endpoint="another", path="another")
    office.work()
    office.work(after=timedelta(hours=1))
    assert sorted(outcome for _, outcome in read(web)) == ["Deployed", "RolledBack"]
    assert len({number for number, _ in read(web)}) == 2
    assert office.states() == {"sent": 2}
    assert [post.headers["webhook-id"] for post in web.posts] == [number for number, _ in read(web)]


def test_every_kind_of_channel_is_told(office: Office, web: WebReceiver, mail: MailReceiver) -> None:
    write_secret(office.folder, "slack.url", web.url)
    smtp = f"host: 127.0.0.1, port: {mail.port}, from: a@example.com, to: [b@example.com], tls: none"
    write_notify(office.folder, f"chat: {{slack: {{url_file: slack.url}}}}, team: {{smtp: {{{smtp}}}}}")
    office.fail()
    office.work()
    (post,) = web.posts
    assert json.loads(post.body)["text"].startswith("<!channel> :rotating_light: staging went back from iris v1")
    (got,) = mail.mails
    assert b"Subject: [launchpin] WAKE: staging went back from iris v1" in got.content
    ((letter, _), _) = office.store.letters()
    assert f"<{letter.notice_id}@example.com>".encode() in got.content
    assert office.states() == {"sent": 2}


def test_mail_goes_to_those_alone_who_are_left(office: Office, mail: MailReceiver) -> None:
    """Of three receivers one is refused for now, and one for good: nobody gets it twice, and the second one late."""
    receivers = ("a@example.com", "b@example.com", "c@example.com")
    smtp = f"host: 127.0.0.1, port: {mail.port}, from: x@example.com, to: [{', '.join(receivers)}], tls: none"
    write_notify(office.folder, f"team: {{smtp: {{{smtp}}}}}")
    mail.says |= {"RCPT b@example.com": "450 greylisted", "RCPT c@example.com": "550 nobody"}
    office.fail()
    office.work()
    assert office.states() == {"sent": 1, "waiting": 1}
    office.work(after=timedelta(minutes=1))
    assert [got.to for got in mail.mails] == [("a@example.com",)]
    mail.says.clear()
    office.work(after=timedelta(minutes=20))
    office.work(after=timedelta(hours=2))
    assert [got.to for got in mail.mails] == [("a@example.com",), ("b@example.com",)]
    assert office.states() == {"sent": 2}
    (left,) = (letter for letter, _ in office.store.letters() if letter.channel != "team")
    assert (left.channel, left.tries) == ("team:b@example.com", 2)
    both = [line for got in mail.mails for line in got.content.split(b"\r\n") if line.startswith(b"Message-ID")]
    assert len(both) == 2
    assert len(set(both)) == 1


def test_mail_that_was_taken_is_not_sent_again_where_the_server_hangs_up(office: Office, mail: MailReceiver) -> None:
    smtp = f"host: 127.0.0.1, port: {mail.port}, from: x@example.com, to: [a@example.com], tls: none"
    write_notify(office.folder, f"team: {{smtp: {{{smtp}}}}}")
    mail.on_quit = lambda _: None
    office.fail()
    office.work()
    office.work(after=timedelta(hours=2))
    assert (len(mail.mails), office.states()) == (1, {"sent": 1})


def test_receiver_who_is_gone_from_the_file_gets_nothing(office: Office, mail: MailReceiver) -> None:
    smtp = f"host: 127.0.0.1, port: {mail.port}, from: x@example.com, to: [a@example.com, b@example.com], tls: none"
    write_notify(office.folder, f"team: {{smtp: {{{smtp}}}}}")
    mail.says["RCPT b@example.com"] = "450 greylisted"
    office.fail()
    office.work()
    file = office.folder / "notify.yaml"
    file.write_text(file.read_text().replace(", b@example.com", ""))
    mail.says.clear()
    office.work(after=timedelta(minutes=20))
    assert len(mail.mails) == 1
    assert {letter.reason for letter, _ in office.store.letters() if letter.channel != "team"} == {"ChannelGone"}


def test_message_whose_answer_was_lost_comes_again_with_the_same_id(office: Office, web: WebReceiver) -> None:
    web.answers = [hang_up, reply(200)]
    office.fail()
    office.work()
    assert office.states() == {"waiting": 1}
    office.work(after=timedelta(minutes=1))
    assert len(web.posts) == 2
    assert len(set(read(web))) == 1
    assert web.posts[0].body == web.posts[1].body
    assert office.states() == {"sent": 1}


def test_message_comes_again_with_the_same_id_where_a_worker_died_behind_it(office: Office, web: WebReceiver) -> None:
    office.fail()
    office.clock.advance(2 * SECOND)
    run_until_idle(office.loop, Queue.CONTROL, is_stopping=lambda: bool(office.store.letters()))
    claim = take(office.store)  # by a worker that sends it, and dies before it can say so
    assert claim.kind == "notify"
    office.loop.stories["notify"].steps[0].run(
        office.loop.deps, office.loop.stories["notify"].load(office.loop.deps, claim.subject)
    )
    office.work(after=LEASE + SECOND)
    assert len(web.posts) == 2
    assert len(set(read(web))) == 1


def severities(web: WebReceiver) -> list[str]:
    return [json.loads(post.body)["data"]["customData"]["severity"] for post in web.posts]


def test_what_flaps_wakes_once_in_ten_minutes_and_is_told_each_time(office: Office, web: WebReceiver) -> None:
    ended = []
    for version in "12345":
        ended.append(office.fail(version=version).id)
        office.work(after=timedelta(minutes=1))
    assert severities(web) == ["wake", "tell", "tell", "tell", "tell"]
    assert [json.loads(post.body)["data"]["customData"]["rollout"] for post in web.posts] == ended
    office.work(after=timedelta(minutes=10))
    office.fail()
    office.work()
    assert severities(web)[5:] == ["wake"]


def test_what_flaps_within_one_look_wakes_once(office: Office, web: WebReceiver) -> None:
    for _ in range(5):
        office.fail()
    office.work()
    assert sorted(severities(web)) == ["tell"] * 4 + ["wake"]


def test_channel_that_is_named_for_what_wakes_hears_of_no_repetition(office: Office, web: WebReceiver) -> None:
    write_notify(office.folder, f"events: {{webhook: {{url: '{web.url}', secret_file: s}}}}")
    for _ in range(3):
        office.fail()
        office.work(after=timedelta(minutes=1))
    assert severities(web) == ["wake"]


def test_what_is_repeated_mentions_nobody_in_a_chat(office: Office, web: WebReceiver) -> None:
    write_secret(office.folder, "slack.url", web.url)
    write_notify(office.folder, "chat: {slack: {url_file: slack.url}}", rules="{outcomes: [RolledBack], to: [chat]}")
    for _ in range(2):
        office.fail()
        office.work(after=timedelta(minutes=1))
    first, second = (json.loads(post.body)["text"] for post in web.posts)
    assert first.startswith("<!channel> :rotating_light: ")
    assert "<!channel>" not in second
    assert "staging went back from iris v1" in second


def test_notice_that_no_rule_names_goes_to_nobody(office: Office, web: WebReceiver) -> None:
    write_notify(
        office.folder,
        f"events: {{webhook: {{url: '{web.url}', secret_file: s}}}}",
        rules="{environments: [production], outcomes: [all], to: [events]}",
    )
    office.fail()
    office.work()
    assert web.posts == []
    assert office.store.unrouted(limit=10) == []


def test_wrong_file_waits_for_a_person_and_everything_is_told_when_it_is_mended(
    office: Office, web: WebReceiver
) -> None:
    file = office.folder / "notify.yaml"
    right = file.read_text()
    file.write_text(right.replace("channels", "chanels"))
    office.fail()
    office.work()
    assert office.job("route", "home") == ("stalled", "NotifyFileInvalid")
    file.write_text(right)
    office.work(after=timedelta(minutes=11))
    assert read(web)[0][1] == "RolledBack"


def test_channel_that_is_gone_from_the_file_gets_nothing(office: Office, web: WebReceiver) -> None:
    web.answers = [reply(503)]
    office.fail()
    office.work()
    file = office.folder / "notify.yaml"
    file.write_text(file.read_text().replace("events", "others"))
    office.work(after=timedelta(minutes=20))
    ((letter, _),) = office.store.letters()
    assert (letter.state, letter.reason) == (LetterState.GIVEN_UP, "ChannelGone")


def test_dead_channel_holds_up_no_other_one(office: Office, web: WebReceiver) -> None:
    with web_receiver() as dead:
        dead.answers = [reply(500)]
        write_notify(
            office.folder,
            ", ".join(
                f"{name}: {{webhook: {{url: '{receiver.url}', secret_file: s}}}}"
                for name, receiver in (("alive", web), ("dead", dead))
            ),
        )
        for number in range(3):
            office.fail(environment=f"e{number}", path=f"e{number}", endpoint=f"e{number}")
            office.work()
        assert len(web.posts) == 3
        assert office.states() == {"sent": 3, "waiting": 3}
        # What is new is tried at once, beside what failed and waits.
        assert len({number for number, _ in read(dead)}) == 3
        # What waits is asked for as one, and comes as a whole when the channel is back.
        asked = len(dead.posts)
        office.work(after=timedelta(minutes=16))
        assert len(dead.posts) == asked + 1
        dead.answers = [reply(200)]
        office.work(after=timedelta(minutes=16))
        assert office.states() == {"sent": 6}


def test_channel_that_asks_for_patience_is_given_it(office: Office, web: WebReceiver) -> None:
    web.answers = [reply(429, retry_after="600"), reply(200)]
    office.fail()
    office.work()
    office.work(after=timedelta(minutes=9))
    assert len(web.posts) == 1
    office.work(after=timedelta(minutes=2))
    assert office.states() == {"sent": 1}


# ---------------------------------------------------------------- I24


@contextlib.contextmanager
def blocked() -> Iterator[Answer]:
    """Give an answer that does not come until the test is over."""
    is_over = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        is_over.wait(60)
        handler.close_connection = True

    yield wait
    is_over.set()


def flood(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(500)
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b"x" * 65536)


def mumble(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff nonsense\r\n\r\n")


WAYS: dict[str, Answer] = {
    "500": reply(500, b"broken"),
    "404": reply(404, b"no such hook"),
    "redirect": reply(302, location="http://127.0.0.1:1/"),
    "no answer": hang_up,
    "an answer without end": flood,
    "nonsense": mumble,
}


def picture(office: Office) -> Sequence[object]:
    """Return everything that a message must not change: records, jobs of stories, and the audit log."""
    rollouts = [
        (one.phase, one.step, one.reason, one.message, one.facts)
        for one in office.store.recent("rollout", limit=50)
        if isinstance(one, Rollout)
    ]
    jobs = [(job.kind, job.state) for job in office.store.jobs() if job.kind not in {"route", "notify"}]
    return rollouts, jobs, office.store.audit_size(), office.store.holds()


def play(office: Office) -> None:
    """Let a day go by in which much happens."""
    for hour in range(0, 24, 6):
        office.fail(environment=f"e{hour}", path=f"e{hour}", endpoint=f"e{hour}")
        office.end(Done(), path=f"f{hour}", endpoint=f"f{hour}")
        office.work(after=timedelta(hours=6))


@pytest.mark.parametrize("answer", WAYS.values(), ids=WAYS.keys())
def test_i24_receiver_that_fails_for_a_day_changes_nothing_else(
    office: Office, web: WebReceiver, answer: Answer, tmp_path: Path
) -> None:
    web.answers = [answer]
    play(office)
    assert office.states()["sent"] == 0
    seen = picture(office)
    with told_nobody(tmp_path) as undisturbed:
        play(undisturbed)
        assert picture(undisturbed) == seen
    assert office.store.check_audit_joins() == []
    # A day later what was not taken is given up, with the reason.
    office.work(after=PATIENCE)
    office.work(after=timedelta(hours=1))
    assert set(office.states()) == {"given_up"}
    assert {letter.reason for letter, _ in office.store.letters()} == {"NotifyExpired"}


@contextlib.contextmanager
def told_nobody(folder: Path) -> Iterator[Office]:
    """Give an installation like another one, in which nobody is told of anything."""
    other = folder / "other"
    other.mkdir()
    migrate(make_url(other))
    clock = Clock()
    store = SqlStore(make_url(other), clock=clock)
    yield Office(store, clock, other)
    store.close()


def test_i24_receiver_that_does_not_answer_holds_one_thread_and_no_story(
    office: Office, web: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "ending", partial(guard.ending, seconds=1.0))
    with blocked() as answer:
        web.answers = [answer]
        office.fail()
        office.clock.advance(2 * SECOND)
        slow = threading.Thread(target=run_until_idle, args=(office.loop, Queue.CONTROL))
        slow.start()
        while not web.posts:
            assert slow.is_alive()
        # Meanwhile another thread finds nothing of this channel to do, and stories end as ever.
        assert office.fail(environment="e2", path="e2", endpoint="e2").phase is Phase.ROLLED_BACK
        slow.join(30)
        assert not slow.is_alive()
    assert office.states()["waiting"] >= 1


def test_i24_defect_of_ours_in_a_letter_holds_back_no_other_one(
    office: Office, web: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = notify.pack

    def pack(channel: Channel, message: Message, *, tracking_uri: str) -> tuple[bytes, str]:
        if message.news is News.DEPLOYED:
            raise ValueError("a defect")
        return real(channel, message, tracking_uri=tracking_uri)

    monkeypatch.setattr(notify, "pack", pack)
    office.end(Done(), path="another", endpoint="another")
    office.work()
    office.fail()
    office.work()
    assert [outcome for _, outcome in read(web)] == ["RolledBack"]
    assert office.states() == {"waiting": 1, "sent": 1}
