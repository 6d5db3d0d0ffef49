"""What is destroyed of a person who was erased: what opens their boxes, the boxes, every way in, and the last bytes."""

import logging
from collections.abc import Sequence

import asyncpg

from domain.core import stored_names
from domain.people.events import OrcidLinked, PersonInvited
from domain.people.state import OrcidHolder
from hub.confirming import confirmed
from hub.identity import Identity
from hub.log import Log, keys_of
from hub.states import States
from hub.sweeping import log_ended, swept
from hub.vault import DESTROYED, Vault

_log = logging.getLogger("hub")


class Erasures:
    """An erasure is done though its hub died over it, or never heard whether it was recorded: each part may be done
    again, by whoever comes first.
    """

    def __init__(self, log: Log, vault: Vault, identity: Identity) -> None:
        self._log, self._vault, self._identity = log, vault, identity
        self.unswept = ""
        """Why the last bytes of who was erased are not gone yet, in words; empty where nothing waits for that."""

    async def carry_out(self, person: str) -> None:
        """Destroy what is there of a person whose erasure is recorded; raises ``Unknown`` where it may not be gone."""
        with confirmed():
            await self._destroy(person)
        await self._sweep([person])

    async def finish(self, schema: str) -> None:
        """Destroy what is still there of whoever was erased, as the read models in ``schema`` say."""
        erased = await self._log.pool.fetch(f"SELECT id FROM {schema}.person WHERE status = 'erased'")
        people = await self._vault.held(self._log.pool, [row["id"] for row in erased])
        for person in people:
            await self._destroy(person)
        if people:
            await self._sweep(people)

    async def _destroy(self, person: str) -> None:
        aliases, wrote = list[str](), {person}
        async for each in self._log.history(person, stored_names(PersonInvited, OrcidLinked)):
            if isinstance(each.event, PersonInvited):
                aliases.append(each.event.email_alias)
                wrote.add(each.actor)
            elif isinstance(each.event, OrcidLinked) and await self._held_by(each.event.orcid_alias, person):
                aliases.append(each.event.orcid_alias)
        await self._identity.revoke_all(person)
        await self._vault.forget(self._log.writing, person, aliases, sorted(wrote))

    async def _held_by(self, orcid: str, person: str) -> bool:
        # Whether they hold it still: then nobody else's link of it is under way. The name of one that they unlinked
        # stays, as another may be linking it just now, and two people under two names would hold one iD.
        holder, _ = await States(self._log).load((OrcidHolder, f"orcid:{orcid}"))
        return holder.person == person

    async def _sweep(self, people: Sequence[str]) -> None:
        keys = keys_of(self._log.dsn)
        try:
            await swept(self._log.dsn, ["hub.box"])
            await swept(keys, DESTROYED)
            await log_ended(keys)
            await self._vault.finished(people)
            self.unswept = ""
        except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            # Nobody reads them any more; their last bytes go once nobody reads from before, as a backup does.
            said = str(error) or type(error).__name__
            if said != self.unswept:
                _log.warning("an erasure is finished later: %s", said)
            self.unswept = said
