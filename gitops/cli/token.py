"""`launchpin token`: what programs sign in to the API with. Shown once, kept by nobody, ended by its day or by you."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from gitops.access import EVERYWHERE, LOCAL, LONGEST_DAYS, Token, check_login, check_token_name, digest_secret
from gitops.access import mint_token_text as mint
from gitops.audit.entry import Actor
from gitops.cli.asking import opened
from gitops.cli.exits import ExitCode
from gitops.cli.groups import NearestGroup
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.people import ROLES, as_owner, number_of
from gitops.cli.show import print_json, table
from gitops.cli.suggest import logins, offers, repositories, tokens
from gitops.errors import RefusedError
from gitops.identifiers import new_id
from gitops.logins import this_user
from gitops.roles import AccessRole
from gitops.words import until


@click.group(cls=NearestGroup)
def token() -> None:
    """Make, list or end tokens, which programs sign in to the API with."""


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True, help="The most it may.")
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    metavar="OWNER/NAME",
    shell_complete=offers(repositories),
    help="Keep it to this one.",
)
@click.option("--days", type=click.IntRange(1, LONGEST_DAYS), default=30, show_default=True, help="Until it ends.")
@click.option(
    "--for", "login", default="", metavar="LOGIN", shell_complete=offers(logins), help="Whose it is; by default yours."
)
@stack_dir_option
@json_option
def create(
    name: str, *, role: str, repositories: tuple[str, ...], days: int, login: str, stack_dir: Path, as_json: bool
) -> int:
    """Make a token called NAME and show it, this once.

    It may do what its person may, and never more than its role, nor elsewhere than on its repositories.
    """
    check_token_name(name)
    with opened(stack_dir) as (_, store):
        known = {each.full_name: each.id for each in store.repositories()}
        kept_to = tuple(number_of(each, known) for each in repositories)
        owner = as_owner(store) if not login else store.ensure_person(LOCAL, check_login(login))
        if not store.grants(owner.id):
            how = f"`launchpin people grant {owner.login} {role}`"
            raise RefusedError("NoGrant", f"{owner.login} may do nothing yet, and so would the token: {how} first")
        token_id = new_id("k")
        text = mint(token_id)
        wanted = Token(
            id=token_id,
            person_id=owner.id,
            name=name,
            secret_sha256=digest_secret(text),
            role=AccessRole(role),
            repositories=kept_to,
            expires_at=store.now() + timedelta(days=days),
        )
        made = store.save_token(wanted, actor=Actor(type="user", login=this_user(), auth_method="folder"))
    if as_json:
        print_json({"ok": True, **_plain(made, owner.login, known), "text": text})
    else:
        click.echo(text)
        click.echo(
            f"{made.id} is {owner.login}'s, a {role} until {made.expires_at:%Y-%m-%d}; shown this once", err=True
        )
    return ExitCode.OK


@token.command("list")
@stack_dir_option
@json_option
def list_tokens(*, stack_dir: Path, as_json: bool) -> int:
    """List the tokens, newest first; none of them can be shown again."""
    with opened(stack_dir) as (_, store):
        logins = {each.id: each.login for each in store.people()}
        names = {each.full_name: each.id for each in store.repositories()}
        found = [_plain(each, logins.get(each.person_id, ""), names) for each in store.tokens()]
    if as_json:
        print_json({"ok": True, "tokens": found})
    elif found:
        now = datetime.now(UTC)
        rows = [(each["id"], each["name"], each["login"], each["role"], _end(each, now)) for each in found]
        click.echo(table(("TOKEN", "NAME", "OF", "ROLE", "ENDS"), rows))
    else:
        click.echo("There is no token: `launchpin token create NAME` makes one.")
    return ExitCode.OK


@token.command()
@click.argument("token_id", metavar="TOKEN", shell_complete=offers(tokens))
@stack_dir_option
@json_option
def revoke(token_id: str, *, stack_dir: Path, as_json: bool) -> int:
    """End TOKEN at once, named by its id."""
    with opened(stack_dir) as (_, store):
        is_new = store.revoke_token(token_id, actor=Actor(type="user", login=this_user(), auth_method="folder"))
    if as_json:
        print_json({"ok": True, "id": token_id, "was_good": is_new})
    else:
        click.echo(f"{token_id} is ended" if is_new else f"{token_id} was ended before")
    return ExitCode.OK


def _plain(token_: Token, login: str, repositories: dict[str, int]) -> dict[str, object]:
    names = {number: name for name, number in repositories.items() if number != EVERYWHERE}
    return {
        "id": token_.id,
        "name": token_.name,
        "login": login,
        "role": token_.role.value,
        "repositories": [names.get(each, str(each)) for each in token_.repositories],
        "expires_at": token_.expires_at.isoformat(),
        "revoked_at": token_.revoked_at.isoformat() if token_.revoked_at else None,
    }


def _end(plain: dict[str, object], now: datetime) -> str:
    if plain["revoked_at"]:
        return "ended"
    ends = datetime.fromisoformat(str(plain["expires_at"]))
    return "over" if ends <= now else until(ends, now)
