"""Tells people and programs what came to be: decides to whom each notice goes, and sends one channel's letters.

Two jobs of their own kinds: nothing waits for them, and whatever becomes of them changes nothing else (I24). A letter
is sent at least once, under an id that is the same each time. What a channel does not take is tried again with growing
waits, beside what is new, for a day; a channel that is away is asked once for all that it was asked before.
"""

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gitops.config.channels import Channel, NotifyFile, Slack, Smtp, Webhook
from gitops.errors import InputError, LaunchpinError, RefusedError, RetryError
from gitops.messages import Message, choose_channels, to_cloudevent, to_mail, to_message, to_slack
from gitops.messages.cdevents import CONTENT_TYPE
from gitops.notices import PATIENCE, REPEATED, Notice, is_repeated, same_as
from gitops.ports import Deps, DueLetter, Packet, Taken
from gitops.steps import Done, Outcome, Stalled, Step, Story, Wait
from gitops.writes import RouteNotice, SettleLetter

_log = logging.getLogger(__name__)
_AT_ONCE = 100  # notices of one transaction
_FIRST_RETRY = 5.0
_LONGEST_RETRY = 900.0
_JSON, _MAIL = "application/json", "message/rfc822"
_SHOWN = 300


@dataclass(frozen=True)
class Post:
    """What a job is about: a channel or one receiver of it, or every notice that nobody routed."""

    channel: str = ""


def route(deps: Deps, _: Post) -> Outcome:
    """Decide who is told of each new notice; nobody is woken twice by what flaps, and no program misses any of it."""
    found = deps.store.unrouted(limit=_AT_ONCE)
    if not found:
        return Done()
    try:
        file = deps.notifier.file()
    except InputError as error:
        return Stalled("NotifyFileInvalid", str(error))
    now = deps.store.now()
    told = dict(deps.store.told_lately(found))
    writes = []
    for notice in found:
        decided = _decide(notice, file, told, now=now)
        if not decided.outcome:
            told[same_as(notice)] = notice.created_at
        writes.append(decided)
    if len(found) < _AT_ONCE:
        return Done(writes=tuple(writes))
    return Wait(timedelta(0), "Routing", "there are more", writes=tuple(writes))


def _decide(
    notice: Notice, file: NotifyFile, told: Mapping[tuple[str, str, str], datetime], *, now: datetime
) -> RouteNotice:
    """Decide who is told of a notice, and how loud.

    Args:
        told: when somebody was told the same last.
    """
    outcome = REPEATED if is_repeated(notice, told) else ""
    channels = choose_channels(notice.model_copy(update={"outcome": outcome}), file)
    if not channels:
        return RouteNotice(notice.id, (), outcome or "NobodyTold")
    if now - notice.created_at > PATIENCE:
        return RouteNotice(notice.id, (), "NotifyExpired")
    return RouteNotice(notice.id, channels, outcome)


def notify(deps: Deps, post: Post) -> Outcome:
    """Send the letter of a channel that is due first."""
    due = deps.store.first_letter(post.channel)
    if due is None:
        return Done()
    if due.after > timedelta(0):
        return _wait(due.after, due.letter.reason, due.letter.message)
    settled = _send(deps, due)
    # What is next is seen by the next look, which is at once.
    return _wait(timedelta(0), settled.reason, settled.message, settled)


def _wait(after: timedelta, reason: str, message: str, *writes: SettleLetter) -> Wait:
    return Wait(after, reason or "Sending", message, writes=writes)


def _send(deps: Deps, due: DueLetter) -> SettleLetter:
    letter = due.letter
    if deps.store.now() - letter.created_at > PATIENCE:
        message = f"not taken within {PATIENCE // timedelta(hours=1)} hours, in {letter.tries} tries: {letter.message}"
        return SettleLetter(letter.notice_id, letter.channel, is_sent=False, reason="NotifyExpired", message=message)
    try:
        file = deps.notifier.file()
        channel = _find(file, letter.channel)
        if channel is None:
            message = f"notify.yaml has no channel {letter.channel} any more"
            return SettleLetter(letter.notice_id, letter.channel, is_sent=False, reason="ChannelGone", message=message)
        taken = send(deps, channel, to_message(due.notice, base_url=deps.service.base_url), file=file)
    except LaunchpinError as error:
        return _later(due, error)
    except Exception as error:  # noqa: BLE001 - one letter that cannot be sent must not keep the others back
        _log.exception("letter %s to %s", letter.notice_id, letter.channel)
        return _later(due, RefusedError("NotifyUnavailable", f"{type(error).__name__}: {error}"))
    settled = SettleLetter(letter.notice_id, letter.channel, is_sent=True, message=taken.said[:_SHOWN])
    if not taken.left:
        return settled
    return replace(settled, after=_next_try(letter.tries), left=taken.left)


def _find(file: NotifyFile, name: str) -> Channel | None:
    """Return the channel that a letter goes to, with one receiver alone where it is for that one.

    Args:
        name: as `Letter.channel` has it.
    """
    name, _, receiver = name.partition(":")
    channel = file.channels.get(name)
    if not receiver:
        return channel
    if isinstance(channel, Smtp) and receiver in channel.to:
        return replace(channel, to=(receiver,))
    return None


def _later(due: DueLetter, error: LaunchpinError) -> SettleLetter:
    """Return the settlement of a letter that is tried again: full jitter, longer each time, at least what was asked."""
    letter, asked = due.letter, error.after if isinstance(error, RetryError) else 0.0
    return SettleLetter(
        letter.notice_id,
        letter.channel,
        is_sent=False,
        is_away=isinstance(error, RetryError),
        reason=error.reason,
        message=str(error)[:_SHOWN],
        after=max(_next_try(letter.tries), timedelta(seconds=asked)),
    )


def _next_try(tries: int) -> timedelta:
    longest = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(tries + 1, 10))
    return timedelta(seconds=random.uniform(_FIRST_RETRY, longest))  # noqa: S311 - spreads the tries, guards nothing


def send(deps: Deps, channel: Channel, message: Message, *, file: NotifyFile) -> Taken:
    """Send a message to a channel in the form that it takes, and return what the other side answered.

    Raises:
        LaunchpinError: as `Notifier.send`.
    """
    content, content_type = pack(channel, message, tracking_uri=deps.service.tracking_uri)
    return deps.notifier.send(channel, Packet(message.id, content, content_type, deps.store.now()), file=file)


def pack(channel: Channel, message: Message, *, tracking_uri: str) -> tuple[bytes, str]:
    """Return a message in the form that a channel takes, and what that is called.

    Args:
        tracking_uri: of the MLflow server.
    """
    match channel:
        case Slack():
            return to_slack(message, mention=channel.mention), _JSON
        case Webhook():
            return to_cloudevent(message, tracking_uri=tracking_uri), CONTENT_TYPE
        case Smtp():
            return to_mail(message, sender=channel.sender, to=channel.to), _MAIL


def _load_channel(deps: Deps, subject: str) -> Post:
    del deps
    return Post(subject)


def _load_all(deps: Deps, subject: str) -> Post:
    del deps, subject
    return Post()


ROUTE = Story("route", (Step("route", route),), _load_all)
NOTIFY = Story("notify", (Step("notify", notify, deadline=timedelta(minutes=1)),), _load_channel)
