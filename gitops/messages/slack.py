"""A message as Slack's incoming webhooks take it, and whatever speaks their form. Pure.

Source: docs.slack.dev, "Formatting message text" (escape `&`, `<` and `>`, and nothing else; `<!channel>` and `<@U1>`
mention people, and both need the `<` that no foreign text keeps) and "Text object" (`verbatim`: names and addresses in
the text are not made links or mentions). A section's text has at most 3,000 characters, a field's 2,000.
"""

import json

from gitops.config.channels import Mention
from gitops.messages.message import Message
from gitops.notices import Severity

# Each part is cut by itself, as it is written, so that together they fit: 300, 2,000 and 400 in a section of 3,000.
_LONGEST_TITLE = 300
_LONGEST_SENTENCE = 2000
_LONGEST_ADVICE = 400
_LONGEST_NAME = 100
_LONGEST_VALUE = 1500
_MOST_FIELDS = 10
_MENTIONS = {Mention.CHANNEL: "<!channel> ", Mention.HERE: "<!here> ", Mention.NOBODY: ""}
# Between `@` and a name, so that no reader of plain text makes a mention of it.
_WORD_JOINER = "\u2060"
_WRITTEN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": f"@{_WORD_JOINER}"}


def to_slack(message: Message, *, mention: Mention) -> bytes:
    """Return the body of a post to an incoming webhook.

    Args:
        mention: whom it mentions where it wakes somebody.
    """
    is_urgent = message.severity is Severity.WAKE
    called = _MENTIONS[mention] if is_urgent else ""
    mark = ":rotating_light: " if is_urgent else ""
    title, sentence = _inert(message.title, _LONGEST_TITLE), _inert(message.sentence, _LONGEST_SENTENCE)
    lines = [f"*{title}*", sentence]
    lines += [f"What to do: {_inert(message.do, _LONGEST_ADVICE)}"] if message.do else []
    fields = [
        _text(f"*{_inert(name, _LONGEST_NAME)}*\n{_inert(value, _LONGEST_VALUE)}") for name, value in message.facts
    ]
    blocks: list[dict[str, object]] = [{"type": "section", "text": _text(f"{called}{mark}" + "\n".join(lines))}]
    if fields:
        blocks.append({"type": "section", "fields": fields[:_MOST_FIELDS]})
    blocks.append({"type": "context", "elements": [_text(f"<{_link(message.url)}|Launchpin> {message.id}")]})
    # Shown in notifications, and by receivers that know no blocks.
    text = f"{called}{mark}{title}: {sentence}"
    return json.dumps({"text": text, "blocks": blocks}, ensure_ascii=False).encode()


def _text(text: str) -> dict[str, object]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _inert(text: str, limit: int) -> str:
    """Return foreign text that is shown as it is, on one line; cut as it is written, and never inside an escape."""
    taken: list[str] = []
    left = limit - 1
    for char in text:
        piece = _WRITTEN.get(char, char if char.isprintable() else " ")
        left -= len(piece)
        if left < 0:
            return "".join([*taken, "…"])
        taken.append(piece)
    return "".join(taken)


def _link(url: str) -> str:
    return "".join(char for char in url if "!" <= char <= "~" and char not in "<>|")
