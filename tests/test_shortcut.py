"""A query takes the shortest way, and nobody can tell: the answer, its headers and its refusals are the same."""

import asyncio
import gc
import json
import weakref

import asyncpg
import pytest
from graphql import parse
from graphql.execution.values import get_variable_values
from hypothesis import given
from hypothesis import strategies as st

from domain.core import HubRole
from domain.people.commands import GrantRole, RevokeRole
from domain.proposals.commands import ReviseProposal
from tests.test_log import told
from tests.web import Client, draft_of, people_of, serving
from web.asking import Asked
from web.reads.documents import Prepared, _plain
from web.schema import schema

TITLE = "query($id: ID!) { proposal(id: $id) { title } }"
NAMES = (
    "query($first: Int, $after: String) { organizations(first: $first, after: $after) { totalCount nodes { name } } }"
)
MINE = "query($id: ID!) { proposal(id: $id) { title actions { mutation available } } }"
ASKED = [
    {"query": "{ hub { position } me { name } }"},
    {"query": NAMES, "variables": {"first": 3}},
    {"query": NAMES, "variables": {"first": "3"}},
    {"query": NAMES, "variables": {"first": 3_000}},
    {"query": NAMES, "variables": {"first": 3, "after": "no cursor"}},
    {"query": NAMES, "variables": {"first": 3, "unknown": 1}},
    {"query": NAMES, "variables": None},
    {"query": TITLE, "variables": {"id": "proposal_nowhere"}},
    {"query": TITLE, "variables": {"id": 7}},
    {"query": TITLE, "variables": {"id": None}},
    {"query": TITLE},
    {"query": TITLE + " query B { me { name } }", "operationName": "B"},
    {"query": TITLE + " query B { me { name } }"},
    {"query": TITLE + " query B { me { name } }", "operationName": "C"},
    {"query": "{ __schema { queryType { name } } }"},
    {"query": "{ __typename }"},
    {"query": "{ nothing }"},
    {"query": "{ organizations(first: 100) { nodes { leads(first: 100) { nodes { partners { country } } } } } }"},
    {"query": "mutation { joinHub(input: {}) { refusal { code } } }"},
    {"query": "subscription { listChanged(list: PROPOSALS) { event { position } } }"},
    {"query": '{ search(text: "a\\u0000b") { nodes { id } } }'},
    {"query": 5},
    [],
    "text",
]
SENT = [
    {},
    {"accept": "*/*"},
    {"accept": "application/graphql-response+json"},
    {"accept-language": "tg, en;q=0.5"},
    {"content-type": "text/plain"},
    {"content-type": "application/json; charset=utf-8"},
    {"content-type": "application/json; charset=latin-1"},
    {"authorization": "Bearer hub_wrong"},
    {"authorization": "Bearer "},
    {"authorization": "Basic dTpw"},
    {"idempotency-key": "a key"},
    {"origin": "https://elsewhere.example", "cookie": "hub_session=x"},
]


