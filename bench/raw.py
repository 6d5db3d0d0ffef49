"""The peer that is hard to beat: one statement by hand that returns the same JSON, behind a bare Starlette route."""

import os
from datetime import datetime

import asyncpg
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

S = os.environ["BENCH_SCHEMA"]
SETTINGS = {"timezone": "UTC", "random_page_cost": "1.1", "jit": "off"}
# What serves each best: planning anew costs more than reading one record, or than a search that no word changes the
# plan of, but less than a page that is planned blindly.
PLANS = {"record": "auto", "search": "force_generic_plan", **dict.fromkeys(("list", "export"), "force_custom_plan")}
PARTNERS = f"""
    (SELECT coalesce(json_agg(json_build_object({{fields}}, 'organization', (
        SELECT json_build_object({{of}}) FROM {S}.organization o WHERE o.readers && $1 AND o.id = a.organization))
        ORDER BY a.invited_at, a.organization), '[]')
     FROM {S}.partner a WHERE a.proposal = p.id)
"""
_SHORT = PARTNERS.format(fields="'country', a.country, 'status', upper(a.status)", of="'name', o.name")
_LONG = PARTNERS.format(
    fields="'country', a.country, 'contribution', a.contribution, 'status', upper(a.status)",
    of="'name', o.name, 'city', o.city, 'country', o.country",
)
_LIST = f"""
    WITH page AS MATERIALIZED (
        SELECT id, changed_at FROM {S}.proposal WHERE readers && $1 AND (changed_at, id) < ($2, $3)
        ORDER BY changed_at DESC, id DESC LIMIT 51)
    SELECT json_build_object('data', json_build_object('proposals', json_build_object(
        'totalCount', (SELECT count(*) FROM {S}.proposal WHERE readers && $1),
        'nodes', (SELECT json_agg(row_to_json(n) ORDER BY "changedAt" DESC, id DESC) FROM (
            SELECT p.id, p.title, upper(p.status) AS status, p.changed_at AS "changedAt",
                (SELECT json_build_object('name', l.name, 'country', l.country, 'leads', json_build_object(
                    'totalCount', (SELECT count(*) FROM {S}.proposal q WHERE q.readers && $1 AND q.lead = l.id)))
                 FROM {S}.organization l WHERE l.readers && $1 AND l.id = p.lead) AS lead,
                {_SHORT} AS partners
            FROM (SELECT * FROM page ORDER BY changed_at DESC, id DESC LIMIT 50) k JOIN {S}.proposal p USING (id)) n),
        'pageInfo', json_build_object('hasNextPage', (SELECT count(*) > 50 FROM page)))))"""
_RECORD = f"""
    SELECT json_build_object('data', json_build_object('proposal', (SELECT row_to_json(n) FROM (
        SELECT p.id, p.title, p.abstract, upper(p.status) AS status, p.version, p.revision,
            p.submitted_at AS "submittedAt",
            (SELECT json_build_object('title', c.title, 'status', upper(c.status), 'closesAt', c.closes_at,
                'criteria', c.criteria) FROM {S}.call c WHERE c.readers && $1 AND c.id = p.call) AS call,
            (SELECT json_build_object('name', l.name, 'city', l.city, 'country', l.country)
                FROM {S}.organization l WHERE l.readers && $1 AND l.id = p.lead) AS lead,
            {_LONG} AS partners,
            json_build_object('level', upper(p.risk->>'level'), 'harms', p.risk->'harms',
                'safeguards', p.risk->'safeguards', 'personalData', p.risk->'personal_data') AS risk,
            (SELECT json_agg(json_build_object('version', v->'version', 'title', v->'title', 'content', v->'content',
                'submittedAt', (v->>'submitted_at')::timestamptz) ORDER BY n)
                FROM json_array_elements(p.versions) WITH ORDINALITY AS e (v, n)) AS versions,
            json_build_object('nodes', (SELECT coalesce(json_agg(row_to_json(h)), '[]') FROM (
                SELECT position, type, at FROM {S}.entry WHERE readers && $1 AND record = p.id
                ORDER BY position DESC LIMIT 20) h)) AS history
        FROM {S}.proposal p WHERE p.readers && $1 AND p.id = $2) n)))"""
