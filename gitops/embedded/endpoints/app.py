"""The endpoint host as an ASGI app: routes in, rooms wired, life from the first adoption to the last ended scorer."""

import gitops.telemetry.lean_httpx  # noqa: F401 - first: what it loads is not loaded again

# isort: split
import asyncio
import contextlib
import math
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gitops.embedded.endpoints.fleet import Fleet
from gitops.embedded.endpoints.guards import Guards, known_hosts
from gitops.embedded.endpoints.limits import Limits
from gitops.embedded.endpoints.proxy import BodyTooLargeError, Exchange, Proxy, read_exchange, to_response
from gitops.embedded.endpoints.state import Memory, Prepared
from gitops.embedded.endpoints.traffic import Traffic
from gitops.embedded.endpoints.wire import (
    CONFIGURATION,
    Apply,
    Restore,
    Retire,
    endpoint_response,
    endpoints_response,
    kept_response,
    problem,
    problem_of,
    state_response,
)
from gitops.errors import InputError, LaunchpinError, RefusedError, RetryError
from gitops.serving import STOPPED, ConfigurationState

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")
_TIDY = 60.0

B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True)
class Options:
    """What the command line said.

    Args:
        home: the host's folder, absolute.
        host: the address that it listens on; scorers stay on loopback whatever it is.
        public_url: the base of the URLs that are shown to people.
    """

    home: Path
    port: int
    token: str
    public_url: str
    limits: Limits
    host: str = "127.0.0.1"


class EndpointHost:
    """The rooms of one host, and a method for each route."""

    def __init__(self, options: Options) -> None:
        self._limits = options.limits
        self._memory = Memory(options.home / "state.json")
        # Our connections are closed by us, long before a scorer would.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=5.0)
        # Scorers are asked in plain HTTP on this machine; to read all the world's authorities would cost 2 MB.
        self._client = httpx.AsyncClient(limits=limits, trust_env=False, verify=SSLContext(PROTOCOL_TLS_CLIENT))
        self._client.headers.clear()
        self._fleet = Fleet(self._memory, options.home, client=self._client, limits=options.limits)
        self._traffic = Traffic(self._memory, self._fleet, limits=options.limits, public_url=options.public_url)
        self._proxy = Proxy(self._fleet, self._traffic, client=self._client, limits=options.limits)

    @contextlib.asynccontextmanager
    async def life(self, _app: Starlette) -> AsyncIterator[None]:
        """Adopt what lives before the first request; at the end leave no process behind."""
        self._fleet.adopt(self._traffic)
        self._traffic.resume()
        tasks = [asyncio.create_task(self._fleet.begin()), asyncio.create_task(self._tidy())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._fleet.close()
            await self._client.aclose()

    def routes(self) -> list[Route]:
        """Return every route."""
        configuration, endpoint = "/api/v1/configurations/{name}", "/api/v1/endpoints/{name}"
        return [
            Route("/healthz", _show_health),
            Route("/api/v1/host", self.show_host),
            Route("/api/v1/configurations", self.list_configurations),
            Route(configuration, self.prepare, methods=["PUT"]),
            Route(configuration, self.show_configuration, methods=["GET"]),
            Route(configuration, self.delete_configuration, methods=["DELETE"]),
            Route(f"{configuration}/invocations", self.invoke, methods=["POST"]),
            Route("/api/v1/endpoints", self.list_endpoints),
            Route(endpoint, self.apply, methods=["PUT"]),
            Route(endpoint, self.describe, methods=["GET"]),
            Route(f"{endpoint}/restore", self.restore, methods=["POST"]),
            Route(f"{endpoint}/retire", self.retire, methods=["POST"]),
            Route("/endpoints/{name}", self.show_endpoint),
            Route("/endpoints/{name}/invocations", self.predict, methods=["POST"]),
            Route("/endpoints/{name}/ping", self.ping),
        ]

    # ------------------------------------------------------------ management

    async def show_host(self, _request: Request) -> Response:
        """Name this host."""
        return JSONResponse({"id": self._memory.state.host})

    async def prepare(self, request: Request) -> Response:
        """Start a configuration without traffic."""
        configuration = CONFIGURATION.validate_json(await self._body(request))
        if configuration.name != _name_in(request):
            raise InputError("invalid_request", "the name in the path and in the body differ", field="name")
        for place in (configuration.model_dir, configuration.python):
            if not place.is_absolute():
                raise InputError("invalid_request", f"{place} is not absolute")
        _checked_name(configuration.endpoint)
        row = await self._fleet.prepare(configuration)
        self._insist_on_saved()
        return state_response(_to_state(row))

    async def show_configuration(self, request: Request) -> Response:
        """Say how far a configuration is."""
        return state_response(_to_state(self._fleet.row(_name_in(request))))

    async def list_configurations(self, _request: Request) -> Response:
        """List the configurations, as they may go one day."""
        return kept_response(list(self._traffic.kept()))

    async def delete_configuration(self, request: Request) -> Response:
        """Remove a configuration that is not in use; `?idle=SECONDS` leaves one alone that was in use since."""
        await self._traffic.delete(_name_in(request), idle=_seconds_in(request, "idle", "0"))
        self._insist_on_saved()
        return Response(status_code=204)

    async def invoke(self, request: Request) -> Response:
        """Send one request to a configuration, past its endpoint; `?timeout=SECONDS`."""
        timeout = min(_seconds_in(request, "timeout", "60"), 600.0)
        if not timeout > 0:
            raise InputError("invalid_request", "timeout is not above 0", field="timeout")
        read = await read_exchange(request, "/invocations", limit=self._limits.body)
        exchange = Exchange("POST", "/invocations", read.headers, read.body)
        return to_response(await self._proxy.ask(_name_in(request), exchange, timeout=timeout))

    async def list_endpoints(self, _request: Request) -> Response:
        """List the endpoints."""
        return endpoints_response(list(self._traffic.endpoints()))

    async def apply(self, request: Request) -> Response:
        """Make an endpoint, or move it to another configuration."""
        name, wish = _name_in(request), _parse(Apply, await self._body(request))
        endpoint = self._traffic.apply(name, wish.configuration, bake=wish.bake_seconds)
        self._insist_on_saved()
        return endpoint_response(endpoint)

    async def describe(self, request: Request) -> Response:
        """Say how an endpoint stands."""
        return endpoint_response(self._traffic.view(self._traffic.find(_name_in(request))))

    async def restore(self, request: Request) -> Response:
        """Give the traffic back."""
        name, wish = _name_in(request), _parse(Restore, await self._body(request))
        endpoint = self._traffic.restore(name, wish.configuration)
        self._insist_on_saved()
        return endpoint_response(endpoint)

    async def retire(self, request: Request) -> Response:
        """Remove old configurations."""
        name, wish = _name_in(request), _parse(Retire, await self._body(request))
        removed = await self._traffic.retire(name, keep=wish.keep)
        self._insist_on_saved()
        return JSONResponse({"removed": removed})

    # ------------------------------------------------------------ data plane

    async def show_endpoint(self, request: Request) -> Response:
        """Say which version answers, to anybody."""
        view = self._traffic.view(self._traffic.find(_name_in(request)))
        live = self._memory.state.configurations.get(view.live)
        model = live.configuration.model if live else ""
        return JSONResponse({"endpoint": view.name, "model": model, "version": view.version, "status": view.status})

    async def predict(self, request: Request) -> Response:
        """Answer a prediction."""
        exchange = await read_exchange(request, "/invocations", limit=self._limits.body)
        name = _name_in(request)
        reply = await self._proxy.forward(name, exchange)
        return to_response(reply)

    async def ping(self, request: Request) -> Response:
        """Answer whether the live version is well."""
        return to_response(await self._proxy.forward(_name_in(request), Exchange("GET", "/ping")))

    # ------------------------------------------------------------ within

    async def _body(self, request: Request) -> bytes:
        return (await read_exchange(request, "", limit=self._limits.body)).body

    def _insist_on_saved(self) -> None:
        """Promise nothing that the host would not remember."""
        if self._memory.unsaved:
            self._memory.save()
        if self._memory.unsaved:
            raise RetryError("StateNotSaved", self._memory.unsaved, after=5.0)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY)
            await self._traffic.tidy()


