"""The sealer: signs the tree's head, never one that contradicts what it signed before, and has witnesses cosign it."""

import asyncio
import base64
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx2

from hub import outside
from hub.audit.heads import LastHead
from hub.audit.notes import LOG, Checkpoint, Head, Malformed, Signer, Verifier, signature
from hub.audit.policy import Policy
from hub.audit.tree import consistency, root_at
from hub.pool import Pool

_log = logging.getLogger("hub")

PATIENCE = 2.0
"""Seconds that a witness has for its answer."""
AGAIN = 2.0
"""Seconds until a witness that failed is asked again."""
LARGEST = 64_000
"""Bytes that a witness may answer with."""
ASTRAY = timedelta(minutes=5)
"""By how much a witness's clock may differ from ours: to auditors, an event from before its time was put in later."""
BEHIND = timedelta(minutes=1)
"""How long ago a head may have been the whole log when a witness is asked for its time."""
FRESH = timedelta(minutes=10)
"""How old a cosignature of an unchanged head may become: its time tells auditors that nothing newer is held back."""


class Stopped(Exception):
    """Nothing may be signed; the message says why, and what to do."""


class Outvoted(Stopped):
    """So many witnesses have seen another log that the rest is no quorum; they are asked on, and may think again."""


class Contradicted(Exception):
    """A witness has seen another log; in what the message says, ``{who}`` stands for it and its verb."""

    def by(self, names: Sequence[str]) -> str:
        """The message, of these witnesses."""
        who = f"the witness {names[0]} has" if len(names) == 1 else f"the witnesses {', '.join(names)} have"
        return str(self).format(who=who)


def refill(size: int, head: int, who: str) -> str:
    """What to do where the log has lost what was sealed."""
    return (
        f"The log holds {size:,} events, but {who} a head of {head:,}: newer events are missing, as after restoring an "
        "older backup. Nothing is sealed until they are back. Stop the hub, bring them back from a mirror with "
        "“hub restore DIR --policy FILE”, and start it again."
    )


