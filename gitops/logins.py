"""One-time links into a browser session: files named by a token's hash, removed by whoever uses the link.

Whoever may write into the folder may sign in; the folder never learns a token, only its hash and when the link ends.
"""

import contextlib
import hashlib
import os
import secrets
import time
from pathlib import Path
from urllib.parse import quote

LINK_SECONDS = 15 * 60


def mint_link(folder: Path, *, next_path: str = "/") -> str:
    """Make a link that opens one browser session, once, within 15 minutes.

    Args:
        folder: where the part that is signed in to looks for links; made, for its owner only, when it is missing.
        next_path: the page to show after it, beginning with a slash.

    Returns:
        The path to put behind the part's URL.
    """
    token = secrets.token_urlsafe(32)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(folder)
    write_private(folder / digest(token), str(int(time.time()) + LINK_SECONDS))
    return f"/_login/{token}?next={quote(next_path, safe='')}"


def use_link(folder: Path, unverified_token: str) -> bool:
    """Use up a one-time link; say whether it was good.

    Removing the file is what makes it one-time: of two requests only one succeeds.
    """
    path = folder / digest(unverified_token)
    try:
        expires = int(path.read_text(encoding="utf-8"))
        path.unlink()
    except (OSError, ValueError):
        return False
    return time.time() < expires


def digest(token: str) -> str:
    """Return the hash that stands for a token in a file's name."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def write_private(path: Path, text: str) -> None:
    """Write a file that was never readable by others, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _sweep(folder: Path) -> None:
    """Remove the links that nobody used in time."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError, ValueError):
            if time.time() >= int(path.read_text(encoding="utf-8")):
                path.unlink()
