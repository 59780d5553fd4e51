"""GitHub, or a GitHub Enterprise Server: no ID token there, so its own API says whose token it gave."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from pydantic import BaseModel, Field

from gitops.identity.answers import read_code, used_code
from gitops.identity.tokens import as_login, as_name
from gitops.identity.wire import Wire, check_address, not_taken
from gitops.ports.identity import Identity
from gitops.signins import Attempt, seal_key

GITHUB = "https://github.com"


class _User(BaseModel):
    """What we read of a user. A login may be given up and taken by another; the number never."""

    id: int = Field(strict=True, gt=0)
    login: str
    name: str | None = None


class GitHubProvider:
    """GitHub's OAuth.

    Args:
        url: where people go; the API is found from it.
        redirect_uri: where it sends browsers back to; registered there.
    """

    key = "github"

    def __init__(
        self, client_id: str, client_secret: str, *, redirect_uri: str, url: str = GITHUB, wire: Wire | None = None
    ) -> None:
        self.issuer = check_address(url, field="LAUNCHPIN_GITHUB_OAUTH_URL").rstrip("/")
        self.label = "GitHub" if self.issuer == GITHUB else urlsplit(self.issuer).netloc
        self.seal = seal_key(client_secret)
        self._api = "https://api.github.com" if self.issuer == GITHUB else f"{self.issuer}/api/v3"
        self._client_id, self._client_secret = client_id, client_secret
        self._redirect_uri = redirect_uri
        self._wire = wire or Wire()

    def address(self, attempt: Attempt) -> str:
        """Return where the browser goes to sign in; no scope is asked for, so the token may read what everybody may."""
        address: str = prepare_grant_uri(
            f"{self.issuer}/login/oauth/authorize",
            client_id=self._client_id,
            response_type="code",
            redirect_uri=self._redirect_uri,
            state=attempt.state,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return address

    def identify(self, attempt: Attempt, unverified_answer: Mapping[str, str]) -> Identity:
        """Return who came back from there."""
        code = read_code(unverified_answer, self.label, issuers=(self.issuer, f"{self.issuer}/login/oauth"))
        token = self._redeem(code, attempt)
        headers = {"authorization": f"Bearer {token}", "accept": "application/vnd.github+json"}
        user = self._wire.get(f"{self._api}/user", f"who you are at {self.label}", headers=headers).read(_User)
        return Identity(str(user.id), as_login(user.login), as_name(user.name))

    def _redeem(self, code: str, attempt: Attempt) -> str:
        form = prepare_token_request(
            "authorization_code", redirect_uri=self._redirect_uri, code=code, code_verifier=attempt.verifier
        )
        who = urlencode({"client_id": self._client_id, "client_secret": self._client_secret})
        url = f"{self.issuer}/login/oauth/access_token"
        reply = self._wire.post(url, f"the code that {self.label} gave", body=f"{form}&{who}")
        if reply.word("error") == "bad_verification_code":
            raise used_code(self.label)
        token = reply.word("access_token")
        if reply.status != HTTPStatus.OK or not token.isascii() or not token.isprintable() or not token:
            raise not_taken(self.label)
        return token
