"""`make bench`: measures every row, shows the table, writes it to `docs/`, and fails when a row misses its goal."""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence

from tests.benchmarks.figures import Result, Scale
from tests.benchmarks.report import lines, write_page

BENCHMARKS = {
    "Receiving": "tests.benchmarks.receiving",
    "Starting work": "tests.benchmarks.dispatch",
    "The loop": "tests.benchmarks.loop",
    "Comparing pins": "tests.benchmarks.pins",
    "Audit log": "tests.benchmarks.audit_log",
    "Looking up versions": "tests.benchmarks.versions",
    "Environments": "tests.benchmarks.environments",
    "Starting and resting": "tests.benchmarks.starting",
}


def run(name: str, scale: Scale) -> Result:
    """Run one benchmark, and show its rows."""
    begun = time.monotonic()
    sys.stdout.write(f"{name} ...\n")
    sys.stdout.flush()
    result: Result = importlib.import_module(BENCHMARKS[name]).measure(scale)
    for what, ours, beside, ratio, reach, verdict, note in lines(result.rows):
        told = "  ".join(filter(None, (ours, f"({beside})" if beside else "", ratio, reach, verdict, note)))
        sys.stdout.write(f"  {what}\n      {told}\n")
    sys.stdout.write(f"  took {time.monotonic() - begun:.0f} s\n")
    sys.stdout.flush()
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that were asked for; all of them are written to `docs/`.

    Returns:
        1 when a row misses its goal, 0 otherwise.
    """
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=tuple(BENCHMARKS), help="run this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="only see that everything can be measured")
    asked = parser.parse_args(arguments)
    begun = time.monotonic()
    results = {name: run(name, Scale(is_quick=asked.quick)) for name in asked.only or BENCHMARKS}
    if not asked.only and not asked.quick:
        write_page(results)
    missed = [row for result in results.values() for row in result.rows if not row.is_reached]
    rows = sum(len(result.rows) for result in results.values())
    sys.stdout.write(f"{rows} rows, {len(missed)} missed, {(time.monotonic() - begun) / 60:.0f} min\n")
    return 1 if missed and not asked.quick else 0


if __name__ == "__main__":
    sys.exit(main())
