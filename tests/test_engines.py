"""The same code on other PostgreSQL servers, and the hub as it stood at an earlier position."""

import asyncio
import os
import re
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import httpx2
import pytest
from msgspec.structs import replace

from domain.core import HubRole
from domain.organizations.commands import RegisterOrganization
from domain.people.commands import GrantRole, RevokeRole
from hub import confirming
from hub.cli import doctor
from hub.confirming import Unknown
from hub.connecting import UNHEARD, connect
from hub.door import Hub
from hub.log import Log, is_there
from hub.models import verify
from hub.postgres import Embedded
from hub.region import tell
from tests.test_log import person, told
from tests.web import Client, opened, people_of, redeemed, serving
from tests.web import apart as command
from tests.web import hub as here
from web.app import Settings, application
from web.pages import SITE

SYSTEM = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


@pytest.fixture(scope="module")
def system_dsn():
    """A database on the PostgreSQL that the machine has."""
    if not SYSTEM:
        pytest.skip("no PostgreSQL of the system here: on Debian, install the package postgresql")
    home = Path(tempfile.mkdtemp(prefix="hub-system-"))
    home.chmod(0o711)
    before = os.environ.get("HUB_POSTGRES_BIN")
    os.environ["HUB_POSTGRES_BIN"] = str(SYSTEM[-1].parent)
    server = Embedded(home)
    try:
        assert server.own()
        server.start()
        yield server.dsn
    finally:
        server.stop()
        os.environ.pop("HUB_POSTGRES_BIN")
        if before:
            os.environ["HUB_POSTGRES_BIN"] = before
        shutil.rmtree(home, ignore_errors=True)


def test_a_backup_of_the_embedded_server_is_brought_back_into_the_systems_and_its_own_too(system_dsn, dsn, tmp_path):
    async def begin():
        hub = await Hub.open(dsn)
        assert await tell(hub) > 200
        await hub.close()

    told(begin())
    there = system_dsn.replace("/hub?", "/moved?")
    again = there.replace("/moved?", "/again?")
    ours = {"HUB_POSTGRES_BIN": ""}
    assert command(dsn, "backup", tmp_path / "one", **ours)[0] == 0
    for folder, place in (("one", there), ("two", again)):
        code, _, said = command(place, "restore", tmp_path / folder, **ours)
        assert code == 0, said
        assert command(place, "verify", **ours)[0] == 0
        assert "Зарина Каримова" in command(place, "people", "карим", **ours)[1]
        if folder == "one":
            assert command(place, "backup", tmp_path / "two", **ours)[0] == 0


FOUND = "query($text: String!) { search(text: $text) { nodes { title } } }"


def test_the_region_is_told_found_and_verified_on_the_systems_postgresql(system_dsn):
    async def story():
        hub = await Hub.open(system_dsn)
        assert await tell(hub) > 200
        assert (await verify(hub.log, hub.models))[1] is None
        await hub.rebuild()
        await hub.close()
        async with serving(system_dsn) as (_, _, client):
            anybody = await client()
            for text, title in (
                ("Сирдарё", None),
                ("Амударё", "Amudaryo havzasi uchun suv oqimi prognozi"),
                ("умаров", "S. U. Umarov Physical-Technical Institute"),
                ("glacia", "Forecasting glacial lake outburst floods in the Pamir and Tien Shan"),
                ("glaicers", "Mass balance of Central Asian glaciers from open satellite data"),
                ("Nazarbayev", "Nazarbayev University"),
            ):
                titles = {each["title"] for each in (await anybody.data(FOUND, text=text))["search"]["nodes"]}
                assert title in titles if title else not titles, (text, titles)

    told(story())


