"""The forge's rows and the one SQLite file that holds them.

Git objects and refs live in the bare repositories; everything else that GitHub remembers lives here. The table `refs`
is what was announced last, so that whatever moved a ref, also right before a crash, is told exactly once.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS owners (
  id INTEGER PRIMARY KEY AUTOINCREMENT, login TEXT NOT NULL COLLATE NOCASE UNIQUE);
CREATE TABLE IF NOT EXISTS repositories (
  id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL COLLATE NOCASE,
  private INTEGER NOT NULL, default_branch TEXT NOT NULL, description TEXT, last_number INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL, updated_at TEXT NOT NULL, pushed_at TEXT, UNIQUE (owner, name));
CREATE TABLE IF NOT EXISTS refs (
  repo_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE, name TEXT NOT NULL, sha TEXT NOT NULL,
  PRIMARY KEY (repo_id, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pulls (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  number INTEGER NOT NULL, title TEXT NOT NULL, body TEXT, state TEXT NOT NULL, draft INTEGER NOT NULL,
  user_id INTEGER NOT NULL, head_ref TEXT NOT NULL, head_sha TEXT NOT NULL, base_ref TEXT NOT NULL,
  base_sha TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, closed_at TEXT,
  merged_at TEXT, closed_by INTEGER, merged_by INTEGER, merge_commit_sha TEXT,
  merging_sha TEXT, merging_by INTEGER, UNIQUE (repo_id, number));
CREATE UNIQUE INDEX IF NOT EXISTS one_open_pull ON pulls (repo_id, head_ref, base_ref) WHERE state = 'open';
CREATE TABLE IF NOT EXISTS labels (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  number INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (repo_id, number, name));
CREATE TABLE IF NOT EXISTS comments (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  number INTEGER NOT NULL, user_id INTEGER NOT NULL, body TEXT NOT NULL, created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS reviews (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  number INTEGER NOT NULL, user_id INTEGER NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL,
  commit_id TEXT NOT NULL, submitted_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS reviews_by_pull ON reviews (repo_id, number);
CREATE TABLE IF NOT EXISTS statuses (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  sha TEXT NOT NULL, state TEXT NOT NULL, context TEXT NOT NULL, description TEXT, target_url TEXT,
  user_id INTEGER NOT NULL, created_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS statuses_by_sha ON statuses (repo_id, sha);
CREATE TABLE IF NOT EXISTS check_runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  head_sha TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL, conclusion TEXT, details_url TEXT,
  external_id TEXT NOT NULL, title TEXT, summary TEXT, text TEXT, user_id INTEGER NOT NULL, started_at TEXT,
  completed_at TEXT);
CREATE INDEX IF NOT EXISTS check_runs_by_sha ON check_runs (repo_id, head_sha);
CREATE TABLE IF NOT EXISTS hooks (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  url TEXT NOT NULL, secret TEXT NOT NULL, content_type TEXT NOT NULL, events TEXT NOT NULL, active INTEGER NOT NULL,
  created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, hook_id INTEGER NOT NULL REFERENCES hooks ON DELETE CASCADE,
  guid TEXT NOT NULL, event TEXT NOT NULL, action TEXT, redelivery INTEGER NOT NULL, body BLOB NOT NULL,
  delivered_at TEXT NOT NULL, state TEXT NOT NULL, status TEXT NOT NULL, status_code INTEGER NOT NULL,
  duration REAL NOT NULL, request_headers TEXT NOT NULL, response_headers TEXT NOT NULL, response_body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS deliveries_by_hook ON deliveries (hook_id, id);
CREATE TABLE IF NOT EXISTS sessions (
  token_sha256 TEXT PRIMARY KEY, user_id INTEGER NOT NULL, csrf TEXT NOT NULL, expires INTEGER NOT NULL);
INSERT OR IGNORE INTO owners (id, login) VALUES (1000, 'launchpin-owners-start-here');
"""


@dataclass(frozen=True)
class Repository:
    """One row of `repositories`; `description` and `pushed_at` may be missing."""

    id: int
    owner: str
    name: str
    private: int
    default_branch: str
    description: str | None
    last_number: int
    created_at: str
    updated_at: str
    pushed_at: str | None

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True)
class Pull:
    """One row of `pulls`.

    `base_sha` is the base branch when it was last looked at, for a merged one just before its merge. `merging_sha` is
    a merge that was begun: the commit exists, and the base branch may hold it already.
    """

    id: int
    repo_id: int
    number: int
    title: str
    body: str | None
    state: str
    draft: int
    user_id: int
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    created_at: str
    updated_at: str
    closed_at: str | None
    closed_by: int | None
    merged_at: str | None
    merged_by: int | None
    merge_commit_sha: str | None
    merging_sha: str | None
    merging_by: int | None

    @property
    def is_open(self) -> bool:
        """Whether it is neither closed nor merged."""
        return self.state == "open"


@dataclass(frozen=True)
class Comment:
    """One row of `comments`."""

    id: int
    repo_id: int
    number: int
    user_id: int
    body: str
    created_at: str
    updated_at: str


@dataclass(frozen=True)
class Review:
    """One row of `reviews`; `commit_id` was the head when somebody reviewed it."""

    id: int
    repo_id: int
    number: int
    user_id: int
    state: str
    body: str
    commit_id: str
    submitted_at: str


@dataclass(frozen=True)
class Status:
    """One row of `statuses`: what somebody said about a commit."""

    id: int
    repo_id: int
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    user_id: int
    created_at: str


@dataclass(frozen=True)
class CheckRun:
    """One row of `check_runs`."""

    id: int
    repo_id: int
    head_sha: str
    name: str
    status: str
    conclusion: str | None
    details_url: str | None
    external_id: str
    title: str | None
    summary: str | None
    text: str | None
    user_id: int
    started_at: str | None
    completed_at: str | None


@dataclass(frozen=True)
class Hook:
    """One row of `hooks`; `events` are words joined by commas."""

    id: int
    repo_id: int
    url: str
    secret: str
    content_type: str
    events: str
    active: int
    created_at: str
    updated_at: str

    def wants(self, event: str) -> bool:
        """Whether this event is to be sent to it."""
        subscribed = self.events.split(",")
        return bool(self.active) and (event == "ping" or event in subscribed or "*" in subscribed)


@dataclass(frozen=True)
class Delivery:
    """One row of `deliveries`: one attempt to tell one hook one event; `state` is `queued` or `done`."""

    id: int
    hook_id: int
    guid: str
    event: str
    action: str | None
    redelivery: int
    body: bytes
    delivered_at: str
    state: str
    status: str
    status_code: int
    duration: float
    request_headers: str
    response_headers: str
    response_body: str


class Database:
    """One connection, used by one thread at a time; writers begin at once, so that none fails half-way.

    Args:
        path: the file, made when it is missing, for its owner only.
    """

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(SCHEMA)

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        """Return the first row of a query, None without one."""
        with self._lock:
            found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
            return found

    def run(self, sql: str, *values: object) -> int:
        """Run one statement inside `write`; return the number of the row it inserted, if it did."""
        with self._lock:
            return self._connection.execute(sql, values).lastrowid or 0

    @contextmanager
    def write(self) -> Iterator[None]:
        """Run what is inside as one transaction."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def now() -> str:
    """Return the time as GitHub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
