"""Draws what a demo did as one SVG: each station of the loop with what it found and when, for light and dark pages.

It shows nothing that is not in the report, and loads nothing. Texts are cut to their place by counting characters.
"""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from gitops.cli.demo.report import Report, StepReport
from gitops.cli.show import duration
from gitops.words import cut, short

Facts = Mapping[str, str]


@dataclass(frozen=True)
class Station:
    """One box of the picture.

    Args:
        steps: the names of the steps that it stands for, the first of each.
        say: what it says of their facts.
    """

    title: str
    steps: tuple[str, ...]
    say: Callable[[Facts], str]


FIRST = "Push a commit to the model repository"
LAST = "The endpoint answers a prediction"
PROOF = "The audit trail proves it"

STATIONS = (
    Station(
        "push",
        (FIRST, "Its signed webhook arrives"),
        lambda facts: f"commit {short(facts['commit'])}; a signed webhook tells",
    ),
    Station("build", ("A worker builds the commit's environment",), lambda _: "packages, locked with their hashes"),
    Station("train", ("It trains, and MLflow holds the run",), lambda _: "a worker runs it, MLflow holds the run"),
    Station("judge", ("The gates judge",), lambda facts: facts["verdict"].partition(", ")[0]),
    Station(
        "register",
        ("A version is registered",),
        lambda facts: f"{facts['version']}, its files {cut(facts['files'], 17)}",
    ),
    Station(
        "propose",
        ("A pull request pins it in staging", "Launchpin merges it: its checks are green"),
        lambda facts: f"pull request {_number(facts)}, to staging; green: Launchpin merges",
    ),
    Station(
        "roll out",
        ("The merge rolls staging out",),
        lambda facts: f"{facts['serving']} in staging: smoke test, switch, watch",
    ),
    Station(
        "review",
        ("A pull request pins it in production", "You merge it"),
        lambda facts: f"pull request {_number(facts)}, to production: you merge",
    ),
    Station(
        "roll out",
        ("The merge rolls production out",),
        lambda facts: f"{facts['serving']} in production: the same again",
    ),
    Station("predict", (LAST,), lambda facts: facts["answered"]),
)

_WIDTH, _EDGE, _COLUMNS = 1000, 26, 5
_BOX, _TALL, _GAP = 176, 128, 17
_TOP, _BETWEEN = 66, 34
_LINE, _MOST_LINES, _MOST_WORDS = 24, 24, 3
_LETTERS, _ROOM, _LONGEST_NAME = 22, 104, 70

_COLOURS = {
    "light": "--ink:#1f2937;--soft:#526071;--line:#94a3b8;--fill:#f8fafc;--edge:#cbd5e1;--main:#0f766e;--on:#ffffff;"
    "--warn:#b45309;--back:#ffffff",
    "dark": "--ink:#e6edf3;--soft:#a5b3c2;--line:#64748b;--fill:#172029;--edge:#334155;--main:#2dd4bf;--on:#06221f;"
    "--warn:#fbbf24;--back:#0d1117",
}
_ROLE = 'role="img" aria-labelledby="title desc"'
_FONTS = 'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif'
_STYLE = f"""
    svg {{ {_COLOURS["light"]} }}
    @media (prefers-color-scheme: dark) {{ svg {{ {_COLOURS["dark"]} }} }}
    text {{ font-family: {_FONTS}; font-size: 13px; fill: var(--ink) }}
    .sheet {{ fill: var(--back) }}
    .heading {{ font-size: 20px; font-weight: 650 }}
    .box {{ fill: var(--fill); stroke: var(--edge); stroke-width: 1.5 }}
    .disc {{ fill: var(--main) }}
    .warn {{ fill: var(--warn) }}
    .number {{ fill: var(--on); font-weight: 700; text-anchor: middle }}
    .name {{ font-size: 16px; font-weight: 650 }}
    .soft {{ fill: var(--soft) }}
    .time {{ fill: var(--main); font-weight: 600; font-variant-numeric: tabular-nums }}
    .end {{ text-anchor: end }}
    .arrow {{ fill: none; stroke: var(--line); stroke-width: 2 }}
    .head {{ fill: var(--line) }}
    .bar {{ fill: var(--fill); stroke: var(--main); stroke-width: 1.5 }}
"""


def draw(report: Report) -> str:
    """Return the picture of a demo that came to its end."""
    steps = {step.name: step for step in reversed(report.steps)}
    begun = _moment(steps[FIRST])
    last = report.steps.index(steps[LAST])
    after = [step for step in report.steps[last + 1 :] if step.name != PROOF]
    parts = [*_boxes(steps, begun), *_lines(after, begun, top=_below_boxes())]
    top = _below_boxes() + (len(after[:_MOST_LINES]) * _LINE + 48 if after else 0)
    parts += _proof(steps[PROOF], top)
    height = top + 72
    took = duration((_moment(steps[LAST]) - begun).total_seconds() + steps[LAST].seconds)
    heading = f"One push, one prediction: {took}"
    day = f"launchpin demo, {begun:%d %B %Y}; times count from the push"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {_ROLE}>',
            f'<title id="title">{escape(heading)}</title>',
            f'<desc id="desc">{escape(_told(report, begun))}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="sheet" width="{_WIDTH}" height="{height}" rx="16"/>',
            _text(_EDGE, 42, heading, "heading"),
            _text(_WIDTH - _EDGE, 42, day, "soft end"),
            *parts,
            "</svg>\n",
        ]
    )


