"""Ways to act as a person that others than they are given, and their end: the log tells of each before it is made."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from domain.core import N_, Reason, Refusal
from domain.people.access import EndAccess, GiveAccess
from hub.door import Hub
from hub.identity import LINK_LIVES, unless_ended

ENDED = N_("Everything that lets them in was ended at this moment: begin again, if they are to come in.")


async def give_link(hub: Hub, person: str, shown_to: str | None = None, ends: bool = True) -> str:
    """A link that signs in as a person, for whoever gives commands at the server, or for an officer of the Center.

    It ``ends`` the older links of the person. Raises ``Refusal`` where nobody can be let in as them.
    """
    until = datetime.now(UTC) + LINK_LIVES
    by = "console" if shown_to is None else "request"
    given = await hub.do(GiveAccess(person=person, way="link", until=until, shown_to=shown_to), by=by)
    link = await hub.identity.link(person, ends, unless_ended(person, given.position))
    if link is None:
        raise Refusal(Reason.WRONG_STATUS, ENDED)
    return link


async def give_token(hub: Hub, person: str, scope: Collection[str], label: str, days: int) -> str:
    """A token that acts as a person, for whoever gives commands at the server; see ``Identity.token``.

    Raises ``Refusal`` where they have not joined, or are shut out meanwhile.
    """
    until = datetime.now(UTC) + timedelta(days=days)
    given = await hub.do(GiveAccess(person=person, way="token", until=until, scope=tuple(sorted(scope))), by="console")
    token = await hub.identity.token(person, scope, label, days, by=unless_ended(person, given.position))
    if token is None:
        raise Refusal(Reason.WRONG_STATUS, ENDED)
    return token


async def end_all(hub: Hub, person: str) -> None:
    """End everything that lets a person in: sessions, links, tokens and passkeys."""
    # First of all, whatever becomes of the record.
    await hub.identity.revoke_all(person)
    await hub.do(EndAccess(person=person), by="console")
    # What was made for them until that was recorded; what is made after it finds it there.
    await hub.identity.revoke_all(person)
