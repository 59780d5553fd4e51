"""Where each thing has its page, and where it is outside. Pure."""

from urllib.parse import quote

from gitops.explaining import Fleet
from gitops.records import Record, Training


def model_page(model: str) -> str:
    """Return the path of a model's page; empty where it can have none."""
    return f"/models/{quote(model, safe='')}" if model and "/" not in model else ""


def plan_page(model: str) -> str:
    """Return the path of the page that foresees what a version would do; empty where the model can have no page."""
    page = model_page(model)
    return f"{page}/plan" if page else ""


def story_page(kind: str, record_id: str) -> str:
    """Return the path of a story's page, empty for a kind that has none."""
    return f"/{kind}s/{quote(record_id, safe='')}" if kind in _KINDS else ""


def trial_log(training_id: str, number: int) -> str:
    """Return the path of the page with the log of a trial."""
    return f"{story_page('training', training_id)}/trials/{number}/log"


_KINDS = frozenset({"training", "promotion", "rollout", "command"})
_BY_LETTER = {"t": "training", "p": "promotion", "r": "rollout", "c": "command"}


def record_page(record_id: str) -> str:
    """Return the path of the page of whatever has this id, empty where it is none of ours."""
    letter, dash, rest = record_id.partition("-")
    return story_page(_BY_LETTER.get(letter, ""), record_id) if dash and rest else ""


def woken_page(woke: str) -> str:
    """Return the path of the page of what a delivery woke, `training:t-1` for example; empty where it has none."""
    kind, _, subject = woke.partition(":")
    return story_page(kind, subject)


def page_of(name: str, fleet: Fleet) -> str:
    """Return the path of the page about what an explanation names, empty where there is none."""
    for place in fleet.places:
        if place.name == name:
            return model_page(place.environment.model)
        for one in place.proposals:
            if f"{one.repository}#{one.facts.number}" == name:
                return story_page("promotion", one.id)
    return record_page(name)


def run_url(training: Training, tracking_uri: str) -> str:
    """Return where MLflow shows a training's run, empty while there is none."""
    facts = training.facts
    return address_run(facts.experiment_id or "", facts.candidate_run_id or facts.run_id or "", tracking_uri)


def address_run(experiment_id: str, run_id: str, tracking_uri: str) -> str:
    """Return where MLflow shows a run, empty where there is none."""
    if not (experiment_id and run_id):
        return ""
    return f"{tracking_uri.rstrip('/')}/#/experiments/{quote(experiment_id, safe='')}/runs/{quote(run_id, safe='')}"


def version_url(model: str, version: str, tracking_uri: str) -> str:
    """Return where MLflow shows a version."""
    return f"{tracking_uri.rstrip('/')}/#/models/{quote(model, safe='')}/versions/{quote(version, safe='')}"


def cause_page(record: Record) -> str:
    """Return the path of the page about what brought a record into being, empty where it has none."""
    if record.cause.kind == "delivery":
        return f"/deliveries/{quote(record.cause.id, safe='')}"
    return story_page(record.cause.kind, record.cause.id)
