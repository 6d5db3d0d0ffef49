"""How fast the read models are made anew from the log, and that they are the same: ``hub rebuild``, ``hub verify``.

``python -m bench.replay [PROPOSALS]``: ten events each (default 10,000, so 100,000 events).
"""

import asyncio
import statistics
import sys

from bench.filling import fill
from bench.measure import ROUNDS, server, shown
from hub.door import Hub
from hub.models import verify


async def story(dsn: str, proposals: int) -> None:
    """Measure and print."""
    await fill(dsn, proposals)
    hub = await Hub.open(dsn)
    rates = []
    for _ in range(ROUNDS):
        events, took = await hub.rebuild()
        rates.append(events / took)
    at, difference = await verify(hub.log, hub.models)
    await hub.close()
    what = "identical" if difference is None else f"DIFFERS: {difference}"
    rows = [(f"{at:,}", f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f}", f"{max(rates):,.0f}", what)]
    shown("Replay, indexed and vacuumed", ("events", "events/s", "lowest", "highest", "rows"), rows)


def main() -> None:
    """Fill a server of its own, measure, and remove it."""
    with server() as embedded:
        asyncio.run(story(embedded.dsn, int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))


if __name__ == "__main__":
    main()
