"""What stands around every page: the sections, and who is signed in. A further section is one more entry here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request

from gitops.access import Session
from webhooks.matrix import MATRIX, may

if TYPE_CHECKING:
    from webhooks.askers import Asker


@dataclass(frozen=True)
class Section:
    """A section of the dashboard; `below` are the beginnings of paths that belong to it beside its own."""

    path: str
    title: str
    below: tuple[str, ...] = ()


SECTIONS = (
    Section("/", "Fleet", ("/trainings/", "/promotions/", "/rollouts/")),
    Section("/models", "Models", ("/models/",)),
    Section("/dora", "DORA"),
    Section("/audit", "Audit", ("/audit/",)),
    Section("/deliveries", "Deliveries", ("/deliveries/", "/messages")),
    Section("/settings", "Settings"),
)


@dataclass(frozen=True)
class Shell:
    """What the layout shows.

    Args:
        sections: those that whoever looks may open.
        here: the path of the section that the page belongs to, empty for none.
        address: of the page itself, with its query.
        session: None where nobody is signed in.
    """

    sections: tuple[Section, ...] = ()
    here: str = ""
    session: Session | None = None
    login: str = ""
    address: str = ""


def shell_of(request: Request) -> Shell:
    """Return the shell of a page for whoever asks, also where the guard let nobody in."""
    asker: Asker | None = getattr(request.state, "asker", None)
    if asker is None or asker.session is None:
        return Shell()
    path = request.url.path
    here = next((one.path for one in SECTIONS if path == one.path or path.startswith(one.below or ("\0",))), "")
    sections = tuple(one for one in SECTIONS if may(asker, MATRIX["GET", one.path]))
    address = f"{path}?{request.url.query}".rstrip("?")
    return Shell(sections, here, asker.session, asker.access.person.login, address)
