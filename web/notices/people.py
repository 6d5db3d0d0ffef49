"""What people are told that concerns themselves."""

from domain.core import N_
from domain.people.events import AccessGiven, RoleProposed
from hub.door import Hub
from hub.log import Recorded
from web.notices import MOST, Told, noticed, written


@noticed(
    AccessGiven,
    N_("Somebody else was given a way to act as you"),
    N_(
        "Whoever runs the hub made a link or a token that acts as you on the hub, valid until %(until)s.\n\n"
        "If you did not ask for it, ask them why, and end it on your page:\n\n%(link)s"
    ),
)
async def access_given(hub: Hub, recorded: Recorded) -> Told:
    """Who can be acted for, whatever else they chose to be told."""
    event = recorded.event
    assert isinstance(event, AccessGiven)
    tab = "signing-in" if event.way == "link" else "tokens"
    return Told((event.person,), {"until": written(event.until)}, f"/profile?tab={tab}")


@noticed(
    RoleProposed,
    N_("A role in the hub waits for a second officer of the Center"),
    N_(
        "Another officer of the Center has proposed a role in the whole hub for somebody. It counts once a second "
        "officer gives it, too.\n\n"
        "Look whether it is right, and give it or take it back:\n\n%(link)s"
    ),
)
async def role_proposed(hub: Hub, recorded: Recorded) -> Told | None:
    """The other officers of the Center, while it waits; of several times that it was proposed, of the last."""
    event, schema = recorded.event, hub.models.schema
    assert isinstance(event, RoleProposed)
    found = f"""SELECT o.person FROM {schema}.role_proposal r
        JOIN {schema}.role o ON o.role = 'center_officer' AND o.person NOT IN (r.person, r.proposed_by)
        JOIN {schema}.person p ON p.id = o.person AND p.status = 'joined'
        WHERE r.person = $1 AND r.role = $2 AND r.country = $3 AND r.proposed_by = $4
        ORDER BY o.person LIMIT {MOST}"""
    asked = event.person, event.role.value, event.country or "", event.by
    people = tuple(each for (each,) in await hub.log.pool.fetch(found, *asked))
    return Told(people, {}, f"/people/{event.person}") if people else None
