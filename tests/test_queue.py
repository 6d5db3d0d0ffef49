"""What waits for officers of calls, of organizations and of countries: all of it, and nothing that cannot be done."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.call_results import ArchiveCall, PublishResults
from domain.calls.commands import AmendCall, CloseRound, DraftCall, OpenRound, PublishCall
from domain.calls.events import Criterion
from domain.calls.officers import AppointCallOfficer
from domain.core import HubRole, Refusal
from domain.erasure import ErasePerson
from domain.organizations.commands import (
    AmendOrganization,
    CloseOrganization,
    RegisterOrganization,
    SuspendOrganization,
    VerifyOrganization,
)
from domain.organizations.offices import AppointOfficer, DismissOfficer
from domain.people.affiliations import ConfirmAffiliation, DeclareAffiliation, EndAffiliation
from domain.people.commands import GrantRole, InvitePerson, RevokeRole
from domain.proposals.commands import AssessRisk, DraftProposal, ReviseProposal, SubmitProposal
from domain.proposals.decisions import (
    ConfirmEligibility,
    DeclineProposal,
    MoveDeadline,
    OfferAward,
    PassDeadline,
    RecommendProposal,
    ReturnProposal,
    WithdrawOffer,
)
from domain.proposals.partners import ConfirmPartner, DeclinePartner, InvitePartner, UninvitePartner
from hub.door import Hub
from tests.test_log import person, region, told
from tests.web import as_, people_of, serving
from web.notices import notice
from web.preferences import HOME_ZONE
from web.reads.viewer import Viewers

TEXT = "We want to find out how ice melts, and why it does so together with everybody. " * 3


async def submitted(hub, count):
    """An officer of a call that is open for an hour, an author, a partner's officer, the call, and its proposals."""
    officer, author, lead, call = await region(hub)
    other = await person(hub, "Aibek")
    academy = RegisterOrganization(name="Academy", kind="university", city="Osh", country="KG")
    partner = (await hub.do(academy, other)).record
    await hub.do(VerifyOrganization(organization=partner), officer)
    for organization, who in ((lead, author), (partner, other)):
        await hub.do(AppointOfficer(organization=organization, person=who), officer)
    closes = datetime.now(UTC) + timedelta(hours=1)
    await hub.do(AmendCall(call=call, reason="Sooner", closes_at=closes), officer)
    await hub.do(OpenRound(call=call), officer)
    made = []
    risk = {"level": "limited", "personal_data": False, "harms": TEXT[:60], "safeguards": TEXT[:60]}
    for n in range(count):
        id = (await hub.do(DraftProposal(call=call, lead=lead, title=f"Ice {n}", abstract=TEXT), author)).record
        await hub.do(InvitePartner(proposal=id, organization=partner, contribution="Data"), author)
        await hub.do(AssessRisk(proposal=id, **risk), author)
        await hub.do(ConfirmPartner(proposal=id, organization=partner), other)
        await hub.do(SubmitProposal(proposal=id), author)
        made.append(id)
    return officer, author, (partner, other), call, closes, made


def test_whose_time_for_changes_is_over_waits_for_a_decision_however_many_have_time(dsn):
    async def story():
        async with serving(dsn) as (hub, app, client):
            officer, author, (partner, other), call, closes, made = await submitted(hub, 13)
            for n, each in enumerate(made):
                until = closes + timedelta(hours=1, days=n and 30)
                await hub.do(ReturnProposal(proposal=each, reason="Budget", until=until), officer)
            await hub.do(ReviseProposal(proposal=made[0], title="Ice and water"), author)
            asked = "{ proposals(where: {awaitsMyAnswer: true}) { totalCount nodes { id } } }"
            waits = (await (await client(other)).data(asked))["proposals"]
            assert [each["id"] for each in waits["nodes"]] == made[:1]
            over = closes + timedelta(hours=2)
            await hub.do(CloseRound(call=call), at=closes)
            await hub.do(PassDeadline(proposal=made[0]), at=over)
            # Nobody is asked for what cannot be submitted.
            with pytest.raises(Refusal):
                await hub.do(ConfirmPartner(proposal=made[0], organization=partner), other, at=over)
            assert (await (await client(other)).data(asked))["proposals"]["totalCount"] == 0
            runs = await as_(hub, app, officer)
            home = (await runs.get("/")).text
            listed = home[home.index("the time for changes is over (1)") :].partition("</ul>")[0]
            assert re.findall(r"/proposals/(proposal_\w+)", listed) == made[:1]
            page = (await runs.get(f"/proposals/{made[0]}")).text
            assert "The time for changes is over." in page and "Decline it, or move the deadline." in page
            assert "Next for you" not in page
            assert made[0] in (await runs.get("/proposals?awaitsMyDecision=true")).text

    told(story())


def test_what_is_next_comes_after_this_one_and_what_cannot_be_decided_yet_is_not(dsn):
    async def story():
        async with serving(dsn) as (hub, app, _):
            officer, _, _, call, closes, made = await submitted(hub, 13)
            runs = await as_(hub, app, officer)

            async def following(id):
                page = (await runs.get(f"/proposals/{id}")).text
                queue = page[page.index('id="queue"') :].partition("</ul>")[0] if 'id="queue"' in page else ""
                return [made.index(each) for each in re.findall(r'href="/proposals/(proposal_\w+)"', queue)]

            assert [await following(made[n]) for n in (0, 11, 12)] == [[1], [12], [0]]
            for each in made[:12]:
                await hub.do(ConfirmEligibility(proposal=each), officer)
            assert await following(made[0]) == [12] and await following(made[12]) == []
            await hub.do(CloseRound(call=call), at=closes)
            assert await following(made[0]) == [12, 1] and await following(made[11]) == [12, 0]

    told(story())


