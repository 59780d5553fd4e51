"""launchpin.yaml: what trains, when, how it is judged, and where it goes. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from gitops.config.files import find_all
from gitops.config.goals import Goal, Objective, read_goal, read_objective
from gitops.config.names import twin_key
from gitops.config.parameters import explain_unknown_variable
from gitops.config.schema import SchemaKind, validate
from gitops.config.search import Search, read_search
from gitops.config.section import Section
from gitops.config.text import did_you_mean, show
from gitops.config.yaml import load

DEFAULT_TIMEOUT = timedelta(minutes=30)
LONGEST_TIMEOUT = timedelta(days=7)
_DEFAULT_BRANCHES = ("main",)
_DEFAULT_PATHS = ("**",)


class Operator(StrEnum):
    """How a gate compares."""

    ABOVE = "above"
    AT_LEAST = "at_least"
    BELOW = "below"
    AT_MOST = "at_most"
    VERSUS = "versus"


class Merge(StrEnum):
    """Who merges a promotion's pull request."""

    AUTO = "auto"
    REVIEW = "review"


@dataclass(frozen=True)
class Push:
    """Which pushes train.

    Args:
        branches: patterns over branch names; the last that matches decides.
        paths: patterns over changed paths, relative to the file's folder.
    """

    branches: tuple[str, ...] = _DEFAULT_BRANCHES
    paths: tuple[str, ...] = _DEFAULT_PATHS


@dataclass(frozen=True)
class On:
    """What starts a training."""

    push: Push = Push()


@dataclass(frozen=True)
class MetricDefinition:
    """A metric that a script prints and does not log.

    Args:
        name: the metric's name.
        regex: an expression that `config.regexes` takes; its group is the number.
    """

    name: str
    regex: str


@dataclass(frozen=True)
class Train:
    """How a training runs.

    Args:
        project: the directory with the MLproject file, relative to launchpin.yaml's folder.
        entry_point: its entry point.
        parameters: values as written, variables not yet filled in (`parameters.fill`).
        timeout: the longest time it may take.
        secrets: environment variables that the service granted to this repository.
        metric_definitions: what is read from the log that the script leaves.
    """

    project: str = "."
    entry_point: str = "main"
    parameters: Mapping[str, str] = field(default_factory=dict)
    timeout: timedelta = DEFAULT_TIMEOUT
    secrets: tuple[str, ...] = ()
    metric_definitions: tuple[MetricDefinition, ...] = ()


@dataclass(frozen=True)
class Gate:
    """One condition on a metric.

    Args:
        metric: the metric's name.
        operator: how to compare.
        threshold: the limit as written; for `versus` the least gain over the champion.
        goal: for `versus`, which direction is better.
    """

    metric: str
    operator: Operator
    threshold: Decimal
    goal: Goal = Goal.MAXIMIZE


@dataclass(frozen=True)
class Tier:
    """A level of quality.

    Args:
        name: what people call it.
        gates: all must hold; at least one.
    """

    name: str
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class Register:
    """When a model becomes a version.

    Args:
        gates: all must hold; none accepts every model.
        model: the logged model to take where a run logs several, empty when not said.
        objective: how the best of several runs is found, None when not said.
        tiers: the best first.
    """

    gates: tuple[Gate, ...] = ()
    model: str = ""
    objective: Objective | None = None
    tiers: tuple[Tier, ...] = ()

    @property
    def all_gates(self) -> tuple[Gate, ...]:
        """Every gate, those of tiers among them."""
        return self.gates + tuple(gate for tier in self.tiers for gate in tier.gates)


@dataclass(frozen=True)
class Environment:
    """One directory of the deploy repository.

    Args:
        name: also the registry alias of the version that serves there.
        path: the directory, relative to the deploy repository.
        needs: the environment that must serve a version first, empty for none.
        merge: who merges the pull request.
        is_champion: whether the file says that its version is the one to beat.
        min_tier: the least tier that a version needs to go there, empty for any version.
    """

    name: str
    path: str
    needs: str = ""
    merge: Merge = Merge.REVIEW
    is_champion: bool = False
    min_tier: str = ""


