"""Attack 69: an address for messages that leads inside. Refused where it is written, or blocked where it is called."""

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitops.config.addresses import Allowed, IpAddress, is_reachable, split_url
from gitops.config.names import BadNameError
from gitops.errors import InputError, LaunchpinError, RefusedError
from gitops.notifiers import FileNotifier
from gitops.ports import Packet
from tests.support.receivers import SECRET, reply, web_receiver, write_notify, write_secret

PACKET = Packet("n-1", b"{}", "application/json", datetime(2026, 1, 31, tzinfo=UTC))
PUBLIC = ipaddress.ip_address("93.184.216.34")
INSIDE = (
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 - an address that is refused
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",  # Alibaba's metadata
    "169.254.169.254",
    "168.63.129.16",  # Azure's own server
    "192.0.0.192",  # Oracle's metadata
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",  # EC2's metadata
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
)


@pytest.mark.parametrize("text", INSIDE)
def test_attack_69_address_inside_is_never_called(text: str) -> None:
    assert not is_reachable(ipaddress.ip_address(text), Allowed())


@pytest.mark.parametrize("text", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::808:808"])
def test_public_address_is_called(text: str) -> None:
    assert is_reachable(ipaddress.ip_address(text), Allowed())


def test_network_that_the_operator_names_is_called_and_no_other() -> None:
    allowed = Allowed((ipaddress.ip_network("10.1.0.0/16"),))
    assert is_reachable(ipaddress.ip_address("10.1.2.3"), allowed)
    assert is_reachable(ipaddress.ip_address("::ffff:10.1.2.3"), allowed)
    assert not is_reachable(ipaddress.ip_address("10.2.0.1"), allowed)
    assert not is_reachable(ipaddress.ip_address("127.0.0.1"), allowed)


@pytest.mark.parametrize(
    "url",
    [
        *(f"https://[{text}]/" if ":" in text else f"https://{text}/" for text in INSIDE),
        "https://0x7f.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://127.0.0.1.:8443/",
        "https://a@b/",
        "https://events.example.com@127.0.0.1/",
        "https://events.example.com:0/",
        "https://events.example.com\\@127.0.0.1/",
        "https://[::1%25lo]/",
        "https://exa mple.com/",
        "https://ex\u0430mple.com/",
        "https://events.example.com/\r\nx: y",
        "http://events.example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//127.0.0.1/",
        "https:///x",
        "",
    ],
)
def test_attack_69_address_that_leads_inside_or_astray_is_refused_where_it_is_written(url: str) -> None:
    with pytest.raises(BadNameError):
        split_url(url, Allowed())


@dataclass
class Inside:
    """A server that must not be called, and how often it was."""

    port: int = 0
    calls: int = 0
    names: list[str] = field(default_factory=list)


@pytest.fixture
def inside() -> Iterator[Inside]:
    """Run a server on loopback that counts its callers."""
    found = Inside()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found.port = listening.getsockname()[1]

        def count() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = listening.accept()
                    found.calls += 1
                    caller.close()

        thread = threading.Thread(target=count, daemon=True)
        thread.start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def names(*answers: str) -> Callable[[str, int], list[IpAddress]]:
    """Return a resolver that gives another answer each time it is asked."""
    left = [[ipaddress.ip_address(part) for part in answer.split()] for answer in answers]
    return lambda _host, _port: left.pop(0) if len(left) > 1 else left[0]


def send(folder: Path, url: str, resolve: Callable[[str, int], list[IpAddress]], *, allow: str = "http: true") -> str:
    write_secret(folder, "s", SECRET)
    file = write_notify(folder, f"a: {{webhook: {{url: '{url}', secret_file: s}}}}", allow=allow)
    notifier = FileNotifier(file, resolve=resolve)
    read = notifier.file()
    return notifier.send(read.channels["a"], PACKET, file=read).said


@pytest.mark.parametrize(
    "answer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "93.184.216.34 127.0.0.1"]
)
def test_attack_69_name_that_means_an_address_inside_is_blocked_at_the_connection(
    tmp_path: Path, inside: Inside, answer: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        send(tmp_path, f"http://events.example.com:{inside.port}/", names(answer))
    assert caught.value.reason == "NotifyBlocked"
    assert inside.calls == 0


def test_attack_69_name_that_changes_its_address_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[str] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        del timeout
        connected.append(address[0])
        raise OSError("not in this test")

    monkeypatch.setattr(socket, "create_connection", connect)
    asked: list[str] = []

    def resolve(host: str, _: int) -> list[IpAddress]:
        asked.append(host)
        return [PUBLIC if len(asked) == 1 else ipaddress.ip_address("127.0.0.1")]

    with pytest.raises(LaunchpinError):
        send(tmp_path, "https://events.example.com/", resolve)
    # What was judged is what is called: the name is never asked again.
    assert (asked, connected) == (["events.example.com"], [str(PUBLIC)])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_attack_69_redirect_is_never_followed(tmp_path: Path, inside: Inside, status: int) -> None:
    with web_receiver() as receiver:
        receiver.answers = [reply(status, location=f"http://127.0.0.1:{inside.port}/")]
        with pytest.raises(RefusedError, match="a redirect"):
            send(tmp_path, receiver.url, names("127.0.0.1"), allow="networks: [127.0.0.0/8], http: true")
        assert len(receiver.posts) == 1
    assert inside.calls == 0


def test_attack_69_proxy_of_the_environment_is_not_asked(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{inside.port}")
    with web_receiver() as receiver:
        assert send(tmp_path, receiver.url, names("127.0.0.1"), allow="networks: [127.0.0.0/8], http: true") == "200 ok"
    assert inside.calls == 0


def test_attack_69_mail_server_inside_is_blocked_at_the_connection(tmp_path: Path, inside: Inside) -> None:
    smtp = f"host: mail.example.com, port: {inside.port}, from: a@example.com, to: [b@example.com]"
    notifier = FileNotifier(
        write_notify(tmp_path, f"a: {{smtp: {{{smtp}}}}}", allow="http: false"), resolve=names("10.0.0.1")
    )
    read = notifier.file()
    with pytest.raises(RefusedError, match=r"10\.0\.0\.1"):
        notifier.send(read.channels["a"], PACKET, file=read)
    assert inside.calls == 0


def test_attack_69_address_in_a_secret_file_is_judged_like_any_other(tmp_path: Path, inside: Inside) -> None:
    write_secret(tmp_path, "slack.url", f"https://127.0.0.1:{inside.port}/services/T0/B0/secret")
    notifier = FileNotifier(write_notify(tmp_path, "a: {slack: {url_file: slack.url}}", allow="http: true"))
    read = notifier.file()
    with pytest.raises(InputError) as caught:
        notifier.send(read.channels["a"], PACKET, file=read)
    assert caught.value.reason == "address_refused"
    assert "services" not in str(caught.value)
    assert inside.calls == 0


def test_certificate_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    with web_receiver() as receiver:  # it speaks no TLS at all
        url = receiver.url.replace("http:", "https:")
        with pytest.raises(LaunchpinError, match="SSL"):
            send(tmp_path, url, names("127.0.0.1"), allow="networks: [127.0.0.0/8]")
        assert receiver.posts == []
