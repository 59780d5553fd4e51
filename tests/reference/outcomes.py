"""The page of messages: each outcome, and one message in the form that each kind of channel gets."""

import email
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.policy import default

from gitops.audit.entry import Actor, Event, Service, Subject
from gitops.config.channels import Mention
from gitops.messages import Message, to_cloudevent, to_mail, to_message, to_slack
from gitops.messages.cdevents import TYPES, UPGRADED
from gitops.notices import WAKING, News, tell
from tests.reference.marks import Part, always
from tests.reference.prose import code, members_of, table

_EVENT = Event(
    kind="rollout.rolled_back",
    actor=Actor(type="service", login="launchpin"),
    subject=Subject(
        repo_id=2,
        repo="acme/iris-deploy",
        sha="3f1c9a7d52e84b60917f0a2c6d8e4b5f7a901c23",
        model="iris",
        version="8",
        env="production",
        endpoint="iris-production",
        rollout_id="r-1m80s5ep34ketdq",
    ),
    to="RolledBack",
    evidence={
        "reason": "SmokeFailed",
        "message": "SmokeFailed: question 1 was answered 500",
        "serving": "7",
    },
)
"""What the examples tell of."""


def parts() -> Mapping[str, Part]:
    """Return the page's parts."""
    message = _example()
    made = {
        "outcomes": _outcomes(),
        "slack": _slack(to_slack(message, mention=Mention.HERE)),
        "webhook": _event(to_cloudevent(message, tracking_uri="https://mlflow.example.com")),
        "mail": _mail(to_mail(message, sender="launchpin@example.com", to=("oncall@example.com",))),
    }
    return {name: always(text) for name, text in made.items()}


def _outcomes() -> str:
    said = members_of(News)
    rows = [(code(news), "yes" if news in WAKING else "no", said[news].removesuffix("."), _type(news)) for news in News]
    return table(("outcome", "wakes", "when", "CDEvents type"), rows)


def _type(news: News) -> str:
    more = f"; {code(UPGRADED)} where one served before" if news is News.DEPLOYED else ""
    return code(TYPES[news]) + more


def _example() -> Message:
    moment = datetime(2026, 1, 31, 2, 14, 7, tzinfo=UTC)
    notice = tell(
        _EVENT,
        id="n-1m80s6b2x9k4c7f",
        log_id="launchpin.example.com/audit/6f2b",
        moment=moment,
        service=Service(version="0.1.0"),
    )
    assert notice is not None
    return to_message(notice, base_url="https://launchpin.example.com")


def _slack(raw: bytes) -> str:
    """Return the first block's text; what follows repeats the facts."""
    return f"```text\n{json.loads(raw)['blocks'][0]['text']['text']}\n```"


def _event(raw: bytes) -> str:
    return f"```json\n{json.dumps(json.loads(raw), indent=2, ensure_ascii=False)}\n```"


def _mail(raw: bytes) -> str:
    mail = email.message_from_bytes(raw, policy=default)
    head = "\n".join(f"{name}: {value}" for name, value in mail.items() if not name.startswith(("Content-", "MIME-")))
    body = "\n".join(mail.get_content().strip().splitlines())
    return f"```text\n{head}\n\n{body}\n```"
