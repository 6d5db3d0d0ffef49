"""The API through clients and audits that others wrote, against a hub that serves on loopback."""

import asyncio
import json
import re

import httpx2
import pytest
from graphql import GraphQLError
from starlette.testclient import TestClient

from domain.core import UnknownEvent
from domain.people.commands import InvitePerson
from hub.door import Hub
from hub.identity import fingerprint
from tests.test_log import told
from tests.web import draft_of, node, opened, people_of, serving
from web.app import Settings
from web.live import Closing, Live
from web.reads.viewer import Viewers
from web.served import Served


async def author_and_draft(dsn):
    """A researcher, a token of theirs, and a draft of theirs."""
    async with serving(dsn) as (hub, _, _):
        person = (await people_of(hub))["karimova"]
        return person, await hub.identity.token(person, ["everything"], "test", 1), await draft_of(hub, person)


async def token_of(dsn, person):
    """One more token of somebody's."""
    async with serving(dsn) as (hub, _, _):
        return await hub.identity.token(person, ["everything"], "another", 1)


async def revoked(dsn, token):
    """End the access that one token gives."""
    async with serving(dsn) as (hub, _, _):
        await hub.log.pool.execute("DELETE FROM hub.access WHERE hash = $1", fingerprint(token))


def test_one_address_does_not_take_the_places_of_all_others(region_dsn, monkeypatch):
    monkeypatch.setattr("web.live.MOST_EACH", 3)

    async def story():
        async with serving(region_dsn) as (hub, _, _):
            live = Live(hub.log)

            async def listening(who, address):
                heard = live.follow(0, who, address)
                await anext(heard)
                return heard

            begun = [await listening(None, "192.0.2.1") for _ in range(3)]
            with pytest.raises(GraphQLError, match="Too many are listening"):
                await listening(None, "192.0.2.1")
            # Nobody else is kept out by that, neither another address nor somebody who has signed in at this one.
            begun += [await listening(None, "192.0.2.2"), await listening("person_1", "192.0.2.1")]
            await begun.pop(0).aclose()
            begun.append(await listening(None, "192.0.2.1"))
            for each in begun:
                await each.aclose()

    told(story())


def test_the_audit_of_graphql_over_http_passes_whole(region_dsn):
    with opened(region_dsn) as url:
        audit = node("audit.mjs", f"{url}/graphql")
        said, _ = audit.communicate(timeout=60)
    results = [json.loads(line) for line in said.splitlines()]
    assert len(results) >= 61
    assert [each for each in results if each["status"] != "ok"] == []


WATCH = """subscription($id: ID!, $after: Int) { recordChanged(id: $id, after: $after) {
    event { type position } record { ... on Proposal { title } } } }"""
REVISE = "mutation($input: ReviseProposalInput!) { reviseProposal(input: $input) { receipt { position } } }"


@pytest.mark.parametrize("how", ["events", "socket"])
def test_changes_reach_a_client_that_others_wrote(region_dsn, how):
    _, token, id = told(author_and_draft(region_dsn))
    with opened(region_dsn) as url, httpx2.Client(headers={"authorization": f"Bearer {token}"}) as http:
        head = http.post(f"{url}/graphql", json={"query": "{ hub { head } }"}).json()["data"]["hub"]["head"]
        # Said with the position at which it began, so nothing that happens before it listens is missed.
        listening = node("listen.mjs", how, f"{url}/graphql", token, 2, WATCH, json.dumps({"id": id, "after": head}))
        assert listening.stdout.readline() == "listening\n"
        positions = []
        for title in ("Heard once", "Heard twice"):
            positions.append(revised(http, url, id, title))
        said, _ = listening.communicate(timeout=30)
    changes = [json.loads(line)["data"]["recordChanged"] for line in said.splitlines()]
    assert [each["event"] for each in changes] == [{"type": "ProposalRevised", "position": at} for at in positions]
    assert changes[-1]["record"]["title"] == "Heard twice"


def revised(http, url, id, title):
    """Change a draft; the position of what was recorded."""
    body = {"query": REVISE, "variables": {"input": {"proposal": id, "title": title}}}
    return http.post(f"{url}/graphql", json=body).json()["data"]["reviseProposal"]["receipt"]["position"]


def heard(http, url, id, last=None, then=lambda: None):
    """The next event of a record's stream, its id and its data, where that begins or goes on after the ``last``."""
    asked = {"query": WATCH, "variables": json.dumps({"id": id})}
    headers = {"accept": "text/event-stream"} | ({"last-event-id": str(last)} if last is not None else {})
    with http.stream("GET", f"{url}/graphql", params=asked, headers=headers) as stream:
        assert stream.status_code == 200, stream.read()
        lines = filter(None, stream.iter_lines())
        assert next(lines) == ":"
        then()
        told = dict(line.split(": ", 1) for line in (next(lines), next(lines), next(lines)))
    assert told["event"] == "next"
    return int(told["id"]), json.loads(told["data"])["data"]["recordChanged"]


