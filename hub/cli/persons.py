"""``hub people``, ``invite``, ``link``, ``token``, ``revoke``, ``forget``: who there is, and what lets them in."""

import json
import sys
from typing import Any

import click
import msgspec

from domain.core import HubRole, Refusal, Sealed, every_command, mutation_of
from domain.erasure import ErasePerson
from domain.people.commands import GrantRole, InvitePerson
from hub.access import end_all, give_link, give_token
from hub.checking import command as checked
from hub.cli.console import err, opened, shown
from hub.door import Hub
from hub.identity import EVERYTHING, MIRROR, READ, TOKEN_LIVES_AT_MOST
from hub.settings import address
from hub.turns import Receipt


async def person_called(hub: Hub, text: str) -> str:
    """The id of the person who has this id or e-mail address; leaves where there is nobody."""
    id = await hub.person_of(text) if "@" in text else text
    status = id and await hub.log.pool.fetchval(f"SELECT status FROM {hub.models.schema}.person WHERE id = $1", id)
    if status == "erased":
        err.print("This person was erased: nobody can be let in as them.")
        sys.exit(1)
    if not id or status not in ("invited", "joined"):
        err.print(f"There is nobody of this {'address' if '@' in text else 'id'}: “hub people” lists everybody.")
        sys.exit(1)
    return id


async def unreadable(hub: Hub) -> int:
    """How many people who were not erased have a name that cannot be opened here."""
    return sum(each["name"] is None and each["status"] != "erased" for each in await _everybody(hub))


async def _everybody(hub: Hub) -> list[dict[str, Any]]:
    schema, decode = hub.models.schema, msgspec.json.Decoder(Sealed).decode
    rows = await hub.log.pool.fetch(
        f"""SELECT p.id, p.status, p.name::text, p.email::text, array(
                SELECT trim(role || ' ' || country) FROM {schema}.role WHERE person = p.id ORDER BY 1) AS roles,
                (SELECT count(*) FROM hub.access WHERE person = p.id AND kind = 'token' AND ends_at > now()) AS tokens,
                (SELECT count(*) FROM hub.access WHERE person = p.id AND kind = 'session' AND ends_at > now())
                    AS sessions
            FROM {schema}.person p ORDER BY p.id"""
    )
    sealed = [(row["id"], field, decode(row[field])) for row in rows for field in ("name", "email") if row[field]]
    opened_values = await hub.vault.read(hub.log.pool, sealed)
    plain = {(id, field): value for (id, field, _), value in zip(sealed, opened_values, strict=True)}
    return [{**row, **{field: plain.get((row["id"], field)) for field in ("name", "email")}} for row in map(dict, rows)]


@click.command()
@click.argument("text", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def people(text: str, as_json: bool) -> None:
    """List people with their roles, tokens and sessions; with TEXT those whose name, address, id or role holds it."""

    def fits(each: dict[str, Any]) -> bool:
        words = (each["id"], each["name"] or "", each["email"] or "", each["status"], *each["roles"])
        return any(text.casefold() in word.casefold() for word in words)

    for each in filter(fits, opened(_everybody)):
        if as_json:
            click.echo(json.dumps(each, ensure_ascii=False))
        else:
            name = "erased" if each["status"] == "erased" else each["name"] or "unreadable"
            held = f"{each['tokens']} tokens, {each['sessions']} sessions"
            # Names are typed by people, and a terminal obeys what it is sent.
            line = f"{each['id']}  {each['status']:<8}  {name} <{each['email'] or ''}>  {held}"
            click.echo("".join(letter if letter.isprintable() else "�" for letter in line))
            if each["roles"]:
                click.echo(f"    {', '.join(each['roles'])}")


@click.command()
@click.argument("person")
def link(person: str) -> None:
    """Print a link with which a person signs in, once, within three days; their older links end.

    PERSON is an id, or the e-mail address under which they were invited. The log tells that it was made;
    they are mailed so, where the hub sends mails.
    """

    async def story(hub: Hub) -> str:
        return await give_link(hub, await person_called(hub, person))

    click.echo(f"{address()}/sign-in/{opened(story, records=True)}")


@click.command()
@click.argument("person")
@click.option(
    "--scope", multiple=True, default=[READ], show_default=True, help="“read”, “everything”, “mirror”, or a mutation."
)
@click.option("--label", default="", help="What it is for; its owner sees it on their page.")
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, TOKEN_LIVES_AT_MOST))
def token(person: str, scope: tuple[str, ...], label: str, days: int) -> None:
    """Make a token for programs that act as a person, and print it: it is shown this once.

    The log tells that it was made; they are mailed so, where the hub sends mails.
    """
    known = {READ, EVERYTHING, MIRROR, *map(mutation_of, every_command())}
    for each in scope:
        if each not in known:
            raise click.UsageError(f"--scope: “{each}” is neither “read”, “everything”, “mirror”, nor a mutation.")
    if len(label) > 100:
        raise click.UsageError("--label: at most 100 characters fit.")

    async def story(hub: Hub) -> str | None:
        return await give_token(hub, await person_called(hub, person), scope, label, days)

    click.echo(opened(story, records=True))


