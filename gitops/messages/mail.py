"""A message as mail: plain text, with headers that no foreign text can add to. Pure.

The Message-ID is the notice's own (RFC 5322, 3.6.4), so that a mail that comes twice is known. `Auto-Submitted` keeps
absence notes from answering (RFC 3834, 5).
"""

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from gitops.messages.message import Message
from gitops.notices import Severity

_LONGEST_SUBJECT = 180


def to_mail(message: Message, *, sender: str, to: Sequence[str]) -> bytes:
    """Return a whole mail, its lines ended as SMTP has them."""
    is_urgent = message.severity is Severity.WAKE
    mail = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Subject"] = _line(f"[launchpin] {'WAKE: ' if is_urgent else ''}{message.title}")[:_LONGEST_SUBJECT]
    mail["Date"] = format_datetime(message.moment)
    mail["Message-ID"] = f"<{message.id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    if is_urgent:
        mail["Importance"] = "high"
        mail["X-Priority"] = "1"
    mail.set_content("\n".join(_lines(message)) + "\n")
    return mail.as_bytes()


def _lines(message: Message) -> list[str]:
    lines = [_line(message.sentence)]
    lines += ["", f"What to do: {_line(message.do)}"] if message.do else []
    lines += ["", *(f"{name}: {_line(value)}" for name, value in message.facts)] if message.facts else []
    return [*lines, "", _line(message.url), f"{message.moment.isoformat(timespec='seconds')}  {message.id}"]


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
