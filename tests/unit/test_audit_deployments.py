"""Deployments from the trail: what is one, which failed, how long each took, and from when on a good version served."""

from datetime import timedelta

import pytest

from gitops.audit.deployments import Deployment
from tests.support.deployed import Life, Told, read

IRIS = Life()
HOUR, DAY = 60, 24 * 60
FIRST = IRIS.rolled("1", minute=10).kept(12)
SECOND = IRIS.rolled("2", minute=DAY).kept(DAY + 5)


def found(*parts: list[Told]) -> list[tuple[str, bool, timedelta | None]]:
    return [(one.version, one.has_failed, one.restored) for one in read(*parts).deployments]


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def only(*parts: list[Told]) -> Deployment:
    (one,) = read(*parts).deployments
    return one


# ---------------------------------------------------------------- what is one


def test_forward_rollout_that_moved_traffic_is_a_deployment() -> None:
    assert found(FIRST, SECOND) == [("1", False, None), ("2", False, None)]


def test_deployment_counts_while_it_still_bakes() -> None:
    assert found(IRIS.rolled("1", minute=1).told) == [("1", False, None)]


def test_rollout_that_got_no_traffic_is_none_and_no_failure() -> None:
    broken = IRIS.rolled("2", minute=50, until="opened").refused(51, serves="1")
    assert found(FIRST, broken) == [("1", False, None)]


def test_rollout_that_changed_nothing_is_none() -> None:
    same = IRIS.rolled("1", minute=50, until="opened").tell("succeeded", 51, serving="1").told
    assert found(FIRST, same) == [("1", False, None)]


def test_pin_that_is_emptied_is_none_and_says_nothing_of_the_version_that_was_left() -> None:
    assert found(FIRST, IRIS.rolled("", minute=50).kept(51)) == [("1", False, None)]


def test_same_version_that_is_given_the_traffic_again_is_another_one() -> None:
    again = IRIS.rolled("1", minute=90).kept(91)
    assert found(FIRST, again) == [("1", False, None), ("1", False, None)]


def test_entry_that_is_told_twice_counts_once() -> None:
    twice = IRIS.rolled("1", minute=1).tell("applied", 2, serving="1").kept(3)
    assert found(twice) == [("1", False, None)]


def test_endpoints_of_other_repositories_with_the_same_name_are_apart() -> None:
    other = Life(deploy=9)
    failed = other.rolled("2", minute=20).failed(25, back_to="")
    assert found(FIRST, failed) == [("1", False, None), ("2", True, None)]


# ---------------------------------------------------------------- which failed, and for how long


def test_deployment_that_its_rollout_took_back_failed_until_traffic_was_back_not_until_git_followed() -> None:
    broken = IRIS.rolled("2", minute=DAY).failed(DAY + 4, back_to="1", after=300)
    assert found(FIRST, broken) == [("1", False, None), ("2", True, minutes(4))]


def test_traffic_that_only_the_end_tells_of_is_back_by_then() -> None:
    told = IRIS.rolled("2", minute=DAY).tell("rolled_back", DAY + 9, serving="1", reason="EndpointUnhealthy").told
    assert found(FIRST, told)[1] == ("2", True, minutes(9))


def test_deployment_has_failed_as_soon_as_its_bake_did() -> None:
    baking = IRIS.rolled("2", minute=DAY).tell("baked", DAY + 4, failure="SmokeFailed").told
    assert found(FIRST, baking)[1] == ("2", True, None)


def test_deployment_that_a_person_rolled_back_failed_from_their_asking_until_the_earlier_version_had_the_traffic() -> (
    None
):
    back = IRIS.rolled("1", minute=40 * DAY, back_from="2", begun=40 * DAY - 2).kept(40 * DAY + 30)
    assert found(FIRST, SECOND, back) == [("1", False, None), ("2", True, minutes(2))]


def test_rollback_that_came_to_nothing_is_not_where_a_later_one_began() -> None:
    tried = IRIS.rolled("1", minute=2 * DAY, back_from="2", until="opened").refused(2 * DAY + 1, serves="2")
    back = IRIS.rolled("1", minute=9 * DAY, back_from="2", begun=9 * DAY - 3).kept(9 * DAY + 30)
    assert found(FIRST, SECOND, tried, back)[1] == ("2", True, minutes(3))


def test_rollback_counts_once_its_own_rollout_went_well() -> None:
    under_way = IRIS.rolled("1", minute=2 * DAY, back_from="2")
    assert found(FIRST, SECOND, under_way.told)[1] == ("2", True, None)
    back_again = under_way.failed(2 * DAY + 1, back_to="2")
    assert found(FIRST, SECOND, back_again)[1] == ("2", True, None)


def test_rollback_that_moved_no_traffic_says_nothing() -> None:
    tried = IRIS.rolled("1", minute=2 * DAY, back_from="2", until="opened").refused(2 * DAY + 1, serves="2")
    assert found(FIRST, SECOND, tried)[1] == ("2", False, None)


