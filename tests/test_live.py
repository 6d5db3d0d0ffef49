"""Changes as they happen, over server-sent events and sockets, to whom they concern."""

import asyncio
import json

import asyncpg
import pytest
from starlette.testclient import TestClient

from domain.proposals.commands import ReviseProposal
from domain.proposals.partners import UninvitePartner
from hub.door import Hub
from tests.test_log import told
from tests.web import draft_of, people_of, serving
from web.app import Settings
from web.asking import Asked
from web.reads import fallback
from web.served import Served

SUBSCRIBE = """subscription($id: ID!, $after: Int) { recordChanged(id: $id, after: $after) {
    event { position type } record { id ... on Proposal { title } } } }"""


def test_what_may_not_be_read_any_more_when_it_would_be_told_is_passed_over(region_dsn, monkeypatch):
    """A partner is taken back at the moment at which the event is sent."""

    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            person, id = people["karimova"], await draft_of(hub, people["karimova"])
            secret = await hub.identity.token(person, ["read"], "t", 1)
            viewer = await app.endpoint.viewers.find(secret)
            reads, read = [], fallback.read

            async def gone_at_first(*args):
                reads.append(args)
                return None if len(reads) == 1 else await read(*args)

            monkeypatch.setattr(fallback, "read", gone_at_first)
            ask = Asked(
                "subscription($id: ID!, $after: Int) { recordChanged(id: $id, after: $after) { event { position } } }",
                None,
                {"id": id, "after": await hub.log.head()},
            )
            for title in ("First change", "Second change"):
                done = await hub.do(ReviseProposal(proposal=id, title=title), person)
            heard = json.loads(await asyncio.wait_for(anext(app.endpoint.results(ask, viewer, secret)), 10))
            assert heard == {"data": {"recordChanged": {"event": {"position": done.position}}}}

    told(story())


