"""Pages and forms over HTTP, with whatever a browser or anything else may send."""

import csv
import json
import re
from datetime import UTC, date, datetime, timedelta
from html import escape, unescape

import pytest

from domain.calls.commands import AmendCall, CloseRound, DraftCall, OpenRound, PublishCall
from domain.calls.events import Criterion
from domain.organizations.offices import AppointOfficer, AuthorizeSignatory, DismissOfficer
from domain.people.affiliations import DeclareAffiliation
from domain.people.commands import GrantRole
from domain.proposals.commands import AssessRisk, ReviseProposal
from domain.proposals.decisions import (
    DeclineProposal,
    FindIneligible,
    OfferAward,
    RefuseAward,
    WithdrawProposal,
)
from domain.proposals.partners import ConfirmPartner, InvitePartner, UninvitePartner
from domain.results import PublishResults
from hub.act import new_id
from tests.test_graphql import draft_of
from tests.test_log import told
from tests.web import Client, people_of, serving
from web import choosing
from web.texts import markdown

SENT = {"content-type": "application/x-www-form-urlencoded"}


async def as_(hub, app, person, scope=None):
    """A client with a session of a person's, or with a token of theirs."""
    if scope:
        return Client(app, await hub.identity.token(person, [scope], "test", 1)).http
    client = Client(app).http
    client.cookies.set("hub_session", await hub.identity.session(person))
    return client


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


@pytest.mark.parametrize(("revision", "status"), [("1.0", 303), ("1e0", 303), ("99999999999", 422), ("x", 422)])
def test_a_number_is_taken_in_every_form_or_refused_at_its_field(region_dsn, revision, status):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            sent = {"proposal": id, "title": "A number in a form", "revision": revision, "!key": "k1"}
            answer = await client.post("/do/reviseProposal", data=sent)
            assert answer.status_code == status
            assert status == 303 or "A number in a form" in answer.text

    told(story())


