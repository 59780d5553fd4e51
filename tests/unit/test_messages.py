"""Messages in the form of each channel: what they say, and that foreign text stays text."""

import email
import json
import re
from datetime import UTC, datetime
from email.policy import default
from pathlib import PurePosixPath
from typing import Any

import pytest

from gitops.audit.entry import Actor, Event, Service, Subject
from gitops.config.channels import Mention, NotifyFile, Rule, Slack
from gitops.messages import Message, choose_channels, to_cloudevent, to_mail, to_message, to_slack, trial_message
from gitops.messages.cdevents import TYPES
from gitops.notices import News, Notice, tell

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
URI = "https://mlflow.example.com"
BASE = "https://launchpin.example.com"
HOSTILE = "<!channel> <https://evil.example|x> & @here \u202e\nBcc: x@evil.example"
SUBJECT: dict[str, Any] = {
    "repo_id": 2,
    "repo": "acme/iris-deploy",
    "sha": "d" * 40,
    "env": "production",
    "endpoint": "iris-production",
    "model": "iris",
    "version": "2",
}
# For each outcome, an event that it comes of.
EVENTS: dict[News, tuple[str, dict[str, Any], dict[str, Any]]] = {
    News.TRAINING_SUCCEEDED: ("training.succeeded", {"training_id": "t-1", "env": "", "endpoint": ""}, {}),
    News.TRAINING_REFUSED: ("training.refused", {"training_id": "t-1"}, {"reason": "GateRefused"}),
    News.TRAINING_ERRORED: ("training.errored", {"training_id": "t-1"}, {"reason": "TrainingFailed"}),
    News.PROPOSED: ("promotion.proposed", {"promotion_id": "p-1", "pr": 7}, {}),
    News.MERGED: ("promotion.succeeded", {"promotion_id": "p-1", "pr": 7}, {"merged_by": "mona"}),
    News.PROMOTION_REFUSED: ("promotion.refused", {"promotion_id": "p-1"}, {"reason": "PullRequestClosed"}),
    News.PROMOTION_ERRORED: ("promotion.errored", {"promotion_id": "p-1"}, {"reason": "GaveUp"}),
    News.DEPLOYED: ("rollout.succeeded", {"rollout_id": "r-1"}, {"serving": "2"}),
    News.REMOVED: ("rollout.succeeded", {"rollout_id": "r-1", "version": ""}, {"previous": "1"}),
    News.ROLLOUT_REFUSED: ("rollout.refused", {"rollout_id": "r-1"}, {"reason": "pin_refused"}),
    News.ROLLOUT_ERRORED: ("rollout.errored", {"rollout_id": "r-1"}, {"reason": "GaveUp"}),
    News.ROLLED_BACK: ("rollout.rolled_back", {"rollout_id": "r-1"}, {"reason": "SmokeFailed", "serving": "1"}),
    News.ROLLBACK_FAILED: ("rollout.errored", {"rollout_id": "r-1"}, {"reason": "RollbackFailed"}),
    News.STALLED: ("rollout.stalled", {"rollout_id": "r-1"}, {"reason": "PlanChanged"}),
    News.HELD: ("hold.set", {"name": "h-1"}, {"reason": "ByHand", "message": "a freeze"}),
    News.RESUMED: ("hold.lifted", {"name": "h-1"}, {}),
    News.HOOK_LOST: ("hook.lost", {"env": "", "endpoint": "", "model": "", "version": ""}, {"reason": "HookLost"}),
    News.HOOK_HEARD: ("hook.heard", {"env": "", "endpoint": "", "model": "", "version": ""}, {}),
}
# What each type's content must and may have, in CDEvents 0.5.1's schemas.
CONTENTS: dict[str, tuple[set[str], set[str]]] = {
    "pipelinerun.finished": (set(), {"pipelineName", "uri", "outcome", "errors"}),
    "change.created": (set(), {"description", "repository"}),
    "change.merged": (set(), {"repository"}),
    "change.abandoned": (set(), {"repository"}),
    "service.deployed": ({"environment", "artifactId"}, {"environment", "artifactId"}),
    "service.upgraded": ({"environment", "artifactId"}, {"environment", "artifactId"}),
    "service.rolledback": ({"environment", "artifactId"}, {"environment", "artifactId"}),
    "service.removed": ({"environment"}, {"environment"}),
    "incident.detected": ({"environment"}, {"description", "environment", "service", "artifactId"}),
    "incident.resolved": ({"environment"}, {"description", "environment", "service", "artifactId"}),
}


