"""What we write into pull requests, checks and commits. Pure, and inert whatever names and metrics contain.

Every foreign value has its mentions and references taken apart, and stands in a code span or has its markup escaped;
no commit message is quoted.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gitops.records import Promotion, Training, Version
from gitops.trials import TrialView
from gitops.verdicts import GateOutcome, TierOutcome

LONGEST_BODY = 60_000
LONGEST_TITLE = 140
_LONGEST_VALUE = 200
_LONGEST_REASON = 1000
_MOST_ROWS = 60
_FOOTER = "\n\n---\nWritten by Launchpin. Only the lines of the pin change; merging is the decision to roll out.\n"
_WORD_JOINER = "\u2060"
_LINK = re.compile(r"https?://[^\s()<>\[\]|`\\]+")
_DIVIDES = "\u2223"  # looks like a pipe


def inert(text: str, *, limit: int = _LONGEST_VALUE) -> str:
    """Return a foreign text that mentions nobody, closes nothing and is no markup, for prose."""
    flat = _flat(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    unlinked = re.sub(r"(?i)\b(www)(?=\.)|:(?=//)", rf"\g<0>{_WORD_JOINER}", _apart(flat))
    return re.sub(r"([\\`*_\[\]()!|~$])", r"\\\1", unlinked)


def plain(text: str, *, limit: int = _LONGEST_VALUE) -> str:
    """Return a foreign text for places that render no markup but may follow mentions: titles, commit subjects."""
    return _cut(_apart(_flat(text, limit)), limit)


def code(text: str, *, limit: int = _LONGEST_VALUE) -> str:
    """Return a foreign text as a code span that fits a table's cell.

    It is taken apart all the same: a squash merge may make the whole body a commit message, where no span protects.
    Backticks and pipes become look-alikes, since renderers do not agree on an escaped pipe after a backslash.
    """
    flat = _apart(_flat(text, limit)).replace("`", "'").replace("|", _DIVIDES)
    return f"`{flat}`" if flat.strip() else "-"


def _apart(text: str) -> str:
    """Take apart what a forge would make a mention or a reference of: `@org`, `#1`, `GH-1`, `.../issues/1`."""
    return re.sub(r"(?i)[@#]|gh-(?=\d)|(?:issues|pull|discussions)/(?=\d)", rf"\g<0>{_WORD_JOINER}", text)


def _flat(text: str, limit: int) -> str:
    """Return the text in one line, without what is not seen and at most so long."""
    shown = ("" if _is_hidden(character) else character for character in re.sub(r"[\r\n\t\u2028\u2029]", " ", text))
    return _cut("".join(shown), limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _is_hidden(character: str) -> bool:
    """Say whether it is a control, format (bidirectional overrides), surrogate, private or unknown character."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the cells are ready to be shown."""
    all_rows = list(rows)
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(' --- ' for _ in head)}|"]
    lines += [f"| {' | '.join(row)} |" for row in all_rows[:_MOST_ROWS]]
    if len(all_rows) > _MOST_ROWS:
        lines.append(f"\n{len(all_rows) - _MOST_ROWS} more rows are in the run.")
    return "\n".join(lines)


def gates_table(gates: Sequence[GateOutcome]) -> str:
    """Return the gates with what was asked, what was found, and why."""
    marks = {"pass": "✓ pass", "fail": "✗ fail"}
    rows = [
        (code(gate.metric), code(_condition(gate)), marks.get(gate.outcome, "? inconclusive"),
         inert(gate.message))
        for gate in gates
    ]  # fmt: skip
    return table(("metric", "gate", "result", "why"), rows) if rows else "No gates are set: any trained model passes."


def tiers_table(tiers: Sequence[TierOutcome]) -> str:
    """Return the tiers with what became of each, the best first."""
    marks = {"pass": "✓ reached", "fail": "✗ not reached"}
    rows = [
        (code(tier.name), marks.get(tier.outcome, "? cannot be judged"), inert(tier.message, limit=500))
        for tier in tiers
    ]
    return table(("tier", "result", "why"), rows)


def _tier(version: Version, min_tier: str) -> Iterable[str]:
    """Return the section that tells the tier, where there is anything to tell."""
    if not version.tiers:
        return ()
    asked = f", where {code(min_tier)} or better is asked for" if min_tier else ""
    reached = f"Its tier is {code(version.tier)}" if version.tier else "It has no tier"
    return (f"### Tier\n\n{reached}{asked}.\n\n{tiers_table(version.tiers)}",)


def _condition(gate: GateOutcome) -> str:
    words = gate.operator.replace("_", " ")
    return f"versus champion, gain at least {gate.threshold}" if words == "versus" else f"{words} {gate.threshold}"


def metrics_table(metrics: Mapping[str, str], champion: Mapping[str, str], champion_version: str) -> str:
    """Return the metrics beside the champion's."""
    against = f"champion v{champion_version}" if champion_version else "champion (none yet)"
    rows = [(code(name), code(value), code(champion.get(name, ""))) for name, value in sorted(metrics.items())]
    return table(("metric", "this version", inert(against)), rows) if rows else "No metrics were logged."


@dataclass(frozen=True)
class PullText:
    """A pull request's words."""

    title: str
    body: str
    commit: str