def test_a_right_that_was_given_later_opens_nothing_of_the_past(region_dsn):
    async def begin():
        async with serving(region_dsn) as (hub, _, _):
            people = await people_of(hub)
            before = await hub.log.head()
            await hub.do(GrantRole(person=people["mammedova"], role=HubRole.AUDITOR))
            return await hub.identity.token(people["mammedova"], ["read"], "t", 1), before

    token, before = told(begin())
    query = {"query": '{ activity(where: {type: ["ProposalDrafted"]}) { nodes { position } } }'}

    def seen(url):
        answer = httpx2.post(f"{url}/graphql", json=query, headers={"authorization": f"Bearer {token}"})
        return len(answer.json()["data"]["activity"]["nodes"])

    with opened(region_dsn) as url:
        assert seen(url) == 20
    with opened(region_dsn, str(before), command="at") as url:
        assert seen(url) < 20


def test_a_right_that_was_taken_back_opens_nothing_of_the_past(region_dsn):
    async def begin():
        async with serving(region_dsn) as (hub, _, _):
            people = await people_of(hub)
            auditor, officer = people["mammedova"], people["rahimova"]
            grant = await hub.do(GrantRole(person=auditor, role=HubRole.AUDITOR))
            token = await hub.identity.token(auditor, ["read"], "t", 1)
            return auditor, officer, token, grant.position

    auditor, officer, token, position = told(begin())
    query = {"query": '{ activity(where: {type: ["ProposalDrafted"]}) { nodes { position } } }'}

    def seen(url):
        answer = httpx2.post(f"{url}/graphql", json=query, headers={"authorization": f"Bearer {token}"})
        return len(answer.json()["data"]["activity"]["nodes"])

    with opened(region_dsn, str(position), command="at") as url:
        assert seen(url) == 20

        async def revoke():
            hub = await Hub.open(region_dsn)
            await hub.do(RevokeRole(person=auditor, role=HubRole.AUDITOR), officer)
            await hub.close()

        told(revoke())
        assert seen(url) < 20


def test_the_hub_as_it_stood_says_so_on_every_page_and_changes_nothing(region_dsn):
    async def look():
        async with serving(region_dsn) as (hub, _, client):
            anybody = await client()
            query = "{ proposals(first: 100) { totalCount } hub { head } calls { nodes { id status } } }"
            return await hub.log.head(), await anybody.data(query)

    head, now = told(look())
    assert now["proposals"]["totalCount"] > 0
    with opened(region_dsn, "100", command="at") as url, httpx2.Client(base_url=url) as http:
        query = (
            "{ proposals(first: 100) { totalCount } hub { head readOnly } organizations(first: 1) { nodes { id } } }"
        )
        then = http.post("/graphql", json={"query": query}).json()["data"]
        assert (then["hub"], then["proposals"]["totalCount"]) == ({"head": 100, "readOnly": True}, 0)
        organization = then["organizations"]["nodes"][0]["id"]
        addresses = [page.path for page in SITE if "{" not in page.path] + [f"/organizations/{organization}"]
        for address in addresses:
            answer = http.get(address, params={"text": "x"})
            assert answer.status_code == 200 and "as it stood at position 100" in answer.text, address
            assert not re.search('href="/(do|sign-in)', answer.text)
        assert http.get("/do/draftProposal").status_code == 404
        assert http.get("/sign-in").status_code == 404
        mutation = 'mutation { joinHub(input: {person: "x"}) { receipt { position } } }'
        refused = http.post("/graphql", json={"query": mutation}).json()["errors"][0]
        assert refused["extensions"]["code"] in ("READ_ONLY", "UNAUTHENTICATED")

    async def after():
        hub = await Hub.open(region_dsn)
        schemas = await hub.log.pool.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'read_%_at_%'")
        assert await hub.log.head() == head and schemas == []
        await hub.close()

    told(after())


