"""People are found by what they are called: by whoever may know them, and nobody else."""

import asyncio

from starlette.testclient import TestClient

from domain.erasure import ErasePerson
from domain.people.commands import CorrectName
from hub.door import Hub
from tests.test_log import told
from tests.web import as_, people_of, serving
from web.app import Settings
from web.reads import names
from web.served import Served

ASKED = "query($name: String) { people(first: 50, where: {name: $name}) { totalCount nodes { name } } }"


async def found(client, name):
    """What those are called who are found by a name."""
    people = (await client.data(ASKED, name=name))["people"]
    assert people["totalCount"] == len(people["nodes"])
    return sorted(each["name"] for each in people["nodes"])


def test_the_center_finds_people_by_the_beginnings_of_their_names_in_either_script(region_dsn, monkeypatch):
    monkeypatch.setattr(names, "AT_ONCE", 3)

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            center = await client((await people_of(hub))["rahimova"])
            every = await found(center, None)
            for typed in ("Зарина Каримова", "каримова зарина", "Зар Кар", "karimova", "ZARINA  kar", "Карим,"):
                assert await found(center, typed) == ["Зарина Каримова"], typed
            # Who has no such letters on a keyboard types those of Russian.
            for typed in ("Рахимова", "Раҳимова", "rahimova"):
                assert await found(center, typed) == ["Нилуфар Раҳимова"], typed
            # What is misspelled finds who is meant, where nobody is called that.
            for typed in ("Карымова", "zarena karimowa", "arina"):
                assert await found(center, typed) == ["Зарина Каримова"], typed
            assert await found(center, "Aibek") == ["Айбек Токтогулов"]
            # Not a part of a word, nor an e-mail address, nor what is no word.
            for typed in ("имов", "example", "Зарина Серикова", "%", "!!!", "\0", "x" * 5_000):
                assert await found(center, typed) == [], typed
            assert await found(center, "") == await found(center, "  ") == every and len(every) > 10
            two = """{ a: people(where: {name: "зарина"}) { totalCount } b: people(where: {name: "ayb"}) { totalCount }
                       c: people(where: {name: "зарина", status: [INVITED]}) { totalCount nodes { id } } }"""
            assert await center.data(two) == {
                "a": {"totalCount": 1},
                "b": {"totalCount": 1},
                "c": {"totalCount": 0, "nodes": []},
            }

    told(story())


