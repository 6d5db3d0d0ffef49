"""Compiled answers equal those of an independent executor, for every viewer."""

import asyncio
import json
import random
from pathlib import Path

import asyncpg
import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, parse, validate
from jsonschema import Draft202012Validator

from domain.core import HUB, HubRole, every_event, record_of
from domain.organizations.commands import SuspendOrganization
from domain.people.commands import RevokeRole
from domain.standing import standing
from projections.core import office, offices
from tests.oracle import Author, Oracle, bare, known, rows_of
from tests.stories import NOW, StoryAct, StoryModel
from tests.test_log import told
from tests.web import people_of, serving
from web.conditions import every_condition
from web.labels import LABELS
from web.pages import LISTS, SITE, text
from web.schema import published, schema


async def agree(client, oracle, text, variables):
    """Both say the same."""
    response = await client.answer(text, **variables)
    answer = response.json()
    if answer.get("errors"):
        assert {each["extensions"]["code"] for each in answer["errors"]} <= {"TOO_COSTLY", "TOO_MANY_ALIASES"}, answer
        return False
    assert answer["data"] == oracle.execute(text, variables), text
    return True


@pytest.mark.parametrize("seed", range(6))
def test_generated_operations_agree_with_the_oracle(region_dsn, seed, monkeypatch):
    # Everybody's few rows are found by their readers; for who may read many, lists are walked along their order.
    monkeypatch.setattr("web.reads.viewer.FEW", 1_000 if seed % 2 else -1)

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            chance, rows, plain = random.Random(seed), await rows_of(hub), bare()
            times = [row["at"] for row in rows["entry"]]
            ids = [row["id"] for table in ("proposal", "organization", "call", "person") for row in rows[table]]
            people, agreed = await people_of(hub), 0
            viewers = []
            for person in [None, *chance.sample(sorted(people.values()), 4)]:
                oracle = Oracle(plain, rows, await serving_viewer(hub, person), person)
                viewers.append((await client(person), oracle))
            for _ in range(40):
                author = Author(plain, chance, chance.sample(ids, 12), chance.sample(times, 4))
                operation, variables = author.operation()
                for viewer, oracle in chance.sample(viewers, 3):
                    agreed += await agree(viewer, oracle, operation, variables)
            assert agreed > 60

    told(story())


def test_every_document_of_the_pages_agrees_with_the_oracle(region_dsn):
    names = [*(page.name for page in SITE), *(f"files/{name}" for name in LISTS), "profile"]
    kinds = {page.name: page.record for page in SITE}

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            rows, plain, people = await rows_of(hub), bare(), await people_of(hub)
            chance, read = random.Random(1), set()
            for person in [None, *(people[name] for name in ("karimova", "rahimova", "osmonov", "toktogulov"))]:
                oracle = Oracle(plain, rows, await serving_viewer(hub, person), person)
                asks = await client(person)
                for name in names:
                    document, declared = known(plain, text(name))
                    given = {
                        "signedIn": person is not None,
                        "runs": True,
                        "answers": True,
                        "past": False,
                        "lately": rows["entry"][9]["at"],
                    }
                    ids = [row["id"] for row in rows[kinds[name]]] if kinds.get(name) else [""]
                    for id in chance.sample(ids, min(4, len(ids))):
                        every = {**given, "id": id, "text": "зар" if name == "search" else None}
                        values = {key: value for key, value in every.items() if key in declared}
                        if await agree(asks, oracle, document, values):
                            read.add(name)
            assert read == set(names)

    told(story())


async def serving_viewer(hub, person):
    from hub.reading import principals

    return await principals(hub.log, hub.models, person)


