"""`launchpin demo`: the whole loop, played on this machine by the parts that production runs."""

from gitops.cli.demo.play import demo

__all__ = ["demo"]
