"""An erased person is found nowhere: in no table, index, file, dump, mirror or export; and every proof still holds."""

import asyncio
import contextlib
import json
import subprocess
from pathlib import Path

import asyncpg
import httpx2
import pytest

from domain.core import HUB, Reason, Refusal
from domain.erasure import ErasePerson
from domain.people.commands import CorrectName, InvitePerson, JoinHub, LinkOrcid
from hub import vault
from hub.cli.doctor import RESTING
from hub.door import Hub
from hub.log import keys_of
from hub.programs import program
from hub.vault import Erased, close_box, open_box
from projections.core import every_row
from tests.conftest import copied
from tests.sealed import SEALED, Region, as_root, audit, until_sealed
from tests.test_log import told
from tests.web import home_of, hub, opened

NAME, EMAIL, ORCID = "Саодат Қурбонзода", "saodat.qurbonzoda@example.org", "0000-0003-4821-7711"
TRACES = [NAME, "Қурбонзода", "Саодат", EMAIL, "qurbonzoda", ORCID, ORCID.replace("-", "")]


def traces(data: bytes) -> list[str]:
    """What of the person stands in these bytes: as text, as JSON's escapes, in hexadecimal."""
    found = []
    for each in TRACES:
        for form in {each.encode(), each.encode("unicode_escape"), each.encode().hex().encode(), each.lower().encode()}:
            if form in data:
                found.append(f"{each} as {form!r}")
    return found


def in_files(folder):
    return {str(path): found for path in folder.rglob("*") if path.is_file() and (found := traces(path.read_bytes()))}


async def in_tables(dsn):
    """Every row of every table of a database, whatever its columns."""
    db = await asyncpg.connect(dsn)
    found = {}
    for row in await db.fetch("SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information)'"):
        table = '"{}"."{}"'.format(*row)
        for (text,) in await db.fetch(f"SELECT t::text FROM {table} t"):
            if bad := traces(text.encode()):
                found[table] = bad
    await db.close()
    return found


def dumped(dsn):
    return subprocess.run([program("pg_dump"), dsn], capture_output=True, check=True).stdout


@pytest.fixture
def joined(sealed):
    """A sealed hub in which the person was invited, joined and linked their iD."""

    async def story():
        opened_ = await Hub.open(sealed.dsn)
        person = (await opened_.do(InvitePerson(name=NAME, email=EMAIL))).record
        await opened_.do(JoinHub(person=person), person)
        await opened_.do(LinkOrcid(person=person, orcid=ORCID), person, key="link")
        auditor = await opened_.log.pool.fetchval(
            f"SELECT person FROM {opened_.models.schema}.role WHERE role = 'auditor'"
        )
        token = await opened_.identity.token(auditor, ["read", "mirror"], "mirror", 1)
        own = await opened_.identity.token(person, ["read"], "own", 1)
        await opened_.close()
        return person, token, own

    person, token, own = told(story())
    file = sealed.home / "mirror.token"
    file.write_text(token)
    return sealed, person, file, own


def test_the_search_for_traces_finds_them(joined, monkeypatch):
    """The positive control: somebody else, written in plain into a table and a file, is found."""
    region, *_ = joined
    monkeypatch.setattr("tests.test_privacy.TRACES", ["Planted Personson"])
    assert asyncio.run(in_tables(region.dsn)) == {}
    as_root(region.dsn, "CREATE TABLE public.leak AS SELECT 'Planted Personson'::text AS name")
    assert list(asyncio.run(in_tables(region.dsn))) == ['"public"."leak"']
    assert traces(dumped(region.dsn)) != []
    (region.home / "leak").write_text("mail to Planted Personson")
    assert list(in_files(region.home)) == [str(region.home / "leak")]


async def secrets_of(dsn, person):
    """A person's key, the boxes that it opens, and the salt of what is noted of requests."""
    found = []
    for own, sql in (
        (dsn.replace("?", "_keys?", 1), "SELECT secret FROM key WHERE person = $1 UNION ALL SELECT secret FROM salt"),
        (dsn, "SELECT box FROM hub.box WHERE person = $1"),
    ):
        db = await asyncpg.connect(own)
        found += [row[0] for row in await db.fetch(sql, person)]
        # What is on the disk is looked at, and not what waits in memory for it.
        await db.execute("CHECKPOINT")
        await db.close()
    return found