def test_either_way_answers_alike(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            people = await people_of(hub)
            mine = await draft_of(hub, people["karimova"])
            bodies = [json.dumps(each).encode() for each in [*ASKED, {"query": MINE, "variables": {"id": mine}}]]
            bodies += [b"", b"{", b'{"query": "{ me { name } }"} x', b"\xff", b"[" * 100_000, b'{"query": "\\ud800"}']
            for who in (await client(people["karimova"]), await client()):
                usual = Client(app.usual)
                usual.http.headers = who.http.headers

                async def asked(way, body, sent):
                    headers = {"content-type": "application/json", **sent}
                    answer = await way.http.post("/graphql", content=body, headers=headers)
                    return answer.status_code, dict(answer.headers), answer.content

                await asked(who, bodies[0], {})
                for sent in SENT:
                    for body in bodies if not sent else bodies[:3]:
                        expected = await asked(usual, body, sent)
                        # Asked alone, again, and beside others.
                        assert await asked(who, body, sent) == expected, body
                        both = await asyncio.gather(asked(who, body, sent), asked(who, body, sent))
                        assert both == [expected, expected], body
                        if tag := expected[1].get("etag"):
                            held = {**sent, "if-none-match": tag}
                            assert await asked(who, body, held) == await asked(usual, body, held)
                            assert (await asked(who, body, held))[0] == 304

    told(story())


def test_a_token_that_ended_opens_nothing_however_often_it_did(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, mine = await client(person), await draft_of(hub, person)
            for _ in range(3):
                assert (await author.data(TITLE, id=mine))["proposal"]
            for each in await hub.identity.held(person):
                await hub.identity.revoke(person, each.id)
            costly = (
                "{ proposals(first: 100) { nodes { lead { leads(first: 100) { nodes { partners { country } } } } } } }"
            )
            for text in (TITLE, "{ nothing }", costly, "{ organizations(first: 1000) { totalCount } }"):
                answers = await asyncio.gather(*(author.answer(text, id=mine) for _ in range(5)))
                assert {each.status_code for each in answers} == {401}
                assert (await author.answer(text, id=mine)).status_code == 401

    told(story())


def test_what_was_done_before_is_seen_by_whoever_asks_after(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, mine = await client(person), await draft_of(hub, person)

            async def read(n):
                # Some ask for the same, some for something of their own, all at once.
                alias = "title" if n % 2 else f"t{n}: title"
                found = await author.data(TITLE.replace("title", alias), id=mine)
                return next(iter(found["proposal"].values()))

            for n in range(10):
                title = f"Title number {n}"
                around = [asyncio.create_task(read(m)) for m in range(8)]
                await hub.do(ReviseProposal(proposal=mine, title=title), person)
                assert set(await asyncio.gather(*(read(m) for m in range(8)))) == {title}
                await asyncio.gather(*around)

    told(story())


def test_a_role_that_was_taken_away_shows_nothing_more(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            other, admin = await client(people["osmonov"]), people["rahimova"]
            asked, who = "query($id: ID!) { node(id: $id) { id } }", people["karimova"]
            assert (await other.data(asked, id=who))["node"] is None
            await hub.do(GrantRole(person=people["osmonov"], role=HubRole.CENTER_OFFICER))
            for _ in range(2):
                assert (await other.data(asked, id=who))["node"] == {"id": who}
            await hub.do(RevokeRole(person=people["osmonov"], role=HubRole.CENTER_OFFICER), admin)
            for each in await asyncio.gather(*(other.data(asked, id=who) for _ in range(4))):
                assert each["node"] is None

    told(story())


def test_who_asks_at_once_is_looked_up_together_and_never_too_early(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            viewers = app.endpoint.viewers
            secrets = [
                (await client(person)).http.headers["authorization"][7:] for person in (await people_of(hub)).values()
            ]
            looks, look = [], type(viewers)._look

            async def counted(self, before):
                looks.append(before)
                return await look(self, before)

            monkeypatch.setattr(type(viewers), "_look", counted)
            found = await asyncio.gather(*(viewers.find(each) for each in secrets * 3))
            assert len(looks) <= 2
            assert [each.person for each in found] == [each.person for each in found[: len(secrets)]] * 3
            # Whoever comes while a look is under way waits for the next: the first may have read too early.
            first = asyncio.create_task(viewers.find(secrets[0]))
            while viewers._next is not None or viewers._looking.done():
                await asyncio.sleep(0)
            for each in await hub.identity.held(found[0].person):
                await hub.identity.revoke(found[0].person, each.id)
            assert (await viewers.find(secrets[0])).person is None
            await first
            # A look that fails is everybody's who asked, and nobody's who asks next.
            monkeypatch.setattr(type(viewers), "_moved", lambda self, known: "nothing")
            failed = await asyncio.gather(*(viewers.find(each) for each in secrets[1:4]), return_exceptions=True)
            assert all(isinstance(each, Exception) for each in failed)
            monkeypatch.undo()
            assert (await viewers.find(secrets[1])).person == found[1].person

    told(story())


@pytest.mark.parametrize("only", ["the first", "none"])
def test_who_gives_up_leaves_the_question_to_the_others(region_dsn, monkeypatch, only):
    async def story():
        async with serving(region_dsn) as (_, app, _):
            reads, viewer = app.endpoint.reads, await app.endpoint.viewers.find(None)
            context = app.endpoint.context(Asked("{ calls { totalCount } }", None, {}), viewer)
            plan = reads.plan(context.prepared, context.operation, context.name, context.values)
            fetch, begun = reads._fetch, []

            async def slow(bound, viewer):
                begun.append(bound)
                await asyncio.sleep(0.05)
                return await fetch(bound, viewer)

            monkeypatch.setattr(reads, "_fetch", slow)
            asking = [
                asyncio.create_task(reads.data(reads.bound(plan, context.values, viewer), viewer)) for _ in range(4)
            ]
            await asyncio.sleep(0.01)
            if only == "the first":
                asking[0].cancel()
            answers = await asyncio.gather(*asking, return_exceptions=True)
            assert len(set(answers[1:])) == 1 and json.loads(answers[1])["calls"]["totalCount"]
            assert len(begun) == (2 if only == "the first" else 1) and not reads._flights

    told(story())


_TEXT = st.text("aé ", max_size=3)
_ANY = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), _TEXT, st.just([]))


@given(
    st.fixed_dictionaries({"id": _TEXT, "text": _TEXT, "flag": st.booleans()})
    | st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "text", "flag", "more"), _ANY))
)
def test_variables_are_coerced_alike(values):
    text = """query($id: ID!, $text: String, $flag: Boolean!) {
        node(id: $id) { id @include(if: $flag) } search(text: $text) { nodes { id } } }"""
    document = parse(text)
    operation = document.definitions[0]
    prepared = Prepared(text, document, (), True, {"": operation}, {}, {"": _plain(schema(), operation)})
    quick = prepared.as_they_are(operation, values)
    plain = {name: type(value) for name, value in values.items()} == {"id": str, "text": str, "flag": bool}
    assert (quick is not None) == plain
    if quick is not None:
        expected = get_variable_values(schema(), operation.variable_definitions, values)
        assert quick.coerced == expected.coerced
        told = [
            {name: (source.value, str(source.signature.type)) for name, source in each.sources.items()}
            for each in (quick, expected)
        ]
        assert told[0] == told[1]


