"""What somebody may have done about a thing, and what will come of it, said before it is asked for. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from gitops.access import EVERYWHERE, Access, role_to_ask
from gitops.eligibility import AGAIN
from gitops.grammar import VERBS
from gitops.records import Delivery, Environment, Hold, Promotion, Rollout, Training, Version
from gitops.telling.answers import Plan
from gitops.telling.showing import place_of
from gitops.trials import TrialView
from webhooks.dashboard.words import label, number

_MOST_TOLD = 8  # parameters in a sentence


@dataclass(frozen=True)
class Action:
    """A button: it leads to a page that says what will happen, and changes nothing by itself.

    Args:
        url: of that page.
        about: what the button is for, for those who hear the page.
    """

    title: str
    url: str
    about: str


def _action(title: str, verb: str, about: str, **given: str) -> Action:
    return Action(title, f"/actions/{verb}?{urlencode(given)}", about)


def _may(access: Access, verb: str, repository_id: int) -> bool:
    return access.may(VERBS[verb].who, repository_id)


def of_place(access: Access, environment: Environment, holds: Sequence[Hold]) -> tuple[Action, ...]:
    """Return what may be done about an environment."""
    return tuple(_of_place(access, environment, bool(holds)))


def _of_place(access: Access, one: Environment, is_held: bool) -> Iterator[Action]:  # noqa: FBT001 - private
    name, place = one.endpoint or one.name, place_of(one)
    if is_held and _may(access, "resume", one.repository_id):
        yield _action("Resume", "resume", name, endpoint=place)
    if not is_held and _may(access, "hold", one.repository_id):
        yield _action("Hold", "hold", name, endpoint=place)
    if one.serving and _may(access, "rollback", one.repository_id):
        yield _action("Roll back", "rollback", name, endpoint=place)


def of_training(access: Access, training: Training) -> tuple[Action, ...]:
    """Return what may be done about a training."""
    return tuple(_of_training(access, training))


def _of_training(access: Access, training: Training) -> Iterator[Action]:
    about, is_over = f"training of {training.model}", training.phase.is_final
    may_retry = access.may(role_to_ask(VERBS["retry"], training), training.repository_id)
    if may_retry and not is_over and training.reason:
        yield _action("Try now", "retry", about, name=training.id)
    if not is_over and _may(access, "cancel", training.repository_id):
        yield _action("Cancel", "cancel", about, training=training.id)
    if may_retry and training.phase in AGAIN:
        yield _action("Train again", "retry", about, name=training.id)


def of_trial(access: Access, searched: Training, number: int) -> Action | None:
    """Return what may be done about a trial that came to a model, of a search that is over, and was not judged yet."""
    if not _may(access, "register", searched.repository_id):
        return None
    return _action("Register", "register", f"trial {number}", training=searched.id, trial=str(number))


def of_repository(access: Access, newest: Training) -> tuple[Action, ...]:
    """Return what may be done about the repository of a model's newest training."""
    if not _may(access, "train", newest.repository_id):
        return ()
    return (_action("Train its head now", "train", newest.repository, repository=newest.repository),)


def of_story(access: Access, record: Promotion | Rollout) -> tuple[Action, ...]:
    """Return what may be done about a promotion or a rollout that is not over."""
    if record.phase.is_final or not record.reason or not _may(access, "retry", record.repository_id):
        return ()
    return (_action("Try now", "retry", record.environment, name=f"{record.repository}:{record.path}"),)


def of_version(access: Access, version: Version, environments: Sequence[Environment]) -> tuple[Action, ...]:
    """Return what may be done about a version: it may be proposed where it does not serve."""
    is_good = version.verdict == "pass" and not version.quarantined
    places = [
        one
        for one in environments
        if version.version not in {one.serving, one.pinned} and _may(access, "promote", one.repository_id)
    ]
    if not (is_good and places):
        return ()
    return (_action("Promote", "promote", label(version.version), model=version.model, version=version.version),)


