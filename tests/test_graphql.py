"""The API as labs meet it: commands, tokens, retries, live changes, limits, and whatever else is sent."""

import asyncio

import pytest

from domain.core import HubRole
from domain.people.commands import GrantRole, InvitePerson, JoinHub
from domain.proposals.commands import AssessRisk, ReviseProposal
from domain.proposals.partners import InvitePartner
from tests.test_log import region, told
from tests.web import draft_of, people_of, redeemed, serving
from web.schema.mutations import commands

REVISE = """mutation($input: ReviseProposalInput!) { reviseProposal(input: $input) {
    receipt { position at record events } refusal { code message field } proposal { title revision } } }"""


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
            await hub.do(GrantRole(person=author, role=HubRole.AUDITOR))
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
            assert await redeemed(hub, older) is None
            assert (await viewers.find(link)).person is None
            assert await redeemed(hub, link) == person
            assert await redeemed(hub, link) is None
            session = await hub.identity.session(person)
            assert (await viewers.find(session)).person == person
            await hub.identity.end(session)
            assert (await viewers.find(session)).person is None

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


def test_a_date_is_written_as_its_specification_says_and_in_no_other_way(dsn):
    async def story():
        async with serving(dsn) as (hub, _, client):
            _, author, lead, _ = await region(hub)
            text = """mutation($input: DeclareAffiliationInput!) {
                declareAffiliation(input: $input) { receipt { events } } }"""
            post = {
                "person": author,
                "organization": lead,
                "position": "Dean",
                "since": "2020-02-29",
                "until": "2020-03-01",
            }
            asks = await client(author)
            for other in ("20200229", "2020-W09-6", "2020-2-29", "2021-02-29", "٢٠٢٠-٠٢-٢٩"):
                answer = (await asks.answer(text, input={**post, "since": other})).json()
                assert answer["errors"][0]["extensions"]["code"] == "BAD_INPUT", other
                assert "a date is asked for" in str(answer) and "since" in str(answer), answer
            assert (await asks.data(text, input=post))["declareAffiliation"]["receipt"]["events"] == 1

    told(story())


def test_a_time_that_is_none_is_named_where_it_stands(dsn):
    async def story():
        async with serving(dsn) as (_, _, client):
            anybody = await client()
            for typed, said, column in (
                ("9999-12-31T23:59:59-14:00", "from the year 1 to 9999", 3),
                ("0001-01-01T00:00:00+14:00", "from the year 1 to 9999", 3),
                ("2026-02-30T00:00:00Z", "a date and time with a zone", 28),
                ("2026-02-03T00:00:00", "a date and time with a zone", 28),
            ):
                query = f'{{ activity(where: {{ since: "{typed}" }}) {{ nodes {{ type }} }} }}'
                (error,) = (await anybody.answer(query)).json()["errors"]
                assert said in error["message"] and error["locations"] == [{"line": 1, "column": column}], error
                query = "query($input: EventFilter) { activity(where: $input) { nodes { type } } }"
                (error,) = (await anybody.answer(query, input={"since": typed})).json()["errors"]
                assert said in error["message"] and "since" in error["message"], error
                query = f'{{ region(since: "{typed}") {{ figures {{ count }} }} }}'
                (error,) = (await anybody.answer(query)).json()["errors"]
                assert said in error["message"] and error["locations"][0]["line"] == 1, error
            query = "query($input: EventFilter) { activity(where: $input) { nodes { type } } }"
            every = {"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59.999Z"}
            assert await anybody.data(query, input=every) == {"activity": {"nodes": []}}

    told(story())
