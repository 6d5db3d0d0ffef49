"""Answers that are kept: as new as what they show, and known again by their tags."""

import os

from domain.people.commands import CorrectName
from domain.proposals.commands import DraftProposal, ReviseProposal
from domain.proposals.decisions import WithdrawProposal
from tests.test_log import told
from tests.web import draft_of, people_of, serving
from web.reads.late import LOADERS


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
            query = "query($id: ID!) { hub { head readModelsPosition } proposal(id: $id) { title } }"
            found = await author.data(query, id=id)
            assert found["hub"]["head"] == found["hub"]["readModelsPosition"] == meanwhile[0] - 1

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


LEADS = {
    "proposal": ("lead { leads { totalCount nodes { id partners { status } } } participations { proposal { id } } }",
                 "partners { organization { id leads { nodes { id } } } }", "call { proposals { nodes { id } } }"),
    "person": ("affiliations { organization { affiliations { nodes { person { id } } } } }",
               "runs { call { officers { person { id } } } }"),
    "organization": ("leads { nodes { lead { id } partners { organization { id } } } }", "officers { person { id } }"),
}  # fmt: skip


def test_what_a_record_that_stood_leads_to_is_as_it_is_now(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people, head = await people_of(hub), await hub.log.head()
            officer, author = await client(people["rahimova"]), await client(people["karimova"])
            listed = await officer.data("{ organizations(first: 100) { nodes { id } } }")
            ids = {
                "proposal": [await draft_of(hub, people["karimova"])],
                "person": [*people.values()],
                "organization": [each["id"] for each in listed["organizations"]["nodes"]],
            }
            for kind, selections in LEADS.items():
                asks = author if kind == "proposal" else officer
                for what in selections:
                    query = f"query($id: ID!) {{ {kind}(id: $id) {{ {what} asOf(position: {head}) {{ {what} }} }} }}"
                    for id in ids[kind]:
                        now = (await asks.data(query, id=id))[kind]
                        assert now.pop("asOf") == now, what

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
