"""The rows that stories read and write, as frozen values. No behaviour beyond reading a row.

A record is what a job is about. Its `facts` are what the steps have learned so far; every field is optional because a
step may not have run yet.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from gitops.facts import PromotionFacts, ScriptFacts
from gitops.steps import Phase
from gitops.verdicts import GateOutcome, TierOutcome


class Frozen(BaseModel):
    """A value that cannot change after it was made, and knows every field it has."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Role(StrEnum):
    """What a connected repository is for."""

    MODEL = "model"
    DEPLOY = "deploy"


class Sync(StrEnum):
    """Whether the endpoint runs what Git pins."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    UNPINNED = "Unpinned"


class Health(StrEnum):
    """How the endpoint does."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    UNKNOWN = "Unknown"


class MergeMode(StrEnum):
    """Who merges a promotion's pull request."""

    AUTO = "auto"
    REVIEW = "review"


class Direction(StrEnum):
    """Whether a rollout follows the pin, or goes back before the pin does."""

    FORWARD = "forward"
    ROLLBACK = "rollback"


class Cause(Frozen):
    """What made a record come into being.

    Args:
        kind: `delivery`, `poll`, `command`, `compare`, `training` or `rollout`.
        id: the delivery's GUID, the command's id, and so on; empty for a poll.
        body_sha256: digest of the delivery's body, where there is one.
        actor: login of the person behind it, `launchpin` when nobody was.
        method: how we knew the person: `folder`, `session` or `token`, the id of which is in `token`.
        person: our own id of the person, empty for somebody whom we do not know by one.
    """

    kind: str
    id: str = ""
    body_sha256: str = ""
    actor: str = "launchpin"
    method: str = ""
    token: str = ""
    person: str = ""


class Repository(Frozen):
    """A connected repository.

    Args:
        id: the forge's numeric id; names can be registered again by somebody else.
        full_name: OWNER/NAME as last seen.
        clone_url: where the mirror fetches from.
        secrets: names of the secrets that trainings of this repository may ask for.
    """

    id: int
    full_name: str
    role: Role
    default_branch: str = "main"
    clone_url: str
    html_url: str = ""
    secrets: tuple[str, ...] = ()


class Record(Frozen):
    """What every story's row has in common.

    Args:
        id: short, unique, sortable by creation.
        step: the step to run next; empty before the first.
        reason: CamelCase; why the record is where it is, or what it waits for.
        message: one sentence for people.
        revision: number of audited state changes so far.
    """

    id: str
    phase: Phase = Phase.PENDING
    step: str = ""
    reason: str = ""
    message: str = ""
    revision: int = 0
    cause: Cause
    created_at: datetime | None = None
    updated_at: datetime | None = None


class DeliveryFacts(Frozen):
    """How a delivery ended: `woke`, `ignored` or `rejected`, with the reason, and the jobs that were woken."""

    outcome: str = ""
    reason: str = ""
    detail: str = ""
    woke: tuple[str, ...] = ()


class Delivery(Record):
    """A webhook delivery as it arrived; its id is the GUID."""

    source: str = "github"
    event: str
    body_sha256: str
    body: bytes = b""
    facts: DeliveryFacts = Field(default_factory=DeliveryFacts)


class TrainingFacts(ScriptFacts):
    """What a training has learned so far.

    Args:
        tier: the tier that was reached, empty for none; None where none is declared, or the gates did not pass.
        min_tiers: what launchpin.yaml asks of a version, by place (`OWNER/NAME:PATH`).
        trials: how many trials its search has; `objective` has the `metric` and `goal` of the best.
        trial: the judged one's number; of the training `search_of` where a person chose it, for what `chosen` says.
    """

    project: str | None = None
    environment_key: str | None = None
    lock_sha256: str | None = None
    python_version: str | None = None
    trials: int | None = None
    objective: dict[str, str] = Field(default_factory=dict)
    trial: int | None = None
    search_of: str | None = None
    chosen: str | None = None
    parameters: dict[str, str] = Field(default_factory=dict)
    verdict: str | None = None
    sentence: str | None = None
    gates: tuple[GateOutcome, ...] = ()
    tier: str | None = None
    tiers: tuple[TierOutcome, ...] = ()
    min_tiers: dict[str, str] = Field(default_factory=dict)
    champion_version: str | None = None
    champion_metrics: dict[str, str] = Field(default_factory=dict)
    version: str | None = None
    manifest_sha256: str | None = None
    adopted: bool | None = None
    promotions: tuple[str, ...] = ()


class Training(Record):
    """A commit on its way to a judged, registered version.

    Args:
        ref: `refs/heads/...`, where the commit was the head.
        config_path: the launchpin.yaml it follows.
        config_sha256: digest of that file's bytes.
        nonce: empty, or unique for a forced training: the id of the command, training or trial that it comes from.
        attempt: which try on the infrastructure this is, from 1.
    """

    repository_id: int
    repository: str
    ref: str
    commit: str
    config_path: str
    config_sha256: str
    model: str
    nonce: str = ""
    attempt: int = 1
    facts: TrainingFacts = Field(default_factory=TrainingFacts)

    @property
    def branch(self) -> str:
        """The branch's name without `refs/heads/`."""
        return self.ref.removeprefix("refs/heads/")

    def run_key(self, attempt: int) -> str:
        """Return what an attempt's run in MLflow is found by; it also marks the further runs of its script."""
        return f"{self.id}/{attempt}"


