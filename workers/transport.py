"""The Redis transport of Celery, which drops what is no message of ours instead of dying of it.

As it comes, one line of garbage in a queue ends each worker that takes it. The names that begin with an underscore are
kombu's; the version is pinned to a minor one, and the tests of hand-made messages hold these places.
"""

import workers.lean  # noqa: F401 - first: what it loads is not loaded again

# isort: split
import logging
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gitops.errors import InputError
from workers.hints import read_hint

_log = logging.getLogger(__name__)


class HintChannel(kombu_redis.Channel):  # type: ignore[misc]  # kombu publishes no types
    """A channel that takes hints only."""

    def _brpop_read(self, **options: Any) -> Any:  # noqa: ANN401 - kombu publishes no types
        try:
            return super()._brpop_read(**options)
        except (Empty, *self.connection_errors):
            raise
        except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            # What is raised by reading something that is no message at all.
            _log.error("a message was dropped: it cannot be read: %s", type(error).__name__)
            return True

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - kombu's signature
        """Leave every retry to those who wait for the broker: redis-py's own would hold up a publisher for seconds."""
        return {**super()._connparams(asynchronous), "retry": Retry(NoBackoff(), 0)}


class HintTransport(kombu_redis.Transport):  # type: ignore[misc]  # kombu publishes no types
    """The transport that workers read hints through."""

    Channel = HintChannel

    def _deliver(self, message: object, queue: str) -> None:
        try:
            hint = read_hint(message, queue)
        except InputError as error:
            _log.error("%s", error)
            return
        super()._deliver(hint.to_message(), queue)


def use_hints() -> None:
    """Have every connection to Redis in this process use the transport of hints."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{HintTransport.__module__}:{HintTransport.__name__}"
