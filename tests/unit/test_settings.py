"""Settings that are not what is written, but what follows from it."""

import psutil
import pytest
from pydantic import ValidationError

from gitops.settings import Settings


def test_a_training_may_use_most_of_the_memory_when_nobody_set_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAUNCHPIN_TRAINING_MEMORY", raising=False)
    total = psutil.virtual_memory().total
    assert Settings().training_memory_limit() == total * 80 // 100


def test_trainings_that_run_at_a_time_share_that_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAUNCHPIN_TRAINING_MEMORY", raising=False)
    monkeypatch.setenv("LAUNCHPIN_TRAINING_SLOTS", "4")
    total = psutil.virtual_memory().total
    assert Settings().training_memory_limit() == total * 80 // 100 // 4
    assert Settings().training_memory_limit(3) == total * 80 // 100 // 3


@pytest.mark.parametrize("written", ["0", "-1", "65", "two"])
def test_a_number_of_slots_that_no_worker_can_have_is_refused(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("LAUNCHPIN_TRAINING_SLOTS", written)
    with pytest.raises(ValidationError, match="training_slots"):
        Settings()


@pytest.mark.parametrize(("written", "limit"), [("0", 0), ("1048576", 1048576)])
def test_the_memory_limit_is_what_was_set(monkeypatch: pytest.MonkeyPatch, written: str, limit: int) -> None:
    monkeypatch.setenv("LAUNCHPIN_TRAINING_MEMORY", written)
    monkeypatch.setenv("LAUNCHPIN_TRAINING_SLOTS", "4")
    assert Settings().training_memory_limit() == limit
    assert Settings().training_memory_limit(3) == limit


def test_a_memory_limit_below_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHPIN_TRAINING_MEMORY", "-1")
    with pytest.raises(ValidationError):
        Settings()
