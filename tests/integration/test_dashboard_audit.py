"""The audit log on its pages: a timeline, what served when, and how far it verifies."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from gitops.audit.checkpoint import Checkpoint, generate_key, sign
from gitops.audit.entry import Actor, Event, Subject
from gitops.audit.verify import Code
from gitops.store import SqlStore
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.history import fill_with_history
from tests.support.store import Clock
from webhooks.dashboard.trail import MOST_SCANNED, Filters, read_timeline
from webhooks.dashboard.verifying import MOST_HEADS, verify_log


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("audit") / "home", fill_with_history) as running:
        yield running


@pytest.fixture
def client(history: Dashboard) -> Iterator[httpx.Client]:
    with history.client() as client:
        yield client


def positions(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'<li id="E(\d+)">', page)]


def test_timeline_is_told_in_sentences_newest_first_and_goes_on_where_it_ended(
    client: httpx.Client, history: Dashboard
) -> None:
    size = history.store.audit_size()
    first = client.get("/audit").text
    assert positions(first) == list(range(size - 1, size - 51, -1))
    assert "got the traffic" in first
    (older,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = client.get(older.replace("&amp;", "&")).text
    assert positions(second)[0] == size - 51


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("kind=hold", {"hold.set"}),
        ("kind=rollout.rolled_back", {"rollout.rolled_back"}),
        ("name=fraud-production&kind=rollout.applied", {"rollout.applied"}),
        ("name=churn&kind=training", None),
        ("actor=nobody", set()),
        ("until=2000-01-01T00:00", set()),
    ],
)
def test_timeline_shows_what_was_asked_for(client: httpx.Client, query: str, kinds: set[str] | None) -> None:
    page = client.get(f"/audit?{query}").text
    found = set(re.findall(r'<span class="mono">([a-z_]+\.[a-z_]+)</span> ·', page))
    if kinds is not None:
        assert found == kinds
    else:
        assert found
        assert all(kind.startswith("training.") for kind in found)
    assert "Nothing like that" in page or found


def test_timeline_since_a_moment_ends_there(client: httpx.Client) -> None:
    page = client.get("/audit?since=2999-01-01T00:00").text
    assert "Nothing like that" in page
    assert 'rel="next"' not in page


@pytest.mark.parametrize("query", ["since=yesterday", "below=x", "below=-1", "time=1"])
def test_timeline_says_what_is_wrong_with_what_was_asked(client: httpx.Client, query: str) -> None:
    path = "/audit/at" if query.startswith("time") else "/audit"
    assert client.get(f"{path}?{query}").status_code == 422


def test_filtered_timeline_looks_through_so_many_entries_and_says_where_to_go_on(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as dashboard:
        for number in range(3):
            event = Event(kind="token.made", actor=Actor(type="user", login=f"u{number}"), subject=Subject(name="k"))
            dashboard.store.append_audit(event)
        found = read_timeline(dashboard.store, Filters(actor="u0"), below=None, limit=10)
    assert [one.row.position for one in found.happened] == [0]
    assert (found.next, found.scanned) == (None, 3)
    assert MOST_SCANNED > 3


def test_what_served_is_answered_on_the_page(client: httpx.Client, history: Dashboard) -> None:
    before = (history.store.now() - timedelta(days=16)).strftime("%Y-%m-%dT%H:%M")
    page = client.get(f"/audit/at?endpoint=fraud-production&time={before}").text
    assert '<span class="serving">v4</span>' in page
    assert "t-fraud-04" in page
    assert '<th scope="row">approved by</th><td>lin</td>' in page
    assert '<th scope="row">merged by</th><td>ada</td>' in page
    unknown = client.get("/audit/at?endpoint=fraud-production&time=2000-01-01T00:00").text
    assert "not known before" in unknown
    nothing_asked = client.get("/audit/at").text
    assert 'type="datetime-local"' in nothing_asked
    assert "Choose an endpoint and a time." in nothing_asked


# ---------------------------------------------------------------- verifying


def sign_all(store: SqlStore, home: Path) -> None:
    """Sign a head of everything so far, and put the public key where the page finds it."""
    key = generate_key(store.log_id)
    size = store.audit_size()
    store.save_checkpoint(size, sign(Checkpoint(store.log_id, size, store.audit_root(size)), key))
    (home / "audit.pub").write_text(key.verifier.text + "\n")


@contextlib.contextmanager
def tampering(home: Path) -> Iterator[sqlite3.Connection]:
    """Give the database to somebody who has taken its guards away."""
    with contextlib.closing(sqlite3.connect(home / "launchpin.sqlite3")) as database, database:
        for verb in ("update", "delete"):
            database.execute(f"DROP TRIGGER audit_entries_no_{verb}")
        yield database


def fill_a_little(store: SqlStore, _: Clock) -> None:
    for number in range(5):
        store.append_audit(Event(kind="token.made", actor=Actor(type="user", login=f"u{number}")))


def test_log_that_is_what_was_signed_verifies_and_the_page_says_what_that_proves(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_dashboard(home, fill_a_little) as dashboard, dashboard.client() as client:
        sign_all(dashboard.store, home)
        dashboard.store.append_audit(Event(kind="token.made", actor=Actor(type="user", login="late")))
        page = client.get("/audit/verify").text
    assert "The log is intact" in page
    assert "intact: 6 entries are what was signed" in page  # five, and the grant of whoever looks
    assert "checked with" in page
    assert "What this cannot prove" in page
    assert re.search(r"not signed yet</th><td class=\"num\">1<", page)


def test_entry_that_was_changed_is_blamed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_dashboard(home, fill_a_little) as dashboard:
        sign_all(dashboard.store, home)
        with tampering(home) as database:
            (raw,) = database.execute("SELECT bytes FROM audit_entries WHERE position = 2").fetchone()
            database.execute("UPDATE audit_entries SET bytes = ? WHERE position = 2", (raw.replace(b"u2", b"xx"),))
        found = verify_log(dashboard.store, None)
        with dashboard.client() as client:
            page = client.get("/audit/verify").text
    assert (found.code, found.key) == (Code.ALTERED, "")
    assert "The log was altered" in page


def test_log_that_lost_entries_or_is_signed_by_another_key_is_not_intact(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_dashboard(home, fill_a_little) as dashboard:
        sign_all(dashboard.store, home)
        stranger = generate_key(dashboard.store.log_id).verifier
        assert verify_log(dashboard.store, stranger).code is Code.ALTERED
        with tampering(home) as database:
            database.execute("DELETE FROM audit_entries WHERE position = 4")
        found = verify_log(dashboard.store, None)
    assert (found.code, found.first_bad) == (Code.INCOMPLETE, 4)


def test_nothing_is_proved_while_nothing_is_signed_or_when_time_is_up(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_dashboard(home, fill_a_little) as dashboard:
        assert verify_log(dashboard.store, None).code is Code.INCOMPLETE
        sign_all(dashboard.store, home)
        found = verify_log(dashboard.store, None, seconds=-1)
    assert (found.code, found.first_bad) == (Code.INCOMPLETE, None)
    assert "time was up" in found.message
    assert MOST_HEADS > 1
