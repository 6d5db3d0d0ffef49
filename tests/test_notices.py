"""Whoever something waits for is told by mail, in their language, and nobody is told more than they may read."""

import asyncio
from datetime import UTC, datetime, timedelta

from domain.calls.commands import CloseRound
from domain.core import HubRole
from domain.erasure import ErasePerson
from domain.organizations.commands import RegisterOrganization, SuspendOrganization, VerifyOrganization
from domain.organizations.offices import AppointOfficer
from domain.people.commands import ChooseNotices, GrantRole, InvitePerson, JoinHub, RevokeRole
from domain.proposals.commands import DraftProposal, ReviseProposal
from domain.proposals.decisions import ConfirmEligibility, FindIneligible, OfferAward, RecommendProposal
from domain.proposals.partners import ConfirmPartner, DeclinePartner, InvitePartner, UninvitePartner
from tests.test_log import region, told
from tests.test_mailing import FROM, body, kept, mailed, noted
from tests.web import BASE, people_of, serving
from web import mailing
from web.sessions import Throttle


async def joined(hub, email, language="en"):
    id = (await hub.do(InvitePerson(name="Somebody", email=email, language=language))).record
    await hub.do(JoinHub(person=id), id)
    return id


async def office(hub, center, name, *emails):
    """An organization of Kyrgyzstan with these officers: the first speaks Russian, the second Tajik."""
    people = [await joined(hub, each, language) for each, language in zip(emails, ("ru", "tg"), strict=False)]
    register = RegisterOrganization(name=name, kind="university", city="Bishkek", country="KG")
    id = (await hub.do(register, people[0])).record
    await hub.do(VerifyOrganization(organization=id), center)
    for each in people:
        await hub.do(AppointOfficer(organization=id, person=each), center)
    return id, people


