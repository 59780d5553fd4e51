"""`train` and `retry`: a commit is trained although nothing was pushed, and what waits is looked at now."""

from datetime import datetime, timedelta

from gitops.checkouts import new_training
from gitops.commands.naming import cause_of, find_environment, find_model_repository
from gitops.config.launchpin import launchpin_files, parse_launchpin
from gitops.eligibility import AGAIN
from gitops.errors import NotFoundError, RefusedError
from gitops.identifiers import new_id
from gitops.ports import Deps
from gitops.records import Command, Promotion, Record, Repository, Rollout, Training, TrainingFacts
from gitops.steps import Done, Outcome, Phase, Refused, Wait
from gitops.trials import chosen_facts
from gitops.triggers import is_branch_watched
from gitops.writes import StartTraining, Wake

_LOOK = timedelta(seconds=1)
_HEADS = "refs/heads/"
_SHOWN = 10  # names in a sentence
SAME = ("repository_id", "repository", "ref", "commit", "config_path", "config_sha256", "model")
"""What two trainings of one commit by one launchpin.yaml share."""


def train(deps: Deps, command: Command) -> Outcome:
    """Train the head of a watched branch; a training of that very commit is named, unless another one is forced."""
    repository = find_model_repository(deps, command.arguments["repository"])
    ref = _HEADS + (command.arguments.get("ref", "") or repository.default_branch).removeprefix(_HEADS)
    try:
        wanted = _wanted(deps, command, repository, ref)
    except NotFoundError as error:
        raise RefusedError(error.reason, str(error)) from error
    known = deps.store.training_of(wanted)
    committed = deps.mirror.committed_at(repository, wanted.commit)
    if known is None:
        return begin(wanted, f"training {wanted.id} of {wanted.commit[:12]} begins", committed_at=committed)
    if command.arguments.get("force"):
        forced = wanted.model_copy(update={"nonce": command.id})
        message = f"training {forced.id} of {wanted.commit[:12]} begins, beside {known.id}"
        return begin(forced, message, committed_at=committed)
    message = f"{wanted.commit[:12]} is trained already by {known.id} ({known.phase}): --force trains it once more"
    return Done(facts=facts_of(known), message=message)


def _wanted(deps: Deps, command: Command, repository: Repository, ref: str) -> Training:
    """Return the training of a branch's head as it is now.

    Raises:
        RefusedError: `UnknownBranch`, `BranchNotWatched`, or as `_choose_file`.
        InputError: the launchpin.yaml is wrong, with its line.
    """
    deps.mirror.fetch(repository)
    heads = deps.mirror.heads(repository)
    if ref not in heads:
        names = ", ".join(sorted(name.removeprefix(_HEADS) for name in heads)[:_SHOWN]) or "none yet: push one"
        there = f"{repository.full_name} has no branch {ref.removeprefix(_HEADS)!r}"
        raise RefusedError("UnknownBranch", f"{there}: name another one with --ref; there are: {names}")
    path = _choose_file(deps, repository, heads[ref], command.arguments.get("config", ""))
    content = deps.mirror.read(repository, heads[ref], path) or b""
    file = parse_launchpin(content, file=path)
    if not is_branch_watched(file, ref):
        watched = ", ".join(file.on.push.branches)
        message = f"{path} trains {watched}, and not {ref.removeprefix(_HEADS)}: add it to on.push.branches, or"
        raise RefusedError("BranchNotWatched", f"{message} name another branch with --ref")
    return new_training(repository, ref, heads[ref], content=content, file=file, cause=cause_of(command))


def _choose_file(deps: Deps, repository: Repository, head: str, asked: str) -> str:
    """Return the path of the launchpin.yaml that is meant.

    Raises:
        RefusedError: `ConfigMissing` or `ConfigUnclear`, with those there are.
    """
    files = launchpin_files(deps.mirror.files(repository, head))
    names = ", ".join(files[:_SHOWN]) or "none"
    if asked and asked not in files:
        raise RefusedError(
            "ConfigMissing", f"{asked} is not in {head[:12]}: name one with --config; there are: {names}"
        )
    if not files:
        raise RefusedError("ConfigMissing", f"{repository.full_name} has no launchpin.yaml at {head[:12]}: push one")
    if not asked and len(files) > 1:
        raise RefusedError("ConfigUnclear", f"several could be meant, name one with --config: {names}")
    return asked or files[0]


def begin(training: Training, message: str, *, committed_at: datetime | None = None) -> Done:
    """Begin a training; that of a trial which somebody chose begins where it is judged."""
    step = "judge" if training.facts.search_of else ""
    return Done(facts=facts_of(training), writes=(StartTraining(training, committed_at, step),), message=message)


