"""From our records to what programs are promised; what a record holds beside that stays with us."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gitops import access, records
from gitops.audit.at import Answer
from gitops.holding import is_pause
from gitops.telling import shapes
from gitops.verdicts import GateOutcome, TierOutcome


def _story(record: records.Record) -> dict[str, Any]:
    cause = shapes.Cause(kind=record.cause.kind, id=record.cause.id, actor=record.cause.actor)
    return {
        "id": record.id,
        "phase": record.phase.value,
        "step": record.step,
        "reason": record.reason,
        "message": record.message,
        "revision": record.revision,
        "cause": cause,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    }


def show_gates(gates: Iterable[GateOutcome]) -> tuple[shapes.Gate, ...]:
    """Show gates as they were judged."""
    return tuple(shapes.Gate.model_validate(gate.model_dump()) for gate in gates)


def _tiers(tiers: Iterable[TierOutcome]) -> tuple[shapes.Tier, ...]:
    return tuple(shapes.Tier.model_validate(tier.model_dump()) for tier in tiers)


def training(record: records.Training) -> shapes.Training:
    """Show a training."""
    facts = record.facts
    return shapes.Training(
        **_story(record),
        repository=record.repository,
        ref=record.ref,
        commit=record.commit,
        config_path=record.config_path,
        model=record.model,
        attempt=facts.attempt or record.attempt,
        run_id=facts.run_id,
        verdict=facts.verdict,
        gates=show_gates(facts.gates),
        tier=facts.tier,
        tiers=_tiers(facts.tiers),
        metrics=facts.metrics,
        parameters=facts.parameters,
        version=facts.version,
        seconds=facts.seconds,
        log_tail=facts.log_tail,
        trials=facts.trials,
        trial=facts.trial,
        search_of=facts.search_of,
        chosen=facts.chosen,
    )


def promotion(record: records.Promotion) -> shapes.Promotion:
    """Show a promotion."""
    facts = record.facts
    return shapes.Promotion(
        **_story(record),
        repository=record.repository,
        environment=record.environment,
        path=record.path,
        model=record.model,
        version=record.version,
        merge=record.merge.value,
        training_id=record.training_id,
        pull_number=facts.number,
        pull_url=facts.url,
        plan_digest=facts.plan_digest,
        tier=facts.tier,
        min_tier=facts.min_tier,
        approved_by=facts.approved_by,
        merged_by=facts.merged_by,
        merge_commit=facts.merge_sha,
    )


def rollout(record: records.Rollout) -> shapes.Rollout:
    """Show a rollout."""
    facts = record.facts
    return shapes.Rollout(
        **_story(record),
        repository=record.repository,
        environment=record.environment,
        path=record.path,
        endpoint=record.endpoint,
        target=record.target,
        model=record.model,
        version=record.version,
        commit=record.commit,
        direction=record.direction.value,
        from_version=record.from_version,
        previous_version=facts.previous_version,
        serving=facts.serving,
        failure=facts.failure,
        failure_message=facts.failure_message,
        write_back_url=facts.write_back_url,
    )


def command(record: records.Command) -> shapes.Command:
    """Show a command."""
    return shapes.Command(**_story(record), verb=record.verb, arguments=record.arguments, result=record.facts.result)


def delivery(record: records.Delivery) -> shapes.Delivery:
    """Show a delivery."""
    return shapes.Delivery(
        id=record.id,
        event=record.event,
        body_sha256=record.body_sha256,
        received_at=record.created_at.isoformat() if record.created_at else "",
        phase=record.phase,
        outcome=record.facts.outcome,
        reason=record.facts.reason,
        detail=record.facts.detail,
        woke=record.facts.woke,
    )


def endpoint(environment: records.Environment, holds: Sequence[records.Hold]) -> shapes.Endpoint:
    """Show an environment with the open holds that keep it: its own, and a pause."""
    here = (environment.repository_id, environment.path)
    own = [one for one in holds if (one.repository_id, one.path) == here]
    return shapes.Endpoint(
        id=place_of(environment),
        endpoint=environment.endpoint,
        repository=environment.repository,
        path=environment.path,
        environment=environment.name,
        is_champion=environment.is_champion,
        target=environment.target,
        model=environment.model,
        pinned=environment.pinned,
        pin_commit=environment.pin_commit,
        serving=environment.serving,
        tier=environment.tier,
        serving_since=environment.serving_since,
        url=environment.url,
        sync=environment.sync.value,
        sync_reason=environment.sync_reason,
        health=environment.health.value,
        message=environment.message,
        holds=tuple(one.id for one in holds if is_pause(one) or one in own),
        hold=hold(own[-1]) if own else None,
    )


def place_of(environment: records.Environment) -> str:
    """Return an environment as every verb takes it where it takes an endpoint's name."""
    return f"{environment.repository}:{environment.path}"


def version(record: records.Version, places: Iterable[records.Environment]) -> shapes.Version:
    """Show a version, and where it serves."""
    return shapes.Version(
        model=record.model,
        version=record.version,
        verdict=record.verdict,
        tier=record.tier,
        tiers=_tiers(record.tiers),
        metrics=record.metrics,
        gates=show_gates(record.gates),
        repository=record.repository,
        commit=record.commit,
        training_id=record.training_id,
        run_id=record.run_id,
        manifest_sha256=record.manifest_sha256,
        quarantined=record.quarantined,
        created_at=record.created_at,
        serves=tuple(shapes.Served(endpoint=one.endpoint, environment=one.name) for one in places),
    )


def hold(record: records.Hold) -> shapes.Hold:
    """Show a hold."""
    return shapes.Hold.model_validate(record.model_dump(exclude={"cause"}))


def repository(record: records.Repository) -> shapes.Repository:
    """Show a repository."""
    return shapes.Repository(
        id=record.id,
        full_name=record.full_name,
        role=record.role.value,
        default_branch=record.default_branch,
        html_url=record.html_url,
    )


def token(record: access.Token, *, login: str, names: Mapping[int, str]) -> shapes.Token:
    """Show a token.

    Args:
        login: its person's.
        names: of repositories, by id.
    """
    return shapes.Token(
        id=record.id,
        name=record.name,
        login=login,
        role=record.role,
        repositories=tuple(names.get(each, str(each)) for each in record.repositories),
        created_at=record.created_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
    )


def serving(answer: Answer) -> shapes.Serving:
    """Show what the trail says about a time."""
    return shapes.Serving(
        known=answer.known,
        message=answer.message,
        endpoint=answer.endpoint,
        time=answer.time,
        model=answer.model,
        version=answer.version,
        since=answer.since,
        environment=answer.env,
        repository=answer.repo,
        commit=answer.sha,
        training_id=answer.training_id,
        verdict=answer.verdict,
        gates=answer.gates,
        approved_by=answer.approved_by,
        merged_by=answer.merged_by,
        merge_commit=answer.merge_sha,
    )
