"""The page of the audit log: the fields of an entry, and every kind with the sentence that people read."""

from collections.abc import Iterator, Mapping

import msgspec

from gitops.audit.entry import Actor, Cause, Entry, Evidence, Service, Subject
from gitops.explaining.phrases import PHRASES, phrase
from tests.reference.marks import Part, always
from tests.reference.prose import arguments_of, code, table

_STORIES = ("training", "trial", "promotion", "rollout", "command")
_ENDS = ("stalled", "refused", "errored", "superseded", "cancelled", "rolled_back")
"""What may come of every story; how each succeeds is told in words of its own."""

_SUBJECT = Subject(
    repo_id=2,
    repo="acme/iris",
    sha="3f1c9a7d52e84b60917f0a2c6d8e4b5f7a901c23",
    training_id="t-1m80s5ep34ketdq",
    rollout_id="r-1m80s6b2x9k4c7f",
    model="iris",
    version="8",
    env="production",
    endpoint="iris-production",
    pr=12,
)
_LEARNED = {
    "end": "Exited",
    "seconds": "2.1",
    "sentence": "accuracy is above 0.9",
    "merged_by": "ada",
    "merge_sha": "9d2e4f6a8b0c1d3e5f7a9b1c3d5e7f9a1b3c5d7e",
    "write_back_sha": "5a7c9e1b3d5f7a9c1e3b5d7f9a1c3e5b7d9f1a3c",
    "serving": "8",
    "trial": "3",
    "trials": "12",
    "login": "grace",
    "name": "notebook",
}
_OF_KIND: Mapping[str, Evidence] = {
    "promotion.succeeded": {"approved_by": ("grace",)},
    "hold.set": {"reason": "SmokeFailed", "message": "question 1 was answered 500"},
    "hook.lost": {"reason": "HookLost", "message": "no delivery told of a push within two minutes"},
}
_TO = {"grant.given": "approver"}
_FROM = {"grant.taken": "approver"}
_OF_COMMANDS = Subject(name="retry")
_OF_TRIALS = msgspec.structs.replace(_SUBJECT, name="t-1m80s5ep34ketdq.3")


def parts() -> Mapping[str, Part]:
    """Return the page's parts."""
    common = {f"{noun}.{verb}" for noun in _STORIES for verb in _ENDS}
    nouns = list(dict.fromkeys(kind.partition(".")[0] for kind in PHRASES))
    kinds = sorted(
        PHRASES.keys() - common, key=lambda kind: (nouns.index(kind.partition(".")[0]), [*PHRASES].index(kind))
    )
    made = {
        "fields": table(("field", "meaning"), _fields()),
        "kinds": table(("kind", "in words"), [(code(kind), _told(kind)) for kind in kinds]),
        "ends": table(("verb", "in words, of a rollout"), [(code(verb), _told(f"rollout.{verb}")) for verb in _ENDS]),
    }
    return {name: always(text) for name, text in made.items()}


def _told(kind: str) -> str:
    return phrase(
        Entry(
            v=1,
            log_id="launchpin.example.com/audit/6f2b",
            ts="2026-01-31T12:00:00.000000Z",
            service=Service(version="0.1.0"),
            kind=kind,
            actor=Actor(type="service", login="launchpin"),
            subject={"command": _OF_COMMANDS, "trial": _OF_TRIALS}.get(kind.partition(".")[0], _SUBJECT),
            from_=_FROM.get(kind, ""),
            to=_TO.get(kind, ""),
            evidence={**_LEARNED, **_OF_KIND.get(kind, {})},
        )
    )


def _fields() -> Iterator[tuple[str, str]]:
    """Give each field of an entry with its meaning, and below it those that it holds."""
    held: dict[str, type[msgspec.Struct]] = {"actor": Actor, "cause": Cause, "subject": Subject, "service": Service}
    for name, meaning in _of(Entry):
        yield code(name), meaning
        if name in held:
            yield from ((code(f"{name}.{inner}"), said) for inner, said in _of(held[name]))


def _of(kind: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    said = {name: words for one in reversed(kind.__mro__) for name, words in arguments_of(one.__doc__ or "").items()}
    for field in msgspec.structs.fields(kind):
        yield field.encode_name, said[field.name].removesuffix(".")
