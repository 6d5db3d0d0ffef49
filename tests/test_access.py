"""What lets somebody in: for how long, whom, and where; and what of it is of no use to anybody else."""

import asyncio

import asyncpg
import pytest

from domain.calls.officers import AppointCallOfficer
from domain.core import HubRole
from domain.erasure import ErasePerson
from domain.people.commands import GrantRole, InvitePerson, JoinHub, RevokeRole
from hub.access import end_all
from hub.confirming import Unknown
from hub.credentials import FIRST, FIRST_LIVES, by_account, by_passkey
from hub.door import Hub
from hub.erasing import Erasures
from hub.identity import by_link, by_session
from hub.keeping import keep
from hub.writer import Busy
from tests.test_log import told
from tests.web import Client, as_, people_of, redeemed, serving


async def ended(hub, table, kind):
    """As if its time had passed: the hub itself may not change it."""
    db = await asyncpg.connect(hub.log.dsn)
    await db.execute(f"UPDATE hub.{table} SET ends_at = now() - interval '1 second' WHERE kind = $1", kind)
    await db.close()


def test_what_has_ended_is_deleted_by_the_hub_that_serves(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, _):
            await hub.identity.session((await people_of(hub))["karimova"])
            await ended(hub, "access", "session")
            keeping = asyncio.create_task(keep(hub))
            async with asyncio.timeout(10):
                while await hub.log.pool.fetchval("SELECT count(*) FROM hub.access WHERE kind = 'session'"):
                    await asyncio.sleep(0.05)
            keeping.cancel()

    told(story())


