"""The command line: one file for each noun, imported when its verb is used."""

from gitops.cli.main import main

__all__ = ["main"]
