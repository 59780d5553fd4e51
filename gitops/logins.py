"""One-time links into a browser session: files named by a token's hash, removed by whoever uses the link.

Whoever may write into the folder may sign in; the folder never learns a token, only its hash and when the link ends.
"""

import contextlib
import getpass
import hashlib
import json
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from gitops.private_files import write_private

LINK_SECONDS = 15 * 60


@dataclass(frozen=True)
class Link:
    """What a one-time link stands for.

    Args:
        expires: seconds since the epoch.
        login: who signs in with it.
        role: what they are granted everywhere when they do; empty where they have their grants already.
    """

    expires: int
    login: str
    role: str = ""


def this_user() -> str:
    """Return who runs this process, as the machine knows them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def mint_link(folder: Path, *, next_path: str = "/", login: str = "", role: str = "") -> str:
    """Make a link that opens one browser session, once, within 15 minutes.

    Args:
        folder: where the part that is signed in to looks for links; made, for its owner only, when it is missing.
        next_path: the page to show after it, beginning with a slash.
        login: who signs in with it; this process's user by default.
        role: what they are granted everywhere when they do.

    Returns:
        The path to put behind the part's URL.
    """
    token = secrets.token_urlsafe(32)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(folder)
    link = Link(int(time.time()) + LINK_SECONDS, login or this_user(), role)
    write_private(folder / digest(token), json.dumps(asdict(link)))
    return f"/_login/{token}?next={quote(next_path, safe='')}"


def use_link(folder: Path, unverified_token: str) -> Link | None:
    """Use up a one-time link; return what it stood for, None for one that was not good.

    Removing the file is what makes it one-time: of two requests only one succeeds.
    """
    path = folder / digest(unverified_token)
    try:
        link = _read(path)
        path.unlink()
    except (OSError, ValueError, TypeError):
        return None
    return link if time.time() < link.expires else None


def digest(token: str) -> str:
    """Return the hash that stands for a token in a file's name."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> Link:
    return Link(**json.loads(path.read_text(encoding="utf-8")))


def _sweep(folder: Path) -> None:
    """Remove the links that nobody used in time, and those that an earlier release wrote in another form."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue  # being written
        try:
            is_over = time.time() >= _read(path).expires
        except (ValueError, TypeError):
            is_over = True
        except OSError:
            continue
        if is_over:
            with contextlib.suppress(OSError):
                path.unlink()