class Promotion(Record):
    """A version on its way to a merged pin."""

    training_id: str
    repository_id: int
    repository: str
    environment: str
    path: str
    model: str
    version: str
    merge: MergeMode
    facts: PromotionFacts = Field(default_factory=PromotionFacts)


class RolloutFacts(Frozen):
    """What a rollout has learned so far."""

    previous_version: str | None = None
    previous_configuration: str | None = None
    manifest_sha256: str | None = None
    environment_key: str | None = None
    plan_digest: str | None = None
    tier: str | None = None
    min_tier: str | None = None
    compared: bool | None = None
    configuration: str | None = None
    bake_seconds: float | None = None
    smoke: str | None = None
    applied: bool | None = None
    failure: str | None = None
    failure_message: str | None = None
    restore_tries: int | None = None
    log_tail: tuple[str, ...] = ()
    serving: str | None = None
    previous: str | None = None
    write_back_sha: str | None = None
    write_back_url: str | None = None
    unchanged: bool | None = None


class Rollout(Record):
    """A pin at a commit on its way to an endpoint in service, or a rollback on its way to Git.

    Args:
        path: the environment's directory in the deploy repository.
        host: the target's account or host, so that one endpoint is one endpoint.
        commit: where the pin was read; for a rollback the head at that time.
        version: the version to serve; empty when the pin was emptied.
        from_version: for a rollback, the version that is being left.
    """

    repository_id: int
    repository: str
    environment: str
    path: str
    endpoint: str
    target: str
    host: str
    model: str
    version: str
    commit: str
    direction: Direction = Direction.FORWARD
    from_version: str = ""
    facts: RolloutFacts = Field(default_factory=RolloutFacts)


class CommandFacts(Frozen):
    """What came of a command, which is about a repository, or all of them (0).

    `seen` is how its endpoint must stand when it is carried out; empty where whoever asked said nothing of that.
    """

    seen: str = ""
    repository_id: int = 0
    result: dict[str, JsonValue] = Field(default_factory=dict)


class Command(Record):
    """Something a person asked for, written by the command line or the API and carried out by a worker."""

    verb: str
    arguments: dict[str, str] = Field(default_factory=dict)
    idempotency_key: str
    facts: CommandFacts = Field(default_factory=CommandFacts)


class Environment(Frozen):
    """One endpoint's place in a deploy repository, what Git pins there and what serves.

    Args:
        name: as launchpin.yaml names it; the directory's name for one nobody promoted to yet.
        is_champion: serving here makes a version the champion.
        pinned: the pin at the base branch's head, empty when unpinned.
        settings_sha256: digest of endpoint.yaml as parsed.
        endpoint_file: the path of that file; empty where it was not read yet.
        min_tier: the least tier that it asks of a version, empty for any version.
        serving: the version that answers now, empty when none does.
        tier: of what serves, empty for none.
        configuration: the target's name for what answers now.
        earlier: versions that finished their bake here before, newest first.
    """

    repository_id: int
    path: str
    name: str
    repository: str = ""
    is_champion: bool = False
    endpoint: str = ""
    target: str = ""
    host: str = ""
    model: str = ""
    tracking_uri: str = ""
    pinned: str = ""
    pin_commit: str = ""
    settings_sha256: str = ""
    endpoint_file: str = ""
    min_tier: str = ""
    serving: str = ""
    configuration: str = ""
    url: str = ""
    serving_since: datetime | None = None
    tier: str = ""
    earlier: tuple[str, ...] = ()
    sync: Sync = Sync.UNPINNED
    sync_reason: str = ""
    health: Health = Health.UNKNOWN
    message: str = ""


class Version(Frozen):
    """A registered version with our verdict: the only thing decisions read about it; its tiers, the best first."""

    model: str
    version: str
    manifest_sha256: str
    manifest: str
    run_id: str
    training_id: str
    repository: str = ""
    commit: str
    verdict: str
    metrics: dict[str, str] = Field(default_factory=dict)
    gates: tuple[GateOutcome, ...] = ()
    tier: str = ""
    tiers: tuple[TierOutcome, ...] = ()
    min_tiers: dict[str, str] = Field(default_factory=dict)
    environment_key: str = ""
    lock_sha256: str = ""
    quarantined: bool = False
    created_at: datetime | None = None


class Hold(Frozen):
    """Automation proposes here but neither merges nor rolls out, until somebody resumes it."""

    id: str
    repository_id: int
    path: str
    environment: str
    model: str
    reason: str
    message: str
    author: str
    cause: Cause
    rollout_id: str = ""
    created_at: datetime | None = None
    lifted_at: datetime | None = None
    lifted_by: str = ""


class WatchedRef(Frozen):
    """How far a ref was considered."""

    repository_id: int
    ref: str
    commit: str
    message: str = ""