def test_changes_come_live_to_whom_they_concern(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            person, id = people["karimova"], await draft_of(hub, people["karimova"])
            endpoint = app.endpoint
            secret = await hub.identity.token(person, ["read"], "t", 1)
            theirs = await hub.identity.token(people["mammedova"], ["read"], "t", 1)
            audits = await hub.identity.token(people["osmonov"], ["read"], "t", 1)
            heard = {}

            async def listen(name, secret, count):
                viewer = await endpoint.viewers.find(secret)
                ask = Asked(SUBSCRIBE, None, {"id": id})
                async for body in endpoint.results(ask, viewer, secret):
                    heard.setdefault(name, []).append(json.loads(body))
                    if len(heard[name]) == count:
                        return

            waiting = asyncio.create_task(listen("author", secret, 2))
            stranger = asyncio.create_task(listen("stranger", theirs, 1))
            auditor = asyncio.create_task(listen("auditor", audits, 2))
            await asyncio.sleep(0.3)
            for title in ("First change", "Second change"):
                await hub.do(ReviseProposal(proposal=id, title=title), person)
            await asyncio.wait_for(waiting, 10)
            titles = [each["data"]["recordChanged"]["record"]["title"] for each in heard["author"]]
            assert titles[-1] == "Second change"
            positions = [each["data"]["recordChanged"]["event"]["position"] for each in heard["author"]]
            assert positions == sorted(set(positions))
            await asyncio.sleep(0.3)
            assert "stranger" not in heard
            stranger.cancel()
            # Whoever sees the event without the record, as auditors do, hears of it.
            await asyncio.wait_for(auditor, 10)
            changes = [each["data"]["recordChanged"] for each in heard["auditor"]]
            assert [each["event"]["position"] for each in changes] == positions
            assert [each["record"] for each in changes] == [None, None]
            # Whoever was away picks up where they left off.
            viewer = await endpoint.viewers.find(secret)
            ask = Asked(SUBSCRIBE, None, {"id": id, "after": positions[0] - 1})
            stream = endpoint.results(ask, viewer, secret)
            assert json.loads(await anext(stream))["data"]["recordChanged"]["event"]["position"] == positions[0]
            # A revoked token hears nothing more.
            for each in await hub.identity.held(person):
                await hub.identity.revoke(person, each.id)
            assert json.loads(await asyncio.wait_for(anext(stream), 10))["errors"][0]["extensions"] == {
                "code": "UNAUTHENTICATED"
            }
            with pytest.raises(StopAsyncIteration):
                await asyncio.wait_for(anext(stream), 10)

    told(story())


def test_who_is_asked_no_more_hears_of_that_and_of_nothing_after(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            author, officer, id = people["karimova"], people["toktogulov"], await draft_of(hub, people["karimova"])
            sql = f"SELECT organization FROM {hub.models.schema}.officer WHERE person = $1"
            partner = await hub.log.pool.fetchval(sql, officer)
            secret, after = await hub.identity.token(officer, ["read"], "t", 1), await hub.log.head()
            await hub.do(UninvitePartner(proposal=id, organization=partner), author)
            await hub.do(ReviseProposal(proposal=id, title="Without them"), author)
            heard = "event { type recordId actorName } record { id }"
            text = f"subscription($after: Int) {{ happened(after: $after) {{ {heard} }} }}"
            stream = app.endpoint.results(
                Asked(text, None, {"after": after}), await app.endpoint.viewers.find(secret), secret
            )
            told_ = json.loads(await asyncio.wait_for(anext(stream), 10))["data"]["happened"]
            # Nor are they told what its people are called from then on.
            event = {"type": "PartnerUninvited", "recordId": id, "actorName": None}
            assert told_ == {"event": event, "record": None}
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.5)

    told(story())


def test_server_sent_events_and_sockets(region_dsn):

    async def prepared():
        hub = await Hub.open(region_dsn)
        person = (await people_of(hub))["karimova"]
        id, secret = await draft_of(hub, person), await hub.identity.token(person, ["everything"], "t", 1)
        head = await hub.log.head()
        await hub.do(ReviseProposal(proposal=id, title="Seen by all"), person)
        await hub.close()
        return id, secret, head

    id, secret, head = told(prepared())
    bearer = {"authorization": f"Bearer {secret}"}
    with TestClient(Served(region_dsn, Settings())) as client:
        body = {"query": "{ me { id } }"}
        events = client.post("/graphql", json=body, headers={**bearer, "accept": "text/event-stream"}).text
        assert "event: next\ndata: " in events and events.endswith("event: complete\ndata:\n\n")
        with client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"], headers=bearer) as socket:
            socket.send_json({"type": "ping"})
            assert socket.receive_json() == {"type": "pong"}
            socket.send_json({"type": "connection_init"})
            assert socket.receive_json() == {"type": "connection_ack"}
            payload = {"query": SUBSCRIBE, "variables": {"id": id, "after": head}}
            socket.send_json({"type": "subscribe", "id": "1", "payload": payload})
            change = socket.receive_json()["payload"]["data"]["recordChanged"]
            assert change["record"]["title"] == "Seen by all" and change["event"]["position"] == head + 1
            socket.send_json({"type": "complete", "id": "1"})
            socket.send_json({"type": "subscribe", "id": "2", "payload": {"query": "{ nope }"}})
            assert socket.receive_json()["type"] == "error"
            socket.send_json({"type": "subscribe", "id": "3", "payload": body})
            assert socket.receive_json()["payload"]["data"]["me"]
            assert socket.receive_json() == {"type": "complete", "id": "3"}
            # A retry is safe here, too, where no header says its key.
            revise = (
                f'mutation {{ reviseProposal(input: {{proposal: "{id}", title: "%s"}}) {{ receipt {{ position }} }} }}'
            )
            positions = []
            for n in range(2):
                payload = {"query": revise % "Once", "extensions": {"idempotencyKey": "once-and-again"}}
                socket.send_json({"type": "subscribe", "id": f"key {n}", "payload": payload})
                positions.append(socket.receive_json()["payload"]["data"]["reviseProposal"]["receipt"]["position"])
                assert socket.receive_json()["type"] == "complete"
            assert positions[0] == positions[1]
            # One too many is refused, and ends none of the others.
            payload = {"query": SUBSCRIBE, "variables": {"id": id}}
            for n in range(51):
                socket.send_json({"type": "subscribe", "id": f"many {n}", "payload": payload})
            refused = socket.receive_json()
            assert refused["id"] == "many 50" and refused["payload"][0]["extensions"]["code"] == "BUSY"
            for n in range(50):
                socket.send_json({"type": "complete", "id": f"many {n}"})
            socket.send_json({"type": "ping"})
            assert socket.receive_json() == {"type": "pong"}
            socket.send_text("[" * 10_000)
            assert socket.receive()["code"] == 4400
        with client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"], headers=bearer) as socket:
            socket.send_bytes(b'{"type": "ping"}')
            assert socket.receive()["code"] == 4400

        shown = f"Bearer {secret}"
        for payload in ({"Authorization": shown}, {"authorization": shown}, {"headers": {"Authorization": shown}}):
            with client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"]) as socket:
                socket.send_json({"type": "connection_init", "payload": payload})
                assert socket.receive_json() == {"type": "connection_ack"}
                socket.send_json({"type": "subscribe", "id": "1", "payload": body})
                assert socket.receive_json()["payload"]["data"]["me"]

        # What is said when it closes fits its frame, in whichever letters.
        with client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"], headers=bearer) as socket:
            socket.send_json({"type": "connection_init"})
            assert socket.receive_json() == {"type": "connection_ack"}
            live = {"query": "subscription { happened { event { position } } }"}
            for _ in range(2):
                socket.send_json({"type": "subscribe", "id": "ғ" * 100, "payload": live})
            closed = socket.receive()
            assert closed["code"] == 4409 and len(closed["reason"].encode()) < 124

        async def revoked():
            db = await asyncpg.connect(region_dsn)
            await db.execute("DELETE FROM hub.access")
            await db.close()

        with client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"], headers=bearer) as socket:
            socket.send_json({"type": "connection_init"})
            assert socket.receive_json() == {"type": "connection_ack"}
            told(revoked())
            socket.send_json({"type": "subscribe", "id": "1", "payload": body})
            assert socket.receive()["code"] == 4403


def test_a_subscription_that_nothing_could_meet_is_a_mistake(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            secret = await hub.identity.token((await people_of(hub))["karimova"], ["read"], "t", 1)
            viewer = await app.endpoint.viewers.find(secret)
            for field in ("call", "lead", "investigator", "partner"):
                query = f'subscription {{ proposalChanged(where: {{{field}: "x"}}) {{ event {{ type }} }} }}'
                answers = app.endpoint.results(Asked(query, None, {}), viewer, "")
                refused = json.loads(await asyncio.wait_for(anext(aiter(answers)), 10))
                assert refused["errors"][0]["extensions"]["code"] == "BAD_INPUT"

    told(story())


def test_a_process_that_begins_while_the_database_is_away_waits_for_it(region_dsn, monkeypatch):
    opened, tries = Hub.open, []

    async def away(*given):
        tries.append(given)
        if len(tries) < 3:
            raise ConnectionRefusedError("the database is away")
        return await opened(*given)

    monkeypatch.setattr(Hub, "open", away)
    with TestClient(Served(region_dsn, Settings())) as client:
        assert client.get("/health").status_code == 200 and len(tries) == 3


def test_a_subscription_that_cannot_be_answered_says_so(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            from domain.organizations.commands import RegisterOrganization

            endpoint, person = app.endpoint, (await people_of(hub))["karimova"]
            text = 'subscription { organizationChanged(where: {ror: "\\u0000"}) { event { position } } }'
            stream = endpoint.results(Asked(text, None, {}), await endpoint.viewers.find(None), None)
            waiting = asyncio.create_task(anext(stream))
            await asyncio.sleep(0.3)
            await hub.do(RegisterOrganization(name="New one", kind="other", city="Osh", country="KG"), person)
            told_ = json.loads(await asyncio.wait_for(waiting, 10))
            assert told_["errors"][0]["extensions"]["code"] == "BAD_INPUT"
            await stream.aclose()

    told(story())


def test_a_record_that_cannot_be_is_not_waited_for(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, app, _):
            viewer = await app.endpoint.viewers.find("")
            answers = app.endpoint.results(Asked(SUBSCRIBE, None, {"id": "nonsense"}), viewer, "")
            refused = json.loads(await asyncio.wait_for(anext(aiter(answers)), 10))
            assert refused["errors"][0]["extensions"]["code"] == "BAD_INPUT"

    told(story())
