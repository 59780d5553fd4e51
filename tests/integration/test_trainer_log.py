"""The training's log: lines, secrets over many writes, bounds."""

import os
from pathlib import Path

import pytest

from gitops.trainers.redaction import Redactor
from workers.runner_log import TrainingLog

SECRET = "correct-horse-battery-staple"


def write_log(tmp_path: Path, *chunks: bytes, limit: int = 10**6) -> list[str]:
    """Return the log's lines without their times, after a process printed these chunks."""
    path = tmp_path / "log"
    path.touch()
    with TrainingLog(path, Redactor([SECRET]), limit=limit) as log:
        for chunk in chunks:
            rest = chunk
            while rest:
                rest = rest[os.write(log.write_end, rest) :]
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert all(line[5] == "." and line[9] == " " for line in lines)
    return [line[10:] for line in lines]


def test_lines_are_kept_when_they_end_in_any_way(tmp_path: Path) -> None:
    assert write_log(tmp_path, b"unix\nwindows\r", b"\nlast without end") == ["unix", "windows", "last without end"]


def test_every_state_of_a_progress_bar_is_a_line_when_it_returns_the_carriage(tmp_path: Path) -> None:
    assert write_log(tmp_path, b"\r 10%", b"\r 20%\r", b" 30%\n\ndone\n") == [" 10%", " 20%", " 30%", "", "done"]


@pytest.mark.parametrize("at", range(1, len(SECRET)))
def test_attack_78_secret_is_masked_when_it_is_printed_in_two_writes(tmp_path: Path, at: int) -> None:
    printed = f"x{SECRET}y".encode()

    assert write_log(tmp_path, printed[:at], printed[at:]) == ["x***y"]


@pytest.mark.parametrize("before", [65530, 65536 - 10, 65536, 66550])
def test_attack_78_secret_is_masked_when_an_endless_line_is_cut_near_it(tmp_path: Path, before: int) -> None:
    lines = write_log(tmp_path, b"." * before + SECRET.encode() + b"." * 200_000)

    assert "".join(lines).count("***") == 1
    assert len(lines) > 3
    assert "horse" not in "".join(lines)


def test_log_ends_with_a_note_when_it_is_full(tmp_path: Path) -> None:
    lines = write_log(tmp_path, b"0123456789\n" * 10_000, limit=1000)

    assert 40 < len(lines) < 60
    assert "full" in lines[-1]
    assert set(lines[:-1]) == {"0123456789"}


def test_bytes_are_shown_when_they_are_no_text(tmp_path: Path) -> None:
    assert write_log(tmp_path, b"\xff\xfe ok\n") == [r"\xff\xfe ok"]
