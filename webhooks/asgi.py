"""The web process: the webhook door in front, pages and health behind it. Reading this file lists what HTTP reaches."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI

from gitops.bootstrap import for_web, hook_secrets, identity_providers, metrics_token
from gitops.settings import Settings
from gitops.telling.service import is_service
from webhooks import health
from webhooks.api import install as api
from webhooks.api.paging import Cursors
from webhooks.bodies import SmallBodies
from webhooks.dashboard import pages
from webhooks.dashboard.signin import Ways
from webhooks.door import watching
from webhooks.guard import HostGuard
from webhooks.matrix import guard
from webhooks.metrics import Metrics
from webhooks.receive import Receiver
from webhooks.replies import App, Receive, Scope, Send
from webhooks.saving import Keeper, ThreadKeeper

if TYPE_CHECKING:
    from gitops.store import SqlStore

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    settings: Settings, *, keeper: Keeper | None = None, is_stopping: Callable[[], bool] = lambda: False
) -> App:
    """Return the whole application.

    Args:
        keeper: what makes deliveries durable; without one a thread of this process does, as in tests.
        is_stopping: says that the process was asked to end: streams end then, which would be waited for.

    Raises:
        InputError: when there is no webhook secret, or a secret's file may be read by others.
    """
    store = for_web(settings)
    path = f"/webhook/{settings.hook_path}"
    metrics = Metrics(store.tallies, home=settings.home, token=metrics_token(settings))
    keeper = keeper or ThreadKeeper(store)
    secrets = hook_secrets(settings)
    receiver = Receiver(keeper, path=path, secrets=secrets, told=watching(metrics))
    lifespan = _closing(receiver)
    app = make_application(store, settings, seal=secrets[0], keeper=keeper, lifespan=lifespan, is_stopping=is_stopping)
    guarded = HostGuard(_split(receiver, SmallBodies(app)), allowed=settings.web_hosts)
    return _beside(metrics, guarded)


def make_application(
    store: "SqlStore",
    settings: Settings,
    *,
    seal: str,
    keeper: Keeper | None = None,
    lifespan: Lifespan | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """Return what stands behind the door: health, the API and the pages, each route guarded by its row of the table.

    Args:
        seal: a secret that all processes of an installation have: cursors are sealed with a key made from it.
        keeper: without it this process is ready as soon as the database is.
    """
    app = FastAPI(
        title="Launchpin",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        dependencies=[Depends(guard)],
    )
    app.state.store = store
    app.state.settings = settings
    app.state.is_service = is_service(settings.home)
    app.state.is_stopping = is_stopping
    app.state.cursors = Cursors(seal.encode())
    app.state.ways = Ways(identity_providers(settings))
    app.state.readiness = health.readiness(store, keeper)
    app.include_router(health.router)
    api.install(app)
    pages.install(app)
    return app


def _closing(receiver: Receiver) -> Lifespan:
    """Open the door, and close it when everything was answered."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await receiver.open()
        yield
        await receiver.close()

    return lifespan


def _beside(metrics: App, app: App) -> App:
    """Answer `/metrics` under whatever name a scraper knows us by: its token is what protects it."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        is_scrape = scope["type"] == "http" and scope["path"] == "/metrics"
        await (metrics if is_scrape else app)(scope, receive, send)

    return route


def _split(receiver: App, app: App) -> App:
    """Send webhooks past the framework: their path is hot, and their body must stay raw."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/webhook"):
            await receiver(scope, receive, send)
        else:
            await app(scope, receive, send)

    return route
