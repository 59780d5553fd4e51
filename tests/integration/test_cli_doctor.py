"""`launchpin doctor`: grades of what it finds, and the remedy for each."""

import socket
from pathlib import Path

import pytest

from gitops.cli.doctor import grade_git, grade_part, grade_python
from gitops.embedded.stack.record import PartState, State
from gitops.explaining.findings import Finding, Grade, grade_disk
from tests.support.cli import call, make_stack


@pytest.mark.parametrize(
    ("finding", "grade"),
    [
        (grade_python((3, 10)), Grade.FAIL),
        (grade_python((3, 11)), Grade.OK),
        (grade_python((3, 13)), Grade.OK),
        (grade_python((3, 14)), Grade.FAIL),
        (grade_git(""), Grade.FAIL),
        (grade_git("git version 2.17.1"), Grade.FAIL),
        (grade_git("git version 2.39.3 (Apple Git-146)"), Grade.OK),
        (grade_disk("disk", 0.5, remedy="make room"), Grade.FAIL),
        (grade_disk("disk", 3, remedy="make room"), Grade.WARN),
        (grade_disk("disk", 50, remedy="make room"), Grade.OK),
        (grade_part(PartState("relay", State.READY)), Grade.OK),
        (grade_part(PartState("relay", State.READY, restarts=2)), Grade.WARN),
        (grade_part(PartState("relay", State.RESTARTING)), Grade.FAIL),
    ],
)
def test_thing_is_graded_and_has_a_remedy_when_it_is_not_ok(finding: Finding, grade: Grade) -> None:
    assert finding.grade is grade
    assert bool(finding.remedy) is (grade is not Grade.OK)


def test_machine_is_well_when_there_is_no_stack_yet(tmp_path: Path) -> None:
    lenient = call("doctor", "--dir", tmp_path / "none", "--json")
    strict = call("doctor", "--dir", tmp_path / "none", "--strict")

    names = {finding["what"]: finding["grade"] for finding in lenient.json["findings"]}
    assert lenient.code == 0, lenient.both
    assert names["stack"] == "warn"
    assert {"Python", "git", "uv", "disk", "interpreters"} <= names.keys()
    assert strict.code == 1
    assert not (tmp_path / "none").exists()


def test_port_that_is_taken_fails_with_its_number_when_the_stack_is_down(tmp_path: Path) -> None:
    with make_stack(tmp_path) as stack, socket.socket() as taken:
        stack.set_down()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", stack.layout.ports.forge))
        taken.listen()

        result = stack.launchpin("doctor")

        assert result.code == 1
        assert f"fail  port {stack.layout.ports.forge}: forge needs it, and it is taken" in result.out


def test_parts_are_looked_at_when_the_stack_is_up(tmp_path: Path) -> None:
    with make_stack(tmp_path) as stack:
        stack.set_up(PartState("relay", State.RESTARTING, restarts=4))

        result = stack.launchpin("doctor", "--json")

    findings = {finding["what"]: finding for finding in result.json["findings"]}
    assert result.code == 1
    assert findings["relay"]["grade"] == "fail"
    assert "launchpin logs relay" in findings["relay"]["remedy"]
    assert findings["MLflow"]["grade"] == "fail"
    assert findings["database"]["grade"] == "ok"
    assert findings["clock"]["grade"] == "ok"
    assert findings["secrets"]["grade"] == "ok"


def test_secret_that_others_may_read_fails_when_its_mode_was_changed(tmp_path: Path) -> None:
    with make_stack(tmp_path) as stack:
        (stack.layout.forge_home / "user.token").chmod(0o644)

        result = stack.launchpin("doctor", "--json")

    (finding,) = (one for one in result.json["findings"] if one["what"] == "secrets")
    assert finding["grade"] == "fail"
    assert "user.token" in finding["text"]
    assert "chmod" in finding["remedy"]