def test_what_somebody_acts_for_is_the_same_to_who_reads_and_to_who_decides(region_dsn):
    async def differing(hub, people) -> set[str]:
        model = StoryModel([each.event for each in await hub.log.read(limit=100_000)])
        found = set()
        for id in people:
            said = standing(model, StoryAct(id, NOW))
            held = sorted(said.offices) if said.status == "joined" else []
            if held != offices(await serving_viewer(hub, id)):
                found.add(id)
        return found

    async def story():
        async with serving(region_dsn) as (hub, _, _):
            people = await people_of(hub)
            assert await differing(hub, people.values()) == set()
            calls = {id for id in people.values() if any("call_" in each for each in await serving_viewer(hub, id))}
            acting = {id for id in people.values() if offices(await serving_viewer(hub, id))} - calls
            assert calls and acting
            # Offices that remain, and give no power any more.
            one = min(calls)
            await hub.do(RevokeRole(person=one, role=HubRole.CENTER_OFFICER), HUB)
            organization = offices(await serving_viewer(hub, min(acting)))[0]
            await hub.do(SuspendOrganization(organization=organization, reason="It has moved."), HUB)
            assert not any("call_" in each for each in offices(await serving_viewer(hub, one)))
            assert organization not in offices(await serving_viewer(hub, min(acting)))
            assert await differing(hub, people.values()) == set()

    told(story())


def test_the_oracle_notices_a_row_too_many(region_dsn):
    """The positive control: a viewer with one principal more is told something else."""

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            rows, person = await rows_of(hub), (await people_of(hub))["karimova"]
            right = await serving_viewer(hub, person)
            calls = {f"{row['id']}/office" for row in rows["call"]}
            query = "{ proposals(first: 100) { totalCount nodes { id title } } }"
            with pytest.raises(AssertionError):
                await agree(await client(person), Oracle(bare(), rows, right | calls, person), query, {})
            assert await agree(await client(person), Oracle(bare(), rows, right, person), query, {})

    told(story())


