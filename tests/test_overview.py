"""What is counted over many records, and the log as auditors read it: each reader by what they may read."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from domain.calls.commands import AmendCall
from domain.calls.events import Criterion
from domain.core import HubRole, Refusal, refuse
from domain.organizations.commands import ImportOrganization
from domain.people.commands import GrantRole
from domain.proposals.commands import ReviseProposal
from domain.proposals.decisions import MoveDeadline, ReturnProposal
from domain.proposals.partners import ConfirmPartner, InvitePartner
from hub.audit.tree import leaves
from hub.door import Hub
from tests.test_log import told
from tests.web import Client, draft_of, people_of, serving

REGION = """query($since: DateTime!) { region(since: $since) {
    figures { name count recent } places { city country organizations latitude }
    links { from { city } to { city } projects } } }"""
LONG_AGO, SOON = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


def test_the_region_is_counted_over_what_everybody_may_read(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            found = (await (await client()).data(REGION, since=LONG_AGO))["region"]
            schema = hub.models.schema
            counted = await hub.log.pool.fetchrow(
                f"""SELECT (SELECT count(*) FROM {schema}.organization WHERE status = 'verified') AS organizations,
                           (SELECT count(*) FROM {schema}.proposal WHERE status = 'awarded') AS awarded,
                           (SELECT count(*) FROM {schema}.call WHERE status = 'open') AS open_calls"""
            )
            figures = {each["name"]: each["count"] for each in found["figures"]}
            for name, count in dict(counted).items():
                assert figures[name.upper()] == count > 0
            assert all(each["recent"] == each["count"] for each in found["figures"])
            none = (await (await client()).data(REGION, since=SOON))["region"]
            assert [each["recent"] for each in none["figures"]] == [0, 0, 0, 0]
            assert sum(each["organizations"] for each in found["places"]) == counted["organizations"]
            assert found["links"] and sum(each["projects"] for each in found["links"]) >= counted["awarded"]
            # Whoever may read more is told the same: it is the region's, not theirs.
            author = await client(people["karimova"])
            await draft_of(hub, people["karimova"])
            assert (await author.data(REGION, since=LONG_AGO))["region"] == found

    told(story())


WITH = "query($id: ID!) { organization(id: $id) { collaborators { name country proposals } } }"


def test_who_works_with_whom_depends_on_the_reader(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            by_name = {
                row["name"]: row["id"]
                for row in await hub.log.pool.fetch(f"SELECT id, name FROM {hub.models.schema}.organization")
            }
            own, partner = by_name["S. U. Umarov Physical-Technical Institute"], by_name["Osh State University"]

            async def seen(person):
                found = (await (await client(person)).data(WITH, id=own))["organization"]["collaborators"]
                return {each["name"]: each["proposals"] for each in found}

            public, inside = await seen(None), await seen(people["nazarov"])
            assert public and set(public) < set(inside)
            before = inside.get("Osh State University", 0)
            proposal = await draft_of(hub, people["karimova"])
            await hub.do(
                InvitePartner(proposal=proposal, organization=partner, contribution="x" * 9), people["karimova"]
            )
            assert (await seen(people["nazarov"])).get("Osh State University", 0) == before
            officer = await hub.log.pool.fetchval(
                f"SELECT person FROM {hub.models.schema}.officer WHERE organization = $1", partner
            )
            await hub.do(ConfirmPartner(proposal=proposal, organization=partner), officer)
            assert (await seen(people["nazarov"])).get("Osh State University", 0) == before + 1
            assert await seen(None) == public
            answer = await (await client()).answer(WITH.replace("collaborators", "collaborators(first: 51)"), id=own)
            assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_INPUT"

    told(story())


def test_applications_by_country_are_those_that_one_may_read(region_dsn):
    query = """{ calls(first: 10) { nodes {
        title proposalsByCountry { country count } proposals(first: 0) { totalCount } } } }"""

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            for person in (None, people["karimova"], people["rahimova"]):
                calls = (await (await client(person)).data(query))["calls"]["nodes"]
                for each in calls:
                    assert sum(a["count"] for a in each["proposalsByCountry"]) == each["proposals"]["totalCount"]
                assert any(each["proposalsByCountry"] for each in calls)

    told(story())


LOG = """query($where: EventFilter) { activity(first: 100, where: $where) {
    nodes { position type actorId actorName leaf record { id } } } }"""


def test_auditors_read_every_event_and_nobody_s_name(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people, head = await people_of(hub), await hub.log.head()
            auditor, seen, after = await client(people["osmonov"]), [], None
            query = """query($after: String) { activity(first: 100, after: $after) {
                nodes { position leaf actorName } pageInfo { hasNextPage endCursor } } }"""
            while True:
                page = (await auditor.data(query, after=after))["activity"]
                seen += page["nodes"]
                if not page["pageInfo"]["hasNextPage"]:
                    break
                after = page["pageInfo"]["endCursor"]
            assert [each["position"] for each in seen] == [*range(head, 0, -1)]
            made = await leaves(hub.log.pool, 0, 2**40)
            assert [each["leaf"].encode() for each in reversed(seen)] == made
            # Names only where the auditor takes part as anybody might.
            own = {people["osmonov"]}
            names = {each["actorName"] for each in seen} - {None}
            assert names <= {"Бакыт Осмонов"} and own
            everybody = (await (await client()).data(LOG))["activity"]["nodes"]
            assert 0 < len(everybody) < head

    told(story())


@pytest.mark.parametrize("by", ["tag", "record", "type", "actor", "since", "until"])
def test_events_are_found_by_what_they_are_about(region_dsn, by):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            auditor = await client(people["osmonov"])
            every = await hub.log.read(limit=1_000)
            middle = every[150]
            proposal = next(each for each in every if each.type == "PartnerInvited").event
            value = {
                "tag": proposal.organization,
                "record": proposal.proposal,
                "type": ["PartnerInvited"],
                "actor": people["karimova"],
                "since": every[-50].at.isoformat(),
                "until": every[60].at.isoformat(),
            }[by]
            wanted = {
                "tag": lambda each: proposal.organization in each.tags,
                "record": lambda each: getattr(each.event, "proposal", None) == proposal.proposal,
                "type": lambda each: each.type == "PartnerInvited",
                "actor": lambda each: each.actor == people["karimova"],
                "since": lambda each: each.at >= every[-50].at,
                "until": lambda each: each.at < every[60].at,
            }[by]
            found = (await auditor.data(LOG, where={by: value}))["activity"]["nodes"]
            assert [each["position"] for each in found] == [each.position for each in every if wanted(each)][::-1]
            assert middle.position and found

    told(story())


def test_what_happens_anywhere_is_heard_by_whom_it_concerns(region_dsn):
    from web.asking import Asked

    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            endpoint = app.endpoint
            heard = {}
            for name in ("karimova", "mammedova"):
                secret = await hub.identity.token(people[name], ["read"], "t", 1)
                viewer = await endpoint.viewers.find(secret)
                ask = Asked(
                    "subscription($after: Int) { happened(after: $after) { event { type } } }",
                    None,
                    {"after": await hub.log.head()},
                )
                heard[name] = endpoint.results(ask, viewer, secret)
            id = await draft_of(hub, people["karimova"])
            await hub.do(ReviseProposal(proposal=id, title="Heard by who takes part"), people["karimova"])
            first = json.loads(await anext(heard["karimova"]))
            assert first["data"]["happened"]["event"]["type"] == "ProposalRevised"
            # The stranger hears nothing of it: the next that they hear is public.
            call = await hub.log.pool.fetchval(f"SELECT id FROM {hub.models.schema}.call WHERE status = 'published'")
            await hub.do(AmendCall(call=call, summary="Heard by everybody", reason="Told"), people["rahimova"])
            stranger = json.loads(await anext(heard["mammedova"]))
            assert stranger["data"]["happened"]["event"]["type"] == "CallAmended"
            for each in heard.values():
                await each.aclose()

    told(story())


def test_a_seal_is_nobodys_record_and_ends_nobodys_listening(region_dsn):
    from hub.audit.digests import digest
    from web.asking import Asked

    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people, head = await people_of(hub), await hub.log.head()
            await hub.do(await digest(region_dsn, hub.models.schema))
            id = await draft_of(hub, people["karimova"])
            last = await hub.do(ReviseProposal(proposal=id, title="After the seals"), people["karimova"])
            text = "subscription($after: Int) { happened(after: $after) { event { type position } record { id } } }"
            auditor = await hub.identity.token(people["mammedova"], ["read"], "t", 1)
            await hub.do(GrantRole(person=people["mammedova"], role=HubRole.AUDITOR))
            for secret, sealed in (
                (await hub.identity.token(people["karimova"], ["read"], "t", 1), False),
                (auditor, True),
            ):
                viewer = await app.endpoint.viewers.find(secret)
                heard = []
                async with asyncio.timeout(20):
                    async for body in app.endpoint.results(Asked(text, None, {"after": head}), viewer, secret):
                        heard.append(json.loads(body)["data"]["happened"])
                        if heard[-1]["event"]["position"] >= last.position:
                            break
                seals = [each for each in heard if each["event"]["type"] == "ReadModelSealed"]
                assert bool(seals) is sealed and all(each["record"] is None for each in seals)
                assert heard[-1]["record"] == {"id": id} or sealed

    told(story())


def test_everything_that_is_missing_is_said_at_once(region_dsn):
    query = """query($id: ID!) { proposal(id: $id) { actions { mutation available reason missing { code about } } } }"""

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            id = await draft_of(hub, person)
            found = (await (await client(person)).data(query, id=id))["proposal"]["actions"]
            submit = next(each for each in found if each["mutation"] == "submitProposal")
            assert [each["about"] for each in submit["missing"]] == ["risk", "partners"]
            assert submit["missing"][-1] == {"code": "PARTNERS_UNCONFIRMED", "about": "partners"}
            assert all(each["missing"] == [] for each in found if each["available"])

    told(story())


def test_refusals_are_raised_together():
    refuse([])
    with pytest.raises(Refusal) as caught:
        refuse(Refusal("INVALID", text) for text in ("First", "Second", "Third"))
    assert str(caught.value) == "First" and [str(each) for each in caught.value.further] == ["Second", "Third"]


def test_the_region_is_there_while_nothing_is(dsn):
    async def story():
        hub = await Hub.open(dsn)
        await hub.close()
        async with serving(dsn) as (_, _, client):
            found = (await (await client()).data(REGION, since=LONG_AGO))["region"]
            assert found["places"] == found["links"] == []
            assert (await (await client()).http.get("/")).status_code == 200

    told(story())


@pytest.mark.parametrize("kinds", [[], ["PERSON"]])
def test_a_search_among_kinds_that_nothing_is_found_in_is_empty_and_still_refuses_what_it_cannot_be(region_dsn, kinds):
    query = """query($kinds: [RecordKind!], $first: Int, $after: String) {
        search(text: "university", kinds: $kinds, first: $first, after: $after) {
        nodes { recordId } edges { cursor } pageInfo { hasNextPage endCursor } } }"""

    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody = await client()
            found = (await anybody.data(query, kinds=kinds, first=5))["search"]
            assert found == {"nodes": [], "edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
            assert await anybody.code(query, kinds=kinds, first=51) == "BAD_INPUT"
            assert await anybody.code(query, kinds=kinds, first=5, after="nonsense") == "BAD_INPUT"
            assert (await anybody.data(query, kinds=[*kinds, "ORGANIZATION"], first=5))["search"]["nodes"]

    told(story())


def test_an_event_that_changes_parts_of_a_record_says_which(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            people = await people_of(hub)
            officer, author = await client(people["rahimova"]), people["karimova"]
            call = (await officer.data("{ calls(where: { status: [PUBLISHED] }) { nodes { id } } }"))["calls"]["nodes"]
            id = call[0]["id"]
            later = datetime.now(UTC) + timedelta(days=300)
            await hub.do(AmendCall(call=id, title="Energy", closes_at=later, reason="A holiday"), people["rahimova"])
            history = "query($id: ID!) { call(id: $id) { history(first: 3) { nodes { type changed reason } } } }"
            found = (await (await client()).data(history, id=id))["call"]["history"]["nodes"]
            assert found[0] == {"type": "CallAmended", "changed": ["Title", "Closes"], "reason": "A holiday"}
            assert [each["changed"] for each in found[1:]] == [[]] * (len(found) - 1) and len(found) > 1
            russian = await (await client()).data(history, {"accept-language": "ru"}, id=id)
            assert russian["call"]["history"]["nodes"][0]["changed"] == ["Название", "Окончание приёма"]
            page = await Client(app).http.get(f"/calls/{id}")
            assert "Changed: Title, Closes." in page.text and "A holiday" in page.text
            # What is given back is to be changed until a time, which may move.
            asked = "{ proposals(first: 1, where: {inMyCalls: true, status: [SUBMITTED]}) { nodes { id } } }"
            given = (await officer.data(asked))["proposals"]["nodes"][0]["id"]
            first, then = (datetime(2027, month, 1, 9, tzinfo=UTC) for month in (1, 2))
            await hub.do(ReturnProposal(proposal=given, reason="Say more", until=first), people["rahimova"])
            await hub.do(MoveDeadline(proposal=given, reason="A holiday", until=then), people["rahimova"])
            history = """query($id: ID!) { proposal(id: $id) { history(first: 2) { nodes { type changes {
                field before after } } } } }"""
            moved, back = (await officer.data(history, id=given))["proposal"]["history"]["nodes"]
            told_ = {"field": "until", "before": "2027-01-01T09:00:00+00:00", "after": "2027-02-01T09:00:00+00:00"}
            assert moved == {"type": "DeadlineMoved", "changes": [told_]}
            assert back["changes"] == [{"field": "until", "before": None, "after": told_["before"]}]
            # What a title is in an event that begins a record is no change; and who sees no event sees none of this.
            draft = await draft_of(hub, author)
            await hub.do(ReviseProposal(proposal=draft, abstract="On ice"), author)
            mine = """query($id: ID!) { proposal(id: $id) { history { nodes { type changed } } } }"""
            own = (await (await client(author)).data(mine, id=draft))["proposal"]["history"]["nodes"]
            assert own[0] == {"type": "ProposalRevised", "changed": ["Abstract"]}
            assert own[-1] == {"type": "ProposalDrafted", "changed": []}
            assert (await (await client()).data(mine, id=draft))["proposal"] is None

    told(story())


def test_an_event_says_what_something_was_and_what_it_became(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            people, anybody = await people_of(hub), await client()
            center = people["rahimova"]
            calls = "{ calls(where: { status: [PUBLISHED] }) { nodes { id title closesAt quorum blindness } } }"
            call = (await anybody.data(calls))["calls"]["nodes"][0]
            id, later = call["id"], datetime(2027, 12, 1, 9, tzinfo=UTC)
            await hub.do(AmendCall(call=id, title="Energy", reason="Shorter"), center)
            criteria = (Criterion("Merit", 60), Criterion("Reach", 40))
            more = AmendCall(
                call=id, title="Energy", closes_at=later, quorum=4, blindness="open", criteria=criteria, reason="More"
            )
            await hub.do(more, center)
            history = """query($id: ID!, $first: Int!, $after: String) { node(id: $id) { ... on Record {
                history(first: $first, after: $after) { nodes { type changes { field name before after } }
                pageInfo { endCursor } } } } }"""
            told_of = (await anybody.data(history, id=id, first=1))["node"]["history"]
            parts = {each["field"]: each for each in told_of["nodes"][0]["changes"]}
            # What was given as it stood is no change.
            assert set(parts) == {"closesAt", "quorum", "blindness", "criteria"}
            assert (parts["closesAt"]["before"], parts["closesAt"]["after"]) == (call["closesAt"], later.isoformat())
            assert (parts["quorum"]["before"], parts["quorum"]["after"]) == (str(call["quorum"]), "4")
            assert (parts["blindness"]["before"], parts["blindness"]["after"]) == (call["blindness"], "OPEN")
            assert parts["criteria"]["after"] == "Merit: 60\nReach: 40" and parts["criteria"]["before"].count(": ") > 1
            # Page by page it is the same.
            after = told_of["pageInfo"]["endCursor"]
            earlier = (await anybody.data(history, id=id, first=5, after=after))["node"]["history"]["nodes"]
            assert earlier[0]["changes"] == [
                {"field": "title", "name": "Title", "before": call["title"], "after": "Energy"}
            ]
            assert all(each["changes"] == [] for each in earlier[1:])
            page = (await Client(app).http.get(f"/calls/{id}")).text
            assert "<ins>Energy</ins>" in page and f"<del>{call['title']}</del>" in page and "<ins>4</ins>" in page
            # What ROR says anew is told, too.
            ror = 'query { organizations(where: {ror: "01c9f4y89"}) { nodes { id name city country kind } } }'
            before = (await anybody.data(ror))["organizations"]["nodes"][0]
            moved = ImportOrganization(
                ror="01c9f4y89",
                name=before["name"],
                names={"ru": "Иначе"},
                kind=before["kind"].lower(),
                city="Osh",
                country=before["country"],
            )
            await hub.do(moved, "hub")
            told_of = (await anybody.data(history, id=before["id"], first=1))["node"]["history"]["nodes"][0]
            parts = {each["field"]: (each["before"], each["after"]) for each in told_of["changes"]}
            assert parts["city"] == (before["city"], "Osh") and parts["nameRu"][1] == "Иначе"
            assert "name" not in parts and "country" not in parts

    told(story())


@pytest.mark.parametrize("named", [True, False])
def test_a_partner_that_confirmed_another_text_is_seen(region_dsn, named):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            people = await people_of(hub)
            author = people["karimova"]
            query = "{ proposals(first: 100, where: {mine: true}) { nodes { id status partners { status } } } }"
            found = (await (await client(author)).data(query))["proposals"]["nodes"]
            confirmed = [{"status": "CONFIRMED"}]
            id = next(each["id"] for each in found if each["status"] == "DRAFT" and confirmed[0] in each["partners"])
            if not named:
                # As it was confirmed before confirmations named the revision of the text.
                db = await asyncpg.connect(hub.log.dsn)
                await db.execute(f"UPDATE {hub.models.schema}.partner SET revision = NULL")
                await db.close()
            as_author = Client(app).http
            as_author.cookies.set("hub_session", await hub.identity.session(author))
            assert "The text was changed since." not in (await as_author.get(f"/proposals/{id}")).text
            await hub.do(ReviseProposal(proposal=id, abstract="Another plan"), author)
            page = (await as_author.get(f"/proposals/{id}")).text
            assert page.count("The text was changed since.") == 1
            # Its officer is asked anew, on their first page and here, and says so with a press.
            officer = people["toktogulov"]
            as_officer = Client(app).http
            as_officer.cookies.set("hub_session", await hub.identity.session(officer))
            waiting = "{ proposals(first: 100, where: {awaitsMyAnswer: true}) { nodes { id } } }"
            mine = await client(officer)
            assert {"id": id} in (await mine.data(waiting))["proposals"]["nodes"]
            page = (await as_officer.get(f"/proposals/{id}")).text
            address = re.search(rf'href="(/do/confirmPartner\?proposal={id}[^"]+)">Confirm the new text', page)[1]
            organization = re.search(r"organization_\w+", address)[0]
            sent = {"proposal": id, "organization": organization, "!key": "anew"}
            assert (await as_officer.post("/do/confirmPartner", data=sent)).status_code == 303
            assert {"id": id} not in (await mine.data(waiting))["proposals"]["nodes"]
            for each in (as_author, as_officer):
                page = (await each.get(f"/proposals/{id}")).text
                assert "The text was changed since" not in page and "Confirm the new text" not in page

    told(story())