def test_a_look_that_never_ends_holds_up_nobody_else(region_dsn, monkeypatch):
    monkeypatch.setattr("web.reads.viewer.LOOKS", 0.2)

    async def story():
        async with serving(region_dsn) as (hub, app, client):
            author, viewers = await client((await people_of(hub))["karimova"]), app.endpoint.viewers
            moved = type(viewers)._moved
            assert (await author.data("{ me { name } }"))["me"]
            never = "%s::bigint + (SELECT 1 FROM pg_sleep(60)), NULL"
            monkeypatch.setattr(type(viewers), "_moved", lambda self, known: never % known)
            stuck = [asyncio.create_task(author.answer("{ me { name } }", {"cookie": "a=b"})) for _ in range(3)]
            await asyncio.sleep(0.1)
            monkeypatch.setattr(type(viewers), "_moved", moved)
            async with asyncio.timeout(5):
                assert (await author.data("{ me { id } }"))["me"]
                assert {each.status_code for each in await asyncio.gather(*stuck)} == {503}

    told(story())


def test_looks_that_fail_leave_nothing_behind(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (_, app, _):
            viewers, looks = app.endpoint.viewers, []
            monkeypatch.setattr(type(viewers), "_moved", lambda *_: "nothing")
            for _ in range(50):
                asking = asyncio.create_task(viewers.find(None))
                await asyncio.sleep(0)
                looks.append(weakref.ref(viewers._next or viewers._looking))
                with pytest.raises(asyncpg.PostgresError):
                    await asking
            del asking
            gc.collect()
            assert len({id(each) for each in looks}) == 50 and sum(each() is not None for each in looks) <= 2

    told(story())


def test_what_is_too_slow_is_not_asked_twice(region_dsn, monkeypatch):
    for module in ("executor", "making"):
        monkeypatch.setattr(f"web.reads.{module}.TIMEOUT", 0.2)

    async def story():
        async with serving(region_dsn) as (hub, app, client):
            author, asked = await client((await people_of(hub))["karimova"]), []

            def slowly(bound, viewer):
                asked.append(bound)
                return asyncio.sleep(60)

            await author.data("{ me { name } }")
            monkeypatch.setattr(app.endpoint.reads, "_fetch", slowly)
            queries = [f"{{ calls {{ totalCount }} a{n}: me {{ name }} }}" for n in range(3)]
            codes = await asyncio.gather(*(author.code(each) for each in queries))
            # The first of them was alone, and asked together with who asks.
            assert codes[1:] == ["TOO_SLOW"] * 2 and len(asked) <= 3

    told(story())


def test_the_quick_way_is_taken(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            author = await client((await people_of(hub))["karimova"])
            await author.data("{ me { name } }")

            async def never(*_):
                raise AssertionError("the usual way was taken")

            app.usual, usual = never, app.usual
            for _ in range(2):
                assert (await author.data("{ me { name } }"))["me"]["name"]
            app.usual = usual

    told(story())
