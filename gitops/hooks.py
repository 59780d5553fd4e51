"""Whether a repository's webhook is heard: a push that a look found, and that no delivery told of, says it is not.

Kept as a row of its own among the watched refs. A delivery may be on its way when the look finds its push, so nothing
is said before it had time to come; and a hook that told of anything meanwhile is alive.
"""

from datetime import datetime, timedelta

from gitops.ports import Deps
from gitops.ports.tallies import HOOK_LOST, HOOK_REF
from gitops.records import Repository, WatchedRef
from gitops.writes import Audit, MoveRef, Write

GRACE = timedelta(minutes=2)
"""How long a delivery may be on its way; the forge's own limit for an answer is ten seconds."""

_OFTEN = timedelta(seconds=10)  # a busy hook writes no more often than that
_HEARD, _OWES, _AWAITS, _LOST = "heard", "owes", "awaits", HOOK_LOST.strip()


def look_at_hook(deps: Deps, repository: Repository, *, is_missed: bool) -> tuple[Write, ...]:
    """Return what is written after a look at a repository.

    Args:
        is_missed: whether it found a push that nothing told of.
    """
    hook, now = deps.store.watched_ref(repository.id, HOOK_REF), deps.store.now()
    return miss(hook, repository, now=now) if is_missed else judge(hook, repository, now=now)


def hear(hook: WatchedRef | None, repository: Repository, *, now: datetime, is_seen: bool = True) -> tuple[Write, ...]:
    """Return what is written when a delivery came.

    Args:
        is_seen: what it told of could be looked at; otherwise a later look finds it, and was told.
    """
    state, since = _read(hook)
    if is_seen and state == _HEARD and since is not None and now - since < _OFTEN:
        return ()
    note = _note(repository, _HEARD if is_seen else _OWES, now)
    if state != _LOST:
        return (note,)
    message = f"deliveries of {repository.full_name} arrive again"
    return note, Audit("hook.heard", _subject(repository), {"message": message})


def miss(hook: WatchedRef | None, repository: Repository, *, now: datetime) -> tuple[Write, ...]:
    """Return what is written when a look found a push that nothing told of yet."""
    judged = judge(hook, repository, now=now)
    if judged:
        return judged
    state, since = _read(hook)
    if state == _OWES:
        return (_note(repository, _HEARD, now),)
    is_alive = state == _HEARD and since is not None and now - since < GRACE
    return () if is_alive or state in {_AWAITS, _LOST} else (_note(repository, _AWAITS, now),)


def judge(hook: WatchedRef | None, repository: Repository, *, now: datetime) -> tuple[Write, ...]:
    """Return what is written when a delivery had its time to come and did not."""
    state, since = _read(hook)
    if state != _AWAITS or since is None or now - since < GRACE:
        return ()
    message = (
        f"a push to {repository.full_name} was found by looking, and no delivery told of it: the webhook is gone, "
        "switched off, or does not reach us; pushes are found later meanwhile, and none is lost"
    )
    lost = Audit("hook.lost", _subject(repository), {"reason": "HookLost", "message": message})
    return _note(repository, _LOST, now), lost


def _note(repository: Repository, state: str, now: datetime) -> MoveRef:
    message = f"{state} {now.isoformat()}"
    return MoveRef(WatchedRef(repository_id=repository.id, ref=HOOK_REF, commit="", message=message))


def _read(hook: WatchedRef | None) -> tuple[str, datetime | None]:
    state, _, since = (hook.message if hook else "").partition(" ")
    try:
        return state, datetime.fromisoformat(since)
    except ValueError:
        return "", None


def _subject(repository: Repository) -> dict[str, str | int]:
    return {"repo_id": repository.id, "repo": repository.full_name}