def test_rollback_during_the_bake_fails_the_version_that_baked_and_no_other() -> None:
    baking = IRIS.rolled("2", minute=DAY)
    asked = IRIS.rolled("1", minute=DAY + 60, back_from="2", until="opened")
    begun = [*baking.told, *asked.told]
    ended = baking.failed(DAY + 64, back_to="1", reason="RolledBack")[len(begun) - 1 :]
    done = asked.tell("succeeded", DAY + 65, serving="1").told[1:]
    assert found(FIRST, begun, ended, done) == [("1", False, None), ("2", True, minutes(4))]


def test_bake_that_a_person_ended_failed_then_where_nothing_says_when_they_asked() -> None:
    baking = IRIS.rolled("2", minute=DAY).tell("baked", DAY + 60, failure="RolledBack")
    restored = baking.tell("restored", DAY + 61, serving="1").told
    assert found(FIRST, restored)[1] == ("2", True, minutes(1))
    again = IRIS.rolled("2", minute=3 * DAY).tell("baked", 3 * DAY + 60, failure="RolledBack")
    asked_long_ago = IRIS.rolled("1", minute=2 * DAY, back_from="2").kept(2 * DAY + 5)
    assert found(FIRST, SECOND, asked_long_ago, again.tell("restored", 3 * DAY + 62, serving="1").told)[2] == (
        "2",
        True,
        minutes(2),
    )


def test_rollback_further_back_leaves_what_served_in_between_as_it_was() -> None:
    baking = IRIS.rolled("3", minute=2 * DAY).failed(2 * DAY + 3, back_to="2", reason="RolledBack")
    asked = IRIS.rolled("1", minute=2 * DAY + 4, back_from="3").kept(2 * DAY + 5)
    assert found(FIRST, SECOND, baking, asked) == [
        ("1", False, None),
        ("2", False, None),
        ("3", True, minutes(0)),
    ]


def test_pin_that_is_set_back_in_git_is_a_way_back_like_any_other() -> None:
    reverted = IRIS.rolled("1", minute=2 * DAY, begun=2 * DAY - 5).kept(2 * DAY + 30)
    assert found(FIRST, SECOND, reverted) == [("1", False, None), ("2", True, minutes(5))]


def test_lower_version_that_never_served_here_is_a_deployment() -> None:
    simpler = IRIS.rolled("1", minute=2 * DAY).kept(2 * DAY + 1)
    assert found(SECOND, simpler) == [("2", False, None), ("1", False, None)]


def test_version_that_comes_again_after_a_way_back_is_a_deployment() -> None:
    back = IRIS.rolled("1", minute=2 * DAY, back_from="2").kept(2 * DAY)
    again = IRIS.rolled("2", minute=3 * DAY).kept(3 * DAY)
    assert found(FIRST, SECOND, back, again) == [("1", False, None), ("2", True, minutes(0)), ("2", False, None)]


def test_other_model_on_the_endpoint_is_no_way_back() -> None:
    churn = Life(model="churn", env="production")
    told = [
        Told(one.kind, one.minute, one.subject | {"endpoint": "iris-production"})
        for one in churn.rolled("1", minute=DAY).told
    ]
    assert found(FIRST, told) == [("1", False, None), ("1", False, None)]


def test_first_version_that_failed_is_down_until_another_one_is_good() -> None:
    gone = IRIS.rolled("1", minute=0).failed(1, back_to="")
    also = IRIS.rolled("2", minute=HOUR).failed(HOUR + 2, back_to="")
    good = IRIS.rolled("3", minute=2 * HOUR)
    down = [("1", True, None), ("2", True, None), ("3", False, None)]
    assert found(gone, also, good.told) == down
    assert [one.is_down for one in read(gone, also, good.told).deployments] == [True, True, False]
    # From its first traffic on, although that is known only at its end.
    assert found(gone, also, good.kept(2 * HOUR + 5)) == [
        ("1", True, minutes(2 * HOUR)),
        ("2", True, minutes(HOUR)),
        ("3", False, None),
    ]


def test_way_back_to_a_version_that_is_down_itself_restores_nothing() -> None:
    stuck = IRIS.rolled("1", minute=0).tell("baked", 1, failure="EndpointUnhealthy")
    stuck.tell("errored", 2, serving="1", reason="RollbackFailed")
    next_one = IRIS.rolled("2", minute=10).failed(12, back_to="1")
    assert found(stuck.told, next_one) == [("1", True, None), ("2", True, None)]


def test_clock_that_was_set_back_makes_no_time_negative() -> None:
    trained = IRIS.trained("2", minute=DAY + 90)
    broken = IRIS.rolled("2", minute=DAY).failed(DAY - 30, back_to="1")
    ledger = read(FIRST, trained, broken)
    assert [(one.lead, one.restored) for one in ledger.deployments[1:]] == [(minutes(0), minutes(0))]


