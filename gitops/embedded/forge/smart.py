"""Clone and push over smart HTTP, by `git http-backend` on the bare repository.

A push is taken whole first and applied under the repository's lock, so that what it did is told as its pusher's.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from http import HTTPStatus
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gitops.embedded.forge.accounts import Account
from gitops.embedded.forge.api.call import bearer
from gitops.embedded.forge.errors import ForgeError
from gitops.embedded.forge.events import announce
from gitops.embedded.forge.git import git_environment
from gitops.embedded.forge.records import Repository
from gitops.embedded.forge.state import Forge

PUSH_LIMIT = 1024 * 1024 * 1024
_FETCH_LIMIT = 16 * 1024 * 1024
_TIMEOUT = 600
_CHUNK = 64 * 1024
_SERVICES = ("git-upload-pack", "git-receive-pack")
_PROTOCOL = re.compile(r"version=[012]")


async def serve_git(forge: Forge, request: Request) -> Response:
    """Answer one request of a git client."""
    account = forge.accounts.by_token(bearer(request.headers.get("Authorization", "")))
    if account is None:
        headers = {"WWW-Authenticate": 'Basic realm="Launchpin forge", charset="UTF-8"'}
        return Response("Authentication failed: use a token as the password.\n", HTTPStatus.UNAUTHORIZED, headers)
    try:
        return await _serve(forge, request, account)
    except ForgeError as error:
        return Response(f"{error.message}\n", error.status, media_type="text/plain")


async def _serve(forge: Forge, request: Request, account: Account) -> Response:
    repo = await run_in_threadpool(forge.repository, request.path_params["owner"], request.path_params["repo"])
    service = find_service(request)
    environment = _environment(forge, repo, account, request)
    if request.method == "GET":
        return await run_in_threadpool(_fetch, environment, None)
    limit = PUSH_LIMIT if service == "git-receive-pack" else _FETCH_LIMIT
    body = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever runs the process
    try:
        size = await _receive(request, body, limit)
        environment["CONTENT_LENGTH"] = str(size)
        if service == "git-receive-pack":
            return await run_in_threadpool(_push, forge, repo, account, environment=environment, body=body)
        return await run_in_threadpool(_fetch, environment, body)
    finally:
        body.close()


def find_service(request: Request) -> str:
    """Return the service a request asks for.

    Raises:
        ForgeError: 404 for anything but the three requests of the smart protocol.
    """
    rest, method = request.path_params["rest"], request.method
    asked = request.query_params.get("service", "")
    if method == "GET" and rest == "info/refs" and asked in _SERVICES:
        return asked
    if method == "POST" and rest in _SERVICES:
        return str(rest)
    raise ForgeError(HTTPStatus.NOT_FOUND, "Only the smart HTTP protocol of git is served here.")


async def _receive(request: Request, body: IO[bytes], limit: int) -> int:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise ForgeError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A push is limited to {limit} bytes.")
        body.write(part)
    body.seek(0)
    return size


def _environment(forge: Forge, repo: Repository, account: Account, request: Request) -> dict[str, str]:
    """Return the CGI variables; the repository is named by its number, whatever the URL held."""
    environment = git_environment() | {
        "GIT_PROJECT_ROOT": str(forge.folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repo.id}.git/{request.path_params['rest']}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": f"service={request.query_params['service']}" if request.method == "GET" else "",
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "REMOTE_USER": account.login,
        "REMOTE_ADDR": "127.0.0.1",
        "GIT_COMMITTER_NAME": account.login,
        "GIT_COMMITTER_EMAIL": account.email,
    }
    if request.headers.get("Content-Encoding") in {"gzip", "x-gzip"}:
        environment["HTTP_CONTENT_ENCODING"] = "gzip"
    if _PROTOCOL.fullmatch(protocol := request.headers.get("Git-Protocol", "")):
        environment["GIT_PROTOCOL"] = protocol
    return environment


def _push(
    forge: Forge, repo: Repository, account: Account, *, environment: dict[str, str], body: IO[bytes]
) -> Response:
    with forge.lock(repo), tempfile.TemporaryFile() as output:
        try:
            subprocess.run(
                ("git", "http-backend"),  # noqa: S607 - git is found on our own PATH
                env=environment,
                stdin=body,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=_TIMEOUT,
                check=False,
            )
        finally:
            announce(forge, forge.repository_by_id(repo.id), account)
        output.seek(0)
        status, headers = _read_headers(output)
        return Response(output.read(), status, headers)


def _fetch(environment: dict[str, str], body: IO[bytes] | None) -> Response:
    process = subprocess.Popen(
        ("git", "http-backend"),  # noqa: S607 - git is found on our own PATH
        env=environment,
        stdin=body or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    if process.stdout is None:
        raise ForgeError(HTTPStatus.INTERNAL_SERVER_ERROR, "git did not start")
    try:
        status, headers = _read_headers(process.stdout)
    except BaseException:
        _end(process)
        raise
    return GitResponse(process, status, headers)


class GitResponse(StreamingResponse):
    """Streams what git says, and ends git however the response ends: also when the client has gone."""

    def __init__(self, process: subprocess.Popen[bytes], status: int, headers: dict[str, str]) -> None:
        super().__init__(_stream(process), status, headers)
        self._process = process

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            _end(self._process)


def _stream(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    output = process.stdout
    while output is not None and (chunk := output.read(_CHUNK)):
        yield chunk


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git, which closes the pipe for a thread that may still read it, and give everything back."""
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _read_headers(output: IO[bytes]) -> tuple[int, dict[str, str]]:
    """Read the CGI headers, up to the empty line."""
    status, headers = int(HTTPStatus.OK), {}
    while line := output.readline(_CHUNK).strip():
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value.strip()
    if not headers:
        return HTTPStatus.INTERNAL_SERVER_ERROR, {}
    return status, headers
