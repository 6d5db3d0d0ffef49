"""Mutations as programs send them: several at once, under any names, with fragments; and what fails among them."""

import json

from graphql import execute_sync, parse

from tests.oracle import bare
from tests.test_graphql import draft_of
from tests.test_log import told
from tests.web import people_of, serving

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


def test_what_fails_ends_it_and_what_came_before_stays(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            lab, mine = await client(person, ["reviseProposal"]), await draft_of(hub, person)
            text = """mutation($id: ID!) {
                a: reviseProposal(input: {proposal: $id, title: "Recorded"}) { receipt { position } }
                b: submitProposal(input: {proposal: $id}) { receipt { position } }
                c: reviseProposal(input: {proposal: $id, title: "Not any more"}) { receipt { position } } }"""
            answer = (await lab.answer(text, id=mine)).json()
            assert answer["data"] is None
            [error] = answer["errors"]
            assert error["extensions"]["code"] == "OUT_OF_SCOPE" and error["path"] == ["b"]
            assert error["locations"] == [{"line": 3, "column": 17}]
            title = f"SELECT title FROM {hub.models.schema}.proposal WHERE id = $1"
            assert await hub.log.pool.fetchval(title, mine) == "Recorded"

    told(story())


def test_a_record_that_cannot_be_shown_hides_no_receipt(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, mine = await client(person), await draft_of(hub, person)
            much = "id"
            for _ in range(3):
                much = f"lead {{ leads(first: 100) {{ nodes {{ {much} }} }} }}"
            text = f"""mutation($id: ID!) {{ reviseProposal(input: {{proposal: $id, title: "Shown"}}) {{
                receipt {{ position }} much: proposal {{ id {much} }} proposal {{ title }} }} }}"""
            answer = (await author.answer(text, id=mine)).json()
            done = answer["data"]["reviseProposal"]
            assert done["receipt"]["position"] and done["much"] is None and done["proposal"] == {"title": "Shown"}
            [error] = answer["errors"]
            assert error["extensions"]["code"] == "TOO_COSTLY" and error["path"] == ["reviseProposal", "much"]

    told(story())
