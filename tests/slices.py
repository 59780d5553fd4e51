"""`python -m tests.slices`: to which of the ten slices of ordinary runs those tests belong that name some."""

import contextlib
import io
import os
import sys

import pytest

from tests.faults.tally import SLICES


class _Table:
    """Keeps what was collected: for each test that names slices, which."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, ...]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            if mark := item.get_closest_marker("slices"):
                self.rows[item.nodeid.partition("[")[0]] = mark.args


def main() -> int:
    """Collect every test, and print the table; or, where they cannot be collected, what pytest says."""
    os.environ["LAUNCHPIN_FAULTS"] = "all"
    table = _Table()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider"], plugins=[table])
    if code:
        sys.stdout.write(said.getvalue())
        return int(code)
    rows = sorted((numbers, test) for test, numbers in table.rows.items())
    shown = [" ".join("x" if one in numbers else "." for one in range(SLICES)) + f"  {test}" for numbers, test in rows]
    sys.stdout.write("\n".join([" ".join(map(str, range(SLICES))) + "  test", *shown]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
