"""The connection under PyGithub's requester: for many threads at once, and bounded in what it reads and how long.

PyGithub's own keeps the request it is about to send on the object that all threads share, so that two threads may send
one request twice and the other not at all. It also reads answers of any size, and follows redirects and 202 for ever.
"""

import threading
from collections.abc import Callable, ItemsView
from functools import partial
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast

import requests
from github.Requester import Requester
from requests.adapters import HTTPAdapter

from gitops.errors import RetryError
from gitops.patience import EndlessReplyError, read_bounded
from gitops.telemetry.requests import note_status, sending
from gitops.telemetry.tracing import outgoing

_PORTS = {"https": 443, "http": 80}
_POOL = 32
_MOVES = 5
_LARGEST = 48 << 20  # bytes: a file of 25 MiB in base64, and what is around it
_injecting = threading.Lock()


class Answer:
    """An answer that was read, in the form that PyGithub asks for."""

    def __init__(self, status: int, headers: dict[str, str], text: str) -> None:
        self.status = status
        self._headers = headers
        self._text = text

    def getheaders(self) -> ItemsView[str, str]:
        """Return the headers."""
        return self._headers.items()

    def read(self) -> str:
        """Return the body."""
        return self._text


class Connection:
    """What PyGithub sends by.

    Args:
        host: the server's name.
        port: as the URL has it.
        scheme: `https` or `http`.
        silence: seconds to connect, and between two pieces of an answer.
        seconds: for a whole answer's body.
    """

    def __init__(
        self, host: str, port: int | None = None, *, scheme: str, silence: float, seconds: float, **_: object
    ) -> None:
        self.host = host
        named = f"[{host}]" if ":" in host else host
        self._base = f"{scheme}://{named}:{port or _PORTS[scheme]}"
        self._silence = silence
        self._seconds = seconds
        self._mine = threading.local()
        self._session = requests.Session()
        self._session.auth = lambda request: request  # or else a .netrc of this account is read
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.mount(f"{scheme}://", HTTPAdapter(max_retries=0, pool_connections=1, pool_maxsize=_POOL))

    def request(
        self,
        verb: str,
        url: str,
        body: str | None,
        headers: dict[str, str],
        stream: bool = False,  # noqa: FBT001, FBT002 - PyGithub's call
    ) -> None:
        """Remember what this thread asks next."""
        del stream
        self._mine.asked = (verb, url, body, headers)

    def getresponse(self) -> Answer:
        """Ask, and return the whole answer.

        Raises:
            RetryError: `ForgeBadReply` for an answer without end, or redirects without end; `ForgeUnavailable` for 202.
            requests.RequestException: as `requests` does.
        """
        verb, url, body, headers = self._mine.asked
        with sending("forge", verb, url) as told:
            with self._session.request(
                verb,
                f"{self._base}{url}",
                data=body,
                headers={**headers, **outgoing()},
                timeout=self._silence,
                allow_redirects=False,
                stream=True,
            ) as answer:
                text = self._read(answer)
            note_status(told, answer.status_code)
        self._check_moves(answer.status_code)
        if answer.status_code == HTTPStatus.ACCEPTED and verb == "GET":
            raise RetryError("ForgeUnavailable", "the forge is not done with the answer yet")
        return Answer(answer.status_code, dict(answer.headers), text)

    def close(self) -> None:
        """Close what is kept open."""
        self._session.close()

    def _read(self, answer: requests.Response) -> str:
        read = partial(answer.raw.read1, decode_content=True)
        try:
            return read_bounded(read, limit=_LARGEST, seconds=self._seconds).decode("utf-8", "replace")
        except EndlessReplyError as error:
            raise RetryError("ForgeBadReply", f"the forge gave {error}") from error

    def _check_moves(self, status: int) -> None:
        """Count the redirects that PyGithub follows one after the other, all of them in this thread."""
        moves = getattr(self._mine, "moves", 0) + 1 if status == HTTPStatus.MOVED_PERMANENTLY else 0
        self._mine.moves = moves % (_MOVES + 1)
        if moves > _MOVES:
            raise RetryError("ForgeBadReply", f"the forge redirects more than {_MOVES} times")


def with_connections(make: Callable[[], Any], *, scheme: str, silence: float, seconds: float) -> Any:  # noqa: ANN401 - PyGithub's client
    """Return what `make` makes, a PyGithub client which sends by connections of ours from then on.

    PyGithub takes connection classes for the whole process, and reads them when a client is made.
    """
    ours = cast("Any", partial(Connection, scheme=scheme, silence=silence, seconds=seconds))
    with _injecting:
        Requester.injectConnectionClasses(ours, ours)
        try:
            return make()
        finally:
            Requester.resetConnectionClasses()