def of_plan(access: Access, plan: Plan, environment: Environment) -> tuple[Action, ...]:
    """Return what may be done about a plan: what no pull request proposes yet, and what Git does not pin, may be."""
    is_to_be_asked = plan.changes and plan.pull is None and plan.version != plan.pinned
    if not (is_to_be_asked and _may(access, "promote", environment.repository_id)):
        return ()
    given = {"model": plan.model, "version": plan.version, "to": plan.id}
    return (_action("Promote", "promote", f"{label(plan.version)} to {plan.endpoint or plan.id}", **given),)


def of_delivery(access: Access, delivery: Delivery) -> tuple[Action, ...]:
    """Return what may be done about a delivery: it may be handled again while its body is kept."""
    if not (delivery.body and delivery.phase.is_final and _may(access, "redeliver", EVERYWHERE)):
        return ()
    return (_action("Handle again", "redeliver", f"delivery {delivery.id[:8]}", delivery=delivery.id),)


_WILL: Mapping[str, tuple[str, ...]] = {
    "promote": (
        "A pull request in the deploy repository proposes the version; one that is open there is updated.",
        "Its merge rolls the version out. Nothing that serves changes before that.",
    ),
    "retry": ("What waits is tried at once instead of at its next time; a training that is over is begun anew.",),
    "cancel": ("The training ends, its run is marked as killed in MLflow, and nothing of it is registered.",),
    "train": ("The head of the branch is trained and judged, as if it had just been pushed.",),
    "register": (
        "The gates judge the trial as they judge every model; nothing is trained again.",
        "Where they hold, its model is registered as a version, and proposed where launchpin.yaml says.",
        "Your name and your reason stand in the pull request and in the audit log.",
    ),
    "redeliver": (
        "The delivery is read once more as it was stored, and wakes what it concerns.",
        "Git says what there is to do: a commit that was seen is not trained a second time.",
    ),
    "pause": (
        "Launchpin goes on training and proposing, and merges and rolls out nothing anywhere.",
        "What serves goes on serving. `launchpin resume --all`, or the button on the front page, ends it.",
    ),
}


def tell(verb: str, place: Environment | None, holds: Sequence[Hold], *, back: Rollout | None = None) -> Iterator[str]:
    """Give what will happen when a verb is carried out, one sentence each; code in backticks.

    Args:
        place: the endpoint it is about, None where it is about none, or none was chosen yet.
        holds: the open ones that keep it.
        back: the rollback there that is not over, None where there is none.
    """
    name = (place.endpoint or place.name) if place else "the endpoint"
    serving = f"It goes on serving {label(place.serving)}." if place and place.serving else ""
    match verb:
        case "hold":
            yield from filter(None, (serving, f"Launchpin goes on proposing new versions for {name}."))
            yield "It merges nothing and rolls nothing out there until somebody resumes it."
        case "resume":
            yield from (f"What {one.author} set is lifted: {one.message}" for one in holds)
            yield "What waits there goes on at once: a pin that is merged rolls out."
        case "rollback":
            yield from _tell_rollback(name, place.serving if place else "", back)
        case _:
            yield from _WILL[verb]


def _tell_rollback(name: str, serving: str, back: Rollout | None) -> Iterator[str]:
    yield f"The traffic of {name} moves to the version that you choose, whatever else is away."
    yield "Then Git is made to pin it, and the environment is held, so that nothing rolls it forward again."
    if back is not None:
        yield f"{back.cause.actor} asked for the way back to {label(back.version)}, which is not over."
        yield "Without a version of your choice this waits for the end of that, and goes no further back."
    elif serving:
        yield f"Now {label(serving)} serves."


def tell_trial(trial: TrialView, best: TrialView | None, metric: str) -> str:
    """Return what a trial is beside the best of its search.

    Args:
        best: None where there is none.
        metric: the objective's.
    """
    given = ", ".join(f"{name} {value}" for name, value in list(trial.parameters.items())[:_MOST_TOLD])
    said = f"Trial {trial.number} has {_value(trial, metric)}{f' with {given}' if given else ''}"
    return f"{said}; the best, trial {best.number}, has {_value(best, metric)}." if best else f"{said}."


def _value(trial: TrialView, metric: str) -> str:
    return f"{metric} {number(str(trial.metrics[metric]))}" if metric in trial.metrics else f"no {metric}"
