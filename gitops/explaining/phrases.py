"""Audit entries in words, one sentence for each kind: what happened, for people who were not there. Pure."""

from collections.abc import Callable, Mapping

from gitops.audit.at import approvers_of, text_of
from gitops.audit.entry import Entry
from gitops.holding import EVERYWHERE
from gitops.words import approved, short


def phrase(entry: Entry) -> str:
    """Return what an entry says happened; a kind that this release does not know is told by its own two words."""
    told = PHRASES.get(entry.kind)
    return told(entry) if told is not None else entry.kind.replace(".", " ").replace("_", " ")


def _version(entry: Entry) -> str:
    return f"v{entry.subject.version}" if entry.subject.version else "the version"


def _why(entry: Entry) -> str:
    reason, message = text_of(entry, "reason"), text_of(entry, "message")
    # A rollout's message repeats its reason.
    return ": ".join(part for part in (reason, message.removeprefix(f"{reason}: ")) if part)


def _training(entry: Entry) -> str:
    return f"training {entry.subject.training_id}"


def _trial(entry: Entry) -> str:
    return f"trial {entry.subject.name.rpartition('.')[2]}"


def _searched(entry: Entry) -> str:
    best, total = (entry.evidence.get(name, "") for name in ("trial", "trials"))
    return f"its search was over: trial {best} of {total} was the best"


def _rollout(entry: Entry) -> str:
    return f"rollout {entry.subject.rollout_id}"


def _pull(entry: Entry) -> str:
    return f"pull request {entry.subject.pr}" if entry.subject.pr else f"promotion {entry.subject.promotion_id}"


def _started(entry: Entry) -> str:
    subject = entry.subject
    return f"{_training(entry)} of {subject.repo} at {short(subject.sha)} began"


def _trained(entry: Entry) -> str:
    end, seconds = text_of(entry, "end"), text_of(entry, "seconds")
    return "its script ended" + (f" ({end})" if end else "") + (f" after {seconds} s" if seconds else "")


def _judged(entry: Entry) -> str:
    return f"its gates judged it: {text_of(entry, 'sentence') or text_of(entry, 'verdict')}"


def _registered(entry: Entry) -> str:
    return f"it was registered as {entry.subject.model} {_version(entry)}"


def _ended(what: Callable[[Entry], str], verb: str) -> Callable[[Entry], str]:
    def tell(entry: Entry) -> str:
        why = _why(entry)
        return f"{what(entry)} {verb}" + (f": {why}" if why else "")

    return tell


def _opened_promotion(entry: Entry) -> str:
    return f"{_version(entry)} was on its way to {entry.subject.env}"


def _proposed(entry: Entry) -> str:
    return f"{_pull(entry)} proposed {_version(entry)} for {entry.subject.env}"


def _merged(entry: Entry) -> str:
    by, sha = text_of(entry, "merged_by"), text_of(entry, "merge_sha")
    if not by:
        return f"{_pull(entry)} was over: {text_of(entry, 'message')}"
    approved_by = approvers_of(entry)
    told = f", approved by {approved(approved_by)}" if approved_by is not None else ""
    return f"{_pull(entry)} was merged" + (f" at {short(sha)}" if sha else "") + told


def _opened_rollout(entry: Entry) -> str:
    left = text_of(entry, "from_version")
    if text_of(entry, "direction") == "rollback":
        return f"{_rollout(entry)} was asked to go back from {f'v{left}' if left else 'nothing'} to {_version(entry)}"
    return f"{_rollout(entry)} of {_version(entry)} to {entry.subject.endpoint} began"


def _failure(entry: Entry) -> str:
    return ": ".join(part for part in (text_of(entry, "failure"), text_of(entry, "failure_message")) if part)


def _prepared(entry: Entry) -> str:
    failed = _failure(entry)
    return f"{_version(entry)} did not come up: {failed}" if failed else f"{_version(entry)} was ready, without traffic"


def _applied(entry: Entry) -> str:
    serving = text_of(entry, "serving") if "serving" in entry.evidence else entry.subject.version
    return f"v{serving} got the traffic" if serving else "nothing got the traffic any more"


def _baked(entry: Entry) -> str:
    failed = _failure(entry)
    return f"{_version(entry)} failed with traffic: {failed}" if failed else f"{_version(entry)} stood its bake"


