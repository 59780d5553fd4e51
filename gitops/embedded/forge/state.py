"""What every request shares: the rows, the repositories, their locks, and the outbox of events."""

import re
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pygit2

from gitops.embedded.forge.accounts import Account, Accounts
from gitops.embedded.forge.deliveries import Sender, queue_event
from gitops.embedded.forge.errors import ForgeError, Json, invalid, not_found
from gitops.embedded.forge.git import make_repository
from gitops.embedded.forge.records import Database, Repository, now

_OWNER = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_RESERVED = {"api", "healthz"}


class Transaction:
    """One transaction of the database, and the deliveries to send once it is committed."""

    def __init__(self, forge: "Forge") -> None:
        self._forge = forge
        self.deliveries: list[int] = []

    def run(self, sql: str, *values: object) -> int:
        """Run one statement; return the number of the row it inserted, if it did."""
        return self._forge.db.run(sql, *values)

    def emit(self, repo: Repository, event: str, payload: Json) -> None:
        """Queue one delivery of an event for each hook that wants it."""
        self.deliveries += queue_event(self._forge.db, repo.id, event, payload)


class Forge:
    """The embedded forge without its HTTP.

    Args:
        home: the data directory.
        url: the public URL, without a slash at its end.
        accounts: who may use it.
    """

    def __init__(self, home: Path, url: str, accounts: Accounts) -> None:
        self.home = home
        self.url = url.rstrip("/")
        self.api = f"{self.url}/api/v3"
        self.accounts = accounts
        self.folder = home / "repositories"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.db = Database(home / "forge.sqlite3")
        self.sender = Sender(self.db)
        self._locks: defaultdict[int, threading.RLock] = defaultdict(threading.RLock)
        self._locks_lock = threading.Lock()

    @contextmanager
    def lock(self, repo: Repository) -> Iterator[None]:
        """Let one thread at a time move refs of a repository."""
        with self._locks_lock:
            lock = self._locks[repo.id]
        with lock:
            yield

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run what is inside as one transaction; what it emitted is sent after the commit."""
        with self.db.write():
            transaction = Transaction(self)
            yield transaction
        self.sender.submit(transaction.deliveries)

    def path(self, repo: Repository) -> Path:
        """Return where the bare repository lies: by number, so that no name ever becomes a path."""
        return self.folder / f"{repo.id}.git"

    def open(self, repo: Repository) -> pygit2.Repository:
        """Open the bare repository."""
        return pygit2.Repository(str(self.path(repo)), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)

    def repository(self, owner: str, name: str) -> Repository:
        """Find a repository by its names, whatever their case.

        Raises:
            ForgeError: 404.
        """
        row = self.db.row("SELECT * FROM repositories WHERE owner = ? AND name = ?", owner, name)
        if row is None:
            raise not_found()
        return Repository(**dict(row))

    def repository_by_id(self, number: int) -> Repository:
        """Find a repository by its number.

        Raises:
            ForgeError: 404.
        """
        row = self.db.row("SELECT * FROM repositories WHERE id = ?", number)
        if row is None:
            raise not_found()
        return Repository(**dict(row))

    def repositories(self, owner: str = "") -> list[Repository]:
        """Return all repositories, or those of one owner, by name."""
        rows = self.db.rows("SELECT * FROM repositories WHERE ? IN ('', owner) ORDER BY owner, name", owner)
        return [Repository(**dict(row)) for row in rows]

    def create_repository(self, owner: str, name: str, *, fields: Json) -> Repository:
        """Make an empty repository.

        Args:
            owner: an account or any organization's name.
            name: the repository's name.
            fields: `private`, `description` and `default_branch`, each if wanted.

        Raises:
            ForgeError: 422 when a name is not allowed or taken.
        """
        if not is_owner_name(owner):
            raise invalid("Repository", "owner")
        if not _NAME.fullmatch(name) or name in {".", ".."} or name.lower().endswith(".git"):
            raise invalid("Repository", "name")
        moment, branch = now(), str(fields.get("default_branch") or "main")
        if not pygit2.reference_is_valid_name(f"refs/heads/{branch}"):
            raise invalid("Repository", "default_branch")
        with self.db.write():
            if self.db.row("SELECT 1 FROM repositories WHERE owner = ? AND name = ?", owner, name):
                message = "name already exists on this account"
                raise invalid("Repository", "name", "custom", message=message)
            self.db.run("INSERT OR IGNORE INTO owners (login) VALUES (?)", owner)
            number = self.db.run(
                "INSERT INTO repositories (owner, name, private, default_branch, description, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(owner, name, bool(fields.get("private")), branch, fields.get("description"), moment, moment),
            )
            make_repository(self.folder / f"{number}.git", branch)
        return self.repository(owner, name)

    def delete_repository(self, repo: Repository) -> None:
        """Forget a repository and remove its files."""
        with self.lock(repo):
            with self.db.write():
                self.db.run("DELETE FROM repositories WHERE id = ?", repo.id)
            shutil.rmtree(self.path(repo), ignore_errors=True)

    def owner(self, login: str) -> Account:
        """Return the account of an owner; a name that is no account is an organization.

        Raises:
            ForgeError: 404 when no organization can have that name.
        """
        if account := self.accounts.by_login(login):
            return account
        if not is_owner_name(login):
            raise not_found()
        row = self.db.row("SELECT id, login FROM owners WHERE login = ?", login)
        if row is None:
            with self.db.write():
                self.db.run("INSERT OR IGNORE INTO owners (login) VALUES (?)", login)
            row = self.db.row("SELECT id, login FROM owners WHERE login = ?", login)
        if row is None:
            raise ForgeError(500, "owner was not stored")
        return Account(row["id"], row["login"], "Organization")

    def close(self) -> None:
        """Stop sending and close the file."""
        self.sender.close()
        self.db.close()


def is_owner_name(login: str) -> bool:
    """Whether an account or an organization may have this name."""
    return bool(_OWNER.fullmatch(login)) and login.lower() not in _RESERVED
