"""Messages: who gets which, how they read, and the form that each kind of channel takes. Pure."""

from gitops.messages.cdevents import to_cloudevent
from gitops.messages.mail import to_mail
from gitops.messages.message import Message, to_message, trial_message
from gitops.messages.routing import choose_channels
from gitops.messages.slack import to_slack

__all__ = ["Message", "choose_channels", "to_cloudevent", "to_mail", "to_message", "to_slack", "trial_message"]
