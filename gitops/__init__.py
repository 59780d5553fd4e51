"""Launchpin's core: the three stories, the rules they follow, and the adapters that touch the outside."""

__version__ = "0.1.0"