def test_what_is_mailed_of_a_return_is_what_is_asked_for_still(dsn):
    async def story():
        async with serving(dsn) as (hub, app, _):
            officer, author, _, call, closes, (id, *_) = await submitted(hub, 1)
            times = [closes + timedelta(days=n) for n in (1, 2, 3)]

            async def told_of():
                events = await hub.log.read(tag=id, types=["ProposalReturned", "DeadlineMoved", "DeadlinePassed"])
                found = [await notice(hub, each) for each in events]
                return [each and (each.words["reason"], each.words["until"][:10]) for each in found]

            await hub.do(ReturnProposal(proposal=id, reason="First", until=times[0]), officer)
            # A deadline that was moved meanwhile: what was asked for is told, with that.
            await hub.do(MoveDeadline(proposal=id, reason="A slip", until=times[1]), officer)
            moved = f"{times[1].astimezone(ZoneInfo(HOME_ZONE)):%Y-%m-%d}"
            assert await told_of() == [("First", moved), ("A slip", moved)]
            # What was done since is asked for no more.
            await hub.do(SubmitProposal(proposal=id), author)
            await hub.do(ReturnProposal(proposal=id, reason="Second", until=times[2]), officer)
            last = f"{times[2].astimezone(ZoneInfo(HOME_ZONE)):%Y-%m-%d}"
            assert await told_of() == [None, None, ("Second", last)]
            # Asked for in the same words, until the same time: what was done is told no more than it is asked for.
            await hub.do(SubmitProposal(proposal=id), author)
            await hub.do(ReturnProposal(proposal=id, reason="Second", until=times[2]), officer)
            assert await told_of() == [None, None, None, ("Second", last)]
            # While the round is open it can be done, though the time that was given has passed.
            await hub.do(PassDeadline(proposal=id), at=times[2])
            closing = f"{closes.astimezone(ZoneInfo(HOME_ZONE)):%Y-%m-%d}"
            assert await told_of() == [None, None, None, ("Second", closing), None]
            page = (await (await as_(hub, app, author)).get(f"/proposals/{id}")).text
            assert "time for changes is over" not in page and "Submit this proposal" in page
            await hub.do(CloseRound(call=call), at=times[2])
            assert await told_of() == [None] * 5
            later = times[2] + timedelta(days=3)
            await hub.do(MoveDeadline(proposal=id, reason="Once more", until=later), officer, at=times[2])
            assert [each and each[0] for each in await told_of()] == [None] * 3 + ["Second", None, "Once more"]

    told(story())


def test_a_partner_is_asked_by_mail_and_on_the_page_for_what_can_be_confirmed_still(dsn):
    async def story():
        async with serving(dsn) as (hub, app, _):
            officer, author, (partner, other), call, closes, (id,) = await submitted(hub, 1)
            until = closes + timedelta(days=1)
            lead = await hub.log.pool.fetchval(f"SELECT lead FROM {hub.models.schema}.proposal")
            draft = (await hub.do(DraftProposal(call=call, lead=lead, title="Ice"), author)).record
            ask = InvitePartner(proposal=draft, organization=partner, contribution="Data")
            await hub.do(ask, author)
            await hub.do(UninvitePartner(proposal=draft, organization=partner), author)
            await hub.do(ask, author)

            async def told_of(what="PartnerInvited"):
                events = await hub.log.read(tag=draft, types=[what])
                return [(await notice(hub, each)) is not None for each in events]

            async def asked(proposal, words):
                return words in (await (await as_(hub, app, other)).get(f"/proposals/{proposal}")).text

            assert await told_of() == [False, True] and await asked(draft, "is asked to take part")
            for _ in range(2):
                await hub.do(DeclinePartner(proposal=draft, organization=partner, reason="No staff"), other)
                assert (await told_of("PartnerDeclined"))[-1] and not any(await told_of())
                await hub.do(ask, author)
            assert await told_of("PartnerDeclined") == [False] * 2 and await told_of() == [False] * 3 + [True]
            await hub.do(ReturnProposal(proposal=id, reason="Budget", until=until), officer)
            await hub.do(ReviseProposal(proposal=id, title="Ice anew"), author)
            assert await asked(id, "Confirm the new text")
            await hub.do(CloseRound(call=call), at=closes)
            assert await asked(id, "Confirm the new text")
            await hub.do(PassDeadline(proposal=id), at=until)
            assert not await asked(id, "Confirm the new text")
            assert await told_of() == [False] * 4 and not await asked(draft, "is asked to take part")
            # What cannot be confirmed any more can be declined still, and is offered only so.
            assert not await asked(draft, "/do/confirmPartner") and await asked(draft, "/do/declinePartner")
            await hub.do(DeclinePartner(proposal=draft, organization=partner, reason="No staff"), other)
            assert not await asked(draft, "/do/confirmPartner") and not await asked(draft, "/do/declinePartner")
            author_page = (await (await as_(hub, app, author)).get(f"/proposals/{draft}")).text
            assert "Ask again" not in author_page

    told(story())


