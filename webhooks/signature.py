"""Whether a webhook's body was signed with our secret. Pure: bytes in, yes or no out.

Source: GitHub, "Validating webhook deliveries" (HMAC-SHA256 over the raw body, `sha256=` and 64 lower-case hex digits).
"""

import hmac
import re
from collections.abc import Sequence

_FORM = re.compile(rb"sha256=[0-9a-f]{64}")


def sign(secret: str, body: bytes | bytearray) -> str:
    """Return the header's value for a body."""
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def is_signed(unverified_body: bytes | bytearray, header: bytes, *, secrets: Sequence[str]) -> bool:
    """Return whether the header is the body's signature by one of the secrets.

    Args:
        header: the raw bytes of `X-Hub-Signature-256`; compared as bytes, since `hmac.compare_digest` raises on
            text that is not ASCII.
        secrets: two while one replaces the other; every one is tried, so that the time tells nothing.
    """
    if not _FORM.fullmatch(header):
        return False
    answers = [hmac.compare_digest(sign(secret, unverified_body).encode(), header) for secret in secrets]
    return any(answers)
