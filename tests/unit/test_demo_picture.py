"""The demo's picture is drawn of what it did: readable in light and dark, and nothing that was not there."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gitops.cli.demo.picture import FIRST, LAST, PROOF, STATIONS, draw
from gitops.cli.demo.report import Report, StepReport
from tests.support import docs

SVG = "{http://www.w3.org/2000/svg}"
BEGUN = datetime(2026, 1, 31, 12, tzinfo=UTC)
FACTS: dict[str, dict[str, str]] = {
    FIRST: {"commit": "988e6a4ff48a2536d33cdd8e2ced86a826b54a89"},
    "The gates judge": {"accuracy": "0.98", "verdict": "pass: accuracy 0.98 is above 0.9, f1 0.97 has no champion"},
    "A version is registered": {"version": "iris 7", "files": f"SHA-256 {'ab12' * 16}"},
    "A pull request pins it in staging": {"pull request": "http://127.0.0.1:1/acme/iris-deploy/pull/11"},
    "The merge rolls staging out": {"serving": "iris 7"},
    "A pull request pins it in production": {"pull request": "http://127.0.0.1:1/acme/iris-deploy/pull/12"},
    "The merge rolls production out": {"serving": "iris 7"},
    LAST: {"answered": '{"predictions": [2, 2, 0]}'},
    PROOF: {"verified": "intact: 102 entries under 6 signed heads of launchpin.local/audit/1"},
}
BAD = {"version": "iris 8", "reason": "SmokeFailed: 500", "Git says": "Pin iris 7 again in staging"}


def played(*after: tuple[str, dict[str, str]]) -> Report:
    """Return the report of a demo whose every step took ten seconds, with these between prediction and proof."""
    good = [(name, FACTS.get(name, {})) for station in STATIONS for name in station.steps]
    steps = [("start", {}), *good, *after, (PROOF, FACTS[PROOF])]
    report = Report(ok=True)
    for number, (name, facts) in enumerate(steps):
        report.add(name, started=BEGUN + timedelta(seconds=10 * number), seconds=10, facts=facts)
    return report


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own


def test_picture_shows_what_each_station_found_and_when() -> None:
    shown = texts(draw(played()))
    assert shown[0] == "One push, one prediction: 2 min 10 s"
    flat = " ".join(shown)
    for fact in ("988e6a4f", "pass: accuracy 0.98 is above 0.9", "iris 7", "SHA-256 ab12ab12…", "pull request 11"):
        assert fact in flat, fact
    assert [time for time in shown if re.fullmatch(r"\d+:\d\d", time)] == [
        *("0:00", "0:20", "0:30", "0:40", "0:50"),
        *("1:00", "1:20", "1:30", "1:50", "2:00"),
    ]
    assert "intact: 102 entries under 6 signed heads" in shown


def test_picture_shows_what_was_played_after_the_prediction() -> None:
    shown = texts(draw(played(("It is rolled back: version 7 serves on", BAD))))
    row = shown.index("It is rolled back: version 7 serves on")
    assert (shown[row - 1], shown[row + 1]) == ("2:10", "iris 8: SmokeFailed; Git: “Pin iris 7 again in staging”")
    assert "It is rolled back: version 7 serves on" not in texts(draw(played()))


def test_picture_tells_the_same_to_who_does_not_see_it() -> None:
    root = ET.fromstring(draw(played()))  # noqa: S314 - our own
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "One push, one prediction: 2 min 10 s"
    told = root.findtext(f"{SVG}desc") or ""
    assert all(f" {name}." in told for station in STATIONS for name in station.steps)
    assert "start" not in told.split()


@pytest.mark.parametrize("hostile", ["</text><script>x</script>", "a&b", '"', "]]>", "x" * 900])
def test_foreign_text_stays_text_and_in_its_place(hostile: str) -> None:
    report = played((hostile, {"waits": hostile}))
    judge = next(number for number, step in enumerate(report.steps) if step.name == "The gates judge")
    report.steps[judge] = replace(report.steps[judge], facts={"verdict": hostile})
    svg = draw(report)
    assert "<script" not in svg
    assert max(map(len, texts(svg))) <= 80


def test_picture_has_colours_for_light_and_dark_and_loads_nothing() -> None:
    svg = draw(played())
    assert svg.count("--back:") == 2
    assert "prefers-color-scheme: dark" in svg
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)|url\(|href", svg) == []


def test_boxes_and_lines_lie_inside_the_picture_and_beside_each_other() -> None:
    root = ET.fromstring(draw(played(*(("A step", {}) for _ in range(20)))))  # noqa: S314 - our own
    _, _, width, height = map(int, (root.get("viewBox") or "").split())
    sheet, *boxes = (
        [int(node.get(name, "0")) for name in ("x", "y", "width", "height")] for node in root.iter(f"{SVG}rect")
    )
    assert sheet[2:] == [width, height]
    for number, (x, y, wide, tall) in enumerate(boxes):
        assert x > 0
        assert x + wide < width
        assert y + tall < height
        for other in boxes[number + 1 :]:
            is_beside = other[0] >= x + wide or other[0] + other[2] <= x
            assert is_beside or other[1] >= y + tall or other[1] + other[3] <= y


def test_picture_on_the_first_page_is_one_that_the_demo_drew() -> None:
    svg = (docs.DOCS / "images" / "demo.svg").read_text(encoding="utf-8")
    told = ET.fromstring(svg).findtext(f"{SVG}desc") or ""  # noqa: S314 - our own file
    assert all(f" {name}." in told for station in STATIONS for name in station.steps)
    assert [station.title for station in STATIONS] == [
        text for text in texts(svg) if text in {s.title for s in STATIONS}
    ]
    assert "](docs/images/demo.svg)" in (docs.ROOT / "README.md").read_text(encoding="utf-8")


def test_reports_of_a_step_are_not_changed_by_drawing() -> None:
    report = played()
    before = [StepReport(**vars(step)) for step in report.steps]
    draw(report)
    assert report.steps == before