def test_what_an_organization_takes_part_in_costs_what_it_may_be(dsn):
    async def story():
        async with serving(dsn) as (hub, _, client):
            _, _, (partner, other), _, _, made = await submitted(hub, 3)
            asks = await client(other)
            query = "query($id: ID!) { organization(id: $id) { participations { status proposal { id } } } }"
            found = (await asks.data(query, id=partner))["organization"]["participations"]
            assert found == [{"status": "CONFIRMED", "proposal": {"id": each}} for each in reversed(made)]
            # What it costs says how many there may be, however many it takes part in.
            first = (
                "query($id: ID!, $n: Int!) { organization(id: $id) { participations(first: $n) { proposal { id } } } }"
            )
            answers = [(await asks.answer(first, id=partner, n=n)).json() for n in (2, 100, 101)]
            assert len(answers[0]["data"]["organization"]["participations"]) == 2
            assert [each["extensions"]["cost"] for each in answers[:2]] == [52 + 2 * 2, 52 + 2 * 100]
            assert answers[2]["errors"][0]["extensions"]["code"] == "BAD_INPUT"
            again = "partners { organization { participations(first: 100) { proposal { id } } } }"
            query = f"query($id: ID!) {{ organization(id: $id) {{ participations {{ proposal {{ {again} }} }} }} }}"
            assert await asks.code(query, id=partner) == "TOO_COSTLY"

    told(story())


def post(person, organization, until=None):
    """Where somebody worked for long."""
    since = datetime.now(UTC).date() - timedelta(days=3_000)
    return DeclareAffiliation(person=person, organization=organization, position="Dean", since=since, until=until)


def test_what_an_officer_is_tied_to_waits_for_another_officer(dsn):
    async def story():
        async with serving(dsn) as (hub, app, client):
            officer, author, (partner, _other), call, closes, made = await submitted(hub, 2)
            today = datetime.now(UTC).date()

            async def runs_it(name, worked=None, acted=False):
                id = await person(hub, name)
                await hub.do(GrantRole(person=id, role=HubRole.CENTER_OFFICER))
                await hub.do(AppointCallOfficer(call=call, officer=id), officer)
                if worked is not None:
                    await hub.do(post(id, partner, until=today - timedelta(days=worked)), id)
                if acted:
                    await hub.do(AppointOfficer(organization=partner, person=id), officer)
                    await hub.do(DismissOfficer(organization=partner, person=id), officer)
                return id

            async def waits(who):
                asked = """{ mine: proposals(where: {awaitsMyDecision: true}) { totalCount }
                    others: proposals(where: {awaitsAnotherOfficer: true}) {
                        totalCount nodes { actions { mutation } } } }"""
                found = await (await client(who)).data(asked)
                given = {act["mutation"] for each in found["others"]["nodes"] for act in each["actions"]}
                assert not given & {"confirmEligibility", "returnProposal"}
                return found["mine"]["totalCount"], found["others"]["totalCount"]

            lately, long_ago, former = (
                await runs_it("Lately", worked=3 * 365 + 1),
                await runs_it("Long ago", worked=3 * 365 + 2),
                await runs_it("Former", acted=True),
            )
            assert await waits(officer) == await waits(long_ago) == (2, 0)
            assert await waits(lately) == await waits(former) == (0, 2)
            assert await waits(author) == (0, 0)
            for tied in (lately, former):
                with pytest.raises(Refusal):
                    await hub.do(ConfirmEligibility(proposal=made[0]), tied)
            await hub.do(ConfirmEligibility(proposal=made[0]), long_ago)
            # Who says only now that they work there decides no more from now on.
            newly = await runs_it("Newly")
            assert await waits(newly) == (1, 0)
            await hub.do(post(newly, partner), newly)
            assert await waits(newly) == (0, 1)
            # In review it waits for nobody until the round has closed.
            assert [await waits(each) for each in (long_ago, lately)] == [(1, 0), (0, 1)]
            await hub.do(CloseRound(call=call), at=closes)
            assert [await waits(each) for each in (long_ago, lately)] == [(2, 0), (0, 2)]
            pages = await as_(hub, app, lately)
            home = (await pages.get("/")).text
            assert "left to another officer: you have a conflict of interest (2)" in home
            assert "to be decided" not in home and "check whether" not in home
            page = (await pages.get(f"/proposals/{made[1]}")).text
            assert "You have a conflict of interest" in page and "Next for you" not in page
            listed = (await pages.get("/proposals?awaitsAnotherOfficer=true")).text
            assert all(each in listed for each in made) and "left to another officer" in listed
            assert made[0] not in (await pages.get("/proposals?awaitsMyDecision=true")).text
            page = (await (await as_(hub, app, officer)).get(f"/proposals/{made[1]}")).text
            assert "You have a conflict of interest" not in page

    told(story())


