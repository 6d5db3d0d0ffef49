"""The server's time for each page, at one client, in a hub of 20,000 proposals: after a change, unchanged, and as 304.

``python -m bench.pages [PROPOSALS] [TIMES]``. The readers are the author of some proposals, and the officer of the
calls, who may read every one.
"""

import asyncio
import sys
import time

from bench.filling import Filling, fill
from bench.flatness import prepared
from bench.measure import Client, get, hub, p50, post, server, shown
from hub.door import Hub

GOAL = 15
"""Milliseconds, p50, for every page."""


def addresses(filling: Filling, proposal: str) -> dict[str, str]:
    """A page of each kind."""
    return {
        "home": "/",
        "calls": "/calls",
        "call": f"/calls/{filling.calls[0]}",
        "proposals": "/proposals",
        "proposals, by words": "/proposals?text=glacier",
        "proposal": f"/proposals/{proposal}",
        "organizations": "/organizations",
        "organization": f"/organizations/{filling.organizations[0]}",
        "search": "/search?text=glacier+model",
        "activity": "/activity",
        "log": "/log",
        "status": "/status",
        "form": f"/do/reviseProposal?proposal={proposal}",
    }


async def _changed(client: Client, proposal: str, author: str, n: int) -> None:
    body = f"proposal={proposal}&title=Title+{n}+{time.time_ns()}".encode()
    form = post("/do/reviseProposal", body, "application/x-www-form-urlencoded", Cookie=f"hub_session={author}")
    status, _, _ = await client.send(form)
    assert status == 303, status


async def times(port: int, path: str, session: str, author: str, proposal: str, count: int) -> tuple[list[float], ...]:
    """The latencies of a page after a change of a proposal, of the same again, and of asking whether it changed."""
    cookie = {"Cookie": f"hub_session={session}", "Accept_Encoding": "gzip"}
    changed, again, same = [], [], []
    async with Client(port) as client:
        for n in range(count):
            await _changed(client, proposal, author, n)
            for found in (changed, again):
                began = time.perf_counter()
                status, head, _ = await client.send(get(path, **cookie))
                found.append(time.perf_counter() - began)
                assert status == 200, (path, status)
            tag = head.lower().partition(b"etag: ")[2].partition(b"\r\n")[0].decode()
            began = time.perf_counter()
            status, _, _ = await client.send(get(path, If_None_Match=tag, **cookie))
            same.append(time.perf_counter() - began)
            assert status in (200, 304), status
    return changed, again, same


async def _session(dsn: str, person: str) -> str:
    opened = await Hub.open(dsn)
    session = await opened.identity.session(person)
    await opened.close()
    return session


def main() -> None:
    """Fill a server of its own, measure, and remove it."""
    proposals = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    rows, worst = [], 0.0
    with server() as embedded:
        filling = asyncio.run(fill(embedded.dsn, proposals))
        id, author, _, _ = asyncio.run(prepared(embedded.dsn, filling))
        officer = asyncio.run(_session(embedded.dsn, filling.officer))
        with hub(embedded.dsn) as port:
            for reader, session in (("author", author), ("officer", officer)):
                for name, path in addresses(filling, id).items():
                    if reader == "officer" and name == "form":
                        continue
                    asyncio.run(times(port, path, session, author, id, 3))
                    found = [p50(each) for each in asyncio.run(times(port, path, session, author, id, count))]
                    rows.append((name, reader, *found))
                    worst = max(worst, found[0])
    names = ("page", "reader", "changed, p50 ms", "again", "not changed")
    shown(f"Pages, {proposals:,} proposals, one client; the slowest p50 {worst:.1f} ms, goal {GOAL}", names, rows)


if __name__ == "__main__":
    main()
