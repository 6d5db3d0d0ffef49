"""The same command and the same page, of the same ten proposals, in a small hub and in one with a million events.

``python -m bench.flatness [SMALL] [LARGE]``: proposals; each is ten events (defaults 100 and 100,000).
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bench.filling import Filling, fill
from bench.measure import Client, get, hub, p50, post, server, settled, shown
from domain.proposals.commands import ReviseProposal
from domain.proposals.decisions import ReturnProposal
from hub.door import Hub

TIMES = 400


async def prepared(dsn: str, filling: Filling) -> tuple[str, str, int, float]:
    """A draft that may be revised, the session of its author, the head, and how long a first opening took."""
    began = time.perf_counter()
    opened = await Hub.open(dsn)
    took = time.perf_counter() - began
    id = filling.proposals[-1]
    author = await opened.log.pool.fetchval(
        f"SELECT investigator FROM {opened.models.schema}.proposal WHERE id = $1", id
    )
    until = datetime.now(UTC) + timedelta(days=150)
    await opened.do(ReturnProposal(proposal=id, reason="Bench", until=until), filling.officer)
    session, head = await opened.identity.session(author), await opened.log.head()
    await opened.close()
    return id, session, head, took


async def commands(dsn: str, id: str) -> list[float]:
    """The latencies of revising one record."""
    opened = await Hub.open(dsn)
    author = (await opened.log.read(tag=id, types=["ProposalDrafted"]))[0].actor
    latencies = []
    for n in range(TIMES):
        began = time.perf_counter()
        await opened.do(ReviseProposal(proposal=id, title=f"Title {n} {began}"), author)
        latencies.append(time.perf_counter() - began)
    await opened.close()
    return latencies


async def pages(hubs: Sequence[tuple[int, str, str]]) -> list[dict[str, list[float]]]:
    """The latencies of pages, each asked for anew after a change of its record; of these hubs in turns."""
    found: list[dict[str, list[float]]] = [{} for _ in hubs]
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(port)) for port, _, _ in hubs]
        for n in range(TIMES // 4):
            for kept, client, (_, session, id) in zip(found, clients, hubs, strict=True):
                cookie = f"hub_session={session}"
                body = f"proposal={id}&title=Title+{n}+{time.time_ns()}".encode()
                form = post("/do/reviseProposal", body, "application/x-www-form-urlencoded", Cookie=cookie)
                status, _, _ = await client.send(form)
                assert status == 303, status
                for what, path in (("one proposal", f"/proposals/{id}"), ("proposals", "/proposals"), ("home", "/")):
                    began = time.perf_counter()
                    status, _, _ = await client.send(get(path, Cookie=cookie))
                    kept.setdefault(f"page: {what}", []).append(time.perf_counter() - began)
                    assert status == 200, (status, path)
    return found


def main() -> None:
    """Fill two servers, measure them in turns, and print."""
    sizes = [int(size) for size in sys.argv[1:3]] or [100, 100_000]
    with contextlib.ExitStack() as stack:
        hubs = []
        for size in sizes:
            dsn = stack.enter_context(server()).dsn
            filling = asyncio.run(fill(dsn, size))
            hubs.append((dsn, *asyncio.run(prepared(dsn, filling))))
        figures: list[dict[str, list[float]]] = [{}, {}]
        for _ in range(2):
            for kept, (dsn, id, _, _, _) in zip(figures, hubs, strict=True):
                kept.setdefault("command: revise", []).extend(asyncio.run(commands(dsn, id)))
        ports = [stack.enter_context(hub(dsn)) for dsn, *_ in hubs]
        for dsn, *_ in hubs:
            asyncio.run(settled(dsn))
        asked = [(port, session, id) for port, (_, id, session, _, _) in zip(ports, hubs, strict=True)]
        for kept, found in zip(figures, asyncio.run(pages(asked)), strict=True):
            kept.update(found)
    (_, _, _, small, _), (_, _, _, large, took) = hubs
    rows = [
        (what, p50(figures[0][what]), p50(figures[1][what]), p50(figures[1][what]) / p50(figures[0][what]))
        for what in figures[0]
    ]
    shown("Flatness", ("what", f"ms at {small:,} events", f"ms at {large:,}", "ratio"), rows)
    print(f"read models of {large:,} events, indexed and vacuumed: {large / took:,.0f} events/s")


if __name__ == "__main__":
    main()
