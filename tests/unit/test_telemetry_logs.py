"""What a process writes as its log: each test starts one, since logging belongs to the whole process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gitops.telemetry.lines import show_line

ROOT = Path(__file__).parents[2]
_BEGIN = """
import logging
from gitops.embedded.logs import begin_logs
from gitops.telemetry.context import bound, note
begin_logs("control", "s3cr3t-value")
log = logging.getLogger("some.module")
"""


def written(program: str, *, code: int = 0, **variables: str) -> str:
    """Return what a process writes to standard error."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _BEGIN + program],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout == b""
    return done.stderr.decode("ascii" if "LAUNCHPIN_LOG" not in variables else "utf-8")


def records(program: str, *, code: int = 0) -> list[dict[str, Any]]:
    """Return the records that a process writes; each must be one line of JSON."""
    text = written(program, code=code)
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def record(program: str, *, code: int = 0) -> dict[str, Any]:
    (only,) = records(program, code=code)
    return only


def test_record_says_when_how_bad_where_and_what() -> None:
    told = record("log.warning('the %s is low', 'disk', extra={'free': 12})")
    assert list(told)[:5] == ["ts", "level", "part", "logger", "event"]
    assert told["ts"].endswith("Z")
    assert len(told["ts"]) == len("2026-01-31T12:00:00.000000Z")
    del told["ts"]
    assert told == {
        "level": "warning",
        "part": "control",
        "logger": "some.module",
        "event": "the disk is low",
        "free": 12,
    }


def test_record_carries_what_is_being_worked_on() -> None:
    inside, outside = records(
        """
with bound(delivery="d-1", job=7, epoch=2, empty=""):
    note(step="train")
    log.info("in")
log.info("out")
"""
    )
    assert {name: inside[name] for name in ("delivery", "job", "epoch", "step")} == {
        "delivery": "d-1",
        "job": 7,
        "epoch": 2,
        "step": "train",
    }
    assert "empty" not in inside
    assert "job" not in outside


def test_threads_do_not_see_each_others_fields() -> None:
    told = record("""
import threading
with bound(job=7):
    thread = threading.Thread(target=lambda: log.info("other"))
    thread.start(); thread.join()
""")
    assert "job" not in told


def test_attack_79_a_line_break_and_json_inside_a_value_stay_one_record() -> None:
    hostile = '\\r\\n{"level": "audit", "event": "granted"}\\r\\n\\u2028\\x1b[2J\\x00'
    told = record(f"log.info('branch %s', '''{hostile}''', extra={{'ref': '''{hostile}'''}})")
    assert told["level"] == "info"
    assert told["event"].startswith('branch \r\n{"level": "audit"')
    assert told["ref"].endswith("\x1b[2J\x00")


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\ud800", "é"])
def test_attack_79_nothing_but_printable_ascii_is_written(character: str) -> None:
    text = written(f"log.info({character!r})")
    assert set(text) - {"\n"} <= {chr(number) for number in range(0x20, 0x7F)}
    assert json.loads(text)["event"] == (character if character != "\ud800" else "\\ud800")


def test_attack_79_fixed_fields_cannot_be_replaced() -> None:
    told = record("log.info('x', extra={'ts': 'never', 'level': 'audit', 'event': 'y', 'part': 'web', 'job': 1})")
    assert (told["level"], told["event"], told["part"], told["job"]) == ("info", "x", "control", 1)
    assert told["ts"] != "never"


def test_attack_80_known_secrets_and_tokens_are_masked_wherever_they_stand() -> None:
    error, raised = records(
        """
with bound(subject="s3cr3t-value"):
    log.error("asked https://x-access-token:ghs_abc@github.com/a/b", extra={"header": "Bearer s3cr3t-value"})
raise RuntimeError("refused czNjcjN0LXZhbHVl and s3cr3t-value")
""",
        code=1,
    )
    assert error["event"] == "asked https://***@github.com/a/b"
    assert (error["header"], error["subject"]) == ("Bearer ***", "***")
    assert raised["exception"].endswith("RuntimeError: refused *** and ***")


def test_error_that_nobody_caught_is_a_record_with_its_traceback() -> None:
    told = record("def f():\n    raise KeyError('gone')\nf()", code=1)
    assert (told["level"], told["event"]) == ("critical", "this process dies of an error")
    assert told["exception"].startswith("Traceback (most recent call last):\n")
    assert told["exception"].endswith("KeyError: 'gone'")


def test_error_that_ends_a_thread_is_a_record() -> None:
    told = record("import threading\nt = threading.Thread(target=lambda: 1 / 0, name='beat')\nt.start()\nt.join()")
    assert told["event"] == "thread beat died of an error"
    assert "ZeroDivisionError" in told["exception"]


