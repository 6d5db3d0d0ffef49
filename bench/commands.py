"""Durable commands per second, read models included, beside the library's own Postgres DCB recorder.

Both write to one embedded PostgreSQL with fsync on, in turns, in one run: read the ratios, not the figures.
``python -m bench.commands [SECONDS]``: seconds a cell (default 2).
"""

import asyncio
import json
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta

import asyncpg
from eventsourcing.dcb.api import DCBAppendCondition, DCBEvent, DCBQuery, DCBQueryItem
from eventsourcing.dcb.postgres_tt import PostgresDCBRecorderTT
from eventsourcing.persistence import IntegrityError
from eventsourcing.postgres import PostgresDatastore

from bench.measure import hub as serving
from bench.measure import load, p50, p99, post, requests, server, settled, shown
from domain.calls.commands import DraftCall, PublishCall
from domain.calls.events import Criterion
from domain.core import HubRole
from domain.organizations.commands import RegisterOrganization, VerifyOrganization
from domain.people.affiliations import DeclareAffiliation
from domain.people.commands import GrantRole, InvitePerson, JoinHub
from domain.proposals.commands import DraftProposal, ReviseProposal
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
    await hub.do(GrantRole(person=officer, role=HubRole.CENTER_OFFICER))
    register = RegisterOrganization(name="Institute", kind="university", city="Dushanbe", country="TJ")
    lead = (await hub.do(register, author)).record or ""
    works = DeclareAffiliation(person=author, organization=lead, position="Researcher", since=date(2024, 1, 1))
    await hub.do(works, author)
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


DRAFT = """mutation($input: DraftProposalInput!) { draftProposal(input: $input) {
    receipt { position record } refusal { code message } } }"""
REVISE = """mutation($input: ReviseProposalInput!) { reviseProposal(input: $input) {
    receipt { position } refusal { code message } } }"""
Row = tuple[object, ...]


def row(what: str, clients: int, ours: list[float], theirs: list[float], seconds: float) -> Row:
    """A line of the table."""
    a, b = len(ours) / seconds, len(theirs) / seconds
    return what, str(clients), f"{a:,.0f}", p50(ours), p99(ours), f"{b:,.0f}", f"{a / max(b, 1):.1f}"


async def story(server: Embedded, seconds: float) -> None:
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
        await hub.do(ReviseProposal(proposal=drafts[n], title=f"Title {k} {time.time_ns()}"), author)

    async def hot(n: int, k: int) -> None:
        await hub.do(ReviseProposal(proposal=drafts[0], title=f"Hot {n} {k} {time.time_ns()}"), author)

    await load(16, 1, draft)
    rows: list[Row] = []
    kept: dict[tuple[str, int], list[float]] = {}
    for name, once in (("draft", draft), ("revise", revise), ("one record", hot)):
        for clients in CLIENTS:
            ours = await load(clients, seconds, once)
            # More threads than connections only wait: the peer is given its best, 16.
            theirs = kept[name, clients] = await asyncio.to_thread(
                peer, server, min(clients, 16), seconds, name == "one record"
            )
            rows.append(row(name, clients, ours, theirs, seconds))
    token = await hub.identity.token(author, ["everything"], "bench", 1)
    await hub.close()
    with serving(server.dsn) as port:
        # What was recorded above is sealed first: that is no part of a command's way.
        await settled(server.dsn)

        def drafting(n: int, k: int) -> bytes:
            input = {"call": call, "lead": lead, "title": f"Title {n} {k}", "abstract": ABSTRACT}
            return mutation(token, DRAFT, input)

        def revising(n: int, k: int) -> bytes:
            return mutation(token, REVISE, {"proposal": drafts[n], "title": f"Title {k} {time.time_ns()}"})

        for name, sent in (("draft", drafting), ("revise", revising)):
            for clients in CLIENTS[:3]:
                ours = await requests(port, clients, seconds, sent)
                rows.append(row(f"{name}, over HTTP", clients, ours, kept[name, clients], seconds))
    columns = ("what", "clients", "commands/s", "p50 ms", "p99 ms", "recorder/s", "ratio")
    shown("Durable commands, beside the library's recorder", columns, rows)


def mutation(token: str, query: str, input: dict[str, object]) -> bytes:
    """A command as a lab sends it."""
    body = json.dumps({"query": query, "variables": {"input": input}}).encode()
    return post("/graphql", body, Authorization=f"Bearer {token}")


def main() -> None:
    """Start a server of its own, measure, and remove it."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0

    async def make_peer(dsn: str) -> None:
        db = await asyncpg.connect(dsn.replace("/hub?", "/postgres?"))
        await db.execute("CREATE DATABASE peer")
        await db.close()

    with server() as embedded:
        asyncio.run(make_peer(embedded.dsn))
        asyncio.run(story(embedded, seconds))


if __name__ == "__main__":
    main()
