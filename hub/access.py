"""Ways to act as a person that others than they are given, and their end: the log tells of each before it is made."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from domain.people.access import EndAccess, GiveAccess
from hub.door import Hub
from hub.identity import LINK_LIVES


async def give_link(hub: Hub, person: str, shown_to: str | None = None, ends: bool = True) -> str:
    """A link that signs in as a person, for whoever gives commands at the server, or for an officer of the Center.

    It ``ends`` the older links of the person. Raises ``Refusal`` where nobody can be let in as them.
    """
    until = datetime.now(UTC) + LINK_LIVES
    by = "console" if shown_to is None else "request"
    await hub.do(GiveAccess(person=person, way="link", until=until, shown_to=shown_to), by=by)
    return await hub.identity.link(person, ends)


async def give_token(hub: Hub, person: str, scope: Collection[str], label: str, days: int) -> str | None:
    """A token that acts as a person, for whoever gives commands at the server; see ``Identity.token``.

    Raises ``Refusal`` where they have not joined.
    """
    until = datetime.now(UTC) + timedelta(days=days)
    await hub.do(GiveAccess(person=person, way="token", until=until, scope=tuple(sorted(scope))), by="console")
    return await hub.identity.token(person, scope, label, days)


async def end_all(hub: Hub, person: str) -> None:
    """End everything that lets a person in: sessions, links, tokens and passkeys."""
    # First what makes sessions, then these, in turns with whoever is let in: none is made in between. And first of all,
    # whatever becomes of the record.
    await hub.credentials.revoke_all(person)
    await hub.identity.revoke_all(person)
    await hub.do(EndAccess(person=person), by="console")
    # What was made for them until that was recorded, as a link that a mail waited for.
    await hub.identity.revoke_all(person)