def test_a_tied_officer_who_runs_a_call_alone_is_led_to_appointing_another(dsn):
    async def story():
        async with serving(dsn) as (hub, app, _):
            officer, _author, (partner, _other), call, _closes, made = await submitted(hub, 1)
            await hub.do(post(officer, partner), officer)
            pages, path = await as_(hub, app, officer), f"/proposals/{made[0]}"
            told = "Nobody else runs this call"
            form = f"/do/appointCallOfficer?call={call}"
            page = (await pages.get(path)).text
            assert told in page and form in page
            assert (await pages.get(form)).status_code == 200
            # Nor does who was let run it, once they have left the Center.
            colleague = await person(hub, "Colleague")
            await hub.do(GrantRole(person=colleague, role=HubRole.CENTER_OFFICER))
            await hub.do(AppointCallOfficer(call=call, officer=colleague), officer)
            page = (await pages.get(path)).text
            assert told not in page and "Another officer of the call decides" in page
            await hub.do(RevokeRole(person=colleague, role=HubRole.CENTER_OFFICER), officer)
            assert told in (await pages.get(path)).text

    told(story())


def test_who_declined_to_stand_behind_a_proposal_keeps_nobody_from_deciding(dsn):
    async def story():
        async with serving(dsn) as (hub, _, client):
            officer, author, (partner, other), _call, closes, made = await submitted(hub, 2)
            until = closes + timedelta(days=1)
            for each in made:
                await hub.do(ReturnProposal(proposal=each, reason="Partners", until=until), officer)
            park = RegisterOrganization(name="Park", kind="technology_park", city="Almaty", country="KZ")
            third = (await hub.do(park, author)).record
            await hub.do(VerifyOrganization(organization=third), officer)
            await hub.do(AppointOfficer(organization=third, person=other), officer)
            await hub.do(post(officer, third), officer)
            yes, no = made
            for id in made:
                await hub.do(InvitePartner(proposal=id, organization=third, contribution="Rooms"), author)
            await hub.do(ConfirmPartner(proposal=yes, organization=third), other)
            await hub.do(DeclinePartner(proposal=no, organization=third, reason="No rooms"), other)
            for id in made:
                await hub.do(ConfirmPartner(proposal=id, organization=partner), other)
                await hub.do(SubmitProposal(proposal=id), author)
            asked = """{ mine: proposals(where: {awaitsMyDecision: true}) { nodes { id } }
                others: proposals(where: {awaitsAnotherOfficer: true}) { nodes { id } } }"""
            found = await (await client(officer)).data(asked)
            assert found == {"mine": {"nodes": [{"id": no}]}, "others": {"nodes": [{"id": yes}]}}

    told(story())


def test_a_tie_ends_with_the_day(dsn, monkeypatch):
    async def story():
        async with serving(dsn) as (hub, _, client):
            officer, _author, (partner, _other), _call, _closes, (id,) = await submitted(hub, 1)
            now, asks = datetime.now(UTC), await client(officer)
            mine = "{ proposals(where: {awaitsMyDecision: true}) { totalCount } }"
            await hub.do(post(officer, partner, until=now.date() - timedelta(days=3 * 365 + 1)), officer)
            viewers, head = Viewers(hub), await hub.log.head()
            assert f"{partner}/tie" in (await viewers.person(officer)).principals
            assert (await asks.data(mine))["proposals"]["totalCount"] == 0

            class Tomorrow(datetime):
                @classmethod
                def now(cls, zone):
                    return now + timedelta(days=1)

            for module in ("hub.reading", "web.reads.viewer"):
                monkeypatch.setattr(f"{module}.datetime", Tomorrow)
            assert f"{partner}/tie" not in (await viewers.person(officer)).principals
            assert (await asks.data(mine))["proposals"]["totalCount"] == 1
            # What is shown of the past is as it was: then it kept them from deciding.
            past = await Hub.open(dsn, until=head)
            try:
                assert f"{partner}/tie" in (await Viewers(past).person(officer)).principals
            finally:
                await past.close()
            await hub.do(ConfirmEligibility(proposal=id), officer, at=now + timedelta(days=1))

    told(story())


def test_whoever_waits_to_be_confirmed_is_met_however_many_were_before(dsn):
    async def story():
        async with serving(dsn) as (hub, app, client):
            officer, author, lead, _ = await region(hub)
            await hub.do(AppointOfficer(organization=lead, person=author), officer)
            people = [await person(hub, f"Person {n}") for n in range(23)]
            for each in people:
                await hub.do(post(each, lead), each)
            asked = """{ affiliations(first: 100, where: {awaitsMyConfirmation: true}) {
                totalCount nodes { id person { id } } } }"""

            async def waits(who=author):
                return (await (await client(who)).data(asked))["affiliations"]

            found = {each["person"]["id"]: each["id"] for each in (await waits())["nodes"]}
            # Who acts for it and says that they work there is confirmed by somebody else.
            assert set(found) == set(people) and (await waits(officer))["totalCount"] == 0
            for each in people[:21]:
                known = {"person": each, "affiliation": found[each], "organization": lead}
                await hub.do(ConfirmAffiliation(**known), author)
            withdrawn = {"person": people[21], "affiliation": found[people[21]], "organization": lead}
            await hub.do(EndAffiliation(**withdrawn, until=datetime.now(UTC).date()), people[21])
            assert [each["person"]["id"] for each in (await waits())["nodes"]] == people[22:]
            # A post that has ended is confirmed too: conflicts of interest rest on it.
            past = post(people[0], lead, until=datetime.now(UTC).date() - timedelta(days=400))
            await hub.do(past, people[0])
            assert (await waits())["totalCount"] == 2
            pages = await as_(hub, app, author)
            home = (await pages.get("/")).text
            theirs = (await (await as_(hub, app, people[0])).get("/")).text
            assert "still has to confirm that you worked there" in theirs and "begin a proposal meanwhile" not in theirs
            # What was claimed is confirmed, or ended by whoever answers for the organization.
            asked_page = (await pages.get(f"/people/{people[0]}")).text
            assert asked_page.count("/do/endAffiliation?") == asked_page.count("/do/refuseAffiliation?") == 1
            assert "say that they work at your organization (2)" in home
            assert "Person 22" in home and "Person 21" not in home.partition("What happened")[0]
            desk = (await pages.get(f"/organizations/{lead}")).text
            assert desk.count("/do/confirmAffiliation?") == 2 and people[21] not in desk.partition("What happened")[0]
            assert "taken back" in (await (await as_(hub, app, people[21])).get("/profile")).text
            assert "/do/confirmAffiliation?" in (await pages.get(f"/people/{people[0]}")).text
            await hub.do(ErasePerson(person=people[22]), people[22])
            assert (await waits())["totalCount"] == 1

    told(story())


