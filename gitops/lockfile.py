"""The lock of a Python environment: what it is built from, on whatever machine. A value only."""

from dataclasses import dataclass

LARGEST = 4 * 1024 * 1024
"""Bytes of a lock's text. It is kept for ever, and one of several hundred packages has about one million."""


@dataclass(frozen=True)
class Lock:
    """A hashed lock of a Python environment, with the interpreter that its packages are for.

    Args:
        text: as `uv pip compile --generate-hashes` writes it.
        digest: SHA-256 of the text.
        python: the minor version, `3.11` for example.
        key: digest over lock and interpreter; the environment's name.
        interpreter: its implementation, minor version, operating system, processor and binary interface, for people;
            empty where the environment was built before that was kept.
    """

    text: str
    digest: str
    python: str
    key: str
    interpreter: str = ""