def test_a_stream_that_broke_goes_on_after_the_event_that_was_heard_last(region_dsn):
    _, token, id = told(author_and_draft(region_dsn))
    with opened(region_dsn) as url, httpx2.Client(headers={"authorization": f"Bearer {token}"}) as http:
        made = []
        head = http.post(f"{url}/graphql", json={"query": "{ hub { head } }"}).json()["data"]["hub"]["head"]
        at, change = heard(http, url, id, head, lambda: made.append(revised(http, url, id, "While it listened")))
        assert [at] == made and change["event"] == {"type": "ProposalRevised", "position": at}
        missed = revised(http, url, id, "While it was away")
        at, change = heard(http, url, id, at)
        assert at == missed and change["record"]["title"] == "While it was away"
        # Who asks for something else at such a place is told nothing of it.
        other = {"query": "{ me { id } }"}
        answer = http.post(f"{url}/graphql", json=other, headers={"accept": "text/event-stream", "last-event-id": "5"})
        assert "event: next" in answer.text and "id: 5" not in answer.text
        for last in ("abc", "-1", "9" * 30, "1.5"):
            answer = http.get(
                f"{url}/graphql",
                params={"query": WATCH, "variables": json.dumps({"id": id})},
                headers={"accept": "text/event-stream", "last-event-id": last},
            )
            assert answer.status_code == 400 and "position of the log" in answer.text, last


@pytest.mark.parametrize("how", ["events", "socket"])
def test_a_hub_that_closes_cuts_its_streams_off_and_does_not_complete_them(region_dsn, how):
    """A client that others wrote comes back after an interruption, and never after what is complete."""
    _, token, id = told(author_and_draft(region_dsn))
    with opened(region_dsn) as url:
        listening = node("listen.mjs", how, f"{url}/graphql", token, 999, WATCH, json.dumps({"id": id, "after": 0}))
        assert listening.stdout.readline() == "listening\n"
        assert json.loads(listening.stdout.readline())["data"]["recordChanged"]["event"]["type"] == "ProposalDrafted"
    assert listening.wait(20) != 0


def test_who_begins_to_listen_with_others_hears_everything_once_and_in_order(dsn):
    """As when browsers come back after the hub was away."""

    async def story():
        hub = await Hub.open(dsn)
        live, heard = Live(hub.log), [[] for _ in range(8)]

        async def listen(own):
            async for recorded in live.follow():
                own.append(recorded.position)

        # Connections for all of them, so that none begins after another.
        await asyncio.gather(*(hub.log.head() for _ in range(40)))
        listening = [asyncio.create_task(listen(own)) for own in heard]
        await asyncio.sleep(0.3)
        first = await hub.log.head()
        for n in range(20):
            await hub.do(InvitePerson(name="Somebody", email=f"person-{n}@example.org"))
        last = await hub.log.head()
        for _ in range(100):
            if all(own and own[-1] == last for own in heard):
                break
            await asyncio.sleep(0.1)
        live.end()
        ended = await asyncio.gather(*listening, return_exceptions=True)
        assert all(isinstance(each, Closing) for each in ended)
        assert all(own == list(range(first + 1, last + 1)) for own in heard), heard
        await hub.close()

    told(story())


def test_a_place_that_the_log_does_not_have_is_refused_and_not_waited_at(region_dsn):
    _, token, id = told(author_and_draft(region_dsn))
    with opened(region_dsn) as url, httpx2.Client(headers={"authorization": f"Bearer {token}"}) as http:
        head = http.post(f"{url}/graphql", json={"query": "{ hub { head } }"}).json()["data"]["hub"]["head"]
        text = "subscription($id: ID!, $after: Int) { recordChanged(id: $id, after: $after) { event { position } } }"
        asked = {"query": text, "variables": json.dumps({"id": id, "after": -1})}
        # Far beyond: the hub may have recorded the seals of its read models meanwhile.
        for after, last in ((-1, ""), (head + 500, ""), (2**31 - 1, ""), (0, str(head + 500))):
            asked["variables"] = json.dumps({"id": id, "after": after})
            headers = {"accept": "text/event-stream"} | ({"last-event-id": last} if last else {})
            answer = http.get(f"{url}/graphql", params=asked, headers=headers).text
            why = r"it ends at \d" if last or after > 0 else "begin at 0"
            code = "AHEAD_OF_LOG" if last or after > 0 else "BAD_INPUT"
            assert f'"{code}"' in answer and re.search(why, answer) and "id:" not in answer