def test_a_commit_that_waits_for_a_standby_that_is_away_is_unknown_and_holds_up_nobody_who_looks(dsn, monkeypatch):
    monkeypatch.setattr(confirming, "CONFIRMED", 1.0)

    async def story():
        hub = await Hub.open(dsn)
        db = await asyncpg.connect(dsn)
        links = [await hub.identity.link(f"person_{n}") for n in range(12)]
        browser = await hub.identity.session("person_0")
        begun = await hub.credentials.begin("sign-in", {"challenge": "x"})
        register = RegisterOrganization(name="Once", kind="university", city="Osh", country="KG")

        async def waits_for(standby):
            await db.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
            await db.execute("SELECT pg_reload_conf()")

        try:
            before = await hub.log.head()
            await waits_for("nobody")
            # The server heeds it in its own time.
            for n in range(50):
                try:
                    await hub.do(replace(register, name=f"Number {n}"), by="story")
                    await asyncio.sleep(0.1)
                except Unknown as unknown:
                    assert "has not confirmed it" in str(unknown)
                    break
            else:
                raise AssertionError("no commit waits")
            for _ in range(2):
                with pytest.raises(Unknown):
                    await hub.do(register, by="story", key="once")
            # Whoever signs in waits for no standby: no link is used up for nothing.
            async with asyncio.timeout(10):
                assert await redeemed(hub, links[0]) == "person_0"
                assert await hub.identity.session("person_0", instead_of=browser)
                assert await hub.credentials.end("sign-in", begun) == {"challenge": "x"}
            # Nor behind somebody who does: whoever makes a token hears of it once the standby has it.
            making = asyncio.create_task(hub.identity.token("person_0", ["read"], "t", 1))
            await asyncio.sleep(0.2)
            async with asyncio.timeout(10):
                assert await hub.identity.session("person_0") and not making.done()
            # However many end something, nobody who looks waits behind them; each of them is told in time.
            ending = [asyncio.create_task(hub.identity.revoke_all(f"person_{n}")) for n in range(1, 12)]
            await asyncio.sleep(0.2)
            async with asyncio.timeout(5):
                assert await hub.log.head() >= before and await hub.identity.held("person_0")
            monkeypatch.setattr(doctor, "_WAITING", doctor._WAITING.replace("5 seconds", "0 seconds"))
            assert await doctor._waiting(hub) > 0
            async with asyncio.timeout(30):
                ended = await asyncio.gather(making, *ending, return_exceptions=True)
            assert all(isinstance(each, TimeoutError) for each in ended)
            # Whoever looks reads on, and a hub opens, while another commit waits.
            waiting = asyncio.create_task(hub.do(register, by="story", key="again"))
            await asyncio.sleep(0.3)
            assert await hub.log.head() >= before
            async with asyncio.timeout(10):
                await (await Hub.open(dsn)).close()
            await asyncio.gather(waiting, return_exceptions=True)
            await waits_for("")
            receipt = await hub.do(register, by="story", key="once")
            assert receipt == await hub.do(register, by="story", key="once")
            told_of = await hub.log.read(after=before, types=["OrganizationRegistered"], limit=1_000)
            assert [each.position for each in told_of if each.position == receipt.position] == [receipt.position]
        finally:
            await waits_for("")
            await db.close()
            await hub.close()

    told(story())


