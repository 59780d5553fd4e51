"""Channels and rules of a notify.yaml, as values. Pure; secrets stand in files that it names, never in it.

Apart from its reader, because every process knows these types, and only who sends a message reads the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath

from gitops.config.addresses import Allowed

WAKE = "wake"
ALL = "all"


class Mention(StrEnum):
    """Whom a message in Slack mentions that wakes somebody."""

    CHANNEL = "channel"
    HERE = "here"
    NOBODY = "nobody"


class Tls(StrEnum):
    """How a connection to a mail server is encrypted."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


@dataclass(frozen=True)
class Slack:
    """An incoming webhook of Slack, or of whatever takes its messages.

    Args:
        url_file: holds its address, which is all that is needed to write there.
    """

    url_file: PurePath
    mention: Mention = Mention.CHANNEL


@dataclass(frozen=True)
class Webhook:
    """A receiver of signed JSON."""

    url: str
    secret_file: PurePath


@dataclass(frozen=True)
class Smtp:
    """Mail by a server.

    Args:
        user: empty where the server takes mail from us as we are.
    """

    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    user: str = ""
    password_file: PurePath | None = None
    tls: Tls = Tls.STARTTLS


Channel = Slack | Webhook | Smtp


@dataclass(frozen=True)
class Rule:
    """Who is told of what.

    Args:
        environments: patterns; empty for all.
        models: likewise.
        outcomes: `wake`, `all`, or words of `gitops.notices.News`.
        to: names of channels.
    """

    environments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = (WAKE,)
    to: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotifyFile:
    """A notify.yaml.

    Args:
        channels: by name.
        rules: what any of them says is told.
        allowed: what the operator allows beyond the public internet over TLS.
    """

    channels: Mapping[str, Channel]
    rules: tuple[Rule, ...]
    allowed: Allowed = field(default_factory=Allowed)
