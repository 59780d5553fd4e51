"""Whether this process is alive, and whether it can do its work."""

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from gitops.errors import LaunchpinError

if TYPE_CHECKING:
    from webhooks.waiting import Patient

PATIENCE = 4.0
"""Seconds that a look at the database may take: more than its own wait for a lock, less than a probe's usual limit."""

router = APIRouter()


@router.get("/healthz", include_in_schema=False)
def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", include_in_schema=False)
async def readyz(request: Request, response: Response) -> dict[str, str]:
    """Say whether the database answers, too, and has the schema that this code was written for."""
    look: Patient[None] = request.app.state.readiness
    try:
        await look()
    except LaunchpinError as error:
        response.status_code = 503
        return {"status": "not ready", "cause": error.reason}
    except TimeoutError:
        response.status_code = 503
        return {"status": "not ready", "cause": "DatabaseBusy"}
    return {"status": "ok"}
