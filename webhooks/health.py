"""Whether this process is alive, and whether it can do its work."""

from fastapi import APIRouter, Request, Response

from gitops.errors import LaunchpinError

router = APIRouter()


@router.get("/healthz", include_in_schema=False)
def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", include_in_schema=False)
def readyz(request: Request, response: Response) -> dict[str, str]:
    """Say whether the database answers, too."""
    try:
        request.app.state.store.now()
    except LaunchpinError as error:
        response.status_code = 503
        return {"status": "not ready", "cause": error.reason}
    return {"status": "ok"}
