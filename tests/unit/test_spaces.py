"""What is kept of a search's space: its bounds, its scales and its values, from what launchpin.yaml says."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from gitops.config.space import Choices, Range
from gitops.spaces import Space, SpaceAxis

AXES = (
    Range("rate", Decimal("1E-7"), Decimal("0.10"), is_log=True),
    Choices("criterion", ("mae", "${branch}", "absolute", "main")),
    Range("depth", Decimal(2), Decimal(9), is_whole=True, step=Decimal(2)),
)


def kept() -> Space:
    return Space.of(AXES, lambda name, value: f"{name}/{value.replace('${branch}', 'main')}")


def test_parameters_are_kept_in_the_order_written_with_bounds_scale_and_values() -> None:
    words = ("criterion/mae", "criterion/main", "criterion/absolute")  # each once, whatever their variables came to
    assert kept().axes == (
        SpaceAxis(name="rate", low="1E-7", high="0.10", log=True),
        SpaceAxis(name="criterion", values=words),
        SpaceAxis(name="depth", low="2", high="9"),
    )


def test_what_is_kept_is_json_that_says_its_version() -> None:
    text = kept().model_dump_json()
    assert text.startswith('{"version":1,"axes":[{"name":"rate","values":[],"low":"1E-7","high":"0.10","log":true},')
    assert Space.model_validate_json(text) == kept()


@pytest.mark.parametrize("change", [{"version": 2}, {"step": 1}], ids=["version", "field"])
def test_what_another_version_kept_is_not_read_as_this_one(change: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Space.model_validate({**kept().model_dump(), **change})
