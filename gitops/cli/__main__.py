"""`python -m gitops.cli`, the same as `launchpin`."""

from gitops.cli import main

main()
