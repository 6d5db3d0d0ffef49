"""What people are told that concerns themselves."""

from domain.core import N_
from domain.people.events import AccessGiven
from hub.door import Hub
from hub.log import Recorded
from web.notices import Told, noticed, written


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
