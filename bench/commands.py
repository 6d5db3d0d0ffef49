"""Durable commands per second, read models included, beside the library's own Postgres DCB recorder.

Both write to one embedded PostgreSQL with fsync on, in turns, in one run: read the ratios, not the figures.
``python -m bench.commands [SECONDS] [REPLAYED]``: seconds a cell (default 2), events to replay (default 100,000).
"""

import asyncio
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from eventsourcing.dcb.api import DCBAppendCondition, DCBEvent, DCBQuery, DCBQueryItem
from eventsourcing.dcb.postgres_tt import PostgresDCBRecorderTT
from eventsourcing.persistence import IntegrityError
from eventsourcing.postgres import PostgresDatastore
from rich.console import Console
from rich.table import Table

from domain.calls import Criterion, DraftCall, PublishCall
from domain.organizations import RegisterOrganization, VerifyOrganization
from domain.people import GrantRole, InvitePerson, JoinHub
from domain.proposals import DraftProposal, ReviseProposal
from hub.act import new_id
from hub.door import Hub
from hub.postgres import PORT, Embedded

CLIENTS = (1, 16, 64, 256)
ABSTRACT = "Joint research on glaciers, measured from above and on the ice. " * 8


async def region(hub: Hub) -> tuple[str, str, str]:
    """An author, a verified organization and a published call."""
    people = []
    for name in ("Officer", "Author"):
        id = (await hub.do(InvitePerson(name=name, email=f"{name}@example.org"))).record or ""
        await hub.do(JoinHub(person=id), id)
        people.append(id)
    officer, author = people
    await hub.do(GrantRole(person=officer, role="center_officer"))
    register = RegisterOrganization(name="Institute", kind="university", city="Dushanbe", country="TJ")
    lead = (await hub.do(register, author)).record or ""
    await hub.do(VerifyOrganization(organization=lead), officer)
    now = datetime.now(UTC)
    draft = DraftCall(
        title="Water and ice",
        summary="Joint research on water and ice.",
        opens_at=now,
        closes_at=now + timedelta(days=9),
        criteria=(Criterion("Excellence", 100),),
    )
    call = (await hub.do(draft, officer)).record or ""
    await hub.do(PublishCall(call=call), officer)
    return author, lead, call


async def load(clients: int, seconds: float, once: Callable[[int, int], Awaitable[object]]) -> list[float]:
    """The latencies of what so many clients did, one after another each, in these seconds."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def client(n: int) -> None:
        k = 0
        while (began := time.perf_counter()) < end:
            await once(n, k)
            latencies.append(time.perf_counter() - began)
            k += 1

    await asyncio.gather(*(client(n) for n in range(clients)))
    return latencies


def peer(server: Embedded, clients: int, seconds: float, hot: bool) -> list[float]:
    """The same appends by the library's recorder: one event, conditional on its record not having moved."""
    store = PostgresDatastore(
        "peer", str(server.home / "run"), PORT, "hub", "", pool_size=min(clients, 16), max_waiting=clients
    )
    recorder = PostgresDCBRecorderTT(store, events_table_name="bench")
    recorder.create_table()
    latencies: list[float] = []
    data = ABSTRACT.encode()
    end = time.perf_counter() + seconds
    shared = new_id("proposal")

    def client() -> None:
        while (began := time.perf_counter()) < end:
            tag = shared if hot else new_id("proposal")
            query = DCBQuery([DCBQueryItem(tags=[tag])])
            while True:
                after = recorder.read(query).head if hot else None
                try:
                    recorder.append([DCBEvent("Drafted", data, [tag])], DCBAppendCondition(query, after))
                    break
                except IntegrityError:
                    continue
            latencies.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    return latencies


def per_second(latencies: list[float], seconds: float) -> float:
    """How many were done in a second."""
    return len(latencies) / seconds


async def story(server: Embedded, seconds: float, replayed: int) -> None:
    """Measure and print."""
    hub = await Hub.open(server.dsn)
    author, lead, call = await region(hub)
    drafts = [
        (await hub.do(DraftProposal(call=call, lead=lead, title="Title", abstract=ABSTRACT), author)).record or ""
        for _ in range(256)
    ]

    async def draft(n: int, k: int) -> None:
        await hub.do(DraftProposal(call=call, lead=lead, title=f"Title {n} {k}", abstract=ABSTRACT), author)

    async def revise(n: int, k: int) -> None:
        await hub.do(ReviseProposal(proposal=drafts[n], title=f"Title {k} {seconds}"), author)

    async def hot(n: int, k: int) -> None:
        await hub.do(ReviseProposal(proposal=drafts[0], title=f"Hot {n} {k}"), author)

    await load(16, 1, draft)
    table = Table("what", "clients", "commands/s", "p50 ms", "p99 ms", "peer/s", "ratio", title="Durable commands")
    for name, once, peer_hot in (("draft", draft, False), ("revise", revise, False), ("one record", hot, True)):
        for clients in CLIENTS:
            ours = await load(clients, seconds, once)
            # More threads than connections only wait: the peer is given its best, 16.
            theirs = await asyncio.to_thread(peer, server, min(clients, 16), seconds, peer_hot)
            a, b = per_second(ours, seconds), per_second(theirs, seconds)
            p50, p99 = statistics.median(ours) * 1e3, statistics.quantiles(ours, n=100)[98] * 1e3
            table.add_row(
                name, str(clients), f"{a:,.0f}", f"{p50:.2f}", f"{p99:.2f}", f"{b:,.0f}", f"{a / max(b, 1):.1f}"
            )
    Console().print(table)
    n = 0
    while await hub.log.head() < replayed:
        await asyncio.gather(*(draft(k, n) for k in range(500)))
        n += 1
    for _ in range(3):
        events, took = await hub.rebuild()
        print(f"rebuild: {events:,} events in {took:.2f} s, {events / took:,.0f} events/s")
    await hub.close()


def main() -> None:
    """Start a server of its own, measure, and remove it."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    replayed = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    home = Path(tempfile.mkdtemp(prefix="hub-bench-"))
    home.chmod(0o711)
    server = Embedded(home)
    server.own()
    server.start()

    async def make_peer() -> None:
        import asyncpg

        db = await asyncpg.connect(server.dsn.replace("/hub?", "/postgres?"))
        await db.execute("CREATE DATABASE peer")
        await db.close()

    try:
        asyncio.run(make_peer())
        asyncio.run(story(server, seconds, replayed))
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
