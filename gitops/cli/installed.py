"""A service whose parts somebody else starts, containers say: found by its variables where no folder is a stack's."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.embedded.stack.layout import Layout, Ports
from gitops.errors import NotFoundError

if TYPE_CHECKING:
    from gitops.settings import Settings

_MARK = "LAUNCHPIN_HOME"
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
        settings = self.settings
        known = {"web": settings.base_url, "mlflow": settings.tracking_uri, "endpoints": settings.endpoint_host}
        if part not in known:
            raise NotFoundError("NoStack", f"{part} is a part of a stack that `launchpin up` starts, and this is none")
        return known[part].rstrip("/")


def find_layout(stack_dir: Path, environment: Mapping[str, str] = os.environ) -> Layout:
    """Return the layout of a stack's folder, or, where it is none, of the service that the variables describe.

    `launchpin up` sets `LAUNCHPIN_HOME` for its parts alone, so whoever has it is in a part of a service.

    Raises:
        NotFoundError: `NoStack` when there is neither.
    """
    if (stack_dir / "stack.json").exists() or _MARK not in environment:
        return Layout.load(stack_dir)
    from gitops.settings import Settings  # noqa: PLC0415 - pydantic, only where a verb needs it

    settings = Settings()
    return Installed(settings.home.absolute(), "", _NO_PORTS, settings)
