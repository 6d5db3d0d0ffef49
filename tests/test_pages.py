"""Pages and forms over HTTP, with whatever a browser or anything else may send."""

import csv
import json
import re
from datetime import date
from html import escape

import pytest

from domain.calls.commands import CloseRound
from domain.core import HubRole, Reason, Refusal
from domain.organizations.offices import AuthorizeSignatory
from domain.people.affiliations import DeclareAffiliation
from domain.people.commands import GrantRole, InvitePerson
from domain.proposals.commands import AssessRisk, ReviseProposal
from domain.proposals.decisions import (
    OfferAward,
    RefuseAward,
)
from domain.proposals.partners import ConfirmPartner, UninvitePartner
from hub.log import Log
from tests.test_forms import hidden_of
from tests.test_log import told
from tests.web import Client, as_, draft_of, people_of, serving
from web.showing import is_past
from web.texts import markdown

SENT = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/do/submitProposal?proposal=%00", None, 404),
        ("GET", "/do/confirmPartner?proposal=%00", None, 404),
        ("GET", "/do/endAffiliation?person=%00", None, 404),
        ("POST", "/do/submitProposal", "proposal=%00", 404),
        ("POST", "/do/draftCall", "title=Water&quorum=1e0", 422),
        ("POST", "/tokens", "revoke=%00", 400),
        ("GET", "/proposals/%00", None, 404),
        ("GET", "/organizations?country=%00", None, 400),
        ("GET", "/organizations?after=%00", None, 400),
        ("GET", "/do/nothing", None, 404),
        ("GET", "/do/closeRound", None, 404),
        ("POST", "/sign-in/as", "person=%00", 400),
        ("GET", "/search?text=%00", None, 200),
        ("POST", "/do/invitePerson", "name=%F0%28%8C%28&email=%FF", 422),
    ],
)
def test_nothing_that_is_sent_is_our_fault(region_dsn, method, path, body, status):
    async def story():
        async with serving(region_dsn, demo=True) as (hub, app, _):
            client = await as_(hub, app, (await people_of(hub))["rahimova"])
            answer = await client.request(method, path, content=body, headers=SENT if body else {})
            assert answer.status_code == status
            assert "Traceback" not in answer.text

    told(story())