class Sealer:
    """Signs heads with the key in ``home``; one process of all at a time."""

    def __init__(self, pool: Pool, home: Path, policy: Policy, origin: str) -> None:
        self._pool, self.policy = pool, policy
        try:
            self.signer = Signer.kept(home / "log.key", origin, LOG)
        except (OSError, Malformed) as error:
            raise Stopped(f"The log's key cannot be used: {error}") from None
        self._last = LastHead(home / "log.head")
        self.head: Head | None = None
        self.note = b""
        self.signed = asyncio.Event()
        self.whole = datetime.min.replace(tzinfo=UTC)
        self._troubles: dict[str, str] = {}
        self._against: dict[str, Contradicted] = {}
        self._agreed: set[str] = set()
        self._unheard = True

    async def open(self) -> None:
        """Claim this log for this key; raises ``Stopped`` where it is another key's."""
        vkey = self.signer.verifier.vkey
        known = await self._pool.fetchval(
            """INSERT INTO hub.sealer AS s (vkey) VALUES ($1) ON CONFLICT (one) DO UPDATE SET vkey = s.vkey
               RETURNING vkey""",
            vkey,
        )
        if known != vkey:
            raise Stopped(f"This log is sealed with the key {known}, and the key here is {vkey}: bring back its file.")
        await self.heard()
        # What witnesses did to whoever sealed before is told by whoever meets it again.
        asked = len(self.policy.witnesses)
        await self._pool.execute("UPDATE hub.sealer SET asked = $1, troubles = '{}'", asked)

    async def seal(self, size: int, root: bytes, whole: datetime) -> bool:
        """Sign the head of this tree, unless that was done; whether it was signed now. It was ``whole`` at that time.

        Raises ``Stopped``; where it is ``outvoted``, that.
        """
        if not size:
            return False
        self.outvoted()
        newest = await self._pool.fetchrow("SELECT size, root FROM hub.head ORDER BY size DESC LIMIT 1")
        try:
            kept = self._last.read()
        except Malformed as error:
            raise Stopped(str(error)) from None
        if kept is not None:
            await self._continues(kept, size)
        if newest is not None:
            await self._continues(Head(self.signer.name, newest["size"], newest["root"]), size)
        head, self.whole = Head(self.signer.name, size, root), whole
        done = newest is not None and newest["size"] == size
        if not done or self.head is None:
            signed = self.signer.sign(head.text)
            # Remembered before anybody sees it; and what was remembered only is signed the same again.
            if kept != head:
                self._last.keep(head)
            await self._pool.execute(
                "INSERT INTO hub.head VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                size,
                root,
                signed.line,
                datetime.now(UTC),
                self.policy.witnessed(()),
            )
            self.head, self.note = head, Checkpoint(head, head.text, (signed,)).note
            self.signed.set()
            self.signed = asyncio.Event()
        await self.say("")
        return not done

    async def _continues(self, last: Head, size: int) -> None:
        if last.origin != self.signer.name:
            raise Stopped(f"The last head was signed as “{last.origin}”, and the key is called “{self.signer.name}”.")
        if last.size > size:
            raise Stopped(refill(size, last.size, "the hub has signed"))
        if await root_at(self._pool, last.size) != last.root:
            raise Stopped(
                f"The first {last.size:,} events are not those that were signed: the log was changed. Nothing is "
                "sealed any more. Compare it with a mirror: “hub-audit compare” says where they part."
            )

    async def heard(self) -> None:
        """Let a hub that was brought back from a backup go on by itself, once a quorum has cosigned what it holds since
        this was opened; at once where there is none that could be asked.
        """
        could = {name for name in self.policy.witnesses if self.policy.urls.get(name)}
        if self._unheard and (self.policy.witnessed(self._agreed) or not self.policy.witnessed(could)):
            await self._pool.execute("DELETE FROM hub.restored")
            self._unheard = False

    async def say(self, stopped: str) -> None:
        """Show on the status page why nothing is sealed; nothing where all is well."""
        await self._pool.execute("UPDATE hub.sealer SET stopped = $1 WHERE stopped <> $1", stopped)

    def outvoted(self) -> None:
        """Raise ``Outvoted`` where so many witnesses have seen another log that the rest is no quorum.

        Fewer of them are a trouble that the status page shows: one witness alone stops nobody.
        """
        if not self._against or self.policy.witnessed(self.policy.witnesses.keys() - self._against.keys()):
            return
        said: dict[str, list[str]] = {}
        for name, contradicted in sorted(self._against.items()):
            said.setdefault(str(contradicted), []).append(name)
        raise Outvoted(" ".join(Contradicted(text).by(names) for text, names in said.items()))

    async def persuade(self, name: str) -> None:
        """Have one witness cosign every new head, for ever.

        Whatever a witness does (is away, slow, endless, wrong, hostile) is a trouble of its own and delays nobody else.
        """
        verifier, url = self.policy.witnesses[name], self.policy.urls.get(name, "").rstrip("/")
        if not url:
            await self._trouble(name, "the policy names no address of it: it is never asked")
            return
        seen = await self._pool.fetchval("SELECT coalesce(max(size), 0) FROM hub.cosignature WHERE witness = $1", name)
        done, at, conflicts = 0, datetime.min.replace(tzinfo=UTC), 0
        async with outside.client(PATIENCE) as http:
            while True:
                signed, head, note = self.signed, self.head, self.note
                now = datetime.now(UTC)
                # Never that of a head which is not the whole log any more: what has come since is older than its time.
                # Whoever contradicts is asked on: what is missing is that they agree, and not that time.
                outgrown, wanted = now - self.whole > BEHIND, name in self._against
                if head is None or (outgrown and not wanted) or (head.size == done and now - at < FRESH):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(signed.wait(), FRESH.total_seconds() / 10)
                    continue
                try:
                    status, body = await self._asked(http, url, seen, head, note)
                    if status == 409:
                        seen, conflicts = self._conflict(body, seen, head), conflicts + 1
                        if conflicts > 2:
                            await self._trouble(
                                name, "it says each time that it has seen another size than the last time"
                            )
                        await asyncio.sleep(0.05 if conflicts == 1 else AGAIN)
                        continue
                    line, when = self._cosigned(verifier, status, body, head)
                    seen, conflicts = head.size, 0
                    self._agreed.add(name)
                    await self.heard()
                    if not outgrown:
                        await self._store(name, head, line, when)
                        done, at = head.size, datetime.now(UTC)
                    self._against.pop(name, None)
                    await self._trouble(name, "")
                except Contradicted as contradicted:
                    conflicts = 0
                    self._against[name] = contradicted
                    await self._trouble(name, contradicted.by([name]))
                    await asyncio.sleep(AGAIN)
                except Exception as error:
                    conflicts = 0
                    await self._trouble(name, str(error) or type(error).__name__)
                    await asyncio.sleep(AGAIN)

    async def _asked(self, http: httpx2.AsyncClient, url: str, seen: int, head: Head, note: bytes) -> tuple[int, str]:
        proof = await consistency(self._pool, seen, head.size)
        lines = [f"old {seen}", *(base64.b64encode(each).decode() for each in proof), "", note.decode()]
        content, body = "\n".join(lines).encode(), b""
        # Neither endless nor for ever; and read as it comes, whatever it says of its own encoding.
        async with (
            asyncio.timeout(2 * PATIENCE),
            http.stream("POST", f"{url}/add-checkpoint", content=content) as answer,
        ):
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > LARGEST:
                    raise Malformed("its answer is larger than a few signatures are")
        return answer.status_code, body.decode(errors="replace")

    @staticmethod
    def _cosigned(verifier: Verifier, status: int, body: str, head: Head) -> tuple[str, datetime]:
        if status == 422:
            raise Contradicted("Of this log, {who} seen other events than it holds now.")
        if status != 200:
            raise Malformed(f"it answers {status}: {body.strip()}")
        cosigned = [signature(line) for line in body.strip().split("\n")]
        own = next((each for each in cosigned if (each.name, each.id) == (verifier.name, verifier.id)), None)
        # What is published is the one line that was verified, and nothing else that came with it.
        if own is None or (at := verifier.signed(head.text, [own])) is None:
            raise Malformed("its cosignature is not that of its key")
        if abs(at - datetime.now(UTC).timestamp()) > ASTRAY.total_seconds():
            raise Malformed("the time of its cosignature is far from ours: one of the two clocks is wrong")
        return own.line, datetime.fromtimestamp(at, UTC)

    @staticmethod
    def _conflict(body: str, seen: int, head: Head) -> int:
        size = int(body) if body.strip().isdecimal() and len(body) < 20 else -1
        if size > head.size:
            raise Contradicted(refill(head.size, size, "{who} seen"))
        if size == seen:
            raise Contradicted(f"Of this log, {{who}} seen another history of {size:,} events.")
        if size < 0:
            raise Malformed("it answers 409 without the size that it has seen")
        return size

    async def _store(self, name: str, head: Head, line: str, at: datetime) -> None:
        async with self._pool.acquire() as db, db.transaction():
            # Two witnesses at once: the head's lock, taken first, makes the second see the first.
            await db.execute("SELECT 1 FROM hub.head WHERE size = $1 FOR UPDATE", head.size)
            await db.execute(
                """INSERT INTO hub.cosignature VALUES ($1, $2, $3, $4)
                   ON CONFLICT (size, witness) DO UPDATE SET signature = excluded.signature, at = excluded.at""",
                head.size,
                name,
                line,
                at,
            )
            names = await db.fetch("SELECT witness FROM hub.cosignature WHERE size = $1", head.size)
            if self.policy.witnessed({row["witness"] for row in names}):
                await db.execute("UPDATE hub.head SET witnessed = true WHERE size = $1", head.size)

    async def _trouble(self, name: str, what: str) -> None:
        # It is shown to people: a witness may have said anything.
        what = "".join(char if char.isprintable() else " " for char in what)[:200]
        known = self._troubles.get(name, "")
        if known == what:
            return
        self._troubles[name] = what
        _log.warning("witness %s: %s", name, what or "answers again")
        try:
            # Its own key only: two witnesses at once take nothing back from each other, whichever ends first.
            await self._pool.execute(
                """UPDATE hub.sealer SET troubles = (troubles::jsonb - $1::text
                   || CASE $2::text WHEN '' THEN '{}' ELSE jsonb_build_object($1::text, $2::text) END)::json""",
                name,
                what,
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            self._troubles[name] = known
