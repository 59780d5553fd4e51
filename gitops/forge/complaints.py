"""What git complained of, as our errors. Its messages are read in the C locale."""

import re

from gitops.disk.space import speaks_of_full_disk
from gitops.errors import LaunchpinError, NotFoundError, RefusedError, RetryError, StalledError
from gitops.forge.process import plain

_CREDENTIALS = re.compile(r"Authentication failed|could not read (Username|Password)|returned error: (401|403)")
_GONE = re.compile(r"repository '.*' not found|returned error: (404|410)")
_MOVED = re.compile(r"redirect|returned error: 30\d", re.IGNORECASE)
_MALFORMED = re.compile(r"fsck error|error in packed object|error in object|contains .*\.git'|index-pack failed")
_OUTSIDE = re.compile(
    r"unable to access|Could not resolve|Failed to connect|returned error: \d|RPC failed|early EOF|hung up|"
    r"Operation too slow|unexpected disconnect|bad line length|protocol error|expected flush|invalid server response"
)


def is_about_the_remote(complaint: str) -> bool:
    """Return whether the forge, the network, the repository's contents or a full disk are the cause, not the mirror."""
    if speaks_of_full_disk(complaint):
        return True  # a mirror made anew would need more room, not less
    return any(form.search(complaint) for form in (_CREDENTIALS, _GONE, _MOVED, _MALFORMED, _OUTSIDE))


def name_failure(full_name: str, complaint: str, *, secret: str) -> LaunchpinError:
    """Return the error that says what must happen after a fetch that failed."""
    said = plain(complaint, secrets=(secret,))
    if _CREDENTIALS.search(complaint):
        return StalledError("ForgeCredentials", f"the forge refuses our token for {full_name}: {said}")
    if _GONE.search(complaint):
        return NotFoundError("repository_unknown", f"the forge has no repository {full_name}, or we may not see it")
    if _MOVED.search(complaint):
        return StalledError("RepositoryMoved", f"{full_name} has another address now: connect it again")
    if _OUTSIDE.search(complaint):
        return RetryError("ForgeUnavailable", f"{full_name} could not be fetched: {said}")
    if _MALFORMED.search(complaint):
        return RefusedError("repo_malformed", f"git refuses what {full_name} holds: {said}")
    return RetryError("ForgeUnavailable", f"{full_name} could not be fetched: {said}")
