"""One-time links into the dashboard: a file named by the token's hash, which the web process removes to use it.

Whoever may write into the stack's folder may sign in; the file holds no token, only when the link ends.
"""

import hashlib
import secrets
import time
from urllib.parse import quote

from gitops.embedded.forge.accounts import mint_link
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.record import write_private

LINK_SECONDS = 15 * 60


def mint_dashboard_link(layout: Layout, next_path: str = "/") -> str:
    """Return a link that opens one session of the dashboard, once, within 15 minutes."""
    token = secrets.token_urlsafe(32)
    folder = layout.dir / "logins"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = hashlib.sha256(token.encode()).hexdigest()
    write_private(folder / name, str(int(time.time()) + LINK_SECONDS))
    return f"{layout.url('web')}/_login/{token}?next={quote(next_path, safe='')}"


def mint_forge_link(layout: Layout, next_path: str = "/") -> str:
    """Return a link that opens one session of the forge's pages, once, within 15 minutes."""
    return layout.url("forge") + mint_link(layout.forge_home, next_path)