def notice(kind: str, subject: dict[str, Any], evidence: dict[str, Any]) -> Notice:
    event = Event(kind=kind, actor=Actor(type="service"), subject=Subject(**SUBJECT | subject), evidence=evidence)
    made = tell(event, id="n-1", log_id="host/audit/1", moment=NOW, service=Service(version="0"))
    assert made is not None
    return made


def message(news: News, **evidence: Any) -> Message:  # noqa: ANN401 - any evidence
    kind, subject, known = EVENTS[news]
    made = notice(kind, subject, known | evidence)
    assert made.news is news
    return to_message(made, base_url=BASE)


HOSTILE_MESSAGE = to_message(
    notice("rollout.rolled_back", {"model": HOSTILE, "env": HOSTILE}, {"reason": "SmokeFailed", "message": HOSTILE}),
    base_url=BASE,
)


@pytest.mark.parametrize("news", News, ids=str)
def test_every_outcome_reads_as_a_sentence_of_its_own(news: News) -> None:
    told = message(news)
    assert told.title
    assert "{" not in told.title
    assert "without a version" not in told.title
    assert told.sentence
    assert told.url.startswith(f"{BASE}/")


def test_what_wakes_says_what_to_do() -> None:
    assert "look" in message(News.HOOK_LOST).sentence or message(News.HOOK_LOST).do
    assert message(News.ROLLBACK_FAILED).do == "pin a version that starts; then lift the hold"
    assert message(News.DEPLOYED).do == ""


# ---------------------------------------------------------------- Slack


def test_slack_gets_text_and_blocks() -> None:
    body = json.loads(to_slack(message(News.ROLLED_BACK), mention=Mention.HERE))
    assert body["text"].startswith("<!here> :rotating_light: production went back from iris v2: ")
    assert [block["type"] for block in body["blocks"]] == ["section", "section", "context"]
    assert "What to do: find the cause" in body["blocks"][0]["text"]["text"]
    fields = [field["text"] for field in body["blocks"][1]["fields"]]
    assert "*serving now*\n1" in fields
    assert f"<{BASE}/rollouts/r-1|Launchpin> n-1" in body["blocks"][2]["elements"][0]["text"]


@pytest.mark.parametrize(("mention", "shown"), [(Mention.CHANNEL, "<!channel>"), (Mention.NOBODY, "")])
def test_only_what_wakes_mentions_and_only_whom_it_may(mention: Mention, shown: str) -> None:
    woken = json.loads(to_slack(message(News.ROLLED_BACK), mention=mention))["text"]
    told = json.loads(to_slack(message(News.DEPLOYED), mention=mention))["text"]
    assert re.findall(r"<![a-z]+>", woken) == ([shown] if shown else [])
    assert "<" not in told


def test_foreign_text_in_slack_mentions_nobody_and_links_nowhere() -> None:
    body = json.loads(to_slack(HOSTILE_MESSAGE, mention=Mention.NOBODY))
    texts = [body["text"], body["blocks"][0]["text"]["text"], *(one["text"] for one in body["blocks"][1]["fields"])]
    for text in texts:
        assert "<" not in text
        assert ">" not in text
        assert "@here" not in text
        assert "\u202e" not in text
        assert re.sub(r"&(amp|lt|gt);", "", text).count("&") == 0
    assert "&lt;!channel&gt;" in body["text"]
    assert all(one["verbatim"] for one in [body["blocks"][0]["text"], *body["blocks"][1]["fields"]])


