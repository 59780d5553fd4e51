"""The environment of a training or a version on this machine: found, or built from the very lock that they name.

Nothing is resolved here: packages that nobody recorded would train or serve under a lock's name.
"""

from gitops.errors import StalledError
from gitops.ports import BuiltEnvironment, Deps


def bring_environment(deps: Deps, key: str) -> BuiltEnvironment:
    """Return an environment that was locked before, on whichever machine.

    Args:
        key: its name, as the training or the version has it.

    Raises:
        StalledError: `LockMissing` when its lock is kept nowhere, or as `Environments.build`.
        RefusedError: as `Environments.build`.
        RetryError: as `Environments.build`.
    """
    built = deps.environments.find(key)
    if built is not None:
        return built
    # On this disk where it was built before the database kept locks.
    lock = deps.store.lock_of(key) or deps.environments.lock_of(key)
    if lock is None:
        raise StalledError("LockMissing", _say_missing(key))
    return deps.environments.build(lock)


def _say_missing(key: str) -> str:
    where = f"neither in the database nor on this machine, so environment {key[:12]} cannot be built again"
    file = f"copy environments/locks/{key}.txt from LAUNCHPIN_HOME of the machine that trained into the one here"
    return f"its lock is {where}: {file}, or train the commit anew, which keeps the lock"
