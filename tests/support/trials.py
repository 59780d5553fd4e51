"""Trials of a search, made up but plausible, and a dashboard with a page that shows them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice, product
from urllib.parse import parse_qsl

from gitops.access import Session
from gitops.spaces import Space, SpaceAxis
from webhooks.dashboard.asked import Asked
from webhooks.dashboard.headers import POLICY, App, Receive, Scope, Send
from webhooks.dashboard.picture import Goal
from webhooks.dashboard.render import templates
from webhooks.dashboard.shell import SECTIONS, Shell
from webhooks.dashboard.trials import show_search

RATES = ("0.001", "0.01", "0.1")
DEPTHS = tuple(map(str, range(2, 8)))
CRITERIA = ("gini", "entropy", "log_loss")
SPACE = Space(
    axes=(
        SpaceAxis(name="learning_rate", low="0.001", high="0.1", log=True),
        SpaceAxis(name="max_depth", low="2", high="7"),
        SpaceAxis(name="criterion", values=CRITERIA),
    )
)
"""Of the grid, as it is kept."""

PATH = "/trainings/t-search"
_PAGE = """{% extends layout %}{% import 'trials.html' as trials %}
{% block title %}Search{% endblock %}
{% block main %}<h1>Search</h1>{{ trials.search(part) }}{% endblock %}"""


@dataclass(frozen=True)
class Tried:
    """A trial, good unless a test says otherwise."""

    number: int
    parameters: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    state: str = "Succeeded"
    is_best: bool = False
    reason: str = ""
    message: str = ""


def tried(number: int, accuracy: float | None, *, is_best: bool = False, **parameters: str) -> Tried:
    """Return a trial with this accuracy, or without one."""
    return Tried(number, parameters, {} if accuracy is None else {"accuracy": accuracy}, is_best=is_best)


ACCURACY = Goal("accuracy")
THREE = (
    tried(1, 0.5, depth="2", criterion="gini"),
    tried(2, 0.9, depth="3", criterion="entropy", is_best=True),
    tried(3, 0.7, depth="4", criterion="gini"),
)


def try_grid() -> list[Tried]:
    """Return a grid of 54 trials: the 40th is the best, each 17th has failed."""
    return _try_all(product(RATES, DEPTHS, CRITERIA))


def try_many() -> list[Tried]:
    """Return as many trials as a search may have, likewise."""
    return _try_all(islice(cycle(product(RATES, DEPTHS, CRITERIA)), 1_000))


def _try_all(points: Iterable[tuple[str, str, str]]) -> list[Tried]:
    return [_try(at, *point) for at, point in enumerate(points, 1)]


def _try(number: int, rate: str, depth: str, criterion: str) -> Tried:
    parameters = {"learning_rate": rate, "max_depth": depth, "criterion": criterion}
    if number % 17 == 0:
        return Tried(number, parameters, state="Errored", reason="TrainingFailed")
    accuracy = 0.97 if number == 40 else round(0.7 + (number * 37 % 100) / 500, 3)
    return Tried(number, parameters, {"accuracy": accuracy}, is_best=number == 40)


class Stage:
    """An application with one page more: that of a training which is a search, kept up to date as all of them are.

    Args:
        trials: what the page shows, as it is when it is asked for.
        space: of the search; None for one that was begun before spaces were kept.
    """

    def __init__(self) -> None:
        self.trials = try_grid()
        self.space: Space | None = None

    def around(self, app: App) -> App:
        """Return the application with the page."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] != PATH:
                await app(scope, receive, send)
                return
            is_fragment = any(name == b"hx-request" for name, _ in scope["headers"])
            asked = Asked.read(dict(parse_qsl(scope["query_string"].decode())))
            body = self._render(asked, is_fragment=is_fragment).encode()
            headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", POLICY.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        return answer

    def _render(self, asked: Asked, *, is_fragment: bool) -> str:
        part = show_search(self.trials, ACCURACY, space=self.space, asked=asked)
        session = Session(id="s", person_id="p", csrf="c", expires_at=datetime.now(UTC))
        shell = Shell(SECTIONS, "/", session, "ada", PATH)
        layout = "fragment.html" if is_fragment else "page.html"
        return templates().from_string(_PAGE).render(layout=layout, shell=shell, part=part, still=False)
