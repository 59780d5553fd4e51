"""How uvicorn is set up for the forge, in its own process and in tests alike."""

import uvicorn
from starlette.types import ASGIApp

_HEADERS_LIMIT = 64 * 1024


def server_config(app: ASGIApp, *, host: str, port: int) -> uvicorn.Config:
    """Return a configuration that trusts no proxy header and stops within five seconds."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=_HEADERS_LIMIT,
    )
