"""Channels as notify.yaml has them at this moment: the file and the secrets that it names are read for each message."""

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from gitops.config.addresses import split_url
from gitops.config.channels import Channel, NotifyFile, Slack, Smtp, Webhook
from gitops.config.names import BadNameError
from gitops.errors import InputError
from gitops.notifiers.guard import Resolve, resolve
from gitops.notifiers.http import post
from gitops.notifiers.signing import sign
from gitops.notifiers.smtp import send_mail
from gitops.ports import Packet, Taken
from gitops.private_files import read_secret

_LARGEST = 256 * 1024 + 1  # one byte more than the reader accepts, so that it says so itself


def _forget(_: str) -> None:
    """Learn nothing."""


class FileNotifier:
    """Implements `gitops.ports.Notifier`. Thread-safe.

    Args:
        path: the notify.yaml.
        learn: told each secret that was read, so that no log shows it.
        resolve: asked for the addresses of each host.
    """

    def __init__(self, path: Path, *, learn: Callable[[str], None] = _forget, resolve: Resolve = resolve) -> None:
        self._path = path
        self._learn = learn
        self._resolve = resolve

    def file(self) -> NotifyFile:
        """Return what the operator wrote.

        Raises:
            InputError: `file_unreadable`, or what is wrong in it.
        """
        from gitops.config.notify import parse_notify  # noqa: PLC0415 - a reader of YAML, for who sends a message

        try:
            with self._path.open("rb") as opened:
                text = opened.read(_LARGEST)
        except OSError as error:
            raise InputError("file_unreadable", f"it cannot be read: {error.strerror}", file=self._path.name) from error
        return parse_notify(text, file=self._path.name, folder=self._path.absolute().parent)

    def send(self, channel: Channel, packet: Packet, *, file: NotifyFile) -> Taken:
        """Send a packet, and return what the other side answered."""
        match channel:
            case Slack():
                return self._post(self._secret(channel.url_file, "url_file"), packet, file, secret="", field="url_file")
            case Webhook():
                secret = self._secret(channel.secret_file, "secret_file")
                return self._post(channel.url, packet, file, secret=secret, field="url")
            case Smtp():
                password = self._secret(channel.password_file, "password_file") if channel.password_file else ""
                return send_mail(
                    channel, packet.content, password=password, allowed=file.allowed, resolve=self._resolve
                )
            case _:
                assert_never(channel)

    def _post(self, url: str, packet: Packet, file: NotifyFile, *, secret: str, field: str) -> Taken:
        try:
            parts = split_url(url, file.allowed)
        except BadNameError as error:
            raise InputError(error.reason, str(error), field=field) from None
        headers = {"content-type": packet.content_type}
        if secret:
            headers |= sign(secret, id=packet.id, moment=packet.moment, body=packet.content)
        return Taken(post(parts, packet.content, headers=headers, allowed=file.allowed, resolve=self._resolve))

    def _secret(self, path: object, field: str) -> str:
        text = read_secret(Path(str(path)), name=field)
        for line in text.splitlines():
            self._learn(line.strip())
        return text
