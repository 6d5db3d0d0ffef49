"""What is too much, malformed or unknown is refused before anything is read, in words and with a code."""

import asyncio
import gc
import json

import httpx2
import pytest

from domain.organizations.offices import DismissOfficer
from domain.people.commands import ChooseNotices
from tests.test_log import told
from tests.web import draft_of, opened, people_of, serving


def test_a_long_text_costs_each_time_that_it_is_asked_for(region_dsn):
    """By however many names, however deep: an answer has some megabytes at most."""

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, id = await client(person), await draft_of(hub, person)
            names = " ".join(f"a{n}: %s" for n in range(55))
            record = f"record {{ ... on Proposal {{ {names % (('abstract',) * 55)} }} }}"
            for asked in (
                f"history(first: 20) {{ nodes {{ changes {{ {names % (('before',) * 55)} }} }} }}",
                f"history(first: 20) {{ nodes {{ {names % (('leaf',) * 55)} }} }}",
                f"history(first: 10) {{ nodes {{ {record} }} }}",
                "history(first: 99) { nodes { record { history(first: 9) { nodes { changes { before } } } } } }",
            ):
                assert (
                    await author.code(f"query($id: ID!) {{ proposal(id: $id) {{ {asked} }} }}", id=id) == "TOO_COSTLY"
                )
            answer = await author.answer("{ proposals(first: 100) { nodes { title abstract } } }")
            assert 4_000 < answer.json()["extensions"]["cost"] < 6_000

    told(story())


BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b'{"query": "\xff"}',
    "deep": b"[" * 200_000,
    "a large number": b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 6_000 + b"}}",
    "a list": b"[]",
    "no query": b"{}",
    "a number for a query": b'{"query": 7}',
    "variables that are none": b'{"query": "{ __typename }", "variables": 7}',
    "a half character": b'{"query": "{ search(text: \\"\\ud800\\") { nodes { id } } }"}',
}


@pytest.mark.parametrize("what", BODIES)
def test_a_malformed_body_is_told_so(region_dsn, what):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            http = (await client()).http
            answer = await http.post(
                "/graphql",
                content=BODIES[what],
                headers={"content-type": "application/json", "accept": "application/graphql-response+json"},
            )
            assert answer.status_code == 400, answer.text
            assert answer.json()["errors"][0]["message"]

    told(story())


def test_whoever_asks_for_the_same_in_several_places_is_answered(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            parts = " ".join(f"fragment F{n} on Organization {{ id name country }}" for n in range(30))
            spread = " ".join(f"...F{n}" for n in range(30))
            query = f"{{ organizations(first: 2) {{ nodes {{ {spread} }} }} }} {parts}"
            anybody = await client()
            assert len((await anybody.data(query))["organizations"]["nodes"]) == 2
            # One fragment of many fields, under many names.
            fields = " ".join("... on Organization { id name city country kind status ror website }" for _ in range(20))
            many = " ".join(f'a{n}: organization(id: "organization_{n}") {{ ...P }}' for n in range(40))
            found = await anybody.data(f"{{ {many} }} fragment P on Organization {{ {fields} }}")
            assert len(found) == 40

    told(story())


FRAGMENTS = " ".join(f"fragment F{n} on Query {{ me {{ id }} }}" for n in range(250))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ me { " * 15 + "id" + "}" * 30, None),
        (
            "{ organizations(first: 100) { nodes { leads(first: 100) { nodes { partners { country } } } } } }",
            "TOO_COSTLY",
        ),
        ("{ " + " ".join(f"a{n}: __typename" for n in range(61)) + " }", "TOO_MANY_ALIASES"),
        ("{ " + "x " * 5_000 + "}", "INVALID_DOCUMENT"),
        ("{ organizations(first: 9999999999) { totalCount } }", "INVALID_DOCUMENT"),
        ("{ " + "a" * 70 + ": __typename }", "BAD_INPUT"),
        ('{ proposals(where: {call: "\\u0000"}) { totalCount } }', "BAD_INPUT"),
        ("query A { __typename } query B { __typename }", "BAD_INPUT"),
        ("{ __typename @skip(if: 3) }", "INVALID_DOCUMENT"),
        ("fragment F on Query { ...F } { ...F }", "INVALID_DOCUMENT"),
        ("{ hub { ...F } } fragment F on Hub { hub { ...F } }", "INVALID_DOCUMENT"),
        # Also what nothing uses is validated.
        ("{ me { id } } fragment F on Query {" + "organizations(first: 1) { nodes { id } } " * 330 + "}", "TOO_COSTLY"),
        (
            "query Q {" + "organizations(first: 1) { nodes { id } } " * 330 + "} query Q { me { id } }",
            "TOO_COSTLY",
        ),
        # What is asked for again and again takes a second to validate, and everybody else would wait for that.
        ("{" + "organizations(first: 1) { nodes { id } } " * 330 + "}", "TOO_COSTLY"),
        ("{" + "...on Query { hub { head } } " * 200 + "}", "TOO_COSTLY"),
        (
            "{" + "".join(f"...F{n} " for n in range(250)) + "}" + FRAGMENTS,
            "TOO_COSTLY",
        ),
    ],
)
def test_an_excess_is_refused_before_anything_is_read(region_dsn, query, code):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            answer = await (await client()).answer(query)
            assert answer.status_code in (200, 400)
            found = answer.json()["errors"][0]
            assert code is None or found["extensions"]["code"] == code, found
            assert not any(word in answer.text for word in ("Traceback", "SELECT", "asyncpg", "hub."))

    told(story())


