"""What the attacks by Git share: a server of hostile repositories, a mirror of them, and what an attack would leave."""

from pathlib import Path

from tests.support.mirrors import make_mirror, mirror, origin, repository, server

__all__ = ["make_mirror", "mirror", "origin", "repository", "server"]


def is_canary_absent(tmp_path: Path) -> bool:
    return not list(tmp_path.rglob("canary")) and not Path("canary").exists()
