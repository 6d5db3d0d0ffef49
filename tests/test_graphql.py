"""The API as labs meet it: commands, tokens, retries, live changes, limits, and whatever else is sent."""

import asyncio
import base64
import hashlib
import json
import os

import asyncpg
import pytest
from starlette.testclient import TestClient

from domain.people.commands import CorrectName, GrantRole, InvitePerson, JoinHub
from domain.proposals.commands import AssessRisk, DraftProposal, ReviseProposal
from domain.proposals.decisions import WithdrawProposal
from domain.proposals.partners import InvitePartner
from tests.test_log import told
from tests.web import people_of, serving
from web.reads.late import LOADERS
from web.schema.mutations import commands

REVISE = """mutation($input: ReviseProposalInput!) { reviseProposal(input: $input) {
    receipt { position at record events } refusal { code message field } proposal { title revision } } }"""


async def draft_of(hub, person):
    """A draft of somebody's."""
    return await hub.log.pool.fetchval(
        f"SELECT id FROM {hub.models.schema}.proposal WHERE investigator = $1 AND status = 'draft' ORDER BY id", person
    )


def test_a_proposal_from_draft_to_submission(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            author, officer = await client(people["karimova"]), await client(people["toktogulov"])
            call = (await author.data("{ calls(where: {status: [OPEN]}) { nodes { id } } }"))["calls"]["nodes"][0]["id"]
            named = "query($ror: String!) { organizations(where: {ror: $ror}) { nodes { id } } }"
            lead, partner = [
                (await author.data(named, ror=ror))["organizations"]["nodes"][0]["id"]
                for ror in ("02004hr86", "01c9f4y89")
            ]

            async def give(who, name, **input):
                title = name[0].upper() + name[1:]
                text = f"""mutation($input: {title}Input!) {{ done: {name}(input: $input) {{
                    receipt {{ record position }} refusal {{ code field message }}
                    proposal {{ status actions {{ mutation available code }} }} }} }}"""
                return (await who.data(text, input=input))["done"]

            text = "We ask how people speak. " * 8
            drafted = await give(author, "draftProposal", call=call, lead=lead, title="Speech", abstract=text)
            id = drafted["receipt"]["record"]
            asked = await give(author, "invitePartner", proposal=id, organization=partner, contribution="Recordings")
            may = {each["mutation"]: each for each in asked["proposal"]["actions"]}
            assert may["submitProposal"] == {"mutation": "submitProposal", "available": False, "code": "INCOMPLETE"}
            assert "confirmPartner" not in may
            risk = {
                "level": "LIMITED",
                "personalData": False,
                "harms": "A wrong word",
                "safeguards": "A person decides",
            }
            await give(author, "assessRisk", proposal=id, **risk)
            early = await give(author, "submitProposal", proposal=id)
            assert early["refusal"]["code"] == "PARTNERS_UNCONFIRMED" and early["receipt"] is None
            waiting = "{ proposals(where: {awaitsMyAnswer: true}) { nodes { id } } }"
            assert id in {each["id"] for each in (await officer.data(waiting))["proposals"]["nodes"]}
            assert (await give(officer, "confirmPartner", proposal=id, organization=partner))["receipt"]
            assert id not in {each["id"] for each in (await officer.data(waiting))["proposals"]["nodes"]}
            done = await give(author, "submitProposal", proposal=id)
            assert done["proposal"]["status"] == "SUBMITTED"
            again = await give(author, "submitProposal", proposal=id)
            assert again["receipt"]["position"] == 0

    told(story())


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


def test_a_refusal_says_all_that_there_is_to_mend(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            officer = await client((await people_of(hub))["rahimova"])
            text = """mutation($input: DraftCallInput!) { draftCall(input: $input) { receipt { record }
                refusal { code field message missing { about why: message kind: __typename ...Code } } } }
                fragment Code on Missing { code }"""
            input = {
                "title": "Water",
                "summary": "Water for five countries",
                "opensAt": "2027-03-01T09:00:00Z",
                "closesAt": "2027-02-01T09:00:00Z",
                "criteria": [{"name": "Merit", "weight": 40}, {"name": "merit", "weight": 50}],
            }
            done = (await officer.data(text, input=input))["draftCall"]
            refusal, every = done["refusal"], done["refusal"]["missing"]
            assert done["receipt"] is None and refusal["code"] == "INVALID" and refusal["field"] == "closesAt"
            assert [each["about"] for each in every] == ["closesAt", "criteria", "criteria"]
            assert every[0] == {"about": "closesAt", "why": refusal["message"], "kind": "Missing", "code": "INVALID"}
            assert "these are 90" in every[1]["why"]
            # What does not fit by itself is all said, too.
            short = {**input, "title": "W", "summary": "x", "quorum": 99}
            every = (await officer.data(text, input=short))["draftCall"]["refusal"]["missing"]
            assert [each["about"] for each in every] == [
                *("title", "summary", "quorum", "closesAt", "criteria", "criteria")
            ]
            # A name in a list is one line, too; a text that cannot be held says which it is.
            named = [{"name": "Novelty: 60\n\u202eTeam\u0007", "weight": 100}]
            whole = {**input, "closesAt": "2027-05-01T09:00:00Z", "criteria": named}
            made = (await officer.data(text, input=whole))["draftCall"]["receipt"]["record"]
            said = (await officer.data("query($id: ID!) { call(id: $id) { criteria { name } } }", id=made))["call"]
            assert said["criteria"] == [{"name": "Novelty: 60 Team"}]
            null = {**whole, "title": "\0\0\0", "summary": "A text \0 with one", "quorum": 99}
            every = (await officer.data(text, input=null))["draftCall"]["refusal"]["missing"]
            assert [each["about"] for each in every] == ["title", "summary", "quorum"]
            assert "null character" in every[0]["why"] and "null character" in every[1]["why"]
            open_call = (
                "{ calls(where: {status: [OPEN]}) { nodes { actions { mutation fixed { about code message } } } } }"
            )
            may = (await officer.data(open_call))["calls"]["nodes"][0]["actions"]
            fixed = next(each["fixed"] for each in may if each["mutation"] == "amendCall")
            assert {"about": "opensAt", "code": "FROZEN", "message": "This was frozen when the round opened."} in fixed

    told(story())


def test_partners_stand_in_the_order_in_which_they_were_asked(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, id = await client(person), await draft_of(hub, person)
            every = "{ organizations(first: 100, where: {status: [VERIFIED]}) { nodes { id country } } }"
            found = [each["id"] for each in (await author.data(every))["organizations"]["nodes"]]
            shown = """query($id: ID!) { proposal(id: $id) { lead { id }
                partners { organization { id } invitedAt answeredAt status } } }"""
            before = (await author.data(shown, id=id))["proposal"]
            there = {before["lead"]["id"], *(each["organization"]["id"] for each in before["partners"])}
            asked = sorted((each for each in found if each not in there), reverse=True)[:4]
            for each in asked:
                await hub.do(InvitePartner(proposal=id, organization=each, contribution="Work"), person)
            after = (await author.data(shown, id=id))["proposal"]["partners"]
            assert [each["organization"]["id"] for each in after[-4:]] == asked
            times = [each["invitedAt"] for each in after]
            assert times == sorted(times) and after[-1]["answeredAt"] is None

    told(story())


def test_a_retry_with_its_key_changes_nothing_and_says_the_same(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            author, id = await client(people["karimova"]), await draft_of(hub, people["karimova"])
            head = await hub.log.head()
            input = {"proposal": id, "title": "A better title"}
            answers = await asyncio.gather(
                *(author.answer(REVISE, {"idempotency-key": "k1"}, input=input) for _ in range(20))
            )
            assert len({each.text for each in answers}) == 1
            assert await hub.log.head() == head + 1
            other = await author.data(REVISE, {"idempotency-key": "k1"}, input={**input, "title": "Another"})
            assert other["reviseProposal"]["refusal"]["code"] == "KEY_REUSED"
            assert (await author.answer(REVISE, {"idempotency-key": "two words"}, input=input)).status_code == 400

    told(story())


def test_what_does_not_fit_is_refused_in_words_at_its_field(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            author, id = await client(people["karimova"]), await draft_of(hub, people["karimova"])

            async def refusal(**input):
                return (await author.data(REVISE, input={"proposal": id, **input}))["reviseProposal"]["refusal"]

            short = await refusal(title="A")
            assert short == {"code": "INVALID", "message": "At least 3 characters are needed.", "field": "title"}
            assert (await refusal(title="x" * 301))["message"] == "At most 300 characters fit; these are 301."
            assert (await refusal(title="nul \0 here"))["code"] == "INVALID"
            assert (await refusal(revision=99, title="Theirs"))["code"] == "CHANGED_MEANWHILE"
            wrong = (await author.data(REVISE, input={"proposal": "me", "title": "Title"}))["reviseProposal"]["refusal"]
            assert (wrong["code"], wrong["field"]) == ("INVALID", "proposal")

    told(story())


def test_a_token_does_what_it_was_made_for_until_it_is_revoked(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            author, id = people["karimova"], await draft_of(hub, people["karimova"])
            input = {"proposal": id, "title": "Mine to change"}
            reader = await client(author, ["read"])
            assert (await reader.data("{ me { id } }"))["me"]["id"] == author
            assert await reader.code(REVISE, input=input) == "OUT_OF_SCOPE"
            other = await client(author, ["submitProposal"])
            assert await other.code(REVISE, input=input) == "OUT_OF_SCOPE"
            reviser = await client(author, ["reviseProposal"])
            assert (await reviser.data(REVISE, input=input))["reviseProposal"]["receipt"]["events"] == 1
            assert await (await client()).code(REVISE, input=input) == "UNAUTHENTICATED"
            for each in await hub.identity.held(author):
                await hub.identity.revoke(author, each.id)
            gone = await reviser.answer("{ me { id } }")
            assert (gone.status_code, gone.headers["www-authenticate"]) == (401, "Bearer")
            secrets = await hub.log.pool.fetch("SELECT hash FROM hub.access")
            assert all(len(row["hash"]) == 64 for row in secrets)

    told(story())


def test_what_a_command_answers_shows_no_more_than_its_token_may_read(region_dsn):
    """An auditor's whole log is for tokens that were made to read: no command's payload opens it to another one."""

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            author, id = people["karimova"], await draft_of(hub, people["karimova"])
            await hub.do(GrantRole(person=author, role="auditor"))
            history = "lead { history(first: 50) { nodes { type } } }"
            reading = f"query($id: ID!) {{ proposal(id: $id) {{ {history} }} }}"
            revising = "mutation($input: ReviseProposalInput!) { reviseProposal(input: $input) { proposal { %s } } }"
            for scopes, sees in ((["reviseProposal"], False), (["read", "reviseProposal"], True)):
                token = await client(author, scopes)
                answer = (await token.data(revising % history, input={"proposal": id, "title": f"Now {scopes}"}))[
                    "reviseProposal"
                ]
                found = {each["type"] for each in answer["proposal"]["lead"]["history"]["nodes"]}
                assert ("OfficerAppointed" in found) is sees
                read = (await token.data(reading, id=id))["proposal"]["lead"]["history"]["nodes"]
                assert {each["type"] for each in read} == found

    told(story())


def test_a_one_time_link_signs_in_once(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person, viewers = (await people_of(hub))["karimova"], app.endpoint.viewers
            older, link = await hub.identity.link(person), await hub.identity.link(person)
            assert await hub.identity.redeem(older) is None
            assert (await viewers.find(link)).person is None
            assert await hub.identity.redeem(link) == person
            assert await hub.identity.redeem(link) is None
            session = await hub.identity.session(person)
            assert (await viewers.find(session)).person == person
            await hub.identity.end(session)
            assert (await viewers.find(session)).person is None

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


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ('organizations(where: {country: ["TJ", "tj"]}) { totalCount }', "two capital letters"),
        ('organizations(where: {ror: "040em2e24"}) { totalCount }', "no ROR id"),
        ('proposals(where: {call: "junk"}) { totalCount }', "call_…"),
        ('proposals(where: {lead: "call_01k00000000000000000000000"}) { totalCount }', "organization_…"),
        ('proposals(where: {partner: "PERSON_01"}) { totalCount }', "organization_…"),
        ('proposals(where: {investigator: ""}) { totalCount }', "person_…"),
        ('activity(where: {type: ["proposalsubmitted"]}) { nodes { type } }', "no such events"),
        ('activity(where: {actor: "Hub"}) { nodes { type } }', "“hub” is asked for"),
        ('activity(where: {record: "proposal"}) { nodes { type } }', "proposal_…"),
    ],
)
def test_a_filter_that_nothing_could_meet_is_a_mistake(region_dsn, asked, said):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody = await client()
            (error,) = (await anybody.answer(f"{{ {asked} }}")).json()["errors"]
            assert error["extensions"]["code"] == "BAD_INPUT" and said in error["message"], error

    told(story())


def test_a_filter_takes_what_people_copy(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody = await client()
            every = await anybody.data("{ organizations(first: 100) { totalCount nodes { id ror } } }")
            some = next(each for each in every["organizations"]["nodes"] if each["ror"])
            query = "query($ror: String) { organizations(where: {ror: $ror}) { nodes { id } } }"
            for typed in (some["ror"], some["ror"].upper(), f"https://ror.org/{some['ror']}", f" {some['ror']}/ "):
                assert (await anybody.data(query, ror=typed))["organizations"]["nodes"] == [{"id": some["id"]}]
            # Whoever empties a field to search in looks for nothing in particular.
            query = "query($text: String) { organizations(where: {text: $text}) { totalCount } }"
            for typed in ("", "  ", None, "zzzzzz"):
                found = (await anybody.data(query, text=typed))["organizations"]["totalCount"]
                assert found == (0 if typed == "zzzzzz" else every["organizations"]["totalCount"]), typed
            # Where an empty text is a mistake it is one, whatever was asked with the same document before.
            query = "query($lead: ID) { proposals(where: {lead: $lead}) { totalCount } }"
            for typed in (None, "", None, "  "):
                answer = (await anybody.answer(query, lead=typed)).json()
                assert ("errors" in answer) == (typed is not None), (typed, answer)
                assert typed is None or answer["errors"][0]["extensions"]["code"] == "BAD_INPUT"
            blank = await anybody.data('{ organizations(where: {text: ""}) { totalCount } }')
            assert blank["organizations"]["totalCount"] == every["organizations"]["totalCount"]

    told(story())


def test_several_are_asked_for_at_once_and_what_is_hidden_is_not_there(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, anybody, draft = await client(person), await client(), await draft_of(hub, person)
            listed = (await anybody.data("{ organizations(first: 1) { nodes { id } } }"))["organizations"]["nodes"]
            organization = listed[0]
            ids = [draft, "proposal_nothing", person, organization["id"], draft, ""]
            query = """query($ids: [ID!]!) { nodes(ids: $ids) { __typename id
                ... on Proposal { title call { title } actions { mutation } }
                ... on Person { name } ... on Organization { history(first: 1) { nodes { words } } } } }"""
            found = (await author.data(query, ids=ids))["nodes"]
            assert [each and each["id"] for each in found] == [draft, None, person, organization["id"], draft, None]
            assert found[0] == found[4] and found[0]["actions"] and found[2]["name"] == "Зарина Каримова"
            assert found[3]["history"]["nodes"][0]["words"]
            hidden = (await anybody.data(query, ids=ids))["nodes"]
            assert [each and each["__typename"] for each in hidden] == [None, None, None, "Organization", None, None]
            assert (await anybody.data(query, ids=[]))["nodes"] == []
            many = await author.answer(query, ids=[draft] * 101)
            assert "At most 100 ids" in many.json()["errors"][0]["message"]
            query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
            costs = [(await author.answer(query, ids=[draft] * n)).json()["extensions"]["cost"] for n in (1, 2, 50)]
            assert costs == [2, 3, 51]

    told(story())


def test_the_head_is_no_newer_than_what_stands_beside_it(region_dsn, monkeypatch):
    """Whoever keeps it and listens from there on misses nothing."""

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, id = await client(person), await draft_of(hub, person)
            hub_now = LOADERS["hub"]

            async def late(*given):
                receipt = await hub.do(ReviseProposal(proposal=id, title=f"Changed {os.urandom(4).hex()}"), person)
                meanwhile.append(receipt.position)
                return await hub_now(*given)

            meanwhile = []
            monkeypatch.setitem(LOADERS, "hub", late)
            query = "query($id: ID!) { hub { head readModelsAt } proposal(id: $id) { title } }"
            found = await author.data(query, id=id)
            assert found["hub"]["head"] == found["hub"]["readModelsAt"] == meanwhile[0] - 1

    told(story())


def test_a_key_says_nothing_to_whoever_reads_the_event(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, id = await client(person), await draft_of(hub, person)
            input = {"proposal": id, "title": "Named by a key"}
            for _ in range(2):
                found = await author.data(REVISE, {"idempotency-key": "for-zarina@example.org"}, input=input)
            position = found["reviseProposal"]["receipt"]["position"]
            query = "query($id: ID!) { proposal(id: $id) { history(first: 3) { nodes { position leaf } } } }"
            leaves = (await author.data(query, id=id))["proposal"]["history"]["nodes"]
            (leaf,) = (each["leaf"] for each in leaves if each["position"] == position)
            assert "zarina" not in leaf and "\nrequest_" in leaf

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


def test_an_answer_is_kept_until_something_that_it_shows_changes(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            author, id = await client(people["karimova"]), await draft_of(hub, people["karimova"])
            query = "query($id: ID!) { proposal(id: $id) { title } }"
            first = await author.answer(query, id=id)
            same = await author.answer(query, {"if-none-match": first.headers["etag"]}, id=id)
            assert (same.status_code, same.content) == (304, b"")
            await hub.do(ReviseProposal(proposal=id, title="Now different"), people["karimova"])
            changed = await author.answer(query, {"if-none-match": first.headers["etag"]}, id=id)
            assert changed.json()["data"]["proposal"]["title"] == "Now different"
            await hub.do(WithdrawProposal(proposal=id, reason="No time"), people["karimova"])
            stranger = await client(people["osmonov"])
            assert (await stranger.data(query, id=id))["proposal"] is None

    told(story())


def test_an_erased_name_is_shown_nowhere(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            from domain.erasure import ErasePerson

            people = await people_of(hub)
            officer = await client(people["rahimova"])
            query = """query($id: ID!) { person(id: $id) { name email status }
                proposals(first: 100) { nodes { investigatorName history(first: 50) { nodes { actorName } } } } }"""
            assert "Айжан" in (await officer.answer(query, id=people["serikova"])).text
            await hub.do(ErasePerson(person=people["serikova"]), people["serikova"])
            after = await officer.answer(query, id=people["serikova"])
            assert "Айжан" not in after.text
            assert after.json()["data"]["person"] == {"name": "erased", "email": None, "status": "ERASED"}
            assert "erased" in {each["investigatorName"] for each in after.json()["data"]["proposals"]["nodes"]}

    told(story())


def test_a_hundred_histories_of_a_hundred_are_no_excess(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            text = "{ proposals(first: 100) { nodes { history(first: 100) { nodes { type } } } } }"
            answer = (await (await client()).answer(text)).json()
            assert "errors" not in answer and answer["extensions"]["cost"] <= 20_000

    told(story())


def test_a_search_among_no_kinds_refuses_the_same_however_often_it_is_asked(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody = await client()
            text = """query($after: String, $first: Int) {
                search(text: "a", kinds: [], first: $first, after: $after) {
                    nodes { recordId } pageInfo { hasPreviousPage } } }"""
            third = base64.b64encode(json.dumps([3, hashlib.sha256(b"a").hexdigest()[:12]]).encode()).decode()
            for _ in range(2):
                good = await anybody.data(text, after=third, first=5)
                assert good["search"] == {"nodes": [], "pageInfo": {"hasPreviousPage": True}}
                assert await anybody.code(text, after="rubbish", first=5) == "BAD_INPUT"
                assert await anybody.code(text, first=500) == "BAD_INPUT"

    told(story())


SUBSCRIBE = """subscription($id: ID!, $after: Int) { recordChanged(id: $id, after: $after) {
    event { position type } record { id ... on Proposal { title } } } }"""


def test_events_are_listed_from_the_oldest_on_and_name_records_that_are_not_shown(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            auditor = await client((await people_of(hub))["osmonov"])
            text = """query($after: Int, $by: EventOrder) {
                activity(first: 3, where: {afterPosition: $after, type: ["ProposalDrafted"]}, orderBy: $by) {
                    nodes { position recordId record { id } } } }"""
            first = (await auditor.data(text, after=5, by="OLDEST"))["activity"]["nodes"]
            positions = [each["position"] for each in first]
            assert positions == sorted(positions) and positions[0] > 5
            assert all(each["recordId"].startswith("proposal_") for each in first)
            newest = await auditor.data(text, after=5, by=None)
            assert newest == await auditor.data(
                text.replace(", orderBy: $by", "").replace(", $by: EventOrder", ""), after=5
            )
            assert newest["activity"]["nodes"][0]["position"] > positions[-1]
            # An auditor reads the events of what is not theirs to read.
            text = "{ activity(first: 100) { nodes { recordId record { id } } } }"
            events = (await auditor.data(text))["activity"]["nodes"]
            assert any(each["recordId"] and not each["record"] for each in events)

    told(story())


def test_what_is_new_since_a_position_begins_after_it(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody = await client()
            text = "query($n: Int!) { activity(first: 3, where: {afterPosition: $n}) { nodes { position } } }"
            newest = (await anybody.data(text, n=0))["activity"]["nodes"][0]["position"]
            assert (await anybody.data(text, n=newest))["activity"]["nodes"] == []
            assert (await anybody.data(text, n=newest - 1))["activity"]["nodes"] == [{"position": newest}]

    told(story())


def test_a_corrected_name_is_in_no_answer_that_was_kept(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            theirs, id = await client(person), await draft_of(hub, person)
            text = "query($id: ID!) { proposal(id: $id) { investigatorName } }"
            old = await theirs.answer(text, id=id)
            await theirs.answer(text, id=id)
            await hub.do(CorrectName(person=person, name="Зарина Каримзода"), person)
            new = await theirs.answer(text, headers={"if-none-match": old.headers["etag"]}, id=id)
            assert new.status_code == 200 and "Каримова" not in new.text

    told(story())


def test_a_record_that_cannot_be_is_not_waited_for(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, app, _):
            from web.asking import Asked

            viewer = await app.endpoint.viewers.find("")
            answers = app.endpoint.results(Asked(SUBSCRIBE, None, {"id": "nonsense"}), viewer, "")
            refused = json.loads(await asyncio.wait_for(anext(aiter(answers)), 10))
            assert refused["errors"][0]["extensions"]["code"] == "BAD_INPUT"

    told(story())


def test_changes_come_live_to_whom_they_concern(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            from web.asking import Asked

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


def test_a_refusal_shows_the_record_as_it_is_now(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            id, stranger = await draft_of(hub, people["karimova"]), sorted(people.keys() - {"karimova"})[-1]
            await hub.do(ReviseProposal(proposal=id, title="Theirs"), people["karimova"])
            revise = """mutation($id: ID!) { reviseProposal(input: {proposal: $id, title: "Mine", revision: 1}) {
                refusal { code } proposal { title revision } } }"""
            answer = (await (await client(people["karimova"])).data(revise, id=id))["reviseProposal"]
            assert answer == {
                "refusal": {"code": "CHANGED_MEANWHILE"},
                "proposal": {"title": "Theirs", "revision": 2},
            }
            answer = (await (await client(people[stranger])).data(revise, id=id))["reviseProposal"]
            assert answer == {"refusal": {"code": "NOT_PERMITTED"}, "proposal": None}
            whole = (await (await client(people["karimova"])).answer(revise, id="a\0b")).json()
            assert "errors" not in whole and whole["data"]["reviseProposal"]["proposal"] is None

    told(story())


def test_what_an_assessment_of_risks_has_changed_is_said(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            id = await draft_of(hub, person)
            for level in ("limited", "high"):
                given = {"harms": "Who is misled by it.", "safeguards": "A person decides.", "personal_data": False}
                await hub.do(AssessRisk(proposal=id, level=level, **given), person)
            query = """query($id: ID!) { proposal(id: $id) { history(first: 2) { nodes {
                type changes { field name before after } } } } }"""
            last, first = (await (await client(person)).data(query, id=id))["proposal"]["history"]["nodes"]
            assert last["changes"] == [
                {"field": "level", "name": "Level of risk", "before": "LIMITED", "after": "HIGH"}
            ]
            assert {each["field"]: each["after"] for each in first["changes"]}["personalData"] == "false"

    told(story())


def test_a_cursor_of_another_search_is_told_so(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody = await client()
            text = """query($text: String!, $after: String, $kinds: [RecordKind!]) {
                search(text: $text, first: 2, after: $after, kinds: $kinds) {
                    pageInfo { endCursor } nodes { title } } }"""
            first = (await anybody.data(text, text="university"))["search"]
            after = first["pageInfo"]["endCursor"]
            assert (await anybody.data(text, text="university", after=after))["search"]["nodes"] != first["nodes"]
            assert await anybody.code(text, text="speech", after=after) == "BAD_INPUT"
            assert await anybody.code(text, text="university", kinds=["CALL"], after=after) == "BAD_INPUT"

    told(story())


@pytest.mark.parametrize(
    "when", ["2026-W01-1T10:00:00Z", "20261101T100000Z", "2026-11-01T10:00:00,5Z", "2026-11-01", 5]
)
def test_a_time_that_is_not_written_as_the_schema_says_is_told_so(region_dsn, when):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody, query = await client(), "query($since: DateTime!) { region(since: $since) { figures { count } } }"
            assert await anybody.code(query, since=when) == "BAD_INPUT"
            assert (await anybody.data(query, since="2026-11-01t10:00:00.5z"))["region"]

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


def test_server_sent_events_and_sockets(region_dsn):
    from hub.door import Hub
    from web.app import Served, Settings

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


def test_every_command_of_people_is_a_mutation_and_no_other():
    assert "closeRound" not in commands() and "importOrganization" not in commands()
    assert len(commands()) > 35


def test_a_person_who_is_only_invited_reads_as_anybody(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            invited = (await hub.do(InvitePerson(name="Newcomer", email="new@hub.example"))).record
            newcomer = await client(invited)
            assert (await newcomer.data("{ me { id } }"))["me"] is None
            await hub.do(JoinHub(person=invited), invited)
            assert (await newcomer.data("{ me { name } }"))["me"]["name"] == "Newcomer"

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


def test_a_record_as_it_stood_is_answered_as_asked_each_time(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            author, id = await client(people["karimova"]), await draft_of(hub, people["karimova"])
            head = await hub.log.head()
            await hub.do(ReviseProposal(proposal=id, title="Another title"), people["karimova"])

            async def asked(position, what):
                query = f'{{ proposal(id: "{id}") {{ asOf(position: {position}) {{ {what} }} }} }}'
                return (await author.data(query))["proposal"]["asOf"]

            assert await asked(head, "title revision") != await asked(head + 1, "title revision")
            assert await asked(head, "revision") == {"revision": 1}
            assert await asked(head + 1, "revision") == {"revision": 2}
            assert await asked(1, "revision") is None
            # What the log does not have yet is no answer that would be another one tomorrow.
            query = f'{{ proposal(id: "{id}") {{ asOf(%s) {{ title }} }} }}'
            for when in (f"position: {head + 2}", "position: -5", 'at: "2199-01-01T00:00:00Z"'):
                assert await author.code(query % when) == "BAD_INPUT"

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
    "after",
    [
        '["\\ud800", "\\ud800"]',
        '["a\\u0000", "b"]',
        "[1e400, 1]",
        "[99999999999999999999, 1]",
        "[]",
        "7",
        '["a", "b"]',
        '["a", "b", "proposal drafted_at"]',
    ],
)
def test_a_cursor_that_no_list_gave_is_told_so(region_dsn, after):
    async def story():
        import base64

        async with serving(region_dsn) as (_, _, client):
            cursor = base64.b64encode(after.encode()).decode()
            query = "query($after: String) { organizations(after: $after) { totalCount } }"
            assert await (await client()).code(query, after=cursor) == "BAD_INPUT"

    told(story())


def test_a_cursor_of_another_list_or_order_is_told_so(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody = await client()
            page = "query($after: String) { %s(first: 1, after: $after%s) { pageInfo { endCursor } nodes { id } } }"
            lists = [
                ("organizations", ""),
                ("calls", ", orderBy: OPENS_LAST"),
                ("calls", ", orderBy: CLOSES_LAST"),
                ("calls", ", orderBy: CLOSES_FIRST"),
                ("proposals", ""),
            ]
            cursors = [(await anybody.data(page % each))[each[0]]["pageInfo"]["endCursor"] for each in lists]
            for here, own in enumerate(lists):
                for n, cursor in enumerate(cursors):
                    answer = (await anybody.answer(page % own, after=cursor)).json()
                    assert ("errors" in answer) is (n != here), (own, lists[n], answer)
                    assert "errors" not in answer or "another list or order" in answer["errors"][0]["message"]
            # Names are in the order of a language.
            heads = [{"accept-language": each} for each in ("en", "tg")]
            first = (await anybody.answer(page % lists[0], heads[0])).json()["data"]["organizations"]["pageInfo"]
            there = (await anybody.answer(page % lists[0], heads[1], after=first["endCursor"])).json()
            assert "another list or order" in there["errors"][0]["message"]

    told(story())


def test_a_subscription_that_cannot_be_answered_says_so(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            from domain.organizations.commands import RegisterOrganization
            from web.asking import Asked

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


def test_an_answer_that_the_client_has_is_recognized_in_every_form_of_its_tag(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody, query = await client(), "{ organizations { totalCount } }"
            tag = (await anybody.answer(query)).headers["etag"]
            for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
                assert (await anybody.answer(query, {"if-none-match": given})).status_code == 304, given
            assert (await anybody.answer(query, {"if-none-match": '"other"'})).status_code == 200

    told(story())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("opensAt", "0001-01-01T00:00:00+14:00"),
        ("closesAt", "9999-12-31T23:59:59-14:00"),
        ("title", "   "),
        ("title", "\u200b\u200b\u200b\u200b"),
    ],
)
def test_what_no_record_should_hold_is_refused_at_its_field(region_dsn, field, value):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            officer = await client((await people_of(hub))["rahimova"])
            input = {
                "title": "Water",
                "summary": "Water and ice together",
                "opensAt": "2027-01-01T05:00:00+05:00",
                "closesAt": "2027-02-01T00:00:00Z",
                "criteria": [{"name": "Excellence", "weight": 100}],
            }
            text = """mutation($input: DraftCallInput!) { draftCall(input: $input) {
                refusal { code field } call { opensAt } } }"""
            refused = (await officer.data(text, input={**input, field: value}))["draftCall"]["refusal"]
            assert refused == {"code": "INVALID", "field": field}
            taken = (await officer.data(text, input=input))["draftCall"]
            assert taken["call"]["opensAt"] == "2027-01-01T00:00:00+00:00"

    told(story())


@pytest.mark.parametrize(
    ("sent", "title"),
    [
        ("Two\nlines\r\n of it", "Two lines of it"),
        ("A\ttab\u2028and\x85more", "A tab and more"),
        ("Invoice \u202efdp.exe\u202c \u2066x\u2069", "Invoice fdp.exe x"),
        ("Обь\u00a0— Иртыш", "Обь\u00a0— Иртыш"),
    ],
)
def test_what_is_one_line_holds_no_breaks_and_nothing_that_turns_its_letters(region_dsn, sent, title):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            author, id = await client(person), await draft_of(hub, person)
            text = """mutation($input: ReviseProposalInput!) { reviseProposal(input: $input) {
                refusal { code field } proposal { title abstract } } }"""
            abstract = f"{sent}\n\n* a list\n* of two"
            done = (await author.data(text, input={"proposal": id, "title": sent, "abstract": abstract}))[
                "reviseProposal"
            ]
            # A text of many lines stays as it was written.
            assert done == {"refusal": None, "proposal": {"title": title, "abstract": abstract}}
            refused = (await author.data(text, input={"proposal": id, "title": "\u202e\n\u2069"}))["reviseProposal"]
            assert refused["refusal"] == {"code": "INVALID", "field": "title"}

    told(story())


def test_a_total_is_kept_from_page_to_page_and_counted_anew_after_a_change(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            author, other = await client(people["karimova"]), await client(people["osmonov"])
            query = """query($after: String) { proposals(first: 1, after: $after) {
                totalCount nodes { id } pageInfo { endCursor } } }"""

            async def pages(who):
                totals, after = set(), None
                for _ in range(3):
                    page = (await who.data(query, after=after))["proposals"]
                    totals.add(page["totalCount"])
                    after = page["pageInfo"]["endCursor"]
                return totals

            before, theirs = await pages(author), await pages(other)
            assert len(before) == 1 and len(theirs) == 1
            row = await hub.log.pool.fetchrow(
                f"SELECT call, lead FROM {hub.models.schema}.proposal WHERE id = $1",
                await draft_of(hub, people["karimova"]),
            )
            await hub.do(DraftProposal(call=row["call"], lead=row["lead"], title="One more"), people["karimova"])
            assert await pages(author) == {before.pop() + 1} and await pages(other) == theirs

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
