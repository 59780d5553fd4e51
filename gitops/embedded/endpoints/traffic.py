"""Which configuration answers for which endpoint: switch, bake, go back. Every move is one assignment, then a save.

A move of traffic never waits: what takes time (a start, a drain) happens beside it. The version before the live one
keeps running after the bake, which costs its memory and buys a way back that needs no start.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

from gitops.embedded.endpoints.fleet import Fleet, Loss
from gitops.embedded.endpoints.limits import Limits
from gitops.embedded.endpoints.state import Memory, Prepared, Route
from gitops.errors import ConflictError, NotFoundError, RefusedError
from gitops.failpoints import failpoint
from gitops.retention import KeptConfiguration
from gitops.serving import Endpoint, EndpointStatus, Readiness

_log = logging.getLogger(__name__)


class Traffic:
    """All endpoints, in one event loop; what moves traffic is atomic because it never awaits.

    Args:
        public_url: where people and programs reach this host.
    """

    def __init__(self, memory: Memory, fleet: Fleet, *, limits: Limits, public_url: str) -> None:
        self._memory = memory
        self._routes = memory.state.endpoints
        self._fleet = fleet
        self._limits = limits
        self._public_url = public_url.rstrip("/")
        self._timers: dict[str, asyncio.TimerHandle] = {}

    # ------------------------------------------------------------ asked for

    def resume(self) -> None:
        """Go on after the host's own death: bakes run to their end, a dead new version is left for a living old one."""
        for route in self._routes.values():
            live, previous = (self._rows.get(name) for name in (route.live, route.previous))
            if route.unproven and live and not live.is_up and previous and previous.is_up:
                self._leave(route, "its scorer died while the endpoint host was down", body="")
            elif route.status is EndpointStatus.BAKING:
                self._set_timer(route)

    def apply(self, endpoint: str, configuration: str, *, bake: float) -> Endpoint:
        """Give a configuration the endpoint's traffic, at once or as soon as it is ready.

        Asked again for the same configuration it only says how that stands, also when traffic went back meanwhile.

        Args:
            bake: seconds during which any 5xx sends the traffic back, and so does any refusal (4xx) of a request that
                the version before answers.

        Raises:
            NotFoundError: when there is no such configuration.
            RefusedError: when it is another endpoint's, or failed.
        """
        row = self._owned(endpoint, configuration)
        route = self._routes.get(endpoint)
        if route is not None and route.desired == configuration:
            return self.view(route)
        if row.readiness is Readiness.FAILED:
            raise RefusedError("configuration_failed", f"{configuration} failed: {row.reason}: {row.message}")
        if route is None:
            route = self._routes[endpoint] = Route(endpoint, EndpointStatus.CREATING)
        status = EndpointStatus.UPDATING if route.live else EndpointStatus.CREATING
        return self._aim(route, configuration, bake=bake, status=status)

    def restore(self, endpoint: str, configuration: str) -> Endpoint:
        """Give the traffic back to an earlier configuration; with an empty name, remove the endpoint.

        The earlier one takes over at once when its scorer is still up; until then the present one goes on.
        """
        if not configuration:
            return self._clear(endpoint)
        self._owned(endpoint, configuration)
        route = self._routes.get(endpoint)
        if route is None:
            route = self._routes[endpoint] = Route(endpoint, EndpointStatus.ROLLING_BACK)
        elif route.desired == configuration and (route.is_moving or route.live == configuration):
            return self.view(route)
        return self._aim(route, configuration, bake=0.0, status=EndpointStatus.ROLLING_BACK)

    def find(self, endpoint: str) -> Route:
        """Return an endpoint.

        Raises:
            NotFoundError: `no_endpoint`.
        """
        try:
            return self._routes[endpoint]
        except KeyError:
            raise NotFoundError("no_endpoint", f"there is no endpoint {endpoint}") from None

    def older(self, endpoint: str) -> str:
        """Return the configuration that an unproven live one is held against; empty when there is none."""
        route = self.find(endpoint)
        return route.previous if route.unproven else ""

    def endpoints(self) -> Sequence[Endpoint]:
        """Return all endpoints, by name."""
        return [self.view(self._routes[name]) for name in sorted(self._routes)]

    def view(self, route: Route) -> Endpoint:
        """Return an endpoint as callers see it."""
        is_baking = route.status is EndpointStatus.BAKING
        live = self._rows.get(route.live)
        return Endpoint(
            name=route.name,
            status=route.status,
            live=route.live,
            desired=route.desired,
            url=f"{self._public_url}/endpoints/{route.name}",
            version=live.configuration.version if live else "",
            model=live.configuration.model if live else "",
            failure=route.failure,
            message=route.message,
            seconds_left=max(0.0, route.bake_ends - time.time()) if is_baking else 0.0,
            requests=route.requests,
            errors=route.errors,
        )

    async def retire(self, endpoint: str, *, keep: int) -> list[str]:
        """Remove all but the newest configurations of an endpoint, save those in use or that served of late.

        Those that stay and are not in use are stopped; `apply` and `restore` start them again.

        Args:
            keep: how many of the newest stay in any case, and how many of those that served last.
        """
        rows = [row for row in self._rows.values() if row.configuration.endpoint == endpoint]
        rows.sort(key=lambda row: row.number, reverse=True)
        served_since = time.time() - self._limits.retain
        # What was made ready since and never served must not push out what could be gone back to (I21).
        served = sorted((row for row in rows if row.served_at), key=lambda row: row.served_at, reverse=True)
        kept = {row.configuration.name for row in (*rows[:keep], *served[:keep])}
        names = [
            row.configuration.name
            for row in rows
            if row.served_at < served_since
            and row.configuration.name not in kept
            and not self._is_needed(row.configuration.name)
        ]
        for row in rows:
            if row.wanted and not self._is_needed(row.configuration.name):
                self._fleet.stop(row.configuration.name)
        await asyncio.gather(*(self._fleet.remove(name) for name in names))
        self._memory.save()
        return sorted(names)

    async def tidy(self) -> None:
        """Stop what was prepared and got no traffic for long, and remove it a day later (I21)."""
        now = time.time()
        for name, row in list(self._rows.items()):
            if row.served_at or self._is_needed(name):
                continue
            if now - row.prepared_at > self._limits.orphan:
                await self._fleet.remove(name)
            elif row.wanted and now - row.prepared_at > self._limits.idle:
                self._fleet.stop(name)
        if self._memory.unsaved:
            self._memory.save()

    def kept(self) -> Sequence[KeptConfiguration]:
        """Return every configuration, as it may go one day."""
        now = time.time()
        return [
            KeptConfiguration(
                name=name,
                endpoint=row.configuration.endpoint,
                model=row.configuration.manifest.digest,
                environment=row.configuration.environment_key,
                is_in_use=self._is_needed(name),
                prepared=timedelta(seconds=max(0.0, now - row.prepared_at)),
                served=timedelta(seconds=max(0.0, now - row.served_at)) if row.served_at else None,
            )
            for name, row in sorted(self._rows.items())
        ]

    async def delete(self, configuration: str, *, idle: float = 0.0) -> None:
        """Remove one configuration.

        Args:
            idle: seconds within which it was neither prepared nor had traffic.

        Raises:
            ConflictError: `configuration_in_use`.
        """
        row = self._fleet.row(configuration)
        if self._is_needed(configuration) or max(row.prepared_at, row.served_at) > time.time() - idle:
            raise ConflictError("configuration_in_use", f"{configuration} is in use")
        await self._fleet.remove(configuration)
        self._memory.save()

    # ------------------------------------------------------------ heard of

    def count(self, endpoint: str, configuration: str, *, is_error: bool) -> None:
        """Count an answer of the configuration that was last asked for."""
        route = self._routes.get(endpoint)
        if route is not None and route.desired == configuration:
            route.requests += 1
            route.errors += is_error

    def hear_fault(self, endpoint: str, configuration: str, *, what: str, body: str) -> bool:
        """Hear of a failed answer; True when another configuration has the traffic now.

        Args:
            what: half a sentence, `answered 500` for example.
            body: the short text of the failing answer.
        """
        route = self._routes.get(endpoint)
        if route is None:
            return False
        if route.unproven and route.live == configuration:
            self._leave(route, what, body=body)
        return bool(route.live) and route.live != configuration

    def hear_ready(self, name: str) -> None:
        """Switch every endpoint that was waiting for this configuration."""
        for route in self._routes.values():
            if route.is_moving and route.desired == name:
                self._switch(route)

    def hear_loss(self, name: str, loss: Loss) -> bool:
        """Leave a version that died during its bake; True when the scorer is still needed."""
        for route in self._routes.values():
            if route.unproven and route.live == name:
                self._leave(route, loss.message, body="")
            elif route.is_moving and route.desired == name and route.live != name:
                self._give_up(route, loss)
        return any(name in _in_use(route) for route in self._routes.values())

    # ------------------------------------------------------------ moves

    @property
    def _rows(self) -> dict[str, Prepared]:
        return self._memory.state.configurations

    def _owned(self, endpoint: str, configuration: str) -> Prepared:
        row = self._fleet.row(configuration)
        if row.configuration.endpoint != endpoint:
            raise RefusedError("other_endpoint", f"{configuration} was prepared for {row.configuration.endpoint}")
        return row

    def _is_needed(self, name: str) -> bool:
        return any(name in _in_use(route) or name == route.desired for route in self._routes.values())

    def _aim(self, route: Route, configuration: str, *, bake: float, status: EndpointStatus) -> Endpoint:
        before = _in_use(route)
        route.desired, route.bake, route.status = configuration, bake, status
        route.failure, route.message, route.requests, route.errors = "", "", 0, 0
        self._fleet.want(configuration)
        if self._rows[configuration].is_up:
            self._switch(route, before=before)
        else:
            self._settle(route, before)
        return self.view(route)

    def _switch(self, route: Route, *, before: frozenset[str] | None = None) -> None:
        """Move the traffic to the desired configuration."""
        before = _in_use(route) if before is None else before
        going_back = route.status is EndpointStatus.ROLLING_BACK
        proven = route.previous if route.unproven else route.live
        failpoint("endpoint_host.switch.before")
        self._touch(route.live)
        route.previous = "" if going_back or proven == route.desired else proven
        route.live = route.desired
        self._touch(route.live)
        route.unproven = route.bake > 0 and not going_back and proven != route.desired
        route.status = EndpointStatus.BAKING if route.unproven else EndpointStatus.IN_SERVICE
        if route.unproven:
            route.bake_ends = time.time() + route.bake
            self._set_timer(route)
        self._settle(route, before)
        _log.info("%s: %s has the traffic, %s", route.name, route.live, route.status)
        failpoint("endpoint_host.switch.after")

    def _leave(self, route: Route, what: str, *, body: str) -> None:
        """Take the traffic away from an unproven version: to the one before it, or to none."""
        before = _in_use(route)
        self._touch(route.live)
        route.live, route.previous, route.unproven = route.previous, "", False
        _log.warning("%s: left an unproven version for %s: %s", route.name, route.live or "none", what)
        if not route.is_moving:
            route.status = EndpointStatus.IN_SERVICE if route.live else EndpointStatus.FAILED
            route.failure, route.message = f"EndpointUnhealthy: {what}", body
        self._settle(route, before)

    def _give_up(self, route: Route, loss: Loss) -> None:
        """Stay with what is live, because the desired configuration does not start."""
        before = _in_use(route)
        word = "RollbackFailed" if route.status is EndpointStatus.ROLLING_BACK else "EndpointUnhealthy"
        route.status = EndpointStatus.IN_SERVICE if route.live else EndpointStatus.FAILED
        route.failure, route.message = f"{word}: {loss.reason}", loss.message
        _log.warning("%s: stays with %s: %s", route.name, route.live or "none", route.failure)
        if route.unproven:
            # Its bake was interrupted by the update, and begins anew.
            route.status, route.bake_ends = EndpointStatus.BAKING, time.time() + route.bake
            self._set_timer(route)
        self._settle(route, before)

    def _prove(self, name: str, bake_ends: float) -> None:
        route = self._routes.get(name)
        if route is not None and route.status is EndpointStatus.BAKING and route.bake_ends == bake_ends:
            route.status, route.unproven = EndpointStatus.IN_SERVICE, False
            self._settle(route, _in_use(route))

    def _clear(self, endpoint: str) -> Endpoint:
        route = self._routes.pop(endpoint, None) or Route(endpoint, EndpointStatus.FAILED)
        before = _in_use(route)
        self._touch(route.live)
        route.live = route.previous = route.desired = route.failure = route.message = ""
        route.status = EndpointStatus.FAILED
        self._settle(route, before)
        return self.view(route)

    def _set_timer(self, route: Route) -> None:
        timer = self._timers.pop(route.name, None)
        if timer is not None:
            timer.cancel()
        left = min(max(0.0, route.bake_ends - time.time()), route.bake)
        loop = asyncio.get_running_loop()
        self._timers[route.name] = loop.call_later(left, self._prove, route.name, route.bake_ends)

    def _settle(self, route: Route, before: frozenset[str]) -> None:
        """Wake the waiting requests, remember the move, and stop what is in use no longer."""
        self._fleet.announce()
        for name in sorted(before - _in_use(route)):
            self._fleet.stop(name)
        self._memory.save()

    def _touch(self, name: str) -> None:
        if name in self._rows:
            self._rows[name].served_at = time.time()


def _in_use(route: Route) -> frozenset[str]:
    """Return the configurations whose scorers an endpoint needs."""
    return frozenset(_used_names(route)) - {""}


def _used_names(route: Route) -> Iterator[str]:
    yield route.live
    yield route.previous
    if route.is_moving:
        yield route.desired
