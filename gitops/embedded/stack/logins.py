"""One-time links into a stack's pages. Whoever may write into its folder may sign in."""

from gitops import logins
from gitops.embedded.forge import accounts
from gitops.embedded.stack.layout import Layout


def mint_dashboard_link(layout: Layout, next_path: str = "/") -> str:
    """Return a link that opens one session of the dashboard, once, within 15 minutes: as admin, who owns the folder."""
    return layout.url("web") + logins.mint_link(layout.dir / "logins", next_path=next_path, role="admin")


def mint_forge_link(layout: Layout, next_path: str = "/") -> str:
    """Return a link that opens one session of the forge's pages, once, within 15 minutes."""
    return layout.url("forge") + accounts.mint_link(layout.forge_home, next_path)