@click.command()
@click.argument("person")
def revoke(person: str) -> None:
    """End every session, link, token and passkey of a person, at once; hub link lets them in again."""

    async def story(hub: Hub) -> str:
        id = await person_called(hub, person)
        await end_all(hub, id)
        return id

    click.echo(f"Nothing lets {opened(story, records=True)} in any more.")


@click.command()
@click.argument("email")
@click.option("--name", required=True, help="The person's full name.")
@click.option("--center-officer", is_flag=True, help="Make them an officer of the Center.")
@click.option("--json", "as_json", is_flag=True, help="Print the receipt and the link as JSON.")
def invite(email: str, name: str, center_officer: bool, as_json: bool) -> None:
    """Invite a person in the hub's own name (the first one, for instance), and print the link that lets them in."""
    try:
        command = checked(InvitePerson, {"email": email, "name": name})
    except Refusal as refusal:
        where = {"email": "EMAIL: ", "name": "--name: "}.get(refusal.field or "", "")
        raise click.UsageError(f"{where}{refusal}") from None

    async def story(hub: Hub) -> tuple[Receipt, str]:
        try:
            receipt = await hub.do(command, by="console")
        except Refusal:
            if known := await hub.person_of(email):
                err.print(f"They were invited already, as {known}: hub link {known} prints a link for them.")
            raise
        assert receipt.record is not None
        if center_officer:
            await hub.do(GrantRole(person=receipt.record, role=HubRole.CENTER_OFFICER), by="console")
        return receipt, await give_link(hub, receipt.record, ends=False)

    receipt, secret = opened(story, makes=True)
    link = f"{address()}/sign-in/{secret}"
    if as_json:
        click.echo(msgspec.json.encode({"receipt": receipt, "link": link}))
    else:
        shown(receipt, as_json=False)
        click.echo(f"Their link, for one signing in within three days: {link}")


@click.command()
@click.argument("person")
@click.confirmation_option(prompt="This destroys the person's name, e-mail and ORCID iD for good. Go on?")
def forget(person: str) -> None:
    """Erase a person's personal data; what they did stays under their id, and everything still replays.

    PERSON is an id, or the e-mail address under which they were invited.
    """
    try:
        command = None if "@" in person else checked(ErasePerson, {"person": person})
    except Refusal as refusal:
        raise click.UsageError(f"PERSON: {refusal}") from None

    async def story(hub: Hub) -> tuple[Receipt, bool]:
        erase = command or ErasePerson(person=await person_called(hub, person))
        receipt = await hub.do(erase, by="console")
        officers = f"""SELECT EXISTS (SELECT FROM {hub.models.schema}.role r JOIN {hub.models.schema}.person p
                       ON p.id = r.person WHERE r.role = 'center_officer' AND p.status = 'joined')"""
        return receipt, await hub.log.pool.fetchval(officers)

    receipt, led = opened(story, records=True)
    shown(receipt, as_json=False)
    if not led:
        err.print("Nobody who has joined is an officer of the Center now: hub invite … --center-officer brings one.")
