"""`launchpin people`: who may do what here, and links to sign in with. Whoever owns the stack's folder is its admin."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitops.access import EVERYWHERE, LOCAL, Person
from gitops.audit.entry import Actor
from gitops.cli.asking import opened, require_up
from gitops.cli.exits import ExitCode
from gitops.cli.groups import NearestGroup
from gitops.cli.installed import read_settings
from gitops.cli.main import fail_unknown, json_option, stack_dir_option
from gitops.cli.show import print_json, table
from gitops.cli.suggest import logins, offers, providers, repositories
from gitops.embedded.stack.layout import Layout
from gitops.errors import RefusedError
from gitops.logins import LINK_SECONDS, mint_link, this_user
from gitops.people import check_may_leave, check_provider, find_person, name_person, say_who
from gitops.roles import AccessRole

if TYPE_CHECKING:
    from gitops.store import SqlStore

ROLES = [role.value for role in AccessRole]

_repository_option = click.option(
    "--repository",
    default="",
    metavar="OWNER/NAME",
    shell_complete=offers(repositories),
    help="Only there; by default everywhere.",
)
_provider_option = click.option(
    "--provider",
    default=LOCAL,
    show_default=True,
    shell_complete=offers(providers),
    help="Who vouches for the person: local, or an issuer's address.",
)


@click.group(cls=NearestGroup)
def people() -> None:
    """Say who may do what, and let people sign in."""


@people.command("list")
@stack_dir_option
@json_option
def list_people(*, stack_dir: Path, as_json: bool) -> int:
    """List everybody with their roles."""
    with opened(stack_dir) as (_, store):
        names = {each.id: each.full_name for each in store.repositories()}
        found = [(person, store.grants(person.id)) for person in store.people()]
    plain = [
        {
            "id": person.id,
            "login": person.login,
            "provider": person.provider,
            "subject": person.subject,
            "grants": [
                {"repository": names.get(each.repository_id, ""), "role": each.role.value, "by": each.by}
                for each in grants
            ],
            "disabled_at": person.disabled_at.isoformat() if person.disabled_at else None,
        }
        for person, grants in found
    ]
    if as_json:
        print_json({"ok": True, "people": plain})
    elif found:
        rows = [
            (
                person.login,
                person.provider,
                person.subject,
                "may not sign in"
                if person.disabled_at
                else ", ".join(_say(each.role, names.get(each.repository_id, "")) for each in grants) or "nothing",
            )
            for person, grants in found
        ]
        click.echo(table(("LOGIN", "BY", "ID", "MAY"), rows))
    else:
        click.echo("Nobody has signed in yet: `launchpin people link LOGIN` lets in whoever has a role.")
    return ExitCode.OK


@people.command()
@click.argument("login", shell_complete=offers(logins))
@click.argument("role", type=click.Choice(ROLES))
@_repository_option
@_provider_option
@click.option("--subject", default="", metavar="ID", help="The provider's own id of the person, which never changes.")
@stack_dir_option
@json_option
def grant(
    login: str, role: str, *, repository: str, provider: str, subject: str, stack_dir: Path, as_json: bool
) -> int:
    """Give LOGIN a role: viewer, runner, approver or admin, each of which may more than the one before.

    Somebody of a provider is named with --subject the first time: logins change hands, ids never. Whoever signs in
    there without a role is shown what to send you. Given again with another login, they are called so from then on.
    """
    with opened(stack_dir) as (_, store):
        place = _place(store, repository)
        check_provider(provider, read_settings().issuers)
        person = name_person(store, provider, login, subject=subject)
        store.grant(person.id, AccessRole(role), repository_id=place, actor=_actor())
    text = f"{say_who(person)} is {_say(AccessRole(role), repository)}"
    return _done(text, as_json=as_json, **_plain_who(person), role=role)


@people.command()
@click.argument("login", shell_complete=offers(logins))
@_repository_option
@_provider_option
@stack_dir_option
@json_option
def revoke(login: str, *, repository: str, provider: str, stack_dir: Path, as_json: bool) -> int:
    """Take the role of LOGIN away; tokens and sessions may no more from that moment on."""
    with opened(stack_dir) as (_, store):
        person = find_person(store, provider, login)
        had = store.ungrant(person.id, repository_id=_place(store, repository), actor=_actor())
    where = f"on {repository}" if repository else "everywhere"
    who = say_who(person)
    text = f"{who} has no role {where} any more" if had else f"{who} had no role {where}"
    return _done(text, as_json=as_json, **_plain_who(person), had=had)


@people.command()
@click.argument("login", shell_complete=offers(logins))
@_provider_option
@stack_dir_option
@json_option
def disable(login: str, *, provider: str, stack_dir: Path, as_json: bool) -> int:
    """End every session and token of LOGIN, for good."""
    with opened(stack_dir) as (_, store):
        person = find_person(store, provider, login)
        check_may_leave(person)
        store.disable_person(person.id, actor=_actor())
    return _done(f"{say_who(person)} may not sign in any more", as_json=as_json, **_plain_who(person))


@people.command()
@click.argument("login", shell_complete=offers(logins))
@stack_dir_option
@json_option
def link(login: str, *, stack_dir: Path, as_json: bool) -> int:
    """Print a link that signs LOGIN in to the dashboard, once, within 15 minutes."""
    with opened(stack_dir) as (layout, store):
        require_up(layout)
        person = find_person(store, LOCAL, login)
        if person.disabled_at is not None:
            raise RefusedError("PersonDisabled", f"{login} was disabled on {person.disabled_at:%Y-%m-%d}")
        url = _link(layout, login)
    if as_json:
        print_json({"ok": True, "login": login, "url": url, "seconds": LINK_SECONDS})
    else:
        click.echo(url)
    return ExitCode.OK


def as_owner(store: "SqlStore") -> Person:
    """Return whoever types here, as the admin that the owner of the folder is."""
    person = store.ensure_person(LOCAL, this_user())
    store.grant(person.id, AccessRole.ADMIN, repository_id=EVERYWHERE, actor=Actor(type="service", login="launchpin"))
    return person


def number_of(repository: str, known: Mapping[str, int]) -> int:
    """Return a repository's numeric id.

    Raises:
        NotFoundError: as `fail_unknown`.
    """
    if repository not in known:
        fail_unknown("repository", repository, sorted(known))
    return known[repository]


def _place(store: "SqlStore", repository: str) -> int:
    if not repository:
        return EVERYWHERE
    return number_of(repository, {each.full_name: each.id for each in store.repositories()})


def _plain_who(person: Person) -> dict[str, str]:
    return {"id": person.id, "login": person.login, "provider": person.provider, "subject": person.subject}


def _link(layout: Layout, login: str) -> str:
    return layout.url("web") + mint_link(layout.dir / "logins", login=login)


def _actor() -> Actor:
    return Actor(type="user", login=this_user(), auth_method="folder")


def say_role(role: AccessRole) -> str:
    """Return a role with its article."""
    return f"{'an' if role.value[0] in 'aeiou' else 'a'} {role}"


def _say(role: AccessRole, repository: str) -> str:
    return say_role(role) + (f" on {repository}" if repository else " everywhere")


def _done(text: str, *, as_json: bool, **told: object) -> int:
    if as_json:
        print_json({"ok": True, **told})
    else:
        click.echo(text)
    return ExitCode.OK
