"""Identity providers that answer without end, and settings that cannot be. The provider is a real server."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gitops.bootstrap import identity_providers
from gitops.errors import InputError, RetryError
from gitops.identity import GitHubProvider, OidcProvider
from gitops.identity.wire import Wire
from gitops.settings import Settings
from gitops.signins import begin_attempt
from tests.support.identity import CLIENT_ID, CLIENT_SECRET, Provider, running_provider
from tests.support.mlflow_wire import Reply, odd_server
from tests.support.web import wait_until

BACK = "http://127.0.0.1:9/_signin/oidc/callback"
ATTEMPT = begin_attempt("oidc", next_path="/", now=0)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as running:
        yield running


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("huge", "more than 512 KiB"),
        ("drips", "took too long"),
        ("slow", "ReadTimeout"),
        ("packed", "packed"),
        ("elsewhere", "sent elsewhere"),
        ("page", "not in JSON"),
        ("error", "500"),
    ],
)
def test_an_answer_is_bounded_in_size_and_time_and_taken_from_where_it_was_asked_for(
    provider: Provider, how: str, words: str
) -> None:
    provider.conduct.breaks = {"/.well-known/openid-configuration": how}
    wire = Wire(silence=0.3, seconds=1.0)
    ours = OidcProvider(provider.url, CLIENT_ID, CLIENT_SECRET, redirect_uri=BACK, wire=wire)
    with pytest.raises(RetryError, match=words) as error:
        ours.address(ATTEMPT)
    assert error.value.reason == "provider_unavailable"
    assert "/keys" not in provider.asked


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_no_proxy_of_the_environment_hears_the_clients_secret(
    provider: Provider, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def proxy(method: str, path: str) -> Reply:
        asked.append((method, path))
        return Reply(200, b"{}")

    for other in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
    with odd_server(proxy) as url:
        monkeypatch.setenv(name, url)
        Wire().post(f"{provider.url}/token", "asking", body="client_secret=x")
    assert asked == []


def test_a_provider_with_tls_is_asked_through_the_proxy_of_the_environment_which_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as pool:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listening.getsockname()[1]}")

        def hear() -> bytes:
            line, _ = listening.accept()
            with line:
                return line.recv(65536)

        heard = pool.submit(hear)
        with pytest.raises(RetryError):
            Wire().post("https://id.example/token", "asking", body="client_secret=x")
        assert heard.result(10).startswith(b"CONNECT id.example:443 ")
        assert b"secret" not in heard.result()


def test_what_a_provider_says_of_itself_is_asked_for_once_in_a_while(provider: Provider) -> None:
    ours = OidcProvider(provider.url, CLIENT_ID, CLIENT_SECRET, redirect_uri=BACK)
    for _ in range(3):
        ours.address(ATTEMPT)
    assert len(provider.asked) == 1


def test_a_provider_that_does_not_answer_is_left_alone_for_a_moment(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.conduct.breaks = {"/.well-known/openid-configuration": "error"}
    ours = OidcProvider(provider.url, CLIENT_ID, CLIENT_SECRET, redirect_uri=BACK)
    told = set()
    for _ in range(3):
        with pytest.raises(RetryError, match="500") as error:
            ours.address(ATTEMPT)
        told.add((error.value.reason, error.value.message))
    assert (len(provider.asked), len(told)) == (1, 1)
    provider.conduct.breaks = {}
    monkeypatch.setattr("gitops.identity.oidc._STILL", 0.0)
    assert ours.address(ATTEMPT).startswith(f"{provider.url}/authorize?")


def test_nobody_waits_for_another_who_waits_for_the_provider(provider: Provider) -> None:
    provider.conduct.breaks = {"/.well-known/openid-configuration": "hangs"}
    ours = OidcProvider(provider.url, CLIENT_ID, CLIENT_SECRET, redirect_uri=BACK, wire=Wire(silence=30, seconds=30))
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(ours.address, ATTEMPT) for _ in range(2)]
        try:
            wait_until(lambda: len(provider.asked) == 2, what="one waits for the other")
        finally:
            provider.conduct.breaks = {}
        assert [one.result().startswith(f"{provider.url}/authorize?") for one in both] == [True, True]


def test_what_went_wrong_holds_no_secret(provider: Provider) -> None:
    provider.conduct.breaks = {"/token": "error"}
    ours = OidcProvider(provider.url, CLIENT_ID, CLIENT_SECRET, redirect_uri=BACK)
    with pytest.raises(RetryError) as error:
        ours.identify(ATTEMPT, {"code": "the-code", "iss": provider.url})
    told = f"{error.value!r} {error.value.__cause__!r}"
    assert not [secret for secret in (CLIENT_SECRET, "the-code", ATTEMPT.verifier) if secret in told]


def settings_with(folder: Path, **given: object) -> Settings:
    secret = folder / "client.secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    known = {"home": folder, "oidc_client_secret_file": secret, "github_oauth_client_secret_file": secret}
    return Settings.model_validate({name: value for name, value in {**known, **given}.items() if value is not None})


@pytest.mark.parametrize(
    ("given", "reason", "field"),
    [
        ({"oidc_issuer": "https://id.example"}, "sign_in_setting", "LAUNCHPIN_GITHUB_OAUTH_CLIENT_ID"),
        (
            {"oidc_issuer": "https://id.example", "github_oauth_client_secret_file": None},
            "sign_in_setting",
            "LAUNCHPIN_OIDC_CLIENT_ID",
        ),
        (
            {"oidc_client_id": "x", "github_oauth_client_secret_file": None},
            "sign_in_setting",
            "LAUNCHPIN_OIDC_ISSUER",
        ),
        (
            {
                "oidc_issuer": "https://id.example",
                "oidc_client_id": "x",
                "oidc_client_secret_file": None,
                "github_oauth_client_secret_file": None,
            },
            "secret_missing",
            "LAUNCHPIN_OIDC_CLIENT_SECRET_FILE",
        ),
        (
            {"github_oauth_client_id": "x", "github_oauth_url": "http://github.example"},
            "sign_in_setting",
            "LAUNCHPIN_GITHUB_OAUTH_URL",
        ),
    ],
    ids=["github-half", "client-missing", "issuer-missing", "secret-missing", "no-tls"],
)
def test_half_of_the_settings_is_refused_by_the_name_of_what_is_missing(
    tmp_path: Path, given: dict[str, object], reason: str, field: str
) -> None:
    with pytest.raises(InputError) as error:
        identity_providers(settings_with(tmp_path, **given))
    assert (error.value.reason, error.value.field) == (reason, field)


@pytest.mark.parametrize(
    "issuer",
    [
        *("http://id.example", "id.example", "https://", "https://a:b@id.example", "https://id.example/#x"),
        *("https://id.example/?x=y", "ftp://id.example", "https://id.example:x", "https://id .example", ""),
    ],
)
def test_an_issuer_is_an_address_with_tls_and_nothing_else(tmp_path: Path, issuer: str) -> None:
    given = {"oidc_issuer": issuer, "oidc_client_id": "x", "github_oauth_client_secret_file": None}
    with pytest.raises(InputError) as error:
        identity_providers(settings_with(tmp_path, **given))
    assert error.value.field == "LAUNCHPIN_OIDC_ISSUER"


def test_github_is_asked_where_it_answers() -> None:
    ours = GitHubProvider(CLIENT_ID, CLIENT_SECRET, redirect_uri=BACK)
    assert (ours.issuer, ours.label) == ("https://github.com", "GitHub")
    assert ours.address(ATTEMPT).startswith("https://github.com/login/oauth/authorize?response_type=code&")
    own = GitHubProvider(CLIENT_ID, CLIENT_SECRET, redirect_uri=BACK, url="https://git.acme.example/")
    assert (own.issuer, own.label) == ("https://git.acme.example", "git.acme.example")


def test_nobody_signs_in_where_nothing_is_set(tmp_path: Path) -> None:
    assert identity_providers(Settings.model_validate({"home": tmp_path})) == ()
