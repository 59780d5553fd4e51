"""Which addresses Git may fetch from: the forge's own web address and no other.

A clone URL comes from outside. It is checked here before it comes near the `git` binary, whose URL forms can run
programs (`ext::`, `ssh://-oProxyCommand=`) and read files (`file://`, a bare path, an option).
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from gitops.errors import RefusedError

_PATH = re.compile(r"(?:/[A-Za-z0-9_.~%+-]+)+/?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9a-fA-F:]*:[0-9a-fA-F:.]*")
_PORTS = {"https": 443, "http": 80}


def is_loopback(host: str) -> bool:
    """Return whether a host name or address, without brackets, is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def web_address(api_url: str) -> str:
    """Return the web address of the forge with this API: where its repositories are cloned from.

    `https://api.github.com` gives `https://github.com`; an Enterprise or embedded server keeps its host and port.
    """
    parts = _split(api_url)
    host = "github.com" if parts.hostname == "api.github.com" else parts.netloc
    return f"{parts.scheme}://{host}"


def check_clone_url(url: str, *, web: str) -> str:
    """Return the URL when Git may fetch from it.

    Args:
        url: as the forge or a person gave it.
        web: the forge's web address; the token goes nowhere else.

    Raises:
        RefusedError: `url_scheme` for anything but `https://`, or `http://` to loopback, at the forge's own address.
    """
    parts = _split(url)
    own = urlsplit(web)
    if (parts.scheme, parts.hostname, _port(parts)) != (own.scheme, own.hostname, _port(own)):
        raise RefusedError(
            "url_scheme", f"{_shown(url)} is not at {web}: only the forge's own repositories are fetched"
        )
    if not _PATH.fullmatch(parts.path) or ".." in parts.path.split("/") or parts.query or parts.fragment:
        raise RefusedError("url_scheme", f"{_shown(url)} is no repository's address: use {web}/OWNER/NAME.git")
    return url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = SplitResult("", "", "", "", ""), "", None
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not (plain and secure and _HOST.fullmatch(host)) or "@" in parts.netloc or port == 0:
        raise RefusedError("url_scheme", f"{_shown(url)} is not allowed: use https://, or http:// on this machine only")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _shown(url: str) -> str:
    """Show an address in a message: without what may be a password, in printable characters, in one short line."""
    return ascii(re.sub(r"//[^/@]*@", "//...@", url)[:120])
