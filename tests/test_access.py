"""What lets somebody in: for how long, whom, and where; and what of it is of no use to anybody else."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from starlette.requests import ClientDisconnect, Request

from domain.calls.officers import AppointCallOfficer
from domain.core import HubRole, Refusal
from domain.erasure import ErasePerson
from domain.organizations.commands import RegisterOrganization, VerifyOrganization
from domain.people.access import EndAccess
from domain.people.commands import GrantRole, InvitePerson, JoinHub, RevokeRole
from domain.proposals.commands import DraftProposal
from hub.access import end_all, give_link, give_token
from hub.confirming import Unknown
from hub.credentials import FIRST, FIRST_LIVES, by_account, by_passkey
from hub.door import Hub
from hub.erasing import Erasures
from hub.identity import KEPT, by_link, by_session, unless_ended
from hub.keeping import keep
from hub.waiting import Busy
from tests.test_log import region, told
from tests.web import Client, as_, people_of, redeemed, serving
from web import passkeys
from web.app import Whole
from web.asking import posted
from web.sessions import ShutOut


async def ended(hub, table, kind, ago=timedelta(seconds=1)):
    """As if its time had passed: the hub itself may not change it."""
    db = await asyncpg.connect(hub.log.dsn)
    await db.execute(f"UPDATE hub.{table} SET ends_at = now() - $2::interval WHERE kind = $1", kind, ago)
    await db.close()


def test_what_has_ended_is_deleted_by_the_hub_that_serves(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, _):
            await hub.identity.session((await people_of(hub))["karimova"])
            await ended(hub, "access", "session", KEPT + timedelta(minutes=1))
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


def test_a_link_ends_those_beside_it_and_one_whose_time_has_passed_lets_nobody_in(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, _):
            person = (await people_of(hub))["karimova"]
            shown, used = [await hub.identity.link(person, ends=False) for _ in range(2)]
            assert await hub.identity.session(person, by=by_link(used))
            assert await hub.identity.linked(shown) is None
            late = await hub.identity.link(person)
            await ended(hub, "access", "link")
            assert await hub.identity.session(person, by=by_link(late)) is None

    told(story())


def test_a_token_that_is_revoked_while_it_acts_carries_out_no_more(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            zarina = (await people_of(hub))["karimova"]
            asks, own, done = await client(zarina), hub.do, []

            async def do(command, *given, **named):
                done.append(await own(command, *given, **named))
                if len(done) == 2:
                    (here,) = await hub.identity.held(zarina)
                    assert await hub.identity.revoke(zarina, here.id)
                return done[-1]

            monkeypatch.setattr(hub, "do", do)
            each = 'c%d: chooseNotices(input: {person: "%s", mailed: %s, language: TG}) { receipt { position } }'
            choices = " ".join(each % (n, zarina, "true" if n % 2 else "false") for n in range(4))
            answer = (await asks.answer(f"mutation {{ {choices} }}")).json()
            (error,) = answer["errors"]
            assert error["extensions"]["code"] == "UNAUTHENTICATED" and error["path"] == ["c2"]
            assert [*error["extensions"]["recorded"]] == ["c0", "c1"] and len(done) == 2

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
            (here,) = [await own(zarina)] and await hub.identity.held(zarina)
            await hub.credentials.add("key", zarina, b"", 0, "Phone", by_session(here.id))
            held = await hub.credentials.passkey("key")
            await hub.credentials.bind("https://uni.example", "1", zarina, unless_ended(zarina, await hub.log.head()))
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


def test_what_is_sent_in_pieces_is_one_and_what_no_form_holds_is_not_waited_for():
    async def story():
        came = []

        async def app(scope, receive, send):
            came.append(await receive())

        async def send(message):
            pass

        async def sent(*pieces):
            left = [{"type": "http.request", "body": each, "more_body": True} for each in pieces]
            left.append({"type": "http.request", "body": b"", "more_body": False})

            async def receive():
                return left.pop(0)

            await Whole(app)({"type": "http", "method": "POST", "path": "/do/x"}, receive, send)
            return len(left)

        assert await sent(*[b"x"] * 5_000) == 0
        assert came.pop() == {"type": "http.request", "body": b"x" * 5_000, "more_body": False}
        assert await sent(*[b"x" * 400_000] * 9) == 7
        assert len(came[0]["body"]) == 1_200_000 and came.pop()["more_body"]

        async def gone():
            return {"type": "http.disconnect"}

        with pytest.raises(ClientDisconnect):
            await Whole(_posted)({"type": "http", "method": "POST", "path": "/do/x", "headers": []}, gone, send)

    told(story())


async def _posted(scope, receive, send):
    await posted(Request(scope, receive))


FORM = {"content-type": "application/x-www-form-urlencoded"}


async def slowly(hub, who, first, last, *then):
    """A form of which the second half comes after whoever sends it was shut out, and the owner let in again."""
    yield first
    await end_all(hub, who)
    for each in then:
        await each(who)
    yield last


def test_who_is_shut_out_while_they_send_a_form_does_nothing_by_it(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            people = await people_of(hub)
            officer, friend = people["rahimova"], people["karimova"]
            new = (await hub.do(InvitePerson(name="Somebody New", email="new@example.org"), officer)).record

            async def send(path, first, last, *then):
                http = await as_(hub, app, officer)
                answer = await http.post(path, headers=FORM, content=slowly(hub, officer, first, last, *then))
                assert (await hub.log.read(await hub.log.head() - 1))[0].type == "AccessEnded"
                return answer

            # Also where they are shut out at the last moment.
            own = hub.identity.token

            async def token(*given):
                await end_all(hub, friend)
                return await own(*given)

            monkeypatch.setattr(hub.identity, "token", token)
            http = await as_(hub, app, friend)
            await http.post("/tokens", data={"label": "t", "days": "9", "scope": "everything"})
            assert await hub.identity.held(friend) == []
            fields = b"&role=center_officer&country="
            assert (await send("/do/grantRole", b"person=" + friend.encode(), fields)).status_code == 401
            assert "hub_link_" not in (await send(f"/people/{new}/link", b"a=", b"b")).text
            await send("/sessions", b"end=", b"others", hub.identity.session)
            assert [each.kind for each in await hub.identity.held(officer)] == ["session"]

    told(story())


@pytest.mark.parametrize("shut", ["out", "erased"])
def test_who_is_shut_out_while_they_make_a_passkey_keeps_none(region_dsn, monkeypatch, shut):
    class Made:
        credential_id, credential_public_key, sign_count = b"k" * 16, b"p", 0

    monkeypatch.setattr(passkeys.webauthn, "verify_registration_response", lambda **_: Made)

    async def story():
        async with serving(region_dsn) as (hub, app, _):
            zarina = (await people_of(hub))["karimova"]
            own = hub.credentials.add

            async def add(*given):
                await (end_all(hub, zarina) if shut == "out" else hub.do(ErasePerson(person=zarina)))
                return await own(*given)

            for late in (False, True):
                http = await as_(hub, app, zarina)
                assert (await http.post("/passkeys/begin")).status_code == 200
                if late:
                    monkeypatch.setattr(hub.credentials, "add", add)
                answer = await http.post("/passkeys", json={"credential": {}})
                assert answer.status_code == (409 if late else 200)
                assert len(await hub.credentials.passkeys(zarina)) == (not late)

    told(story())


@pytest.mark.parametrize("shut", ["out", "erased"])
def test_an_account_at_an_institution_is_bound_to_nobody_who_was_shut_out_meanwhile(region_dsn, shut):
    async def story():
        async with serving(region_dsn) as (hub, _, __):
            zarina = (await people_of(hub))["karimova"]
            head = await hub.log.head()
            await (end_all(hub, zarina) if shut == "out" else hub.do(ErasePerson(person=zarina)))
            # As of the moment at which the institution vouched for them.
            assert not await hub.credentials.bind("https://uni.example", "1", zarina, unless_ended(zarina, head))
            assert await hub.credentials.known_to("https://uni.example", "1") is None

    told(story())


@pytest.mark.parametrize("way", ["link", "token"])
def test_what_is_made_for_somebody_while_they_are_shut_out_lets_nobody_in(region_dsn, monkeypatch, way):
    async def story():
        async with serving(region_dsn) as (hub, _, __):
            zarina = (await people_of(hub))["karimova"]

            async def give():
                await (give_link(hub, zarina) if way == "link" else give_token(hub, zarina, ["read"], "t", 90))

            await give()
            assert len(await hub.identity.held(zarina)) == 1
            do, own = hub.do, getattr(hub.identity, way)

            async def recorded(command, *given, **named):
                # The last moment before that they are shut out is recorded.
                if isinstance(command, EndAccess):
                    monkeypatch.setattr(hub, "do", do)
                    await give()
                    assert len(await hub.identity.held(zarina)) == 1
                return await do(command, *given, **named)

            async def made(*given, **named):
                await end_all(hub, zarina)
                return await own(*given, **named)

            monkeypatch.setattr(hub, "do", recorded)
            await end_all(hub, zarina)
            assert await hub.identity.held(zarina) == []
            monkeypatch.setattr(hub.identity, way, made)
            with pytest.raises(Refusal, match="begin again"):
                await give()
            assert await hub.identity.held(zarina) == []

    told(story())


def test_a_file_breaks_off_where_its_reader_is_shut_out(dsn):
    async def story():
        async with serving(dsn) as (hub, app, _):
            _, author, lead, call = await region(hub)
            drafts = (DraftProposal(call=call, lead=lead, title=f"Secret {n}") for n in range(250))
            await asyncio.gather(*(hub.do(each, author) for each in drafts))
            http, read = await as_(hub, app, author), []
            whole = (await http.get("/proposals.json")).json()
            assert len(whole) == 250

            async def send(message):
                read.append(message.get("body", b"").count(b'"Secret '))
                if read[-1] and sum(read) == read[-1]:
                    await end_all(hub, author)

            cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
            headers = [(b"host", b"hub.example"), (b"cookie", cookie.encode())]
            asked = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "root_path": ""}
            asked |= {"path": "/proposals.json", "query_string": b"", "headers": headers, "client": ("1.2.3.4", 5)}
            with pytest.raises(ShutOut):
                await app(asked, asyncio.Event().wait, send)
            assert 0 < sum(read) <= 100

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
            # By a clock that is ahead for a moment, nothing is lost for good.
            count = "SELECT count(*) FROM hub.access WHERE kind = $1"
            await hub.identity.tidy()
            assert await hub.log.pool.fetchval(count, kind) == 1
            await ended(hub, "access", kind, KEPT)
            await hub.identity.tidy()
            assert not await hub.log.pool.fetchval(count, kind)

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
            await hub.identity.session(people["karimova"])
            (here,) = await hub.identity.held(people["karimova"])
            await hub.credentials.add("passkey-1", people["karimova"], b"key", 0, "phone", by_session(here.id))
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
            await hub.do(GrantRole(person=people["mammedova"], role=HubRole.AUDITOR))
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
            await hub.do(GrantRole(person=other, role=HubRole.CENTER_OFFICER))
            await hub.do(AppointCallOfficer(call=call, officer=other), officer)
            query = "query($c: ID!) { proposals(where: {call: $c, status: [SUBMITTED]}) { totalCount nodes { id } } }"
            mine = (await (await client(other)).data(query, c=call))["proposals"]
            assert mine["totalCount"] > 0
            await hub.do(RevokeRole(person=other, role=HubRole.CENTER_OFFICER), officer)
            assert (await (await client(other)).data(query, c=call))["proposals"]["totalCount"] < mine["totalCount"]
            may = await hub.actions(other, mine["nodes"][0]["id"])
            assert [each for each in may if each.command.__name__ == "ConfirmEligibility"] == []

    told(story())


def test_the_center_knows_who_did_what_and_everybody_what_they_did_themselves(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            register = RegisterOrganization(name="Museum of Water", kind="other", city="Khujand", country="TJ")
            museum = (await hub.do(register, people["karimova"])).record
            await hub.do(VerifyOrganization(organization=museum), people["rahimova"])
            query = "query($id: ID!) { organization(id: $id) { history { nodes { actorName } } } }"

            async def names(who):
                found = await (await client(who)).data(query, id=museum)
                return [each["actorName"] for each in found["organization"]["history"]["nodes"]]

            assert await names(people["ibragimov"]) == ["Нилуфар Раҳимова", "Зарина Каримова"]
            assert await names(people["karimova"]) == [None, "Зарина Каримова"]
            assert await names(people["nazarov"]) == await names(None) == [None, None]

    told(story())