@pytest.mark.parametrize("char", ["<", "&", "@", "x"])
def test_slack_shows_what_to_do_and_whole_characters_however_long_the_reason_is(char: str) -> None:
    body = json.loads(to_slack(message(News.ROLLED_BACK, message=char * 1000), mention=Mention.CHANNEL))
    shown = body["blocks"][0]["text"]["text"]
    assert shown.endswith("\nWhat to do: find the cause, and push a better version")
    for text in (shown, body["text"]):
        assert re.sub(r"&(amp|lt|gt);", "", text).count("&") == 0
        assert len(text) < 3000


def test_slack_takes_the_longest_message() -> None:
    made = notice("rollout.rolled_back", {"model": "&" * 5000}, {"reason": "SmokeFailed", "message": "<" * 5000})
    body = json.loads(to_slack(to_message(made, base_url=BASE), mention=Mention.CHANNEL))
    assert len(body["blocks"][0]["text"]["text"]) <= 3000
    assert all(len(field["text"]) <= 2000 for field in body["blocks"][1]["fields"])


# ---------------------------------------------------------------- CDEvents over CloudEvents


@pytest.mark.parametrize("news", News, ids=str)
def test_event_is_a_cloudevent_around_a_cdevent(news: News) -> None:
    event = json.loads(to_cloudevent(message(news), tracking_uri=URI))
    data, context = event["data"], event["data"]["context"]
    assert event["specversion"] == "1.0"
    assert event["datacontenttype"] == "application/json"
    assert context["specversion"] == "0.5.1"
    assert context.keys() == {"specversion", "id", "source", "type", "timestamp"}
    assert (event["id"], event["source"], event["type"]) == (context["id"], context["source"], context["type"])
    assert (event["subject"], event["time"]) == (data["subject"]["id"], context["timestamp"])
    assert (event["id"], event["source"]) == ("n-1", "/host/audit/1")
    assert event["type"] == TYPES[news]
    assert all(value for value in (event["subject"], event["time"]))
    assert data.keys() == {"context", "subject", "customData", "customDataContentType"}
    assert data["customData"]["outcome"] == news.value


@pytest.mark.parametrize("news", News, ids=str)
def test_content_is_what_the_schema_of_its_type_allows(news: News) -> None:
    event = json.loads(to_cloudevent(message(news), tracking_uri=URI))
    if event["type"].startswith("dev.cdeventsx."):
        assert re.fullmatch(r"dev\.cdeventsx\.[a-zA-Z0-9]+-[a-zA-Z]+\.[a-zA-Z]+\.\d\.\d\.\d", event["type"])
        return
    content = event["data"]["subject"]["content"]
    needed, known = CONTENTS[".".join(event["type"].split(".")[2:4])]
    assert needed <= content.keys() <= known
    assert content.get("environment", {"id": "x"})["id"]


def test_version_that_replaces_another_is_an_upgrade() -> None:
    event = json.loads(to_cloudevent(message(News.DEPLOYED, previous="1"), tracking_uri=URI))
    assert event["type"] == "dev.cdevents.service.upgraded.0.3.0"
    artifact = "pkg:mlflow/iris@2?repository_url=https%3A%2F%2Fmlflow.example.com"
    assert event["data"]["subject"]["content"] == {"environment": {"id": "production"}, "artifactId": artifact}


def test_rollback_names_what_serves_again() -> None:
    content = json.loads(to_cloudevent(message(News.ROLLED_BACK), tracking_uri=URI))["data"]["subject"]["content"]
    assert content["artifactId"].startswith("pkg:mlflow/iris@1?")


def test_lost_and_heard_webhooks_are_the_same_incident() -> None:
    lost, heard = (
        json.loads(to_cloudevent(message(news), tracking_uri=URI)) for news in (News.HOOK_LOST, News.HOOK_HEARD)
    )
    assert lost["subject"] == heard["subject"] == "acme/iris-deploy"


