"""Whom an admin means: by the id of who vouches for them, or by a login that an admin has given to one of them."""

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from gitops.access import LOCAL, Person, check_login, claimed_login
from gitops.errors import InputError, NotFoundError, RefusedError
from gitops.logins import this_user
from gitops.ports import Accounts


def check_provider(provider: str, issuers: Collection[str]) -> None:
    """Refuse who vouches for nobody here: whoever is known by that name alone could never sign in.

    Args:
        issuers: those at which people may sign in, as far as this process knows; empty where it knows of none.

    Raises:
        InputError: `provider`.
    """
    if provider == LOCAL or provider in issuers:
        return
    if issuers:
        listed = ", ".join((LOCAL, *issuers))
        message = f"nobody signs in by {provider!r} here: write one of {listed}, letter by letter"
        raise InputError("provider", message, field="provider")
    try:
        parts = urlsplit(provider)
        is_address = parts.scheme in {"https", "http"} and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address:
        message = f"{provider!r} vouches for nobody: write {LOCAL}, or an issuer's address as its tokens name it"
        raise InputError("provider", message, field="provider")


def name_person(accounts: Accounts, provider: str, login: str, *, subject: str) -> Person:
    """Return the person who is to be given something, known from now on.

    A login alone will do where an admin has given it to somebody with their id, and to nobody else.

    Args:
        subject: their id at the provider; empty for whom an admin named so before.

    Raises:
        InputError: `login` or `subject`.
        RefusedError: `LoginTaken` or `PersonDisabled`.
    """
    check_login(login)
    if provider == LOCAL and subject:
        message = "whoever signs in by a link has no id: leave it out, or say with --provider who vouches"
        raise InputError("subject", message, field="subject")
    if provider == LOCAL or subject:
        here = (one for one in accounts.people() if one.provider == provider)
        known = next((one for one in here if (one.subject == subject if subject else one.login == login)), None)
    else:
        known = _named_so(accounts.people(), provider, login)
    if known is not None and known.disabled_at is not None:
        message = f"{say_who(known)} was disabled on {known.disabled_at:%Y-%m-%d}, for good: "
        other = (
            "take another login" if provider == LOCAL else "name whoever is called so now by their own id (--subject)"
        )
        raise RefusedError("PersonDisabled", message + other)
    return accounts.ensure_person(provider, login, subject=subject)


def _named_so(people: Iterable[Person], provider: str, login: str) -> Person:
    """Return the person of a provider whom an admin named so.

    Raises:
        InputError: `subject`, with the ids that could be meant.
    """
    known = [one for one in people if one.provider == provider and one.subject]
    named = [one for one in known if one.login == login]
    called = [one for one in known if one.login == claimed_login(login, one.subject) and one.disabled_at is None]
    if named and not called:
        return named[0]
    message = f"nobody of {provider} has been named as {login} before: give their id there with --subject"
    if called:
        could = [f"{one.subject}, whom an admin named so" for one in named]
        could += [f"{one.subject}, whom {provider} calls so" for one in called]
        message = f"{login!r} could be {', or '.join(could)}: say who is meant with --subject"
    raise InputError("subject", message, field="subject")


def find_person(accounts: Accounts, provider: str, login: str) -> Person:
    """Return the person who is called so here, with the id where only the provider calls them so.

    Raises:
        NotFoundError: `UnknownPerson`.
    """
    here = [one for one in accounts.people() if one.provider == provider]
    found = next((one for one in here if one.login == login), None)
    if found is not None:
        return found
    called = next((one.login for one in here if one.login == claimed_login(login, one.subject)), "")
    how = f"`launchpin people grant {login} viewer` lets them in"
    how = f"somebody calls themselves so there, and is {called!r} here" if called else how
    raise NotFoundError("UnknownPerson", f"nobody of {provider} is called {login!r} here: {how}")


def check_may_leave(person: Person) -> None:
    """Refuse to shut out whoever owns the folder of this Launchpin: nothing could.

    Raises:
        RefusedError: `OwnFolder`.
    """
    if person.provider == LOCAL and person.login == this_user():
        why = f"{person.login} owns the folder of this stack, and `launchpin status` would let them in again"
        raise RefusedError("OwnFolder", f"{why}: change who owns the folder")


def say_who(person: Person) -> str:
    """Return what a person is called, with the id that says who that is."""
    name = person.login.removesuffix(claimed_login("", person.subject))
    return f"{name} ({person.subject} at {person.provider})" if person.subject else name