def test_pages_of_a_list_join_without_a_gap(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody, found, after = await client(), [], None
            query = """query($after: String, $first: Int) { organizations(first: $first, after: $after) {
                nodes { id name } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""
            while True:
                page = (await anybody.data(query, after=after, first=7))["organizations"]
                found += page["nodes"]
                assert page["pageInfo"]["hasPreviousPage"] == (after is not None)
                if not page["pageInfo"]["hasNextPage"]:
                    break
                after = page["pageInfo"]["endCursor"]
            whole = (await anybody.data(query, first=100))["organizations"]["nodes"]
            assert found == whole and len(found) == len({each["id"] for each in found}) == 43
            assert await anybody.code(query, after="nonsense", first=7) == "BAD_INPUT"
            assert await anybody.code(query, after="WyJ4IiwgMSwgMl0=", first=7) == "BAD_INPUT"
            assert await anybody.code(query, first=101) == "BAD_INPUT"

    told(story())


def test_a_hidden_record_looks_like_an_absent_one(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            rows = await hub.log.pool.fetch(
                f"SELECT id FROM {hub.models.schema}.proposal WHERE status = 'draft' ORDER BY id"
            )
            hidden, absent = rows[0]["id"], "proposal_01m85zsk9pe6qs7d1aevp9da2g"
            query = """query($id: ID!) { proposal(id: $id) { id } node(id: $id) { id }
                activity(first: 100) { nodes { record { id } } } }"""
            mutation = """mutation($input: WithdrawProposalInput!) { withdrawProposal(input: $input) {
                receipt { position } refusal { code message field } proposal { id } } }"""
            stranger = await client((await people_of(hub))["osmonov"])
            for each in (await client(), stranger):
                there, not_there = await each.answer(query, id=hidden), await each.answer(query, id=absent)
                assert there.text == not_there.text and hidden not in there.text
            tries = [
                await stranger.answer(mutation, input={"proposal": id, "reason": "None of mine"})
                for id in (hidden, absent)
            ]
            assert tries[0].text == tries[1].text and "NOT_PERMITTED" in tries[0].text

    told(story())


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("glacier", "Forecasting glacial lake outburst floods"),
        ("outburst flo", "Forecasting glacial lake outburst floods"),
        ("glacial lake outbrust", "Forecasting glacial lake outburst floods"),
        ("glaicers", "Mass balance of Central Asian glaciers"),
        ("Назарбаев унивирситети", "Nazarbayev University"),
        ("кӯҳию металлургии", "Mining and Metallurgical Institute"),
        ("АКАДЕМИЯИ МИЛЛИИ", "Academy of Sciences of the Republic of Tajikistan"),
        ("Әл-Фараби", "Al-Farabi Kazakh National University"),
        ("көчкү", "Жер көчкүлөрдү"),
        ("Amudaryo havz", "Amudaryo havzasi"),
        ("Oʻzbekiston Respublikasi", "Academy of Sciences Republic of Uzbekistan"),
        ("университети", "Osh Technological University"),
        ("Тошканд", "New Uzbekistan University"),
        ("Қирғизистон technical", "Kyrgyz State Technical University"),
        ("Самаркнад", "Samarkand State University"),
        # Typed without the letters of Tajik; by a country's code.
        ("Точикистон горный", "Mining and Metallurgical Institute"),
        ("кухию металлургии", "Mining and Metallurgical Institute"),
        ("TM", "Turkmen State Medical University"),
        # By what people call it, whether ROR knows that or not.
        ("КГТУ", "Kyrgyz State Technical University"),
        ("kstu", "Kyrgyz State Technical University"),
        ("TUIT", "Tashkent University of Information Technology"),
        ("Frunze Polytechnic", "Kyrgyz State Technical University"),
    ],
)
def test_search_finds_words_as_they_are_typed(region_dsn, typed, wanted):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            officer = await client((await people_of(hub))["rahimova"])
            query = "query($text: String!) { search(text: $text, first: 50) { nodes { title } } }"
            found = [each["title"] for each in (await officer.data(query, text=typed))["search"]["nodes"]]
            assert any(title.startswith(wanted) for title in found), found

    told(story())


def test_a_search_finds_the_same_however_common_its_words_are(region_dsn, monkeypatch):
    async def story():
        found = []
        # Always as common words, never, and with a newest that leaves most hits out.
        for sampled, most in ((0, 1_000), (1_000_000, 1_000), (0, 3)):
            monkeypatch.setattr("web.reads.searching.SAMPLED", sampled)
            monkeypatch.setattr("web.reads.searching.MOST_RANKED", most)
            async with serving(region_dsn) as (hub, _, client):
                monkeypatch.setattr("web.reads.viewer.FEW", 0)
                officer = await client((await people_of(hub))["rahimova"])
                query = "query($text: String!) { search(text: $text, first: 50) { nodes { kind recordId title } } }"
                found.append([(await officer.data(query, text=text))["search"]["nodes"] for text in ("a", "of", "пир")])
        assert found[0] == found[1] and found[0][0] != found[2][0]
        assert all(each in found[0][0] for each in found[2][0])

    told(story())


def test_a_list_finds_what_is_spelled_alike_where_it_has_nothing_as_typed(region_dsn):
    """Whatever other lists have as typed; a letter more that is right never empties a list."""

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            author = await client((await people_of(hub))["karimova"])
            query = """query($text: String!, $mine: Boolean) {
                proposals(where: {text: $text, mine: $mine}) { totalCount nodes { title } } }"""

            async def titles(text, mine=None):
                found = (await author.data(query, text=text, mine=mine))["proposals"]
                assert found["totalCount"] == len(found["nodes"])
                return [each["title"] for each in found["nodes"]]

            everywhere = await titles("glaciers")
            assert any("glaciers" in title for title in everywhere)
            mine = "Forecasting glacial lake outburst floods in the Pamir and Tien Shan"
            assert mine not in everywhere
            assert mine in await titles("glaciers", True)
            assert mine in await titles("glacial lake outbrust", True)

    told(story())


def test_a_field_may_be_called_anything(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, __, client):
            for name in ("r", "j", "k0", "n", "p", "t1", "one", "h", "e", "v"):
                found = await (await client()).data(f"""{{ {name}: organizations(first: 1) {{
                {name}: totalCount a: nodes {{ {name}: id names {{ {name}: text }} }} pageInfo {{ {name}: hasNextPage }}
                edges {{ {name}: node {{ {name}: name }} }} }} }}""")
                assert found[name][name] > 1 and found[name]["edges"][0][name][name]

    told(story())


def test_what_takes_too_long_gives_its_connection_back(region_dsn, monkeypatch):
    """A table that cannot be read for a while stops the reading of others only as long as an answer may take."""
    for module in ("executor", "making"):
        monkeypatch.setattr(f"web.reads.{module}.TIMEOUT", 0.5)

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            anybody = await client()
            await anybody.data("{ organizations { totalCount } }")
            db = await asyncpg.connect(hub.log.dsn)
            async with db.transaction():
                await db.execute(f"LOCK TABLE {hub.models.schema}.proposal IN ACCESS EXCLUSIVE MODE")
                slow = '{{ proposals(where: {{text: "k{}"}}) {{ totalCount }} }}'
                answers = await asyncio.gather(*(anybody.answer(slow.format(n)) for n in range(12)))
                # Who has a connection asks for too much; who waits for one comes at a bad moment.
                codes = [each.json()["errors"][0]["extensions"]["code"] for each in answers]
                assert set(codes) == {"TOO_SLOW", "BUSY"} and codes.count("TOO_SLOW") >= 3
                waited = [each for each, code in zip(answers, codes, strict=True) if code == "BUSY"]
                assert all(each.status_code == 503 and each.headers["retry-after"] == "1" for each in waited)
                assert (await anybody.data('{ organizations(where: {text: "univ"}) { totalCount } }'))["organizations"]
            await db.close()

    told(story())


def test_search_shows_what_the_viewer_may_read_and_survives_anything(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            query = "query($text: String!) { search(text: $text, first: 50) { nodes { kind record { id } } } }"
            author = await client((await people_of(hub))["asanova"])
            mine = (await author.data(query, text="жардамчы"))["search"]["nodes"]
            assert [each["kind"] for each in mine] == ["PROPOSAL"]
            assert (await (await client()).data(query, text="жардамчы"))["search"]["nodes"] == []
            for text in ("", "'", "a' & 'b", "\\", "!!!", ":*", "é" * 5_000, "%", "\0", "(((", "<->"):
                await (await client()).data(query, text=text)

    told(story())


def test_a_record_as_it_stood(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            id = await hub.log.pool.fetchval(f"SELECT id FROM {hub.models.schema}.proposal WHERE status = 'returned'")
            author, officer = await client(people["nazarov"]), await client(people["rahimova"])
            history = "query($id: ID!) { proposal(id: $id) { history(first: 50) { nodes { position type at } } } }"
            told_to = {
                name: (await each.data(history, id=id))["proposal"]["history"]["nodes"]
                for name, each in (("author", author), ("officer", officer))
            }
            first = told_to["author"][-1]
            # The office of the call reads it from its submission on; what came before stays the authors'.
            assert first["type"] == "ProposalDrafted"
            assert told_to["officer"][-1]["type"] == "ProposalSubmitted"
            past = """query($id: ID!, $position: Int, $at: DateTime) { proposal(id: $id) { status
                asOf(position: $position, at: $at) { status version partners { status } investigatorName } } }"""
            stood = (await author.data(past, id=id, position=first["position"]))["proposal"]
            assert stood == {
                "status": "RETURNED",
                "asOf": {"status": "DRAFT", "version": 1, "partners": [], "investigatorName": "Фаррух Назаров"},
            }
            assert (await officer.data(past, id=id, position=first["position"]))["proposal"]["asOf"] is None
            by_time = (await author.data(past, id=id, at=first["at"]))["proposal"]["asOf"]
            assert by_time["status"] == "DRAFT"
            assert (await author.data(past, id=id, position=0))["proposal"]["asOf"] is None
            assert await author.code(past, id=id) == "BAD_INPUT"

    told(story())


def test_history_readers_are_those_of_every_row_that_an_event_changed(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, _):
            recorded = {each.position: each for each in await hub.log.read(limit=10_000)}
            entries = await hub.log.pool.fetch(f"SELECT * FROM {hub.models.schema}.entry")
            assert {row["position"] for row in entries} == set(recorded)
            for row in entries:
                assert row["record"] == record_of(recorded[row["position"]].event)
                if row["type"] in ("ProposalDrafted", "AffiliationDeclared", "OfficerAppointed", "CallDrafted"):
                    assert "public" not in row["readers"], row
                if row["type"] == "OfficerAppointed":
                    # Who acts for an organization changes what everybody reads of it, too: that hides it from nobody.
                    appointed = recorded[row["position"]].event
                    theirs = {"center", appointed.person, office(appointed.organization)}
                    assert theirs <= {*row["readers"]}, row
                assert row["readers"], row

    told(story())


def test_every_document_of_the_pages_is_valid():
    for page in [*(page.name for page in SITE), "profile"]:
        assert validate(schema(), parse(text(page))) == [], page
    assert validate(schema(), parse("{ nothing }"))


def test_the_committed_schema_is_the_published_one():
    from pathlib import Path

    assert (Path(__file__).parent.parent / "schema.graphql").read_text() == published()


def test_every_event_is_what_is_published_of_its_type(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            http = (await client()).http
            answer = await http.get("/events.json")
            told_, again = answer.json(), {"if-none-match": answer.headers["etag"]}
            assert (await http.get("/events.json", headers=again)).status_code == 304
            golden = (Path(__file__).parent / "golden_events.jsonl").read_text().splitlines()
            rows = [(each["type"], each["data"], "") for each in map(json.loads, golden)]
            sql = "SELECT type, data::text, tags FROM hub.event"
            rows += [(type, json.loads(data), tags) for type, data, tags in await hub.log.pool.fetch(sql)]
            assert {type for type, _, _ in rows} == set(told_["events"])
            for type, data, tags in rows:
                what = told_["events"][type]
                Draft202012Validator({**what["data"], "$defs": told_["$defs"]}).validate(data)
                assert what["says"].endswith(".") and what["history"]
                named = [data.get(name) for name in what["tags"]]
                assert not tags or all(each in tags for each in named if isinstance(each, str)), (type, named)

    told(story())


def test_every_type_field_and_argument_that_is_not_plain_says_what_it_is():
    undescribed = []
    for type in schema().type_map.values():
        if type.name.startswith("__") or type.name in ("String", "Int", "Float", "Boolean", "ID"):
            continue
        plain = type.name.endswith(("Connection", "Edge", "Order", "Status", "Kind", "Name"))
        if not type.description and not plain:
            undescribed.append(type.name)
    assert undescribed == []


def test_every_value_of_an_enum_has_words():
    shown = {
        (type.name, value)
        for type in schema().type_map.values()
        if isinstance(type, GraphQLEnumType) and not type.name.startswith("__")
        if not type.name.endswith("Order") and type.name not in ("RefusalCode", "Language")
        for value in type.values
    }
    known = {(of, value) for of, values in LABELS.items() for value in values}
    assert shown <= known, shown - known


def test_every_condition_is_used():
    used = {
        argument.value.value
        for type in schema().type_map.values()
        if isinstance(type, GraphQLInputObjectType) and type.ast_node
        for field in type.fields.values()
        for directive in field.ast_node.directives or ()
        if directive.name.value == "condition"
        for argument in directive.arguments
    }
    assert used == set(every_condition())


def test_every_event_has_words_for_readers():
    from web.reads.late import SAYS

    assert all(SAYS[event.type].endswith(".") and len(SAYS[event.type]) > 10 for event in every_event())
