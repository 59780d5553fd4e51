"""Another process that holds a whole database, so that nobody writes there."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator

_HOLD = {
    "sqlite": """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1].removeprefix("sqlite:///"), isolation_level=None, timeout=30)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
held.execute("ROLLBACK")
""",
    "postgresql+psycopg": """
import psycopg, sys
held = psycopg.connect(sys.argv[1])
held.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
print("held", flush=True)
sys.stdin.read()
held.execute("SELECT 1")
held.rollback()
""",
}


@contextlib.contextmanager
def holding(url: str) -> Iterator[Callable[[], None]]:
    """Hold a database until it is released, at the block's end at the latest; releasing it fails where it was lost."""
    command = [sys.executable, "-P", "-c", _HOLD[url.partition(":")[0]], url.replace("+psycopg", "")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        def release() -> None:
            holder.communicate(timeout=30)
            assert holder.returncode == 0, "the database was not held until now"

        yield release