def test_a_connection_over_a_network_notices_silence(dsn):
    """A server without power says nothing: whoever waited for it would wait for ever."""

    async def story():
        path = Path(re.search(r"host=([^&]+)", dsn)[1]) / ".s.PGSQL.5432"

        async def piped(reader, writer):
            there, back = await asyncio.open_unix_connection(path)

            async def pass_on(one, other):
                with suppress(OSError):
                    while data := await one.read(65_536):
                        other.write(data)
                other.close()

            await asyncio.gather(pass_on(reader, back), pass_on(there, writer))

        listening = await asyncio.start_server(piped, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        address = f"{dsn.partition('?')[0].replace('@/', f'@127.0.0.1:{port}/')}?sslmode=disable"
        log = await Log.open(address)
        async with log.pool.acquire() as pooled:
            for db in (pooled._con, await connect(address)):
                own = db._transport.get_extra_info("socket")
                assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNHEARD * 1_000
        db.terminate()
        await log.close()
        listening.close()

    told(story())


def test_a_database_may_be_called_anything(empty_dsn):
    async def story():
        name = f"хаб {os.urandom(2).hex()} 100% и “ключи”" + '"'
        dsn = re.sub(r"/[^/?]+\?", lambda _: f"/{quote(name)}?", empty_dsn)
        hub = await Hub.open(dsn)
        officer = await person(hub, "Officer")
        assert officer in (await hub.log.read(limit=1))[0].tags
        await hub.close()
        assert await is_there(dsn)

    told(story())


def test_what_is_shown_of_the_past_is_counted_from_then(region_dsn):
    """A round that was open is no round that closed months ago."""

    async def story():
        now = await Hub.open(region_dsn)
        (opened_, *_) = await now.log.read(types=["RoundOpened"])
        (closed, *_) = await now.log.read(tag=opened_.event.call, types=["RoundClosed"])
        told_of = {}
        for until in (opened_.position, None):
            hub = await Hub.open(region_dsn, until=until)
            page = await Client(application(hub, Settings(until=until))).http.get(f"/calls/{opened_.event.call}")
            told_of[until] = re.findall(r"<strong>([^<]*)</strong>, [^<]*</time>", page.text)
            if until:
                assert hub.stood == opened_.at < closed.at
                await hub.models.remove()
            await hub.close()
        await now.close()
        return told_of.values()

    then, since = told(story())
    assert then and all(each.startswith("in ") for each in then), then
    assert not any(each.startswith("in ") for each in since), since


def test_a_database_that_takes_no_changes_is_named_and_says_so_to_whoever_sends_some(region_dsn):
    """As a standby, or a server whose disk is full: nothing is lost, and nobody takes it for a fault of the hub's."""
    name = urlsplit(region_dsn).path[1:]

    async def set_to(value):
        db = await asyncpg.connect(region_dsn)
        await db.execute("SET default_transaction_read_only = off")
        await db.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}')
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
            name,
        )
        await db.close()

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            people = await people_of(hub)
            asks = await client(people["karimova"])
            mutation = """mutation($p: ID!) { chooseNotices(input: {person: $p, mailed: false, language: TG}) {
                receipt { position } refusal { message } } }"""
            ask = {"query": mutation, "variables": {"p": people["karimova"]}}
            await set_to("on")
            for _ in range(3):
                answer = await asks.http.post("/graphql", json=ask, headers={"idempotency-key": "notices"})
                assert answer.status_code == 503, answer.text
            code, out, _ = await asyncio.to_thread(command, region_dsn, "doctor")
            assert code == 1 and "the database lets nobody write" in out, out
            await set_to("off")
            async with asyncio.timeout(10):
                while (await asks.http.post("/graphql", json=ask)).status_code == 503:
                    await asyncio.sleep(0.1)
            answer = (await asks.http.post("/graphql", json=ask, headers={"idempotency-key": "notices"})).json()
            assert answer["data"]["chooseNotices"]["receipt"], answer
        assert (await asyncio.to_thread(command, region_dsn, "doctor"))[0] == 0

    told(story())


@pytest.mark.parametrize("called", ["a%41b", "a+b", "a#b", "a&b=c", "a,b", "a b", "ҳаб", "a?b"])
def test_a_home_may_be_called_anything(tmp_path, called):
    home = tmp_path / called
    home.mkdir()
    embedded = Embedded(home)
    (sockets,) = parse_qs(urlsplit(embedded.dsn).query)["host"]
    assert sockets == str(embedded._sockets) and "," not in sockets


def test_a_hub_without_room_is_named(dsn, monkeypatch):
    code, out, _ = here(dsn, "doctor")
    assert code == 0 and "MB left in" in out
    monkeypatch.setattr(doctor, "ROOM", 2**62)
    assert here(dsn, "doctor")[0] == 1


def test_why_postgresql_ended_is_told_to_whoever_finds_none(tmp_path):
    (tmp_path / "postgres.log").write_text(
        "2026-11-01 LOG:  starting\n2026-11-01 PANIC:  could not write: No space left\n2026-11-01 LOG:  down\n"
    )
    assert Embedded(tmp_path).last_words().endswith("PANIC:  could not write: No space left")
    (tmp_path / "postgres.log").write_text("2026-11-01 LOG:  starting\n")
    assert Embedded(tmp_path).last_words() == ""
