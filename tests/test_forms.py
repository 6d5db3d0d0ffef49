"""Forms: what is typed, chosen, refused at its field, kept, and what others wrote meanwhile."""

import re
from datetime import UTC, date, datetime, timedelta
from html import unescape

import pytest

from domain.call_results import PublishResults
from domain.calls.commands import AmendCall, CloseRound, DraftCall, OpenRound, PublishCall
from domain.calls.events import Criterion
from domain.calls.officers import AppointCallOfficer
from domain.core import HubRole, mutation_of
from domain.organizations.commands import AmendOrganization, RegisterOrganization
from domain.organizations.offices import AppointOfficer, DismissOfficer
from domain.people.affiliations import DeclareAffiliation, EndAffiliation
from domain.people.commands import GrantRole
from domain.proposals.commands import ReviseProposal, SubmitProposal
from domain.proposals.decisions import (
    ConfirmEligibility,
    DeclineProposal,
    FindIneligible,
    MoveDeadline,
    ReturnProposal,
    WithdrawProposal,
)
from domain.proposals.partners import InvitePartner
from hub.act import new_id
from tests.test_log import told
from tests.web import Client, as_, draft_of, people_of, serving
from web import forms


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


def test_a_time_in_a_form_is_of_the_zone_that_the_form_was_shown_in(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            center = await as_(hub, app, (await people_of(hub))["rahimova"])
            center.cookies.set("hub_zone", "Asia%2FBishkek")
            form = (await center.get("/do/draftCall")).text
            assert 'name="!zone" value="Asia/Bishkek"' in form and "Local time in Asia/Bishkek." in form
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
            # No clock there shows this time: nobody means another one by it.
            spring = {**sent, "!zone": "Europe/Berlin", "opens_at": "2099-03-29T02:30", "!key": "spring"}
            skipped = await center.post("/do/draftCall", data={**spring, "closes_at": "2099-05-01T09:00"})
            assert skipped.status_code == 422 and "does not exist in Europe/Berlin" in skipped.text
            assert 'value="2099-03-29T02:30"' in skipped.text
            # What stood there, and was left as it was, is nothing that they typed.
            left = {**spring, "!was.opens_at": "2099-03-29T02:30", "closes_at": "2099-05-01T09:00"}
            assert "does not exist" not in (await center.post("/do/draftCall", data=left)).text

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
            # Who never said that they work there is known to the others there by their office alone.
            other = await hub.log.pool.fetchval(
                f"SELECT o.organization FROM {hub.models.schema}.officer o WHERE o.person = $1", people["toktogulov"]
            )
            await hub.do(AppointOfficer(organization=other, person=people["nazarov"]), people["rahimova"])
            colleague = await as_(hub, app, people["toktogulov"])
            page = (await colleague.get(f"/do/dismissOfficer?organization={other}")).text
            assert people["nazarov"] in page and "somebody whose name you may not know" in page
            # Who works there comes first.
            works = DeclareAffiliation(
                person=people["toktogulov"], organization=osh, position="Adviser", since=date(2026, 1, 1)
            )
            await hub.do(works, people["toktogulov"])
            assert (await listed("appointOfficer"))[0][0] == people["toktogulov"]

    told(story())


def test_a_call_says_who_runs_it_to_whom_that_concerns_and_is_handed_over(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            people = await people_of(hub)
            center, other = people["rahimova"], people["osmonov"]
            call = await hub.log.pool.fetchval(f"SELECT id FROM {hub.models.schema}.call WHERE status = 'open'")
            page = await as_(hub, app, center)
            assert ">Run by<" in (await page.get(f"/calls/{call}")).text
            assert ">Run by<" not in (await (await client()).http.get(f"/calls/{call}")).text
            await hub.do(GrantRole(person=other, role=HubRole.CENTER_OFFICER))
            form = (await page.get(f"/do/appointCallOfficer?call={call}")).text
            assert other in form and f'value="{center}"' not in form
            sent = {"call": call, "officer": center}
            refused = await page.post("/do/dismissCallOfficer", data=sent)
            assert refused.status_code == 422 and "appoint somebody first" in refused.text
            await hub.do(AppointCallOfficer(call=call, officer=other), center)
            form = (await page.get(f"/do/dismissCallOfficer?call={call}")).text
            assert {*re.findall(r'value="(person_\w+)"', form)} == {center, other}
            assert (await page.post("/do/dismissCallOfficer", data=sent)).status_code == 303
            asked = "query($id: ID!) { call(id: $id) { officers { personId person { id } since } } }"
            found = (await (await client(other)).data(asked, id=call))["call"]["officers"]
            assert [each["personId"] for each in found] == [other]
            # Whoever runs it no more reads nothing more of what is submitted to it.
            submitted = "query($id: ID!) { call(id: $id) { proposals { totalCount } } }"
            assert (await (await client(center)).data(submitted, id=call))["call"]["proposals"]["totalCount"] == 0
            assert (await (await client(other)).data(submitted, id=call))["call"]["proposals"]["totalCount"] > 0

    told(story())


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


@pytest.mark.parametrize("what", ["call", "organization"])
def test_two_officers_who_change_one_text_at_once_see_what_the_other_made_of_it(region_dsn, what):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            officer = people["rahimova"]
            client = await as_(hub, app, officer)
            if what == "call":
                command, field, id = AmendCall, "title", await round_that_opens_at_a_whole_minute(hub, officer)
            else:
                new = RegisterOrganization(name="An institute", kind="laboratory", city="Osh", country="KG")
                command, field, id = AmendOrganization, "name", (await hub.do(new, people["karimova"])).record
            form = (await client.get(f"/do/{mutation_of(command)}?{what}={id}")).text
            await hub.do(command(**{what: id, "reason": "Clearer", field: "Theirs, at once"}), officer)
            mine = {**untouched(form), "reason": "Better", field: "Mine, at once"}
            conflict = await client.post(f"/do/{mutation_of(command)}", data=mine)
            assert conflict.status_code == 422 and "Theirs, at once" in conflict.text
            again = {**untouched(conflict.text), "reason": "Better", field: "Mine, at once"}
            assert (await client.post(f"/do/{mutation_of(command)}", data=again)).status_code == 303
            schema = hub.models.schema
            assert await hub.log.pool.fetchval(f"SELECT {field} FROM {schema}.{what} WHERE id = $1", id) == mine[field]

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
            assert f"Undecided proposals: {len(left)}. Decide them first." in page and 'class="form"' not in page
            assert all(f"/proposals/{each['id']}" in page for each in left)
            for each in left:
                answer = FindIneligible if each["status"] == "submitted" else DeclineProposal
                await hub.do(answer(proposal=each["id"], reason="No money"), officer)
            # Nor while authors have time for changes; once they have it no more, it is said whose they were.
            page = (await client.get(f"/do/publishResults?call={call}")).text
            assert "Proposals whose authors still have time for changes: 1." in page and 'class="form"' not in page
            sql = f"SELECT id FROM {schema}.proposal WHERE call = $1 AND status = 'returned'"
            returned = await hub.log.pool.fetchval(sql, call)
            assert f"/proposals/{returned}" in page
            # However many there are, and though none is in memory, they are looked up at once.
            hub.states.drop()
            await hub.do(PublishResults(call=call), officer)
            form = (await client.get(f"/do/archiveCall?call={call}")).text
            assert "Given back for changes, and not submitted again: 1." in form
            decided = await hub.log.pool.fetchval(f"SELECT call FROM {schema}.proposal WHERE status = 'recommended'")
            form = (await client.get(f"/do/archiveCall?call={decided}")).text
            assert "Offers of an award that wait for an answer, and stay open: 1." in form
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
            # They see first what was changed beside them.
            unseen = await client.post("/do/amendCall", data=again)
            assert unseen.status_code == 422 and "What they wrote meanwhile" in unseen.text
            again = untouched(unseen.text) | {"title": "My title", "reason": "Written by me"}
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
            assert offered(form) == ids[: forms.SHOWN] and "More fit" in form
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
            answer = await client.post(
                "/do/invitePartner", content=sent, headers={"content-type": "application/x-www-form-urlencoded"}
            )
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
            # Nor is one that nobody has verified; where somebody works may be one of those.
            new = RegisterOrganization(name="Unverified Institute of Ice", kind="laboratory", city="Osh", country="KG")
            waits = (await hub.do(new, person)).record
            asked = "!find.organization=Unverified+Institute+of+Ice&!look=organization"
            asks = ("invitePartner", f"proposal={id}", False), ("declareAffiliation", f"person={person}", True)
            for form, of, there in asks:
                page = (await client.get(f"/do/{form}?{of}&{asked}")).text
                assert (waits in page) is there, form
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


SITES = {
    "quvvat.tj": "https://quvvat.tj",
    " Https://quvvat.tj/a?b=http://c ": "https://quvvat.tj/a?b=http://c",
    "HTTP://quvvat.tj": "http://quvvat.tj",
    "quvvat.tj:8080/?u=http://x": "https://quvvat.tj:8080/?u=http://x",
    "  ": None,
}
NO_SITES = (
    *("https//quvvat.tj", "http:/quvvat.tj", "https://https//quvvat.tj", "a@b.tj", "mailto:a@b.tj", "//x"),
    *("-", "нет", "two words"),
)


def test_the_address_of_a_site_is_taken_as_people_write_it_or_refused(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            client = await as_(hub, app, (await people_of(hub))["karimova"])
            sent = {"kind": "laboratory", "city": "Хуҷанд", "country": "TJ", "!alike": "1"}
            for n, (typed, kept) in enumerate(SITES.items()):
                given = {**sent, "name": f"An institute of its own {n}", "website": typed}
                answer = await client.post("/do/registerOrganization", data=given)
                assert answer.status_code == 303, typed
                rows = await hub.log.read(types=["OrganizationRegistered"], limit=1_000)
                assert rows[-1].event.website == kept
            # A city is shown as its readers call it, in whichever script it was typed.
            assert "Khujand, Tajikistan" in (await client.get(answer.headers["location"])).text
            for typed in NO_SITES:
                given = {**sent, "name": "An institute without a site", "website": typed}
                answer = await client.post("/do/registerOrganization", data=given)
                assert answer.status_code == 422 and "An address like https://university.tj" in answer.text, typed
                assert f'value="{typed}"' in answer.text

    told(story())


@pytest.mark.parametrize(("days", "lasts"), [(-1, False), (0, True), (300, True)])
def test_who_has_a_term_works_where_they_say_until_it_ends(region_dsn, days, lasts):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            until = datetime.now(UTC).date() + timedelta(days=days)
            sql = f"SELECT id, organization FROM {hub.models.schema}.affiliation WHERE person = $1 AND until IS NULL"
            for row in await hub.log.pool.fetch(sql, person):
                end = {"affiliation": row["id"], "organization": row["organization"], "until": until}
                officer = f"SELECT person FROM {hub.models.schema}.officer WHERE organization = $1 AND person <> $2"
                by = await hub.log.pool.fetchval(officer, row["organization"], person)
                await hub.do(EndAffiliation(person=person, **end), by)
            client = await as_(hub, app, person)
            assert ("Say where you work:" in (await client.get("/")).text) is not lasts
            form = (await client.get("/do/draftProposal")).text
            assert ("Umarov Physical-Technical Institute" in form) is lasts
            people = (await client.get("/people")).text
            assert ("Umarov Physical-Technical Institute" in people) is lasts

    told(story())


def test_what_is_decided_over_something_that_stood_otherwise_is_asked_for_once_more(region_dsn):
    """Another officer was quicker: neither is surprised by what both recorded."""

    async def story():
        async with serving(region_dsn) as (hub, app, client):
            officer = (await people_of(hub))["rahimova"]
            asks, page = await client(officer), await as_(hub, app, officer)
            listed = (
                "{ proposals(first: 1, where: {inMyCalls: true, status: [SUBMITTED]}) { nodes { id call { id } } } }"
            )
            (found,) = (await asks.data(listed))["proposals"]["nodes"]
            colleague = (await people_of(hub))["osmonov"]
            await hub.do(GrantRole(person=colleague, role=HubRole.CENTER_OFFICER))
            await hub.do(AppointCallOfficer(call=found["call"]["id"], officer=colleague), officer)
            id, until = found["id"], (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M")
            form = (await page.get(f"/do/returnProposal?proposal={id}")).text
            assert 'name="!stands" value="SUBMITTED 1"' in form
            await hub.do(ConfirmEligibility(proposal=id), colleague)
            sent = {"proposal": id, "reason": "Say more of the data", "until": until, "!key": "r1", "!zone": "UTC"}
            # What else is wrong is said first, and takes nothing of it away.
            wrong = await page.post("/do/returnProposal", data={**sent, "reason": "", "!stands": "SUBMITTED 1"})
            assert wrong.status_code == 422 and 'name="!stands" value="SUBMITTED 1"' in wrong.text
            held = await page.post("/do/returnProposal", data={**sent, "!stands": "SUBMITTED 1"})
            assert held.status_code == 422 and "Say more of the data" in held.text
            assert "it went from “submitted” to “in review”" in unescape(held.text)
            assert "Бакыт Осмонов: A proposal meets the formal conditions and goes to review." in held.text
            # What somebody else has done already is done.
            same = {"proposal": id, "!stands": "SUBMITTED 1", "!key": "c1"}
            assert (await page.post("/do/confirmEligibility", data=same)).status_code == 303
            assert 'name="!stands" value="IN_REVIEW 1"' in held.text
            done = await page.post("/do/returnProposal", data={**sent, "!stands": "IN_REVIEW 1", "!key": "r2"})
            assert done.status_code == 303
            # Whoever sends it again was answered, and is again: also when somebody has done more meanwhile.
            now, moved = datetime.now(UTC), "Look at it again, it has another time now"
            await hub.do(MoveDeadline(proposal=id, until=now + timedelta(days=5), reason=moved), colleague)
            again = await page.post("/do/returnProposal", data={**sent, "!stands": "IN_REVIEW 1", "!key": "r2"})
            assert again.status_code == 303 and again.headers["location"] == done.headers["location"]
            # Whoever goes back, and sends something else, decides anew: over what they saw.
            other = {**sent, "reason": "Say more of the data now", "!stands": "IN_REVIEW 1", "!key": "r2"}
            assert (await page.post("/do/returnProposal", data=other)).status_code == 422
            # A deadline that somebody else has moved meanwhile is no longer the one that was seen.
            form = (await page.get(f"/do/moveDeadline?proposal={id}")).text
            seen = re.search('name="!stands" value="([^"]+)"', form)[1]
            await hub.do(MoveDeadline(proposal=id, until=now + timedelta(days=7), reason=moved), colleague)
            later = {**sent, "until": (now + timedelta(days=20)).strftime("%Y-%m-%dT%H:%M"), "!key": "m"}
            held = await page.post("/do/moveDeadline", data={**later, "!stands": unescape(seen)})
            assert held.status_code == 422 and "has another deadline" in unescape(held.text)
            # Nor is a version that was submitted since, under a status of the same name.
            author = await hub.log.pool.fetchval(
                f"SELECT investigator FROM {hub.models.schema}.proposal WHERE id = $1", id
            )
            await hub.do(SubmitProposal(proposal=id), author)
            held = await page.post(
                "/do/findIneligible",
                data={"proposal": id, "reason": "Only one country", "!stands": "SUBMITTED 1", "!key": "f"},
            )
            assert held.status_code == 422 and "it is another version" in unescape(held.text)
            assert 'name="!stands" value="SUBMITTED 2"' in held.text

    told(story())


def test_who_sends_more_words_after_an_answer_that_was_lost_is_told_of_nobody_else(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            author = (await people_of(hub))["karimova"]
            id, page = await draft_of(hub, author), await as_(hub, app, author)
            form = (await page.get(f"/do/reviseProposal?proposal={id}")).text
            revision = re.search('name="revision" value="([0-9]+)"', form)[1]
            sent = {"proposal": id, "revision": revision, "!key": "once", "title": "Snow and water", "abstract": "One."}
            first = await page.post("/do/reviseProposal", data=sent)
            again = await page.post("/do/reviseProposal", data={**sent, "abstract": "One. Two."})
            assert first.status_code == again.status_code == 303 and first.headers != again.headers
            third = await page.post("/do/reviseProposal", data={**sent, "abstract": "One. Two. More."})
            assert third.status_code == 303
            # Where somebody else has gone on from the first words, these are not written over.
            people = await people_of(hub)
            officer, other = people["rahimova"], people["ibragimov"]
            call = await hub.log.pool.fetchval(f"SELECT id FROM {hub.models.schema}.call WHERE status = 'published'")
            await hub.do(AppointCallOfficer(call=call, officer=other), officer)
            page = await as_(hub, app, officer)
            form = (await page.get(f"/do/amendCall?call={call}")).text
            revision = re.search('name="revision" value="([0-9]+)"', form)[1]
            sent = {"call": call, "revision": revision, "reason": "More words", "!key": "one", "title": "Quakes"}
            for title in ("Quakes", "Quakes and energy"):
                assert (await page.post("/do/amendCall", data={**sent, "title": title})).status_code == 303
            await hub.do(AmendCall(call=call, reason="Shorter", title="Energy"), other)
            met = await page.post("/do/amendCall", data={**sent, "title": "Quakes and more"})
            assert met.status_code == 422 and "Energy" in met.text and "Quakes and more" in met.text
            # Nor where what was sent first had changed nothing.
            sent |= {"revision": str(int(revision) + 3), "!key": "two", "title": "Energy"}
            assert (await page.post("/do/amendCall", data=sent)).status_code == 303
            await hub.do(AmendCall(call=call, reason="Longer", title="Energy for all"), other)
            met = await page.post("/do/amendCall", data={**sent, "title": "Quakes"})
            assert met.status_code == 422 and "Energy for all" in met.text

    told(story())


def test_one_deadline_is_told_wherever_it_stands(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            people = await people_of(hub)
            asks, officer = await client(people["rahimova"]), people["rahimova"]
            listed = """{ proposals(where: {inMyCalls: true, status: [SUBMITTED]}) {
                nodes { id investigatorId call { status closesAt } } } }"""
            every = (await asks.data(listed))["proposals"]["nodes"]
            found = next(each for each in every if each["call"]["status"] == "OPEN")
            until = datetime.now(UTC) + timedelta(days=1)
            await hub.do(ReturnProposal(proposal=found["id"], reason="Say more of it", until=until), officer)
            # Who gives it back, or moves that, sees what counts in any case.
            pages = await as_(hub, app, officer)
            assert "until the round closes" in (await pages.get(f"/do/moveDeadline?proposal={found['id']}")).text
            page = await as_(hub, app, found["investigatorId"])
            for address in (
                "/",
                f"/proposals/{found['id']}",
                f"/do/reviseProposal?proposal={found['id']}",
            ):
                shown = (await page.get(address)).text
                due = re.findall('<time datetime="([^"]+)" data-due>', shown)
                assert found["call"]["closesAt"] in due, address
                assert not [each for each in due if each.startswith(f"{until:%Y-%m-%dT%H:%M}")], address

    told(story())


@pytest.mark.parametrize("typed", ["20226-01-01T10:00", "2026-02-31T10:00", "tomorrow"])
def test_a_time_that_is_none_is_told_as_people_type_it(region_dsn, typed):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            officer = await as_(hub, app, (await people_of(hub))["rahimova"])
            sent = {"title": "Water", "summary": "Joint research on water.", "opensAt": typed, "opens_at": typed}
            form = await officer.post("/do/draftCall", data={**sent, "closes_at": "2027-03-01T10:00", "!zone": "UTC"})
            assert form.status_code == 422 and "A year has four digits" in form.text and "+00:00" not in form.text
            assert typed in form.text and "RFC" not in form.text and "T09:00:00Z" not in form.text

    told(story())


def test_a_role_that_is_taken_back_is_one_that_somebody_has(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            officer = await as_(hub, app, people["rahimova"])

            async def offered(who):
                form = (await officer.get(f"/do/revokeRole?person={people[who]}")).text
                return re.findall('name="role" value="([a-z_]+)"', form), re.findall('value="([A-Z]{2})"', form)

            assert await offered("osmonov") == (["auditor"], [])
            assert await offered("toktogulov") == (["national_authority"], ["KG"])
            sent = {"person": people["toktogulov"], "role": "national_authority", "country": "KG"}
            assert (await officer.post("/do/revokeRole", data=sent)).status_code == 303
            assert (await officer.get(f"/do/revokeRole?person={people['toktogulov']}")).status_code == 403

    told(story())


def test_who_confirms_for_two_organizations_confirms_what_they_have_read_each_time(region_dsn):
    """Going back to the form that was sent for the first one is another command, and no reading of another text."""

    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            author, officer = people["karimova"], people["toktogulov"]
            id, schema = await draft_of(hub, author), hub.models.schema
            sql = f"SELECT o.organization FROM {schema}.officer o WHERE o.person = $1 AND NOT EXISTS (SELECT FROM"
            sql += f" {schema}.partner p WHERE p.proposal = $2 AND p.organization = o.organization) ORDER BY 1"
            one, two = [row[0] for row in await hub.log.pool.fetch(sql, officer, id)][:2]
            for each in (one, two):
                await hub.do(InvitePartner(proposal=id, organization=each, contribution="Field data"), author)
            page = await as_(hub, app, officer)
            form = (await page.get(f"/do/confirmPartner?proposal={id}&organization={one}")).text
            revision = re.search('name="revision" value="([0-9]+)"', form)[1]
            sent = {"proposal": id, "revision": revision, "!key": "k"}

            async def confirmed(organization):
                sql = f"SELECT status FROM {schema}.partner WHERE proposal = $1 AND organization = $2"
                return await hub.log.pool.fetchval(sql, id, organization) == "confirmed"

            assert (await page.post("/do/confirmPartner", data={**sent, "organization": one})).status_code == 303
            await hub.do(ReviseProposal(proposal=id, abstract="Another text"), author)
            unread = await page.post("/do/confirmPartner", data={**sent, "organization": two})
            assert unread.status_code == 422 and not await confirmed(two)
            sent["revision"] = str(int(revision) + 1)
            assert (await page.post("/do/confirmPartner", data={**sent, "organization": two})).status_code == 303
            assert await confirmed(one) and await confirmed(two)

    told(story())
