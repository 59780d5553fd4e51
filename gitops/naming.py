"""Which environment a person means: by its endpoint's name, or as REPOSITORY:PATH. Pure.

Every verb, route and page finds it here, so that a name means the same wherever it is typed.
"""

from collections.abc import Iterable

from gitops.records import Environment


def called(environments: Iterable[Environment], name: str) -> list[Environment]:
    """Return those that a name means; several where it is not clear.

    Args:
        environments: those that whoever asks may look at.
    """
    return [one for one in environments if name and name in (one.endpoint, f"{one.repository}:{one.path}")]
