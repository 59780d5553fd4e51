"""endpoint.yaml: how a version goes into service in one environment. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from gitops.config.schema import SchemaKind, validate
from gitops.config.section import Section
from gitops.config.yaml import load

DEFAULT_BAKE = timedelta(seconds=30)
LONGEST_BAKE = timedelta(days=1)
LONGEST_LATENCY = timedelta(minutes=1)
_MILLISECOND = timedelta(milliseconds=1)


class TargetKind(StrEnum):
    """Where an endpoint lives."""

    LOCAL = "local"


class StrategyKind(StrEnum):
    """How traffic moves to the new version."""

    ALL_AT_ONCE = "all_at_once"


class SmokeInput(StrEnum):
    """What a smoke test sends."""

    EXAMPLE = "example"


class Missing(StrEnum):
    """What to do with a version that brings nothing to send."""

    REFUSE = "refuse"
    WARN = "warn"


class RollbackWrite(StrEnum):
    """How the previous pin is written back to Git."""

    COMMIT = "commit"
    PULL_REQUEST = "pull_request"


class Unjudged(StrEnum):
    """What to do with a version that has no verdict of ours."""

    REFUSE = "refuse"
    WARN = "warn"


@dataclass(frozen=True)
class Strategy:
    """How traffic moves.

    Args:
        type: all at once is blue/green: started beside the old version, then all traffic moves.
        bake: how long the new version is watched before the old one is drained.
    """

    type: StrategyKind = StrategyKind.ALL_AT_ONCE
    bake: timedelta = DEFAULT_BAKE


@dataclass(frozen=True)
class Smoke:
    """One prediction that must succeed.

    Args:
        input: what is sent.
        max_latency: the longest time the answer may take, None for no limit of its own.
        missing: what to do with a version that was logged without an example.
    """

    input: SmokeInput = SmokeInput.EXAMPLE
    max_latency: timedelta | None = None
    missing: Missing = Missing.REFUSE

    def to_facts(self) -> dict[str, str | int]:
        """Return what a plan's digest covers; a key that came later only where it says something else than before."""
        facts: dict[str, str | int] = {"input": self.input.value}
        facts["max_latency_ms"] = (self.max_latency or timedelta(0)) // _MILLISECOND
        return facts if self.missing is Missing.REFUSE else {**facts, "missing": self.missing.value}


@dataclass(frozen=True)
class EndpointFile:
    """An endpoint.yaml.

    Args:
        file: its path in the deploy repository.
        endpoint: the endpoint's name on its target.
        target: where it lives.
        strategy: how traffic moves.
        smoke: predictions that must succeed before and after traffic moves; empty for none.
        rollback: how the previous pin is written back.
        unjudged: what to do with a version that has no verdict of ours.
        min_tier: the least tier that a version needs to serve here, empty for any version.
    """

    file: str
    endpoint: str
    target: TargetKind = TargetKind.LOCAL
    strategy: Strategy = Strategy()
    smoke: tuple[Smoke, ...] = (Smoke(),)
    rollback: RollbackWrite = RollbackWrite.COMMIT
    unjudged: Unjudged = Unjudged.REFUSE
    min_tier: str = ""

    def to_facts(self) -> dict[str, str | int | list[dict[str, str | int]]]:
        """Return what a plan's digest covers: everything but the path; durations in whole milliseconds."""
        return {
            "endpoint": self.endpoint,
            "target": self.target.value,
            "strategy": self.strategy.type.value,
            "bake_ms": self.strategy.bake // _MILLISECOND,
            "smoke": [one.to_facts() for one in self.smoke],
            "rollback": self.rollback.value,
            "unjudged": self.unjudged.value,
            # Only where it is set: plans that were announced before there were tiers stay what they are.
            **({"min_tier": self.min_tier} if self.min_tier else {}),
        }


def parse_endpoint(text: bytes, *, file: str) -> EndpointFile:
    """Read an endpoint.yaml.

    Args:
        text: the file's bytes, never trusted.
        file: its path in the deploy repository, for messages.

    Raises:
        InputError: with file, field, line, column and what to do, whatever is wrong.
    """
    document = load(text, file=file)
    validate(document, SchemaKind.ENDPOINT)
    root = Section(document)
    smoke = root.at("smoke")
    return EndpointFile(
        file=file,
        endpoint=root.at("endpoint").text(),
        target=TargetKind(root.at("target").text(TargetKind.LOCAL.value)),
        strategy=_read_strategy(root.at("strategy")),
        smoke=tuple(_read_smoke(one) for one in smoke.items()) if smoke else (Smoke(),),
        rollback=RollbackWrite(root.at("rollback", "write").text(RollbackWrite.COMMIT.value)),
        unjudged=Unjudged(root.at("unjudged").text(Unjudged.REFUSE.value)),
        min_tier=root.at("require", "min_tier").text(),
    )


def _read_strategy(strategy: Section) -> Strategy:
    bake = strategy.at("bake").duration(DEFAULT_BAKE, least=timedelta(0), most=LONGEST_BAKE)
    return Strategy(StrategyKind(strategy.at("type").text(StrategyKind.ALL_AT_ONCE.value)), bake)


def _read_smoke(smoke: Section) -> Smoke:
    latency = smoke.at("max_latency")
    limit = latency.duration(LONGEST_LATENCY, least=_MILLISECOND, most=LONGEST_LATENCY) if latency else None
    return Smoke(
        SmokeInput(smoke.at("input").text(SmokeInput.EXAMPLE.value)),
        limit,
        Missing(smoke.at("missing").text(Missing.REFUSE.value)),
    )
