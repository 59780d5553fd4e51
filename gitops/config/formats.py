"""The checks behind each `format` in our schemas; each raises with the way out, or returns True. Pure."""

from collections.abc import Callable, Mapping

from gitops.config import addresses, names
from gitops.config.durations import parse_duration
from gitops.config.globs import explain_bad_pattern
from gitops.config.regexes import compile_regex
from gitops.config.scalars import read_decimal


def _is_fine(check: Callable[[str], object]) -> Callable[[object], bool]:
    def run(value: object) -> bool:
        if isinstance(value, str):
            check(value)
        return True

    return run


def _check_pattern(pattern: str) -> None:
    if problem := explain_bad_pattern(pattern):
        raise names.BadNameError("pattern_invalid", problem)


FORMATS: Mapping[str, Callable[[object], bool]] = {
    "channel": _is_fine(names.check_channel),
    "decimal": _is_fine(read_decimal),
    "duration": _is_fine(parse_duration),
    "endpoint": _is_fine(names.check_endpoint),
    "environment": _is_fine(names.check_environment),
    "experiment": _is_fine(names.check_canonical),
    "file": _is_fine(names.check_file),
    "mail": _is_fine(names.check_mail),
    "metric": _is_fine(names.check_canonical),
    "metric_regex": _is_fine(compile_regex),
    "model": _is_fine(names.check_model),
    "name": _is_fine(names.check_canonical),
    "network": _is_fine(addresses.parse_network),
    "parameter": _is_fine(names.check_parameter),
    "path": _is_fine(names.clean_path),
    "pattern": _is_fine(_check_pattern),
    "repository": _is_fine(names.check_repository),
    "secret": _is_fine(names.check_secret),
    "tier": _is_fine(names.check_tier),
}
