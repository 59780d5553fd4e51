"""The arithmetic of what strangers may cost; the door's attacks show it at work."""

import pytest

from webhooks.budgets import LONGEST_BODY, MOST_BYTES, MOST_REQUESTS, MOST_REQUESTS_EACH, Budgets, Strikes, to_address


class Clock:
    """Seconds in a test's hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


def test_places_are_taken_and_given_back_for_each_address_and_for_all() -> None:
    budgets = Budgets()
    for address in ("a", "b"):
        assert all(budgets.enter(address) for _ in range(MOST_REQUESTS_EACH))
        assert not budgets.enter(address)
    assert 2 * MOST_REQUESTS_EACH == MOST_REQUESTS
    assert not budgets.enter("c")
    budgets.leave("a", 0)
    assert budgets.enter("c")
    assert not budgets.enter("a")


def test_bytes_of_all_addresses_stay_within_the_budget_whoever_holds_them() -> None:
    budgets = Budgets()
    held = 0
    for number in range(100):
        address = f"10.0.0.{number}"
        assert budgets.enter(address)
        held += LONGEST_BODY if budgets.hold(address, LONGEST_BODY) else 0
    assert held == MOST_BYTES
    budgets.leave("10.0.0.0", LONGEST_BODY)
    assert budgets.hold("10.0.0.99", LONGEST_BODY)


def test_an_address_is_out_after_its_share_of_wrong_signatures_and_comes_back_in_time() -> None:
    clock = Clock()
    strikes = Strikes(clock)
    for _ in range(19):
        strikes.add("a")
    assert not strikes.is_out("a")
    strikes.add("a")
    assert strikes.is_out("a")
    assert not strikes.is_out("b")
    clock.seconds += 0.3
    assert not strikes.is_out("a")


def test_however_many_wrong_signatures_came_an_address_is_back_within_seconds() -> None:
    clock = Clock()
    strikes = Strikes(clock)
    for _ in range(100_000):
        strikes.add("a")
    clock.seconds += 5
    assert not strikes.is_out("a")


def test_the_first_address_is_forgotten_when_too_many_are_remembered() -> None:
    strikes = Strikes(Clock())
    for _ in range(30):
        strikes.add("first")
    for number in range(10_000):
        strikes.add(str(number))
    assert not strikes.is_out("first")
    assert len(strikes) == 10_000


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("::ffff:192.0.2.7", 1), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::1", 1), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1), "fe80::/64"),
        (None, ""),
    ],
)
def test_an_address_is_what_one_subscriber_has(client: tuple[str, int] | None, address: str) -> None:
    assert to_address(client) == address
