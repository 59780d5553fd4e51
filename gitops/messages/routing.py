"""Which channels a notice goes to. Pure."""

from gitops.config.channels import ALL, WAKE, NotifyFile, Rule
from gitops.config.globs import matches_any
from gitops.notices import Notice, Severity


def choose_channels(notice: Notice, file: NotifyFile) -> tuple[str, ...]:
    """Return the channels that any rule names for a notice, in the order of the file."""
    wanted = {channel for rule in file.rules if _is_for(rule, notice) for channel in rule.to}
    return tuple(channel for channel in file.channels if channel in wanted)


def _is_for(rule: Rule, notice: Notice) -> bool:
    if not {ALL, notice.news.value}.intersection(rule.outcomes) and not (
        WAKE in rule.outcomes and notice.voice is Severity.WAKE
    ):
        return False
    return _is_named(notice.environment, rule.environments) and _is_named(notice.model, rule.models)


def _is_named(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether patterns select a name; what has none, a lost webhook say, may concern any of them."""
    return not name or not patterns or matches_any(name, patterns)
