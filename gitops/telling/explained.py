"""`explain`: one thing on one screen, or what needs somebody; and an incident's timeline from the audit log."""

from collections.abc import Sequence
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
from gitops.telling.service import fit_concern, fit_explanation
from gitops.telling.subjects import Subject, find_subject


@dataclass(frozen=True)
class Outlook:
    """From where everything is looked at.

    Args:
        wrong: parts that are not as they should be, as far as somebody here can tell.
        is_service: whether its parts were started elsewhere, so that what only a stack has cannot be typed.
    """

    library: Library
    reading: Reading
    wrong: Sequence[PartTrouble] = ()
    is_service: bool = False


def explain(outlook: Outlook, name: str) -> Explanation:
    """Explain what a name means, with what can be typed from there.

    Raises:
        InputError: several could be meant.
        NotFoundError: nobody knows the name.
    """
    explanation = explain_subject(find_subject(outlook.library, name), outlook.reading)
    return fit_explanation(explanation, outlook.wrong) if outlook.is_service else explanation


def explain_subject(subject: Subject, reading: Reading) -> Explanation:
    """Explain what a name means."""
    match subject:
        case Place():
            return explain_endpoint(subject, reading)
        case Trained():
            return explain_training(subject, reading)
        case _:
            return explain_pull(subject, reading)


def tell_explanation(explanation: Explanation, reading: Reading) -> answers.Explained:
    """Return an explanation as programs read it."""
    parts = {part.name.lower(): tuple(map(_said, explanation.parts.get(part, ()))) for part in Part}
    return answers.Explained(
        time=reading.now,
        up=reading.is_up,
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


def tell_attention(look: Look, reading: Reading) -> answers.Attention:
    """Return what needs somebody as programs read it."""
    concerns = tuple(map(_told, look.concerns))
    return answers.Attention(time=reading.now, up=reading.is_up, headline=look.headline, attention=concerns)


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