def test_a_text_that_was_emptied_is_emptied_or_refused_at_its_field(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            person = (await people_of(hub))["karimova"]
            lab, page, id = await client(person), await as_(hub, app, person), await draft_of(hub, person)
            shown = "query($id: ID!) { proposal(id: $id) { title abstract } }"
            before = (await lab.data(shown, id=id))["proposal"]
            was = {"proposal": id, "!was.title": before["title"], "!was.abstract": "What stood there"}
            answer = await page.post(
                "/do/reviseProposal", data={**was, "title": " ", "abstract": "Typed", "!key": "e1"}
            )
            assert answer.status_code == 422 and "This cannot be left empty." in answer.text and "Typed" in answer.text
            assert "if you like" not in answer.text.partition("<textarea")[0]
            revise = """mutation($title: String, $abstract: String, $id: ID!) { done: reviseProposal(
                input: {proposal: $id, title: $title, abstract: $abstract}) {
                    receipt { events } refusal { code field } } }"""
            done = (await lab.data(revise, id=id, title="", abstract="Given"))["done"]
            assert done == {"receipt": None, "refusal": {"code": "INVALID", "field": "title"}}
            assert (await lab.data(shown, id=id))["proposal"] == before
            # What is left out, or null, stays; a text that may be empty is emptied.
            sent = {**was, "title": before["title"], "abstract": "", "!key": "e2"}
            assert (await page.post("/do/reviseProposal", data=sent)).status_code == 303
            assert (await lab.data(shown, id=id))["proposal"] == {"title": before["title"], "abstract": ""}
            assert (await lab.data(revise, id=id, title=None))["done"]["receipt"]["events"] == 0

    told(story())


def test_a_token_for_reading_is_told_so_on_a_form(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person, "read"), await draft_of(hub, person)
            answer = await client.post("/do/reviseProposal", data={"proposal": id, "title": "Mine to write"})
            assert answer.status_code == 403 and "was not made for" in answer.text and "Mine to write" in answer.text

    told(story())


def test_a_form_sent_twice_is_carried_out_once(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            client, head = await as_(hub, app, (await people_of(hub))["karimova"]), await hub.log.head()
            calls = await hub.log.pool.fetchval(f"SELECT id FROM {hub.models.schema}.call WHERE status = 'open'")
            lead = await hub.log.pool.fetchval(
                f"SELECT organization FROM {hub.models.schema}.affiliation WHERE person = $1",
                (await people_of(hub))["karimova"],
            )
            sent = {"call": calls, "lead": lead, "title": "Sent by an impatient thumb", "!key": "form-1"}
            places = {(await client.post("/do/draftProposal", data=sent)).headers["location"] for _ in range(2)}
            assert len(places) == 1 and await hub.log.head() == head + 1
            # Whoever goes back to it and sends other words is told, and then makes another.
            other = await client.post("/do/draftProposal", data={**sent, "title": "Sent by another thumb"})
            assert other.status_code == 422 and "You sent this form before" in other.text
            assert await hub.log.head() == head + 1 and "Sent by another thumb" in other.text
            key = re.search(r'name="!key" value="([^"]+)"', other.text)[1]
            again = {**sent, "title": "Sent by another thumb", "!key": key}
            assert (await client.post("/do/draftProposal", data=again)).status_code == 303
            assert await hub.log.head() == head + 2
            # A change of a record that is changed once more is one more change.
            revise = {"proposal": places.pop().split("/")[2].partition("?")[0], "!key": "form-2"}
            for title in ("First words", "Second words"):
                assert (await client.post("/do/reviseProposal", data={**revise, "title": title})).status_code == 303
            assert await hub.log.head() == head + 4

    told(story())


def test_only_the_center_is_shown_the_links_of_those_who_have_not_come(region_dsn):
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
            # Who invited stays without: sending the form once more, with a token, once roles have been granted.
            await hub.do(GrantRole(person=person, role="center_officer"), people["rahimova"])
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
            # Once somebody has come, nobody else gets a link to be them: not with the same form, not as the Center.
            assert "hub_link_" not in (await inviter.post("/do/invitePerson", data=sent)).text
            assert (await center.post(f"/people/{person}/link")).status_code == 303
            assert (await center.post("/people/%00/link")).status_code == 404

    told(story())


def test_a_time_in_a_form_is_of_the_zone_that_the_form_was_shown_in(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            center = await as_(hub, app, (await people_of(hub))["rahimova"])
            center.cookies.set("hub_zone", "Asia%2FBishkek")
            form = (await center.get("/do/draftCall")).text
            assert 'name="!zone" value="Asia/Bishkek"' in form and "As clocks show in Asia/Bishkek." in form
            sent = {
                "title": "Water and ice",
                "summary": "Joint research.",
                "opens_at": "2099-01-01T09:00:00",
                "closes_at": "2099-03-01T09:00",
                "criteria": "Excellence: 100",
                "!zone": "Asia/Bishkek",
                "!key": "k",
            }
            center.cookies.set("hub_zone", "UTC")
            answer = await center.post("/do/draftCall", data=sent)
            assert answer.status_code == 303, answer.text
            drafted = (await hub.log.read(types=["CallDrafted"]))[-1].event
            assert drafted.opens_at.isoformat() == "2099-01-01T03:00:00+00:00"
            for zone, opens in (("Nowhere/Else", "2099-01-01T09:00"), ("", "0001-01-01T00:00"), ("UTC", "now")):
                other = {**sent, "!zone": zone, "opens_at": opens, "!key": zone}
                wrong = await center.post("/do/draftCall", data=other)
                assert wrong.status_code == 422, zone

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


def test_what_was_written_is_kept_when_the_session_has_ended_and_sent_once_more(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            id, head = await draft_of(hub, person), await hub.log.head()
            sent = {"proposal": id, "title": "Written for <hours>", "!key": "k1"}
            answer = await Client(app).http.post("/do/reviseProposal", data=sent)
            assert answer.status_code == 401 and answer.text.count("Written for &lt;hours&gt;") == 2
            shown = {name: unescape(value) for name, value in hidden_of(answer.text).items()}
            chosen = await Client(app).http.post("/do/reviseProposal", data={**shown, "!choose": "tg"})
            assert chosen.status_code == 401 and chosen.text.count("Written for &lt;hours&gt;") == 2
            assert '<html lang="tg"' in chosen.text and chosen.cookies["hub_language"] == "tg"
            assert hidden_of(chosen.text) == hidden_of(answer.text)
            assert await hub.log.head() == head
            again = await (await as_(hub, app, person)).post("/do/reviseProposal", data=sent)
            assert again.status_code == 303 and await hub.log.head() == head + 1

    told(story())


def test_people_are_told_apart_by_where_they_work_and_an_office_is_ended_among_those_who_hold_it(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            center = await as_(hub, app, people["rahimova"])

            async def listed(form):
                page = (await center.get(f"/do/{form}?organization={osh}")).text
                return re.findall(r'name="person" value="(\w+)"', page) or re.findall(
                    r'<option value="(\w+)"', page
                ), page

            osh = await hub.log.pool.fetchval(
                f"SELECT id FROM {hub.models.schema}.organization WHERE ror = '04wkkwk59'"
            )
            assert (await listed("dismissOfficer"))[0] == [people["nazarov"]]
            offered, page = await listed("appointOfficer")
            assert people["nazarov"] not in offered and people["karimova"] in offered
            assert "S. U. Umarov Physical-Technical Institute" in page
            # Who works there comes first.
            works = DeclareAffiliation(
                person=people["toktogulov"], organization=osh, position="Adviser", since=date(2026, 1, 1)
            )
            await hub.do(works, people["toktogulov"])
            assert (await listed("appointOfficer"))[0][0] == people["toktogulov"]

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
            judge = (await hub.log.pool.fetchval(f"SELECT officers FROM {schema}.call WHERE id = $1", call))[0]
            officer = await hub.log.pool.fetchval(f"SELECT person FROM {schema}.officer WHERE organization = $1", lead)
            for command, by in (
                (OfferAward(proposal=id), judge),
                (RefuseAward(proposal=id, reason="Nobody is free this year"), officer),
            ):
                await hub.do(command, by)
            client = await as_(hub, app, author)
            for address in (f"/proposals/{id}", "/proposals?status=DECLINED", "/"):
                page = (await client.get(address)).text
                assert 'class="badge declined">award refused<' in page, address

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
    # Each paragraph runs as its own first letter does.
    assert '<p dir="auto">מים וקרח.</p>' in shown


def test_what_somebody_else_changed_in_a_field_that_one_left_alone_is_shown(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            form = (await client.get(f"/do/reviseProposal?proposal={id}")).text
            before = unescape(hidden_of(form)["!was.title"])
            await hub.do(ReviseProposal(proposal=id, title="Their title"), person)
            sent = {name: unescape(value) for name, value in untouched(form).items()}
            conflict = (await client.post("/do/reviseProposal", data={**sent, "abstract": "Mine"})).text
            assert 'value="Their title"' in conflict and "Before that it was:" in conflict
            assert before in unescape(conflict) and "Take this one" not in conflict

    told(story())


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


def test_what_can_be_chosen_is_explained(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            assert "it cannot be submitted" in (await client.get(f"/do/assessRisk?proposal={id}")).text

    told(story())


def test_an_officer_confirms_the_text_that_their_page_showed(region_dsn):
    """What its applicants change between the page and the form is shown before it is confirmed."""

    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            author, officer = people["karimova"], people["toktogulov"]
            id, client = await draft_of(hub, author), await as_(hub, app, officer)
            me = (await client.post("/graphql", json={"query": "{ me { offices { organization { id } } } }"})).json()
            asked = me["data"]["me"]["offices"][0]["organization"]["id"]
            await hub.do(InvitePartner(proposal=id, organization=asked, contribution="Data"), author)
            page = (await client.get(f"/proposals/{id}")).text
            link = unescape(re.search(rf'href="(/do/confirmPartner[^"]*organization={asked}[^"]*)"', page)[1])
            await hub.do(ReviseProposal(proposal=id, abstract="What nobody has read yet"), author)
            form = await client.get(link)
            refused = await client.post(link, data=untouched(form.text) | {"organization": asked})
            assert refused.status_code == 422 and "Read it again" in refused.text
            assert "What nobody has read yet" in refused.text
            anew = await client.post(link, data=untouched(refused.text) | {"organization": asked})
            assert anew.status_code == 303
            assert f"organization={asked}&amp;revision" not in (await client.get(f"/proposals/{id}")).text

    told(story())


def test_who_wrote_over_an_unseen_change_sees_both_and_saves_next(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            form = (await client.get(f"/do/reviseProposal?proposal={id}")).text
            hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))
            assert hidden["revision"] == "1"
            await hub.do(ReviseProposal(proposal=id, title="Their title"), person)
            mine = {**hidden, "title": "My title", "abstract": "Mine"}
            conflict = await client.post("/do/reviseProposal", data=mine)
            assert conflict.status_code == 422
            assert "Their title" in conflict.text and 'value="My title"' in conflict.text
            # The abstract was changed by nobody else: there is nothing to take.
            assert re.findall(r'name="!take" value="([^"]*)"', conflict.text) == ["title"]
            shown = await client.post("/do/reviseProposal", data={**untouched(conflict.text), "!preview": "abstract"})
            assert hidden_of(shown.text)["!old.title"] == hidden["!was.title"]
            again = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', conflict.text))
            assert again["revision"] == "2"
            saved = await client.post("/do/reviseProposal", data={**again, "title": "My title", "abstract": "Mine"})
            assert saved.status_code == 303
            assert "My title" in (await client.get(f"/proposals/{id}")).text

    told(story())


def test_who_left_a_text_as_it_was_does_not_take_back_what_another_made_of_it(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            form = untouched((await client.get(f"/do/reviseProposal?proposal={id}")).text)
            await hub.do(ReviseProposal(proposal=id, title="A title of another tab"), person)
            conflict = await client.post("/do/reviseProposal", data={**form, "abstract": "Written in this tab"})
            assert conflict.status_code == 422 and "!take" not in conflict.text
            title = re.search(r'<input id="title"[^>]* value="([^"]*)"', conflict.text)[1]
            abstract = re.search(r'<textarea id="abstract"[^>]*>\s*([^<]*)</textarea>', conflict.text)[1]
            assert (title, abstract) == ("A title of another tab", "Written in this tab")
            again = {**hidden_of(conflict.text), "title": title, "abstract": abstract}
            assert (await client.post("/do/reviseProposal", data=again)).status_code == 303
            page = (await client.get(f"/proposals/{id}")).text
            assert "A title of another tab" in page and "Written in this tab" in page

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
                    WHERE p.status = 'submitted' AND $1 = ANY(c.officers) LIMIT 1""",
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


def hidden_of(page):
    """The hidden fields of the form of a page."""
    form = page.partition('<form class="form"')[2].partition("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))


def untouched(page):
    """What a browser sends of the form of a page that nobody has typed into."""
    hidden = hidden_of(page)
    return hidden | {name[5:]: value for name, value in hidden.items() if name.startswith("!was.")}


NINE = (datetime.now(UTC) - timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)


async def round_that_opens_at_a_whole_minute(hub, officer):
    """An open call of the Center's, whose times have no seconds."""
    times = {"opens_at": NINE, "closes_at": NINE + timedelta(days=365)}
    criteria = (Criterion("Excellence", 100),)
    drafted = await hub.do(DraftCall(title="Whole minutes", summary="S" * 50, criteria=criteria, **times), officer)
    id = drafted.record
    await hub.do(PublishCall(call=id), officer)
    await hub.do(OpenRound(call=id), officer)
    return id


def test_a_post_is_ended_on_the_page_of_whose_it_is_and_confirmed_knowingly(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            mine, theirs = people["karimova"], people["nazarov"]
            row = await hub.log.pool.fetchrow(
                f"SELECT id, organization FROM {hub.models.schema}.affiliation WHERE person = $1", mine
            )
            asked = f"person={mine}&affiliation={row['id']}&organization={row['organization']}"
            own, officer = await as_(hub, app, mine), await as_(hub, app, theirs)
            link = f"/do/endAffiliation?{asked}".replace("&", "&amp;")
            assert link in (await own.get("/profile")).text
            assert link in (await officer.get(f"/people/{mine}")).text
            assert link not in (await officer.get("/profile")).text
            for client in (own, officer):
                form = (await client.get(f"/do/endAffiliation?{asked}")).text
                assert "Senior researcher" in form and "Umarov Physical-Technical" in form
            # What a form is about is not chosen in it: without it, or with another's, there is none.
            for odd in (f"person={mine}", asked.replace(row["id"], "affiliation_01h455vb4pex5vsknk084sn02q")):
                for command in ("endAffiliation", "confirmAffiliation"):
                    assert (await officer.get(f"/do/{command}?{odd}")).status_code == 404
            sent = hidden_of((await own.get(f"/do/endAffiliation?{asked}")).text)
            sent |= {"organization": row["organization"], "until": f"{date.today():%Y-%m-%d}"}
            assert (await own.post("/do/endAffiliation", data=sent)).status_code == 303
            shown = (await own.get("/profile")).text
            assert link not in shown
            # Another post at the same place can be said now, and is confirmed with open eyes.
            await hub.do(
                DeclareAffiliation(
                    person=mine, organization=row["organization"], position="Head of ice", since=date(2026, 11, 1)
                ),
                mine,
                at=datetime.now(UTC) + timedelta(days=1),
            )
            page = (await officer.get(f"/people/{mine}")).text
            href = re.search(r'href="(/do/confirmAffiliation[^"]*)"', page)[1].replace("&amp;", "&")
            form = (await officer.get(href)).text
            assert "Head of ice" in form and "Зарина Каримова" in form and "Nov 1, 2026" in form

    told(story())


def test_who_publishes_results_is_told_what_is_not_decided(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            officer = (await people_of(hub))["rahimova"]
            schema = hub.models.schema
            call = await hub.log.pool.fetchval(f"SELECT id FROM {schema}.call WHERE status = 'open'")
            closes = await hub.log.pool.fetchval(f"SELECT closes_at FROM {schema}.call WHERE id = $1", call)
            await hub.do(CloseRound(call=call), at=closes)
            client = await as_(hub, app, officer)
            left = await hub.log.pool.fetch(
                f"SELECT id, status FROM {schema}.proposal WHERE call = $1 AND status IN ('submitted', 'in_review')",
                call,
            )
            page = (await client.get(f"/do/publishResults?call={call}")).text
            assert f"Proposals that are not decided yet: {len(left)}." in page and 'class="form"' not in page
            assert all(f"/proposals/{each['id']}" in page for each in left)
            for each in left:
                answer = FindIneligible if each["status"] == "submitted" else DeclineProposal
                await hub.do(answer(proposal=each["id"], reason="No money"), officer)
            form = (await client.get(f"/do/publishResults?call={call}")).text
            assert "1 proposal was given back for changes" in form and 'class="form"' in form
            # However many there are, and though none is in memory, they are looked up at once.
            hub.states.drop()
            await hub.do(PublishResults(call=call), officer)
            # What it opens or closes stands in the form of what cannot be taken back.
            other = await hub.log.pool.fetchrow(f"SELECT * FROM {schema}.call WHERE status = 'published'")
            assert f"{other['closes_at']:%Y}" in (await client.get(f"/do/openRound?call={other['id']}")).text

    told(story())


def test_a_time_that_a_browser_writes_longer_is_no_change(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            officer = (await people_of(hub))["rahimova"]
            client, id = await as_(hub, app, officer), await round_that_opens_at_a_whole_minute(hub, officer)
            form = (await client.get(f"/do/amendCall?call={id}")).text
            sent = untouched(form) | {"reason": "Said better", "title": "Whole hours"}
            assert sent["closes_at"].endswith("T14:00")
            sent["closes_at"] += ":00"
            # What was frozen when the round opened is shown, and cannot be written in.
            assert "opens_at" not in sent and "14:00 UTC+5" in form and "frozen when the round opened" in form
            assert (await client.post("/do/amendCall", data=sent)).status_code == 303
            assert "Whole hours" in (await client.get(f"/calls/{id}")).text
            # Another instant is one, and is refused whoever sends it.
            later = await client.post("/do/amendCall", data=sent | {"!key": "2", "opens_at": f"{NINE:%Y-%m-%d}T15:00"})
            assert later.status_code == 422 and "This was frozen when the round opened." in later.text

    told(story())


def test_a_preview_takes_back_nothing_that_others_wrote(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            officer = (await people_of(hub))["rahimova"]
            client, id = await as_(hub, app, officer), await round_that_opens_at_a_whole_minute(hub, officer)
            form = (await client.get(f"/do/amendCall?call={id}")).text
            mine = untouched(form) | {"title": "My title", "reason": "Written by me"}
            await hub.do(
                AmendCall(call=id, summary="What they wrote meanwhile " * 3, reason="Written by them"), officer
            )
            shown = (await client.post("/do/amendCall", data=mine | {"!preview": "summary"})).text
            again = untouched(shown) | {"title": "My title", "reason": "Written by me"}
            assert again["!was.summary"] == "S" * 50
            assert (await client.post("/do/amendCall", data=again)).status_code == 303
            page = (await client.get(f"/calls/{id}")).text
            assert "My title" in page and "What they wrote meanwhile" in page

    told(story())


def test_what_was_written_about_a_record_that_is_hidden_now_is_shown_and_nothing_else(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            id, client = await draft_of(hub, people["karimova"]), await as_(hub, app, people["osmonov"])
            there, not_there = [
                await client.post("/do/declinePartner", data={"proposal": each, "reason": "Written at length"})
                for each in (id, new_id("proposal"))
            ]
            assert there.status_code == 404 and "Written at length" in there.text
            assert there.text == not_there.text
            assert (await client.get(f"/do/declinePartner?proposal={id}")).text.count("Nothing here") > 0

    told(story())


def test_taking_what_others_wrote_saves_nothing_and_touches_nothing_else(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            head = await hub.log.head()
            for taken in ("nothing", "proposal", "!key", "revision", "title", "abstract"):
                sent = {"proposal": id, "title": "Mine", "!key": "k", "!take": taken}
                answer = await client.post("/do/reviseProposal", data=sent)
                assert answer.status_code == 200 and hidden_of(answer.text)["proposal"] == id, taken
                assert ('value="Mine"' in answer.text) == (taken != "title"), taken
            assert await hub.log.head() == head

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


def test_a_form_for_a_new_record_says_first_whose_it_is_and_what_can_be_chosen(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            author, officer = await as_(hub, app, people["karimova"]), await as_(hub, app, people["rahimova"])
            assert (await officer.get("/do/draftCall")).status_code == 200
            refused = await author.get("/do/draftCall")
            assert refused.status_code == 403 and "officers of the Center" in refused.text
            assert "<textarea" not in refused.text
            calls = await hub.log.pool.fetch(f"SELECT id, status FROM {hub.models.schema}.call")
            by_status = {row["status"]: row["id"] for row in calls}
            form = (await author.get(f"/do/draftProposal?call={by_status['open']}")).text
            assert 'aria-invalid="true"' not in form
            for status in sorted(by_status.keys() - {"open", "published"}):
                form = (await author.get(f"/do/draftProposal?call={by_status[status]}")).text
                assert "cannot be chosen now: choose another" in form and 'aria-invalid="true"' in form

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


def test_what_is_chosen_is_among_the_choices_also_where_these_are_too_many(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client = await as_(hub, app, person)
            every = "{ organizations(first: 100, where: {status: [VERIFIED]}) { nodes { id name country } } }"
            found = await client.post("/graphql", json={"query": every})
            ids = [each["id"] for each in found.json()["data"]["organizations"]["nodes"]]
            address = f"/do/declareAffiliation?person={person}"

            def offered(text):
                return re.findall(r'type="radio" name="organization" value="(\w+)"', text)

            # The same order as the list's, no more than a phone shows, and that there are more is said.
            form = (await client.get(address)).text
            assert offered(form) == ids[: choosing.SHOWN] and "More fit" in form
            last = ids[-1]
            checked = f'value="{last}" checked'
            form = (await client.get(f"{address}&organization={last}&position=Professor")).text
            assert offered(form)[0] == last and checked in form and "cannot be chosen" not in form
            # What is looked for is shown without a script too, with all that was typed; nothing is recorded.
            sent = {"person": person, "organization": last, "position": "Dean", "since": "", "!key": "k"}
            looked = await client.post(address, data={**sent, "!find.organization": "Душанбе", "!look": "organization"})
            assert looked.status_code == 200 and offered(looked.text)[0] == last and 'value="Dean"' in looked.text
            assert len(offered(looked.text)) > 2 and "This is needed" not in looked.text
            nothing = await client.post(address, data={**sent, "organization": "", "!find.organization": "qqqq"})
            assert nothing.status_code == 422 and "Nothing was found: try" in nothing.text
            again = await client.post(address, data={**sent, "position": ""})
            assert again.status_code == 422 and checked in again.text
            # Where somebody works is theirs to lead from, wherever it stands in the list.
            call = await hub.log.pool.fetchval(f"SELECT id FROM {hub.models.schema}.call WHERE status = 'open'")
            form = (await client.get(f"/do/draftProposal?call={call}")).text
            assert re.search(r'name="lead" value="\w+" checked', form)
            assert re.search(rf'value="{call}" checked> <span>[^<]+ <small>closes ', form)

    told(story())


@pytest.mark.parametrize("typed", ["%00", "%ED%A0%80", "'%22)(|%26!:*", "a" * 9_000, "   "])
def test_an_organization_is_looked_for_by_anything(region_dsn, typed):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            sent = f"proposal={id}&contribution=Typed+before&!look=organization&!find.organization={typed}"
            answer = await client.post("/do/invitePartner", content=sent, headers=SENT)
            assert answer.status_code == 200 and "Typed before" in answer.text

    told(story())


def test_whoever_registers_an_organization_is_told_of_those_that_are_here_with_a_like_name(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            client, center = await as_(hub, app, people["karimova"]), await as_(hub, app, people["rahimova"])
            sent = {"name": "state Osh univercity", "kind": "university", "city": "Osh", "country": "KG", "!key": "k"}
            told_first = await client.post("/do/registerOrganization", data=sent)
            assert told_first.status_code == 422 and "Nothing was recorded yet" in told_first.text
            assert ">Osh State University</a>" in told_first.text and "Technological" not in told_first.text
            again = untouched(told_first.text)
            assert f'value="{sent["name"]}"' in told_first.text and again["!key"] == "k"
            done = await client.post("/do/registerOrganization", data=sent | again)
            assert done.status_code == 303
            # Whoever verifies it reads what it says of itself, and that there may be two of it.
            id = re.search(r"organization_\w+", done.headers["location"])[0]
            form = (await center.get(f"/do/verifyOrganization?organization={id}")).text
            assert ">Osh State University</a>" in form and "none given" in form and "Osh, Kyrgyzstan" in form
            # By its Russian name, too; in another country it is another one.
            other = {**sent, "name": "OshSU", "name_ru": "Ошский государственный университет", "!key": "l"}
            assert ">Osh State University</a>" in (await client.post("/do/registerOrganization", data=other)).text
            abroad = {**sent, "country": "TM", "!key": "m"}
            assert (await client.post("/do/registerOrganization", data=abroad)).status_code == 303

    told(story())


def test_what_was_written_for_a_record_that_is_closed_meanwhile_is_kept_and_not_asked_for_again(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            form = untouched((await client.get(f"/do/reviseProposal?proposal={id}")).text)
            await hub.do(WithdrawProposal(proposal=id, reason="No longer needed"), person)
            sent = form | {"abstract": "Hours of work <&>"}
            answer = await client.post("/do/reviseProposal", data=sent)
            assert answer.status_code == 422 and "Hours of work &lt;&amp;&gt;" in answer.text
            assert "<form" not in answer.text.partition("<main")[2].partition("</main>")[0]

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


def test_a_partner_is_chosen_among_those_that_can_be_one(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, id = await as_(hub, app, person), await draft_of(hub, person)
            lead = await hub.log.pool.fetchval(f"SELECT lead FROM {hub.models.schema}.proposal WHERE id = $1", id)

            async def offered(form):
                return set(
                    re.findall(
                        r'name="organization" value="(\w+)"', (await client.get(f"/do/{form}?proposal={id}")).text
                    )
                )

            free = await offered("invitePartner")
            chosen = sorted(free)[0]
            assert lead not in free
            sent = {"proposal": id, "organization": chosen, "contribution": "Field data", "!key": "k"}
            assert (await client.post("/do/invitePartner", data=sent)).status_code == 303
            assert chosen not in await offered("invitePartner")
            # A page that still stood open asks for something else: it is told, and nothing is rewritten.
            stale = await client.post("/do/invitePartner", data={**sent, "contribution": "Other data", "!key": "l"})
            assert stale.status_code == 422 and "asked already" in stale.text and "Other data" in stale.text
            assert chosen in await offered("uninvitePartner") and not await offered("uninvitePartner") & (
                free - {chosen}
            )

    told(story())


def test_who_confirms_a_partner_reads_what_it_is_asked_for(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people, schema = await people_of(hub), hub.models.schema
            author, id = people["karimova"], await draft_of(hub, people["karimova"])
            partner = await hub.log.pool.fetchval(f"SELECT id FROM {schema}.organization WHERE name ~ '^Osh State'")
            asked = InvitePartner(proposal=id, organization=partner, contribution="Seismic records of <Osh>")
            await hub.do(asked, author)
            officer = await hub.log.pool.fetchval(
                f"SELECT person FROM {schema}.officer WHERE organization = $1", partner
            )
            form = (await (await as_(hub, app, officer)).get(f"/do/confirmPartner?proposal={id}")).text
            assert "Osh State University is asked for: Seismic records of &lt;Osh&gt;" in form

    told(story())


def test_whoever_asks_a_partner_sees_whether_anybody_can_answer(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            author, center = people["karimova"], people["rahimova"]
            id = await draft_of(hub, author)
            partner = await hub.log.pool.fetchval(
                f"""SELECT id FROM {hub.models.schema}.organization WHERE status = 'verified' AND NOT represented
                    ORDER BY id LIMIT 1"""
            )
            await hub.do(InvitePartner(proposal=id, organization=partner, contribution="Data"), author)
            client, nobody = await as_(hub, app, author), "Nobody acts for this organization here yet"
            assert nobody in (await client.get(f"/proposals/{id}")).text
            await hub.do(AppointOfficer(organization=partner, person=people["osmonov"]), center)
            page = (await client.get(f"/proposals/{id}")).text
            assert nobody not in page and "An officer of this organization answers next." in page
            await hub.do(DismissOfficer(organization=partner, person=people["osmonov"]), center)
            assert nobody in (await client.get(f"/proposals/{id}")).text

    told(story())


def test_the_form_of_notices_shows_what_was_chosen_and_leads_back_to_ones_own_page(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client, address = await as_(hub, app, person), f"/do/chooseNotices?person={person}"
            for mailed, language in (("true", "ru"), ("", "kk"), ("true", "tg")):
                sent = {"person": person, "mailed": mailed, "language": language}
                done = await client.post("/do/chooseNotices", data=sent)
                assert done.status_code == 303 and done.headers["location"].startswith("/profile?done=")
                form = (await client.get(address)).text
                assert re.search(rf'<option value="{language}" selected', form), form
                assert bool(re.search(r'<input[^>]*name="mailed"[^>]*checked', form)) is bool(mailed)

    told(story())


def test_an_officer_of_the_center_gives_an_organization_a_name_that_ror_lacks(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, anybody):
            client = await as_(hub, app, (await people_of(hub))["rahimova"])
            query = (
                "query($ror: String!) { organizations(where: {ror: $ror}) { nodes { id names { language text } } } }"
            )
            found = (await (await anybody()).data(query, ror="01c9f4y89"))["organizations"]["nodes"][0]
            id, russian = found["id"], next(each["text"] for each in found["names"] if each["language"] == "ru")
            address = f"/do/amendOrganization?organization={id}"
            form = (await client.get(address)).text
            # What ROR says is shown with where to correct it, and cannot be written in.
            assert russian in form and 'name="name_ru"' not in form and 'name="name_tg"' in form
            assert 'href="https://ror.org/01c9f4y89"' in form
            sent = {
                "organization": id,
                "reason": "Asked for by its readers",
                "!was.name_ru": russian,
                "!was.name_tg": "",
            }
            refused = await client.post(address, data={**sent, "name_ru": "Иначе", "name_tg": "Номи тоҷикӣ"})
            assert refused.status_code == 422 and "correct it there" in refused.text and "Номи тоҷикӣ" in refused.text
            done = await client.post(address, data={**sent, "name_ru": russian, "name_tg": "Номи тоҷикӣ"})
            assert done.status_code == 303
            page = (await client.get(f"/organizations/{id}", headers={"accept-language": "tg"})).text
            assert re.search(r"<h1>\s*Номи тоҷикӣ", page), page[:3000]
            # It is found by that name, and its history says what was changed.
            assert (
                "Номи <mark>тоҷикӣ" in (await client.get("/search?text=тоҷикӣ", headers={"accept-language": "tg"})).text
            )
            assert "Changed: Name in Tajik" in (await client.get(f"/organizations/{id}")).text

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


def test_which_of_several_criteria_does_not_fit_is_said(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            client = await as_(hub, app, (await people_of(hub))["rahimova"])
            form = untouched((await client.get("/do/draftCall")).text)
            for criteria, said in (
                ("\n".join(f"Criterion {n}: 7" for n in range(13)), "At most 12 of them fit; these are 13."),
                (f"Excellence: 50\n{'N' * 250}: 50", f"Number 2 (“{'N' * 60}…”)"),
                ("Excellence 50", "Number 1 (“Excellence 50”)"),
                ("Excellence: 50\nImpact: fifty", "Number 2 (“Impact: fifty”) needs a name"),
            ):
                answer = await client.post("/do/draftCall", data=form | {"criteria": criteria})
                assert answer.status_code == 422 and said in unescape(answer.text), criteria

    told(story())


def test_who_erases_themselves_is_told_so(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            client = await as_(hub, app, person)
            form = untouched((await client.get(f"/do/erasePerson?person={person}")).text)
            answer = await client.post("/do/erasePerson", data=form | {"!sure": "Зарина Каримова"})
            assert answer.status_code == 303
            page = await client.get(answer.headers["location"])
            assert page.status_code == 200 and "Your personal data are erased, and you are signed out." in page.text

    told(story())


def test_only_officers_of_the_center_are_offered_to_run_a_call(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            client = await as_(hub, app, people["rahimova"])
            call = await hub.log.pool.fetchval(f"SELECT id FROM {hub.models.schema}.call WHERE status = 'open'")
            form = (await client.get(f"/do/appointCallOfficer?call={call}")).text
            assert people["ibragimov"] in form and people["karimova"] not in form
            # Whoever runs a call that has closed is told what to do next.
            closes = await hub.log.pool.fetchval(f"SELECT closes_at FROM {hub.models.schema}.call WHERE id = $1", call)
            await hub.do(CloseRound(call=call), at=closes)
            assert "then publish the results" in (await client.get("/")).text

    told(story())
