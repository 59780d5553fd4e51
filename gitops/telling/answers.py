"""What each verb that only reads answers. As in `shapes`, a field may be added; one that is there keeps its meaning."""

from datetime import datetime

from gitops.records import Frozen
from gitops.telling.shapes import Endpoint, Gate, Hold, Promotion, Repository, Training, Version


class Said(Frozen):
    """One thing that the records say.

    Args:
        about: the id of the record it is about, empty where it is about none.
        who: who has to act; null where nothing is asked of anybody.
        since: when it began.
        due: when it is looked at next.
        tail: the last lines of a log.
    """

    text: str
    about: str
    reason: str
    who: str | None
    since: datetime | None
    due: datetime | None
    tail: tuple[str, ...]


class Explained(Frozen):
    """Everything about one thing: what serves, what failed, what Git says, what waits, and what happens next by itself.

    Args:
        up: whether anything runs that would carry work out.
        kind: `endpoint`, `training` or `pull`.
        commands: at most three that may be typed next; for what only the forge does, its page's address.
    """

    time: datetime
    up: bool
    kind: str
    name: str
    headline: str
    serving: tuple[Said, ...] = ()
    failed: tuple[Said, ...] = ()
    git: tuple[Said, ...] = ()
    waits: tuple[Said, ...] = ()
    next: tuple[Said, ...] = ()
    commands: tuple[str, ...] = ()


class Hint(Frozen):
    """A command that may be typed next, and what it is good for."""

    command: str
    purpose: str


class Concern(Frozen):
    """One thing that somebody may have to look at.

    Args:
        rank: how bad it is, in a word.
        name: what it is about, as `explain` takes it; empty for what is none of these.
        who: who has to act.
    """

    rank: str
    name: str
    text: str
    reason: str
    who: str
    hint: Hint | None


class Attention(Frozen):
    """What needs somebody, the worst first."""

    time: datetime
    up: bool
    headline: str
    attention: tuple[Concern, ...]


class Moment(Frozen):
    """One entry of the audit log in words; `number` is its place there, from 0."""

    number: int
    time: datetime
    what: str
    who: str
    cause: str


class Timeline(Frozen):
    """What happened, oldest first; `markdown` is the whole document for a post-mortem."""

    name: str
    incident: tuple[Moment, ...]
    markdown: str


class Run(Training):
    """A training that is listed.

    Args:
        sentence: why it is where it is.
        took: seconds from its beginning to its end; null while it goes on.
        value: its run's number for the metric that was asked for, as it was logged; empty when none was.
    """

    sentence: str
    took: float | None
    value: str


class Runs(Frozen):
    """Trainings, newest first, or the best by a metric first.

    Args:
        best: the metric that was asked for.
        goal: `maximize` or `minimize` where there is one.
        looked_at: of how many trainings, the newest ones, these were chosen.
        is_whole: whether there are no older ones.
        wrong_pushes: what is wrong with the files of pushes that came after the newest training.
    """

    best: str
    goal: str
    looked_at: int
    is_whole: bool
    trainings: tuple[Run, ...]
    wrong_pushes: tuple[str, ...]


class Versions(Frozen):
    """The versions of a model that have a verdict of ours, newest first.

    Args:
        is_whole: whether there are no older ones.
    """

    model: str
    versions: tuple[Version, ...]
    is_whole: bool


class Endpoints(Frozen):
    """Every endpoint; `paused` is the hold on everything, null when there is none."""

    paused: Hold | None
    endpoints: tuple[Endpoint, ...]


class Tenure(Frozen):
    """A time in which one version served on an endpoint; facts that no entry of the audit log states are empty.

    Args:
        end: when traffic left it; null while it serves.
        ended: why, in a few words.
        approved_by: whose approval held at the commit that was merged; null where no reviews are on record.
        pull: the number of the pull request, 0 when none is on record.
    """

    endpoint: str
    environment: str
    model: str
    version: str
    start: datetime
    end: datetime | None
    ended: str
    repository: str
    commit: str
    training_id: str
    verdict: str
    approved_by: tuple[str, ...] | None
    merged_by: str
    pull: int
    merge_commit: str
    rollout_id: str


class KeptOut(Frozen):
    """A version that was not let in somewhere, since its tier is too low there.

    Args:
        endpoint: where it was pinned all the same; empty where it was not proposed.
    """

    environment: str
    model: str
    version: str
    time: datetime
    reason: str
    message: str
    endpoint: str


class History(Frozen):
    """What served from when to when, newest first, and what was kept out.

    Args:
        times: how many such times there are in all.
    """

    name: str
    times: int
    history: tuple[Tenure, ...]
    kept_out: tuple[KeptOut, ...]


