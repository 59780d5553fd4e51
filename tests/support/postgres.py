"""A real PostgreSQL on a loopback port: one cluster for each session of tests, a fresh database for each test.

PostgreSQL's programs are looked for on PATH and where Debian and Homebrew put them. As root, the server runs as another
user, because it refuses to be root.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

from gitops.store.migrate import migrate
from tests.support.mlflow import free_port

HOST = "test.example"
_PLACES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin")
_USERS = ("postgres", "nobody")
_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder there that is ours alone
_ROOM = 2 * 1024**3
_TEMPLATE = "launchpin_template"
_MISSING = "PostgreSQL's programs are missing: apt-get install postgresql, or brew install postgresql@17"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_min_messages": "log",
}
# Ends a server whose tests were killed; only one whose command names this folder.
_GUARD = """
cat >/dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && ps -o args= -p "$pid" | grep -qF "$1" && kill -QUIT "$pid"
while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
rm -rf "$1"
"""
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def find_programs() -> Path | None:
    """Return the folder with PostgreSQL's programs, the newest where there are several."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = (folder for place in _PLACES for folder in Path("/").glob(place.removeprefix("/")))
    return max((folder for folder in found if (folder / "initdb").exists()), default=None, key=_version)


def _version(folder: Path) -> int:
    return int("".join(filter(str.isdigit, folder.parent.name)) or 0)


@dataclass
class Postgres:
    """A server.

    Args:
        folder: of this server alone, which its user can reach.
        is_durable: whether it waits for its disk, as in production.
    """

    folder: Path
    is_durable: bool = False
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def url_for(self, name: str, *, user: str = "launchpin") -> str:
        """Return the URL of a database."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{name}"

    def admin(self, name: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """Return a connection as superuser, each statement a transaction of its own."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=name, autocommit=True, connect_timeout=5
        )

    def initialise(self) -> None:
        """Make the cluster and start it, with a role that is no superuser and a migrated template."""
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        self._run("initdb", "--pgdata", str(self._data), *options, "--no-instructions")
        settings = _SETTINGS | {"port": str(self.port)} | ({} if self.is_durable else _FORGETFUL)
        if sys.platform == "linux":
            # After a crash one call for the file system, instead of one for each file of every database.
            settings["recovery_init_sync_method"] = "syncfs"
        lines = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.write(lines)
        rules = "host all with_password 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
        (self._data / "pg_hba.conf").write_text(rules)
        self.start()
        with self.admin() as connection:
            connection.execute("CREATE ROLE launchpin LOGIN CREATEDB")
        self.make_empty(_TEMPLATE)
        migrate(self.url_for(_TEMPLATE), host=HOST)

    def make_empty(self, name: str = "") -> str:
        """Make a database without a schema and return its URL."""
        return self._create(name, "template0")

    def make_database(self, name: str = "") -> str:
        """Make a migrated database and return its URL."""
        return self._create(name, _TEMPLATE)

    def _create(self, name: str, template: str) -> str:
        name = name or f"test_{next(self._numbers)}"
        with self.admin() as connection:
            create = sql.SQL("CREATE DATABASE {} OWNER launchpin TEMPLATE {}")
            # Twice as fast where it is known; before 15 it is the only way.
            how = sql.SQL(" STRATEGY file_copy" if connection.info.server_version >= 150_000 else "")
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)) + how)
        return self.url_for(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected."""
        with self.admin() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(url.rpartition("/")[2]))
            )

    def start(self) -> None:
        """Start the server and wait until it answers; after a crash it recovers first."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                (self._program("postgres"), "-D", str(self._data)),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                **_identity(),
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.admin().close()
            except psycopg.OperationalError:
                is_hopeless = self.process.poll() is not None or time.monotonic() > deadline
            else:
                return
            assert not is_hopeless, f"PostgreSQL did not start: {self._log_tail()}"
            time.sleep(0.01)  # the pace of looking

    def revive(self) -> None:
        """Start the server again where it ended by itself."""
        assert self.process is not None
        while True:
            try:
                self.admin().close()
            except psycopg.OperationalError:
                if self.process.poll() is not None:
                    self.start()
                time.sleep(0.05)  # the pace of looking
            else:
                return

    def kill(self) -> None:
        """Kill the server at once and wait until its children saw that: they write on until they do."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)  # so that it has no more children
        children = psutil.Process(self.process.pid).children(recursive=True)
        self._end(signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(map(_lives, children)):
            assert time.monotonic() < deadline, "PostgreSQL's processes do not end"
            time.sleep(0.005)  # the pace of looking

    def stop(self) -> None:
        """Stop the server as in a crash, but let it end its children."""
        self._end(signal.SIGQUIT)

    def _end(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)
        self.process.wait(timeout=30)
        self.process = None

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _program(self, name: str) -> str:
        programs = find_programs()
        assert programs is not None, _MISSING
        return str(programs / name)

    def _run(self, program: str, *arguments: str) -> None:
        command = (self._program(program), *arguments)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, cwd=self.folder, check=False, **_identity()
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"

    def _log_tail(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]


def _identity() -> dict[str, Any]:
    """Return as whom a program runs: another user when we are root, with no group of ours."""
    if os.geteuid() != 0:
        return {}
    user = _user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


def _user() -> pwd.struct_passwd:
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in _USERS if name in known)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def running_postgres(*, is_durable: bool = False, inside: Path | None = None) -> Iterator[Postgres]:
    """Run a server until the end of the block, in a folder of its own that no other user's folder stands in the way of.

    Args:
        is_durable: whether it waits for its disk, as in production.
        inside: a folder that the server's user can reach; by default one in memory where nothing must last.
    """
    require(find_programs(), _MISSING)
    folder = Path(tempfile.mkdtemp(prefix="launchpin-postgres-", dir=inside or (None if is_durable else _memory())))
    if os.geteuid() == 0:
        os.chown(folder, _user().pw_uid, _user().pw_gid)
    server = Postgres(folder, is_durable)
    # Reads until we are gone, however that came.
    with subprocess.Popen(("sh", "-c", _GUARD, "guard", str(folder)), stdin=subprocess.PIPE):
        try:
            server.initialise()
            yield server
        finally:
            if server.process is not None:
                server.stop()
            shutil.rmtree(folder)


def _memory() -> Path | None:
    """Return a folder in memory with room for a cluster, four times as fast on a busy disk; None without one."""
    is_large = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
    return _MEMORY if is_large else None


def require(found: object, missing: str) -> None:
    """Skip the test where something of the machine is not there, saying how to get it; in CI that is a failure."""
    if found:
        return
    if os.environ.get("LAUNCHPIN_CI") or os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
