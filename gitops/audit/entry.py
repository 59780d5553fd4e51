"""What one audit entry holds and the only bytes it can have: RFC 8785 canonical JSON of a closed schema.

There are no floats, no nulls and no empty optional fields, so one meaning has one encoding. The bytes made here are
stored and hashed as they are; nothing may ever store a re-serialisation.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, cast

import msgspec
import rfc8785

from gitops.errors import InputError

MAX_ENTRY_BYTES = 256 * 1024
_LARGEST = 2**53 - 1
_OUTSIDE_BMP = re.compile(rb"[\xf0-\xf4]")

Integer = Annotated[int, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
Scalar = str | bool | Integer
# msgspec has no recursive aliases; a bounded depth is also what a closed schema wants.
_Level1 = Scalar | Sequence[Scalar] | Mapping[str, Scalar]
_Level2 = Scalar | Sequence[_Level1] | Mapping[str, _Level1]
_Level3 = Scalar | Sequence[_Level2] | Mapping[str, _Level2]
EvidenceValue = Scalar | Sequence[_Level3] | Mapping[str, _Level3]
Evidence = Mapping[str, EvidenceValue]

Named = Annotated[str, msgspec.Meta(min_length=1)]
Kind = Annotated[str, msgspec.Meta(pattern=r"\A[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*\Z")]
Timestamp = Annotated[
    str, msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\Z")
]


class _Record(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A frozen value whose empty fields are absent from its bytes."""


class Actor(_Record, frozen=True, kw_only=True, gc=False):
    """Who did it.

    Args:
        type: `user`, `bot`, `service`, `command` or another kind of actor.
        id: the forge's numeric id of the user, 0 when there is none.
        login: the name at that time; names can be given to others, ids cannot.
        auth_method: how the actor was known: `webhook`, `session`, `token`.
        token_id: which token, never the token.
    """

    type: Named
    id: Integer = 0
    login: str = ""
    auth_method: str = ""
    token_id: str = ""


class Cause(_Record, frozen=True, kw_only=True, gc=False):
    """What made it happen.

    Args:
        delivery_guid: the webhook delivery.
        body_sha256: hex digest of that delivery's body.
        request_id: the command or API request.
    """

    delivery_guid: str = ""
    body_sha256: str = ""
    request_id: str = ""


class Subject(_Record, frozen=True, kw_only=True, gc=False):
    """What it happened to; each entry fills what it is about.

    Args:
        repo_id: the forge's numeric id of the repository.
        repo: its name at that time.
        ref: the branch, `refs/heads/main` for example.
        sha: the commit.
        config_sha256: hex digest of the launchpin.yaml that was followed.
        training_id: the training.
        attempt: which try of the training.
        model: the registered model.
        version: its version.
        env: the environment's name.
        endpoint: the endpoint's name.
        pr: the pull request's number.
        rollout_id: the rollout.
        promotion_id: the promotion.
        command_id: what was asked for.
        revision: how many audited state changes the record has had, this one included: joins states to entries.
        name: of what has no field here: a hold, a grant, a token.
    """

    repo_id: Integer = 0
    repo: str = ""
    ref: str = ""
    sha: str = ""
    config_sha256: str = ""
    training_id: str = ""
    attempt: Integer = 0
    model: str = ""
    version: str = ""
    env: str = ""
    endpoint: str = ""
    pr: Integer = 0
    rollout_id: str = ""
    promotion_id: str = ""
    command_id: str = ""
    revision: Integer = 0
    name: str = ""


class Service(_Record, frozen=True, kw_only=True, gc=False):
    """Which Launchpin wrote it.

    Args:
        version: its release.
        commit: its commit, where it is known.
        host_id: the machine.
    """

    version: Named
    commit: str = ""
    host_id: str = ""


_NO_CAUSE = Cause()
_NO_SUBJECT = Subject()


class Event(_Record, frozen=True, kw_only=True, gc=False):
    """An entry before the store stamps it with log, time and service.

    Args:
        kind: `noun.verb`, `rollout.rolled_back` for example.
        actor: who.
        cause: which delivery or request; empty for a timer.
        subject: what it is about.
        from_: the state before.
        to: the state after, `Running judge` for example.
        evidence: what the step learned: digests, metrics, gates, commits, request ids; above 64 KiB its digest.
            Strings, integers, booleans, lists and objects; metrics are decimal strings.
    """

    kind: Kind
    actor: Actor
    cause: Cause = _NO_CAUSE
    subject: Subject = _NO_SUBJECT
    from_: str = msgspec.field(default="", name="from")
    to: str = ""
    evidence: Evidence = msgspec.field(default_factory=dict)


