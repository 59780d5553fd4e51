"""What can be wrong with an outside, and from which request of a story on."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.outside import FOREVER, BadReply, Match, Rule, Script, is_match

EVERYTHING = (".*", "")
API = (".*", "^/api/v3/")
RETRY_AFTER = 600.0
_MINUTES = {"retry-after": f"{RETRY_AFTER:.0f}"}
_SECONDARY = b'{"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}'
_PRIMARY = b'{"message": "API rate limit exceeded for user ID 1."}'


@dataclass(frozen=True)
class Fault:
    """One way to be away.

    Args:
        begin: puts it into the script, for the requests that are meant.
        deepen: makes it worse once a story has met it.
        scope: which requests of an outside it concerns.
        retry_after: seconds that it asks to wait.
        only: the outsides that can have it; empty for all.
    """

    name: str
    begin: Callable[[Script, Match], Rule]
    deepen: Callable[[Script], None] = lambda _: None
    scope: Match = EVERYTHING
    retry_after: float = 0.0
    only: tuple[str, ...] = ()


@dataclass
class Since:
    """Matches what is in scope, from the first request on that matches the trigger."""

    trigger: Match
    scope: Match
    begun: bool = field(default=False)

    def __call__(self, method: str, path: str) -> bool:
        """Return whether a request is meant."""
        self.begun = self.begun or is_match(self.trigger, method, path)
        return self.begun and is_match(self.scope, method, path)


def _failing(status: int) -> Fault:
    return Fault(f"{status}", lambda script, match: script.fail_before(match, status, FOREVER))


def _bad(kind: BadReply, *, scope: Match = EVERYTHING, only: tuple[str, ...] = ()) -> Fault:
    return Fault(kind.value, lambda script, match: script.bad_reply(match, kind, FOREVER), scope=scope, only=only)


def _primary(script: Script, match: Match) -> Rule:
    ends = int(time.time() + RETRY_AFTER) + 300  # the forge's own date is the real one, and goes on meanwhile
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(ends)}
    return script.fail_before(match, 403, FOREVER, headers, _PRIMARY)


FAULTS = (
    Fault("down", lambda script, match: script.drop_before(match, FOREVER), Script.down),
    Fault("slow", lambda script, match: script.slow(match, 60, FOREVER)),
    _failing(500),
    _failing(502),
    _failing(503),
    Fault(
        "503 retry-after",
        lambda script, match: script.fail_before(match, 503, FOREVER, _MINUTES),
        scope=API,
        retry_after=RETRY_AFTER,
        only=("forge",),
    ),
    Fault(
        "429",
        lambda script, match: script.fail_before(match, 429, FOREVER, _MINUTES),
        scope=API,
        retry_after=RETRY_AFTER,
        only=("forge",),
    ),
    Fault(
        "429",
        lambda script, match: script.fail_before(match, 429, FOREVER, _MINUTES),
        retry_after=RETRY_AFTER,
        only=("tracking", "host"),
    ),
    Fault(
        "403 secondary",
        lambda script, match: script.fail_before(match, 403, FOREVER, _MINUTES, _SECONDARY),
        scope=API,
        retry_after=RETRY_AFTER,
        only=("forge",),
    ),
    Fault("403 primary", _primary, scope=API, retry_after=RETRY_AFTER, only=("forge",)),
    Fault("dropped", lambda script, match: script.apply_then_drop(match, FOREVER)),
    *(_bad(kind) for kind in (BadReply.TRUNCATED, BadReply.RESET)),
    # What git makes of the others is held by tests/contract/test_mirror.py: no branch goes; a delivery whose repository
    # looks moved or empty ends so, and the next poll finds its push.
    *(_bad(kind, scope=API, only=("forge",)) for kind in (BadReply.REDIRECT, BadReply.HTML, BadReply.HUGE)),
    *(_bad(kind, only=("tracking", "host")) for kind in (BadReply.REDIRECT, BadReply.HTML, BadReply.HUGE)),
)

GIT = ("GET", "/info/refs$")
TRIGGERS: dict[str, tuple[tuple[str, Match], ...]] = {
    "forge": (
        ("promote", ("POST", "/pulls$")),
        ("train", GIT),
        ("promote", ("PUT", "/merge$")),
        ("back", ("PATCH", "/git/refs/heads/main$")),
        ("promote", ("POST", "/git/refs$")),
        ("back_by_pull", ("POST", "/pulls$")),
        ("train", ("POST", "/check-runs$")),
        ("anchor", ("GET", "/git/ref/heads/launchpin-audit$")),
    ),
    "tracking": (
        ("train", ("POST", "/runs/create$")),
        ("train", ("POST", "/model-versions/create$")),
        ("train", ("POST", "/runs/update$")),
        ("train", ("GET", "/mlflow-artifacts/artifacts")),
        ("roll", ("GET", "/model-versions/get$")),
        ("train", ("POST", "/registered-models/alias$")),
        ("roll", ("GET", "/model-versions/get-download-uri$")),
    ),
    "host": (
        ("roll", ("PUT", "/endpoints/")),
        ("promote", ("GET", "/host$")),
        ("roll", ("PUT", "/configurations/")),
        ("back", ("POST", "/restore$")),
        ("roll", ("POST", "/invocations$")),
        ("roll", ("POST", "/retire$")),
    ),
}


@dataclass(frozen=True)
class Away:
    """One outside that goes away in a story."""

    scene: str
    outside: str
    trigger: Match
    fault: Fault

    def __str__(self) -> str:
        """Return its name."""
        assert isinstance(self.trigger, tuple)
        return f"{self.scene}: {self.outside} {self.fault.name} from {' '.join(self.trigger)} on"


def away_cases() -> list[Away]:
    """Return every fault of every outside at a place of a story, each at another one, and every place with `down`."""
    return [case for outside in TRIGGERS for case in _of(outside)]


def _of(outside: str) -> list[Away]:
    faults = [fault for fault in FAULTS if not fault.only or outside in fault.only]
    places = TRIGGERS[outside]
    pairs = [(faults[0], place) for place in places]
    pairs += [(fault, places[number % len(places)]) for number, fault in enumerate(faults[1:])]
    return [Away(scene, outside, trigger, fault) for fault, (scene, trigger) in pairs]


# A kind of writing request: its outside, its method and a pattern of its path.
Kind = tuple[str, str, str]
DROPPED: dict[str, tuple[Kind, ...]] = {
    "train": (
        ("forge", "POST", "/check-runs$"),
        ("tracking", "POST", "/experiments/create$"),
        ("tracking", "POST", "/runs/create$"),
        ("tracking", "PUT", "/mlflow-artifacts/artifacts/"),
        ("tracking", "POST", "/runs/log-batch$"),
        ("tracking", "POST", "/runs/update$"),
        ("tracking", "POST", "/registered-models/create$"),
        ("tracking", "POST", "/model-versions/create$"),
        ("tracking", "PATCH", "/model-versions/update$"),
        ("tracking", "POST", "/model-versions/set-tag$"),
        ("tracking", "POST", "/registered-models/alias$"),
    ),
    "promote": (
        ("forge", "POST", "/git/blobs$"),
        ("forge", "POST", "/git/trees$"),
        ("forge", "POST", "/git/commits$"),
        ("forge", "POST", "/git/refs$"),
        ("forge", "POST", "/pulls$"),
        ("forge", "POST", "/check-runs$"),
        ("forge", "PUT", "/merge$"),
        ("forge", "PATCH", "/git/refs/heads/launchpin-audit$"),
        ("tracking", "POST", "/registered-models/alias$"),
        ("host", "PUT", "/configurations/"),
        ("host", "PUT", "/endpoints/"),
        ("host", "POST", "/retire$"),
    ),
    "back": (
        ("forge", "POST", "/git/blobs$"),
        ("forge", "POST", "/git/refs$"),
        ("forge", "PATCH", "/git/refs/heads/main$"),
        ("forge", "PATCH", "/check-runs/"),
        ("host", "PUT", "/endpoints/"),
        ("host", "POST", "/restore$"),
    ),
    "back_by_pull": (
        ("forge", "POST", "/git/refs$"),
        ("forge", "POST", "/pulls$"),
        ("host", "POST", "/restore$"),
    ),
}