@pytest.mark.parametrize("version", ["latest", "٣", "1" * 30, "-1", ""])
def test_version_that_is_no_number_is_never_lower(version: str) -> None:
    strange, five = IRIS.rolled(version, minute=1).kept(2), IRIS.rolled("5", minute=3).kept(4)
    assert not any(has_failed for _, has_failed, _ in found(strange, five, strange))


# ---------------------------------------------------------------- how long it took


def test_lead_time_begins_at_the_commit_where_it_names_its_time() -> None:
    one = only(IRIS.trained("1", minute=4, committed=-50), FIRST)
    assert (one.lead, one.is_lead_of_commit) == (minutes(60), True)


def test_lead_time_begins_when_the_push_arrived_where_the_commit_names_none() -> None:
    one = only(IRIS.trained("1", minute=4), FIRST)
    assert (one.lead, one.is_lead_of_commit) == (minutes(6), False)


@pytest.mark.parametrize("committed", ["2026-01-01T00:30:00.000000Z", "yesterday", "2025-12-31T00:00:00", 5, ""])
def test_commit_from_the_future_or_without_a_time_is_not_believed(committed: object) -> None:
    started, registered = IRIS.trained("1", minute=4)
    told = Told(started.kind, started.minute, started.subject, {"committed_at": committed})
    one = only([told, registered], FIRST)
    assert (one.lead, one.is_lead_of_commit) == (minutes(6), False)


def test_training_that_is_tried_once_more_has_the_time_of_its_commit() -> None:
    first = IRIS.trained("1", minute=0, committed=-60, name="t-lost")[:1]
    one = only(first, IRIS.trained("1", minute=5, name="t-again"), FIRST)
    assert (one.lead, one.is_lead_of_commit) == (minutes(70), True)


def test_lead_time_is_unknown_where_no_training_is_on_record() -> None:
    assert only(FIRST).lead is None


def test_version_that_served_there_before_has_no_lead_time_again() -> None:
    trained = IRIS.trained("1", minute=4)
    again = IRIS.rolled("1", minute=DAY).kept(DAY)
    assert [one.lead for one in read(trained, FIRST, again).deployments] == [minutes(6), None]


def test_each_environment_has_a_lead_time_of_its_own() -> None:
    trained = IRIS.trained("1", minute=0)
    staging = Life(env="staging").rolled("1", minute=5).kept(6)
    assert [(one.env, one.lead) for one in read(trained, staging, FIRST).deployments] == [
        ("staging", minutes(5)),
        ("production", minutes(10)),
    ]


# ---------------------------------------------------------------- the trail


def test_log_that_grows_is_read_on_from_where_the_last_reading_ended() -> None:
    whole = [*IRIS.trained("1", minute=4), *FIRST, *IRIS.rolled("2", minute=DAY).failed(DAY + 4, back_to="1")]
    for cut in range(len(whole) + 1):
        ledger = read(whole[:cut])
        for told in whole[cut:]:
            ledger.add(told.entry)
        assert [(one.version, one.has_failed, one.restored, one.lead) for one in ledger.deployments] == [
            ("1", False, None, minutes(6)),
            ("2", True, minutes(4), None),
        ]


def test_trail_says_when_it_begins_and_ends_and_what_it_names() -> None:
    other = [Told("hold.set", -5, {"name": "h"}), *FIRST, Told("hold.lifted", 99, {"name": "h"})]
    ledger = read(other)
    assert ledger.since == other[0].entry.time
    assert ledger.until == other[-1].entry.time
    assert (ledger.models(), ledger.environments()) == (["iris"], ["production"])
    empty = read()
    assert (empty.since, empty.until, empty.models(), empty.deployments) == (None, None, [], [])


def test_deployment_is_of_the_deploy_repository_and_names_are_told_by_theirs() -> None:
    trained, churn = IRIS.trained("1", minute=4), Life(model="churn", env="staging", source=3, deploy=4)
    ledger = read(trained, FIRST, churn.trained("1", minute=20), churn.rolled("1", minute=30).kept(31))
    assert [(one.model, one.repo_id) for one in ledger.deployments] == [("iris", 2), ("churn", 4)]
    assert (ledger.models(), ledger.environments()) == (["churn", "iris"], ["production", "staging"])
    for repository, models, environments in ((1, ["iris"], []), (2, ["iris"], ["production"]), (9, [], [])):
        assert ledger.models({repository}.__contains__) == models
        assert ledger.environments({repository}.__contains__) == environments


def test_kind_that_only_evidence_speaks_of_is_read_as_what_it_is() -> None:
    quoted = Told("hold.set", 1, {"name": "h"}, {"kind": "rollout.applied", "x": '"kind":"rollout.applied"'})
    assert found([quoted], FIRST) == [("1", False, None)]