def pull_text(
    promotion: Promotion,
    version: Version,
    training: Training | None,
    *,
    previous: str,
    digest: str,
    links: Mapping[str, str],
    reason: str = "",
) -> PullText:
    """Return the words of a promotion's pull request.

    Args:
        previous: the pinned version until now, empty when unpinned.
        digest: of the plan.
        links: what to call it and where it is, shown under "Lineage".
        reason: what the person said who asked for it by hand.
    """
    title = plain(f"Pin {promotion.model} {promotion.version} in {promotion.environment}", limit=LONGEST_TITLE)
    facts = training.facts if training else None
    change = f"version {inert(previous) or 'none'} → {inert(promotion.version)}"
    sections = [
        f"## {inert(promotion.model)}: {change} in {inert(promotion.environment)}",
        *_asked(promotion, reason),
        *_searched(training),
        "### Metrics\n\n"
        + metrics_table(
            version.metrics, facts.champion_metrics if facts else {}, (facts.champion_version or "") if facts else ""
        ),
        "### Gates\n\n" + gates_table(version.gates),
        *_tier(version, promotion.facts.min_tier or ""),
        "### Parameters\n\n" + _pairs(facts.parameters if facts else {}, "No parameters were logged."),
        "### Lineage\n\n" + _lineage(version, training, links),
        _plan(promotion, previous, digest),
    ]
    return PullText(title, _capped("\n\n".join(sections)), title)


def _asked(promotion: Promotion, reason: str) -> Iterable[str]:
    """Return who asked for a promotion by hand, and why."""
    if promotion.cause.kind != "command":
        return ()
    why = f": {inert(reason, limit=_LONGEST_REASON)}" if reason else ""
    return (f"Asked for by hand, by {inert(promotion.cause.actor)}{why}",)


def _searched(training: Training | None) -> Iterable[str]:
    """Return which trial of a search it is, and who chose it where somebody did."""
    facts = training.facts if training else None
    if training is None or facts is None or not facts.trial:
        return ()
    if not facts.search_of:
        metric = code(facts.objective.get("metric", ""))
        return (f"The best of {facts.trials} trials by {metric}: trial {facts.trial}.",)
    why = inert(facts.chosen or "", limit=_LONGEST_REASON)
    by = inert(training.cause.actor)
    return (f"Trial {facts.trial} of {facts.trials} of training {code(facts.search_of)}, chosen by {by}: {why}",)


def trials_table(trials: Sequence[TrialView], metric: str) -> str:
    """Return the trials of a search and what became of each."""
    rows = [
        (
            str(trial.number),
            " ".join(code(f"{name}={value}") for name, value in trial.parameters.items()),
            code(repr(trial.metrics[metric]) if metric in trial.metrics else ""),
            inert(trial.reason or trial.state) + (", the best so far" if trial.is_best else ""),
        )
        for trial in trials
    ]
    return table(("trial", "parameters", inert(metric), "state"), rows)


def _pairs(values: Mapping[str, str], nothing: str) -> str:
    rows = [(code(name), code(value)) for name, value in sorted(values.items())]
    return table(("name", "value"), rows) if rows else nothing


def _lineage(version: Version, training: Training | None, links: Mapping[str, str]) -> str:
    rows = [
        ("commit", code(version.commit)),
        ("repository", code(version.repository)),
        ("branch", code(training.branch if training else "")),
        ("version", code(f"{version.model} {version.version}")),
        ("training", code(version.training_id)),
        ("run", code(version.run_id)),
        ("files (manifest SHA-256)", code(version.manifest_sha256)),
        ("environment (lock SHA-256)", code(version.lock_sha256)),
    ]
    opened = {name: f" [open]({url})" for name, url in links.items() if _LINK.fullmatch(url)}
    return table(("what", "which"), [(name, value + opened.get(name, "")) for name, value in rows])


def _plan(promotion: Promotion, previous: str, digest: str) -> str:
    return (
        "### Plan\n\n"
        f"Merging rolls {code(promotion.environment)} out: {code(promotion.model)} "
        f"{code(previous) if previous else 'nothing'} → {code(promotion.version)}, blue/green, the old version kept "
        "until the new one has finished its bake.\n\n"
        f"Plan digest: `{digest}`"
    )


def _capped(body: str) -> str:
    room = LONGEST_BODY - len(_FOOTER)
    if len(body) > room:
        note = "\n\nThe rest does not fit here; the run has all of it."
        end = "\n~~~~"
        body = body[: room - len(note) - len(end)].rsplit("\n", 1)[0]
        is_in_block = len(re.findall(r"(?m)^~~~~", body)) % 2
        body += (end if is_in_block else "") + note
    return body + _FOOTER


def training_summary(training: Training, trials: Sequence[TrialView] = ()) -> str:
    """Return the details of a training's check."""
    facts = training.facts
    parts = []
    if facts.metrics:
        parts.append(metrics_table(facts.metrics, facts.champion_metrics, facts.champion_version or ""))
    if facts.gates:
        parts.append(gates_table(facts.gates))
    if facts.tiers:
        parts.append(tiers_table(facts.tiers))
    if trials:
        parts.append(trials_table(trials, facts.objective.get("metric", "")))
    if facts.log_tail:
        parts.append("Last lines of the log:\n\n" + fenced(facts.log_tail))
    return _capped("\n\n".join(parts)) if parts else ""


def fenced(lines: Sequence[str]) -> str:
    """Return lines as a fenced block that none of them can end."""
    return "~~~~text\n" + "\n".join(_flat(line, 500).replace("~~~", "~ ~ ~") for line in lines) + "\n~~~~"


def short(text: str) -> str:
    """Return a check's title: one line of at most 140 characters, nobody mentioned."""
    return plain(text, limit=LONGEST_TITLE)