@dataclass(frozen=True)
class Deploy:
    """Where versions are pinned.

    Args:
        repository: OWNER/NAME.
        environments: in the order written.
    """

    repository: str
    environments: tuple[Environment, ...]

    @property
    def champion_environment(self) -> Environment:
        """Return the environment whose version is the one to beat: the marked one, else the last."""
        return next((one for one in self.environments if one.is_champion), self.environments[-1])


@dataclass(frozen=True)
class LaunchpinFile:
    """A launchpin.yaml.

    Args:
        file: its path in the repository.
        model: the registered model's name.
        experiment: the MLflow experiment's name.
        on: what starts a training.
        train: how it runs.
        register: when its model becomes a version.
        deploy: where versions are pinned, None when nowhere.
        search: what is tried to find the best parameters, None for one run.
    """

    file: str
    model: str
    experiment: str
    on: On
    train: Train
    register: Register
    deploy: Deploy | None
    search: Search | None = None

    @property
    def objective(self) -> Objective | None:
        """What the best run is chosen by, of a search or of one script's runs."""
        return self.search.objective if self.search else self.register.objective


def launchpin_files(paths: Iterable[str]) -> tuple[str, ...]:
    """Return every launchpin.yaml or launchpin.yml among a repository's files, sorted.

    Raises:
        InputError: `file_twice` when one directory has both spellings.
    """
    return find_all(paths, "launchpin")


def parse_launchpin(text: bytes, *, file: str) -> LaunchpinFile:
    """Read a launchpin.yaml.

    Args:
        text: the file's bytes, never trusted.
        file: its path in the repository, for messages.

    Raises:
        InputError: with file, field, line, column and what to do, whatever is wrong.
    """
    document = load(text, file=file)
    validate(document, SchemaKind.LAUNCHPIN)
    root = Section(document)
    model = root.at("model").text()
    deploy = root.at("deploy")
    if deploy and not root.at("register", "gates"):
        message = "deploy needs gates to judge by; write `register: {gates: [...]}`, or `gates: []` to take every model"
        raise root.at("register", "gates").error("key_missing", message)
    train, register = root.at("train"), _read_register(root.at("register"))
    search = read_search(root.at("search"), fixed=train.at("parameters").names())
    if search and register.objective:
        message = "search.objective chooses the best run already; remove it here"
        raise root.at("register", "objective").error("value_invalid", message, key=True)
    return LaunchpinFile(
        file=file,
        model=model,
        experiment=root.at("experiment").text(model),
        on=On(_read_push(root.at("on", "push"))),
        train=_read_train(train),
        register=register,
        deploy=_read_deploy(deploy, register.tiers) if deploy else None,
        search=search,
    )


def _read_push(push: Section) -> Push:
    return Push(
        branches=_read_patterns(push.at("branches"), _DEFAULT_BRANCHES),
        paths=_read_patterns(push.at("paths"), _DEFAULT_PATHS),
    )


def _read_patterns(section: Section, default: tuple[str, ...]) -> tuple[str, ...]:
    patterns = section.texts(default)
    if all(pattern.startswith("!") for pattern in patterns):
        raise section.error("pattern_invalid", 'patterns that only take back select nothing; write "**" first')
    return patterns


def _read_train(train: Section) -> Train:
    parameters = train.at("parameters")
    for name in parameters.names():
        if problem := explain_unknown_variable(parameters.at(name).text()):
            raise parameters.at(name).error("variable_unknown", problem)
    return Train(
        project=train.at("project").directory(),
        entry_point=train.at("entry_point").text("main"),
        parameters={name: parameters.at(name).text() for name in parameters.names()},
        timeout=train.at("timeout").duration(DEFAULT_TIMEOUT, least=timedelta(seconds=1), most=LONGEST_TIMEOUT),
        secrets=tuple(dict.fromkeys(train.at("secrets").texts())),
        metric_definitions=_read_metric_definitions(train.at("metric_definitions")),
    )


