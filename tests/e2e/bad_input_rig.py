"""What the tests of bad input share: the wait for what a commit is told."""

from tests.support.live import Live


def check_of(live: Live, repository: str, commit: str, name: str, *, state: str = "failure") -> tuple[str, str]:
    """Wait until a commit's check has that state; returns its title and summary."""

    def look() -> tuple[str, str] | None:
        said = live.checks(repository, commit).get(name)
        return (said[1], said[2]) if said is not None and said[0] == state else None

    return live.wait(f"{name} on {commit[:8]}", look)
