"""What is told, as rows: a notice beside the change that it tells of, then a letter for each channel."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Select, delete, func, select, update

from gitops.notices import QUIET, Letter, LetterState, Notice, same_as
from gitops.ports import DueLetter
from gitops.steps import Queue
from gitops.store.jobs import wake_job
from gitops.store.rows import insert_new, read_all, read_one, to_row
from gitops.store.tables import is_waiting, letters, notices
from gitops.store.transaction import Transaction
from gitops.writes import RouteNotice, SettleLetter

TELLING = frozenset({"route", "notify"})
"""The kinds of jobs that tell; nobody is told of theirs."""

_HOME = "home"
_SOON = timedelta(seconds=1)
_STEP = 400  # names in one question, as in `retention`


def keep_notices(tx: Transaction) -> None:
    """Write what a transaction has to tell, and wake whoever decides to whom; last, so that nobody waits long."""
    for notice in tx.notices:
        insert_new(tx.connection, notices, to_row(notice))
    if tx.notices:
        wake_job(tx, "route", _HOME, queue=Queue.CONTROL, after=None, within=_SOON)


def route_notice(tx: Transaction, write: RouteNotice) -> None:
    """Give each channel its letter; a notice that was routed already stays as it is."""
    this = (notices.c.id == write.notice_id, notices.c.routed_at.is_(None))
    routed = update(notices).where(*this).values(routed_at=tx.now, outcome=write.outcome).returning(notices.c.id)
    if tx.connection.execute(routed).first() is None:
        return
    for channel in write.channels:
        letter = Letter(
            notice_id=write.notice_id,
            channel=channel,
            state=LetterState.WAITING,
            tries=0,
            reason="",
            message="",
            due=tx.now,
            created_at=tx.now,
        )
        insert_new(tx.connection, letters, to_row(letter))
    for channel in sorted(write.channels):
        wake_job(tx, "notify", channel, queue=Queue.CONTROL, after=None)


def settle_letter(tx: Transaction, write: SettleLetter) -> None:
    """Say how a try ended; what a channel that is away owes is tried as one, and all of it at once when it is back."""
    told = {"reason": write.reason, "message": write.message}
    if write.is_sent:
        changes = {**told, "state": LetterState.SENT.value, "settled_at": tx.now}
        _keep_left(tx, write)
    elif write.after is None:
        changes = {**told, "state": LetterState.GIVEN_UP.value, "settled_at": tx.now, "tries": letters.c.tries + 1}
    else:
        changes = {**told, "due": tx.now + write.after, "tries": letters.c.tries + 1}
    this = (letters.c.notice_id == write.notice_id, letters.c.channel == write.channel, is_waiting)
    tx.connection.execute(update(letters).where(*this).values(changes))
    others = (letters.c.channel == write.channel, is_waiting, letters.c.tries > 0)
    if write.is_sent:
        tx.connection.execute(update(letters).where(*others, letters.c.due > tx.now).values(due=tx.now))
    elif write.is_away and write.after is not None:
        later = tx.now + write.after
        tx.connection.execute(update(letters).where(*others, letters.c.due < later).values(due=later))


def _keep_left(tx: Transaction, write: SettleLetter) -> None:
    """Give each receiver who is left a letter, so that nobody who has the message gets it again."""
    for receiver in write.left:
        letter = Letter(
            notice_id=write.notice_id,
            channel=f"{write.channel}:{receiver}",
            state=LetterState.WAITING,
            tries=1,
            reason="NotifyUnavailable",
            message=write.message,
            due=tx.now + (write.after or timedelta()),
            created_at=tx.now,
        )
        if insert_new(tx.connection, letters, to_row(letter)):
            wake_job(tx, "notify", letter.channel, queue=Queue.CONTROL, after=None)


def read_unrouted(connection: Connection, *, limit: int) -> list[Notice]:
    """Return the notices that nobody routed yet, oldest first."""
    order = (notices.c.created_at, notices.c.id)
    return read_all(connection, notices, Notice, notices.c.routed_at.is_(None), order=order, limit=limit)


def read_told_lately(connection: Connection, asked: Sequence[Notice]) -> Mapping[tuple[str, str, str], datetime]:
    """Return when somebody was last told the same as each of these."""
    found: dict[tuple[str, str, str], datetime] = {}
    for notice in asked:
        same = (notices.c.news == notice.news.value, notices.c.subject == notice.subject)
        told = (notices.c.reason == notice.reason, notices.c.routed_at.is_not(None), notices.c.outcome == "")
        since = notices.c.created_at > notice.created_at - QUIET
        last = connection.execute(select(func.max(notices.c.created_at)).where(*same, *told, since)).scalar_one()
        if last is not None:
            found[same_as(notice)] = last
    return found


def read_first_letter(connection: Connection, channel: str, *, now: datetime) -> DueLetter | None:
    """Return the letter of a channel that is due first: what is new goes before what failed and waits for its turn."""
    order = (letters.c.due, letters.c.created_at, letters.c.notice_id)
    letter = read_one(connection, letters, Letter, letters.c.channel == channel, is_waiting, order=order)
    notice = read_one(connection, notices, Notice, notices.c.id == letter.notice_id) if letter else None
    if letter is None or notice is None:
        return None
    return DueLetter(letter, notice, max(letter.due - now, timedelta(0)))


def read_letters(connection: Connection, *, limit: int) -> list[tuple[Letter, Notice]]:
    """Return the newest letters, each with what it tells."""
    found = read_all(connection, letters, Letter, order=(letters.c.created_at.desc(), letters.c.channel), limit=limit)
    ids = {letter.notice_id for letter in found}
    told = {one.id: one for one in read_all(connection, notices, Notice, notices.c.id.in_(ids), order=(notices.c.id,))}
    return [(letter, told[letter.notice_id]) for letter in found if letter.notice_id in told]


def select_spent_notices(before: datetime) -> Select[str]:
    """Choose notices that were told, or not, so long ago."""
    waits = select(letters.c.notice_id).where(letters.c.notice_id == notices.c.id, is_waiting).exists()
    old = (notices.c.created_at < before, notices.c.routed_at.is_not(None))
    return select(notices.c.id).where(*old, ~waits).order_by(notices.c.created_at)


def drop_notices(connection: Connection, ids: Sequence[str]) -> None:
    """Remove notices with their letters."""
    for begin in range(0, len(ids), _STEP):
        these = ids[begin : begin + _STEP]
        connection.execute(delete(letters).where(letters.c.notice_id.in_(these)))
        connection.execute(delete(notices).where(notices.c.id.in_(these)))
