"""Who may use the forge: two accounts, their tokens, and one-time links that open a browser session.

Tokens are stored as hashes; the plain ones lie beside them, readable by the owner only.
"""

import hashlib
import json
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gitops import logins
from gitops.errors import InputError
from gitops.private_files import write_private

BOT_LOGIN = "launchpin[bot]"
USER_LOGIN = "you"
_TOKENS = "tokens.json"
_LINKS = "links"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Account:
    """Somebody who acts: a person or an app.

    Args:
        id: stable number.
        login: the name shown.
        type: GitHub's word: `User`, `Bot` or `Organization`.
    """

    id: int
    login: str
    type: str

    @property
    def email(self) -> str:
        """The address written into commits that the forge makes for this account."""
        return f"{self.id}+{self.login}@users.noreply.localhost"


ACCOUNTS = {"bot": Account(1, BOT_LOGIN, "Bot"), "user": Account(2, USER_LOGIN, "User")}
GHOST = Account(10137, "ghost", "User")


class Accounts:
    """The accounts a forge knows, found by token or by number."""

    def __init__(self, by_hash: dict[str, Account]) -> None:
        self._by_hash = by_hash
        self._by_id = {account.id: account for account in (*ACCOUNTS.values(), *by_hash.values())}

    def by_token(self, unverified_token: str) -> Account | None:
        """Return whose token this is, None when nobody's."""
        return self._by_hash.get(_digest(unverified_token))

    def by_id(self, number: int | None) -> Account:
        """Return the account of that number, GitHub's `ghost` when it is gone."""
        return self._by_id.get(number or 0, GHOST)

    def by_login(self, login: str) -> Account | None:
        """Return the account of that name, whatever the case."""
        wanted = login.lower()
        return next((account for account in self._by_id.values() if account.login.lower() == wanted), None)

    def all(self) -> Iterable[Account]:
        """Return every account."""
        return self._by_id.values()


def make_tokens(home: Path) -> dict[str, str]:
    """Make a token for each account, or return those made before.

    Args:
        home: the forge's data directory; made, for its owner only, when it is missing.

    Returns:
        `bot` and `user`, the plain tokens.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    tokens = {name: _read_or_make(home / f"{name}.token") for name in ACCOUNTS}
    rows = [
        {"token_sha256": _digest(tokens[name]), "login": account.login, "id": account.id, "type": account.type}
        for name, account in ACCOUNTS.items()
    ]
    write_private(home / _TOKENS, json.dumps(rows, indent=2))
    return tokens


def load_accounts(home: Path) -> Accounts:
    """Read the hash file.

    Raises:
        InputError: when the file is missing, readable by others, or not as `make_tokens` writes it.
    """
    path = home / _TOKENS
    try:
        mode = path.stat().st_mode
        rows = json.loads(path.read_text())
        accounts = {row["token_sha256"]: Account(int(row["id"]), str(row["login"]), str(row["type"])) for row in rows}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError("tokens_unreadable", f"cannot read the forge's accounts: {error}", file=_TOKENS) from error
    if mode & _OTHERS:
        raise InputError("insecure_mode", "must be readable by its owner only: chmod 600", file=_TOKENS)
    return Accounts(accounts)


def mint_link(home: Path, next_path: str = "/") -> str:
    """Make a link that opens one browser session as the person, once, within 15 minutes.

    Only whoever may write into the forge's directory can do this; the forge learns a hash.

    Args:
        home: the forge's data directory.
        next_path: the page to show after it, beginning with a slash.

    Returns:
        The path to put behind the forge's URL.
    """
    return logins.mint_link(home / _LINKS, next_path=next_path)


def use_link(home: Path, unverified_token: str) -> bool:
    """Use up a one-time link; say whether it was good."""
    return logins.use_link(home / _LINKS, unverified_token) is not None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _read_or_make(path: Path) -> str:
    if path.exists():
        return path.read_text().strip()
    token = f"lp_{secrets.token_urlsafe(32)}"
    write_private(path, token)
    return token