def test_an_organization_waits_for_whoever_may_verify_it_and_for_nobody_else(dsn):
    async def story():
        async with serving(dsn) as (hub, app, client):
            officer, author, _, _ = await region(hub)
            tajik, kyrgyz = await person(hub, "Tajik"), await person(hub, "Kyrgyz")
            for who, country in ((tajik, "TJ"), (kyrgyz, "KG")):
                await hub.do(GrantRole(person=who, role=HubRole.NATIONAL_AUTHORITY, country=country))
            academy = RegisterOrganization(name="Academy", kind="university", city="Khujand", country="TJ")
            made = (await hub.do(academy, author)).record

            async def waits(who):
                asked = "{ organizations(where: {awaitsMyVerification: true}) { nodes { id } } }"
                found = (await (await client(who)).data(asked))["organizations"]["nodes"]
                home = (await (await as_(hub, app, who)).get("/")).text
                listed = home.partition("Organizations that wait to be verified")[2].partition("</ul>")[0]
                assert (made in listed) == bool(found)
                return [each["id"] for each in found]

            assert [await waits(each) for each in (officer, tajik, kyrgyz, author)] == [[made], [made], [], []]
            # Who says what it is verifies it no more, nor who works there.
            await hub.do(AmendOrganization(organization=made, reason="Its name", name="The Academy"), tajik)
            await hub.do(post(officer, made), officer)
            assert [await waits(each) for each in (officer, tajik)] == [[], []]
            for who in (officer, tajik):
                with pytest.raises(Refusal):
                    await hub.do(VerifyOrganization(organization=made), who)
            another = await person(hub, "Another")
            await hub.do(GrantRole(person=another, role=HubRole.CENTER_OFFICER))
            assert await waits(another) == [made]
            await hub.do(VerifyOrganization(organization=made), another)
            assert await waits(another) == []

    told(story())


