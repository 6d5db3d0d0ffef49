"""A told region, and clients of its API; the region is told once for the whole run."""

import contextlib

import httpx2

from hub.door import Hub
from web.app import Settings, application

BASE = "http://hub.example"


async def people_of(hub):
    """The invented people of the region by the key under which it tells them."""
    from hub.region import _data

    rows = await hub.log.pool.fetch(f"SELECT id FROM {hub.models.schema}.person ORDER BY id")
    return dict(zip([each["key"] for each in _data("people")], [row["id"] for row in rows], strict=False))


class Client:
    """Speaks GraphQL as one person."""

    def __init__(self, app, secret=None):
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        transport = httpx2.ASGITransport(app=app)
        self.http = httpx2.AsyncClient(transport=transport, base_url=BASE, headers=headers)

    async def answer(self, query, headers=None, **variables):
        return await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers or {})

    async def data(self, query, headers=None, **variables):
        answer = (await self.answer(query, headers, **variables)).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def code(self, query, **variables):
        answer = (await self.answer(query, **variables)).json()
        return answer["errors"][0]["extensions"]["code"]


@contextlib.asynccontextmanager
async def serving(dsn, demo=False):
    """An open hub, its application, and a maker of clients."""
    hub = await Hub.open(dsn)
    app = application(hub, Settings(demo=demo))

    async def client(person=None, scope=("everything",)):
        return Client(app, await hub.identity.token(person, scope, "test", 1) if person else None)

    try:
        yield hub, app, client
    finally:
        await hub.close()