_SEARCH = f"""
    WITH page AS MATERIALIZED (
        SELECT id, title, 1 + ts_rank(search, (SELECT $2::text::tsquery)) AS rank FROM {S}.proposal
        WHERE (readers && $1) IS TRUE AND search @@ (SELECT $2::text::tsquery) ORDER BY rank DESC, id LIMIT 20)
    SELECT json_build_object('data', json_build_object('search', json_build_object('nodes', (
        SELECT coalesce(json_agg(json_build_object('kind', 'PROPOSAL', 'recordId', id, 'title', title)
            ORDER BY rank DESC, id), '[]') FROM page))))"""
_EXPORT = f"""
    SELECT json_build_object('data', json_build_object('proposals', json_build_object('nodes', (
        SELECT json_agg(row_to_json(n) ORDER BY "changedAt" DESC, id DESC) FROM (
            SELECT p.id, p.title, p.abstract, upper(p.status) AS status, p.version, p.content,
                p.drafted_at AS "draftedAt", p.changed_at AS "changedAt", p.submitted_at AS "submittedAt",
                (SELECT json_build_object('name', l.name, 'country', l.country)
                 FROM {S}.organization l WHERE l.readers && $1 AND l.id = p.lead) AS lead, {_SHORT} AS partners
            FROM (SELECT id FROM {S}.proposal WHERE readers && $1 AND (changed_at, id) < ($2, $3)
                  ORDER BY changed_at DESC, id DESC LIMIT 100) k JOIN {S}.proposal p USING (id)) n))))"""


class Raw:
    """The application; the pool of each route is opened by its first request."""

    def __init__(self) -> None:
        self._principals = os.environ["BENCH_PRINCIPALS"].split(",")
        self._pools: dict[str, asyncpg.Pool] = {}

    async def answer(self, what: str, sql: str, *values: object) -> Response:
        """The statement's bytes, undecoded."""
        if what not in self._pools:
            self._pools[what] = await asyncpg.create_pool(
                os.environ["BENCH_DSN"],
                min_size=8,
                max_size=8,
                init=_codec,
                reset=_nothing,
                server_settings={**SETTINGS, "plan_cache_mode": PLANS[what]},
            )
        found = await self._pools[what].fetchval(sql, self._principals, *values)
        return Response(found, media_type="application/json")

    async def list(self, request: Request) -> Response:
        """Fifty with what belongs to them."""
        return await self.answer("list", _LIST, *msgspec.json.decode(await request.body(), type=After).after)

    async def export(self, request: Request) -> Response:
        """A hundred, whole."""
        return await self.answer("export", _EXPORT, *msgspec.json.decode(await request.body(), type=After).after)

    async def record(self, request: Request) -> Response:
        """One, with everything nested."""
        return await self.answer("record", _RECORD, msgspec.json.decode(await request.body())["id"])

    async def search(self, request: Request) -> Response:
        """The best twenty."""
        return await self.answer("search", _SEARCH, msgspec.json.decode(await request.body())["query"])


class After(msgspec.Struct):
    """A place in a list."""

    after: tuple[datetime, str]


async def _codec(db: asyncpg.Connection) -> None:
    await db.set_type_codec("json", encoder=str.encode, decoder=bytes, schema="pg_catalog", format="binary")


async def _nothing(db: asyncpg.Connection) -> None:
    pass


def application() -> Starlette:
    """Four routes."""
    raw = Raw()
    routes = [
        Route(f"/{name}", getattr(raw, name), methods=["POST"]) for name in ("list", "record", "search", "export")
    ]
    return Starlette(routes=routes)
