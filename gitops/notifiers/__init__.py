"""The way out for messages: HTTP and mail, to addresses that were checked at the moment of connecting."""

from gitops.notifiers.notifier import FileNotifier

__all__ = ["FileNotifier"]
