"""The one table of verbs: what each is called, what it takes, what it does, and who may use it. Data only.

The command line and the API are held to it by tests, and a worker carries out nothing that is not here. What looks at
one machine alone (its parts and folders), or only speaks to the forge, is no verb of this table.

Nor is `token`: a verb may be asked for in the same words on the command line, by the API and in a comment, by whoever
has the role for what it is about. A token is about nothing but whoever asks, and its text is for their eyes alone. Who
may do what is the table of `gitops.authority`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gitops.roles import AccessRole


class Kind(StrEnum):
    """What the value of an argument is; all travel as text."""

    REPOSITORY = "repository"  # OWNER/NAME
    TRAINING = "training"  # its id
    STORY = "story"  # a training's id, or an endpoint
    LOGGED = "logged"  # a training, a trial, a rollout or an endpoint
    DELIVERY = "delivery"  # its GUID
    MOMENT = "moment"  # with its zone, or `now`
    SUBJECT = "subject"  # an endpoint, a training, or a pull request
    MODEL = "model"
    VERSION = "version"
    ENDPOINT = "endpoint"  # its name, or REPOSITORY:PATH
    PLACE = "place"  # a model, or an endpoint
    BRANCH = "branch"
    FILE = "file"  # its path in the repository
    WORD = "word"  # one of the argument's own
    WORDS = "words"  # with commas between them
    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"  # `yes`, or left out


_A_TRAINING = r"t-[0-9a-z]{1,40}"
_A_REPOSITORY = r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}/[A-Za-z0-9._-]{1,100}"
_AN_ENDPOINT = r"[A-Za-z0-9][A-Za-z0-9-]{0,62}|" + _A_REPOSITORY + r":[^\x00-\x1f\x7f]{1,400}"
_A_MODEL = r"[^\x00-\x1f\x7f/:]{1,200}"
_A_WORD = r"[A-Za-z_][A-Za-z0-9_]{0,127}"

_SHAPES: Mapping[Kind, tuple[str, str]] = {
    Kind.REPOSITORY: (_A_REPOSITORY, "OWNER/NAME"),
    Kind.TRAINING: (_A_TRAINING, "the id of a training, t- and what follows"),
    Kind.STORY: (f"{_A_TRAINING}|{_AN_ENDPOINT}", "the id of a training, or an endpoint"),
    Kind.LOGGED: (f"{_A_TRAINING}\\.[1-9][0-9]{{0,5}}|{_AN_ENDPOINT}", "a training, a trial, a rollout or an endpoint"),
    Kind.DELIVERY: ("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "a delivery's GUID"),
    Kind.MOMENT: (r"now|[0-9]{4}-[0-9T:.Z+ -]{6,34}", "a time with its zone, as 2026-01-31T12:00:00Z, or now"),
    Kind.SUBJECT: (r"[^\x00-\x1f\x7f]{1,600}", "an endpoint, a training or a pull request"),
    Kind.MODEL: (_A_MODEL, "a model's name: up to 200 characters, without / and :"),
    Kind.VERSION: (r"[1-9][0-9]{0,17}", "a version's number"),
    Kind.ENDPOINT: (_AN_ENDPOINT, "an endpoint (letters, digits and -, up to 63), or REPOSITORY:PATH"),
    Kind.PLACE: (f"{_A_MODEL}|{_AN_ENDPOINT}", "a model, an endpoint, or REPOSITORY:PATH"),
    Kind.BRANCH: (r"[^\x00-\x20\x7f~^:?*\[\\]{1,255}", "a branch's name, as Git has them"),
    Kind.FILE: (r"[^\x00-\x1f\x7f]{1,400}", "a file's path, up to 400 characters"),
    Kind.WORDS: (f"{_A_WORD}(,{_A_WORD}){{0,99}}", "names of letters, digits and _, with commas between them"),
    Kind.TEXT: (r"[^\x00-\x1f\x7f]{1,2000}", "one line of text, up to 2000 characters"),
    Kind.NUMBER: (r"[1-9][0-9]{0,5}", "a number from 1 to 999999"),
    Kind.FLAG: ("yes", "yes"),
}


def _up_to(most: int) -> str:
    """Return what a number from 1 to this one looks like."""
    digits = str(most)
    parts = [f"[1-9][0-9]{{0,{len(digits) - 2}}}"] if len(digits) > 1 else []
    for at, digit in enumerate(digits):
        least, rest = int(at == 0), len(digits) - at - 1
        if int(digit) > least:
            parts.append(f"{digits[:at]}[{least}-{int(digit) - 1}][0-9]{{{rest}}}")
    return "|".join([*parts, digits])


@dataclass(frozen=True)
class Argument:
    """One argument of a verb.

    Args:
        name: as commands have it; an option of the command line has dashes for underscores.
        help: one sentence, as the command line shows it for an option.
        is_option: it is given by its name; the others are given by their place.
        words: for a word, those that there are.
        most: for a number, the greatest; 0 for what all have.
    """

    name: str
    kind: Kind
    help: str
    is_required: bool = False
    is_option: bool = True
    words: tuple[str, ...] = ()
    most: int = 0

    @property
    def pattern(self) -> str:
        """What the whole of a value looks like, as a regular expression that every common engine reads."""
        return "|".join(self.words) or (_up_to(self.most) if self.most else _SHAPES[self.kind][0])

    @property
    def limit(self) -> str:
        """The same in words, for a person whose value is none."""
        return " or ".join(self.words) or (f"a number from 1 to {self.most}" if self.most else _SHAPES[self.kind][1])

    def takes(self, value: str) -> bool:
        """Return whether a value could be one; whether there is such a thing is not known here."""
        return re.fullmatch(self.pattern, value) is not None


@dataclass(frozen=True)
class Verb:
    """One verb.

    Args:
        help: what it does, in a line of the page of help.
        who: the least that somebody must be to use it.
        changes: whether it asks a worker for something; the others only read.
        typed_as: the command line's verb that asks for it, where that has another name.
    """

    name: str
    help: str
    who: AccessRole
    arguments: tuple[Argument, ...] = ()
    changes: bool = False
    typed_as: str = ""

    @property
    def route(self) -> str:
        """Where the API has it."""
        return f"/api/v1/{self.name.replace(' ', '/')}"

    @property
    def required(self) -> tuple[Argument, ...]:
        """The arguments that must be given."""
        return tuple(one for one in self.arguments if one.is_required)


def _place(name: str, kind: Kind, text: str, *, is_required: bool = True) -> Argument:
    return Argument(name, kind, text, is_required=is_required, is_option=False)


_ENDPOINT = _place("endpoint", Kind.ENDPOINT, "The endpoint, or REPOSITORY:PATH.")

_TABLE = (
    Verb(
        "connect",
        "Put a repository under Launchpin's care.",
        AccessRole.ADMIN,
        (
            _place("repository", Kind.REPOSITORY, "OWNER/NAME on the forge."),
            Argument("role", Kind.WORD, "What it is for.", is_required=True, words=("model", "deploy")),
            Argument("secrets", Kind.WORDS, "Names of the secrets that its trainings may use."),
        ),
        changes=True,
        typed_as="add",
    ),
    Verb("status", "Show repositories, models, endpoints, and what is moving.", AccessRole.VIEWER),
    Verb(
        "explain",
        "Explain one thing on one screen, or what needs somebody.",
        AccessRole.VIEWER,
        (
            _place("subject", Kind.SUBJECT, "An endpoint, a training or a pull request.", is_required=False),
            Argument("incident", Kind.FLAG, "Print what happened, from the audit log, as Markdown."),
        ),
    ),
    Verb(
        "runs",
        "List trainings and what became of them.",
        AccessRole.VIEWER,
        (
            _place("model", Kind.MODEL, "Only of this model.", is_required=False),
            Argument("best", Kind.TEXT, "Sort by a metric, the highest first."),
            Argument("lowest", Kind.FLAG, "With --best: the lowest first."),
            Argument("where", Kind.TEXT, "Only those that match, in MLflow's filter language."),
            Argument("limit", Kind.NUMBER, "How many.", most=500),
        ),
    ),
    Verb(
        "trials",
        "List a search's trials: parameters, metrics, and the best.",
        AccessRole.VIEWER,
        (
            _place("training", Kind.TRAINING, "The training that searched.", is_required=False),
            Argument("sort", Kind.TEXT, "Sort by a metric or parameter, the best or highest first."),
            Argument("lowest", Kind.FLAG, "With --sort: the lowest first."),
        ),
    ),
    Verb(
        "versions",
        "List a model's versions: verdict, metrics, and where each serves.",
        AccessRole.VIEWER,
        (_place("model", Kind.MODEL, "The model."), Argument("limit", Kind.NUMBER, "How many.", most=500)),
    ),
    Verb(
        "endpoints",
        "List endpoints: what serves, what is pinned, who holds it.",
        AccessRole.VIEWER,
        (_place("model", Kind.MODEL, "Only of this model.", is_required=False),),
    ),
    Verb(
        "history",
        "Show which version served where, from when to when.",
        AccessRole.VIEWER,
        (
            _place("name", Kind.PLACE, "The model, the endpoint, or REPOSITORY:PATH."),
            Argument("limit", Kind.NUMBER, "How many.", most=10000),
        ),
    ),
    Verb(
        "dora",
        "Tell how often, how fast and how well versions are deployed.",
        AccessRole.VIEWER,
        (
            _place("model", Kind.MODEL, "Only of this model.", is_required=False),
            Argument("env", Kind.TEXT, "Only of this environment."),
            Argument("days", Kind.NUMBER, "How many days back.", most=366),
        ),
    ),
    Verb(
        "logs",
        "Show the log of a training or a rollout, or follow it.",
        AccessRole.VIEWER,
        (
            _place("name", Kind.LOGGED, "A training, a trial, a rollout or an endpoint.", is_required=False),
            Argument("follow", Kind.FLAG, "Go on until it is over."),
            Argument("limit", Kind.NUMBER, "How many of the last lines.", most=10000),
        ),
    ),
    Verb(
        "plan",
        "Say what a version would do to an endpoint, before it is merged.",
        AccessRole.VIEWER,
        (
            _ENDPOINT,
            Argument("version", Kind.VERSION, "The version; by default the one that is proposed there."),
        ),
    ),
    Verb(
        "train",
        "Train the head of a branch now.",
        AccessRole.RUNNER,
        (
            _place("repository", Kind.REPOSITORY, "The model repository, OWNER/NAME."),
            Argument("ref", Kind.BRANCH, "The branch; by default the repository's own."),
            Argument("config", Kind.FILE, "The launchpin.yaml to follow, where there are several."),
            Argument("force", Kind.FLAG, "Train a commit that was trained before once more."),
        ),
        changes=True,
    ),
    Verb(
        "retry",
        "Try a training once more, or at once what waits.",
        AccessRole.RUNNER,
        (_place("name", Kind.STORY, "A training's id, or an endpoint."),),
        changes=True,
    ),
    Verb(
        "cancel",
        "Call a training off.",
        AccessRole.RUNNER,
        (
            _place("training", Kind.TRAINING, "Its id."),
            Argument("reason", Kind.TEXT, "Why, for the record."),
        ),
        changes=True,
    ),
    Verb(
        "register",
        "Register another trial of a search than its best.",
        AccessRole.APPROVER,
        (
            _place("training", Kind.TRAINING, "The training that searched."),
            Argument("trial", Kind.NUMBER, "The trial's number.", is_required=True, most=1000),
            Argument("reason", Kind.TEXT, "Why, for the record and the pull request.", is_required=True),
        ),
        changes=True,
    ),
    Verb(
        "promote",
        "Propose a version for an environment by hand.",
        AccessRole.APPROVER,
        (
            _place("model", Kind.MODEL, "The model."),
            _place("version", Kind.VERSION, "A version of it that passed its gates."),
            Argument("to", Kind.ENDPOINT, "Where: an endpoint, or REPOSITORY:PATH.", is_required=True),
            Argument("reason", Kind.TEXT, "Why, for the record and the pull request."),
        ),
        changes=True,
    ),
    Verb(
        "rollback",
        "Set an environment back to an earlier version.",
        AccessRole.APPROVER,
        (
            _ENDPOINT,
            Argument(
                "to",
                Kind.VERSION,
                "The version, one that served there before; by default the last good one before this one.",
            ),
            Argument("reason", Kind.TEXT, "Why, for the record."),
        ),
        changes=True,
    ),
    Verb(
        "hold",
        "Stop automation for an environment: propose, but do not roll out.",
        AccessRole.APPROVER,
        (
            _ENDPOINT,
            Argument("reason", Kind.TEXT, "Why, for whoever wants to lift it.", is_required=True),
        ),
        changes=True,
    ),
    Verb(
        "pause",
        "Hold everything: propose, but merge and roll out nothing.",
        AccessRole.APPROVER,
        (Argument("reason", Kind.TEXT, "Why, for whoever wants to go on."),),
        changes=True,
    ),
    Verb(
        "resume",
        "Lift a hold, or the pause.",
        AccessRole.APPROVER,
        (
            _place("endpoint", Kind.ENDPOINT, "The endpoint, or REPOSITORY:PATH.", is_required=False),
            Argument("all", Kind.FLAG, "Lift the pause."),
            Argument("reason", Kind.TEXT, "Why it may go on, for the record."),
        ),
        changes=True,
    ),
    Verb(
        "redeliver",
        "Handle a webhook delivery once more.",
        AccessRole.RUNNER,
        (_place("delivery", Kind.DELIVERY, "Its GUID."),),
        changes=True,
    ),
    Verb(
        "gc",
        "Remove what nobody needs any more, or show what would go.",
        AccessRole.ADMIN,
        (Argument("dry_run", Kind.FLAG, "Only show what would go."),),
        changes=True,
    ),
    Verb(
        "audit at",
        "Say what served on an endpoint at a time.",
        AccessRole.VIEWER,
        (
            Argument("endpoint", Kind.ENDPOINT, "The endpoint, or REPOSITORY:PATH.", is_required=True),
            Argument("time", Kind.MOMENT, "With its zone: `2026-01-31T12:00:00Z`; or `now`.", is_required=True),
        ),
    ),
    Verb(
        "schema",
        "Print the JSON Schema of a file's format.",
        AccessRole.VIEWER,
        (
            Argument(
                "kind",
                Kind.WORD,
                "The file.",
                is_required=True,
                is_option=False,
                words=("launchpin", "endpoint", "notify", "mlproject"),
            ),
        ),
    ),
)

VERBS: Mapping[str, Verb] = {verb.name: verb for verb in _TABLE}
"""Every verb by its name, in the order of the page of help."""
