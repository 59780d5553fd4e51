"""What the endpoint host keeps out, and what it keeps from the models: strangers, long bodies, secrets, cookies."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from gitops.embedded.endpoints.guards import is_authorized, is_known_host, known_hosts
from gitops.errors import RefusedError, RetryError
from gitops.ports import Configuration, Readiness
from tests.support.endpoint_host import BODY, JSON, TOKEN, Host, running_host
from tests.support.models import manifest_of

NO_BAKE = timedelta(0)
ROUTES = [
    ("GET", "/api/v1/host"),
    ("GET", "/api/v1/endpoints"),
    ("GET", "/api/v1/endpoints/e"),
    ("PUT", "/api/v1/endpoints/e"),
    ("POST", "/api/v1/endpoints/e/restore"),
    ("POST", "/api/v1/endpoints/e/retire"),
    ("GET", "/api/v1/configurations/c"),
    ("PUT", "/api/v1/configurations/c"),
    ("DELETE", "/api/v1/configurations/c"),
    ("POST", "/api/v1/configurations/c/invocations"),
    ("GET", "/api/v1/nothing"),
]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    secret = (("LAUNCHPIN_MADE_UP_SECRET", "never to be seen"), ("AWS_SECRET_ACCESS_KEY", "never to be seen"))
    folder = tmp_path_factory.mktemp("guards")
    with running_host(folder, options=("--request-timeout", "1"), variables=secret) as running:
        yield running


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("given", ["", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"bearer {TOKEN[:-1]}"])
def test_management_is_refused_when_the_token_is_not_ours(host: Host, method: str, path: str, given: str) -> None:
    answer = host.http.request(method, path, headers={"authorization": given} if given else {})

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize("path", ["/healthz", "/endpoints/e/ping", "/api/v1/host", "/"])
@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""])
def test_any_request_is_refused_when_its_host_is_not_ours(host: Host, path: str, name: str) -> None:
    headers = {"host": name.format(port=host.port), "authorization": f"Bearer {TOKEN}"}

    answer = host.http.get(path, headers=headers)

    assert answer.status_code in {400, 421} if not name else answer.status_code == 421


@pytest.mark.parametrize("name", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_request_is_taken_when_its_host_is_ours(host: Host, name: str) -> None:
    assert host.http.get("/healthz", headers={"host": name.format(port=host.port)}).status_code == 200


def test_two_hosts_or_two_tokens_are_refused_when_one_is_ours() -> None:
    hosts = known_hosts(80, "https://models.example")

    assert is_known_host([(b"host", b"models.example")], hosts)
    assert not is_known_host([(b"host", b"models.example"), (b"host", b"evil.example")], hosts)
    assert is_authorized([(b"authorization", b"Bearer t")], "t")
    assert not is_authorized([(b"authorization", b"Bearer t"), (b"authorization", b"Bearer t")], "t")
    assert not is_authorized([(b"authorization", b"Bearer \xff")], "t")


def test_links_are_refused_when_they_stand_among_a_models_files(host: Host) -> None:
    configuration = host.configuration("linked", "e")
    file = configuration.model_dir / "data" / "behaviour.json"
    file.rename(configuration.model_dir.parent / "behaviour.json")
    file.symlink_to(configuration.model_dir.parent / "behaviour.json")
    (configuration.model_dir / "more").symlink_to(configuration.model_dir.parent)

    with pytest.raises(RefusedError, match=r"data/behaviour\.json changed, more was added"):
        host.target.prepare(configuration)


def test_i20_a_missing_interpreter_is_named_when_prepared(host: Host) -> None:
    configuration = host.configuration("no-python", "e")
    nowhere = Configuration(**(vars(configuration) | {"python": configuration.model_dir / "python"}))

    with pytest.raises(RefusedError) as refusal:
        host.target.prepare(nowhere)

    assert refusal.value.reason == "no_interpreter"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/v1/configurations/c", b"{"),
        ("PUT", "/api/v1/configurations/c", b"{}"),
        ("PUT", "/api/v1/configurations/..", b"{}"),
        ("PUT", "/api/v1/endpoints/e", b'{"configuration": "c", "bake_seconds": -1}'),
        ("PUT", "/api/v1/endpoints/e", b'{"configuration": "c", "bake_seconds": NaN}'),
        ("PUT", "/api/v1/endpoints/e", b'{"configuration": "c", "bake_seconds": 1, "more": 1}'),
        ("POST", "/api/v1/endpoints/e/retire", b'{"keep": -1}'),
        ("POST", "/api/v1/endpoints/e%20/retire", b'{"keep": 1}'),
        ("POST", "/api/v1/configurations/c/invocations?timeout=x", b""),
        ("POST", "/api/v1/configurations/c/invocations?timeout=nan", b""),
    ],
)
def test_nonsense_is_refused_when_sent_to_the_management_api(host: Host, method: str, path: str, body: bytes) -> None:
    answer = host.http.request(method, path, content=body, headers={"authorization": f"Bearer {TOKEN}"})

    assert answer.status_code in {404, 422}
    assert not host.target.endpoints() or host.target.describe("e ") is None


def test_model_sees_no_secret_and_an_empty_folder_when_it_runs(host: Host) -> None:
    host.target.prepare(host.configuration("env-1", "env", tell="environment"))
    configuration = host.configuration("folder-1", "folder", tell="folder")
    host.target.prepare(configuration)
    host.wait_readiness("folder-1", Readiness.READY)
    host.wait_readiness("env-1", Readiness.READY)

    seen = host.target.invoke("env-1", BODY, content_type=JSON, timeout=timedelta(seconds=10))
    variables = json.loads(json.loads(seen.body)["predictions"][0])
    assert "never to be seen" not in variables.values()
    assert not [name for name in variables if name.startswith(("LAUNCHPIN", "AWS", "PYTHONPATH", "VIRTUAL_ENV"))]
    assert variables["MLFLOW_DISABLE_TELEMETRY"] == "true"

    seen = host.target.invoke("folder-1", BODY, content_type=JSON, timeout=timedelta(seconds=10))
    assert json.loads(seen.body)["predictions"] == [str(host.home / "configurations" / "folder-1" / "empty")]
    # Loading and serving a model leaves its folder as it was judged.
    assert manifest_of(configuration.model_dir) == configuration.manifest


def test_body_is_refused_when_it_is_longer_than_the_limit(host: Host) -> None:
    whole = host.http.post("/endpoints/e/invocations", content=b"x" * (25 * 1024 * 1024 + 1))
    in_chunks = host.http.post("/endpoints/e/invocations", content=(b"x" * 1024 * 1024 for _ in range(26)))

    assert (whole.status_code, in_chunks.status_code) == (413, 413)


def test_slow_model_is_a_504_when_the_time_is_over(host: Host) -> None:
    host.ready("slow-1", "slow", slow=3.0)
    host.target.apply("slow", "slow-1", bake=NO_BAKE)

    answer = host.predict("slow")
    smoke = host.target.invoke("slow-1", BODY, content_type=JSON, timeout=timedelta(seconds=0.5))

    assert (answer.status_code, smoke.status) == (504, 504)
    assert 0.5 <= smoke.seconds < 3


def test_try_again_is_said_when_a_configuration_is_not_ready(host: Host) -> None:
    host.target.prepare(host.configuration("early-1", "early"))

    with pytest.raises(RetryError) as failure:
        host.target.invoke("early-1", BODY, content_type=JSON, timeout=timedelta(seconds=5))

    assert failure.value.reason == "ConfigurationNotReady"
    assert host.target.retire("early", keep=0) == ["early-1"]
