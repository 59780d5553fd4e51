"""Mail to a server that a person named, over a connection to a checked address. Its names and answers are bounded."""

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping

from gitops.config.addresses import Allowed
from gitops.config.channels import Smtp, Tls
from gitops.errors import RefusedError, RetryError
from gitops.notifiers.guard import WHOLE_SECONDS, Resolve, connect, ending, one_line, resolve
from gitops.ports import Taken
from gitops.telemetry.requests import sending

_OURSELVES = "launchpin"  # in EHLO; the host's full name would be looked up
_FIRST_FINAL = 500
_GOODBYE_SECONDS = 2.0

_Refusals = Mapping[str, tuple[int, bytes]]


class _Connection(smtplib.SMTP):
    """A connection whose line is made by us, and encrypted from the start where the server wants that."""

    def __init__(self, line: socket.socket, channel: Smtp) -> None:
        self._line = line
        self._is_implicit = channel.tls is Tls.IMPLICIT
        super().__init__(channel.host, channel.port, local_hostname=_OURSELVES, timeout=WHOLE_SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        del port, timeout
        if not self._is_implicit:
            return self._line
        return ssl.create_default_context().wrap_socket(self._line, server_hostname=host)


def send_mail(channel: Smtp, content: bytes, *, password: str, allowed: Allowed, resolve: Resolve = resolve) -> Taken:
    """Hand a mail to the server and return what it answered.

    It was taken once the server said so after its last line, whatever becomes of the connection then. Receivers that
    the server refused for good are named in the answer; those that it may take later are left.

    Raises:
        RefusedError: `NotifyBlocked`, or `NotifyRefused` for what the server will not take later either.
        RetryError: `NotifyUnavailable`.
    """
    try:
        with sending("notify", "MAIL", "/"):
            line = connect(channel.host, channel.port, allowed=allowed, resolve=resolve)
            with line, ending(line) as answered:
                line.settimeout(WHOLE_SECONDS)
                with contextlib.closing(_Connection(line, channel)) as connection:
                    return _hand_over(connection, channel, content, password=password, answered=answered)
    except smtplib.SMTPRecipientsRefused as error:
        raise _judged(*next(iter(error.recipients.values()))) from error
    except smtplib.SMTPResponseException as error:
        raise _judged(error.smtp_code, error.smtp_error) from error
    except smtplib.SMTPNotSupportedError as error:
        raise RefusedError("NotifyRefused", f"{channel.host}: {error}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise RetryError("NotifyUnavailable", f"{channel.host}: {type(error).__name__}: {error}") from error


def _hand_over(
    connection: _Connection, channel: Smtp, content: bytes, *, password: str, answered: Callable[[], None]
) -> Taken:
    if channel.tls is Tls.STARTTLS:
        connection.starttls(context=ssl.create_default_context())
    if channel.user:
        connection.login(channel.user, password)
    refused: _Refusals = connection.sendmail(channel.sender, channel.to, content)
    answered()
    left = tuple(one for one in channel.to if one in refused and refused[one][0] < _FIRST_FINAL)
    return Taken(f"taken{_say_refused(refused)}{_say_goodbye(connection)}", left)


def _say_refused(refused: _Refusals) -> str:
    told = ", ".join(f"{receiver} ({code} {_text(said)})" for receiver, (code, said) in refused.items())
    return f", but not for {told}" if told else ""


def _say_goodbye(connection: _Connection) -> str:
    """Return what the server says to the end; nothing where it is gone, or takes its time: it has the mail."""
    try:
        if connection.sock is not None:
            connection.sock.settimeout(_GOODBYE_SECONDS)
        code, said = connection.docmd("QUIT")
    except (OSError, smtplib.SMTPException):
        return ""
    return f"; {code} {_text(said)}"


def _judged(code: int, said: bytes | str) -> RefusedError | RetryError:
    message = f"it answered {code} {_text(said)}"
    return RefusedError("NotifyRefused", message) if code >= _FIRST_FINAL else RetryError("NotifyUnavailable", message)


def _text(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return one_line(text)