class Trial(Frozen):
    """A trial of a search.

    Args:
        id: its training's id, a point, and its number.
        number: from 1, in the order in which the search was laid out.
        parameters: what the search gave its script.
        metrics: what was logged, as far as it is a finite number.
        state: its phase.
        reason: why it failed or what it waits for.
        run_id: its run in MLflow; empty before it has one.
        is_best: whether it is the best of those that came to a model so far.
        seconds: how long its script ran; null before its end.
    """

    id: str
    number: int
    parameters: dict[str, str]
    metrics: dict[str, float]
    state: str
    reason: str
    message: str
    run_id: str
    is_best: bool
    seconds: float | None


class Trials(Frozen):
    """The trials of a search that were begun.

    Args:
        training: the training that searched.
        phase: of that training.
        message: the sentence that says how far it is, or why it ended.
        objective: the `metric` and `goal` of the best; empty where there is no search.
        total: how many trials there are to be; null where there is no search.
    """

    training: str
    phase: str
    message: str
    objective: dict[str, str]
    total: int | None
    trials: tuple[Trial, ...]


class Log(Frozen):
    """The end of the log of a training's or a trial's newest attempt, or what was recorded of a rollout.

    Args:
        kind: `training`, `trial` or `rollout`.
        attempt: which try wrote it; 0 where no file of it is on this machine, so that the record alone tells.
        message: the sentence that says why it is where it is.
        is_whole: whether nothing comes before the first line.
    """

    kind: str
    id: str
    phase: str
    message: str
    attempt: int
    lines: tuple[str, ...]
    is_whole: bool


class Model(Frozen):
    """A model.

    Args:
        champion: the version to beat, empty when there is none.
        newest: the newest version with a verdict, empty when there is none.
        champion_tier: empty for none.
        newest_tier: likewise.
    """

    name: str
    champion: str
    newest: str
    champion_tier: str
    newest_tier: str


class Moving(Frozen):
    """A job that is not over: what it waits for, how often it was tried in vain, and when it is looked at next."""

    kind: str
    subject: str
    state: str
    not_before: datetime
    tries: int
    reason: str
    message: str


class Status(Frozen):
    """What there is and what is moving; `kept_out` are versions whose tier is too low for their place."""

    time: datetime
    paused: Hold | None
    repositories: tuple[Repository, ...]
    models: tuple[Model, ...]
    endpoints: tuple[Endpoint, ...]
    kept_out: tuple[Promotion, ...]
    moving: tuple[Moving, ...]


class Refusal(Frozen):
    """Why a verb would be refused."""

    reason: str
    message: str


class PlannedPull(Frozen):
    """The open pull request that proposes the version.

    Args:
        merge: `auto` where Launchpin merges it when it is green, `review` where a person does.
        plan_digest: of what it announced.
    """

    number: int | None
    url: str | None
    merge: str
    plan_digest: str | None


class Compared(Frozen):
    """A metric of the planned version beside that of the one that serves there, and the champion's; empty for none."""

    metric: str
    planned: str
    serving: str
    champion: str


class Plan(Frozen):
    """What it would do to an endpoint to have a version pinned there.

    Args:
        endpoint: its name; `id` is REPOSITORY:PATH.
        pinned: the version that Git pins now, as of `pin_commit`.
        champion: the version to beat, which serves in the champion's environment; empty for none.
        version: the planned one; empty where there is none to plan with.
        same_environment: whether it needs the Python environment of the version that serves; null where not known.
        tier: the best one that it reached, empty for none.
        min_tier: the one that is asked for there, null where any tier will do.
        asked_by: the files that ask for it, `launchpin.yaml` being that of the version's commit.
        changes: whether anything would change.
        refusal: why it may not be proposed; null where it may.
        warnings: what hinders nothing and should be known before, a sentence each.
        steps: what would happen, in order, a sentence each.
        waits: what would keep it waiting, a sentence each.
    """

    id: str
    endpoint: str
    environment: str
    target: str
    model: str
    serving: str
    pinned: str
    pin_commit: str
    champion: str
    version: str
    same_environment: bool | None
    verdict: str
    gates: tuple[Gate, ...]
    tier: str
    min_tier: str | None
    asked_by: tuple[str, ...]
    changes: bool
    refusal: Refusal | None
    pull: PlannedPull | None
    metrics: tuple[Compared, ...]
    warnings: tuple[str, ...]
    steps: tuple[str, ...]
    waits: tuple[str, ...]
