"""Blue and green: real versions switched under counted load, left when they fail, and never a failed request."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import psutil
import pytest

from gitops.ports import EndpointStatus, Readiness
from tests.support.endpoint_host import BODY, JSON, TOKEN, Host, load, running_host, wait_until

NO_BAKE = timedelta(0)
LONG_BAKE = timedelta(minutes=10)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running_host(tmp_path_factory.mktemp("traffic")) as running:
        yield running


def _total(seen: Counter[str]) -> int:
    return sum(seen.copy().values())


def _serve(host: Host, endpoint: str, **behaviour: object) -> None:
    """Put a first version into service."""
    host.ready(f"{endpoint}-1", endpoint, version="1", **behaviour)
    host.target.apply(endpoint, f"{endpoint}-1", bake=NO_BAKE)


def _prepare_side_by_side(host: Host, endpoint: str, *versions: str) -> None:
    for version in versions:
        host.target.prepare(host.configuration(f"{endpoint}-{version}", endpoint, version=version))
    for version in versions:
        host.wait_readiness(f"{endpoint}-{version}", Readiness.READY)


def test_first_deploy_bakes_and_comes_into_service(host: Host) -> None:
    host.ready("first-1", "first")
    assert host.target.apply("first", "first-1", bake=timedelta(seconds=0.5)).status is EndpointStatus.BAKING

    assert host.answering_version("first") == "1"
    wait_until(lambda: host.endpoint("first").status is EndpointStatus.IN_SERVICE, "the bake ends")

    endpoint = host.endpoint("first")
    assert (endpoint.live, endpoint.desired, endpoint.failure) == ("first-1", "first-1", "")
    assert (endpoint.requests, endpoint.errors, endpoint.seconds_left) == (1, 0, 0.0)
    assert endpoint.url == f"{host.url}/endpoints/first"
    assert host.http.get("/endpoints/first").json() == {
        "endpoint": "first",
        "model": "tiny",
        "version": "1",
        "status": "InService",
    }
    assert host.http.get("/endpoints/first/ping").status_code == 200
    # A rollout that changes nothing.
    scorer = host.scorers()["first-1"]
    assert host.target.apply("first", "first-1", bake=LONG_BAKE) == endpoint
    assert host.scorers()["first-1"] == scorer


def test_no_request_fails_when_a_version_is_updated_under_load(host: Host) -> None:
    _serve(host, "busy", slow=0.02)
    host.ready("busy-2", "busy", version="2", slow=0.02)

    with load(host, "busy") as seen:
        wait_until(lambda: seen["200 1"] > 50, "the first version answers")
        host.target.apply("busy", "busy-2", bake=timedelta(seconds=1))
        wait_until(lambda: seen["200 2"] > 50, "the second version answers")
        wait_until(lambda: host.endpoint("busy").status is EndpointStatus.IN_SERVICE, "the bake ends")
        host.target.restore("busy", "busy-1")
        back = seen["200 1"]
        wait_until(lambda: seen["200 1"] > back + 50, "the first version answers again")
        wait_until(lambda: "busy-2" not in host.scorers(), "the second version has ended")

    assert set(seen) == {"200 1", "200 2"}, seen


def test_no_client_sees_an_error_when_a_version_fails_during_its_bake(host: Host) -> None:
    _serve(host, "bad")
    host.ready("bad-2", "bad", version="2", fail_after=20)
    smoke = host.target.invoke("bad-2", BODY, content_type=JSON, timeout=timedelta(seconds=10))
    assert smoke.status == 200

    with load(host, "bad") as seen:
        wait_until(lambda: seen["200 1"] > 50, "the first version answers")
        host.target.apply("bad", "bad-2", bake=LONG_BAKE)
        wait_until(lambda: host.endpoint("bad").failure, "the second version is left")
        so_far = _total(seen)
        wait_until(lambda: _total(seen) > so_far + 50, "the load goes on")

    assert set(seen) == {"200 1", "200 2"}, seen
    endpoint = host.endpoint("bad")
    assert (endpoint.status, endpoint.live, endpoint.desired) == (EndpointStatus.IN_SERVICE, "bad-1", "bad-2")
    assert endpoint.failure == "EndpointUnhealthy: answered 500"
    assert "the weights are gone" in endpoint.message
    assert endpoint.errors >= 1
    # Asked again for the version that was left, the host does not flap.
    assert host.target.apply("bad", "bad-2", bake=LONG_BAKE) == endpoint
    # The next one is taken.
    host.ready("bad-3", "bad", version="3")
    assert host.target.apply("bad", "bad-3", bake=NO_BAKE).failure == ""
    assert host.answering_version("bad") == "3"


def test_no_client_sees_an_error_when_a_version_dies_during_its_bake(host: Host) -> None:
    _serve(host, "dying")
    host.ready("dying-2", "dying", version="2", die_after=5)

    with load(host, "dying") as seen:
        wait_until(lambda: seen["200 1"] > 20, "the first version answers")
        host.target.apply("dying", "dying-2", bake=LONG_BAKE)
        wait_until(lambda: host.endpoint("dying").failure, "the second version is left")
        so_far = _total(seen)
        wait_until(lambda: _total(seen) > so_far + 50, "the load goes on")

    assert set(seen) == {"200 1", "200 2"}, seen
    assert host.endpoint("dying").live == "dying-1"
    assert host.endpoint("dying").failure.startswith("EndpointUnhealthy: ")


def test_idle_version_is_left_when_it_dies_during_its_bake(host: Host) -> None:
    _serve(host, "idle")
    host.ready("idle-2", "idle", version="2")
    host.target.apply("idle", "idle-2", bake=LONG_BAKE)

    psutil.Process(host.scorers()["idle-2"].pid).kill()

    wait_until(lambda: host.endpoint("idle").live == "idle-1", "the second version is left")
    assert host.answering_version("idle") == "1"
    wait_until(lambda: host.target.configuration("idle-2").readiness is Readiness.FAILED, "it has failed")  # type: ignore[union-attr]


def test_first_deploy_leaves_no_live_version_when_it_fails_during_its_bake(host: Host) -> None:
    host.ready("worst-1", "worst", fail_after=0)
    host.target.apply("worst", "worst-1", bake=LONG_BAKE)

    assert host.predict("worst").status_code == 500

    endpoint = host.endpoint("worst")
    assert (endpoint.status, endpoint.live, endpoint.desired) == (EndpointStatus.FAILED, "", "worst-1")
    assert endpoint.failure == "EndpointUnhealthy: answered 500"
    assert "the weights are gone" in endpoint.message
    assert (endpoint.requests, endpoint.errors) == (1, 1)
    assert host.predict("worst").status_code == 503
    wait_until(lambda: "worst-1" not in host.scorers(), "its scorer is ended")
    host.target.restore("worst", "")
    assert host.target.describe("worst") is None
    assert host.predict("worst").status_code == 404


def test_traffic_stays_when_both_versions_refuse_a_request_during_the_bake(host: Host) -> None:
    _serve(host, "picky")
    host.ready("picky-2", "picky", version="2")
    host.target.apply("picky", "picky-2", bake=LONG_BAKE)

    answers = [
        host.predict("picky"),
        host.http.post("/endpoints/picky/invocations", content=b"{", headers={"content-type": JSON}),
        host.http.post("/endpoints/picky/invocations", content=b"x", headers={"content-type": "text/plain"}),
    ]

    assert [answer.status_code for answer in answers] == [200, 400, 415]
    assert {answer.headers["x-launchpin-version"] for answer in answers} == {"2"}
    endpoint = host.endpoint("picky")
    assert (endpoint.status, endpoint.live, endpoint.failure) == (EndpointStatus.BAKING, "picky-2", "")
    assert (endpoint.requests, endpoint.errors) == (3, 0)


def test_no_client_sees_an_error_when_predict_raises_during_the_bake(host: Host) -> None:
    _serve(host, "raising")
    host.ready("raising-2", "raising", version="2", raise_after=20)

    with load(host, "raising") as seen:
        wait_until(lambda: seen["200 1"] > 50, "the first version answers")
        host.target.apply("raising", "raising-2", bake=LONG_BAKE)
        wait_until(lambda: host.endpoint("raising").failure, "the second version is left")
        so_far = _total(seen)
        wait_until(lambda: _total(seen) > so_far + 50, "the load goes on")

    assert set(seen) == {"200 1", "200 2"}, seen
    endpoint = host.endpoint("raising")
    assert (endpoint.status, endpoint.live) == (EndpointStatus.IN_SERVICE, "raising-1")
    assert endpoint.failure == "EndpointUnhealthy: the new version refused a request that version 1 answers"
    assert "an ordinary error in the model" in endpoint.message
    assert endpoint.errors >= 1


def test_traffic_stays_when_the_older_version_cannot_answer_what_the_new_one_refuses(host: Host) -> None:
    _serve(host, "lame")
    host.ready("lame-2", "lame", version="2", raise_after=0)
    host.target.apply("lame", "lame-2", bake=LONG_BAKE)
    psutil.Process(host.scorers()["lame-1"].pid).kill()

    assert host.predict("lame").status_code == 400

    endpoint = host.endpoint("lame")
    assert (endpoint.status, endpoint.live, endpoint.errors) == (EndpointStatus.BAKING, "lame-2", 0)


def test_traffic_stays_when_a_first_version_answers_4xx_during_its_bake(host: Host) -> None:
    host.ready("alone-1", "alone", raise_after=0)
    host.target.apply("alone", "alone-1", bake=LONG_BAKE)

    assert host.predict("alone").status_code == 400

    endpoint = host.endpoint("alone")
    assert (endpoint.status, endpoint.live, endpoint.failure) == (EndpointStatus.BAKING, "alone-1", "")
    assert (endpoint.requests, endpoint.errors) == (1, 0)


def test_traffic_stays_when_a_version_answers_4xx_after_its_bake(host: Host) -> None:
    _serve(host, "settled")
    host.ready("settled-2", "settled", version="2", raise_after=0)
    host.target.apply("settled", "settled-2", bake=NO_BAKE)

    assert host.predict("settled").status_code == 400

    endpoint = host.endpoint("settled")
    assert (endpoint.status, endpoint.live, endpoint.failure) == (EndpointStatus.IN_SERVICE, "settled-2", "")


def test_traffic_stays_when_a_version_answers_5xx_after_its_bake(host: Host) -> None:
    _serve(host, "later")
    host.ready("later-2", "later", version="2", fail_after=0)
    host.target.apply("later", "later-2", bake=NO_BAKE)

    assert host.predict("later").status_code == 500

    endpoint = host.endpoint("later")
    assert (endpoint.status, endpoint.live, endpoint.failure) == (EndpointStatus.IN_SERVICE, "later-2", "")


def test_the_live_version_stays_when_the_one_asked_for_does_not_start(host: Host) -> None:
    _serve(host, "stuck")
    host.target.prepare(host.configuration("stuck-2", "stuck", version="2", refuse_to_load=True))

    assert host.target.apply("stuck", "stuck-2", bake=LONG_BAKE).status is EndpointStatus.UPDATING
    assert host.answering_version("stuck") == "1"
    wait_until(lambda: host.endpoint("stuck").status is EndpointStatus.IN_SERVICE, "the update is given up")

    endpoint = host.endpoint("stuck")
    assert (endpoint.live, endpoint.desired) == ("stuck-1", "stuck-2")
    assert endpoint.failure == "EndpointUnhealthy: ScorerExited"
    assert host.answering_version("stuck") == "1"


def test_no_bake_is_needed_when_the_update_is_taken_back_during_its_bake(host: Host) -> None:
    _prepare_side_by_side(host, "undone", "1", "2")
    host.target.apply("undone", "undone-1", bake=NO_BAKE)
    host.target.apply("undone", "undone-2", bake=LONG_BAKE)

    back = host.target.apply("undone", "undone-1", bake=LONG_BAKE)

    assert (back.status, back.live, back.failure) == (EndpointStatus.IN_SERVICE, "undone-1", "")
    assert host.answering_version("undone") == "1"


def test_requests_wait_for_the_next_scorer_when_the_live_one_dies(host: Host) -> None:
    _serve(host, "mortal")
    first = host.scorers()["mortal-1"]

    with load(host, "mortal") as seen:
        wait_until(lambda: seen["200 1"] > 20, "it answers")
        psutil.Process(first.pid).kill()
        wait_until(lambda: host.scorers().get("mortal-1", first) != first, "another scorer is started")
        so_far = _total(seen)
        wait_until(lambda: _total(seen) > so_far + 20, "it answers again")

    assert set(seen) == {"200 1"}, seen


def test_one_earlier_version_is_kept_warm_and_a_colder_one_is_started_when_restored(host: Host) -> None:
    _prepare_side_by_side(host, "warm", "1", "2", "3")
    for number in ("1", "2", "3"):
        host.target.apply("warm", f"warm-{number}", bake=NO_BAKE)
    wait_until(lambda: "warm-1" not in host.scorers(), "the oldest is ended")
    assert {"warm-2", "warm-3"} <= set(host.scorers())
    stopped = host.target.configuration("warm-1")
    assert stopped is not None
    assert (stopped.readiness, stopped.reason) == (Readiness.READY, "Stopped")

    assert host.target.restore("warm", "warm-2").live == "warm-2"
    cold = host.target.restore("warm", "warm-1")
    assert (cold.status, cold.live) == (EndpointStatus.ROLLING_BACK, "warm-2")
    assert host.answering_version("warm") == "2"
    wait_until(lambda: host.endpoint("warm").live == "warm-1", "the oldest is live again")
    assert host.endpoint("warm").status is EndpointStatus.IN_SERVICE
    assert host.answering_version("warm") == "1"


def test_i21_nothing_in_use_or_that_served_of_late_is_retired(host: Host) -> None:
    _prepare_side_by_side(host, "old", "1", "2", "3", "4")
    host.target.apply("old", "old-1", bake=NO_BAKE)
    host.target.apply("old", "old-2", bake=NO_BAKE)
    host.target.apply("old", "old-3", bake=NO_BAKE)

    assert host.target.retire("old", keep=1) == []
    assert host.target.retire("old", keep=0) == ["old-4"]

    # The first has served, so it is kept; the second is the warm one, the third is live.
    assert host.target.configuration("old-1") is not None
    assert host.target.configuration("old-4") is None
    assert {"old-2", "old-3"} <= set(host.scorers())
    assert host.answering_version("old") == "3"
    authorization = {"authorization": f"Bearer {TOKEN}"}
    assert host.http.delete("/api/v1/configurations/old-2", headers=authorization).status_code == 409
    assert host.http.delete("/api/v1/configurations/old-1", headers=authorization).status_code == 204
    assert host.target.configuration("old-1") is None
