"""Mutations as programs send them: several at once, under any names, with fragments; and what fails among them."""

import json

from graphql import GraphQLError, execute_sync, parse

from domain.proposals.commands import SubmitProposal
from hub.waiting import Busy
from tests.oracle import bare
from tests.test_log import told
from tests.web import Client, draft_of, people_of, serving
from web.reads import carrying

DOCUMENT = """
mutation Both($first: ReviseProposalInput!, $id: ID!, $with: Boolean!, $title: String! = "By default") {
  __typename
  one: reviseProposal(input: $first) { ...Done proposal { ...Shown } }
  reviseProposal(input: {proposal: $id, title: $title}) {
    kind: __typename
    ...Done
    refusal { c: code }
    proposal { __typename same: id ...Shown history(first: 1) { nodes { type } } }
    again: proposal @include(if: $with) { title }
  }
  bad: reviseProposal(input: {proposal: "nowhere"}) {
    receipt { at } refusal { __typename code field message } proposal { id }
  }
}
fragment Done on ReviseProposalPayload { receipt { position record ...Rest } refusal { code } }
fragment Rest on Receipt { at events __typename p: position }
fragment Shown on Proposal { id ... on Node { id } title status lead { name } }
"""


def shaped(text, answer):
    """The same answer as graphql-core completes it: no key more, none less, in this order, of these types."""
    done = execute_sync(
        bare(),
        parse(text),
        answer["data"],
        variable_values=answer["variables"],
        field_resolver=lambda source, info, **_: source[info.path.key],
    )
    assert done.errors is None, done.errors
    return done.data


