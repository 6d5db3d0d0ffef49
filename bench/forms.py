"""A form's way: from sending it to the page that shows the change, at one client, in a hub of 20,000 proposals.

``python -m bench.forms [PROPOSALS] [TIMES]``
"""

import asyncio
import sys
import time

from bench.filling import fill
from bench.flatness import prepared
from bench.measure import Client, get, hub, p50, p99, post, server, shown


async def ways(port: int, session: str, id: str, times: int) -> tuple[list[float], list[float], list[float]]:
    """The latencies of sending the form, of the page after it, and of both; each page shows what was sent."""
    sent, shown_, both = [], [], []
    async with Client(port) as client:
        for n in range(times):
            title = f"Title+{n}+of+{time.time_ns()}"
            form = post(
                "/do/reviseProposal",
                f"proposal={id}&title={title}".encode(),
                "application/x-www-form-urlencoded",
                Cookie=f"hub_session={session}",
            )
            began = time.perf_counter()
            status, head, _ = await client.send(form)
            between = time.perf_counter()
            place = head.lower().partition(b"location: ")[2].partition(b"\r\n")[0].decode()
            shows, _, page = await client.send(get(place, Cookie=f"hub_session={session}"))
            ended = time.perf_counter()
            assert (status, shows) == (303, 200) and title.replace("+", " ").encode() in page
            sent.append(between - began)
            shown_.append(ended - between)
            both.append(ended - began)
    return sent, shown_, both


def main() -> None:
    """Fill a server of its own, measure, and remove it."""
    proposals = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    with server() as embedded:
        filling = asyncio.run(fill(embedded.dsn, proposals))
        id, session, _, _ = asyncio.run(prepared(embedded.dsn, filling))
        with hub(embedded.dsn) as port:
            asyncio.run(ways(port, session, id, 20))
            found = asyncio.run(ways(port, session, id, times))
    names = ("the form is sent", "the page shows it", "both")
    rows = [(name, p50(each), p99(each)) for name, each in zip(names, found, strict=True)]
    shown(f"A form's way, {proposals:,} proposals, one client", ("what", "p50 ms", "p99 ms"), rows)


if __name__ == "__main__":
    main()