def test_only_the_center_is_shown_the_links_of_those_who_have_not_come(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            people = await people_of(hub)
            inviter, center = await as_(hub, app, people["karimova"]), await as_(hub, app, people["rahimova"])
            sent = {"name": "Sitora", "email": "sitora@example.org", "language": "tg", "!key": "form-1"}
            shown = await inviter.post("/do/invitePerson", data=sent)
            assert shown.status_code == 200 and "Sitora is invited" in shown.text and "hub_link_" not in shown.text
            assert "Sitora" in (await center.get("/")).text
            person = await hub.person_of("sitora@example.org")
            made = await center.post(f"/people/{person}/link")
            assert made.headers["cache-control"] == "no-store"
            first = re.search(r"hub_link_[\w-]+", made.text)[0]
            # Who invited stays without, also with a token. Nor is a role given while a link is about.
            with pytest.raises(Refusal):
                await hub.do(GrantRole(person=person, role=HubRole.CENTER_OFFICER))
            assert "hub_link_" not in (await inviter.post("/do/invitePerson", data=sent)).text
            token = await as_(hub, app, people["rahimova"], "invitePerson")
            other = {**sent, "email": "other@example.org", "!key": "form-2"}
            assert "hub_link_" not in (await token.post("/do/invitePerson", data=other)).text
            for stranger in (inviter, (await client()).http, await as_(hub, app, people["rahimova"], "everything")):
                assert (await stranger.post(f"/people/{person}/link")).status_code == 404
            again = re.search(r"hub_link_[\w-]+", (await center.post(f"/people/{person}/link")).text)[0]
            newcomer = (await client()).http
            assert (await newcomer.post(f"/sign-in/{first}")).status_code == 410
            assert (await newcomer.post(f"/sign-in/{again}")).status_code == 303
            # The log tells each time who was shown it; and the officers of no organization.
            told_of = await hub.log.read(tag=person, types=["AccessGiven"])
            assert [(each.event.shown_to, each.actor) for each in told_of] == [(people["rahimova"], "hub")] * 2

            # Nor who asks at the moment at which they come, or are given a role.
            async def came(*_, **__):
                raise Refusal(Reason.NOT_PERMITTED, "They have joined")

            other = await hub.do(InvitePerson(name="Another", email="another@example.org"), people["rahimova"])
            with monkeypatch.context() as just_now:
                just_now.setattr("web.site.give_link", came)
                answer = await center.post(f"/people/{other.record}/link")
                assert answer.status_code == 422 and "They have joined" in answer.text
            # Once somebody has come, nobody else gets a link to be them: not with the same form, not as the Center.
            assert "hub_link_" not in (await inviter.post("/do/invitePerson", data=sent)).text
            assert (await center.post(f"/people/{person}/link")).status_code == 303
            assert (await center.post("/people/%00/link")).status_code == 404

    told(story())


def test_a_cell_is_no_formula(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            await hub.do(ReviseProposal(proposal=id, title='=HYPERLINK("http://elsewhere.example")'), person)
            lines = (await client.get("/proposals.csv")).content.decode("utf-8-sig").splitlines()
            line = next(each for each in lines if id in each)
            assert "'=HYPERLINK" in line and ",=HYPERLINK" not in line and ',"=HYPERLINK' not in line
            # Nor where a program parts lines at semicolons, as those of the region do.
            await hub.do(ReviseProposal(proposal=id, title='Rivers; =1+1;@a;\t+b; c;"=2+2";﹢3'), person)
            table = (await client.get("/proposals.csv")).content.decode("utf-8-sig").splitlines()
            line = next(each for each in table if id in each)
            assert "Rivers; '=1+1;'@a" in line
            for cell in next(csv.reader([line], delimiter=";")):
                assert not cell.lstrip().startswith(("=", "+", "-", "@")), cell

    told(story())


def test_a_file_is_whole_or_there_is_none(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            client = await as_(hub, app, (await people_of(hub))["karimova"])
            count = len((await client.get("/proposals.json")).json())
            monkeypatch.setattr("web.exporting.MOST", count)
            assert (await client.get("/proposals.csv")).status_code == 200
            monkeypatch.setattr("web.exporting.MOST", count - 1)
            answer = await client.get("/proposals.csv")
            assert answer.status_code == 400 and f"This list has {count} records" in answer.text

    told(story())


HOSTILE = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](http://elsewhere.example/p.png)",
    "<svg/onload=alert(1)>",
    "{{ 7*7 }}",
    "[x](data:text/html,hi)",
]


def test_what_people_write_is_shown_as_text(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            own = (await client.get(f"/proposals/{id}")).text
            sent = {"proposal": id, "title": " ".join(HOSTILE), "abstract": "\n\n".join(HOSTILE)}
            assert (await client.post("/do/reviseProposal", data=sent)).status_code == 303
            shown = (await client.get(f"/proposals/{id}")).text
            assert "{{ 7*7 }}" in shown
            for forbidden in ("<img", 'href="javascript', 'href="data:text', ">49<"):
                assert forbidden not in shown, forbidden
            for ours in ("<script", "<svg"):
                assert shown.count(ours) <= own.count(ours), ours

    told(story())


def test_what_became_of_others_proposals_is_not_told_as_ones_own(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            officer = (await people_of(hub))["rahimova"]
            assert 'aria-labelledby="ended"' not in (await (await as_(hub, app, officer)).get("/")).text

    told(story())


def test_a_refused_award_is_no_rejection(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            author = people["nazarov"]
            schema = hub.models.schema
            id = await hub.log.pool.fetchval(
                f"SELECT id FROM {schema}.proposal WHERE status = 'recommended' AND investigator = $1",
                author,
            )
            lead, call = await hub.log.pool.fetchrow(f"SELECT lead, call FROM {schema}.proposal WHERE id = $1", id)
            judge = await hub.log.pool.fetchval(f"SELECT officer FROM {schema}.call_officer WHERE call = $1", call)
            officer = await hub.log.pool.fetchval(f"SELECT person FROM {schema}.officer WHERE organization = $1", lead)
            for command, by in (
                (OfferAward(proposal=id), judge),
                (RefuseAward(proposal=id, reason="Nobody is free this year"), officer),
            ):
                await hub.do(command, by)
            client = await as_(hub, app, author)
            for address in (f"/proposals/{id}", "/proposals?status=DECLINED", "/"):
                page = (await client.get(address)).text
                assert 'class="badge bad">award refused<' in page, address

    told(story())


def test_what_was_just_done_is_told_to_who_did_it(region_dsn):
    """An address is soon copied: to whoever opens it, nothing was recorded."""

    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            author = people["karimova"]
            id = await draft_of(hub, author)
            at = (await hub.do(ReviseProposal(proposal=id, title="Another title"), author)).position
            lead = await hub.log.pool.fetchval(f"SELECT lead FROM {hub.models.schema}.proposal WHERE id = $1", id)
            other = await hub.log.pool.fetchval(
                f"SELECT person FROM {hub.models.schema}.officer WHERE organization = $1 AND person <> $2", lead, author
            )
            for person, position, told_so in ((author, at, 1), (author, at - 1, 0), (author, 10**9, 0), (other, at, 0)):
                page = (await (await as_(hub, app, person)).get(f"/proposals/{id}?done={position}")).text
                assert page.count('class="notice good" role="status"') == told_so, (person, position)

    told(story())


def test_bullets_of_a_word_processor_are_a_list():
    shown = markdown("Three steps:\n\n• Якум\n• Дуюм\n\nמים וקרח.")
    assert shown.count("<li") == 2 and "•" not in shown
    for code in ("```\n• kept\n```", "~~~\n• kept\n~~~", "````\n```\n• kept\n````", "Text:\n\n    • kept"):
        shown = markdown(f"{code}\n\n• Якум\n• Дуюм")
        assert "• kept" in shown and shown.count("<li") == 2, code
    assert markdown("```sh run``` it\n\n• Якум").count("<li") == 1
    # One within another, as it comes from there.
    for indent in ("\t", "    "):
        assert markdown(f"• one\n{indent}◦ two\n{indent}◦ three\n• four").count("<ul") == 2
    shown = markdown("• Якум\n\nמים וקרח.")
    # Each paragraph runs as its own first letter does.
    assert '<p dir="auto">מים וקרח.</p>' in shown


def test_people_are_listed_for_who_may_know_them(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            every = await hub.log.pool.fetchval(f"SELECT count(*) FROM {hub.models.schema}.person")

            async def listed(person):
                client = await as_(hub, app, person) if person else Client(app).http
                return set(re.findall(r'<td><a href="/people/(\w+)"', (await client.get("/people")).text))

            assert len(await listed(people["rahimova"])) == every > 10
            assert await listed(people["karimova"]) == {people["karimova"]}
            # Whoever works where one acts for it, and nobody else.
            assert people["karimova"] in (theirs := await listed(people["nazarov"])) and len(theirs) < every
            assert await listed(None) == set()

    told(story())


def test_a_draft_whose_time_is_over_asks_for_nothing(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            id = await draft_of(hub, person)
            call, closes = await hub.log.pool.fetchrow(
                f"""SELECT c.id, c.closes_at FROM {hub.models.schema}.call c
                    JOIN {hub.models.schema}.proposal p ON p.call = c.id WHERE p.id = $1""",
                id,
            )
            await hub.do(CloseRound(call=call), at=closes)
            client = await as_(hub, app, person)
            page = (await client.get(f"/proposals/{id}")).text
            step = page.partition('aria-labelledby="actions"')[2].partition("</section>")[0]
            assert (
                "The round of this call has closed." in step
                and "Before it can be submitted" not in step
                and "Not yet" not in step
            )
            home = (await client.get("/")).text
            listed = home.partition(f'href="/proposals/{id}"')[2].partition("</li>")[0]
            assert "The round of this call has closed." in listed and "Not ready yet" not in listed

    told(story())


def test_home_says_what_became_of_a_proposal_and_for_whom_an_answer_is_asked(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            schema = hub.models.schema
            ended = await hub.log.pool.fetchrow(
                f"SELECT investigator, title, status_reason FROM {schema}.proposal WHERE status = 'declined' LIMIT 1"
            )
            home = (await (await as_(hub, app, ended["investigator"])).get("/")).text
            section = home.partition('aria-labelledby="ended"')[2].partition("</section>")[0]
            assert escape(ended["title"]) in section and escape(ended["status_reason"]) in section
            asked = await hub.log.pool.fetchrow(
                f"""SELECT o.name, f.person, p.title FROM {schema}.partner a
                    JOIN {schema}.proposal p ON p.id = a.proposal AND p.status = 'draft'
                    JOIN {schema}.organization o ON o.id = a.organization
                    JOIN {schema}.officer f ON f.organization = o.id WHERE a.status = 'invited' LIMIT 1"""
            )
            home = (await (await as_(hub, app, asked["person"])).get("/")).text
            listed = home.partition(f">{escape(asked['title'])}</a>")[2].partition("</li>")[0]
            assert f"Your organization that is asked: {escape(asked['name'])}" in listed
            # Who runs several calls is told for which of them a proposal is.
            curator = (await people_of(hub))["rahimova"]
            home = (await (await as_(hub, app, curator)).get("/")).text
            mine = await hub.log.pool.fetchrow(
                f"""SELECT p.title, c.title AS call FROM {schema}.proposal p JOIN {schema}.call c ON c.id = p.call
                    JOIN {schema}.call_officer o ON o.call = c.id AND o.officer = $1
                    WHERE p.status = 'submitted' LIMIT 1""",
                curator,
            )
            listed = home.partition(f">{escape(mine['title'])}</a>")[2].partition("</li>")[0]
            assert escape(mine["call"]) in listed

    told(story())


def test_a_name_that_was_corrected_stands_wherever_the_old_one_stood(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            form = (await client.get(f"/do/correctName?person={person}")).text
            assert 'value="Зарина Каримова"' in form
            sent = {**hidden_of(form), "name": "Зарина Каримзода"}
            assert (await client.post("/do/correctName", data=sent)).status_code == 303
            for address in ("/", f"/proposals/{id}", f"/people/{person}", "/profile"):
                page = (await client.get(address)).text
                assert "Каримзода" in page and "Каримова" not in page, address
            wrong = await client.post("/do/correctName", data={"person": person, "name": " "})
            assert wrong.status_code == 422 and "This is needed." in wrong.text

    told(story())


def test_headings_in_a_text_stand_below_the_pages_own(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            await hub.do(ReviseProposal(proposal=id, abstract="# Large\n\n###### Small"), person)
            shown = (await client.get(f"/proposals/{id}")).text
            for heading in ('<h3 dir="auto">Large</h3>', '<h6 dir="auto">Small</h6>'):
                assert heading in shown
            assert shown.count("<h1>") == 1

    told(story())


def test_every_page_leads_back_to_itself_when_a_reader_chooses(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            for address in ("/", "/calls", f"/proposals/{id}", "/search?text=ai", f"/do/reviseProposal?proposal={id}"):
                page = (await client.get(address)).text
                assert set(re.findall(r'name="next" value="([^"]*)"', page)) == {address}, address

    told(story())


def test_the_log_shows_every_event_however_old(region_dsn):
    async def story():
        async with serving(region_dsn, demo=True) as (hub, app, _):
            client = await as_(hub, app, (await people_of(hub))["karimova"])
            await hub.log.pool.execute(f"UPDATE {hub.models.schema}.entry SET at = now() - interval '90 days'")
            shown = (await client.get("/log")).text
            assert shown.count('id="position-') == 50
            assert (await client.get("/log?until=2999-01-01T00:00")).text.count('id="position-') == 50
            assert 'id="position-' not in (await client.get("/log?since=2999-01-01T00:00")).text

    told(story())


def test_organizations_are_in_the_order_of_the_names_that_their_reader_sees(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            from pyuca import Collator

            key = Collator().sort_key
            for language in ("en", "ru", "tg"):
                client = Client(app).http
                client.headers["accept-language"] = language
                shown = (await client.get("/organizations.json")).json()
                rows = await hub.log.pool.fetch(f"SELECT id, name, names::text FROM {hub.models.schema}.organization")
                names = {row["id"]: {e["language"]: e["text"] for e in json.loads(row["names"])} for row in rows}
                first = {"tg": ("tg", "ru")}.get(language, (language,))
                own = {
                    row["id"]: next((names[row["id"]][each] for each in first if each in names[row["id"]]), row["name"])
                    for row in rows
                }
                seen = [own[each["id"]] for each in shown]
                assert seen == sorted(seen, key=key) and len(seen) > 20
                if language != "en":
                    assert seen != sorted(seen, key=lambda name: next(r["name"] for r in rows if own[r["id"]] == name))

    told(story())


def test_who_has_signed_in_is_not_told_to(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            missing = "/proposals/proposal_01000000000000000000000001"
            stranger, known = Client(app).http, await as_(hub, app, person)
            assert f"/sign-in?next={missing}" in (await stranger.get(missing)).text
            main = (await known.get(missing)).text.partition("<main")[2].partition("</main>")[0]
            assert "sign-in" not in main and "Nothing here" in main

    told(story())


def test_the_first_page_says_what_a_draft_lacks_and_submits_what_is_whole(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            home = (await client.get("/")).text
            lacks = home.partition(f'/proposals/{id}"')[2].partition("</li>")[0]
            assert "Not ready yet:" in lacks and "AI risk is missing" in lacks
            risk = AssessRisk(
                proposal=id, level="limited", personal_data=False, harms="Nobody directly", safeguards="People decide"
            )
            await hub.do(risk, person)
            rows = await hub.log.pool.fetch(
                f"SELECT organization FROM {hub.models.schema}.partner WHERE proposal = $1 AND status <> 'confirmed'",
                id,
            )
            for each in rows:
                await hub.do(UninvitePartner(proposal=id, organization=each["organization"]), person)
            await hub.do(ReviseProposal(proposal=id, abstract="We ask how people speak. " * 8), person)
            # Who confirmed another text confirms anew.
            lacks = (await client.get("/")).text.partition(f'/proposals/{id}"')[2].partition("</li>")[0]
            assert "Partners that confirmed an earlier text: 1." in lacks
            rows = await hub.log.pool.fetch(
                f"""SELECT p.organization, f.person FROM {hub.models.schema}.partner p
                    JOIN {hub.models.schema}.officer f USING (organization) WHERE p.proposal = $1""",
                id,
            )
            await hub.do(ConfirmPartner(proposal=id, organization=rows[0]["organization"]), rows[0]["person"])
            lacks = (await client.get("/")).text.partition(f'/proposals/{id}"')[2].partition("</li>")[0]
            assert f"/do/submitProposal?proposal={id}" in lacks and "Not ready" not in lacks

    told(story())


def test_a_time_that_the_log_is_asked_from_is_shown_by_the_readers_clock(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, app, _):
            client = Client(app).http
            client.cookies.set("hub_zone", "Asia%2FDushanbe")
            assert (
                'name="since" type="datetime-local" value="2026-10-01T00:00"'
                in (await client.get("/log?since=2026-10-01")).text
            )
            assert 'value="2026-10-01T08:30"' in (await client.get("/log?since=2026-10-01T03:30Z")).text
            assert 'name="since" type="datetime-local" value=""' in (await client.get("/log?since=zz")).text

    told(story())


def test_a_file_holds_what_its_page_shows_whatever_it_is_filtered_by(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, app, _):
            client = Client(app).http
            every = (await client.get("/organizations.json")).json()
            for query in ("kind=LABORATORY", "country=KZ&kind=UNIVERSITY", "status=VERIFIED&text=university"):
                file, page = (
                    await client.get(f"/organizations.json?{query}"),
                    await client.get(f"/organizations?{query}"),
                )
                assert 0 < len(file.json()) < len(every)
                assert {each["id"] for each in file.json()} >= set(
                    re.findall(r"/organizations/(organization_\w+)", page.text)
                )
                assert f"{len(file.json())} organizations" in page.text

    told(story())


def test_calls_that_are_drafts_are_found_by_those_who_draft_them(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            for who, offered in (("rahimova", True), ("karimova", False)):
                page = (await (await as_(hub, app, people[who])).get("/calls")).text
                assert ('<option value="DRAFT"' in page) == offered, who

    told(story())


def test_an_award_that_waits_for_its_lead_is_listed_once(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            id = await hub.log.pool.fetchval(
                f"SELECT id FROM {hub.models.schema}.proposal WHERE status = 'recommended' AND investigator = $1",
                people["nazarov"],
            )
            await hub.do(OfferAward(proposal=id), people["rahimova"])
            page = (await (await as_(hub, app, people["nazarov"])).get("/")).text
            waits = page.partition('aria-labelledby="waiting"')[2].partition("</section>")[0]
            assert waits.count(f'href="/proposals/{id}"') == 1
            assert "is offered an award" in waits.partition(id)[0] and "(0)" not in waits

    told(story())


def test_a_token_is_made_once_however_often_its_page_is_loaded(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client = await as_(hub, app, person)
            page = (await client.get("/profile?tab=tokens")).text
            key = re.search(r'name="!key" value="([^"]+)"', page)[1]
            sent = {"label": "Lab", "scope": "read", "days": "9", "!key": key}
            assert "hub_" in (await client.post("/tokens", data=sent)).text
            assert (await client.post("/tokens", data=sent)).status_code == 303
            assert [each.label for each in await hub.identity.held(person) if each.kind == "token"] == ["Lab"]
            other = await client.post("/tokens", data={**sent, "!key": key + "2"})
            assert other.status_code == 200 and len(await hub.identity.held(person)) == 3

    told(story())


def test_a_token_may_be_made_for_named_commands_only(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            page = (await client.get("/profile?tab=tokens")).text
            # What nobody but the hub itself may do is no choice.
            assert 'name="may.reviseProposal"' in page and "may.sealReadModels" not in page
            sent = {"label": "Robot", "days": "9", "scope": "named", "may.reviseProposal": "on", "!key": "k"}
            made = (await client.post("/tokens", data=sent)).text
            secret = re.search(r"hub_[\w-]{20,}", made)[0]
            # What it may do is said as people say it, and as programs do.
            assert re.search(r"reading, and:.*Revise proposal <code>reviseProposal</code>", made, re.DOTALL)
            client.headers["accept-language"] = "ru"
            shown = (await client.get("/profile?tab=tokens")).text
            assert re.search(r"чтение, а также:.*Изменить заявку <code>reviseProposal</code>", shown, re.DOTALL)
            robot = Client(app, secret)
            revise = """mutation($input: ReviseProposalInput!) { reviseProposal(input: $input) {
                receipt { position } refusal { code } } }"""
            done = await robot.data(revise, input={"proposal": id, "title": "By a robot"})
            assert done["reviseProposal"]["receipt"]
            withdraw = """mutation($input: WithdrawProposalInput!) { withdrawProposal(input: $input) {
                receipt { position } } }"""
            assert await robot.code(withdraw, input={"proposal": id, "reason": "By a robot"}) == "OUT_OF_SCOPE"

    told(story())


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"scope": "named"}, "scope", "Mark what it may do"),
        ({"scope": "named", "may.dropEverything": "on"}, "scope", "Mark what it may do"),
        ({"scope": "named", "may.sealReadModels": "on"}, "scope", "Mark what it may do"),
        ({"scope": "read", "may.reviseProposal": "on"}, "scope", "the marks below"),
        ({"scope": "evrything"}, "scope", "Choose one"),
        ({"scope": None}, "scope", "Choose one"),
        ({"days": "0"}, "days", "From 1 to 366"),
        ({"days": "9" * 5_000}, "days", "From 1 to 366"),
        ({"days": "٣"}, "days", "From 1 to 366"),
        ({"days": "soon"}, "days", "From 1 to 366"),
        ({"label": "  "}, "label", "what it is for"),
        ({"label": "a" * 101}, "label", "100"),
        ({"label": "\0"}, "label", "what it is for"),
    ],
)
def test_a_token_that_cannot_be_made_is_asked_for_again_with_what_was_typed(region_dsn, changed, field, says):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client = await as_(hub, app, person)
            given = {"label": "My <robot>", "days": "77", "scope": "read", "!key": "k"} | changed
            answer = await client.post("/tokens", data={name: value for name, value in given.items() if value})
            assert answer.status_code == 422
            wrong = re.search(r'<div class="field wrong">.*?</div>.*?</div>', answer.text, re.DOTALL)[0]
            assert says in wrong and f'id="{field}-problem"' in wrong
            assert answer.text.count("field wrong") == 1
            if "label" not in changed:
                assert 'value="My &lt;robot&gt;"' in answer.text
            if "days" not in changed:
                assert 'value="77"' in answer.text
            if "may.reviseProposal" in changed:
                assert re.search(r'name="may.reviseProposal"[^>]* checked', answer.text)
            assert not [each for each in await hub.identity.held(person) if each.kind == "token"]

    told(story())


def test_whoever_may_know_sees_who_signs_for_an_organization(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            people, schema = await people_of(hub), hub.models.schema
            officer = people["toktogulov"]
            id = await hub.log.pool.fetchval(f"SELECT organization FROM {schema}.officer WHERE person = $1", officer)
            own, center = await as_(hub, app, officer), await as_(hub, app, people["rahimova"])
            assert "/do/revokeSignatory" not in (await own.get(f"/organizations/{id}")).text
            person = people["karimova"]
            here = DeclareAffiliation(person=person, organization=id, position="Counsel", since=date(2020, 1, 1))
            await hub.do(here, person)
            await hub.do(AuthorizeSignatory(organization=id, person=person), officer)
            page = (await center.get(f"/organizations/{id}")).text
            assert "May sign agreements" in page and f"/people/{person}" in page
            assert "/do/revokeSignatory" in (await own.get(f"/organizations/{id}")).text
            query = "query($id: ID!) { organization(id: $id) { signatories { since person { id } } } }"
            found = await (await client(people["rahimova"])).data(query, id=id)
            assert [each["person"] for each in found["organization"]["signatories"]] == [{"id": person}]
            for stranger in (await client(), await client(people["osmonov"])):
                assert (await stranger.data(query, id=id))["organization"]["signatories"] == []

    told(story())


def test_a_risk_that_was_assessed_as_unacceptable_is_not_called_missing(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            missing = re.compile(r"Assessment of the AI.{1,5}s risk <small>missing")
            assert missing.search((await client.get(f"/proposals/{id}")).text)
            text = "It watches people in the street"
            sent = {"proposal": id, "level": "unacceptable", "harms": text, "safeguards": text, "!key": "form-1"}
            assert (await client.post("/do/assessRisk", data=sent)).status_code == 303
            page = (await client.get(f"/proposals/{id}")).text
            assert "What poses an unacceptable risk cannot be submitted." in page and not missing.search(page)

    told(story())


def test_whoever_runs_a_call_is_led_from_one_proposal_to_the_next(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            client, applicant = await as_(hub, app, people["rahimova"]), await as_(hub, app, people["karimova"])
            sql = f"SELECT id FROM {hub.models.schema}.proposal WHERE status = 'submitted' ORDER BY id"
            waiting = [row["id"] for row in await hub.log.pool.fetch(sql)]
            assert len(waiting) > 2
            for n, id in enumerate(waiting):
                page = (await client.get(f"/proposals/{id}")).text
                queue = page[page.index('id="queue"') :]
                # The one after this, and after the last the first again.
                assert re.search(r'href="/proposals/(proposal_\w+)"', queue)[1] == waiting[(n + 1) % len(waiting)]
                assert "/proposals?awaitsMyDecision=true&amp;status=SUBMITTED" in queue
            # While the round is open nothing of it is decided, so nothing of it waits to be.
            assert "to be decided" not in queue
            own = await draft_of(hub, people["karimova"])
            assert 'id="queue"' not in (await applicant.get(f"/proposals/{own}")).text

    told(story())


@pytest.mark.parametrize(("moment", "past"), [("2020-01-01T00:00:00Z", True), ("2120-01-01T00:00:00Z", False)])
def test_what_has_come_is_past(moment, past):
    assert is_past(moment) is past


def test_what_changed_lately_is_told_without_reading_a_long_history_again(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            author = (await people_of(hub))["karimova"]
            id, asks = await draft_of(hub, author), await client(author)
            for n in range(160):
                await hub.do(ReviseProposal(proposal=id, title=f"Title {n}"), author)
            read, passed = Log.read, []

            async def counted(self, *given, **more):
                found = await read(self, *given, **more)
                passed.append(len(found))
                return found

            monkeypatch.setattr(Log, "read", counted)
            text = """query($id: ID!) { proposal(id: $id) { history(first: 20) {
                nodes { position changes { name before after } } } } }"""

            async def told_of():
                passed.clear()
                found = (await asks.data(text, id=id))["proposal"]["history"]["nodes"]
                return found, sum(passed)

            first, many = await told_of()
            assert [each["changes"][0]["after"] for each in first] == [f"Title {n}" for n in range(159, 139, -1)]
            assert first[-1]["changes"][0]["before"] == "Title 139" and many > 150
            await hub.do(ReviseProposal(proposal=id, title="Newest"), author)
            second, few = await told_of()
            assert second[0]["changes"] == [{"name": "Title", "before": "Title 159", "after": "Newest"}]
            assert second[1:] == first[:-1] and few < 30
            # Also what stands just before those whose beginning is kept.
            for n in (20, 21, 22):
                page = f"history(first: {n}) {{ pageInfo {{ endCursor }} }}"
                end = (await asks.data(f"query($id: ID!) {{ proposal(id: $id) {{ {page} }} }}", id=id))["proposal"]
                one = """query($id: ID!, $end: String) { proposal(id: $id) { history(first: 1, after: $end) {
                    nodes { changes { before after } } } } }"""
                end = end["history"]["pageInfo"]["endCursor"]
                found = (await asks.data(one, id=id, end=end))["proposal"]["history"]["nodes"]
                assert found[0]["changes"] == [{"before": f"Title {159 - n}", "after": f"Title {160 - n}"}]
            # What is told of long before is read from the beginning.
            page = "history(first: 100) { pageInfo { endCursor } }"
            asked = f"query($id: ID!) {{ proposal(id: $id) {{ {page} }} }}"
            end = (await asks.data(asked, id=id))["proposal"]["history"]["pageInfo"]["endCursor"]
            oldest = """query($id: ID!, $end: String) { proposal(id: $id) { history(first: 1, after: $end) {
                nodes { changes { before after } } } } }"""
            found = (await asks.data(oldest, id=id, end=end))["proposal"]["history"]["nodes"]
            assert found[0]["changes"] == [{"before": "Title 59", "after": "Title 60"}]

    told(story())
