"""`explain`: one thing on one screen, or what needs somebody; and an incident's timeline from the audit log."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from gitops.audit.history import tenures
from gitops.explaining import (
    Concern,
    Explanation,
    Fleet,
    Incident,
    PartTrouble,
    Place,
    Reading,
    Scope,
    Statement,
    Trained,
    explain_endpoint,
    explain_pull,
    explain_training,
    find_concerns,
    moments_of,
    served_meanwhile,
    summarize,
    to_markdown,
)
from gitops.explaining.explanation import Part
from gitops.telling import answers
from gitops.telling.library import Library
from gitops.telling.service import add_troubles, find_troubles, fit_concern, fit_explanation, is_at_work
from gitops.telling.subjects import Subject, find_subject


@dataclass(frozen=True)
class Outlook:
    """From where everything is looked at.

    Args:
        wrong: parts that are not as they should be, as far as somebody here can tell.
        is_up: whether anything carries work out.
        is_service: whether its parts were started elsewhere, so that what only a stack has cannot be typed.
    """

    library: Library
    reading: Reading
    wrong: Sequence[PartTrouble]
    is_up: bool
    is_service: bool = False


def look_from(
    library: Library,
    reading: Reading,
    seen: Mapping[str, PartTrouble | None] | None = None,
    *,
    is_service: bool = False,
) -> Outlook:
    """Return what is known of everything; how the parts are, the database tells.

    Args:
        seen: the parts that somebody here sees the processes of, by name, with what is wrong with each. Then what the
            database tells is of these alone, and of those whose process is well.
        is_service: as in `Outlook`.
    """
    pulse = library.store.pulse()
    told: Mapping[str, PartTrouble | None] = {one.name: one for one in find_troubles(pulse)}
    if seen is not None:
        told = {name: trouble or told.get(name) for name, trouble in seen.items()}
    wrong = tuple(one for one in told.values() if one is not None)
    return Outlook(library, reading, wrong, reading.is_up and is_at_work(pulse), is_service)


def explain(outlook: Outlook, name: str) -> Explanation:
    """Explain what a name means, with what can be typed from there.

    Raises:
        InputError: several could be meant.
        NotFoundError: nobody knows the name.
    """
    return explain_from(outlook, find_subject(outlook.library, name))


def explain_from(outlook: Outlook, subject: Subject) -> Explanation:
    """Explain a subject, with what is wrong with the parts that it waits for."""
    explanation = explain_subject(subject, outlook.reading)
    fit = fit_explanation if outlook.is_service else add_troubles
    return fit(explanation, outlook.wrong)


def explain_subject(subject: Subject, reading: Reading) -> Explanation:
    """Explain what a name means."""
    match subject:
        case Place():
            return explain_endpoint(subject, reading)
        case Trained():
            return explain_training(subject, reading)
        case _:
            return explain_pull(subject, reading)


def tell_explanation(explanation: Explanation, outlook: Outlook) -> answers.Explained:
    """Return an explanation as programs read it."""
    parts = {part.name.lower(): tuple(map(_said, explanation.parts.get(part, ()))) for part in Part}
    return answers.Explained(
        time=outlook.reading.now,
        up=outlook.is_up,
        kind=explanation.kind,
        name=explanation.name,
        headline=explanation.headline,
        **parts,
        commands=tuple(hint.command for hint in explanation.hints),
    )


def _said(statement: Statement) -> answers.Said:
    return answers.Said.model_validate(asdict(statement))


# ---------------------------------------------------------------- an incident


def find_incident(library: Library, typed: str, reading: Reading) -> Incident:
    """Return what happened around a name, as far as whoever asks may know it.

    Raises:
        InputError: several could be meant.
        NotFoundError: nobody knows the name.
    """
    subject, entries = find_subject(library, typed), library.entries()
    explanation = explain_subject(subject, reading)
    moments = moments_of(entries, _scope(subject, explanation.name), may_read=library.may_read)
    told = filter(library.may_read, entries)
    served = served_meanwhile(tenures(told, subject.name), moments) if isinstance(subject, Place) else ()
    log_id = library.store.log_id if entries.size else ""
    return Incident(reading.now, explanation, moments, served, log_id, entries.size)


def _scope(subject: Subject, name: str) -> Scope:
    match subject:
        case Place(environment=one):
            return Scope(name, repository_id=one.repository_id, path=one.path)
        case Trained(training=training):
            return Scope(name, training_id=training.id)
        case _:
            return Scope(name, promotion_id=subject.promotion.id)


def tell_incident(incident: Incident) -> answers.Timeline:
    """Return an incident as programs read it."""
    moments = tuple(answers.Moment.model_validate(asdict(one)) for one in incident.moments)
    return answers.Timeline(name=incident.explanation.name, incident=moments, markdown=to_markdown(incident))


# ---------------------------------------------------------------- everything


@dataclass(frozen=True)
class Look:
    """What a look at everything found, the worst first, and the whole in one sentence."""

    concerns: Sequence[Concern]
    headline: str
    fleet: Fleet


def look_at_all(outlook: Outlook) -> Look:
    """Look at everything."""
    fleet, reading = outlook.library.fleet(), outlook.reading
    concerns = find_concerns(fleet, outlook.wrong, reading)
    fit = [fit_concern(one) for one in concerns] if outlook.is_service else concerns
    return Look(fit, summarize(concerns, fleet, reading), fleet)


def tell_attention(look: Look, outlook: Outlook) -> answers.Attention:
    """Return what needs somebody as programs read it."""
    concerns = tuple(map(_told, look.concerns))
    return answers.Attention(time=outlook.reading.now, up=outlook.is_up, headline=look.headline, attention=concerns)


def _told(concern: Concern) -> answers.Concern:
    hint = concern.hint
    return answers.Concern(
        rank=concern.rank.name.lower(),
        name=concern.name,
        text=concern.text,
        reason=concern.reason,
        who=concern.who,
        hint=answers.Hint(command=hint.command, purpose=hint.purpose) if hint is not None else None,
    )
