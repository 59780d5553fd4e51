"""The pin in a buildspec: read it, set it, and change nothing else. Pure; no buildspec is ever run."""

from gitops.buildspec.pin import Change, Pin, read_pin, set_pin

__all__ = ["Change", "Pin", "read_pin", "set_pin"]