def test_warnings_of_libraries_are_records() -> None:
    assert record("import warnings\nwarnings.warn('old')")["logger"] == "py.warnings"


def test_record_that_cannot_be_written_is_told_and_nothing_breaks() -> None:
    class_with_bad_repr = "class Bad:\n    def __repr__(self):\n        raise OSError('no')\n"
    first, second, third = records(
        class_with_bad_repr + "log.info('%s %s', 1)\nlog.info('x', extra={'bad': Bad()})\nlog.info('on')"
    )
    assert first["event"].startswith("a record cannot be written (TypeError)")
    assert second["bad"] == "<a Bad that cannot be shown: OSError>"
    assert third["event"] == "on"


def test_numbers_that_json_does_not_know_are_written_as_words() -> None:
    told = record("log.info('x', extra={'loss': float('nan'), 'most': float('inf'), 'share': 0.5})")
    assert (told["loss"], told["most"], told["share"]) == ("nan", "inf", 0.5)


def test_record_is_cut_where_it_would_be_too_long_for_a_line() -> None:
    assert len(written("log.info('x' * 1_000_000)")) < 20_000


def test_requests_that_we_send_leave_no_line() -> None:
    assert written("logging.getLogger('httpx').info('HTTP Request: GET http://127.0.0.1')") == ""


def test_text_is_for_people_and_moves_no_cursor() -> None:
    text = written("log.info('up\\n\\x1b[2J', extra={'job': 3})", LAUNCHPIN_LOG="text")
    assert text.count("\n") == 1
    assert text.endswith("INFO     some.module: up\\x0a\\x1b[2J job=3\n")


def test_a_wrong_form_is_refused_by_the_settings_and_still_logged() -> None:
    told = written("from gitops.settings import Settings\nSettings()", code=1, LAUNCHPIN_LOG="xml")
    assert "Input should be 'json' or 'text'" in json.loads(told)["exception"]


def test_logs_load_structlog_without_rich() -> None:
    loaded = {name.partition(".")[0] for name in record("import sys\nlog.info(' '.join(sys.modules))")["event"].split()}
    assert "structlog" in loaded
    assert loaded & {"rich", "opentelemetry", "prometheus_client", "pydantic"} == set()


def test_secrets_that_the_settings_name_are_known(tmp_path: Path) -> None:
    for name, text in {"redis.url": "redis://:pass-of-redis@127.0.0.1:1/0", "token": "token-of-forge"}.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(text)
    (tmp_path / "open").write_text("read-by-all")
    (tmp_path / "open").chmod(0o644)
    program = """
from gitops.bootstrap import observe
from gitops.settings import Settings
observe("relay", Settings())
log.info("pass-of-redis token-of-forge key-of-collector")
"""
    text = written(
        program,
        LAUNCHPIN_REDIS_URL_FILE=str(tmp_path / "redis.url"),
        LAUNCHPIN_FORGE_TOKEN_FILE=str(tmp_path / "token"),
        LAUNCHPIN_ENDPOINT_TOKEN_FILE=str(tmp_path / "open"),
        OTEL_EXPORTER_OTLP_HEADERS="x-api-key=key-of-collector",
    )
    assert json.loads(text)["event"] == "*** *** ***"


def test_credentials_of_the_tracking_server_are_known_where_they_are_set() -> None:
    program = """
from gitops.bootstrap import observe
from gitops.settings import Settings
observe("control", Settings())
log.info("token-of-tracking pass-of-tracking")
"""
    text = written(program, MLFLOW_TRACKING_TOKEN="token-of-tracking", MLFLOW_TRACKING_PASSWORD="pass-of-tracking")
    assert json.loads(text)["event"] == "*** ***"
    assert json.loads(written(program))["event"] == "token-of-tracking pass-of-tracking"


@pytest.mark.parametrize("module", ["gitops.reconcile", "gitops.cli.main", "workers.relay"])
def test_rules_and_the_loop_import_no_telemetry_library(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert set(done.stdout.split()) & {"structlog", "opentelemetry", "prometheus_client", "rich"} == set()


def test_a_record_is_shown_to_people_as_lines() -> None:
    line = (
        '{"ts": "2026-01-31T12:00:00.000001Z", "level": "error", "part": "web", "logger": "a.b", "event": "broke",'
        ' "job": 7, "exception": "Traceback:\\n  here\\nOSError: no"}'
    )
    assert list(show_line(line)) == [
        "2026-01-31T12:00:00.000001Z ERROR    a.b: broke job=7",
        "Traceback:",
        "  here",
        "OSError: no",
    ]


@pytest.mark.parametrize("line", ["plain text", '{"ts": broken', '{"ts": 1}', "", '{"other": "json"}'])
def test_a_line_that_is_no_record_is_shown_as_it_is(line: str) -> None:
    assert list(show_line(line)) == [line]
