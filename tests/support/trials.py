"""Trials of a search, made up but plausible, and a page of a dashboard's that shows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product

from playwright.sync_api import Page, Route

from gitops.access import Session
from tests.support.dashboard import ORIGIN
from webhooks.dashboard.headers import POLICY
from webhooks.dashboard.parallel import Goal
from webhooks.dashboard.render import templates
from webhooks.dashboard.shell import SECTIONS, Shell
from webhooks.dashboard.trials import SearchPart, show_search

RATES = ("0.001", "0.01", "0.1")
DEPTHS = tuple(map(str, range(2, 8)))
CRITERIA = ("gini", "entropy", "log_loss")
PATH = "/trainings/t-search"


@dataclass(frozen=True)
class Tried:
    """A trial, good unless a test says otherwise."""

    number: int
    parameters: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    state: str = "Succeeded"
    is_best: bool = False
    reason: str = ""


def try_grid(*, repeated: int = 1) -> list[Tried]:
    """Return a grid of 54 trials, or of so many times that: the 40th is the best, each 17th has failed."""
    grid = list(product(RATES, DEPTHS, CRITERIA)) * repeated
    return [_try(at, *point) for at, point in enumerate(grid, 1)]


def _try(number: int, rate: str, depth: str, criterion: str) -> Tried:
    parameters = {"learning_rate": rate, "max_depth": depth, "criterion": criterion}
    if number % 17 == 0:
        return Tried(number, parameters, state="Errored", reason="TrainingFailed")
    accuracy = 0.97 if number == 40 else round(0.7 + (number * 37 % 100) / 500, 3)
    return Tried(number, parameters, {"accuracy": accuracy}, is_best=number == 40)


def show_trials(page: Page, trials: list[Tried], *, sort: str = "") -> None:
    """Open a page that shows a search and keeps itself up to date, as a training's does; it ends with its context."""
    part = show_search(trials, Goal("accuracy"), sort=sort)
    assert part is not None
    page.route(f"**{PATH}*", lambda route: _answer(route, part))
    page.goto(PATH)


def _answer(route: Route, part: SearchPart[Tried]) -> None:
    session = Session(id="s", person_id="p", csrf="c", expires_at=datetime.now(UTC))
    shell = Shell(SECTIONS, "/", session, "ada", PATH)
    layout = "fragment.html" if "hx-request" in route.request.headers else "page.html"
    text = (
        "{% extends layout %}{% import 'trials.html' as trials %}{% block title %}Search{% endblock %}"
        "{% block main %}<h1>Search</h1>{{ trials.search(part) }}{% endblock %}"
    )
    body = templates().from_string(text).render(layout=layout, shell=shell, part=part, still=False)
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY}
    assert route.request.url.startswith(ORIGIN)
    route.fulfill(body=body, headers=headers)
