"""One attempt to sign in at an identity provider: what a browser keeps until it comes back. Values in, values out.

The browser keeps all of it, sealed, so that no stranger who only begins to sign in costs us a row or a file. The state
ties the provider's answer to this browser, the nonce its token to this attempt, the verifier (PKCE, RFC 7636) its code.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass

SECONDS = 10 * 60
"""To sign in at the provider and come back."""

_LONGEST_PATH = 1000
_LONGEST = 4096


@dataclass(frozen=True)
class Attempt:
    """What a browser keeps.

    Args:
        provider: by its key.
        next_path: where to go afterwards; a path of ours.
        ends: seconds since the epoch.
    """

    provider: str
    state: str
    nonce: str
    verifier: str
    next_path: str
    ends: int


def begin_attempt(provider: str, *, next_path: str, now: float) -> Attempt:
    """Return a new attempt; each of its secrets has 256 random bits.

    Args:
        next_path: one that is too long for a cookie is left for the front page.
        now: seconds since the epoch.
    """
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Attempt(provider, state, nonce, verifier, within(next_path), int(now) + SECONDS)


def within(unverified_path: str) -> str:
    """Return a path of ours to go to, the front page for anything that could lead elsewhere."""
    path = unverified_path
    is_ours = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_ours and len(path) <= _LONGEST_PATH else "/"


def seal_key(secret: str) -> bytes:
    """Return the key of the seals, made from a provider's client secret: every process of an installation has that."""
    return hmac.digest(secret.encode(), b"launchpin sign-in 1", "sha256")


def seal(attempt: Attempt, key: bytes) -> str:
    """Return what the browser keeps."""
    body = _encode(json.dumps(asdict(attempt), separators=(",", ":")).encode())
    return f"{body}.{_encode(_sign(body, key))}"


def unseal(unverified_text: str, key: bytes, *, now: float) -> Attempt | None:
    """Return the attempt that a browser has kept; None where it is over, or is no attempt of ours."""
    if len(unverified_text) > _LONGEST or not unverified_text.isascii():
        return None
    body, _, signature = unverified_text.partition(".")
    if not hmac.compare_digest(_encode(_sign(body, key)), signature):
        return None
    try:
        attempt = Attempt(**json.loads(base64.urlsafe_b64decode(body + "==")))
    except (ValueError, TypeError, binascii.Error):
        return None
    return attempt if now < attempt.ends else None


def is_answer_to(attempt: Attempt, unverified_state: str) -> bool:
    """Return whether a provider's answer belongs to an attempt."""
    return hmac.compare_digest(unverified_state.encode("utf-8", "surrogatepass"), attempt.state.encode())


def _sign(body: str, key: bytes) -> bytes:
    return hmac.new(key, body.encode(), hashlib.sha256).digest()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
