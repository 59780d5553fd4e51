"""Any provider that speaks OpenID Connect: discovery, authorization code with PKCE, an ID token checked by its keys."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from authlib.oauth2 import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, JsonValue

from gitops.errors import LaunchpinError, RetryError
from gitops.identity.answers import read_code, used_code
from gitops.identity.tokens import ALGORITHMS, Expected, UnknownKeyError, read_identity, read_keys, refused
from gitops.identity.wire import Reply, Wire, check_address, is_loopback, is_safe, not_taken, unavailable
from gitops.ports.identity import Identity
from gitops.signins import Attempt, seal_key

_FRESH = 600.0
"""Seconds that what the provider says of itself is kept."""

_STILL = 5.0
"""Seconds that a provider which did not answer is not asked again what it says of itself: strangers make us ask."""


class _Metadata(BaseModel):
    """What we read of the discovery document (OpenID Connect Discovery 1.0, 3)."""

    model_config = ConfigDict(frozen=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    authorization_response_iss_parameter_supported: bool = False


class _Granted(BaseModel):
    """What we read of the answer to a code."""

    id_token: str
    access_token: str = ""


class _Keys(BaseModel):
    keys: list[JsonValue]


class OidcProvider:
    """One provider.

    Args:
        issuer: exactly as its tokens name it.
        redirect_uri: where it sends browsers back to; registered there.
        label: what people call it; the issuer's host by default.
        clock: seconds since the epoch, which its tokens are judged by.
    """

    key = "oidc"

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        *,
        redirect_uri: str,
        scopes: tuple[str, ...] = ("openid", "profile", "email"),
        label: str = "",
        wire: Wire | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.issuer = check_address(issuer, field="LAUNCHPIN_OIDC_ISSUER")
        self.label = label or urlsplit(issuer).netloc
        self.seal = seal_key(client_secret)
        self._client_id, self._client_secret = client_id, client_secret
        self._redirect_uri = redirect_uri
        self._scopes = " ".join(dict.fromkeys(("openid", *scopes)))
        self._wire = wire or Wire()
        self._clock = clock
        # Each is replaced as a whole, and asked for without a lock: nobody waits for another who asks the provider.
        self._known: tuple[float, _Metadata] | None = None
        self._failed: tuple[float, str] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def address(self, attempt: Attempt) -> str:
        """Return where the browser goes to sign in."""
        address: str = prepare_grant_uri(
            self._metadata().authorization_endpoint,
            client_id=self._client_id,
            response_type="code",
            redirect_uri=self._redirect_uri,
            scope=self._scopes,
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return address

    def identify(self, attempt: Attempt, unverified_answer: Mapping[str, str]) -> Identity:
        """Return who came back from there."""
        metadata = self._metadata()
        is_needed = metadata.authorization_response_iss_parameter_supported
        code = read_code(unverified_answer, self.label, issuers=(self.issuer,), is_issuer_needed=is_needed)
        granted = self._redeem(metadata, code, attempt)
        expected = Expected(self.issuer, self._client_id, attempt.nonce, granted.access_token, self._clock())
        algorithms = frozenset(metadata.id_token_signing_alg_values_supported)
        if not algorithms & ALGORITHMS:
            raise refused(f"{self.label} signs in no way that we take")
        keys, is_new = self._key_set(metadata)
        try:
            return read_identity(granted.id_token, keys, expected, algorithms=algorithms)
        except UnknownKeyError:
            if is_new:
                raise
        # The provider may have new keys since we looked.
        keys, _ = self._key_set(metadata, is_fresh=True)
        return read_identity(granted.id_token, keys, expected, algorithms=algorithms)

    def _redeem(self, metadata: _Metadata, code: str, attempt: Attempt) -> _Granted:
        methods = metadata.token_endpoint_auth_methods_supported
        is_basic = "client_secret_basic" in methods or "client_secret_post" not in methods
        client_id, secret = self._client_id, self._client_secret
        if is_basic:
            # RFC 6749, 2.3.1: each is encoded as in a form, before both are joined.
            client_id, secret = quote(client_id, safe=""), quote(secret, safe="")
        auth = ClientAuth(client_id, secret, "client_secret_basic" if is_basic else "client_secret_post")
        form = prepare_token_request(
            "authorization_code", redirect_uri=self._redirect_uri, code=code, code_verifier=attempt.verifier
        )
        url, headers, body = auth.prepare("POST", metadata.token_endpoint, {}, form)
        reply = self._wire.post(url, f"the code that {self.label} gave", body=body, headers=headers)
        if reply.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise self._no_token(reply)
        return reply.read(_Granted)

    def _no_token(self, reply: Reply) -> LaunchpinError:
        if reply.word("error") == "invalid_grant":
            return used_code(self.label)
        return not_taken(self.label)

    def _metadata(self) -> _Metadata:
        known, failed, now = self._known, self._failed, time.monotonic()
        if known is not None and now - known[0] < _FRESH:
            return known[1]
        if failed is not None and now - failed[0] < _STILL:
            raise unavailable(failed[1])
        try:
            found = self._ask_metadata()
        except RetryError as error:
            self._failed = (time.monotonic(), error.message)
            raise
        self._known = (time.monotonic(), found)
        return found

    def _ask_metadata(self) -> _Metadata:
        what = f"what {self.label} says of itself"
        found = self._wire.get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration", what).read(_Metadata)
        if found.issuer != self.issuer:
            raise unavailable(f"{what} is about another issuer than LAUNCHPIN_OIDC_ISSUER, which must be the same text")
        here = is_loopback(urlsplit(self.issuer).hostname or "")
        for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            if not is_safe(url, loopback=here):
                raise unavailable(f"{what} leads to an address without TLS")
        return found

    def _key_set(self, metadata: _Metadata, *, is_fresh: bool = False) -> tuple[KeySet, bool]:
        """Return the provider's keys, and whether they were asked for just now."""
        if not is_fresh and self._keys is not None and time.monotonic() - self._keys[0] < _FRESH:
            return self._keys[1], False
        found = self._wire.get(metadata.jwks_uri, f"the keys of {self.label}").read(_Keys)
        keys = read_keys(found.model_dump())
        self._keys = (time.monotonic(), keys)
        return keys, True
