"""`${commit}` and its like in the values a training gets. Pure."""

import re
from collections.abc import Mapping

from gitops.config.text import did_you_mean, show
from gitops.errors import InputError

VARIABLES = ("commit", "branch", "trigger", "tracking_uri", "experiment", "model")

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")


def explain_unknown_variable(value: str) -> str:
    """Return what is wrong with the variables in a value; empty when all are known."""
    for found in _VARIABLE.finditer(value):
        if found[1] not in VARIABLES:
            near = did_you_mean(found[1], VARIABLES) or f"; known: {', '.join(VARIABLES)}"
            return f"the variable {show(found[0])} is not known{near}"
    return ""


def fill(parameters: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters with their variables filled in, once: what a value brings in is not looked at again.

    Args:
        parameters: names and values as written in launchpin.yaml.
        values: a text for each of `VARIABLES` that a value uses.

    Raises:
        InputError: `variable_unknown`, naming the parameter and the variable.
    """
    return {name: _fill_one(name, text, values) for name, text in parameters.items()}


def _fill_one(name: str, text: str, values: Mapping[str, str]) -> str:
    def replace(found: re.Match[str]) -> str:
        if found[1] not in values:
            message = explain_unknown_variable(found[0]) or f"the variable {show(found[0])} has no value here"
            raise InputError("variable_unknown", message, field=f"train.parameters.{name}")
        return values[found[1]]

    return _VARIABLE.sub(replace, text)
