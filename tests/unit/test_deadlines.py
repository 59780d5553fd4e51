import asyncio

import pytest

from webhooks.deadlines import Deadlines, Limit


async def wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def test_block_that_takes_too_long_ends_with_a_timeout_and_the_task_goes_on() -> None:
    async def work() -> str:
        deadlines = Deadlines()
        with pytest.raises(TimeoutError), Limit(deadlines, asyncio.get_running_loop().time()):
            await wait_for_ever()
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return f"went on, {task.cancelling()} cancelled"

    assert asyncio.run(work()) == "went on, 0 cancelled"


def test_block_that_ends_in_time_is_left_alone() -> None:
    async def work() -> int:
        deadlines = Deadlines()
        with Limit(deadlines, asyncio.get_running_loop().time() + 60):
            await asyncio.sleep(0)
        return len(deadlines._under_way)  # noqa: SLF001 - nothing must be kept of what is over

    assert asyncio.run(work()) == 0


def test_task_that_somebody_else_cancels_is_not_taken_for_one_that_took_too_long() -> None:
    async def work() -> None:
        with Limit(Deadlines(), asyncio.get_running_loop().time() + 60):
            await wait_for_ever()

    async def cancel() -> bool:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(cancel())
