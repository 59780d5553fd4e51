"""Effects on the outside as rows: the intent is committed before the call, the result after it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gitops.failpoints import failpoint
from gitops.leasing import HeldLease
from gitops.ports import Store
from gitops.records import Frozen
from gitops.telemetry.tracing import span

E = TypeVar("E", bound=Frozen)
T = TypeVar("T")
# What is observed of an effect that was intended and never made.
_NOTHING = "null"


class _Said(Frozen):
    """What the outside was told last, by its digest."""

    sha256: str


@dataclass(frozen=True)
class RecordedEffects:
    """The effects of one claim; implements `gitops.ports.Effects`. Recovery looks before it acts."""

    store: Store
    lease: HeldLease

    def once(self, name: str, key: str, *, look: Callable[[], E | None], act: Callable[[], E], result: type[E]) -> E:
        """Make the effect happen exactly once over all attempts."""
        was_intended, observed = self.store.intend(self.lease.claim, key, name)
        if observed not in {None, _NOTHING}:
            return result.model_validate_json(observed or "")
        with span(f"effect {name}", {"key": key}) as told:
            found = look() if was_intended else None
            told.note(adopted=found is not None)
            if found is None:
                found = self._make(name, act)
        self.store.observe(self.lease.claim, key, found.model_dump_json())
        return found

    def renew(self, name: str, key: str, *, content: str, act: Callable[[], None], anew: bool = False) -> None:
        """Tell the outside something that takes the place of what it was told before, unless it says so already."""
        said = _Said(sha256=hashlib.sha256(content.encode()).hexdigest()).model_dump_json()
        _, observed = self.store.intend(self.lease.claim, key, name)
        if observed == said and not anew:
            return
        with span(f"effect {name}", {"key": key}):
            self._make(name, act)
        self.store.observe(self.lease.claim, key, said)

    def recover(self, name: str, key: str, *, look: Callable[[], E | None], result: type[E]) -> E | None:
        """Return what a lost attempt made, if it did; nobody makes it any more."""
        was_intended, observed = self.store.intend(self.lease.claim, key, name)
        if observed is not None:
            return result.model_validate_json(observed) if observed != _NOTHING else None
        found = look() if was_intended else None
        self.store.observe(self.lease.claim, key, found.model_dump_json() if found is not None else _NOTHING)
        return found

    def _make(self, name: str, act: Callable[[], T]) -> T:
        failpoint(f"{name}.before")
        self.lease.confirm()
        made = act()
        failpoint(f"{name}.after")
        return made