class Entry(Event, frozen=True, kw_only=True, gc=False):
    """One record of the audit trail.

    Args:
        v: the version of this schema.
        log_id: the origin of the log, as in its checkpoints: an entry cannot move to another log.
        ts: the database's clock, UTC, six digits of microseconds, `Z`.
        service: which Launchpin wrote it.
    """

    log_id: Named
    ts: Timestamp
    service: Service
    v: Literal[1]

    @property
    def time(self) -> datetime:
        """The entry's time as an aware datetime."""
        return datetime.fromisoformat(self.ts)


_DECODER = msgspec.json.Decoder(Entry)
_ENCODER = msgspec.json.Encoder(order="sorted")


def format_time(moment: datetime) -> str:
    """Write an aware datetime as entries do: UTC, always six digits of microseconds, `Z`.

    Raises:
        InputError: the datetime is naive.
    """
    if moment.tzinfo is None:
        raise InputError("audit_entry", "a time without its zone cannot be recorded; use an aware datetime")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def read_event(plain: Mapping[str, object]) -> Event:
    """Return the event that plain values describe, checked against the schema.

    Args:
        plain: the fields of `Event` under the names they have in the bytes, objects as mappings.

    Raises:
        InputError: a value or name outside the schema.
    """
    _refuse_inexact(plain.get("evidence", {}), "evidence")
    try:
        return msgspec.convert(plain, Event)
    except msgspec.ValidationError as error:
        raise InputError("audit_entry", f"not an audit event: {error}") from error


def stamp(event: Event, *, log_id: str, moment: datetime, service: Service) -> Entry:
    """Return the entry that records an event.

    Args:
        event: what happened.
        log_id: the origin of the log it goes to.
        moment: the database's clock.
        service: which Launchpin writes.

    Raises:
        InputError: the datetime is naive.
    """
    return Entry(
        v=1,
        log_id=log_id,
        ts=format_time(moment),
        service=service,
        kind=event.kind,
        actor=event.actor,
        cause=event.cause,
        subject=event.subject,
        from_=event.from_,
        to=event.to,
        evidence=event.evidence,
    )


def canonical(entry: Entry) -> bytes:
    """Return the entry's bytes, made by the RFC 8785 library and read back before they are given out.

    Reading back encodes with a second, independent encoder, so no entry is written that `parse` would refuse later.

    Raises:
        InputError: a value outside the schema: a float, a null, a lone surrogate, an integer beyond 2^53-1.
    """
    _refuse_inexact(entry.evidence, "evidence")
    try:
        raw = rfc8785.dumps(_plain(entry))
    except rfc8785.CanonicalizationError as error:
        raise InputError("audit_entry", f"the entry has no canonical form: {error}") from error
    parse(raw)
    return cast("bytes", raw)


def parse(raw: bytes) -> Entry:
    """Read an entry from its canonical bytes, and from no others.

    Args:
        raw: one line of entries.jsonl without its newline, or one stored row.

    Raises:
        InputError: not JSON, not the schema, or another spelling of an entry.
    """
    if len(raw) > MAX_ENTRY_BYTES:
        raise InputError("audit_entry", f"an entry has at most {MAX_ENTRY_BYTES} bytes, this one has {len(raw)}")
    try:
        entry = _DECODER.decode(raw)
        datetime.fromisoformat(entry.ts)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError("audit_entry", f"not an audit entry: {error}") from error
    if _encode(entry, raw) != raw or _spells_emptiness(entry):
        raise InputError("audit_entry", "the bytes are not the canonical form of what they say")
    return entry


def _encode(entry: Entry, raw: bytes) -> bytes:
    """Write the entry again; the C encoder is 20 times faster but sorts keys by code point, RFC 8785 by UTF-16.

    The two orders differ only when a character outside the Basic Multilingual Plane is there.
    """
    if raw.isascii() or _OUTSIDE_BMP.search(raw) is None:
        return _ENCODER.encode(entry)
    return cast("bytes", rfc8785.dumps(_plain(entry)))


def _plain(entry: Entry) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(entry)
    return {key: value for key, value in plain.items() if value != {}}


def _spells_emptiness(entry: Entry) -> bool:
    """Whether an empty cause or subject was written out instead of being left out."""
    return (entry.cause is not _NO_CAUSE and entry.cause == _NO_CAUSE) or (
        entry.subject is not _NO_SUBJECT and entry.subject == _NO_SUBJECT
    )


def _refuse_inexact(value: object, place: str) -> None:
    """Refuse what JSON would carry but another reader might understand otherwise, floats above all."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_inexact(inner, f"{place}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            _refuse_inexact(inner, f"{place}[{index}]")
    elif not isinstance(value, (str, bool, int)):
        kind = type(value).__name__
        raise InputError("audit_entry", f"{place} is a {kind}; use text, whole numbers, booleans, lists and objects")
