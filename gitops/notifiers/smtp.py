"""Mail to a server that a person named, over a connection to a checked address. Its names and answers are bounded."""

import contextlib
import smtplib
import socket
import ssl

from gitops.config.addresses import Allowed
from gitops.config.channels import Smtp, Tls
from gitops.errors import RefusedError, RetryError
from gitops.notifiers.guard import WHOLE_SECONDS, Resolve, connect, ending, one_line, resolve
from gitops.telemetry.requests import sending

_OURSELVES = "launchpin"  # in EHLO; the host's full name would be looked up
_FIRST_FINAL = 500


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


def send_mail(channel: Smtp, content: bytes, *, password: str, allowed: Allowed, resolve: Resolve = resolve) -> str:
    """Hand a mail to the server and return what it answered.

    Raises:
        RefusedError: `NotifyBlocked`, or `NotifyRefused` for what the server will not take later either.
        RetryError: `NotifyUnavailable`.
    """
    try:
        with sending("notify", "MAIL", "/"):
            line = connect(channel.host, channel.port, allowed=allowed, resolve=resolve)
            with line, ending(line):
                line.settimeout(WHOLE_SECONDS)
                with contextlib.closing(_Connection(line, channel)) as connection:
                    return _hand_over(connection, channel, content, password=password)
    except smtplib.SMTPRecipientsRefused as error:
        raise _judged(*next(iter(error.recipients.values()))) from error
    except smtplib.SMTPResponseException as error:
        raise _judged(error.smtp_code, error.smtp_error) from error
    except smtplib.SMTPNotSupportedError as error:
        raise RefusedError("NotifyRefused", f"{channel.host}: {error}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise RetryError("NotifyUnavailable", f"{channel.host}: {type(error).__name__}: {error}") from error


def _hand_over(connection: _Connection, channel: Smtp, content: bytes, *, password: str) -> str:
    if channel.tls is Tls.STARTTLS:
        connection.starttls(context=ssl.create_default_context())
    if channel.user:
        connection.login(channel.user, password)
    refused = connection.sendmail(channel.sender, channel.to, content)
    code, said = connection.docmd("QUIT")
    left = f", but not {', '.join(refused)}" if refused else ""
    return f"taken{left}; {code} {_text(said)}"


def _judged(code: int, said: bytes | str) -> RefusedError | RetryError:
    message = f"it answered {code} {_text(said)}"
    return RefusedError("NotifyRefused", message) if code >= _FIRST_FINAL else RetryError("NotifyUnavailable", message)


def _text(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return one_line(text)
