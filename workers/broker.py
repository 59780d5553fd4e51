"""The broker as the relay sees it: lists of hints that may be gone at any time. Never waits longer than two seconds."""

import workers.lean  # noqa: F401 - first: what it loads is not loaded again

# isort: split
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gitops.errors import RetryError
from gitops.steps import Queue
from gitops.telemetry.meters import meters
from workers.hints import write_hint

_MARKER = "launchpin:marker"
_PATIENCE = 2.0


@dataclass(frozen=True)
class Seen:
    """What a look at the broker showed.

    Args:
        forgot: the marker was gone, and with it every message from before.
        waiting: number of messages in each queue.
    """

    forgot: bool
    waiting: Mapping[Queue, int]


class Broker:
    """A Redis or Valkey server.

    Args:
        url: with its password.
    """

    def __init__(self, url: str) -> None:
        # One try for each call: the relay comes back by itself, and has other things to do meanwhile.
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            health_check_interval=10,
            retry=Retry(NoBackoff(), 0),
        )

    def look(self) -> Seen:
        """Leave our marker, and count what waits.

        Raises:
            RetryError: `BrokerAway`.
        """
        try:
            with self._redis.pipeline() as pipeline:
                pipeline.set(_MARKER, "1", nx=True)
                for queue in Queue:
                    pipeline.llen(queue.value)
                made, *counts = pipeline.execute()
        except redis.RedisError as error:
            raise _away(error) from error
        return Seen(bool(made), dict(zip(Queue, counts, strict=True)))

    def publish(self, queue: Queue, jobs: Sequence[int]) -> None:
        """Put a hint for each job into a queue, all or none of them.

        Raises:
            RetryError: `BrokerAway`; they may be there all the same.
        """
        try:
            self._redis.lpush(queue.value, *(write_hint(queue.value, job) for job in jobs))
        except redis.RedisError as error:
            raise _away(error) from error
        for _ in jobs:
            meters().count_message(queue.value)

    def trim(self, queue: Queue, keep: int) -> None:
        """Drop all but so many hints of a queue: each is as good as another.

        Raises:
            RetryError: `BrokerAway`.
        """
        try:
            if keep:
                self._redis.ltrim(queue.value, 0, keep - 1)
            else:
                self._redis.delete(queue.value)
        except redis.RedisError as error:
            raise _away(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _away(error: redis.RedisError) -> RetryError:
    return RetryError("BrokerAway", f"the broker does not answer: {error}")
