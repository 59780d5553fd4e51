"""Whether a part in a container is well: `python -I healthy.py PORT PATH`. Needs the standard library alone."""

import http.client
import os
import sys
from urllib.parse import urlsplit

_PATIENCE = 5.0
# A worker's `/metrics` wants a token that is not ours: its 401 says well enough that it lives.
_ALIVE = (200, 401)


def main(port: str, path: str) -> int:
    """Return 0 where the part is well, 1 where it is not."""
    # The web process answers to the name that people know it by, and to no other.
    known = urlsplit(os.environ.get("LAUNCHPIN_BASE_URL", "")).netloc if path == "/readyz" else ""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=_PATIENCE)
    try:
        connection.request("GET", path, headers={"Host": known or f"127.0.0.1:{port}"})
        return int(connection.getresponse().status not in _ALIVE)
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
