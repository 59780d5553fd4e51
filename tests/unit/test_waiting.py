"""A question that may hang: nobody waits for ever, one thread at most is lost, and it heals by itself."""

import asyncio
import threading

import pytest

from webhooks.waiting import Patient, in_thread


class Hanging:
    """Something that answers once it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        assert self.let_go.wait(30)
        return self.asked


def test_callers_give_up_share_one_thread_and_get_the_answer_once_there_is_one() -> None:
    hanging = Hanging()

    async def ask() -> list[object]:
        short, long = Patient(in_thread(hanging), seconds=0.05), Patient(in_thread(lambda: 7), seconds=30)
        gave_up = await asyncio.gather(*(short() for _ in range(20)), return_exceptions=True)
        still = await asyncio.gather(short(), long(), return_exceptions=True)
        assert hanging.asked == 1
        hanging.let_go.set()
        while True:
            try:
                return [*gave_up, *still, await short()]
            except TimeoutError:
                continue

    *gave_up, still, other, answer = asyncio.run(ask())
    assert all(isinstance(one, TimeoutError) for one in (*gave_up, still))
    assert other == 7
    assert answer in {1, 2}


def test_what_it_raises_is_raised_to_whoever_waits_and_asked_again_by_the_next() -> None:
    def fail() -> None:
        raise OSError("gone")

    async def ask() -> None:
        patient = Patient(in_thread(fail), seconds=30)
        for _ in range(2):
            with pytest.raises(OSError, match="gone"):
                await patient()

    asyncio.run(ask())
