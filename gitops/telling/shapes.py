"""What programs are told of records. A field may be added; one that is there keeps its meaning while `v1` is served."""

from datetime import datetime
from typing import Generic, TypeVar

from pydantic import JsonValue

from gitops.records import Frozen
from gitops.roles import AccessRole

T = TypeVar("T")


class Cause(Frozen):
    """What made a record come into being: `delivery`, `poll`, `command`, and so on, its id, and who was behind it."""

    kind: str
    id: str
    actor: str


class Story(Frozen):
    """What trainings, promotions, rollouts and commands have in common.

    Args:
        phase: `Pending`, `Running`, or how it ended.
        step: the step it is at.
        reason: one of the documented reasons, empty where there is nothing to say.
        message: one sentence for people.
        revision: rises with every recorded change.
    """

    id: str
    phase: str
    step: str
    reason: str
    message: str
    revision: int
    cause: Cause
    created_at: datetime | None
    updated_at: datetime | None


class Gate(Frozen):
    """One gate as it was judged; numbers are decimal strings.

    Args:
        baseline_version: the champion that it was compared with, empty without one.
        baseline: the champion's number.
        outcome: `pass`, `fail` or `inconclusive`.
    """

    metric: str
    operator: str
    threshold: str
    value: str
    baseline_version: str
    baseline: str
    outcome: str
    reason: str
    message: str


class Tier(Frozen):
    """One tier as it was judged: reached where its outcome is `pass`."""

    name: str
    outcome: str
    message: str
    gates: tuple[Gate, ...]


class Training(Story):
    """A commit on its way to a judged, registered version.

    Args:
        repository: the model repository, OWNER/NAME.
        config_path: the launchpin.yaml that it follows.
        attempt: which try of it this is, from 1.
        run_id: the run in MLflow, the candidate's once there is one.
        verdict: `pass`, `fail` or `inconclusive`.
        metrics: decimal strings.
        version: the registered one, null before.
        seconds: how long the script ran.
        log_tail: the last lines of the log.
        tier: the one that it reached, empty for none; null where none is declared, or the gates did not pass.
        tiers: those that are declared, the best first.
        trials: how many trials its search has; null where there is none.
        trial: the one that was chosen, by its number.
        search_of: the training that searched, where a person chose another trial than its best; `chosen` says why.
    """

    repository: str
    ref: str
    commit: str
    config_path: str
    model: str
    attempt: int
    run_id: str | None
    verdict: str | None
    gates: tuple[Gate, ...]
    tier: str | None
    tiers: tuple[Tier, ...]
    metrics: dict[str, str]
    parameters: dict[str, str]
    version: str | None
    seconds: float | None
    log_tail: tuple[str, ...]
    trials: int | None
    trial: int | None
    search_of: str | None
    chosen: str | None


class Promotion(Story):
    """A version on its way to a merged pin.

    Args:
        repository: the deploy repository, OWNER/NAME.
        path: the environment's directory there.
        merge: `auto` where Launchpin merges, `review` where a person does.
        min_tier: the one that the environment asks for, null where any tier will do.
        plan_digest: SHA-256 of the plan that the pull request shows.
        approved_by: whose approval held at the commit that was merged; null before, and where no reviews are on record.
    """

    repository: str
    environment: str
    path: str
    model: str
    version: str
    merge: str
    training_id: str
    pull_number: int | None
    pull_url: str | None
    plan_digest: str | None
    tier: str | None
    min_tier: str | None
    approved_by: tuple[str, ...] | None
    merged_by: str | None
    merge_commit: str | None


class Rollout(Story):
    """A pin on its way to an endpoint in service, or a rollback on its way to Git.

    Args:
        repository: the deploy repository, OWNER/NAME.
        path: the environment's directory there.
        target: where it runs, `local` for example.
        direction: `forward` or `rollback`.
        from_version: what a rollback goes back from.
        previous_version: what served before.
        serving: the version that has the traffic at the end.
        failure: the reason, where the version failed.
        write_back_url: the pull request that sets the pin back, where Git could not be written.
    """

    repository: str
    environment: str
    path: str
    endpoint: str
    target: str
    model: str
    version: str
    commit: str
    direction: str
    from_version: str
    previous_version: str | None
    serving: str | None
    failure: str | None
    failure_message: str | None
    write_back_url: str | None


