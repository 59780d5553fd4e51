"""notify.yaml: what is read, and what is refused, with its place and the way out."""

import ipaddress
from pathlib import PurePosixPath

import pytest

from gitops.config.channels import Mention, Rule, Slack, Smtp, Tls, Webhook
from gitops.config.notify import parse_notify
from gitops.errors import InputError
from gitops.notices import News

FOLDER = PurePosixPath("/etc/launchpin")
WEBHOOK = "webhook: {url: 'https://events.example.com/x', secret_file: s}"
SMTP = "host: mail.example.com, from: a@example.com, to: [b@example.com]"


def parse(text: str) -> object:
    return parse_notify(text.encode(), file="notify.yaml", folder=FOLDER)


def test_file_is_read_whole() -> None:
    read = parse_notify(
        b"""version: 1
allow: {networks: [10.1.0.0/16], http: true}
channels:
  oncall: {slack: {url_file: slack.url, mention: here}}
  events: {webhook: {url: "http://10.1.2.3:8080/x?y=z", secret_file: /run/secrets/events}}
  team: {smtp: {host: mail.example.com, from: a@example.com, to: [b@example.com], tls: implicit}}
rules:
  - {environments: [prod*], models: ["*"], outcomes: [Deployed, wake], to: [oncall, oncall]}
  - {to: [team]}
""",
        file="notify.yaml",
        folder=FOLDER,
    )
    assert read.channels == {
        "oncall": Slack(FOLDER / "slack.url", Mention.HERE),
        "events": Webhook("http://10.1.2.3:8080/x?y=z", PurePosixPath("/run/secrets/events")),
        "team": Smtp("mail.example.com", 465, "a@example.com", ("b@example.com",), tls=Tls.IMPLICIT),
    }
    assert read.rules == (
        Rule(("prod*",), ("*",), ("Deployed", "wake"), ("oncall",)),
        Rule(to=("team",)),
    )
    assert read.allowed.networks == (ipaddress.ip_network("10.1.0.0/16"),)


def test_without_rules_every_channel_gets_what_wakes() -> None:
    read = parse_notify(
        f"version: 1\nchannels: {{a: {{slack: {{url_file: x}}}}, b: {{{WEBHOOK}}}}}\n".encode(), file="f", folder=FOLDER
    )
    assert read.rules == (Rule(outcomes=("wake",), to=("a", "b")),)


@pytest.mark.parametrize("news", News, ids=str)
def test_every_outcome_may_stand_in_a_rule(news: News) -> None:
    parse(f"version: 1\nchannels: {{a: {{{WEBHOOK}}}}}\nrules: [{{outcomes: [{news}], to: [a]}}]\n")


@pytest.mark.parametrize("port", ["25", "0x19", "025"])
def test_port_is_a_number_however_it_is_written(port: str) -> None:
    read = parse_notify(
        f"version: 1\nchannels: {{m: {{smtp: {{{SMTP}, port: {port}}}}}}}\n".encode(), file="f", folder=FOLDER
    )
    channel = read.channels["m"]
    assert isinstance(channel, Smtp)
    assert channel.port == 25


WRONG = {
    "no channel": ("channels: {}", "limit_exceeded", "channels"),
    "two kinds in one": (f"channels: {{a: {{slack: {{url_file: x}}, {WEBHOOK}}}}}", "limit_exceeded", "channels.a"),
    "a secret in the file": (
        "channels: {a: {webhook: {url: 'https://e.example', secret: x, secret_file: s}}}",
        "unknown_key",
        "channels.a.webhook.secret",
    ),
    "an address without TLS": (
        "channels: {a: {webhook: {url: 'http://e.example', secret_file: s}}}",
        "url_scheme",
        "channels.a.webhook.url",
    ),
    "a password in an address": (
        "channels: {a: {webhook: {url: 'https://u:p@e.example', secret_file: s}}}",
        "address_invalid",
        "channels.a.webhook.url",
    ),
    "an address inside": (
        "channels: {a: {webhook: {url: 'https://10.0.0.1/', secret_file: s}}}",
        "address_refused",
        "channels.a.webhook.url",
    ),
    "a mail server inside": (
        "channels: {a: {smtp: {host: 127.0.0.1, from: a@e.example, to: [b@e.example]}}}",
        "address_refused",
        "channels.a.smtp.host",
    ),
    "a name that is two lines": (
        'channels: {a: {smtp: {host: mail.example.com, from: "a@e.example\\nBcc: x@e.example", to: [b@e.example]}}}',
        "address_invalid",
        "channels.a.smtp.from",
    ),
    "a user without a password": (
        f"channels: {{a: {{smtp: {{{SMTP}, user: u}}}}}}",
        "value_invalid",
        "channels.a.smtp",
    ),
    "mail in the clear": (f"channels: {{a: {{smtp: {{{SMTP}, tls: none}}}}}}", "value_invalid", "channels.a.smtp.tls"),
    "a password in the clear": (
        f"allow: {{http: true}}\nchannels: {{a: {{smtp: {{{SMTP}, tls: none, user: u, password_file: p}}}}}}",
        "value_invalid",
        "channels.a.smtp.tls",
    ),
    "a channel that is not there": (
        f"channels: {{oncall: {{{WEBHOOK}}}}}\nrules: [{{to: [oncal]}}]",
        "channel_unknown",
        "rules[0].to[0]",
    ),
    "an outcome that is none": (
        f"channels: {{a: {{{WEBHOOK}}}}}\nrules: [{{outcomes: [Deployd], to: [a]}}]",
        "value_unknown",
        "rules[0].outcomes[0]",
    ),
    "a network that is none": (
        f"allow: {{networks: [10.1/16]}}\nchannels: {{a: {{{WEBHOOK}}}}}",
        "address_invalid",
        "allow.networks[0]",
    ),
    "a channel's name": (f"channels: {{On Call: {{{WEBHOOK}}}}}", "name_invalid", "channels.On Call"),
}


@pytest.mark.parametrize(("text", "reason", "field"), WRONG.values(), ids=WRONG.keys())
def test_mistake_is_refused_with_its_place(text: str, reason: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(f"version: 1\n{text}\n")
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.line >= 1
    assert str(caught.value).startswith("notify.yaml:")