def _read_metric_definitions(section: Section) -> tuple[MetricDefinition, ...]:
    found: dict[str, MetricDefinition] = {}
    for item in section.items():
        name = item.at("name").text()
        if name in found:
            message = f"{show(name)} is defined already; write one expression for each metric"
            raise item.at("name").error("value_invalid", message)
        found[name] = MetricDefinition(name, item.at("regex").text())
    return tuple(found.values())


def _read_register(register: Section) -> Register:
    model = register.at("model")
    return Register(
        gates=tuple(_read_gate(gate) for gate in register.at("gates").items()),
        model=model.directory() if model else "",
        objective=read_objective(register.at("objective")),
        tiers=_read_tiers(register.at("tiers")),
    )


def _read_tiers(section: Section) -> tuple[Tier, ...]:
    found: dict[str, Tier] = {}
    for item in section.items():
        name = item.at("name").text()
        if name in found:
            raise item.at("name").error("tier_twice", f"{show(name)} is a tier already; each has a name of its own")
        found[name] = Tier(name, tuple(_read_gate(gate) for gate in item.at("gates").items()))
    return tuple(found.values())


def _read_gate(gate: Section) -> Gate:
    operator = next(operator for operator in Operator if operator.value in gate.names())
    threshold = gate.at("min_gain" if operator is Operator.VERSUS else operator.value).decimal()
    return Gate(gate.at("metric").text(), operator, threshold, read_goal(gate))


def _read_deploy(deploy: Section, tiers: Sequence[Tier]) -> Deploy:
    environments = deploy.at("environments")
    read = tuple(_read_environment(environments.at(name), name) for name in environments.names())
    _check_paths(environments, read)
    _check_needs(environments, read)
    _check_tiers(environments, read, [tier.name for tier in tiers])
    marked = [one.name for one in read if one.is_champion]
    if len(marked) > 1:
        message = f"{show(marked[0])} is the champion already; mark one environment"
        raise environments.at(marked[1], "champion").error("champion_twice", message)
    return Deploy(deploy.at("repository").text(), read)


def _read_environment(section: Section, name: str) -> Environment:
    return Environment(
        name=name,
        path=section.at("path").directory(name),
        needs=section.at("needs").text(),
        merge=Merge(section.at("merge").text(Merge.REVIEW.value)),
        is_champion=section.at("champion").flag(),
        min_tier=section.at("min_tier").text(),
    )


def _check_paths(section: Section, environments: tuple[Environment, ...]) -> None:
    """Refuse two environments in one directory, on file systems that ignore case too."""
    owners: dict[str, str] = {}
    for one in environments:
        owner = owners.setdefault(twin_key(one.path), one.name)
        if owner != one.name:
            message = f"{show(one.path)} is the directory of {show(owner)} already; each environment has its own"
            raise section.at(one.name, "path").error("path_twice", message)


def _check_needs(section: Section, environments: tuple[Environment, ...]) -> None:
    needs = {one.name: one.needs for one in environments}
    for name, needed in needs.items():
        if needed and needed not in needs:
            near = did_you_mean(needed, needs) or f"; known: {', '.join(needs)}"
            message = f"there is no environment {show(needed)}{near}"
            raise section.at(name, "needs").error("needs_unknown", message)
        following, left = needed, len(needs)
        while following and left:
            following, left = needs.get(following, ""), left - 1
        if following:
            message = f"{show(name)} needs itself in the end; remove one `needs`"
            raise section.at(name, "needs").error("needs_cycle", message)


def _check_tiers(section: Section, environments: tuple[Environment, ...], known: Sequence[str]) -> None:
    for one in environments:
        if one.min_tier and one.min_tier not in known:
            near = did_you_mean(one.min_tier, known) or (
                f"; known: {', '.join(known)}" if known else ": declare it in register.tiers, or remove min_tier"
            )
            raise section.at(one.name, "min_tier").error("tier_unknown", f"there is no tier {show(one.min_tier)}{near}")
