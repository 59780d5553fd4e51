"""Collects the tallies of all fault tests and prints them as one table at the end of the run.

The hooks belong to `tests/conftest.py`: with several test processes the one that prints loads no other.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator

import pytest

from tests.faults.tally import Tally, is_full

_PROPERTY = "launchpin_tally"
_BEGUN = time.monotonic()
_ROWS = pytest.StashKey[list[Tally]]()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[str], Tally]:
    """Give a function that opens a row of the closing table."""
    rows: list[Tally] = request.node.stash.setdefault(_ROWS, [])

    def open_row(name: str) -> Tally:
        rows.append(Tally(name))
        return rows[-1]

    return open_row


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put a test's rows into its report, because with several test processes the table is printed by another one."""
    report = yield
    if call.when == "call":
        for row in item.stash.get(_ROWS, []):
            value = json.dumps([row.name, row.cases, len(row.breaches), row.figures])
            report.user_properties.append((_PROPERTY, value))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each row: cases, breaches, and what was measured."""
    rows = sorted(_rows(terminalreporter), key=lambda row: row[:3])
    if not rows:
        return
    terminalreporter.section("faults, all cases" if is_full() else "faults, one slice of ten")
    wide = max(len(row[0]) for row in rows)
    terminalreporter.write_line(f"{'promise'.ljust(wide)}  {'cases':>7}  {'breaches':>8}  figures")
    for name, cases, breaches, figures in rows:
        told = ", ".join(f"{key} {value}" for key, value in figures.items())
        terminalreporter.write_line(f"{name.ljust(wide)}  {cases:>7,}  {breaches:>8}  {told}")
    cases, breaches = sum(row[1] for row in rows), sum(row[2] for row in rows)
    failed, left_out = (_count(terminalreporter, outcome) for outcome in ("failed", "skipped"))
    minutes, seconds = divmod(round(time.monotonic() - _BEGUN), 60)
    ended = f"{minutes} min {seconds} s; {failed} of the tests failed, {left_out} left out for want of a part"
    terminalreporter.write_line(f"{'in all'.ljust(wide)}  {cases:>7,}  {breaches:>8}  {ended}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a run that was to do everything fail when it left something out: no breach found is then no proof."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and is_full() and session.exitstatus == pytest.ExitCode.OK and _count(reporter, "skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _count(reporter: pytest.TerminalReporter, outcome: str) -> int:
    return sum(is_full() or "tests/faults/" in report.nodeid for report in reporter.getreports(outcome))


def _rows(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, int, int, dict[str, str]]]:
    for outcome in ("passed", "failed"):
        for report in reporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == _PROPERTY:
                    told, cases, breaches, figures = json.loads(str(value))
                    yield told, cases, breaches, figures
