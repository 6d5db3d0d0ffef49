"""What the audit costs and how fast it is: writers with and without the tree, in turns in one run; then each step of a
log of ``EVENTS`` events (default 100,000): tree, seal of the read models, mirror, fsck, replay, restore.

``python -m bench.audit [EVENTS]``.
"""

import asyncio
import contextlib
import io
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
from hub_audit.__main__ import main as hub_audit

from bench.commands import ABSTRACT, region
from bench.filling import fill
from bench.measure import ROUNDS, hub, load, p50, server, shown
from domain.core import HubRole
from domain.organizations.commands import RegisterOrganization
from domain.people.commands import GrantRole, InvitePerson, JoinHub
from domain.proposals.commands import DraftProposal
from hub.audit.beside import following
from hub.audit.digests import digest
from hub.audit.following import rebuild_tree
from hub.audit.mirror import Mirror
from hub.audit.notes import LOG, Signer
from hub.audit.policy import Policy
from hub.audit.restore import restore
from hub.door import Hub
from hub.locks import Lock
from hub.postgres import Embedded
from hub.region.witnesses import witnesses

CLIENTS, SECONDS = 16, 3.0
_WITNESSED = "SELECT EXISTS (SELECT FROM hub.head WHERE witnessed AND size >= $1)"
_READY = f"""SELECT (SELECT size FROM hub.tree) >= (SELECT max(position) FROM hub.event)
    AND EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = {Lock.FOLLOWER}
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""


async def writers(dsn: str, home: Path) -> None:
    """Commands per second while the tree is kept and sealed twice a second, and while it is not."""
    opened = await Hub.open(dsn)
    author, lead, call = await region(opened)

    async def draft(n: int, k: int) -> None:
        await opened.do(DraftProposal(call=call, lead=lead, title=f"Title {n} {k}", abstract=ABSTRACT), author)

    async def once(followed: bool, models: bool, seconds: float = SECONDS) -> float:
        beside = following(dsn, home, "bench.example/log", home / "policy", models)
        with beside if followed else contextlib.nullcontext():
            # It starts, and takes in what was written without it, before it is measured.
            while followed and not await opened.log.pool.fetchval(_READY):
                await asyncio.sleep(0.05)
            return len(await load(CLIENTS, seconds, draft)) / seconds

    await once(False, False)
    rows = []
    # The read models are sealed every ten thousand events, with a rest between: that needs longer rounds to be seen.
    kinds = (("tree and sealer", False, SECONDS, 2 * ROUNDS), ("and seals of the read models", True, 12.0, 4))
    for what, models, seconds, rounds in kinds:
        pairs = []
        for n in range(rounds):
            # In turns, and in the other order each time: what drifts with the size of the tables falls on both.
            found = {each: await once(each, models, seconds) for each in ((True, False) if n % 2 else (False, True))}
            pairs.append((found[True], found[False]))
        ratios = [a / b for a, b in pairs]
        rows.append(
            (
                what,
                f"{statistics.median(a for a, _ in pairs):,.0f}",
                f"{statistics.median(b for _, b in pairs):,.0f}",
                f"{statistics.median(ratios):.3f}",
                f"{min(ratios):.3f}–{max(ratios):.3f}",
            )
        )
    await opened.close()
    shown(
        f"Drafts of {CLIENTS} clients, beside the follower",
        ("what", "with, /s", "without, /s", "ratio", "of pairs"),
        rows,
    )


async def sealing(dsn: str, home: Path) -> None:
    """How long an event waits for its seal: from its receipt until a quorum of five witnesses has cosigned it."""
    signer = Signer.kept(home / "log.key", "bench.example/log", LOG)
    opened = await Hub.open(dsn)
    register = RegisterOrganization(name="Institute", kind="university", city="Dushanbe", country="TJ")
    waited = []
    url = "http://127.0.0.1/log"
    with (
        witnesses(home / "witnesses", signer) as started,
        following(dsn, home, signer.name, started.policy(url), models=False),
    ):
        for n in range(41):
            receipt = await opened.do(register)
            began = time.perf_counter()
            while not await opened.log.pool.fetchval(_WITNESSED, receipt.position):
                await asyncio.sleep(0.005)
            # The first one waits for the processes to start.
            waited += [time.perf_counter() - began] if n else []
            await asyncio.sleep(0.13 * (n % 7))
    await opened.close()
    row = ("recorded → sealed 4 of 5", f"{p50(waited):,.0f}", f"{max(waited) * 1e3:,.0f}")
    shown("An event's seal, five witnesses, ms", ("what", "p50", "longest of 40"), [row])


def timed(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median seconds of some work."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def audited(*words: str) -> None:
    """Run the auditor's program; anything but success ends the bench."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = hub_audit([*words, "--json"])
    if code:
        raise SystemExit(f"hub-audit {words[0]} answered {code}: {said.getvalue()}")


