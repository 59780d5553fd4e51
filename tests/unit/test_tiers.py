"""What a place asks of a version: the stricter of two files, said with the way out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.config.endpoint import EndpointFile
from gitops.errors import RefusedError
from gitops.records import Version
from gitops.tiers import check_tier, find_demand, served_there, tier_facts
from tests.support.store import make_environment, make_version
from tests.support.tiers import TIERS, make_tiered

PLACE = "acme/iris-deploy:production"
FILE = "production/endpoint.yaml"


def endpoint(min_tier: str = "") -> EndpointFile:
    return EndpointFile(file=FILE, endpoint="iris-production", min_tier=min_tier)


def asked(tier: str, launchpin: str = "", **changes: object) -> Version:
    return make_tiered(tier, version="8", min_tiers={PLACE: launchpin} if launchpin else {}, **changes)


def refusal(version: Version | None, *, require: str) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        check_tier("iris 8", version, PLACE, endpoint(require))
    return caught.value


levels = st.sampled_from(["", *TIERS])


@given(levels, levels, levels)
def test_a_version_goes_where_its_tier_is_as_good_as_the_stricter_of_both_files(
    tier: str, launchpin: str, require: str
) -> None:
    version = asked(tier, launchpin)
    order = [*TIERS, ""]
    is_good = order.index(tier) <= min(order.index(launchpin), order.index(require))
    if is_good:
        check_tier("iris 8", version, PLACE, endpoint(require))
    else:
        assert refusal(version, require=require).reason == "TierTooLow"


@given(levels, levels, levels)
def test_to_ask_for_more_never_lets_more_in(tier: str, launchpin: str, require: str) -> None:
    def is_let_in(launchpin: str, require: str) -> bool:
        try:
            check_tier("iris 8", asked(tier, launchpin), PLACE, endpoint(require))
        except RefusedError:
            return False
        return True

    assert is_let_in(launchpin, require) <= is_let_in(launchpin, "") <= is_let_in("", "")
    assert is_let_in(launchpin, require) <= is_let_in("", require)


def test_a_refusal_names_both_tiers_the_file_the_cause_and_the_way_out() -> None:
    error = refusal(asked("silver"), require="gold")
    assert error.reason == "TierTooLow"
    assert str(error) == (
        f"iris 8 has the tier silver, and {FILE} asks for the tier gold: accuracy 0.90 is not at least 0.99; "
        "train a better model, or lower min_tier"
    )
    assert "iris 8 has no tier" in str(refusal(asked(""), require="bronze"))
    assert f"launchpin.yaml and {FILE} ask for the tier gold" in str(refusal(asked("silver", "gold"), require="gold"))


def test_the_file_that_asks_for_more_is_the_one_that_is_named() -> None:
    assert "launchpin.yaml asks for the tier gold" in str(refusal(asked("bronze", "gold"), require="silver"))
    assert f"{FILE} asks for the tier gold" in str(refusal(asked("bronze", "silver"), require="gold"))


def test_what_launchpin_yaml_asks_elsewhere_is_not_asked_here() -> None:
    version = make_tiered("bronze", min_tiers={"acme/iris-deploy:staging": "gold", "acme/other:production": "gold"})
    check_tier("iris 8", version, PLACE, endpoint())
    assert find_demand(version, PLACE, endpoint()) is None
    assert tier_facts(version, PLACE, endpoint()) == {}


def test_what_launchpin_yaml_asks_counts_where_endpoint_yaml_cannot_be_read() -> None:
    with pytest.raises(RefusedError, match=r"launchpin\.yaml asks for the tier gold"):
        check_tier("iris 8", asked("silver", "gold"), PLACE, None)


def test_a_tier_that_the_model_does_not_declare_is_named_with_the_nearest() -> None:
    error = refusal(asked("gold"), require="glod")
    assert error.reason == "TierUnknown"
    assert f"{FILE} asks for the tier glod, and iris 8 was judged by gold, silver, bronze" in str(error)
    assert 'did you mean "gold"? write one of these into' in str(error)
    assert "?:" not in str(error)


def test_a_version_that_was_judged_by_no_tiers_is_told_how_it_gets_one() -> None:
    error = refusal(make_version(), require="gold")
    assert error.reason == "TierUnknown"
    assert "was judged by no tiers: declare them in register.tiers and train again" in str(error)


def test_a_version_without_a_verdict_has_no_tier() -> None:
    error = refusal(None, require="silver")
    assert error.reason == "TierTooLow"
    assert f"train it with Launchpin, or take require out of {FILE}" in str(error)
    check_tier("iris 8", None, PLACE, endpoint())


def test_records_keep_what_was_asked_and_what_there_was() -> None:
    assert tier_facts(asked("silver", "bronze"), PLACE, endpoint("silver")) == {"tier": "silver", "min_tier": "silver"}
    assert tier_facts(None, PLACE, endpoint("silver")) == {"tier": "", "min_tier": "silver"}


@pytest.mark.parametrize(
    ("model", "version", "is_known"),
    [("iris", "7", True), ("iris", "4", True), ("iris", "6", False), ("wine", "7", False)],
)
def test_a_version_served_there_when_it_serves_or_came_through_its_bake(
    model: str, version: str, is_known: bool
) -> None:
    known = make_environment(serving="7", earlier=("5", "4"))
    assert served_there(known, model, version) is is_known
    assert not served_there(None, model, version)