def _boxes(steps: Mapping[str, StepReport], begun: datetime) -> Iterator[str]:
    for place, station in enumerate(STATIONS):
        row, column = divmod(place, _COLUMNS)
        x, y = _EDGE + column * (_BOX + _GAP), _TOP + row * (_TALL + _BETWEEN)
        found = [steps[name] for name in station.steps]
        facts = {key: value for step in found for key, value in step.facts.items()}
        said = textwrap.wrap(
            station.say(facts), _LETTERS, max_lines=_MOST_WORDS, placeholder="…", break_long_words=True
        )
        yield f'<rect class="box" x="{x}" y="{y}" width="{_BOX}" height="{_TALL}" rx="12"/>'
        yield f'<circle class="disc" cx="{x + 24}" cy="{y + 25}" r="12"/>' + _text(x + 24, y + 30, place + 1, "number")
        yield _text(x + 44, y + 31, station.title, "name")
        yield _text(x + _BOX - 12, y + 30, _at(found[0], begun), "time end")
        for line, words in enumerate(said):
            yield _text(x + 14, y + 56 + line * 17, words)
        yield _text(x + 14, y + _TALL - 13, f"took {duration(sum(step.seconds for step in found))}", "soft")
        if place + 1 < len(STATIONS):
            yield _arrow(x, y, is_last=column == _COLUMNS - 1)


def _arrow(x: int, y: int, *, is_last: bool) -> str:
    """Return the way from a box to the next one, which may begin the next row."""
    if not is_last:
        to, middle = x + _BOX + _GAP - 3, y + _TALL // 2
        return f'<path class="arrow" d="M{x + _BOX + 2} {middle}H{to - 6}"/>' + _head(to, middle, across=True)
    down, turn, to = y + _TALL + 2, y + _TALL + _BETWEEN // 2, y + _TALL + _BETWEEN - 3
    path = f"M{x + _BOX // 2} {down}V{turn}H{_EDGE + _BOX // 2}V{to - 6}"
    return f'<path class="arrow" d="{path}"/>' + _head(_EDGE + _BOX // 2, to, across=False)


def _head(x: int, y: int, *, across: bool) -> str:
    path = f"M{x} {y}l-8 -4.5v9z" if across else f"M{x} {y}l-4.5 -8h9z"
    return f'<path class="head" d="{path}"/>'


def _below_boxes() -> int:
    rows = -(-len(STATIONS) // _COLUMNS)
    return _TOP + rows * _TALL + (rows - 1) * _BETWEEN + 22


def _lines(steps: Sequence[StepReport], begun: datetime, *, top: int) -> Iterator[str]:
    """Give what was played after the prediction, a line for each step."""
    if not steps:
        return
    shown = steps[:_MOST_LINES]
    height = len(shown) * _LINE + 26
    yield f'<rect class="box" x="{_EDGE}" y="{top}" width="{_WIDTH - 2 * _EDGE}" height="{height}" rx="12"/>'
    for place, step in enumerate(shown):
        y = top + 29 + place * _LINE
        fact, is_bad = _fact(step.facts)
        yield _text(_EDGE + 64, y, _at(step, begun), "time end")
        yield f'<circle class="{"warn" if is_bad else "disc"}" cx="{_EDGE + 82}" cy="{y - 4}" r="4.5"/>'
        name = cut(step.name, _LONGEST_NAME)
        yield _text(_EDGE + 98, y, name)
        yield _text(_WIDTH - _EDGE - 16, y, cut(fact, _ROOM - len(name)), "soft end")


def _fact(facts: Facts) -> tuple[str, bool]:
    """Return the one fact of a step that says most, and whether it is of something that went wrong."""
    name = next((name for name in _TELLING if name in facts), "")
    return _TELLING[name](facts) if name else "", name in _WRONG


def _say_back(facts: Facts) -> str:
    return (
        f"{facts.get('version', '')}: {facts['reason'].partition(':')[0]}; Git: “{facts.get('Git says', '')}”".lstrip(
            ": "
        )
    )


_TELLING: Mapping[str, Callable[[Facts], str]] = {
    "good answers": lambda facts: f"{facts['good answers']} good answers, {facts['errors']} errors",
    "reason": _say_back,
    "on the commit": lambda facts: facts["on the commit"],
    "serving": lambda facts: f"serves {facts['serving']}",
    "waits": lambda facts: facts["waits"],
    "pull request": lambda facts: f"pull request {_number(facts)}",
    "back after": lambda facts: f"back after {facts['back after']}",
    "commit": lambda facts: f"commit {short(facts['commit'])}",
}
"""How each fact is told; of those that a step has, the first."""

_WRONG = {"reason", "on the commit", "waits"}


def _proof(step: StepReport, top: int) -> Iterator[str]:
    yield f'<rect class="bar" x="{_EDGE}" y="{top}" width="{_WIDTH - 2 * _EDGE}" height="44" rx="10"/>'
    yield _text(_EDGE + 16, top + 27, "audit", "name")
    yield _text(_EDGE + 72, top + 27, cut(step.facts["verified"].partition(" of ")[0], 70))
    yield _text(_WIDTH - _EDGE - 16, top + 27, "exported, and verified from files alone", "soft end")


def _told(report: Report, begun: datetime) -> str:
    """Return the picture in words, for who does not see it."""
    since = report.steps.index(next(step for step in report.steps if step.name == FIRST))
    return " ".join(f"{_at(step, begun)} {step.name.rstrip('.')}." for step in report.steps[since:])


def _at(step: StepReport, begun: datetime) -> str:
    minutes, seconds = divmod(round((_moment(step) - begun).total_seconds()), 60)
    return f"{minutes}:{seconds:02d}"


def _moment(step: StepReport) -> datetime:
    return datetime.fromisoformat(step.started)


def _number(facts: Facts) -> str:
    return facts["pull request"].rpartition("/")[2]


def _text(x: int, y: int, words: object, kind: str = "") -> str:
    shown = f' class="{kind}"' if kind else ""
    return f'<text{shown} x="{x}" y="{y}">{escape(str(words))}</text>'