async def tree(dsn: str) -> tuple[int, float]:
    """The events of the log, and the seconds in which the tree is made over all of them."""
    opened = await Hub.open(dsn)
    took = [(await rebuild_tree(opened))[1] for _ in range(ROUNDS)]
    head = await opened.log.head()
    await opened.close()
    return head, statistics.median(took)


async def auditor(dsn: str) -> tuple[str, str]:
    """An auditor's token that may mirror, and the schema of the read models."""
    opened = await Hub.open(dsn)
    person = (await opened.do(InvitePerson(name="Auditor", email="auditor@example.org"))).record or ""
    await opened.do(JoinHub(person=person), person)
    await opened.do(GrantRole(person=person, role=HubRole.AUDITOR))
    token = await opened.identity.token(person, ["read", "mirror"], "bench", 1)
    await opened.close()
    return token, opened.models.schema


async def mirrored(url: str, folder: Path, policy: Policy, token: str) -> None:
    """Mirror the whole log once."""
    mirror = Mirror(url, folder, policy, lambda: token)
    try:
        await mirror.step()
    finally:
        await mirror.close()


async def until_sealed(dsn: str) -> None:
    """Wait until the read models were sealed, and everything is signed."""
    db = await asyncpg.connect(dsn)
    sealed = """SELECT (SELECT max(position) FROM hub.event) = (SELECT max(size) FROM hub.head)
                    AND EXISTS (SELECT FROM hub.event WHERE type = 'ReadModelSealed')"""
    while not await db.fetchval(sealed):
        await asyncio.sleep(0.2)
    await db.close()


def large(embedded: Embedded, events: int, folder: Path) -> None:
    """Each step over a large log."""
    dsn = embedded.dsn
    asyncio.run(fill(dsn, events // 10))
    token, schema = asyncio.run(auditor(dsn))
    head, took = asyncio.run(tree(dsn))
    rows = [("tree, from nothing", took)]
    rows.append(("seal of the read models", timed(lambda: asyncio.run(digest(dsn, schema)), 3)))
    home = folder / "home"
    with hub(dsn, home=home) as port:
        asyncio.run(until_sealed(dsn))
        signer = Signer.kept(home / "log.key", "", LOG)
        pinned = folder / "policy"
        pinned.write_text(f"log {signer.verifier.vkey}\nquorum none\n")
        policy, url, copy = Policy.parse(pinned.read_text()), f"http://127.0.0.1:{port}/log", folder / "mirror"
        rows.append(("mirror, over HTTP", timed(lambda: asyncio.run(mirrored(url, copy, policy, token)), 1)))
        secret = folder / "token"
        secret.write_text(token)
        fetched = folder / "fetched"
        words = ("fetch", url, str(fetched), "--token-file", str(secret))
        rows.append(("hub-audit fetch", timed(lambda: audited(*words), 1)))
    rows.append(("hub-audit fsck", timed(lambda: audited("fsck", str(fetched)))))
    rows.append(("hub-audit replay", timed(lambda: audited("replay", str(fetched)), 3)))
    words = ("compare", str(fetched), str(copy), "--policy", str(pinned))
    rows.append(("hub-audit compare", timed(lambda: audited(*words), 3)))
    admin = embedded.dsn.replace("/hub?", "/postgres?")
    asyncio.run(_created(admin))
    empty = embedded.dsn.replace("/hub?", "/restored?")
    rows.append(("hub restore, the log", timed(lambda: asyncio.run(restore(empty, copy, policy)), 1)))
    shown(
        f"A log of {head:,} events",
        ("what", "seconds", "events/s"),
        [(what, f"{seconds:.2f}", f"{head / seconds:,.0f}") for what, seconds in rows],
    )


async def _created(admin: str) -> None:
    db = await asyncpg.connect(admin)
    await db.execute("CREATE DATABASE restored")
    await db.close()


def main() -> None:
    """Start servers of its own, measure, and remove them."""
    folder = Path(tempfile.mkdtemp(prefix="hub-bench-audit-"))
    try:
        with server() as embedded:
            asyncio.run(writers(embedded.dsn, folder))
            asyncio.run(sealing(embedded.dsn, folder))
        with server() as embedded:
            large(embedded, int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
