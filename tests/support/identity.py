"""A small identity provider on a real server: OpenID Connect, and GitHub's OAuth beside it. It can misbehave."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.web import serving
from webhooks.replies import App, Receive, Scope, Send

CLIENT_ID = "launchpin"
CLIENT_SECRET = "made up: 100% + more"
_ADA = {"sub": "s-17", "preferred_username": "ada", "name": "Ada"}


@cache
def _key(number: int) -> RSAKey:
    """Return one of three keys; making one takes a while."""
    return RSAKey.generate_key(2048, {"use": "sig", "kid": f"key-{number}"})


_KEYS = map(_key, cycle(range(3)))


@dataclass
class Conduct:
    """How a provider behaves; right unless a test says otherwise.

    Args:
        claims: of its tokens, beside or in place of the right ones; None takes one away.
        signs: how: `RS256`, `none`, `HS256` with its public key as the secret, or `stranger` with a key of nobody's.
        answer: parameters that a browser comes back with, likewise.
        breaks: by path, what its answer is instead: `error`, `page`, `elsewhere`, `huge`, `slow`, `drips`, `packed`;
            `hangs` says nothing until that is taken out again.
        is_code_good_twice: a code may be redeemed again.
        metadata: members of the discovery document, likewise.
    """

    claims: dict[str, Any] = field(default_factory=dict)
    signs: str = "RS256"
    answer: dict[str, str | None] = field(default_factory=dict)
    breaks: dict[str, str] = field(default_factory=dict)
    is_code_good_twice: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Provider:
    """A served provider; every browser that comes is signed in there as `person` at once.

    Args:
        url: its issuer, too.
        person: claims of whoever signs in; `id` and `login` for GitHub's side.
    """

    url: str = ""
    person: dict[str, Any] = field(default_factory=lambda: dict(_ADA))
    conduct: Conduct = field(default_factory=Conduct)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    secret_in: str = ""

    def __post_init__(self) -> None:
        self.rotate()

    def rotate(self) -> None:
        """Sign with another key from now on, and publish no other."""
        self.key = self.published = next(_KEYS)

    def reset(self) -> None:
        """Behave again."""
        self.person, self.conduct, self.key = dict(_ADA), Conduct(), self.published
        self.codes.clear()
        self.asked.clear()

    # ---------------------------------------------------------------- what it answers

    def metadata(self) -> dict[str, Any]:
        right = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "authorization_response_iss_parameter_supported": True,
        }
        return _changed(right, self.conduct.metadata)

    def authorize(self, query: Mapping[str, str]) -> Response:
        code = secrets.token_urlsafe(16)
        self.codes[code] = dict(query)
        right = {"code": code, "state": query["state"], "iss": self.url}
        back = urlencode(_changed(right, self.conduct.answer))
        return RedirectResponse(f"{query['redirect_uri']}?{back}", 302)

    def redeem(self, form: Mapping[str, str]) -> dict[str, str] | None:
        """Return what a code was given for, None where it is not good."""
        asked = self.codes.get(form["code"])
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        is_good = (
            asked is not None
            and asked["redirect_uri"] == form["redirect_uri"]
            and asked["code_challenge_method"] == "S256"
            and asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
        )
        if is_good and not self.conduct.is_code_good_twice:
            del self.codes[form["code"]]
        return asked if is_good else None

    def id_token(self, nonce: str, access_token: str) -> str:
        now = int(time.time())
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        right = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("="),
            **self.person,
        }
        claims = _changed(right, self.conduct.claims)
        header = {"alg": "RS256", "kid": self.key.kid}
        match self.conduct.signs:
            case "none":
                return f"{_packed({**header, 'alg': 'none'})}.{_packed(claims)}."
            case "HS256":
                signed = f"{_packed({**header, 'alg': 'HS256'})}.{_packed(claims)}"
                mac = hmac.digest(self.key.as_pem(private=False), signed.encode(), "sha256")
                return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
            case "stranger":
                return jwt.encode(header, claims, next(_KEYS))
            case algorithm:
                return jwt.encode({**header, "alg": algorithm}, claims, self.key, algorithms=[algorithm])

    def user(self, token: str) -> dict[str, Any] | None:
        return self.tokens.get(token)


def _packed(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _changed(right: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**right, **changes}.items() if value is not None}


@contextlib.contextmanager
def running_provider() -> Iterator[Provider]:
    """Serve a provider on a free loopback port."""
    provider = Provider()
    with serving(_misbehaving(provider, _app(provider))) as port:
        provider.url = f"http://127.0.0.1:{port}"
        yield provider


def _app(provider: Provider) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.get("/.well-known/openid-configuration")
    def metadata() -> Response:
        return JSONResponse(provider.metadata())

    @app.get("/keys")
    def keys() -> Response:
        return JSONResponse({"keys": [provider.published.as_dict(private=False)]})

    @app.get("/authorize")
    @app.get("/login/oauth/authorize")
    def authorize(request: Request) -> Response:
        return provider.authorize(request.query_params)

    _add_oidc(app, provider)
    _add_github(app, provider)
    return app


def _add_oidc(app: FastAPI, provider: Provider) -> None:
    @app.post("/token")
    async def token(request: Request) -> Response:
        form = _form(await request.body())
        client = _client(request.headers.get("authorization", ""), form)
        provider.secret_in = "form" if "client_secret" in form else "header"
        if client != [CLIENT_ID, CLIENT_SECRET]:
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = provider.redeem(form)
        if asked is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        access = secrets.token_urlsafe(16)
        return JSONResponse(
            {"access_token": access, "token_type": "Bearer", "id_token": provider.id_token(asked["nonce"], access)}
        )


def _add_github(app: FastAPI, provider: Provider) -> None:
    @app.post("/login/oauth/access_token")
    async def access_token(request: Request) -> Response:
        form = _form(await request.body())
        if (form["client_id"], form["client_secret"]) != (CLIENT_ID, CLIENT_SECRET):
            return JSONResponse({"error": "incorrect_client_credentials"})
        if provider.redeem(form) is None:
            return JSONResponse({"error": "bad_verification_code"})
        access = f"gho_{secrets.token_urlsafe(16)}"
        provider.tokens[access] = dict(provider.person)
        return JSONResponse({"access_token": access, "token_type": "bearer", "scope": ""})

    @app.get("/api/v3/user")
    def user(request: Request) -> Response:
        found = provider.user(request.headers.get("authorization", "").removeprefix("Bearer "))
        return JSONResponse(found) if found else JSONResponse({"message": "Bad credentials"}, 401)


def _client(authorization: str, form: Mapping[str, str]) -> list[str]:
    """Return the id and secret that a client gave, in the one way or the other."""
    if authorization:
        packed = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        return [unquote(part) for part in packed.split(":")]
    return [form.get("client_id", ""), form.get("client_secret", "")]


def _form(body: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}


def _misbehaving(provider: Provider, app: App) -> App:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        provider.asked.append(path)
        while provider.conduct.breaks.get(path) == "hangs":  # noqa: ASYNC110 - a test's own thread ends it
            await asyncio.sleep(0.01)
        how = provider.conduct.breaks.get(path)
        if how is None:
            await app(scope, receive, send)
            return
        status, headers, pieces, pause = _BROKEN[how]
        named = [(name, value.replace(b"URL", provider.url.encode())) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": named})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(pause)
        await send({"type": "http.response.body", "body": b""})

    return answer


# Status, headers, the pieces of the body, and the seconds after each.
_BROKEN: dict[str, tuple[int, list[tuple[bytes, bytes]], list[bytes], float]] = {
    "error": (500, [], [b"oops"], 0),
    "page": (200, [], [b"<html>Sign in to the company's network</html>"], 0),
    "elsewhere": (302, [(b"location", b"URL/keys")], [], 0),
    "packed": (200, [(b"content-encoding", b"gzip")], [b"x"], 0),
    "huge": (200, [], [b" " * 65536] * 20, 0),
    "drips": (200, [], [b" "] * 40, 0.05),
    "slow": (200, [], [b"{"], 1),
}
