"""Signatures of what we post, so that receivers verify them with libraries that exist. Pure.

Source: Standard Webhooks 1.0.0 (standard-webhooks/standard-webhooks, spec/standard-webhooks.md): `webhook-id`,
`webhook-timestamp` (whole seconds) and `webhook-signature`, `v1,` and the base64 of HMAC-SHA256 over
`ID.TIMESTAMP.BODY`. A secret is `whsec_` and the base64 of 24 to 64 bytes; several are signed with while one replaces
another, and the signatures stand side by side.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from gitops.errors import InputError

_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64  # bytes


def sign(text: str, *, id: str, moment: datetime, body: bytes) -> Mapping[str, str]:  # noqa: A002 - the header's name
    """Return the headers of a signed post.

    Args:
        text: the secrets, the newest first, one a line.
        id: of the message, the same each time that it is sent.
        moment: when it is sent; receivers refuse what is minutes old.

    Raises:
        InputError: `secret_invalid`.
    """
    stamp = str(int(moment.timestamp()))
    signed = f"{id}.{stamp}.".encode() + body
    digests = (hmac.digest(_key(line.strip()), signed, hashlib.sha256) for line in text.splitlines() if line.strip())
    signatures = " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
    return {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signatures}


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True) if secret.startswith(_PREFIX) else b""
    except binascii.Error:
        key = b""
    if not _LEAST <= len(key) <= _MOST:
        message = f"a signing secret is {_PREFIX} and the base64 of {_LEAST} to {_MOST} random bytes"
        raise InputError("secret_invalid", message, field="secret_file")
    return key