def test_the_cost_is_told_and_deep_nesting_refused(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody = await client()
            answer = (await anybody.answer("{ organizations(first: 10) { nodes { name } } }")).json()
            assert answer["extensions"]["cost"] == 12
            deep = "{ proposals { nodes " + "{ call { proposals { nodes " * 6 + "{ id }" + " } } }" * 6 + " } }"
            assert await anybody.code(deep) == "TOO_DEEP"

    told(story())


def test_large_bodies_other_sites_and_other_methods(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            anybody = await client()
            large = await anybody.http.post(
                "/graphql", content=b" " * 1_000_001, headers={"content-type": "application/json"}
            )
            assert large.status_code == 413
            form = await anybody.http.post("/graphql", data={"query": "{ __typename }"})
            assert form.status_code == 415
            got = await anybody.http.get("/graphql", params={"query": "{ __typename }"})
            assert got.json()["data"] == {"__typename": "Query"}
            mutation = 'mutation { joinHub(input: {person: "x"}) { receipt { position } } }'
            assert (await anybody.http.get("/graphql", params={"query": mutation})).status_code == 405
            session = await hub.identity.session((await people_of(hub))["karimova"])
            headers = {"cookie": f"hub_session={session}", "sec-fetch-site": "cross-site"}
            assert (await anybody.http.post("/graphql", json={"query": mutation}, headers=headers)).status_code == 403

    told(story())


def test_a_hundred_histories_of_a_hundred_are_no_excess(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            text = "{ proposals(first: 100) { nodes { history(first: 100) { nodes { type } } } } }"
            answer = (await (await client()).answer(text)).json()
            assert "errors" not in answer and answer["extensions"]["cost"] <= 20_000

    told(story())


def test_a_subscription_that_would_cost_too_much_is_refused_before_anything_happens(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, app, _):
            from web.asking import Asked

            endpoint = app.endpoint
            nested = "... on Proposal { call { proposals(first: 50) { nodes { abstract } } } }"
            text = f"subscription {{ happened {{ record {{ {nested} }} }} }}"
            stream = endpoint.results(Asked(text, None, {}), await endpoint.viewers.find(None), None)
            said = json.loads(await asyncio.wait_for(anext(stream), 5))
            assert said["errors"][0]["extensions"]["code"] == "TOO_COSTLY"
            await stream.aclose()

    told(story())


def test_nothing_is_changed_by_get_in_whatever_form_the_answer_is_asked(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            session, head = await hub.identity.session(person), await hub.log.head()
            mutation = 'mutation { invitePerson(input: {name: "Eve", email: "e@x.org"}) { receipt { position } } }'
            for accept in ("text/event-stream", "application/json", "*/*"):
                headers = {"cookie": f"hub_session={session}", "accept": accept}
                answer = await (await client()).http.get("/graphql", params={"query": mutation}, headers=headers)
                assert "METHOD" in answer.text, accept
            assert await hub.log.head() == head

    told(story())


def test_an_excess_is_not_hidden_behind_introspection(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody = await client()
            one = "organizations(first: 100) { nodes { id leads(first: 20) { nodes { id } } } }"
            many = " ".join(f"a{n}: {one}" for n in range(50))
            assert await anybody.code(f"{{ {many} }}") == "TOO_COSTLY"
            assert await anybody.code(f'{{ __type(name: "Call") {{ name }} {many} }}') == "TOO_COSTLY"

    told(story())


@pytest.mark.parametrize(
    ("query", "variables", "ends"),
    [
        ("query($s: [ProposalStatus!]) { proposals(where: { status: $s }) { totalCount } }", {"s": ["%"]}, "enum."),
        ("{ proposals(where: { status: [%] }) { totalCount } }", {}, "enum."),
        ("{ % }", {}, "'Query'."),
        ('{ proposals(first: "%") { totalCount } }', {}, '"'),
        ("query($s: DateTime!) { region(since: $s) { figures { name } } }", {"s": "%"}, ""),
    ],
)
def test_an_error_repeats_no_more_of_what_was_sent_than_is_known_again(region_dsn, query, variables, ends):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            huge = "X" * 100_000
            sent = json.loads(json.dumps(variables).replace("%", huge))
            answer = await (await client()).answer(query.replace("%", huge), **sent)
            message = answer.json()["errors"][0]["message"]
            assert len(answer.content) < 2_000 and "XXX" in message and message.endswith(ends), answer.text[:300]

    told(story())


@pytest.mark.parametrize(("variables", "said"), [({"first": True}, "true"), ({}, "null")])
def test_an_error_speaks_of_values_as_json_writes_them(region_dsn, variables, said):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            query = "query($first: Int!) { organizations(first: $first) { totalCount } }"
            message = (await (await client()).answer(query, **variables)).json()["errors"][0]["message"]
            assert said in message and not any(each in message for each in ("True", "None")), message

    told(story())


def test_what_is_remembered_of_documents_is_weighed_by_what_it_takes(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, app, client):
            reads, anybody = app.endpoint.reads, await client()
            # A tree takes some hundred times its text: of what cannot be run none is kept.
            many = reads.prepare("{ " + " ".join(f"none{n}" for n in range(1_500)) + " }")
            assert many.errors and many.document is None and many.weight < 20_000
            assert all(each.nodes is None for each in many.errors) and many.errors[0].locations
            large = reads.prepare("{" + " ".join(f"a{n}: calls {{ nodes {{ id title }} }}" for n in range(50)) + "}")
            assert not large.errors and large.weight > 250_000
            # What costs too much is not remembered as a plan; and an answer keeps no plan.
            fields = "nodes { id title summary criteria { name weight } proposals(first: 100) { nodes { id } } }"
            costly = " ".join(f"a{n}: calls(first: 100) {{ {fields} }}" for n in range(50))
            before = reads._plans._total
            assert await anybody.code(f"{{ {costly} }}") == "TOO_COSTLY"
            assert reads._plans._total == before
            asked = "{ calls { totalCount nodes { id } } }"
            first = await anybody.answer(asked)
            reads._plans._held.clear()
            gc.collect()
            assert (await anybody.answer(asked)).content == first.content

    told(story())


def test_what_a_client_s_tools_try_first_is_answered_so_that_they_go_on(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            http = (await client()).http
            # Apollo's link sends the document once it hears that its hash is not known.
            hashed = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab" * 32}}}
            (error,) = (await http.post("/graphql", json=hashed)).json()["errors"]
            assert error["message"] == "PersistedQueryNotSupported"
            assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"
            whole = await http.post("/graphql", json={"query": "{ hub { epoch } }", **hashed})
            assert whole.json()["data"]["hub"]["epoch"]
            packed = {"content-type": "application/json", "content-encoding": "gzip"}
            answer = await http.post("/graphql", content=b"\x1f\x8b\x08", headers=packed)
            assert answer.status_code == 415 and "as it is" in answer.text

    told(story())


def test_a_subscription_comes_to_whoever_takes_events_whatever_they_like_best(region_dsn):
    with opened(region_dsn) as url:
        ask = {"query": "subscription { happened(after: 0) { event { position } } }"}
        taken = "application/graphql-response+json, application/json, text/event-stream;q=0.5"
        with httpx2.stream("POST", f"{url}/graphql", json=ask, headers={"accept": taken}, timeout=10) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert '"position":' in next(line for line in answer.iter_lines() if line.startswith("data: "))
        query = httpx2.post(f"{url}/graphql", json={"query": "{ hub { epoch } }"}, headers={"accept": taken})
        assert query.headers["content-type"].startswith("application/graphql-response+json")
        for refused in ("application/json", "application/json, text/event-stream;q=0"):
            answer = httpx2.post(f"{url}/graphql", json=ask, headers={"accept": refused})
            assert answer.json()["errors"][0]["extensions"]["code"] == "TRANSPORT"


def test_who_acts_for_an_organization_no_more_is_told_to_list_anew(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            officer = people["toktogulov"]
            asks = await client(officer)

            async def rights():
                return (await asks.data("{ hub { rights } }"))["hub"]["rights"]

            before = await rights()
            await hub.do(ChooseNotices(person=officer, mailed=False, language="ru"), officer)
            assert await rights() == before
            (found,) = (await asks.data("{ me { offices { organization { id } } } }"))["me"]["offices"][:1]
            dismiss = DismissOfficer(organization=found["organization"]["id"], person=officer)
            await hub.do(dismiss, people["rahimova"])
            assert await rights() != before

    told(story())
