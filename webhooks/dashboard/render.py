"""Makes HTML: one Jinja environment that escapes everything, and the files that pages load from us alone."""

import hashlib
import shlex
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import HTMLResponse

from gitops.words import approved, lasting
from webhooks.dashboard import actions, charts, links, words
from webhooks.dashboard.shell import shell_of

if TYPE_CHECKING:
    from jinja2 import Environment

FRAGMENT_HEADER = "hx-request"
_CSS, _SCRIPT = "text/css; charset=utf-8", "text/javascript; charset=utf-8"
_STYLES = ("style.css", "pages.css")
_SCRIPTS = ("vendored/htmx.min.js", "vendored/sse.min.js", "vendored/idiomorph-ext.min.js", "live.js", "brush.js")
"""In the order in which pages load them."""


@dataclass(frozen=True)
class Asset:
    """A file of ours that pages load; its address changes with its content."""

    name: str
    content: bytes
    media_type: str

    @property
    def url(self) -> str:
        """Where pages load it from."""
        return f"/_static/{self.name}?v={hashlib.sha256(self.content).hexdigest()[:12]}"


def _load_assets() -> dict[str, Asset]:
    folder = resources.files("webhooks.dashboard").joinpath("static")
    kinds = {**dict.fromkeys(_STYLES, _CSS), **dict.fromkeys(_SCRIPTS, _SCRIPT)}
    found = [Asset(path.rpartition("/")[2], folder.joinpath(path).read_bytes(), kind) for path, kind in kinds.items()]
    return {one.name: one for one in found}


ASSETS = _load_assets()


@cache
def templates() -> "Environment":
    """Return what fills in our templates; loaded at the first page, since a web process may only take deliveries."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    templates = Environment(
        loader=PackageLoader("webhooks.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        tone=words.tone,
        spoken=words.spoken,
        span=words.span,
        web_link=words.web_link,
        version=words.label,
        audit_subject=words.subject_of,
        coded=words.coded,
        number=words.number,
        stamp=words.stamp,
        served_for=charts.length_of,
        shell=shlex.quote,
        lasting=lasting,
        approved=approved,
    )
    templates.globals.update({"assets": ASSETS.values(), "ago": words.ago, "links": links, "actions": actions})
    return templates


def show(
    request: Request, template: str, *, status: int = HTTPStatus.OK, still: bool = False, **values: object
) -> HTMLResponse:
    """Render a page, or only its changing part where htmx asked for that.

    Args:
        still: the page does not keep itself up to date: a form, an answer, or an older part of a list.
    """
    layout = "fragment.html" if FRAGMENT_HEADER in request.headers else "page.html"
    shell, asker = shell_of(request), getattr(request.state, "asker", None)
    access = asker.access if asker is not None else None
    text = templates().get_template(template).render(layout=layout, shell=shell, access=access, still=still, **values)
    headers = {"Cache-Control": "no-store", "Vary": FRAGMENT_HEADER}
    # A lone surrogate, which a browser could not read either, must not keep the page from being shown.
    return HTMLResponse(text.encode("utf-8", "replace").decode(), status_code=status, headers=headers)