def test_what_is_asked_for_of_each_event_costs_little(region_dsn):
    _, token, id = told(author_and_draft(region_dsn))
    with opened(region_dsn) as url, httpx2.Client(headers={"authorization": f"Bearer {token}"}) as http:
        revised(http, url, id, "Heard")
        nested = "event { record { history(first: 60) { nodes { changes { before after } } } } }"
        text = f"subscription($id: ID!) {{ recordChanged(id: $id, after: 0) {{ {nested} }} }}"
        asked = {"query": text, "variables": json.dumps({"id": id})}
        with http.stream("GET", f"{url}/graphql", params=asked, headers={"accept": "text/event-stream"}) as stream:
            assert any("TOO_COSTLY" in line and "2,000" in line for line in stream.iter_lines())


def test_what_an_error_kept_back_is_heard_by_whoever_comes_back(region_dsn):
    person, token, id = told(author_and_draft(region_dsn))
    again = told(token_of(region_dsn, person))
    with opened(region_dsn) as url, httpx2.Client(headers={"authorization": f"Bearer {token}"}) as http:
        other = httpx2.Client(headers={"authorization": f"Bearer {again}"})
        head = http.post(f"{url}/graphql", json={"query": "{ hub { head } }"}).json()["data"]["hub"]["head"]
        first = revised(http, url, id, "Heard")
        asked = {"query": WATCH, "variables": json.dumps({"id": id})}
        headers = {"accept": "text/event-stream", "last-event-id": str(head)}
        with http.stream("GET", f"{url}/graphql", params=asked, headers=headers) as stream:
            lines = filter(None, stream.iter_lines())
            assert [next(lines) for _ in range(2)] == [":", f"id: {first}"]
            told(revoked(region_dsn, token))
            kept_back = revised(other, url, id, "Kept back")
            rest = list(lines)
        assert "UNAUTHENTICATED" in rest[-3] and f"id: {kept_back}" not in rest
        at, change = heard(other, url, id, first)
        assert at == kept_back and change["record"]["title"] == "Kept back"
        other.close()


def test_several_processes_serve_one_hub(region_dsn):
    _, token, id = told(author_and_draft(region_dsn))
    with (
        opened(region_dsn, "--workers", "2") as url,
        httpx2.Client(headers={"authorization": f"Bearer {token}"}) as http,
    ):
        positions = []
        for n in range(40):
            input = {"proposal": id, "title": f"Title {n}"}
            # A connection of its own each, so that both processes get their share.
            with httpx2.Client(headers=http.headers) as once:
                answer = once.post(f"{url}/graphql", json={"query": REVISE, "variables": {"input": input}})
                positions.append(answer.json()["data"]["reviseProposal"]["receipt"]["position"])
                title = once.post(
                    f"{url}/graphql",
                    json={"query": "query($id: ID!) { proposal(id: $id) { title } }", "variables": {"id": id}},
                ).json()["data"]["proposal"]["title"]
                assert title == f"Title {n}"
        # Between them the hub seals its read models.
        assert sorted(set(positions)) == positions and len(positions) == 40


def test_who_listens_is_let_go_where_an_event_cannot_be_understood(dsn, monkeypatch):
    """As one of a newer version that serves beside this one: nobody waits in vain, and who comes back hears it."""

    async def story():
        hub = await Hub.open(dsn)
        live, read = Live(hub.log), hub.log.read
        listening = live.follow()
        first = asyncio.create_task(anext(listening))
        await asyncio.sleep(0.3)

        async def unknown(*given, **more):
            if await read(*given, **more):
                raise UnknownEvent("ReviewAssigned")
            return []

        with monkeypatch.context() as patched:
            patched.setattr(hub.log, "read", unknown)
            await hub.do(InvitePerson(name="Somebody", email="somebody@example.org"))
            with pytest.raises(Closing):
                await asyncio.wait_for(first, 10)
        again = live.follow(after=0)
        assert (await asyncio.wait_for(anext(again), 10)).type == "PersonInvited"
        await again.aclose()
        await hub.close()

    told(story())


def test_a_socket_says_that_the_database_is_away_and_may_be_asked_again(region_dsn, monkeypatch):
    async def away(*_):
        raise OSError("no server")

    spoken = {"subprotocols": ["graphql-transport-ws"]}
    with TestClient(Served(region_dsn, Settings())) as client, client.websocket_connect("/graphql", **spoken) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json() == {"type": "connection_ack"}
        asked = {"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}}
        with monkeypatch.context() as patched:
            patched.setattr(Viewers, "find", away)
            socket.send_json(asked)
            refused = socket.receive_json()
            assert (refused["type"], refused["payload"][0]["extensions"]["code"]) == ("error", "BUSY")
        # Under the same name, which is free again.
        socket.send_json(asked)
        assert socket.receive_json()["payload"]["data"] == {"__typename": "Query"}
