"""Where a verb works: on a stack's folder, or on a service whose parts somebody else starts, containers say.

The one place that decides it. A service is found by the variables of the process, where no folder is a stack's.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gitops.embedded.stack.layout import Layout, Ports
from gitops.embedded.stack.record import PartState, State
from gitops.errors import InputError, NotFoundError, RefusedError

if TYPE_CHECKING:
    from gitops.settings import Settings

PARTS = frozenset({"valkey", "relay", "control", "training", "web", "forge", "mlflow", "endpoints", "database"})
"""The parts that have a log of their own in a stack."""

_MARK = "LAUNCHPIN_HOME"
_A_FORGE = "their forge"
_ADDRESSES = {"web": "base_url", "mlflow": "tracking_uri", "endpoints": "endpoint_host"}
_NO_PORTS = Ports(valkey=0, mlflow=0, forge=0, endpoints=0, web=0)


@dataclass(frozen=True)
class Installed(Layout):
    """Stands where a stack's folder and addresses go: the folder is the one of this process's part.

    Args:
        settings: this process's own, from its variables.
    """

    settings: "Settings"

    def url(self, part: str) -> str:
        """Return the base address of a part.

        Raises:
            NotFoundError: `NoStack` for a part that only a stack of this machine has.
        """
        if part not in _ADDRESSES:
            raise NotFoundError("NoStack", f"{part} is a part of a stack that `launchpin up` starts, and this is none")
        address: str = getattr(self.settings, _ADDRESSES[part])
        return address.rstrip("/")

    def is_set(self, name: str) -> bool:
        """Return whether this process was told a setting: each part is told what it needs, and no more."""
        return name in self.settings.model_fields_set

    @property
    def addresses(self) -> dict[str, str]:
        """Where the parts are that this process was told of, by part; without user and password."""
        return {part: bare_address(self.url(part)) for part, name in _ADDRESSES.items() if self.is_set(name)}

    @property
    def forge_address(self) -> str:
        """The forge as people reach it, in words where this process was not told."""
        from gitops.forge.address import web_address  # noqa: PLC0415 - where a verb names it

        with suppress(RefusedError):
            return web_address(self.settings.forge_api) if self.is_set("forge_api") else _A_FORGE
        return _A_FORGE


def find_layout(stack_dir: Path, environment: Mapping[str, str] = os.environ) -> Layout:
    """Return the layout of a stack's folder, or, where it is none, of the service that the variables describe.

    `launchpin up` sets `LAUNCHPIN_HOME` for its parts alone, so whoever has it is in a part of a service.

    Raises:
        NotFoundError: `NoStack` when there is neither.
        InputError: as `read_settings`.
    """
    if (stack_dir / "stack.json").exists() or _MARK not in environment:
        return Layout.load(stack_dir)
    settings = read_settings()
    return Installed(settings.home.absolute(), "", _NO_PORTS, settings)


def find_stack(stack_dir: Path, *, instead: Callable[[Installed], str]) -> Layout:
    """Return the layout of a stack's folder, for a verb that works on nothing else.

    Args:
        instead: says in one sentence what to do where a service is.

    Raises:
        NotFoundError: `NoStack`, with that sentence; or as `find_layout`.
    """
    layout = find_layout(stack_dir)
    if isinstance(layout, Installed):
        raise NotFoundError("NoStack", instead(layout))
    return layout


def read_settings() -> "Settings":
    """Return the settings that this process's variables say.

    Raises:
        InputError: `value_invalid`, naming the variable.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - only where a verb needs it

    from gitops.settings import Settings  # noqa: PLC0415

    try:
        return Settings()
    except ValidationError as error:
        # What was given is not told: it may be a secret in the wrong place.
        first = error.errors(include_input=False, include_context=False)[0]
        name = str(first["loc"][0]).upper() if first["loc"] else ""
        field = name if name.startswith("LAUNCHPIN_") else f"LAUNCHPIN_{name}"
        raise InputError("value_invalid", first["msg"], field=field) from None
    except ValueError as error:
        raise InputError("value_invalid", f"a variable cannot be read: {error}", field="LAUNCHPIN_*") from None


def settings_of(layout: Layout) -> "Settings":
    """Return the settings of a stack or a service."""
    if isinstance(layout, Installed):
        return layout.settings
    from gitops.embedded.stack.environment import settings_for  # noqa: PLC0415 - where a verb needs them

    return settings_for(layout)


def states_of(layout: Layout) -> tuple[PartState, ...]:
    """Return the parts that `launchpin up` started; a service has none."""
    if isinstance(layout, Installed):
        return ()
    from gitops.embedded.stack.supervisor import part_states  # noqa: PLC0415 - where a verb looks at parts

    return part_states(layout)


def is_up(layout: Layout) -> bool:
    """Return whether any part of a stack runs; of a service nobody knows here, and it is taken to."""
    return isinstance(layout, Installed) or any(part.state is not State.STOPPED for part in states_of(layout))


def bare_address(url: str) -> str:
    """Return a URL without user and password; of one that cannot be read nothing is told."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "no address that can be read"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
