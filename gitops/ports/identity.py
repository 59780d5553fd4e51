"""Who people are, as somebody outside vouches for them: an identity provider, behind one Protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gitops.signins import Attempt


@dataclass(frozen=True)
class Identity:
    """Somebody, as a provider vouches for them.

    Args:
        subject: the provider's own id of the person, which nobody else is ever given.
        login: what the person is called there now; empty where the provider gives no name that a login may be.
        name: in full; may be empty.
    """

    subject: str
    login: str
    name: str


class IdentityProvider(Protocol):
    """Where people prove who they are."""

    @property
    def key(self) -> str:
        """What paths of ours call it."""
        ...

    @property
    def issuer(self) -> str:
        """Who vouches, for grants and people."""
        ...

    @property
    def label(self) -> str:
        """What people call it."""
        ...

    @property
    def seal(self) -> bytes:
        """The key that attempts are sealed with; the same for every process of an installation."""
        ...

    def address(self, attempt: Attempt) -> str:
        """Return where the browser goes to sign in.

        Raises:
            RetryError: `provider_unavailable`.
        """
        ...

    def identify(self, attempt: Attempt, unverified_answer: Mapping[str, str]) -> Identity:
        """Return who came back from there.

        Args:
            attempt: the one that this browser began.
            unverified_answer: the parameters that it came back with.

        Raises:
            RefusedError: `sign_in_denied` when the provider says no, `sign_in_token` when what it gives does not prove
                who this is, to us and now.
            RetryError: `provider_unavailable`.
        """
        ...
