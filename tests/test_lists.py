"""Lists: what a filter takes, where a cursor leads, and what is said where nothing could be found."""

import base64
import hashlib
import json

import pytest

from tests.test_log import told
from tests.web import as_, draft_of, people_of, serving


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


def test_what_an_address_asks_for_and_a_page_does_not_know_is_said(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            reader = await as_(hub, app, (await people_of(hub))["karimova"])
            said = 'class="notice warn" role="status">This page has no {}: it shows everything else'
            page = (await reader.get("/proposals?status=NONSENSE&status=AWARDED&mine=yes")).text
            assert said.format("status=NONSENSE") in page and said.format("mine=yes") in page
            assert said.format("status=AWARDED") not in page
            page = (await reader.get("/organizations?kind=%3Cb%3E&country=")).text
            assert said.format("kind=&lt;b&gt;") in page and "country=:" not in page
            page = await reader.get(f"/proposals/{await draft_of(hub, (await people_of(hub))['karimova'])}?position=x")
            assert said.format("position=x") in page.text
            assert (await reader.get("/calls.csv?text=&text=ai")).status_code == 200
            for known in (
                "/proposals?status=&status=AWARDED&mine=true&orderBy=&utm_source=mail",
                "/?welcome=1",
                "/calls?text=x",
            ):
                assert "This page has no" not in (await reader.get(known)).text

    told(story())