def _restored(entry: Entry) -> str:
    serving = text_of(entry, "serving")
    return f"v{serving} had the traffic" if serving else "nothing served"


def _written_back(entry: Entry) -> str:
    sha, url = text_of(entry, "write_back_sha"), text_of(entry, "write_back_url")
    if sha:
        return f"Git was made to pin what serves, at {short(sha)}"
    return f"a pull request was opened to set the pin back: {url}" if url else "Git was not written"


def is_of_everything(entry: Entry) -> bool:
    """Return whether an entry tells of a pause, which has no place."""
    return entry.kind.startswith("hold.") and entry.subject.repo_id == EVERYWHERE


def _held(entry: Entry) -> str:
    if not is_of_everything(entry):
        return f"the environment was held: {_why(entry)}"
    return f"everything was paused: {text_of(entry, 'message')}".rstrip(": ")


def _command(entry: Entry) -> str:
    return f"launchpin {entry.subject.name} was carried out"


PHRASES: Mapping[str, Callable[[Entry], str]] = {
    "training.started": _started,
    "training.environment": lambda _: "its environment was ready",
    "training.searched": _searched,
    "training.trained": _trained,
    "training.judged": _judged,
    "training.registered": _registered,
    "trial.started": lambda entry: f"{_trial(entry)} began",
    "trial.trained": lambda entry: f"the script of {_trial(entry)} ended well",
    "trial.succeeded": _ended(_trial, "came to a model"),
    "promotion.opened": _opened_promotion,
    "promotion.planned": lambda entry: f"what merging {_version(entry)} would change was planned",
    "promotion.proposed": _proposed,
    "promotion.declined": lambda entry: f"{_version(entry)} is not proposed for {entry.subject.env} again",
    "promotion.succeeded": _merged,
    "rollout.opened": _opened_rollout,
    "rollout.admitted": lambda entry: f"{_rollout(entry)} had its turn",
    "rollout.verified": lambda entry: f"{_version(entry)} was what had been judged",
    "rollout.prepared": _prepared,
    "rollout.applied": _applied,
    "rollout.baked": _baked,
    "rollout.restored": _restored,
    "rollout.written_back": _written_back,
    "hold.set": _held,
    "hold.lifted": _ended(lambda entry: "the pause" if is_of_everything(entry) else "the hold", "was lifted"),
    "command.carried_out": _command,
    "command.succeeded": _ended(lambda entry: f"launchpin {entry.subject.name}", "was over"),
    "grant.given": lambda entry: f"{text_of(entry, 'login')} was made {entry.to or 'somebody who may'}",
    "grant.taken": lambda entry: f"{text_of(entry, 'login')} is {entry.from_ or 'what they were'} no more",
    "person.disabled": lambda entry: f"{text_of(entry, 'login')} was shut out",
    "token.made": lambda entry: f"the token {text_of(entry, 'name')} of {text_of(entry, 'login')} was made",
    "token.revoked": lambda entry: f"the token {text_of(entry, 'name')} was ended",
    "promotion.reconsidered": lambda entry: f"{_version(entry)}, which somebody had declined, was asked for again",
    "repository.connected": lambda entry: f"{entry.subject.repo} was connected",
    "hook.lost": lambda entry: f"no delivery came from {entry.subject.repo}: {_why(entry)}",
    "hook.heard": lambda entry: f"deliveries from {entry.subject.repo} came again",
    "version.recorded": lambda entry: f"{entry.subject.model} {_version(entry)} was recorded with its verdict",
    "gc.collected": lambda _: "what nobody needed was removed",
    "bodies.dropped": lambda _: "old bodies of deliveries were removed",
    "training.succeeded": _ended(_training, "was over"),
    "rollout.succeeded": _ended(_rollout, "was over"),
    **{
        f"{noun}.{verb}": _ended(what, words)
        for noun, what in (
            ("training", _training),
            ("trial", _trial),
            ("promotion", _pull),
            ("rollout", _rollout),
            ("command", lambda entry: f"launchpin {entry.subject.name}"),
        )
        for verb, words in (
            ("stalled", "waited for a person"),
            ("refused", "was refused"),
            ("errored", "broke"),
            ("superseded", "made way for something newer"),
            ("cancelled", "was called off"),
            ("rolled_back", "was rolled back"),
        )
    },
}
"""A sentence for every kind of entry; a test holds it against the reference of the audit log."""
