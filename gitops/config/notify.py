"""notify.yaml: where messages go, and who is told of what. Pure."""

from collections.abc import Mapping
from pathlib import PurePath

from gitops.config.addresses import Allowed, check_host, parse_network, split_url
from gitops.config.channels import WAKE, Channel, Mention, NotifyFile, Rule, Slack, Smtp, Tls, Webhook
from gitops.config.names import BadNameError
from gitops.config.schema import SchemaKind, validate
from gitops.config.section import Section
from gitops.config.text import did_you_mean, show
from gitops.config.yaml import load
from gitops.errors import InputError

_SUBMISSION, _SUBMISSION_OVER_TLS = 587, 465  # RFC 6409, RFC 8314


def parse_notify(text: bytes, *, file: str, folder: PurePath) -> NotifyFile:
    """Read a notify.yaml.

    Args:
        text: the file's bytes.
        file: its name, for messages.
        folder: where it stands; files that it names are relative to it.

    Raises:
        InputError: with file, field, line, column and what to do, whatever is wrong.
    """
    document = load(text, file=file)
    validate(document, SchemaKind.NOTIFY)
    root = Section(document)
    allow = root.at("allow")
    networks = tuple(parse_network(network) for network in allow.at("networks").texts())
    allowed = Allowed(networks, is_http=allow.at("http").flag())
    channels = root.at("channels")
    read = {name: _read_channel(channels.at(name), allowed, folder) for name in channels.names()}
    rules = tuple(_read_rule(rule, read) for rule in root.at("rules").items())
    return NotifyFile(read, rules if root.at("rules") else (Rule(to=tuple(read)),), allowed)


def _read_channel(section: Section, allowed: Allowed, folder: PurePath) -> Channel:
    kind = section.names()[0]
    inner = section.at(kind)
    match kind:
        case "slack":
            mention = Mention(inner.at("mention").text(Mention.CHANNEL.value))
            return Slack(folder / inner.at("url_file").text(), mention)
        case "webhook":
            url = inner.at("url")
            try:
                split_url(url.text(), allowed)
            except BadNameError as error:
                raise _refused(url, error) from None
            return Webhook(url.text(), folder / inner.at("secret_file").text())
        case _:
            return _read_smtp(inner, allowed, folder)


def _read_smtp(smtp: Section, allowed: Allowed, folder: PurePath) -> Smtp:
    tls, user, password = Tls(smtp.at("tls").text(Tls.STARTTLS.value)), smtp.at("user"), smtp.at("password_file")
    if bool(user) != bool(password):
        raise smtp.error("value_invalid", "`user` and `password_file` go together; write both, or none")
    if tls is Tls.NONE and (not allowed.is_http or user):
        message = "mail without TLS needs `allow.http: true`, and sends no password; write `tls: starttls`"
        raise smtp.at("tls").error("value_invalid", message)
    try:
        check_host(smtp.at("host").text(), allowed)
    except BadNameError as error:
        raise _refused(smtp.at("host"), error) from None
    usual = _SUBMISSION_OVER_TLS if tls is Tls.IMPLICIT else _SUBMISSION
    return Smtp(
        host=smtp.at("host").text(),
        port=smtp.at("port").whole(usual),
        sender=smtp.at("from").text(),
        to=smtp.at("to").texts(),
        user=user.text(),
        password_file=folder / password.text() if password else None,
        tls=tls,
    )


def _refused(section: Section, error: BadNameError) -> InputError:
    return section.error(error.reason, f"{show(section.text())} is refused: {error}")


def _read_rule(rule: Section, channels: Mapping[str, Channel]) -> Rule:
    for to in rule.at("to").items():
        if to.text() not in channels:
            near = did_you_mean(to.text(), channels) or f"; known: {', '.join(channels)}"
            raise to.error("channel_unknown", f"there is no channel {show(to.text())}{near}")
    return Rule(
        environments=rule.at("environments").texts(),
        models=rule.at("models").texts(),
        outcomes=rule.at("outcomes").texts((WAKE,)),
        to=tuple(dict.fromkeys(rule.at("to").texts())),
    )
