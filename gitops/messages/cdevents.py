"""A message as a CloudEvent in CDEvents' words, for programs. Pure.

Sources: CloudEvents 1.0.2 (structured JSON, `application/cloudevents+json`) and CDEvents 0.5.1: its schemas, and
`cloudevents-binding.md`, by which id, source, type, subject and time are those of the CDEvent, and the whole of it is
the data. What CDEvents has no word for is a custom event, `dev.cdeventsx.launchpin-SUBJECT.PREDICATE`.
"""

import json
from collections.abc import Mapping
from urllib.parse import quote

from gitops.audit.entry import Entry
from gitops.messages.message import Message
from gitops.notices import News, text_of

CONTENT_TYPE = "application/cloudevents+json"
SPEC = "0.5.1"

TYPES: Mapping[News | None, str] = {
    News.TRAINING_SUCCEEDED: "dev.cdevents.pipelinerun.finished.0.3.0",
    News.TRAINING_REFUSED: "dev.cdevents.pipelinerun.finished.0.3.0",
    News.TRAINING_ERRORED: "dev.cdevents.pipelinerun.finished.0.3.0",
    News.PROPOSED: "dev.cdevents.change.created.0.4.0",
    News.MERGED: "dev.cdevents.change.merged.0.3.0",
    News.PROMOTION_REFUSED: "dev.cdevents.change.abandoned.0.3.0",
    News.PROMOTION_ERRORED: "dev.cdevents.change.abandoned.0.3.0",
    News.DEPLOYED: "dev.cdevents.service.deployed.0.3.0",
    News.REMOVED: "dev.cdevents.service.removed.0.3.0",
    News.ROLLED_BACK: "dev.cdevents.service.rolledback.0.3.0",
    News.ROLLOUT_REFUSED: "dev.cdeventsx.launchpin-rollout.refused.0.1.0",
    News.ROLLOUT_ERRORED: "dev.cdevents.incident.detected.0.3.0",
    News.ROLLBACK_FAILED: "dev.cdevents.incident.detected.0.3.0",
    News.STALLED: "dev.cdevents.incident.detected.0.3.0",
    News.HOOK_LOST: "dev.cdevents.incident.detected.0.3.0",
    News.HOOK_HEARD: "dev.cdevents.incident.resolved.0.3.0",
    News.HELD: "dev.cdeventsx.launchpin-hold.set.0.1.0",
    News.RESUMED: "dev.cdeventsx.launchpin-hold.lifted.0.1.0",
    None: "dev.cdeventsx.launchpin-channel.tested.0.1.0",
}
"""The type of each event; None is the test of a channel."""

UPGRADED = "dev.cdevents.service.upgraded.0.3.0"
"""The type of `Deployed` where another version served before."""

_OUTCOMES = {
    News.TRAINING_SUCCEEDED: "success",
    News.TRAINING_REFUSED: "failure",
    News.TRAINING_ERRORED: "error",
}
_EVERYWHERE = "all"


def to_cloudevent(message: Message, *, tracking_uri: str) -> bytes:
    """Return the whole event, in CloudEvents' structured JSON form.

    Args:
        tracking_uri: of the MLflow server, which tells its models from others of the same name.
    """
    entry = message.entry
    type_ = _type(message)
    source, subject = f"/{quote(entry.log_id)}", _subject_id(message)
    data = {
        "context": {
            "specversion": SPEC,
            "id": message.id,
            "source": source,
            "type": type_,
            "timestamp": entry.ts,
        },
        "subject": {"id": subject, "content": _content(message, type_, tracking_uri)},
        "customData": _details(message),
        "customDataContentType": "application/json",
    }
    event = {
        "specversion": "1.0",
        "id": message.id,
        "source": source,
        "type": type_,
        "subject": subject,
        "time": entry.ts,
        "datacontenttype": "application/json",
        "data": data,
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _type(message: Message) -> str:
    is_upgrade = message.news is News.DEPLOYED and bool(text_of(message.entry, "previous"))
    return UPGRADED if is_upgrade else TYPES[message.news]


def _subject_id(message: Message) -> str:
    subject = message.entry.subject
    kind = _type(message).split(".")[2]
    names = {
        "service": subject.endpoint,
        "pipelinerun": subject.training_id,
        "change": f"{subject.repo}/pull/{subject.pr}" if subject.pr else subject.promotion_id,
        # Detected and resolved are about the same one.
        "incident": subject.rollout_id or subject.promotion_id or subject.training_id or subject.repo or subject.name,
    }
    return names.get(kind) or subject.rollout_id or subject.name or message.id


def _content(message: Message, type_: str, tracking_uri: str) -> dict[str, object]:
    subject = message.entry.subject
    match type_.split(".")[2]:
        case "service":
            return _of_service(message, type_, tracking_uri)
        case "pipelinerun":
            return _of_training(message)
        case "change":
            return {"repository": {"id": subject.repo}} if subject.repo else {}
        case "incident":
            return _of_incident(message, tracking_uri)
        case _:
            return {"severity": message.severity.value}


def _of_service(message: Message, type_: str, tracking_uri: str) -> dict[str, object]:
    subject = message.entry.subject
    content: dict[str, object] = {"environment": _environment(message.entry)}
    if type_ == TYPES[News.REMOVED]:
        return content
    # After a rollback, as after any other change, it is what is deployed from now on.
    version = text_of(message.entry, "serving") if message.news is News.ROLLED_BACK else subject.version
    return content | {"artifactId": _artifact(subject.model, version, tracking_uri)}


def _of_training(message: Message) -> dict[str, object]:
    outcome = _OUTCOMES.get(message.news or News.TRAINING_ERRORED, "error")
    content: dict[str, object] = {
        "pipelineName": message.entry.subject.model,
        "uri": message.url,
        "outcome": outcome,
    }
    return content if outcome == "success" else content | {"errors": message.sentence}


def _of_incident(message: Message, tracking_uri: str) -> dict[str, object]:
    subject = message.entry.subject
    content: dict[str, object] = {"description": message.sentence, "environment": _environment(message.entry)}
    if subject.endpoint:
        content["service"] = {"id": subject.endpoint}
    if subject.model and subject.version:
        content["artifactId"] = _artifact(subject.model, subject.version, tracking_uri)
    return content


def _environment(entry: Entry) -> dict[str, str]:
    return {"id": entry.subject.env or _EVERYWHERE}


def _artifact(model: str, version: str, tracking_uri: str) -> str:
    """Return a package URL of MLflow's type (purl-spec, mlflow-definition.json: its repository has no default)."""
    at = f"@{quote(version, safe='')}" if version else ""
    return f"pkg:mlflow/{quote(model or 'none', safe='')}{at}?repository_url={quote(tracking_uri, safe='')}"


def _details(message: Message) -> dict[str, object]:
    """Return what is ours: in Launchpin's words, for programs that know them."""
    subject = message.entry.subject
    named = {
        "repository": subject.repo,
        "environment": subject.env,
        "endpoint": subject.endpoint,
        "model": subject.model,
        "version": subject.version,
        "commit": subject.sha,
        "training": subject.training_id,
        "promotion": subject.promotion_id,
        "rollout": subject.rollout_id,
        "serving": text_of(message.entry, "serving"),
        "previous": text_of(message.entry, "previous"),
        "reason": message.reason,
    }
    return {
        "outcome": message.news.value if message.news else "Test",
        "severity": message.severity.value,
        "title": message.title,
        "sentence": message.sentence,
        "url": message.url,
        **{name: value for name, value in named.items() if value},
    }
