"""The web process: the webhook door in front, pages and health behind it. Reading this file lists what HTTP reaches."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI

from gitops.bootstrap import for_web, hook_secrets
from gitops.settings import Settings
from webhooks import health
from webhooks.dashboard import pages
from webhooks.guard import HostGuard
from webhooks.receive import Receive, Receiver, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]


def create_app(settings: Settings) -> App:
    """Return the whole application.

    Raises:
        InputError: when there is no webhook secret, or a secret's file may be read by others.
    """
    store = for_web(settings)
    receiver = Receiver(store, path=f"/webhook/{settings.hook_path}", secrets=hook_secrets(settings))
    app = FastAPI(title="Launchpin", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.store = store
    app.state.settings = settings
    app.include_router(health.router)
    pages.install(app)
    return HostGuard(_split(receiver, app), allowed=settings.web_hosts)


def _split(receiver: Receiver, app: App) -> App:
    """Send webhooks past the framework: their path is hot, and their body must stay raw."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/webhook"):
            await receiver(scope, receive, send)
        else:
            await app(scope, receive, send)

    return route
