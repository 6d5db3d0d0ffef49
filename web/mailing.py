"""Mails: invitations and what waits for somebody, as it is recorded, by whomever; and links that people ask for."""

import asyncio
import logging
import time
from collections.abc import Sequence, Set
from contextlib import suppress
from datetime import timedelta
from math import inf

import asyncpg
import msgspec

from domain.core import HUB, N_, HubRole, Sealed, mutation_of
from domain.people.commands import ChooseNotices
from domain.people.events import AccessEnded, AccessGiven, PersonInvited
from hub.connecting import connect
from hub.door import Hub
from hub.identity import unless_ended
from hub.locks import Lock
from hub.log import Recorded, as_writer
from hub.mail import ENOUGH, Mail, NotSent
from web.notices import every_noticed, notice
from web.sessions import Throttle
from web.words import PAGES, translated

LOOK, LONGEST = 1.0, 300.0
"""Seconds between two looks at the log, and at most between two tries of a mail that was not taken."""
_OFTEN, _EVERY = 3, 600.0
_NOTICES, _INVITATIONS, _DAY = 20, 20, 86_400.0
_AT_ONCE, _WAITING, _TIDY = 100, 200, 3_600.0
AGAIN, TRIES = 60.0, 80
"""Seconds until a mail that one recipient did not get is tried again, at first; and how often it is: for three days."""
LASTS = timedelta(days=2)
"""So long a link that is mailed is good for still, at least."""
SOON = (60.0, 300.0, 900.0)
"""Seconds after which a link that somebody asked for is tried again: some servers take nothing at first sight."""
_OTHERS = ("en", "ru")
_DONE = "UPDATE hub.mailing SET position = $1, trouble = $2"
_MAILED = ["PersonInvited", *(each.type for each in every_noticed())]
_log = logging.getLogger("hub")

_INVITED = N_("You are invited to the hub")
_INVITATION = N_(
    "You are invited to the hub, where Central Asia carries joint AI research from a proposal to its results.\n\n"
    "Open this address and press the button; it lets you in once, within two days:\n\n%(link)s\n\n"
    "After that the hub sends you a new one whenever you ask for it on its page “Sign in”."
)
_CHOICE = N_("Whether this is mailed to you, and in which language, you choose here:\n\n%(choice)s")
_SIGN_IN = N_("Sign in to the hub")
_LINK = N_(
    "Open this address and press the button; it signs you in once, within three days:\n\n%(link)s\n\n"
    "Whoever did not ask for this need not do anything."
)


