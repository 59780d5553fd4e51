"""Where messages go: channels that an operator wrote down, and the way to them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gitops.config.channels import Channel, NotifyFile


@dataclass(frozen=True)
class Packet:
    """A message in the form that one kind of channel takes.

    Args:
        id: stable over all tries.
        content: JSON, or a whole mail.
        moment: when it is sent, by the database's clock.
    """

    id: str
    content: bytes
    content_type: str
    moment: datetime


@dataclass(frozen=True)
class Taken:
    """What the other side answered to a packet that it took.

    Args:
        said: in a few words.
        left: those of a mail's receivers for whom the server may take it later.
    """

    said: str
    left: tuple[str, ...] = ()


class Notifier(Protocol):
    """The way out. Thread-safe."""

    def file(self) -> NotifyFile:
        """Return what the operator wrote, read anew.

        Raises:
            InputError: it cannot be read, or is wrong.
        """
        ...

    def send(self, channel: Channel, packet: Packet, *, file: NotifyFile) -> Taken:
        """Send a packet, and return what the other side answered.

        Raises:
            RefusedError: `NotifyRefused`, `NotifyBlocked`: the same packet will hardly be taken later.
            RetryError: `NotifyUnavailable`: it may be taken later.
            InputError: a secret's file is missing or open to others, or an address in it is wrong.
        """
        ...


class Silence:
    """Stands where nobody is told of anything; implements `Notifier`."""

    def file(self) -> NotifyFile:
        """Return no channel."""
        return NotifyFile({}, ())

    def send(self, channel: Channel, packet: Packet, *, file: NotifyFile) -> Taken:
        """Refuse: there is no channel to send to."""
        del channel, packet, file
        raise RuntimeError("a message was sent where there is no channel")