def test_the_officers_of_a_partner_are_told_once_in_their_language(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            center, author, lead, call = await region(hub)
            partner, (one, _) = await office(hub, center, "Manas", "one@example.org", "other@example.org")
            draft = DraftProposal(call=call, lead=lead, title="Ice & 100 % water")
            proposal = (await hub.do(draft, author)).record
            invite = InvitePartner(proposal=proposal, organization=partner, contribution="Data")
            async with kept(made):
                await hub.do(invite, author)
                await hub.do(ReviseProposal(proposal=proposal, abstract="Nobody is told of this."), author)
                first, second = sorted(await server.get(2), key=lambda each: each["To"])
                assert (first["To"], first["From"]) == ("one@example.org", FROM)
                assert first["Subject"] == "Вашу организацию приглашают участвовать в совместной заявке"
                assert second["Subject"] == "Ташкилоти шуморо ба дархости муштарак даъват мекунанд"
                assert "Institute" in body(first) and "Manas" in body(first) and "Ice & 100 % water" in body(first)
                assert f"\n{BASE}/proposals/{proposal}\n" in body(first)
                # What one of them did is told to whoever leads the proposal, and not to them.
                await hub.do(DeclinePartner(proposal=proposal, organization=partner, reason="No staff"), one)
                declined = (await server.get(3))[2]
                assert declined["To"] == "zarina@example.org" and "Manas will not take part" in body(declined)
                assert declined["Subject"] == "A partner will not take part"
                await noted(hub)

    told(story())


def test_who_chose_no_mails_gets_none_and_the_others_theirs_in_the_language_they_chose(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            center, author, lead, call = await region(hub)
            partner, (one, other) = await office(hub, center, "Manas", "one@example.org", "other@example.org")
            await hub.do(ChooseNotices(person=one, mailed=False, language="ru"), one)
            await hub.do(ChooseNotices(person=other, mailed=True, language="en"), other)
            proposal = (await hub.do(DraftProposal(call=call, lead=lead, title="Ice"), author)).record
            async with kept(made):
                await hub.do(InvitePartner(proposal=proposal, organization=partner, contribution="Data"), author)
                (mail,) = await server.get(1)
                assert mail["To"] == "other@example.org"
                assert mail["Subject"] == "Your organization is invited to a joint proposal"
                # Each says where that is chosen.
                assert f"\n{BASE}/do/chooseNotices?person={other}\n" in body(mail)
                await hub.do(ChooseNotices(person=one, mailed=True, language="ru"), one)
                await hub.do(UninvitePartner(proposal=proposal, organization=partner), author)
                await hub.do(InvitePartner(proposal=proposal, organization=partner, contribution="Data"), author)
                assert {each["To"] for each in (await server.get(3))[1:]} == {"one@example.org", "other@example.org"}
                await noted(hub)
            # A link to sign in is asked for: it is sent all the same.
            await hub.do(ChooseNotices(person=one, mailed=False, language="ru"), one)
            await made.asked("one@example.org", "ru")
            assert (await server.get(4))[3]["To"] == "one@example.org"

    told(story())


def test_what_is_not_mailed_is_not_counted(dsn, monkeypatch):
    monkeypatch.setattr(mailing, "_NOTICES", 2)

    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            center, author, lead, call = await region(hub)
            partner, (one,) = await office(hub, center, "Manas", "one@example.org")
            await hub.do(ChooseNotices(person=one, mailed=False, language="ru"), one)
            async with kept(made):
                for n in range(4):
                    if n == 3:
                        await noted(hub)
                        await hub.do(ChooseNotices(person=one, mailed=True, language="ru"), one)
                    proposal = (await hub.do(DraftProposal(call=call, lead=lead, title=f"Ice {n}"), author)).record
                    await hub.do(InvitePartner(proposal=proposal, organization=partner, contribution="Data"), author)
                (mail,) = await server.get(1)
                assert "Ice 3" in body(mail)

    told(story())


def test_what_became_of_a_proposal_is_told_to_whom_it_asks_or_concerns(region_dsn, monkeypatch):
    async def story():
        async with mailed(region_dsn, monkeypatch) as (hub, _, server, made):
            people, schema = await people_of(hub), hub.models.schema
            rows = await hub.log.pool.fetch(
                f"SELECT id, lead, investigator, title FROM {schema}.proposal WHERE status = 'submitted' ORDER BY id"
            )
            one, other, center = rows[0], rows[1], people["rahimova"]
            officers = await hub.log.pool.fetch(
                f"SELECT person FROM {schema}.officer WHERE organization = $1", one["lead"]
            )
            call = await hub.log.pool.fetchrow(f"SELECT id, closes_at FROM {schema}.call WHERE status = 'open'")
            await hub.do(CloseRound(call=call["id"]), at=call["closes_at"])
            async with kept(made):
                for command in (ConfirmEligibility, RecommendProposal, OfferAward):
                    await hub.do(command(proposal=one["id"]), center)
                first = await server.get(len(officers))
                assert all(f"/proposals/{one['id']}" in body(each) for each in first)
                assert await addresses(hub, *(each["person"] for each in officers)) == {each["To"] for each in first}
                await hub.do(FindIneligible(proposal=other["id"], reason="No partner abroad"), center)
                last = (await server.get(len(officers) + 1))[-1]
                assert {last["To"]} == await addresses(hub, other["investigator"]) and "No partner abroad" in body(last)
                await noted(hub)

    told(story())


async def addresses(hub, *people):
    found = set()
    for each in people:
        sealed = (await hub.log.read(tag=each, types=["PersonInvited"]))[0].event.email
        found |= set(await hub.vault.read(hub.log.pool, [(each, "email", sealed)]))
    return found


def test_a_proposal_that_was_given_back_is_told_with_its_reason_and_its_day(dsn, monkeypatch):
    async def story():
        from domain.calls.commands import OpenRound
        from domain.proposals.commands import AssessRisk, SubmitProposal
        from domain.proposals.decisions import ReturnProposal

        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            center, author, lead, call = await region(hub)
            partner, (one,) = await office(hub, center, "Manas", "one@example.org")
            await hub.do(OpenRound(call=call))
            proposal = (
                await hub.do(DraftProposal(call=call, lead=lead, title="Ice", abstract="On ice. " * 20), author)
            ).record
            await hub.do(AppointOfficer(organization=lead, person=author), center)
            await hub.do(InvitePartner(proposal=proposal, organization=partner, contribution="Data"), author)
            await hub.do(ConfirmPartner(proposal=proposal, organization=partner), one)
            await hub.do(
                AssessRisk(
                    proposal=proposal,
                    level="minimal",
                    harms="Nobody directly",
                    safeguards="Open review of results",
                    personal_data=False,
                ),
                author,
            )
            await hub.do(SubmitProposal(proposal=proposal), author)
            until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=120)
            async with kept(made):
                back = ReturnProposal(proposal=proposal, reason="Say who owns\nthe data.", until=until)
                await hub.do(back, center)
                (mail,) = await server.get(1)
            assert mail["To"] == "zarina@example.org" and "Say who owns\nthe data." in body(mail)
            there = until + timedelta(hours=5)
            assert f"until {there:%Y-%m-%d %H:%M} (UTC+0500)" in body(mail)

    told(story())


def test_what_no_longer_waits_and_who_is_gone_is_not_written_to(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            center, author, lead, call = await region(hub)
            emails = "one@example.org", "other@example.org"
            partner, (one, other) = await office(hub, center, "Manas", *emails)
            async with kept(made):
                pass
            titles = ("Taken back", "Confirmed", "Still asked")
            ids = [(await hub.do(DraftProposal(call=call, lead=lead, title=each), author)).record for each in titles]
            for each in ids:
                await hub.do(InvitePartner(proposal=each, organization=partner, contribution="Data"), author)
            await hub.do(UninvitePartner(proposal=ids[0], organization=partner), author)
            await hub.do(ConfirmPartner(proposal=ids[1], organization=partner), one)
            await hub.do(ErasePerson(person=other), other)
            # Nor who may not read it: an office in an organization that is not verified opens nothing.
            apart, _ = await office(hub, center, "Apart", "third@example.org")
            await hub.do(InvitePartner(proposal=ids[2], organization=apart, contribution="Data"), author)
            await hub.do(SuspendOrganization(organization=apart, reason="It moved away"), center)
            async with kept(made):
                (mail,) = await server.get(1)
                assert mail["To"] == "one@example.org" and "Still asked" in body(mail)
                await asyncio.sleep(0.3)
                await server.get(1)

    told(story())


def test_a_server_that_is_busy_or_refuses_one_of_them_loses_nothing_and_tells_nobody_twice(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            center, author, lead, call = await region(hub)
            partner, _ = await office(hub, center, "Manas", "one@example.org", "other@example.org")
            proposal = (await hub.do(DraftProposal(call=call, lead=lead, title="Ice"), author)).record
            server.answers = {"other@example.org": "451 later"}
            async with kept(made):
                await hub.do(InvitePartner(proposal=proposal, organization=partner, contribution="Data"), author)
                async with asyncio.timeout(10):
                    while server.tried.count("other@example.org") < 3:
                        await asyncio.sleep(0.02)
                assert [each["To"] for each in server.taken] == ["one@example.org"]
                server.answers = {"other@example.org": "550 nobody"}
                await noted(hub)
                assert len(server.taken) == 1 and not await hub.log.pool.fetchval("SELECT trouble FROM hub.mailing")

    told(story())


def test_who_is_asked_again_and_again_is_told_so_often_a_day_and_of_what_waits_still_later(dsn, monkeypatch):
    monkeypatch.setattr(mailing, "_NOTICES", 3)

    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            center, author, lead, call = await region(hub)
            partner, _ = await office(hub, center, "Manas", "one@example.org")
            async with kept(made):
                asked = []
                for n in range(6):
                    asked.append((await hub.do(DraftProposal(call=call, lead=lead, title=f"Draft {n}"), author)).record)
                    invite = InvitePartner(proposal=asked[-1], organization=partner, contribution="Data")
                    await hub.do(invite, author)
                await noted(hub)
                await server.get(3)
                put_off = "SELECT next_at - now() FROM hub.unmailed ORDER BY position"
                for each in await hub.log.pool.fetch(put_off):
                    assert timedelta(hours=7) < each[0] <= timedelta(hours=8)
                # Of what was taken back meanwhile nobody is told; of the others they are, when their time has come.
                await hub.do(UninvitePartner(proposal=asked[3], organization=partner), author)
                await hub.log.pool.execute("UPDATE hub.unmailed SET next_at = now()")
                made._notices = Throttle(1, 1000)
                fourth = (await server.get(4))[3]
                assert "Draft 4" in body(fourth)
                while await hub.log.pool.fetchval("SELECT count(*) FROM hub.unmailed WHERE next_at < now()"):
                    await asyncio.sleep(0.02)
                assert await hub.log.pool.fetchval("SELECT count(*) FROM hub.unmailed") == 1 and len(server.taken) == 4

    told(story())


def test_what_somebody_chose_is_theirs_alone(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            person = people["karimova"]
            await hub.do(ChooseNotices(person=person, mailed=False, language="kk"), person)
            asked = "query($id: ID!) { person(id: $id) { name mailed language } }"
            own = (await (await client(person)).data(asked, id=person))["person"]
            assert (own["mailed"], own["language"]) == (False, "KK")
            for other in ("rahimova", "nazarov"):
                seen = (await (await client(people[other])).data(asked, id=person))["person"]
                assert (seen["name"], seen["mailed"], seen["language"]) == (own["name"], None, None)
            await hub.do(ErasePerson(person=person), person)
            row = await hub.log.pool.fetchrow(
                f"SELECT mailed, language FROM {hub.models.schema}.person WHERE id = $1", person
            )
            assert tuple(row) == (False, "en")

    told(story())


def test_the_other_officers_of_the_center_are_told_of_a_role_that_waits(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            center, author, _, _ = await region(hub)
            other = await joined(hub, "other@example.org", "ru")
            await hub.do(GrantRole(person=other, role=HubRole.CENTER_OFFICER))
            async with kept(made):
                # What was taken back before anybody was told waits for nobody.
                held = GrantRole(person=author, role=HubRole.CENTER_OFFICER)
                await hub.do(held, center)
                await hub.do(RevokeRole(person=author, role=HubRole.CENTER_OFFICER), other)
                await noted(hub)
                count = len(await server.get(0))
                await hub.do(GrantRole(person=author, role=HubRole.AUDITOR), center)
                await noted(hub)
                mails = (await server.get(count + 1))[count:]
                (mail,) = mails
                # Who is proposed, though of the Center, decides nothing of it.
                await hub.do(GrantRole(person=other, role=HubRole.AUDITOR), center)
                await noted(hub)
                assert len(await server.get(count + 1)) == count + 1
                assert mail["To"] == "other@example.org" and f"\n{BASE}/people/{author}\n" in body(mail)
                assert mail["Subject"] == "Роль в хабе ждёт согласия второго сотрудника Центра"

    told(story())
