"""How deliveries wait for their group, by an event loop and a keeper in the test's hand."""

import asyncio
from collections.abc import Sequence

import pytest

from gitops.errors import RetryError
from gitops.ports import Received
from webhooks.deadlines import Deadlines
from webhooks.inbox import Inbox
from webhooks.saving import Arrival, Tell


class Hand:
    """Implements `Keeper`: keeps groups until the test lets them go."""

    def __init__(self) -> None:
        self.groups: list[tuple[Sequence[Arrival], Tell]] = []
        self.is_closed = False

    async def open(self) -> None:
        """Do nothing."""

    def store(self, group: Sequence[Arrival], tell: Tell) -> None:
        """Keep a group."""
        assert not self.is_closed, "a group came after the end"
        self.groups.append((group, tell))

    async def check(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """End."""
        self.is_closed = True

    def let_go(self) -> None:
        """Tell of the oldest group that all is stored."""
        group, tell = self.groups.pop(0)
        tell([Received.NEW] * len(group))


def arrival(number: int = 1) -> Arrival:
    return Arrival(f"{number:08d}-0000-4000-8000-000000000000", "push", b"{}")


async def turn() -> None:
    """Let everything run that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_waits_is_stored_before_the_end_whatever_was_stored_earlier() -> None:
    async def play() -> None:
        hand = Hand()
        inbox = Inbox(hand, Deadlines())
        first = asyncio.ensure_future(inbox.put(arrival(1)))
        await turn()
        hand.let_go()
        assert await first is Received.NEW

        under_way = asyncio.ensure_future(inbox.put(arrival(2)))
        await turn()
        waiting = asyncio.ensure_future(inbox.put(arrival(3)))
        await turn()
        closing = asyncio.ensure_future(inbox.close())
        await turn()
        assert not closing.done(), "it ended while a group was under way"
        hand.let_go()
        await turn()
        assert not closing.done(), "it ended before what waited was stored"
        hand.let_go()
        await closing
        assert (await under_way, await waiting) == (Received.NEW, Received.NEW)
        assert hand.is_closed
        with pytest.raises(RetryError):
            await inbox.put(arrival(4))

    asyncio.run(play())


def test_two_groups_are_under_way_at_most_and_the_rest_goes_together() -> None:
    async def play() -> None:
        hand = Hand()
        inbox = Inbox(hand, Deadlines())
        puts = [asyncio.ensure_future(inbox.put(arrival(number))) for number in range(40)]
        await turn()
        assert [len(group) for group, _ in hand.groups] == [4, 4]
        hand.let_go()
        assert [len(group) for group, _ in hand.groups] == [4, 32]
        hand.let_go()
        hand.let_go()
        assert await asyncio.gather(*puts) == [Received.NEW] * 40

    asyncio.run(play())


def test_a_delivery_that_nobody_waits_for_any_more_takes_no_room() -> None:
    async def play() -> None:
        hand = Hand()
        inbox = Inbox(hand, Deadlines())
        stuck = asyncio.ensure_future(inbox.put(arrival(1), patience=60))
        await turn()
        late = asyncio.ensure_future(inbox.put(arrival(2), patience=-1.0))
        with pytest.raises(RetryError):
            await late
        hand.let_go()
        assert await stuck is Received.NEW
        assert hand.groups == [], "it was stored after its sender was told that it was not"

    asyncio.run(play())