async def folders_of(server, dsn):
    """Where the server keeps what may hold something of this hub: its two databases, and what all databases share."""
    postgres = server.home / "postgres"
    others = {each.name for each in (postgres / "base").iterdir() if each.name.isdigit()}
    for own in (dsn, dsn.replace("?", "_keys?", 1)):
        db = await asyncpg.connect(own)
        others.discard(str(await db.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")))
        await db.close()
    base = [each for each in (postgres / "base").iterdir() if each.name not in others]
    return [*base, *(each for each in postgres.iterdir() if each.name != "base")]


def on_disk(folders, secrets):
    """Which files of the server, its write-ahead log among them, hold one of these."""
    held = {}
    for path in (file for folder in folders for file in (folder, *folder.rglob("*"))):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and (data := path.read_bytes()) and any(each in data for each in secrets):
                held[str(path)] = True
    return list(held)


@pytest.mark.parametrize(
    "how", ["BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1", "BEGIN; CREATE TEMP TABLE written (); SELECT 1"]
)
def test_of_an_erased_person_the_server_keeps_no_byte(server, joined, how):
    region, person, *_ = joined
    secrets = asyncio.run(secrets_of(region.dsn, person))
    assert len(secrets) == 5
    folders = asyncio.run(folders_of(server, region.dsn))
    held = on_disk(folders, secrets)
    assert any("/base/" in each for each in held) and any("/pg_wal/" in each for each in held)

    async def story():
        opened_ = await Hub.open(region.dsn)
        # Whoever reads or writes from before, as a backup does, keeps what was deleted: it goes when they have ended.
        reading = await asyncpg.connect(region.dsn)
        await reading.execute(how)
        await opened_.do(ErasePerson(person=person), person)
        assert await opened_.vault.held(opened_.log.pool, [person]) == [person]
        assert on_disk(folders, secrets)
        # Whoever has to see to it is told whom it waits for; half a day later, loudly.
        pid = await reading.fetchval("SELECT pg_backend_pid()")
        code, out, _ = await asyncio.to_thread(hub, region.dsn, "doctor", "--json")
        (said,) = json.loads(out)["erasures that wait"]
        assert code == 0 and person in said and f"process {pid} of the server" in said, said
        earlier = "UPDATE hub.event SET at = at - interval '13 hours' WHERE type = 'PersonErased'"
        await asyncio.to_thread(as_root, region.dsn, earlier)
        code, out, _ = await asyncio.to_thread(hub, region.dsn, "doctor", "--json")
        assert code == 1 and json.loads(out)["sealing"] == RESTING
        await reading.close()
        await opened_.erasures.finish(opened_.models.schema)
        assert await opened_.vault.held(opened_.log.pool, [person]) == []
        await opened_.close()
        code, out, _ = await asyncio.to_thread(hub, region.dsn, "doctor", "--json")
        assert (code, json.loads(out)["erasures that wait"]) == (0, [])

    told(story())
    assert on_disk(folders, secrets) == []


def test_an_erased_person_is_found_nowhere_and_every_proof_holds(joined, tmp_path):
    region, person, token, own = joined
    mirror = tmp_path / "mirror"
    words = ("mirror", "{}/log", mirror, "--policy", region.policy, "--token-file", token, "--once")
    with region.open() as url:
        before = until_sealed(url, SEALED + 3)
        me = "{ me { name email orcid } }"
        headers = {"authorization": f"Bearer {own}"}
        assert httpx2.post(f"{url}/graphql", json={"query": me}, headers=headers).json()["data"]["me"]["name"] == NAME
        policy = region.home / "demonstration" / "policy"
        assert hub(region.dsn, *(str(each).format(url) for each in words))[0] == 0
        assert region.fetch(url, tmp_path / "old")[0] == 0
        boxes = [path for path in mirror.glob(f"boxes/{person}/*") if path.is_file()]
        assert len(boxes) == 3
        proof = httpx2.get(f"{url}/log/proof/{before}", headers={"authorization": f"Bearer {token.read_text()}"})
        (tmp_path / "proof").write_bytes(proof.content)

        assert hub(region.dsn, "forget", person, "--yes")[0] == 0
        assert hub(region.dsn, "seal")[0] == 0
        after = until_sealed(url, before + 12)
        assert httpx2.post(f"{url}/graphql", json={"query": me}, headers=headers).status_code == 401
        assert hub(region.dsn, *(str(each).format(url) for each in words))[0] == 0
        assert region.fetch(url, tmp_path / "new")[0] == 0
        export = hub(region.dsn, "log", "--json")[1]

    # Nowhere: tables of both databases, what a dump takes out of them, files of the hub, of the auditor, of the mirror.
    keys = region.dsn.replace("?", "_keys?", 1)
    for dsn in (region.dsn, keys):
        assert asyncio.run(in_tables(dsn)) == {}
        assert traces(dumped(dsn)) == []
    for folder in (region.home, tmp_path, mirror):
        assert in_files(folder) == {}
    assert traces(export.encode()) == []
    assert not list(mirror.glob(f"boxes/{person}/*"))
    assert list(mirror.glob("boxes/*/*"))  # those of others stay

    # And everything still holds: the old proof, the old head in the new log, every leaf, the read models.
    assert audit("proof", tmp_path / "proof", "--policy", policy)[0] == 0
    assert (
        audit("consistency", tmp_path / "new", "--since", tmp_path / "old" / "checkpoint", "--policy", policy)[0] == 0
    )
    code, found = audit("report", tmp_path / "new", "--policy", policy)
    assert code == 0, found
    assert found["checks"]["replay"]["position"] == after - len([*every_row()])
    assert audit("compare", mirror, tmp_path / "new", "--policy", policy)[0] == 0


def test_nothing_of_them_stands_in_the_servers_own_files(server, joined):
    """The data files too, once PostgreSQL has tidied up: indexes, free space, and the log of its own."""
    region, person, *_ = joined

    async def story():
        opened_ = await Hub.open(region.dsn)
        await opened_.do(ErasePerson(person=person), person)
        await opened_.close()
        folders = []
        for dsn in (region.dsn, region.dsn.replace("?", "_keys?", 1)):
            db = await asyncpg.connect(dsn)
            await db.execute("VACUUM FULL")
            await db.execute("CHECKPOINT")
            oid = await db.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
            folders.append(server.home / "postgres" / "base" / str(oid))
            await db.close()
        return folders

    for folder in (*told(story()), server.home / "postgres" / "pg_wal"):
        assert any(folder.iterdir())
        assert in_files(folder) == {}
    assert traces((server.home / "postgres.log").read_bytes()) == []


def test_names_come_back_with_a_mirror_of_sealed_values_and_the_keys(joined, server, tmp_path):
    region, person, token, _ = joined
    mirror = tmp_path / "mirror"
    with region.open() as url:
        until_sealed(url, SEALED + 3)
        policy = Path(region.home / "demonstration" / "policy")
        words = ("mirror", f"{url}/log", mirror, "--policy", policy, "--token-file", token, "--once")
        assert hub(region.dsn, *words)[0] == 0
    # The log's database is lost, the keys' own is not.
    lost = Region(asyncio.run(copied(server, "sealed")))
    pinned = policy.read_text()

    async def keep_keys():
        admin = await asyncpg.connect(server.dsn.replace("/hub?", "/postgres?"))
        name = lost.dsn.partition("?")[0].rpartition("/")[2]
        kept = region.dsn.partition("?")[0].rpartition("/")[2]
        for database in (name, f"{name}_keys"):
            await admin.execute(f"DROP DATABASE {database}")
        await admin.execute(f"CREATE DATABASE {name}")
        await admin.execute(f"CREATE DATABASE {name}_keys TEMPLATE {kept}_keys")
        await admin.close()

    asyncio.run(keep_keys())
    (home_of(lost.dsn) / "log.key").write_bytes((region.home / "log.key").read_bytes())
    (home_of(lost.dsn) / "log.key").chmod(0o600)
    (home_of(lost.dsn) / "policy").write_text("quorum none\n")
    (tmp_path / "pinned").write_text(pinned)
    code, out, said = hub(lost.dsn, "restore", mirror, "--policy", tmp_path / "pinned")
    assert code == 0 and "root is the one that was signed" in out, said
    assert hub(lost.dsn, "verify")[0] == 0
    with opened(lost.dsn) as url:
        code, token, _ = hub(lost.dsn, "token", person)
        headers = {"authorization": f"Bearer {token.strip()}"}
        found = httpx2.post(f"{url}/graphql", json={"query": "{ me { name } }"}, headers=headers).json()
        assert found["data"]["me"]["name"] == NAME


def test_nothing_that_an_erased_person_was_called_can_be_guessed_from_what_is_kept_for_retries(dsn, monkeypatch):
    async def story():
        opened_, beside = await Hub.open(dsn), await Hub.open(dsn)
        inviter = (await opened_.do(InvitePerson(name="Inviter", email="inviter@example.org"))).record
        bystander = (await opened_.do(InvitePerson(name="Bystander", email="bystander@example.org"))).record
        for each in (inviter, bystander):
            await opened_.do(JoinHub(person=each), each)
        invite = InvitePerson(name="Secret Name", email="secret@example.org")
        person = (await opened_.do(invite, inviter, key="invite")).record
        await opened_.do(JoinHub(person=person), person)
        rename = CorrectName(person=person, name="Another Secret")
        await beside.do(rename, person, key="rename")
        other = InvitePerson(name="Other Name", email="other@example.org")
        invited = await beside.do(other, bystander, key="other")
        hubs = (opened_, beside)

        async def refused(hub_, command, actor, key):
            with pytest.raises(Refusal) as told_:
                await hub_.do(command, actor, key=key)
            return told_.value.reason

        for hub_ in hubs:
            assert await refused(hub_, other, inviter, "invite") == Reason.KEY_REUSED
        keys = await asyncpg.connect(keys_of(dsn))

        async def salts():
            return {row["actor"]: row["id"] for row in await keys.fetch("SELECT actor, id FROM salt")}

        before = await salts()
        noted = await opened_.log.pool.fetch("SELECT actor, hash FROM hub.answer")
        assert {row["actor"]: row["hash"].partition(":")[0] for row in noted} == before
        erase = ErasePerson(person=person)
        erased = await opened_.do(erase, person, key="erase")
        # Nor does a process that has nothing to note hold for long what another one has destroyed.
        assert beside.vault._salts
        monkeypatch.setattr(vault, "SALTED", 0)
        beside.vault.let_go()
        assert not beside.vault._salts
        # What was noted of what they, or who invited them, wrote is nothing but chance, without its salt.
        after = await salts()
        assert [name for name in before if after.get(name) == before[name]] == [bystander]
        for hub_ in hubs:
            for command, actor, key in ((invite, inviter, "invite"), (rename, person, "rename")):
                assert await refused(hub_, command, actor, key) == Reason.KEY_FORGOTTEN
            # Who wrote nothing of them is answered as before, and so is the erasure itself.
            assert await hub_.do(other, bystander, key="other") == invited
            assert await refused(hub_, invite, bystander, "other") == Reason.KEY_REUSED
            assert await hub_.do(erase, person, key="erase") == erased
        again = InvitePerson(name="Again", email="again@example.org")
        answers = [await hub_.do(again, inviter, key="again") for hub_ in hubs]
        assert answers[0] == answers[1]
        for hub_ in hubs:
            assert await refused(hub_, other, inviter, "again") == Reason.KEY_REUSED
        # However long its last bytes wait, an erasure takes what was noted until then, and nothing that is noted since.
        await keys.execute("INSERT INTO erasing VALUES ($1)", person)
        await opened_.erasures.finish(opened_.models.schema)
        assert await opened_.do(erase, person, key="erase") == erased
        for hub_ in hubs:
            assert await hub_.do(again, inviter, key="again") == answers[0]
        await keys.close()
        for hub_ in hubs:
            await hub_.close()

    told(story())


def test_what_an_older_hub_noted_of_requests_is_written_anew_once_without_it(dsn, server):
    async def story():
        opened_ = await Hub.open(dsn)
        invite = InvitePerson(name="Secret Name", email="secret@example.org")
        first = await opened_.do(invite, HUB, key="invite")
        await opened_.close()
        noted = "ab12" * 16
        older = ("ALTER INDEX hub.answer_by_key RENAME TO answer_pkey", f"UPDATE hub.answer SET hash = '{noted}'")
        await asyncio.to_thread(as_root, dsn, *older)
        opened_ = await Hub.open(dsn)
        assert await opened_.log.pool.fetchval("SELECT hash FROM hub.answer") == ""
        # That the key was used is known, and that it is not used for anything else.
        with pytest.raises(Refusal) as refused:
            await opened_.do(invite, HUB, key="invite")
        assert refused.value.reason == Reason.KEY_FORGOTTEN and first.events == 1
        db = await asyncpg.connect(dsn)
        await db.execute("CHECKPOINT")
        file = await db.fetchval("SELECT pg_relation_filepath('hub.answer')")
        await db.close()
        await opened_.close()
        return (server.home / "postgres" / file).read_bytes()

    assert b"ab12" * 16 not in told(story())


def test_a_box_opens_with_the_one_key_that_closed_it_and_to_one_value():
    secret = bytes(range(32))
    sealed, box = close_box(secret, "kid", "person_1", "name", NAME)
    assert (sealed.len, open_box(secret, "person_1", "name", box)) == (len(NAME.encode()), NAME)
    # A commitment that is another key's says so, though what is behind it would open.
    for other in (bytes([box[0] ^ 1]) + box[1:], box[:40] + bytes([box[40] ^ 1]) + box[41:], box[:-1]):
        with pytest.raises(Erased):
            open_box(secret, "person_1", "name", other)
    for person, field, key in (
        ("person_2", "name", secret),
        ("person_1", "email", secret),
        ("person_1", "name", b"k" * 32),
    ):
        with pytest.raises(Erased):
            open_box(key, person, field, box)
