"""Turns values into what a page shows: ages, tones, safe links, command lines. Pure, but for one small file read."""

import json
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from gitops.audit.entry import Entry, Subject
from gitops.ports import CheckState
from gitops.records import Health, Sync
from gitops.steps import Phase

TONES: Mapping[str, str] = {
    Health.HEALTHY: "good",
    Health.PROGRESSING: "busy",
    Health.DEGRADED: "bad",
    Health.UNKNOWN: "calm",
    Sync.SYNCED: "good",
    Sync.OUT_OF_SYNC: "warn",
    Sync.UNPINNED: "calm",
    Phase.PENDING: "calm",
    Phase.RUNNING: "busy",
    Phase.SUCCEEDED: "good",
    Phase.REFUSED: "warn",
    Phase.ERRORED: "bad",
    Phase.ROLLED_BACK: "bad",
    Phase.SUPERSEDED: "calm",
    Phase.CANCELLED: "calm",
    "pass": "good",
    "fail": "bad",
    "inconclusive": "warn",
    CheckState.SUCCESS: "good",
    CheckState.FAILURE: "bad",
    CheckState.PENDING: "busy",
    CheckState.NEUTRAL: "calm",
    "woke": "good",
    "ignored": "calm",
    "rejected": "bad",
    "retrying": "warn",
    "stalled": "bad",
    "ok": "good",
    "warn": "warn",
    "sent": "good",
    "waiting": "calm",
    "given_up": "bad",
    "INTACT": "good",
    "ALTERED": "bad",
    "INCOMPLETE": "warn",
}
"""How a word looks: good, busy, warn, bad or calm. Each tone has its own shape, so that colour is never alone."""

_WORDS: Mapping[str, str] = {Sync.OUT_OF_SYNC: "Out of sync", Phase.ROLLED_BACK: "Rolled back", "given_up": "given up"}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_TWO_UNITS = 10
_LONGEST_WHOLE = 10**12
_EXAMPLE_BYTES = 2_000
_EXAMPLES = ("serving_input_example.json", "input_example.json")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def tone(word: str) -> str:
    """Return how a state's word looks."""
    return TONES.get(word, "calm")


def spoken(word: str) -> str:
    """Return a state's name as people say it."""
    return _WORDS.get(word, word)


def span(seconds: float) -> str:
    """Return a duration in its largest unit: `12 s`, `4 min`, `3 h`, `2 d`."""
    whole = max(0, int(seconds))
    for size, name in _UNITS:
        if whole >= size:
            return f"{whole // size} {name}"
    return "0 s"


def ago(moment: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was; empty when there is none."""
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    return "just now" if seconds < _TWO_UNITS else f"{span(seconds)} ago"


def stamp(moment: datetime) -> str:
    """Return a moment in full, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def number(text: str) -> str:
    """Return a metric with four digits that count, a count with all of its; what is no number stays as it is."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    if value.is_finite() and value == value.to_integral_value() and abs(value) < _LONGEST_WHOLE:
        return f"{int(value):,}"
    from gitops.policy import show_number  # noqa: PLC0415 - it brings YAML, and only pages ask for it

    return show_number(value) if value.is_finite() else text


def web_link(unverified_url: str | None) -> str:
    """Return a URL that a page may link to, empty for any scheme but http and https."""
    url = unverified_url or ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in {"http", "https"} and parts.netloc and url.isprintable() else ""


def label(version: str | None) -> str:
    """Return a version as people say it, `v7`; `none` when there is none."""
    return f"v{version}" if version else "none"


def subject_of(entry: Entry) -> str:
    """Return in a few words what an entry is about."""
    subject: Subject = entry.subject
    what = subject.endpoint or "/".join(part for part in (subject.model, subject.env) if part) or subject.repo
    version = f"v{subject.version}" if subject.version else ""
    pull = f"#{subject.pr}" if subject.pr else ""
    return " ".join(part for part in (what or subject.name, version, pull) if part)


def curl_line(url: str, *, example: str) -> str:
    """Return a command line to paste; every value is quoted for the shell.

    Args:
        url: the endpoint's; it answers at `/invocations` below it, as MLflow's and SageMaker's do.
        example: a request as one line of JSON; a file's name stands in its place when there is none.
    """
    if not web_link(url):
        return ""
    data = shlex.quote(example or "@example.json")
    return f"curl -sS {shlex.quote(url.rstrip('/') + '/invocations')} -H 'Content-Type: application/json' -d {data}"


def read_example(models: Path, manifest_sha256: str) -> str:
    """Return the small request that was logged beside a model, as one line of JSON; empty when there is none here.

    Args:
        models: where the files of versions are kept on this machine, if they are.
        manifest_sha256: the version's.
    """
    if not _DIGEST.fullmatch(manifest_sha256):
        return ""
    for name in _EXAMPLES:
        file = models / manifest_sha256 / name
        try:
            if file.is_symlink() or file.stat().st_size > _EXAMPLE_BYTES:
                continue
            return json.dumps(json.loads(file.read_bytes()))
        except (OSError, ValueError, RecursionError):
            continue
    return ""


def coded(text: str) -> Markup:
    """Return a sentence of ours as HTML: what stands in backticks is code, and everything is escaped."""
    pieces = text.split("`")
    code = Markup("<code>{}</code>")
    return Markup().join(code.format(piece) if at % 2 else escape(piece) for at, piece in enumerate(pieces))
