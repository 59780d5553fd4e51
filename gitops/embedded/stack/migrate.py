"""`python -m gitops.embedded.stack.migrate`: prepares a stack's database before anything of ours uses it.

A process of its own, which ends: the supervisor stays small without SQLAlchemy.
"""

import sys

from gitops.bootstrap import observe, prepare
from gitops.errors import LaunchpinError
from gitops.settings import Settings


def main() -> int:
    """Bring the database to this code's schema; 4 when that is impossible."""
    try:
        settings = Settings()
        observe("database", settings)
        prepare(settings)
    except LaunchpinError as error:
        sys.stderr.write(f"database: {error}\n")
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