def test_neither_a_token_nor_a_session_is_a_link(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            for each in (await hub.identity.token(person, ["read"], "t", 1), await hub.identity.session(person)):
                assert (await Client(app).http.post(f"/sign-in/{each}")).status_code == 410

    told(story())


def test_a_link_lets_one_in_however_many_come_with_it_at_once(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            link = await hub.identity.link((await people_of(hub))["karimova"])
            answers = await asyncio.gather(*(Client(app).http.post(f"/sign-in/{link}") for _ in range(4)))
            assert sorted(each.status_code for each in answers) == [303, 410, 410, 410]

    told(story())


def test_who_is_shut_out_while_they_are_let_in_is_let_in_by_nothing(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            zarina = (await people_of(hub))["karimova"]
            link, own = await hub.identity.link(zarina), hub.identity.session

            async def session(*given, **named):
                await end_all(hub, zarina)
                return await own(*given, **named)

            monkeypatch.setattr(hub.identity, "session", session)
            answer = await (await client()).http.post(f"/sign-in/{link}")
            assert answer.status_code == 410 and not answer.cookies and not await hub.identity.held(zarina)
            # Nor by a passkey, or an account at an institution, that is not theirs any more.
            await hub.credentials.add("key", zarina, b"", 0, "Phone")
            held = await hub.credentials.passkey("key")
            await hub.credentials.bind("https://uni.example", "1", zarina)
            ways = by_passkey(held), by_account("https://uni.example", "1", zarina)
            assert all([await own(zarina, by=way) for way in ways])
            for way in ways:
                assert await session(zarina, by=way) is None
            assert await hub.identity.token(zarina, ["read"], "late", 1, by=by_session("access_gone")) is None
            # Whichever of the two is first.
            for _ in range(20):
                link = await hub.identity.link(zarina)
                await asyncio.gather(own(zarina, by=by_link(link)), hub.identity.revoke_all(zarina))
                assert not await hub.identity.held(zarina)

    told(story())


@pytest.mark.parametrize("kind", ["session", "token"])
def test_what_has_ended_lets_nobody_in_and_is_deleted(region_dsn, kind):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            secret = await (hub.identity.session(person) if kind == "session" else _token(hub, person))
            client = Client(app, secret).http
            assert (await app.endpoint.viewers.find(secret)).person == person
            query = {"query": "{ me { id } }"}
            assert (await client.post("/graphql", json=query)).json()["data"]["me"]["id"] == person
            await ended(hub, "access", kind)
            # However it is asked, and though it was right a moment ago.
            assert (await app.endpoint.viewers.find(secret)).person is None
            assert (await client.post("/graphql", json=query)).status_code == 401
            assert await hub.identity.held(person) == []
            await hub.identity.tidy()
            assert not await hub.log.pool.fetchval("SELECT count(*) FROM hub.access WHERE kind = $1", kind)

    told(story())


async def _token(hub, person):
    return await hub.identity.token(person, ["everything"], "t", 1)


def test_a_link_is_no_token_and_ends_by_itself(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            link = await hub.identity.link(person)
            assert (await app.endpoint.viewers.find(link)).person is None
            answer = await Client(app, link).http.post("/graphql", json={"query": "{ me { id } }"})
            assert answer.status_code == 401
            await ended(hub, "access", "link")
            assert (await Client(app).http.post(f"/sign-in/{link}")).status_code == 410
            assert await redeemed(hub, link) is None
            # Nor does it make somebody join who was invited long ago.
            officer = (await people_of(hub))["rahimova"]
            new = (await hub.do(InvitePerson(name="Somebody New", email="new@example.org"), officer)).record
            link = await hub.identity.link(new)
            await ended(hub, "access", "link")
            assert (await Client(app).http.post(f"/sign-in/{link}")).status_code == 410
            assert await hub.log.read(tag=new, types=["PersonJoined"]) == []

    told(story())


def test_a_ceremony_ends_by_itself_and_is_no_other_one(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, _):
            secret = await hub.credentials.begin("passkey", {"challenge": "x"}, FIRST_LIVES)
            assert not await hub.credentials.begun("institution", secret)
            assert await hub.credentials.end("institution", secret) is None
            assert await hub.credentials.begun("passkey", secret)
            await ended(hub, "ceremony", "passkey")
            assert not await hub.credentials.begun("passkey", secret)
            assert await hub.credentials.end("passkey", secret) is None

    told(story())


def test_nobody_forgets_the_passkey_of_another(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            await hub.credentials.add("passkey-1", people["karimova"], b"key", 0, "phone")
            await (await as_(hub, app, people["osmonov"])).post("/passkeys/forget", data={"remove": "passkey-1"})
            assert len(await hub.credentials.passkeys(people["karimova"])) == 1
            await (await as_(hub, app, people["karimova"])).post("/passkeys/forget", data={"remove": "passkey-1"})
            assert await hub.credentials.passkeys(people["karimova"]) == []

    told(story())


def test_who_ends_their_other_sessions_keeps_their_tokens(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            token, here = await _token(hub, person), await as_(hub, app, person)
            await here.post("/sessions", data={"end": "others"})
            assert (await app.endpoint.viewers.find(token)).person == person

    told(story())


def test_an_erasure_that_was_left_half_done_is_finished_by_the_hub_that_serves(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (hub, _, _):
            person = (await people_of(hub))["karimova"]

            async def nothing(*_):
                raise OSError("the hub died here")

            with monkeypatch.context() as patched:
                patched.setattr(Erasures, "_destroy", nothing)
                with pytest.raises(OSError, match="died"):
                    await hub.do(ErasePerson(person=person), person)
            held = "SELECT count(*) FROM hub.box WHERE person = $1"
            assert await hub.log.pool.fetchval(held, person)
            keeping = asyncio.create_task(keep(hub))
            async with asyncio.timeout(10):
                while await hub.log.pool.fetchval(held, person):
                    await asyncio.sleep(0.05)
            keeping.cancel()

    told(story())


@pytest.mark.parametrize("why", [Busy(), Unknown("away")])
def test_a_link_is_not_used_up_by_a_hub_that_is_too_busy(region_dsn, monkeypatch, why):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            officer = (await people_of(hub))["rahimova"]
            new = (await hub.do(InvitePerson(name="Somebody New", email="new@example.org"), officer)).record
            link, http = await hub.identity.link(new), Client(app).http

            async def busy(*_, **__):
                raise why

            with monkeypatch.context() as patched:
                patched.setattr(Hub, "do", busy)
                answer = await http.post(f"/sign-in/{link}")
                assert answer.status_code == 503 and answer.headers["retry-after"]
            assert (await http.post(f"/sign-in/{link}")).status_code == 303

    told(story())


@pytest.mark.parametrize("late", [GrantRole, JoinHub, InvitePerson])
def test_the_first_link_is_not_used_up_by_a_hub_that_is_too_busy(dsn, monkeypatch, late):
    async def story():
        async with serving(dsn) as (hub, app, _):
            secret, http = await hub.credentials.begin(FIRST, {}, FIRST_LIVES), Client(app).http
            sent, do = {"name": "First Person", "email": "first@example.org"}, Hub.do

            async def busy(self, command, *given, **more):
                if isinstance(command, late):
                    raise Busy
                return await do(self, command, *given, **more)

            with monkeypatch.context() as patched:
                patched.setattr(Hub, "do", busy)
                assert (await http.post(f"/sign-in/first/{secret}", data=sent)).status_code == 503
            # Of several who hold it, one begins the hub.
            others = {"name": "Second Person", "email": "second@example.org"}
            answers = await asyncio.gather(
                *(http.post(f"/sign-in/first/{secret}", data=each) for each in (sent, others, sent))
            )
            assert sorted(each.status_code for each in answers) == [303, 410, 410]
            assert len(await hub.log.read(types=["RoleGranted"])) == 1

    told(story())


def test_an_auditor_reads_what_happened_and_not_who_the_people_are(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            await hub.do(GrantRole(person=people["mammedova"], role=HubRole.AUDITOR), people["rahimova"])
            query = '{ activity(first: 100, where: {type: ["ProposalDrafted"]}) { nodes { actorName record { id } } } }'
            auditor = (await (await client(people["mammedova"], ("read",))).data(query))["activity"]["nodes"]
            own = (await (await client(people["mammedova"], ("draftProposal",))).data(query))["activity"]["nodes"]
            known = {each["record"]["id"] for each in own if each["record"]}
            assert len(auditor) > len(own)
            assert all(each["actorName"] is None for each in auditor if not each["record"]) and any(
                each["actorName"] is None for each in auditor
            )
            assert known < {each["record"]["id"] for each in auditor if each["record"]} or len(auditor) > len(known)

    told(story())


def test_who_has_left_the_center_reads_nothing_of_a_call_that_they_ran(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            officer, other = people["rahimova"], people["osmonov"]
            call = await hub.log.pool.fetchval(
                f"SELECT call FROM {hub.models.schema}.proposal WHERE status = 'submitted' LIMIT 1"
            )
            await hub.do(GrantRole(person=other, role=HubRole.CENTER_OFFICER), officer)
            await hub.do(AppointCallOfficer(call=call, officer=other), officer)
            query = "query($c: ID!) { proposals(where: {call: $c, status: [SUBMITTED]}) { totalCount nodes { id } } }"
            mine = (await (await client(other)).data(query, c=call))["proposals"]
            assert mine["totalCount"] > 0
            await hub.do(RevokeRole(person=other, role=HubRole.CENTER_OFFICER), officer)
            assert (await (await client(other)).data(query, c=call))["proposals"]["totalCount"] < mine["totalCount"]
            may = await hub.actions(other, mine["nodes"][0]["id"])
            assert [each for each in may if each.command.__name__ == "ConfirmEligibility"] == []

    told(story())