def test_a_role_waits_for_the_second_officer_of_the_center_and_for_nobody_else(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            people = await people_of(hub)
            first, second, candidate = people["rahimova"], people["ibragimov"], people["mammedova"]
            grant = GrantRole(person=candidate, role=HubRole.AUDITOR)
            await hub.do(grant, first)

            async def waits(who):
                asked = "{ people(first: 100, where: {awaitsMyConfirmation: true}) { nodes { id } } }"
                found = [each["id"] for each in (await (await client(who)).data(asked))["people"]["nodes"]]
                home = (await (await as_(hub, app, who)).get("/")).text
                assert ("wait for a second officer" in home) == bool(found)
                return candidate in found

            assert not await waits(first)
            assert await waits(second)
            for nobody in (people["osmonov"], people["karimova"], candidate):
                assert not await waits(nobody)
            theirs = "query($id: ID!) { person(id: $id) { roles { role } proposedRoles { role proposedById } } }"
            found = (await (await client(candidate)).data(theirs, id=candidate))["person"]
            assert found == {"roles": [], "proposedRoles": [{"role": "AUDITOR", "proposedById": first}]}
            page = f"/people/{candidate}"
            assert "hub do grant-role" in (await (await as_(hub, app, first)).get(page)).text
            pages = await as_(hub, app, second)
            shown = (await pages.get(page)).text
            assert "hub do grant-role" not in shown
            (link,) = re.findall(r'href="(/do/grantRole[^"]*role=[^"]*)"', shown)
            assert '<option value="auditor" selected' in (await pages.get(link.replace("&amp;", "&"))).text
            sent = {"person": candidate, "role": "auditor"}
            assert (await pages.post("/do/grantRole", data=sent)).status_code == 303
            assert not await waits(second)
            found = (await (await client(candidate)).data(theirs, id=candidate))["person"]
            assert found == {"roles": [{"role": "AUDITOR"}], "proposedRoles": []}
            # Everybody concerned reads that it was given, and by whom.
            told_of = "query($id: ID!) { person(id: $id) { history(first: 100) { nodes { type actorId role } } } }"
            happened = (await (await client(candidate)).data(told_of, id=candidate))["person"]["history"]["nodes"]
            roles = [(each["type"], each["actorId"], each["role"]) for each in happened if each["role"]]
            assert roles == [
                ("RoleGranted", second, "AUDITOR"),
                ("RoleAgreed", second, "AUDITOR"),
                ("RoleProposed", first, "AUDITOR"),
            ]

    told(story())


def test_what_somebody_proposed_who_left_the_center_waits_for_nobody_until_it_is_proposed_anew(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            first, second, candidate = people["rahimova"], people["ibragimov"], people["mammedova"]
            grant = GrantRole(person=candidate, role=HubRole.AUDITOR)
            await hub.do(grant, second)
            asked = "{ people(first: 100, where: {awaitsMyConfirmation: true}) { nodes { id } } }"
            mine = await client(first)
            assert [each["id"] for each in (await mine.data(asked))["people"]["nodes"]] == [candidate]
            # Another role of theirs is none of the Center.
            await hub.do(GrantRole(person=second, role=HubRole.AUDITOR))
            await hub.do(RevokeRole(person=second, role=HubRole.CENTER_OFFICER), first)
            assert (await mine.data(asked))["people"]["nodes"] == []
            assert (await hub.do(grant, first)).events == 1
            query = "query($id: ID!) { person(id: $id) { roles { role } proposedRoles { proposedById } } }"
            found = (await mine.data(query, id=candidate))["person"]
            assert found == {"roles": [], "proposedRoles": [{"proposedById": first}]}

    told(story())


def test_what_nobody_runs_or_acts_for_any_more_is_shown_to_the_center(dsn):
    async def story():
        async with serving(dsn) as (hub, app, client):
            officer, author, _, _ = await region(hub)
            colleague = await person(hub, "Colleague")
            await hub.do(GrantRole(person=colleague, role=HubRole.CENTER_OFFICER))
            opens = datetime.now(UTC) + timedelta(days=1)
            told_ = DraftCall(
                title="Water",
                summary="Joint research on water.",
                opens_at=opens,
                closes_at=opens + timedelta(days=30),
                criteria=(Criterion("Excellence", 100),),
            )
            call = (await hub.do(told_, colleague)).record
            await hub.do(PublishCall(call=call), colleague)
            register = RegisterOrganization(name="Academy", kind="university", city="Khujand", country="TJ")
            academy = (await hub.do(register, author)).record
            await hub.do(VerifyOrganization(organization=academy), officer)

            async def waits(who):
                asked = """{ calls(where: {awaitsAnOfficer: true}) { nodes { id } }
                    organizations(where: {awaitsAnOfficer: true}) { nodes { id } } }"""
                found = await (await client(who)).data(asked)
                shown = [each["id"] for name in ("calls", "organizations") for each in found[name]["nodes"]]
                home = (await (await as_(hub, app, who)).get("/")).text.partition("What happened lately")[0]
                assert [f'/{each.partition("_")[0]}s/{each}"' in home for each in shown] == [True] * len(shown)
                assert ("nobody runs any more" in home) == (call in shown)
                return [each for each in shown if each in (call, academy)]

            assert await waits(officer) == []
            await hub.do(RevokeRole(person=colleague, role=HubRole.CENTER_OFFICER), officer)
            assert await waits(officer) == [call] and await waits(colleague) == await waits(author) == []
            another = await person(hub, "Another")
            await hub.do(GrantRole(person=another, role=HubRole.CENTER_OFFICER))
            await hub.do(AppointCallOfficer(call=call, officer=another), officer)
            assert await waits(officer) == []
            # Whom nobody can confirm is told who will, and the Center hears of it.
            await hub.do(post(author, academy), author)
            assert await waits(officer) == [academy] and await waits(author) == []
            home = (await (await as_(hub, app, author)).get("/")).text
            assert "Nobody acts for Academy yet: the Center appoints an officer" in home
            # Who acts for it alone confirms nothing of themselves, and needs nobody to: their office is enough.
            await hub.do(AppointOfficer(organization=academy, person=author), officer)
            assert await waits(officer) == await waits(author) == []
            home = (await (await as_(hub, app, author)).get("/")).text
            assert "You alone act for Academy" in home
            await hub.do(AppointOfficer(organization=academy, person=colleague), officer)
            assert await waits(officer) == []
            home = (await (await as_(hub, app, author)).get("/")).text
            assert "Another officer of Academy still has to confirm" in home
            await hub.do(DismissOfficer(organization=academy, person=author), officer)
            assert "Academy still has to confirm" in (await (await as_(hub, app, author)).get("/")).text

    told(story())


def test_what_its_authors_or_its_lead_left_waits_for_the_officers_also_once_results_are_out(dsn):
    async def story():
        async with serving(dsn) as (hub, app, client):
            officer, author, _, call, closes, (given_back, offered) = await submitted(hub, 2)
            until = closes + timedelta(minutes=1)
            await hub.do(ConfirmEligibility(proposal=offered), officer)
            await hub.do(ReturnProposal(proposal=given_back, reason="Partners", until=until), officer)
            await hub.do(CloseRound(call=call), at=closes)
            await hub.do(PassDeadline(proposal=given_back), at=until)
            await hub.do(RecommendProposal(proposal=offered), officer, at=until)
            await hub.do(OfferAward(proposal=offered), officer, at=until)

            async def waits():
                asked = "{ proposals(where: {awaitsMyDecision: true}, orderBy: OLDEST) { nodes { id } } }"
                found = [each["id"] for each in (await (await client(officer)).data(asked))["proposals"]["nodes"]]
                for id in found:
                    may = {each.command.__name__: each.refusal for each in await hub.actions(officer, id)}
                    assert may["DeclineProposal"] is None
                return found

            assert await waits() == [given_back]
            home = (await (await as_(hub, app, author)).get("/")).text
            assert "whose time for changes is over (1)" in home and "Returned to you" not in home
            # Who acts for the lead, and wrote nothing, is told whose they are.
            colleague = await person(hub, "Colleague")
            (lead_of,) = await hub.log.pool.fetchrow(f"SELECT lead FROM {hub.models.schema}.proposal LIMIT 1")
            await hub.do(AppointOfficer(organization=lead_of, person=colleague), officer)
            theirs = (await (await as_(hub, app, colleague)).get("/")).text
            assert "Proposals of others that your organization leads (2)" in theirs
            assert "Your proposals" not in theirs and "Returned to you" not in theirs
            assert "that your organization leads" not in home
            await hub.do(DismissOfficer(organization=lead_of, person=colleague), officer)
            lead = await hub.log.pool.fetchval(f"SELECT lead FROM {hub.models.schema}.proposal WHERE id = $1", offered)
            officers, theirs = await as_(hub, app, officer), f"/proposals/{offered}"
            assert "An award is offered: an officer of" in (await officers.get(theirs)).text
            await hub.do(DismissOfficer(organization=lead, person=author), officer)
            assert "accepts or refuses it once the Center has appointed one" in (await officers.get(theirs)).text
            await hub.do(SuspendOrganization(organization=lead, reason="Under inquiry"), officer)
            assert "nobody can accept it until it is verified again" in (await officers.get(theirs)).text
            assert await waits() == [given_back]
            await hub.do(CloseOrganization(organization=lead, reason="It is no more"), officer)
            assert "nobody can accept it." in (await officers.get(theirs)).text
            assert await waits() == [given_back, offered]
            await hub.do(PublishResults(call=call), officer)
            assert await waits() == [given_back, offered]
            for id in (given_back, offered):
                await hub.do(DeclineProposal(proposal=id, reason="Nobody can go on with it"), officer)
            assert await waits() == []

    told(story())


def test_nobody_is_shown_a_link_of_somebody_who_has_a_role(dsn):
    async def story():
        async with serving(dsn) as (hub, app, _):
            officer, *_ = await region(hub)
            pages = await as_(hub, app, officer)
            ids = []
            for name in ("plain", "second"):
                ids.append((await hub.do(InvitePerson(name=name, email=f"{name}@example.org"))).record)
            await hub.do(GrantRole(person=ids[1], role=HubRole.CENTER_OFFICER))
            for id, shown in zip(ids, (True, False), strict=True):
                page = (await pages.get(f"/people/{id}")).text
                assert (f"/people/{id}/link" in page) == shown and (f"hub link {id}" in page) != shown
                made = await pages.post(f"/people/{id}/link")
                assert made.status_code == 200 and ("/sign-in/hub_link_" in made.text) == shown

    told(story())


def test_a_role_that_is_proposed_for_an_officer_of_the_center_waits_for_others_than_them(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            first, candidate, third = people["rahimova"], people["ibragimov"], people["karimova"]
            await hub.do(GrantRole(person=third, role=HubRole.CENTER_OFFICER))
            await hub.do(GrantRole(person=candidate, role=HubRole.AUDITOR), first)
            asked = "{ people(first: 100, where: {awaitsMyConfirmation: true}) { nodes { id } } }"

            async def waits(who):
                found = (await (await client(who)).data(asked))["people"]["nodes"]
                return candidate in [each["id"] for each in found]

            assert [await waits(each) for each in (first, candidate, third)] == [False, False, True]

    told(story())


def test_an_offer_that_nobody_answers_stays_before_its_officers_until_it_is_taken_back(dsn):
    async def story():
        async with serving(dsn) as (hub, app, client):
            officer, author, _, call, closes, (id, other) = await submitted(hub, 2)
            for each in (id, other):
                await hub.do(ConfirmEligibility(proposal=each), officer)
            await hub.do(CloseRound(call=call), at=closes)
            await hub.do(DeclineProposal(proposal=other, reason="Too few"), officer)
            await hub.do(RecommendProposal(proposal=id), officer)
            await hub.do(OfferAward(proposal=id), officer)
            mine = "{ proposals(where: {awaitsMyDecision: true}) { nodes { id } } }"

            async def waits(who):
                home = (await (await as_(hub, app, who)).get("/")).text.partition("What happened lately")[0]
                decides = (await (await client(who)).data(mine))["proposals"]["nodes"]
                return "offered, and not answered yet (1)" in home, decides == [{"id": id}]

            assert await waits(officer) == (True, False) and await waits(author) == (False, False)
            # Whoever publishes sees what becomes of each.
            form = (await (await as_(hub, app, officer)).get(f"/do/publishResults?call={call}")).text
            assert "Offers of an award that wait for an answer, and stay open: 1." in form
            assert "read by nobody else: 1." in form and f"/proposals/{other}" in form and f"/proposals/{id}" in form
            await hub.do(PublishResults(call=call), officer)
            assert await waits(officer) == (True, False)
            await hub.do(WithdrawOffer(proposal=id, reason="Nobody has answered"), officer)
            # It is decided once more, also after the results.
            assert await waits(officer) == (False, True)
            await hub.do(DeclineProposal(proposal=id, reason="Nobody has answered"), officer)
            assert await waits(officer) == (False, False)

    told(story())


def test_who_an_organization_refuses_waits_there_no_more(dsn):
    async def story():
        async with serving(dsn) as (hub, app, _):
            _, author, _, (lead, stranger) = await _claimed(hub)
            pages = await as_(hub, app, author)
            desk = (await pages.get(f"/organizations/{lead}")).text
            address = re.search(r'href="(/do/refuseAffiliation[^"]+)"', desk)[1].replace("&amp;", "&")
            form = (await pages.get(address)).text
            assert "Somebody" in form and "Lecturer" in form
            fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form))
            one = re.search(r'name="organization" value="([^"]+)" checked', form)[1]
            done = await pages.post(address.partition("?")[0], data={**fields, "organization": one})
            assert done.status_code == 303 and done.headers["location"].startswith(f"/organizations/{lead}?done=")
            after = (await pages.get(f"/organizations/{lead}")).text
            assert "refuseAffiliation" not in after and "Somebody" not in after
            own = (await (await as_(hub, app, stranger)).get(f"/people/{stranger}")).text
            assert "the organization says: no" in own

    told(story())


async def _claimed(hub):
    # An officer of an organization, and somebody who says that they work there.
    officer, author, lead, call = await region(hub)
    await hub.do(AppointOfficer(organization=lead, person=author), officer)
    stranger = await person(hub, "Somebody")
    claim = DeclareAffiliation(person=stranger, organization=lead, position="Lecturer", since=date(2024, 1, 1))
    await hub.do(claim, stranger)
    return officer, author, call, (lead, stranger)


def test_what_nobody_can_do_anything_about_waits_for_nobody(dsn):
    """An archived call needs no officer, nor does an organization that is not verified or whose people took it back."""

    async def story():
        async with serving(dsn) as (hub, _, client):
            officer, author, _, call, closes, (id,) = await submitted(hub, 1)
            until = closes + timedelta(minutes=1)
            await hub.do(ReturnProposal(proposal=id, reason="Partners", until=until), officer)
            await hub.do(CloseRound(call=call), at=closes)
            await hub.do(PassDeadline(proposal=id), at=until)
            await hub.do(PublishResults(call=call), officer, at=until)
            await hub.do(ArchiveCall(call=call), officer, at=until)
            mine = "{ proposals(where: {awaitsMyDecision: true}) { nodes { id } } }"
            # What was left there can still be declined.
            assert (await (await client(officer)).data(mine))["proposals"]["nodes"] == [{"id": id}]
            another = await person(hub, "Another")
            await hub.do(GrantRole(person=another, role=HubRole.CENTER_OFFICER))
            asked = """{ calls(where: {awaitsAnOfficer: true}) { nodes { id } }
                organizations(where: {awaitsAnOfficer: true}) { nodes { id } } }"""
            register = RegisterOrganization(name="Museum", kind="other", city="Khujand", country="TJ")
            museum = (await hub.do(register, author)).record
            await hub.do(post(author, museum), author)

            async def waits():
                found = await (await client(another)).data(asked)
                return [each["id"] for name in ("calls", "organizations") for each in found[name]["nodes"]]

            assert museum not in await waits()
            await hub.do(VerifyOrganization(organization=museum), officer)
            assert museum in await waits()
            (said,) = [
                each.event
                for each in await hub.log.read(tag=author, types=["AffiliationDeclared"])
                if each.event.organization == museum
            ]
            today = datetime.now(UTC).date()
            end = EndAffiliation(person=author, affiliation=said.affiliation, organization=museum, until=today)
            await hub.do(end, author)
            assert museum not in await waits()
            await hub.do(RevokeRole(person=officer, role=HubRole.CENTER_OFFICER), another)
            assert call not in await waits()

    told(story())


def test_what_may_still_be_submitted_as_its_round_is_open_is_not_over(dsn):
    """Its own time has passed, and that of its round has not."""

    async def story():
        async with serving(dsn) as (hub, app, client):
            officer, author, _, _, closes, (given_back,) = await submitted(hub, 1)
            until = datetime.now(UTC) + timedelta(seconds=0.5)
            await hub.do(ReturnProposal(proposal=given_back, reason="Partners", until=until), officer)
            await hub.do(PassDeadline(proposal=given_back), at=until)
            asks = await client(author)
            for lapsed, found in (("true", []), ("false", [given_back])):
                asked = f"{{ proposals(where: {{lapsed: {lapsed}}}) {{ nodes {{ id }} }} }}"
                assert [each["id"] for each in (await asks.data(asked))["proposals"]["nodes"]] == found
            page = await as_(hub, app, author)
            home = (await page.get("/")).text
            assert "Returned to you for changes (1)" in home and "whose time for changes is over" not in home
            form = (await page.get(f"/do/reviseProposal?proposal={given_back}")).text
            (due,) = re.findall(r'id="due">Due: <time datetime="([^"]+)"', form)
            assert datetime.fromisoformat(due) == closes

    told(story())
