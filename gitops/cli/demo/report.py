"""What the demo did, as it is written down: each step with when it began, how long it took, and what it found."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class StepReport:
    """One step.

    Args:
        started: ISO 8601, UTC.
        seconds: how long it took.
        facts: what it found, as text.
    """

    name: str
    started: str
    seconds: float
    facts: dict[str, str]


@dataclass
class Report:
    """The demo's report, as `--report FILE` writes it; `version` rises when its form changes."""

    steps: list[StepReport] = field(default_factory=list)
    urls: dict[str, str] = field(default_factory=dict)
    audit: dict[str, object] = field(default_factory=dict)
    ok: bool = False
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, *, started: datetime, seconds: float, facts: dict[str, str]) -> None:
        """Write a step down."""
        self.steps.append(StepReport(name, started.isoformat(), round(seconds, 3), dict(facts)))

    def document(self) -> dict[str, object]:
        """Return the report as JSON has it."""
        return {
            "version": 1,
            "ok": self.ok,
            "failed": self.failed,
            "steps": [vars(step) for step in self.steps],
            "urls": self.urls,
            "audit": self.audit,
        }

    def write(self, file: Path) -> None:
        """Write the report as JSON."""
        file.write_text(json.dumps(self.document(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