def test_pages_of_those_who_are_found_follow_one_another(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            center = await client((await people_of(hub))["rahimova"])
            query = """query($after: String) { people(first: 2, after: $after, where: {name: "а"}) {
                totalCount nodes { name } pageInfo { hasNextPage endCursor } } }"""
            every, after = [], None
            while True:
                page = (await center.data(query, after=after))["people"]
                every += [each["name"] for each in page["nodes"]]
                after = page["pageInfo"]["endCursor"]
                if not page["pageInfo"]["hasNextPage"]:
                    break
            assert len(every) == page["totalCount"] == len(await found(center, "а")) > 2
            assert sorted(every) == await found(center, "а")

    told(story())


def test_nobody_finds_whom_they_may_not_know(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            author, anybody, officer = (
                await client(people["karimova"]),
                await client(),
                await client(people["nazarov"]),
            )
            assert await found(author, "Зарина") == ["Зарина Каримова"]
            for typed in ("Нилуфар", "Фаррух", "Айбек"):
                assert await found(author, typed) == [], typed
            assert await found(anybody, "Зарина") == await found(anybody, None) == []
            # Whoever acts for an organization knows who says that they work there.
            assert "Зарина Каримова" in await found(officer, "зар") and await found(officer, "Нилуфар") == []

    told(story())


def test_whoever_corrects_their_name_is_found_by_that_alone(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            center = await client(people["rahimova"])
            assert await found(center, "Каримова") == ["Зарина Каримова"]
            await hub.do(CorrectName(person=people["karimova"], name="Зарина Юсуфӣ"), people["karimova"])
            assert await found(center, "Каримова") == [] and await found(center, "юсуфи") == ["Зарина Юсуфӣ"]

    told(story())


def test_an_erased_person_is_found_no_more_and_no_name_stays_in_memory(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            people = await people_of(hub)
            center, own = await client(people["rahimova"]), app.endpoint.reads.names
            assert await found(center, "Каримова") == ["Зарина Каримова"]
            held = len(own.opened)
            await hub.do(ErasePerson(person=people["karimova"]), people["karimova"])
            assert await found(center, "Каримова") == []
            assert len(own.opened) == held - 1 and not any("karimova" in each for each in own.opened.values())
            # Nobody looks for anybody: after a while no name is here.
            monkeypatch.setattr(names, "UNASKED", 0.01)
            assert await found(center, "Фаррух") and own.opened
            await asyncio.sleep(0.1)
            assert not own.opened and not own.known[1]

    told(story())


def test_names_that_cannot_be_opened_are_found_by_nobody_and_who_looks_for_too_long_hears_so(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            center = await client(people["rahimova"])
            await hub.log.pool.execute("DELETE FROM hub.box WHERE person = $1", people["karimova"])
            assert await found(center, "Каримова") == [] and await found(center, "unreadable") == []

            async def stuck(*_):
                await asyncio.sleep(60)

            monkeypatch.setattr(hub.vault, "read", stuck)
            monkeypatch.setattr("web.reads.executor.TIMEOUT", 0.1)
            async with serving(region_dsn) as (other, _, another):
                monkeypatch.setattr(other.vault, "read", stuck)
                slow = await another(people["rahimova"])
                assert await slow.code(ASKED, name="Фаррух") == "TOO_SLOW"
                # The cost is known before anybody is looked for.
                costly = " ".join(
                    f'a{n}: people(first: 100, where: {{name: "x"}}) {{ nodes {{ affiliations {{ id }} }} }}'
                    for n in range(40)
                )
                assert await slow.code(f"{{ {costly} }}") == "TOO_COSTLY"

    told(story())


def test_they_are_found_whichever_way_it_is_asked(region_dsn):
    async def secret():
        hub = await Hub.open(region_dsn)
        made = await hub.identity.token((await people_of(hub))["rahimova"], ["everything"], "t", 1)
        await hub.close()
        return made

    bearer = {"authorization": f"Bearer {told(secret())}"}
    expected = [{"name": "Зарина Каримова"}]
    with TestClient(Served(region_dsn, Settings())) as client:
        body = {"query": ASKED, "variables": {"name": "karimova"}}
        for _ in range(3):
            answer = client.post("/graphql", json=body, headers=bearer).json()
            assert answer["data"]["people"]["nodes"] == expected
        beside = {**body, "query": ASKED.replace("{ people", "{ __schema { queryType { name } } people", 1)}
        assert client.post("/graphql", json=beside, headers=bearer).json()["data"]["people"]["nodes"] == expected
        with client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"], headers=bearer) as socket:
            socket.send_json({"type": "connection_init"})
            assert socket.receive_json() == {"type": "connection_ack"}
            socket.send_json({"type": "subscribe", "id": "1", "payload": body})
            assert socket.receive_json()["payload"]["data"]["people"]["nodes"] == expected


def test_the_search_and_the_list_of_people_find_them_on_pages(region_dsn):
    async def story():
        async with serving(region_dsn, demo=True) as (hub, app, _):
            people = await people_of(hub)
            center, author = await as_(hub, app, people["rahimova"]), await as_(hub, app, people["karimova"])
            address = f'href="/people/{people["nazarov"]}"'
            for page in ("/search?text=Фаррух", "/search?text=farrukh", "/people?name=фаррух+наз"):
                shown = (await center.get(page)).text
                assert address in shown and ("<mark>Фаррух</mark>" in shown) == ("farrukh" not in page), page
                hidden = (await author.get(page)).text
                assert address not in hidden and "Фаррух Назаров" not in hidden, page

    told(story())
