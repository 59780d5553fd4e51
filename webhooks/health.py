"""Whether this process is alive, and whether it can do its work."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from gitops.errors import LaunchpinError
from webhooks.saving import Keeper
from webhooks.waiting import Patient, in_thread

if TYPE_CHECKING:
    from gitops.store import SqlStore

PATIENCE = 4.0
"""Seconds that a look at the database may take: more than its own wait for a lock, less than a probe's usual limit."""

Readiness = Mapping[str, Patient[None]]
"""What is asked, by the cause where it does not answer in time; what comes first is told first."""

router = APIRouter()


@router.get("/healthz", include_in_schema=False)
def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", include_in_schema=False)
async def readyz(request: Request, response: Response) -> dict[str, str]:
    """Say whether the database has this code's schema, too, and whether deliveries can be stored."""
    asked: Readiness = request.app.state.readiness
    causes = await asyncio.gather(*(_find_cause(look, late=late) for late, look in asked.items()))
    cause = next(filter(None, causes), "")
    if not cause:
        return {"status": "ok"}
    response.status_code = 503
    return {"status": "not ready", "cause": cause}


def readiness(store: "SqlStore", keeper: Keeper | None) -> Readiness:
    """Return what is asked whether this process can do its work.

    Args:
        keeper: None where no deliveries are taken.
    """
    asked = {"DatabaseBusy": Patient(in_thread(store.check), seconds=PATIENCE)}
    return asked if keeper is None else asked | {"NotStoring": Patient(keeper.check, seconds=PATIENCE)}


async def _find_cause(look: Patient[None], *, late: str) -> str:
    """Return why this process is not ready, empty when it is as far as this look goes."""
    try:
        await look()
    except LaunchpinError as error:
        return error.reason
    except TimeoutError:
        return late
    return ""
