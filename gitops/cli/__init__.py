"""The command line: one file for each noun, imported when its verb is used."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        from gitops.cli.verbs import help_text  # noqa: PLC0415 - what else is imported depends on the verb

        sys.stdout.write(help_text())
        sys.exit(0)
    from gitops.cli.main import run  # noqa: PLC0415 - click alone takes six times as long as all of Python

    sys.exit(run(sys.argv[1:]))