def build_app(options: Options) -> Starlette:
    """Return the endpoint host's app.

    Raises:
        InputError: when the state file is not readable.
    """
    host = EndpointHost(options)
    guards = Middleware(Guards, hosts=known_hosts(options.port, options.public_url), token=options.token)
    return Starlette(
        routes=host.routes(),
        middleware=[guards],
        lifespan=host.life,
        exception_handlers={
            LaunchpinError: _on_our_error,
            ValidationError: _on_invalid,
            BodyTooLargeError: _on_too_large,
            ClientDisconnect: _on_disconnect,
        },
    )


async def _show_health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _to_state(row: Prepared) -> ConfigurationState:
    is_stopped = not row.wanted and row.process is None and not row.reason
    return ConfigurationState(
        name=row.configuration.name,
        readiness=row.readiness,
        reason=STOPPED if is_stopped else row.reason,
        message="started again when it is asked for" if is_stopped else row.message,
        tail=row.tail,
    )


def _name_in(request: Request) -> str:
    name: str = request.path_params["name"]
    return _checked_name(name)


def _seconds_in(request: Request, name: str, default: str) -> float:
    try:
        seconds = float(request.query_params.get(name, default))
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        raise InputError("invalid_request", f"{name} is not a number of seconds", field=name)
    return seconds


def _checked_name(name: str) -> str:
    if not _NAME.match(name):
        raise RefusedError("invalid_name", "a name is 1 to 200 of A-Z a-z 0-9 . _ - and starts with a letter or digit")
    return name


def _parse(kind: type[B], body: bytes) -> B:
    return kind.model_validate_json(body)


async def _on_our_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, LaunchpinError):
        raise error
    return problem_of(error)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
    place = ".".join(str(part) for part in first["loc"])
    return problem(422, "invalid_request", f"{place}: {first['msg']}" if place else str(first["msg"]))


async def _on_too_large(_request: Request, _error: Exception) -> Response:
    return problem(413, "body_too_large", "the request is longer than 25 MiB")


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)
