"""The sealer: signs the tree's head, never one that contradicts what it signed before, and has witnesses cosign it."""

import asyncio
import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx2

from hub.audit.heads import LastHead
from hub.audit.notes import LOG, Checkpoint, Head, Malformed, Policy, Signer, signature
from hub.audit.tree import Behind, consistency, root_at

PATIENCE = 2.0
"""Seconds that a witness has for its answer."""
AGAIN = 2.0
"""Seconds until a witness that failed is asked again."""
FRESH = timedelta(minutes=10)
"""How old a cosignature of an unchanged head may become: its time tells auditors that nothing newer is held back."""


class Stopped(Exception):
    """Nothing may be signed; the message says why, and what to do."""


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
        "“hub restore DIR”, and start it again."
    )


class Sealer:
    """Signs heads with the key in ``home``; one process of all at a time."""

    def __init__(self, pool: asyncpg.Pool, home: Path, policy: Policy, origin: str) -> None:
        self._pool, self.policy = pool, policy
        try:
            self.signer = Signer.kept(home / "log.key", origin, LOG)
        except (OSError, Malformed) as error:
            raise Stopped(f"The log's key cannot be used: {error}") from None
        self._last = LastHead(home / "log.head")
        self.head: Head | None = None
        self.note = b""
        self.signed = asyncio.Event()
        self._troubles: dict[str, str] = {}
        self._against: dict[str, Contradicted] = {}

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
        await self._pool.execute("UPDATE hub.sealer SET asked = $1", len(self.policy.witnesses))

    async def seal(self, size: int, root: bytes) -> bool:
        """Sign the head of this tree, unless that was done; whether it was signed now. Raises ``Stopped``."""
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
        head = Head(self.signer.name, size, root)
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

    async def say(self, stopped: str) -> None:
        """Show on the status page why nothing is sealed; nothing where all is well."""
        await self._pool.execute("UPDATE hub.sealer SET stopped = $1 WHERE stopped <> $1", stopped)

    def outvoted(self) -> None:
        """Raise ``Stopped`` where so many witnesses have seen another log that the rest is no quorum.

        Fewer of them are a trouble that the status page shows: one witness alone stops nobody.
        """
        if not self._against or self.policy.witnessed(self.policy.witnesses.keys() - self._against.keys()):
            return
        said: dict[str, list[str]] = {}
        for name, contradicted in sorted(self._against.items()):
            said.setdefault(str(contradicted), []).append(name)
        raise Stopped(" ".join(Contradicted(text).by(names) for text, names in said.items()))

    async def persuade(self, name: str) -> None:
        """Have one witness cosign every new head, for ever; a witness that is away delays nobody else."""
        verifier, url = self.policy.witnesses[name], self.policy.urls.get(name, "").rstrip("/")
        seen = await self._pool.fetchval("SELECT coalesce(max(size), 0) FROM hub.cosignature WHERE witness = $1", name)
        done, at = 0, datetime.min.replace(tzinfo=UTC)
        async with httpx2.AsyncClient(timeout=PATIENCE) as http:
            while True:
                signed, head, note = self.signed, self.head, self.note
                if not url or head is None or (head.size == done and datetime.now(UTC) - at < FRESH):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(signed.wait(), FRESH.total_seconds() / 10)
                    continue
                try:
                    proof = await consistency(self._pool, seen, head.size)
                    lines = [f"old {seen}", *(base64.b64encode(each).decode() for each in proof), "", note.decode()]
                    answer = await http.post(f"{url}/add-checkpoint", content="\n".join(lines).encode())
                    if answer.status_code == 409:
                        seen = self._conflict(answer.text, seen, head)
                        await asyncio.sleep(0.05)
                        continue
                    if answer.status_code == 422:
                        raise Contradicted("Of this log, {who} seen other events than it holds now.")
                    if answer.status_code != 200:
                        raise Malformed(f"it answers {answer.status_code}: {answer.text.strip()[:200]}")
                    cosigned = [signature(line) for line in answer.text.strip().split("\n")]
                    when = verifier.signed(head.text, cosigned)
                    if not when:
                        raise Malformed("its cosignature is not that of its key")
                    await self._store(name, head, next(c.line for c in cosigned if c.id == verifier.id), when)
                    seen, done, at = head.size, head.size, datetime.now(UTC)
                    self._against.pop(name, None)
                    await self._trouble(name, "")
                except Contradicted as contradicted:
                    self._against[name] = contradicted
                    await self._trouble(name, contradicted.by([name]))
                    await asyncio.sleep(AGAIN)
                except (
                    httpx2.HTTPError,
                    httpx2.InvalidURL,
                    Malformed,
                    Behind,
                    asyncpg.PostgresError,
                    OSError,
                ) as error:
                    await self._trouble(name, str(error) or type(error).__name__)
                    await asyncio.sleep(AGAIN)

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

    async def _store(self, name: str, head: Head, line: str, at: int) -> None:
        async with self._pool.acquire() as db, db.transaction():
            # Two witnesses at once: the head's lock, taken first, makes the second see the first.
            await db.execute("SELECT 1 FROM hub.head WHERE size = $1 FOR UPDATE", head.size)
            await db.execute(
                """INSERT INTO hub.cosignature VALUES ($1, $2, $3, $4)
                   ON CONFLICT (size, witness) DO UPDATE SET signature = excluded.signature, at = excluded.at""",
                head.size,
                name,
                line,
                datetime.fromtimestamp(at, UTC),
            )
            names = await db.fetch("SELECT witness FROM hub.cosignature WHERE size = $1", head.size)
            if self.policy.witnessed({row["witness"] for row in names}):
                await db.execute("UPDATE hub.head SET witnessed = true WHERE size = $1", head.size)

    async def _trouble(self, name: str, what: str) -> None:
        if self._troubles.get(name, "") == what:
            return
        self._troubles[name] = what
        told = {each: said for each, said in self._troubles.items() if said}
        try:
            await self._pool.execute("UPDATE hub.sealer SET troubles = $1", json.dumps(told))
        except (asyncpg.PostgresError, OSError):
            self._troubles.pop(name)