class Endpoint(Frozen):
    """An environment: what Git pins, what serves, and how it does.

    Args:
        id: `REPOSITORY:PATH`, which every verb takes where it takes an endpoint's name.
        is_champion: serving here makes a version the champion.
        pinned: the version that Git pins.
        sync: `Synced`, `OutOfSync` or `Unpinned`.
        health: `Healthy`, `Progressing`, `Degraded` or `Unknown`.
        holds: ids of the open holds that keep it, a pause among them.
        hold: the last of its own, null when there is none.
    """

    id: str
    endpoint: str
    repository: str
    path: str
    environment: str
    is_champion: bool
    target: str
    model: str
    pinned: str
    pin_commit: str
    serving: str
    tier: str
    serving_since: datetime | None
    url: str
    sync: str
    sync_reason: str
    health: str
    message: str
    holds: tuple[str, ...]
    hold: "Hold | None"


class Served(Frozen):
    """Where a version serves."""

    endpoint: str
    environment: str


class Version(Frozen):
    """A registered version with our verdict.

    Args:
        repository: the one that it was trained from.
        manifest_sha256: digest of the list of its files.
        tier: the best tier that it reached, empty for none.
        quarantined: it failed in service, and is not proposed again by itself.
        serves: where it serves now.
    """

    model: str
    version: str
    verdict: str
    tier: str
    tiers: tuple[Tier, ...]
    metrics: dict[str, str]
    gates: tuple[Gate, ...]
    repository: str
    commit: str
    training_id: str
    run_id: str
    manifest_sha256: str
    quarantined: bool
    created_at: datetime | None
    serves: tuple[Served, ...]


class Hold(Frozen):
    """Automation proposes there, but neither merges nor rolls out.

    Args:
        repository_id: 0 for a pause, which holds everything.
        author: who set it.
        rollout_id: the rollout whose failure set it, empty where a person did.
    """

    id: str
    repository_id: int
    path: str
    environment: str
    model: str
    reason: str
    message: str
    author: str
    rollout_id: str
    created_at: datetime | None
    lifted_at: datetime | None
    lifted_by: str


class Repository(Frozen):
    """A connected repository."""

    id: int
    full_name: str
    role: str
    default_branch: str
    html_url: str


class Delivery(Frozen):
    """What became of a delivery; `outcome` is empty until a worker has read it.

    Args:
        id: as the forge gave it.
        outcome: `woke`, `ignored` or `rejected`.
        woke: the jobs that it woke.
    """

    id: str
    event: str
    body_sha256: str
    received_at: str
    phase: str
    outcome: str
    reason: str
    detail: str
    woke: tuple[str, ...]


class Command(Story):
    """Something that was asked for.

    Args:
        verb: what was asked for.
        result: what came of it, by verb.
    """

    verb: str
    arguments: dict[str, str]
    result: dict[str, JsonValue]


class Page(Frozen, Generic[T]):
    """A part of a list.

    Args:
        next: where the following part begins, for `cursor`; empty at the end.
    """

    items: tuple[T, ...]
    next: str


class Grant(Frozen):
    """A role; `repository` is empty where it is held on everything."""

    repository: str
    role: AccessRole


class Me(Frozen):
    """Who asks, as far as the API knows them.

    Args:
        provider: who vouches for them, `local` for the owner of the stack.
        method: how they are known, `token` or `session`.
        most: the highest role that they hold anywhere.
    """

    login: str
    name: str
    provider: str
    method: str
    token_id: str
    most: AccessRole
    grants: tuple[Grant, ...]


class Token(Frozen):
    """A token, without its secret."""

    id: str
    name: str
    login: str
    role: AccessRole
    repositories: tuple[str, ...]
    created_at: datetime | None
    expires_at: datetime
    revoked_at: datetime | None


class NewToken(Token):
    """A token that was just made, with the text that is shown this once."""

    text: str


class Serving(Frozen):
    """What served on an endpoint at a time, as the audit trail proves it.

    Args:
        known: false where the log does not say; `message` says why.
        approved_by: whose approval held at the commit that was merged; null where no reviews are on record.
        merged_by: who merged the pin.
    """

    known: bool
    message: str
    endpoint: str
    time: datetime
    model: str
    version: str
    since: datetime | None
    environment: str
    repository: str
    commit: str
    training_id: str
    verdict: str
    gates: tuple[str, ...]
    approved_by: tuple[str, ...] | None
    merged_by: str
    merge_commit: str