# ---------------------------------------------------------------- mail


def read_mail(told: Message) -> Any:  # noqa: ANN401 - email's own type
    raw = to_mail(told, sender="launchpin@example.com", to=("a@example.com", "b@example.com"))
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    return email.message_from_bytes(raw, policy=default)


def test_mail_says_it_all_in_plain_text() -> None:
    mail = read_mail(message(News.ROLLED_BACK))
    assert mail["Subject"] == "[launchpin] WAKE: production went back from iris v2"
    assert (mail["To"], mail["Message-ID"]) == ("a@example.com, b@example.com", "<n-1@example.com>")
    assert (mail["Auto-Submitted"], mail["Importance"]) == ("auto-generated", "high")
    text = mail.get_content().replace("\r\n", "\n")
    assert "serving now: 1\n" in text
    assert f"{BASE}/rollouts/r-1" in text


def test_mail_that_only_tells_is_not_urgent() -> None:
    mail = read_mail(message(News.DEPLOYED))
    assert "WAKE" not in mail["Subject"]
    assert mail["Importance"] is None


def test_foreign_text_adds_no_header_and_no_receiver() -> None:
    mail = read_mail(HOSTILE_MESSAGE)
    assert mail["Bcc"] is None
    assert mail["To"] == "a@example.com, b@example.com"
    assert "Bcc: x@evil.example" in mail.get_content()


# ---------------------------------------------------------------- whom


FILE = PurePosixPath("slack.url")


@pytest.mark.parametrize(
    ("rule", "is_told"),
    [
        (Rule(to=("a",)), True),
        (Rule(outcomes=("all",), to=("a",)), True),
        (Rule(outcomes=("RolledBack",), to=("a",)), True),
        (Rule(outcomes=("Deployed",), to=("a",)), False),
        (Rule(environments=("prod*",), to=("a",)), True),
        (Rule(environments=("staging",), to=("a",)), False),
        (Rule(environments=("**", "!production"), to=("a",)), False),
        (Rule(models=("wine", "iris"), to=("a",)), True),
        (Rule(models=("wine",), to=("a",)), False),
    ],
)
def test_rule_selects_by_outcome_environment_and_model(rule: Rule, is_told: bool) -> None:
    kind, subject, evidence = EVENTS[News.ROLLED_BACK]
    file = NotifyFile({"a": Slack(FILE), "b": Slack(FILE)}, (rule,))
    assert choose_channels(notice(kind, subject, evidence), file) == (("a",) if is_told else ())


def test_lost_webhook_passes_every_pattern_because_it_may_concern_each() -> None:
    kind, subject, evidence = EVENTS[News.HOOK_LOST]
    file = NotifyFile({"a": Slack(FILE)}, (Rule(environments=("production",), models=("wine",), to=("a",)),))
    assert choose_channels(notice(kind, subject, evidence), file) == ("a",)


def test_channel_that_two_rules_name_gets_one_letter() -> None:
    kind, subject, evidence = EVENTS[News.ROLLED_BACK]
    rules = (Rule(to=("b", "a")), Rule(outcomes=("all",), to=("a",)))
    file = NotifyFile({"a": Slack(FILE), "b": Slack(FILE)}, rules)
    assert choose_channels(notice(kind, subject, evidence), file) == ("a", "b")


def test_trial_says_that_nothing_happened() -> None:
    told = trial_message("n-9", moment=NOW, service=Service(version="0"), log_id="host", base_url=BASE)
    event = json.loads(to_cloudevent(told, tracking_uri=URI))
    assert (event["type"], event["data"]["customData"]["outcome"]) == (TYPES[None], "Test")
    assert "Nothing happened" in read_mail(told).get_content()
    assert "<!" not in json.loads(to_slack(told, mention=Mention.CHANNEL))["text"]
