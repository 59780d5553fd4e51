"""A message as Slack's incoming webhooks take it, and whatever speaks their form. Pure.

Source: docs.slack.dev, "Formatting message text" (escape `&`, `<` and `>`, and nothing else; `<!channel>` and `<@U1>`
mention people, and both need the `<` that no foreign text keeps) and "Text object" (`verbatim`: names and addresses in
the text are not made links or mentions). A section's text has at most 3,000 characters, a field's 2,000.
"""

import json

from gitops.config.channels import Mention
from gitops.messages.message import Message
from gitops.notices import Severity

_LONGEST_TEXT = 2900
_LONGEST_FIELD = 1900
_MOST_FIELDS = 10
_MENTIONS = {Mention.CHANNEL: "<!channel> ", Mention.HERE: "<!here> ", Mention.NOBODY: ""}
# Between `@` and a name, so that no reader of plain text makes a mention of it.
_WORD_JOINER = "\u2060"


def to_slack(message: Message, *, mention: Mention) -> bytes:
    """Return the body of a post to an incoming webhook.

    Args:
        mention: whom it mentions where it wakes somebody.
    """
    is_urgent = message.severity is Severity.WAKE
    called = _MENTIONS[mention] if is_urgent else ""
    mark = ":rotating_light: " if is_urgent else ""
    lines = [f"*{_inert(message.title, 300)}*", _inert(message.sentence, 2000)]
    lines += [f"What to do: {_inert(message.do, 400)}"] if message.do else []
    fields = [_text(f"*{_inert(name, 100)}*\n{_inert(value, 1500)}", _LONGEST_FIELD) for name, value in message.facts]
    blocks: list[dict[str, object]] = [
        {"type": "section", "text": _text(f"{called}{mark}" + "\n".join(lines), _LONGEST_TEXT)}
    ]
    if fields:
        blocks.append({"type": "section", "fields": fields[:_MOST_FIELDS]})
    blocks.append({"type": "context", "elements": [_text(f"<{_link(message.url)}|Launchpin> {message.id}", 2000)]})
    # Shown in notifications, and by receivers that know no blocks.
    text = f"{called}{mark}{_inert(message.title, 300)}: {_inert(message.sentence, 2000)}"
    return json.dumps({"text": text[:_LONGEST_TEXT], "blocks": blocks}, ensure_ascii=False).encode()


def _text(text: str, limit: int) -> dict[str, object]:
    return {"type": "mrkdwn", "text": text[:limit], "verbatim": True}


def _inert(text: str, limit: int) -> str:
    """Return foreign text that is shown as it is, on one line; cut before it is escaped, never inside an escape."""
    shown = "".join(char if char.isprintable() else " " for char in text)[:limit]
    apart = shown.replace("@", f"@{_WORD_JOINER}")
    return apart.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _link(url: str) -> str:
    return "".join(char for char in url if "!" <= char <= "~" and char not in "<>|")