def facts_of(training: Training) -> dict[str, object]:
    """Return what says which training is meant, also where somebody else's is there first."""
    same = {name: getattr(training, name) for name in (*SAME, "nonce")}
    return {"result": {"training": training.id, **same}}


def retry(deps: Deps, command: Command) -> Outcome:
    """Train once more what came to nothing, or look at once at what waits; what was counted stays counted."""
    name = command.arguments["name"]
    training = deps.store.training(name)
    if training is None:
        return _retry_endpoint(deps, name)
    if not training.phase.is_final:
        wakes = (Wake("training", training.id),)
        return Done(facts={"result": {"woken": [training.id]}}, writes=wakes, message=_told(training, "training"))
    if training.phase not in AGAIN:
        what = f"training {training.id} is over ({training.phase}): {training.message}"
        way_out = f"launchpin train {training.repository} --force trains the branch's head once more"
        raise RefusedError("NothingToRetry", f"{what}; {way_out}")
    return _train_again(deps, command, training)


def _train_again(deps: Deps, command: Command, training: Training) -> Outcome:
    """Train the same commit once more, as another try of that training; each has one."""
    again = Training(
        id=new_id("t"),
        cause=cause_of(command),
        nonce=training.id,
        facts=chosen_facts(training.facts) if training.facts.search_of else TrainingFacts(),
        **training.model_dump(include=set(SAME)),
    )
    known = deps.store.training_of(again)
    if known is not None:
        message = f"{training.id} was tried once more already, by {known.id} ({known.phase})"
        return Done(facts=facts_of(known), message=message)
    why = f"{training.phase} {training.reason}".rstrip()
    return begin(again, f"training {again.id} tries {training.commit[:12]} once more, after {training.id} ({why})")


def newest_try(deps: Deps, training: Training) -> Training:
    """Return the last try of a training, however often it was tried once more; itself where it never was."""
    found: Training | None = training
    while found is not None:
        training = found
        found = deps.store.training_of(training.model_copy(update={"nonce": training.id}))
    return training


def _retry_endpoint(deps: Deps, name: str) -> Outcome:
    """Look at once at every rollout and promotion of an endpoint that is not over."""
    try:
        place = find_environment(deps, name)
    except RefusedError as error:
        message = f"no training is called {name!r} (launchpin runs lists them), and {error.message}"
        raise RefusedError("UnknownTraining", message) from error
    rollouts = deps.store.active_rollouts(target=place.target, host=place.host, endpoint=place.endpoint)
    proposed = deps.store.open_promotions(place.repository_id, environment=place.name)
    waiting: list[tuple[str, Rollout | Promotion]] = [("rollout", one) for one in rollouts]
    waiting += [("promotion", one) for one in proposed if one.path == place.path]
    if not waiting:
        return Done(facts={"result": {"woken": []}}, message=f"nothing of {name} waits")
    return Done(
        facts={"result": {"woken": [one.id for _, one in waiting]}},
        writes=tuple(Wake(kind, one.id) for kind, one in waiting),
        message="; ".join(_told(one, kind) for kind, one in waiting),
    )


def _told(record: Record, kind: str) -> str:
    """Say what is looked at now, and what it waited for."""
    if not record.reason:
        return f"{kind} {record.id} is under way"
    return f"{kind} {record.id} is looked at now; it waited: {record.reason}: {record.message}"


def await_training(deps: Deps, command: Command) -> Outcome:
    """Wait for the end of the training that the command began, or found."""
    training = _find_begun(deps, command)
    if training is None:
        return Done(message=command.message)
    if not training.phase.is_final:
        return Wait(_LOOK, training.reason or "Training", f"{training.id}: {training.message or 'waits for a worker'}")
    # Somebody else's may have been there first.
    result = {**command.facts.result, "training": training.id, "version": training.facts.version or ""}
    message = f"training {training.id}: {training.message}"
    if training.phase is Phase.SUCCEEDED:
        return Done(facts={"result": result}, message=message)
    return Refused(training.reason or training.phase.value, message, facts={"result": result})


def _find_begun(deps: Deps, command: Command) -> Training | None:
    result = command.facts.result
    if "training" not in result:
        return None
    known = deps.store.training(str(result["training"]))
    if known is not None:
        return known
    wanted = {name: result[name] for name in (*SAME, "nonce")}
    return deps.store.training_of(Training.model_validate({"id": "t", "cause": command.cause, **wanted}))