def test_what_is_asked_for_is_answered_and_nothing_else(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, mine = await client(person), await draft_of(hub, person)
            for chosen in (True, False, True):
                variables = {"first": {"proposal": mine, "title": f"First {chosen}"}, "id": mine, "with": chosen}
                answer = (await author.answer(DOCUMENT, **variables)).json()
                assert "errors" not in answer and "cost" not in answer.get("extensions", {})
                data = answer["data"]
                assert json.dumps(shaped(DOCUMENT, {"data": data, "variables": variables})) == json.dumps(data)
                assert data["one"]["proposal"]["title"] == f"First {chosen}"
                assert data["reviseProposal"]["proposal"]["title"] == "By default"
                assert ("again" in data["reviseProposal"]) == chosen
                assert data["one"]["receipt"]["position"] < data["reviseProposal"]["receipt"]["position"]
                assert data["bad"]["receipt"] is None and data["bad"]["proposal"] is None
                assert data["bad"]["refusal"]["code"] == "INVALID" and data["bad"]["refusal"]["field"] == "proposal"

    told(story())


THREE = """mutation($id: ID!) {
    a: reviseProposal(input: {proposal: $id, title: "Recorded"}) { receipt { position } }
    b: submitProposal(input: {proposal: $id}) { receipt { position } refusal { code } }
    c: reviseProposal(input: {proposal: $id, title: "Also recorded"}) { receipt { position } } }"""


def test_where_one_may_not_be_carried_out_none_is(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            lab, mine = await client(person, ["reviseProposal"]), await draft_of(hub, person)
            head = await hub.log.head()
            answer = (await lab.answer(THREE, id=mine)).json()
            assert answer["data"] is None and await hub.log.head() == head
            [error] = answer["errors"]
            assert error["extensions"] == {"code": "OUT_OF_SCOPE"} and error["path"] == ["b"]
            assert error["locations"] == [{"line": 3, "column": 5}]
            # What is refused keeps back none of the others: each is recorded for itself.
            done = await (await client(person)).data(THREE, id=mine)
            assert done["b"]["refusal"] and done["a"]["receipt"] and done["c"]["receipt"]

    told(story())


def test_what_fails_ends_it_and_says_what_was_recorded(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, mine = await client(person), await draft_of(hub, person)
            do = hub.do

            async def busy(command, *rest):
                if isinstance(command, SubmitProposal):
                    raise Busy
                return await do(command, *rest)

            monkeypatch.setattr(hub, "do", busy)
            answer = await author.answer(THREE, {"idempotency-key": "three"}, id=mine)
            assert answer.status_code == 503 and answer.headers["retry-after"]
            [error] = answer.json()["errors"]
            head = await hub.log.head()
            assert error["extensions"] == {"code": "BUSY", "recorded": {"a": {"position": head, "record": mine}}}
            assert error["path"] == ["b"] and answer.json()["data"] is None
            # Asked again with its key, under whatever names, the first is not carried out twice.
            monkeypatch.undo()
            renamed = THREE.replace("a:", "first:")
            done = (await author.answer(renamed, {"idempotency-key": "three"}, id=mine)).json()["data"]
            assert done["first"]["receipt"]["position"] == head and done["c"]["receipt"]["position"] == head + 1

    told(story())


def test_what_was_carried_out_is_said_whatever_the_client_holds(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            person = (await people_of(hub))["karimova"]
            author, mine = await client(person), await draft_of(hub, person)
            usual = Client(app.usual)
            usual.http.headers = author.http.headers
            for way in (author, usual):
                for text in (THREE, "{ nothing }", "mutation { nothing }"):
                    answer = await way.answer(text, {"if-none-match": '*, "-", -'}, id=mine)
                    assert answer.status_code == 200 and answer.content and "etag" not in answer.headers

    told(story())


def test_a_record_that_cannot_be_shown_hides_no_receipt(region_dsn, monkeypatch):
    read = carrying.read

    async def slow(context, plan, id, viewer):
        if "lead" in plan.sql:
            raise GraphQLError("This takes too long.", extensions={"code": "TOO_SLOW"})
        return await read(context, plan, id, viewer)

    monkeypatch.setattr(carrying, "read", slow)

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, mine = await client(person), await draft_of(hub, person)
            text = """mutation($id: ID!) { reviseProposal(input: {proposal: $id, title: "Shown"}) {
                receipt { position } much: proposal { lead { leads { nodes { id } } } } proposal { title } } }"""
            answer = (await author.answer(text, id=mine)).json()
            done = answer["data"]["reviseProposal"]
            assert done["receipt"]["position"] and done["much"] is None and done["proposal"] == {"title": "Shown"}
            [error] = answer["errors"]
            assert error["extensions"]["code"] == "TOO_SLOW" and error["path"] == ["reviseProposal", "much"]

    told(story())


def test_what_cannot_be_shown_afterwards_is_not_recorded(region_dsn):
    draft = """mutation($i: DraftProposalInput!) { draftProposal(input: $i) {
        receipt { record } refusal { code } proposal { %s } } }"""
    costly = "id"
    for _ in range(3):
        costly = f"lead {{ leads(first: 100) {{ nodes {{ {costly} }} }} }}"

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            author = await client((await people_of(hub))["karimova"])
            before = await hub.log.head()
            schema = hub.models.schema
            row = await hub.log.pool.fetchrow(
                f"""SELECT c.id AS call, a.organization AS lead FROM {schema}.call c, {schema}.affiliation a
                    WHERE c.status = 'open' AND a.confirmed AND a.person = $1""",
                (await people_of(hub))["karimova"],
            )
            input = {"call": row["call"], "lead": row["lead"], "title": "Once only"}
            for shown, code in (("history(first: -1) { nodes { type } }", "BAD_INPUT"), (costly, "TOO_COSTLY")):
                answer = (await author.answer(draft % shown, {"idempotency-key": "one-key"}, i=input)).json()
                assert answer.get("data") is None and answer["errors"][0]["extensions"]["code"] == code, answer
                assert answer["errors"][0]["path"] == ["draftProposal", "proposal"]
            assert await hub.log.head() == before
            done = await author.data(draft % "id title", {"idempotency-key": "one-key"}, i=input)
            assert done["draftProposal"]["proposal"]["title"] == "Once only"

    told(story())
