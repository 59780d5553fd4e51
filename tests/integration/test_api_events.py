"""The API's stream of what changes, as a program reads it."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from gitops.access import EVERYWHERE
from gitops.audit.entry import parse
from gitops.writes import StartTraining
from tests.integration.api_rig import VIEWER, own, read_events
from tests.support.api import ROOT, give_token, program, program_as
from tests.support.dashboard import Dashboard
from tests.support.endpoint_host import wait_until
from tests.support.store import make_training, write
from webhooks.api.events import MOST, MOST_OF_ONE

__all__ = ["own"]


def test_the_stream_tells_each_change_once_and_goes_on_where_one_was_cut_off(own: Dashboard) -> None:
    size = own.store.audit_size()
    with program_as(own, VIEWER) as client:
        # The grant of whoever asks is told as well.
        all_ = read_events(client, size, after=-1)
        assert [number for number, _ in all_] == list(range(size))
        told = [event["kind"] for _, event in all_]
        assert told == [parse(raw).kind for raw in own.store.audit_entries(0, size)]
        assert read_events(client, 2, after=size - 3) == all_[-2:]


def test_the_stream_tells_what_happens_while_it_is_open(own: Dashboard) -> None:
    found: list[tuple[int, dict[str, Any]]] = []
    with program_as(own, VIEWER) as client:
        reader = threading.Thread(target=lambda: found.extend(read_events(client, 1)))
        # A stream without a place begins where the log ends when it is opened.
        reader.start()
        number = 0
        while reader.is_alive():
            number += 1
            write(own.store, StartTraining(make_training(id=f"t-live{number}", commit=f"{number:040x}")))
            reader.join(timeout=0.3)
    assert found[0][1]["kind"] == "training.started"
    assert found[0][1]["subject"]["training_id"].startswith("t-live")


def test_the_stream_holds_what_one_may_see(own: Dashboard) -> None:
    with program_as(own, VIEWER, on=3) as client:
        events = read_events(client, 3, after=-1)
    assert {event["subject"].get("repo") for _, event in events} == {"acme/churn"}


def test_no_more_streams_are_open_than_the_database_can_bear(own: Dashboard) -> None:
    texts = [give_token(own.store, f"many-{number}", {EVERYWHERE: VIEWER}) for number in range(MOST // MOST_OF_ONE + 1)]
    with contextlib.ExitStack() as stack:

        def opened(text: str) -> int:
            stream = stack.enter_context(program(own, text)).stream("GET", "/api/v1/events")
            return int(stack.enter_context(stream).status_code)

        assert [opened(texts[0]) for _ in range(MOST_OF_ONE + 1)] == [200] * MOST_OF_ONE + [503]
        assert {opened(text) for text in texts[1:-1] for _ in range(MOST_OF_ONE)} == {200}
        assert opened(texts[-1]) == 503
    with program(own, texts[-1]) as client:
        wait_until(lambda: _is_let_in(client), "a stream that was closed makes room", seconds=30)


def test_the_stream_ends_when_its_person_may_not_look_any_more(own: Dashboard) -> None:
    text = give_token(own.store, "leaving", {EVERYWHERE: VIEWER})
    person = next(each for each in own.store.people() if each.login == "leaving")
    with program(own, text) as client, client.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("id: ")
        own.store.ungrant(person.id, repository_id=EVERYWHERE, actor=ROOT)
        assert "grant.taken" not in "".join(lines)


def test_the_stream_says_where_it_is_before_anything_happens(own: Dashboard) -> None:
    with program_as(own, VIEWER) as client:
        size = own.store.audit_size()
        with client.stream("GET", "/api/v1/events") as stream:
            assert next(stream.iter_lines()) == f"id: {size - 1}"


def _is_let_in(client: httpx.Client) -> bool:
    with client.stream("GET", "/api/v1/events") as stream:
        return stream.status_code == 200


# ---------------------------------------------------------------- another log in the place of the one that was known


def next_events(lines: Iterator[str], count: int) -> list[tuple[int, str, dict[str, Any]]]:
    """Read so many events that say something, each with its id and name."""
    found: list[tuple[int, str, dict[str, Any]]] = []
    number, kind = -1, ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            number = int(value)
        if name == "event":
            kind = value
        if name == "data":
            found.append((number, kind, json.loads(value)))
            if len(found) == count:
                break
    return found


def test_a_place_that_the_log_does_not_reach_is_said_and_the_stream_goes_on_at_its_end(own: Dashboard) -> None:
    with program_as(own, VIEWER) as client:
        size = own.store.audit_size()
        for beyond in (size, size + 500):
            with client.stream("GET", "/api/v1/events", headers={"Last-Event-ID": str(beyond)}) as stream:
                lines = stream.iter_lines()
                assert next_events(lines, 1) == [(size - 1, "restored", {"next": size})]
                write(own.store, StartTraining(make_training(id=f"t-since{beyond}", commit=f"{beyond:040x}")))
                ((number, kind, told),) = next_events(lines, 1)
            assert (number, kind, told["subject"]["training_id"]) == (size, "training.started", f"t-since{beyond}")
            size = own.store.audit_size()
        with client.stream("GET", "/api/v1/events", headers={"Last-Event-ID": str(size - 2)}) as stream:
            assert next_events(stream.iter_lines(), 1)[0][:2] == (size - 1, "training.started")


def test_a_stream_that_is_open_while_the_log_is_restored_says_so_though_its_places_are_filled_again(
    own: Dashboard, tmp_path: Path
) -> None:
    text = give_token(own.store, "reader", {EVERYWHERE: VIEWER})
    with (
        contextlib.closing(sqlite3.connect(own.home / "launchpin.sqlite3")) as live,
        contextlib.closing(sqlite3.connect(tmp_path / "kept.sqlite3")) as kept,
        program(own, text) as client,
    ):
        live.backup(kept)
        before = own.store.audit_size()
        for number in range(3):
            write(own.store, StartTraining(make_training(id=f"t-lost{number}", commit=f"{number:040x}")))
        with client.stream("GET", "/api/v1/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == f"id: {before + 2}"
            kept.backup(live)
            for number in range(4):
                write(own.store, StartTraining(make_training(id=f"t-anew{number}", commit=f"{number + 9:040x}")))
            ((number, kind, told),) = next_events(lines, 1)
            assert (kind, told) == ("restored", {"next": number + 1})
            assert before <= number + 1 <= before + 4
            write(own.store, StartTraining(make_training(id="t-after", commit="f" * 40)))
            known = dict.fromkeys(f"t-anew{number}" for number in range(4))
            told = {}
            while told.get("subject", {}).get("training_id") != "t-after":
                ((_, kind, told),) = next_events(lines, 1)
                assert told["subject"]["training_id"] in {*known, "t-after"}