class Mailing:
    """Sends them; ``base`` is the address of the hub as people reach it."""

    def __init__(self, hub: Hub, mail: Mail, base: str) -> None:
        self._hub, self._mail, self._base = hub, mail, base
        self._throttle = Throttle(_OFTEN, _EVERY)
        self._sending: set[asyncio.Task[None]] = set()
        self._made: dict[str, str] = {}
        # Whoever invites and takes back again and again fills nobody's letter box.
        self._notices = Throttle(_NOTICES, _DAY / _NOTICES)
        self._invitations = Throttle(_INVITATIONS, _DAY / _INVITATIONS)
        self._told: tuple[int, dict[str, bool]] = 0, {}

    async def asked(self, email: str, language: str) -> None:
        """Send a link to whoever was invited under this address. Nobody is told whether there is such a person."""
        if len(self._sending) >= _WAITING:
            _log.warning("a link that was asked for is not sent: %s wait already", _WAITING)
            return
        task = asyncio.create_task(self._link(email, language))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def keep(self) -> None:
        """Mail what is recorded after the first start with a mail server, for ever; several may try, one does it."""
        while True:
            db = None
            try:
                db = await connect(self._hub.log.dsn)
                if await db.fetchval(f"SELECT pg_try_advisory_lock({Lock.MAILING})"):
                    await as_writer(db)
                    await self._follow(db)
            except Exception as error:
                said = str(error) or type(error).__name__
                _log.exception("mails wait")
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await self._hub.log.writing.execute("UPDATE hub.mailing SET trouble = $1", said)
            finally:
                if db is not None:
                    db.terminate()
            await asyncio.sleep(5 * LOOK)

    async def _follow(self, db: asyncpg.Connection) -> None:
        await db.execute(
            """INSERT INTO hub.mailing (position) SELECT coalesce(max(position), 0) FROM hub.event
               HAVING NOT EXISTS (SELECT FROM hub.mailing)"""
        )
        at, waits, tidied = await db.fetchval("SELECT position FROM hub.mailing"), LOOK, -inf
        while True:
            if time.monotonic() - tidied > _TIDY:
                # What was refused for good is of use to whoever asks why, for a while.
                await db.execute(
                    """DELETE FROM hub.unmailed u USING hub.event e WHERE e.position = u.position AND u.next_at IS NULL
                       AND e.at < now() - interval '90 days'"""
                )
                tidied = time.monotonic()
            head = await self._hub.log.head()
            batch = await self._hub.log.read(at, types=_MAILED, limit=_AT_ONCE)
            try:
                for each in batch:
                    await self._mail_of(each)
                    at = each.position
                    await db.execute(_DONE, at, "")
                await self._try_again(db)
                waits = LOOK
                if len(batch) < _AT_ONCE and at < head:
                    # The rest of what was there concerns nobody's mail.
                    at = head
                    await db.execute(_DONE, at, "")
            except NotSent as error:
                _log.warning("a mail waits: %s", error)
                await db.execute(_DONE, at, str(error))
                waits = min(2 * waits, LONGEST)
            await asyncio.sleep(waits)

    async def _mail_of(self, recorded: Recorded, only: str | None = None, counted: bool = False) -> None:
        # Whoever was not given it once gets it from there, and not from here again.
        noted = "SELECT person FROM hub.unmailed WHERE position = $1"
        waiting = {row["person"] for row in await self._hub.log.pool.fetch(noted, recorded.position)}
        if isinstance(recorded.event, PersonInvited):
            if only or recorded.event.person not in waiting:
                await self._invite(recorded, recorded.event, again=only is not None)
        else:
            await self._notify(recorded, only, waiting, counted)

    async def _try_again(self, db: asyncpg.Connection) -> None:
        # Nothing is put off for so long as two days, but by a clock that was ahead.
        due = """SELECT * FROM hub.unmailed WHERE next_at <= now() OR next_at > now() + interval '2 days'
            ORDER BY next_at LIMIT 10"""
        for row in await db.fetch(due):
            for each in await self._hub.log.read(row["position"] - 1, limit=1):
                await self._mail_of(each, row["person"], counted=row["why"] != ENOUGH)
            # It was taken, or nobody waits for it any more, unless another try was noted.
            gone = "DELETE FROM hub.unmailed WHERE position = $1 AND person = $2 AND next_at = $3"
            await db.execute(gone, row["position"], row["person"], row["next_at"])

    async def _note(self, recorded: Recorded, person: str, error: NotSent) -> None:
        # Nobody else waits for what one recipient does not get; raises what is not about the recipient.
        if not error.alone:
            raise error
        _log.warning("the mail about position %s to %s is not sent: %s", recorded.position, person, error)
        await self._hub.log.writing.execute(
            """INSERT INTO hub.unmailed AS u (position, person, next_at, why)
               VALUES ($1, $2, CASE WHEN $3 THEN NULL ELSE now() + make_interval(secs => $5) END, $4)
               ON CONFLICT (position, person) DO UPDATE SET tries = u.tries + 1, why = excluded.why,
                   next_at = CASE WHEN $3 OR u.tries >= $6 THEN NULL
                                  ELSE now() + make_interval(secs => $5 * least(2 ^ u.tries, 60)) END""",
            recorded.position,
            person,
            error.final,
            str(error),
            AGAIN,
            TRIES,
        )

    async def _put_off(self, recorded: Recorded, person: str, seconds: int) -> None:
        # Who was told enough for now is told of it later, if it waits for them still.
        await self._hub.log.writing.execute(
            """INSERT INTO hub.unmailed (position, person, tries, next_at, why)
               VALUES ($1, $2, 0, now() + make_interval(secs => $3), $4)
               ON CONFLICT (position, person) DO UPDATE SET next_at = excluded.next_at""",
            recorded.position,
            person,
            seconds,
            ENOUGH,
        )

    async def _invite(self, recorded: Recorded, event: PersonInvited, again: bool) -> None:
        hub, person = self._hub, event.person
        sql = f"SELECT status FROM {hub.models.schema}.person WHERE id = $1"
        (email,) = await hub.vault.read(hub.log.pool, [(person, "email", event.email)])
        if email is None or await hub.log.pool.fetchval(sql, person) != "invited":
            return
        if await hub.log.read(recorded.position, person, [AccessEnded.type], limit=1):
            # Whoever was shut out since is let in by whoever invites them anew, and by nothing older.
            return
        link = self._made.get(person)
        if link is None or await hub.identity.linked(link, LASTS) is None:
            if not again and await self._too_many(recorded.actor):
                _log.warning("the invitation of %s is not mailed: %s invited too many in a day", person, recorded.actor)
                return
            # Others may have been shown a link too: all are good until one of them is used. However often it is tried,
            # it is one, until that has ended, or lasts no longer as long as the mail says.
            link = await hub.identity.link(person, ends=False, by=unless_ended(person, recorded.position))
            if link is None:
                return
            self._made[person] = link
        try:
            await self._send(email, event.language, _INVITED, (_INVITATION,), f"/sign-in/{link}")
        except NotSent as error:
            await self._note(recorded, person, error)
        else:
            del self._made[person]

    async def _too_many(self, actor: str) -> bool:
        # Anybody may invite; nobody but the Center writes to any number of strangers in the hub's name.
        sql = f"SELECT EXISTS (SELECT FROM {self._hub.models.schema}.role WHERE person = $1 AND role = $2)"
        if actor == HUB or await self._hub.log.pool.fetchval(sql, actor, HubRole.CENTER_OFFICER.value):
            return False
        return bool(self._invitations.wait(actor))

    async def _notify(self, recorded: Recorded, only: str | None, waiting: Set[str], counted: bool) -> None:
        hub = self._hub
        if (found := await notice(hub, recorded)) is None:
            return
        if self._told[0] != recorded.position:
            # However often it is tried, nobody who has it gets it again.
            self._told = recorded.position, {}
        told = self._told[1]
        for person in found.people:
            due = person == only if only else not told.get(person) and person not in waiting
            if person == recorded.actor or not due:
                continue
            # Who else can act as somebody is told to them, whatever they chose and however much they were told.
            warned = isinstance(recorded.event, AccessGiven)
            sql = f"SELECT language FROM {hub.models.schema}.person WHERE id = $1 AND (mailed OR $2)"
            language = await hub.log.pool.fetchval(sql, person, warned)
            if language is None or (email := await self._address(person, "joined")) is None:
                continue
            if person not in told and not counted and not warned and (seconds := self._notices.wait(person)):
                await self._put_off(recorded, person, seconds)
                continue
            told[person] = False
            try:
                choice = f"{self._base}/do/{mutation_of(ChooseNotices)}?person={person}"
                texts = (found.text,) if warned else (found.text, _CHOICE)
                await self._send(email, language, found.subject, texts, found.link, choice=choice, **found.words)
            except NotSent as error:
                await self._note(recorded, person, error)
            told[person] = True

    async def _address(self, person: str, *statuses: str) -> str | None:
        # The address that is known of somebody, if they are one of these.
        hub = self._hub
        sql = f"SELECT status, email::text FROM {hub.models.schema}.person WHERE id = $1"
        row = await hub.log.pool.fetchrow(sql, person)
        if row is None or row["status"] not in statuses or row["email"] is None:
            return None
        sealed = msgspec.json.decode(row["email"], type=Sealed)
        (known,) = await hub.vault.read(hub.log.pool, [(person, "email", sealed)])
        return known

    async def _link(self, email: str, language: str) -> None:
        hub = self._hub
        try:
            person = await hub.person_of(email)
            if person is None or self._throttle.wait(person):
                return
            # To the address that is known, not to the one that was typed: two may look alike.
            if (known := await self._address(person, "invited", "joined")) is not None:
                # Whoever asks has shown nothing yet: no link that somebody was given ends by it.
                secret = await hub.identity.link(person, ends=False)
                for wait in (*SOON, 0.0):
                    try:
                        return await self._send(known, language, _SIGN_IN, (_LINK,), f"/sign-in/{secret}")
                    except NotSent as error:
                        if error.final or not wait:
                            raise
                        await asyncio.sleep(wait)
        except Exception as error:
            _log.warning("a link that was asked for is not sent: %s", str(error) or type(error).__name__)

    async def _send(
        self, email: str, language: str, subject: str, parts: Sequence[str], path: str, **words: str
    ) -> None:
        languages = (language,) if language in PAGES else _OTHERS
        words["link"] = self._base + path
        subjects = " · ".join(translated(subject, each) for each in languages)
        texts = ["\n\n".join(translated(part, each) % words for part in parts) for each in languages]
        await self._mail.send(email, subjects, "\n\n---\n\n".join(texts) + "\n")
