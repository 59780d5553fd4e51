"""Reads an ID token (OpenID Connect Core 1.0, 3.1.3.7): signed by the provider, for us, for this attempt, and now.

No network here. Signatures are joserfc's, claims authlib's; which algorithms and which values are right is said here.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from gitops.access import check_login
from gitops.errors import InputError, RefusedError
from gitops.ports.identity import Identity

if TYPE_CHECKING:
    from joserfc.jwk import KeySetSerialization

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
"""Those with a public key: never `none`, and never one whose secret could be a key that everybody knows."""

LEEWAY = 60
"""Seconds that the provider's clock may differ from ours."""

_PUBLIC = frozenset({"RSA", "EC", "OKP"})
_SUBJECT = re.compile(r"[\x21-\x7e]{1,255}")
_LONGEST = 64 * 1024
_LONGEST_NAME = 200


class UnknownKeyError(RefusedError):
    """No key that we know has signed it: the provider may have new ones."""


@dataclass(frozen=True)
class Expected:
    """What a token must say.

    Args:
        issuer: who gives it.
        client_id: whom it is for.
        nonce: which attempt.
        access_token: came with it, and is bound to it where the token says so.
        now: seconds since the epoch.
    """

    issuer: str
    client_id: str
    nonce: str
    access_token: str
    now: float


def read_keys(unverified_set: Mapping[str, Any]) -> KeySet:
    """Return the public keys of a provider that may sign; the others of its set are left.

    Raises:
        RefusedError: `sign_in_token`, when there is none.
    """
    listed = unverified_set.get("keys")
    keys = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    usable = [each for each in keys if each.get("kty") in _PUBLIC and each.get("use", "sig") == "sig"]
    wanted: KeySetSerialization = {"keys": usable}
    try:
        return KeySet.import_key_set(wanted)
    except (JoseError, ValueError, TypeError) as error:
        raise refused("the provider has no key that we can read") from error


def read_identity(unverified_token: str, keys: KeySet, expected: Expected, *, algorithms: frozenset[str]) -> Identity:
    """Return whom a token is about.

    Args:
        algorithms: those that the provider says it signs with.

    Raises:
        UnknownKeyError: when none of the keys has signed it.
        RefusedError: `sign_in_token`, with what is wrong.
    """
    if len(unverified_token) > _LONGEST:
        raise refused("the token is too long")
    try:
        token = jwt.decode(unverified_token, keys, algorithms=sorted(ALGORITHMS & algorithms))
        options = {
            "iss": {"essential": True, "value": expected.issuer},
            "aud": {"essential": True, "value": expected.client_id},
        }
        params = {"nonce": expected.nonce, "client_id": expected.client_id, "access_token": expected.access_token}
        claims = CodeIDToken(token.claims, token.header, options=options, params=params)
        claims.validate(now=int(expected.now), leeway=LEEWAY)
    except (BadSignatureError, InvalidKeyIdError) as error:
        raise UnknownKeyError("sign_in_token", _say(f"no key of the provider has signed it: {error}")) from error
    except JoseError as error:
        raise refused(str(error)) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise refused("it cannot be read") from error
    return _identity(token.claims)


def refused(what: str) -> RefusedError:
    """Return the error of a token that proves nothing."""
    return RefusedError("sign_in_token", _say(what))


def _say(what: str) -> str:
    # Foreign words in it, a claim's name say, are shown as text alone; but they do not make a page.
    return f"The provider's token does not prove who you are: {what[:200]}. Sign in once more."


def _identity(claims: Mapping[str, object]) -> Identity:
    subject = claims["sub"]
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise refused("its subject is no text of 1 to 255 visible ASCII characters")
    # Anybody may have an address that they did not prove to be theirs.
    address = claims.get("email") if claims.get("email_verified") is True else None
    return Identity(subject, as_login(claims.get("preferred_username"), address), as_name(claims.get("name")))


def as_login(*unverified_names: object) -> str:
    """Return the first of some names that a login may be, empty where none may."""
    for name in unverified_names:
        with contextlib.suppress(InputError):
            if isinstance(name, str):
                return check_login(name)
    return ""


def as_name(unverified_name: object) -> str:
    """Return a name to show beside a login, without what is not printable."""
    text = unverified_name if isinstance(unverified_name, str) else ""
    return "".join(letter for letter in text if letter.isprintable())[:_LONGEST_NAME]
