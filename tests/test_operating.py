"""Whoever runs the hub: settings, rights, whose data they are, who is let in, how it ends."""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg
import httpx2
import pytest

from domain.calls.commands import DraftCall, PublishCall
from domain.calls.events import Criterion
from domain.core import HubRole
from domain.people.commands import GrantRole, InvitePerson
from hub import postgres, settings
from hub.audit.heads import LastHead
from hub.audit.notes import Head
from hub.cli.main import main
from hub.cli.serving import Ending
from hub.door import Hub
from hub.locks import Lock
from hub.logs import Lines
from hub.pool import Pool
from hub.postgres import Embedded
from hub.programs import Unavailable, program
from tests.conftest import administered
from tests.test_log import person, told
from tests.web import apart, free_port, home_of, hub, opened, serving
from web import app


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"HUB_URL": "foo"}, "HUB_URL"),
        ({"HUB_URL": "https://hub.example/path"}, "HUB_URL"),
        ({"HUB_URL": "ftp://hub.example"}, "HUB_URL"),
        ({"HUB_URL": "https://hub example"}, "HUB_URL"),
        ({"HUB_URL": "http://hub.example:99999"}, "HUB_URL"),
        ({"HUB_URL": "https://somebody:secret@hub.example"}, "HUB_URL"),
        ({"HUB_URL": "https://"}, "HUB_URL"),
        ({"HUB_URL": "https://hub.example?"}, "HUB_URL"),
        ({"HUB_URL": "https://hub.example\n"}, "HUB_URL"),
        ({"HUB_URL": " https://hub.example"}, "HUB_URL"),
        ({"HUB_URL": "HTTPS://hub.example"}, "HUB_URL"),
        ({"HUB_URL": "https://Hub.example"}, "HUB_URL"),
        ({"HUB_URL": "https://hub.example:443"}, "HUB_URL"),
        ({"HUB_ORIGIN": "two words"}, "HUB_ORIGIN"),
        ({"HUB_URL": "https://[:::::]"}, "HUB_URL"),
        ({"HUB_ORIGIN": "/"}, "HUB_ORIGIN"),
        ({"HUB_ORIGIN": "a\x01b"}, "HUB_ORIGIN"),
        ({"HUB_ORIGIN": "hub.example//log"}, "HUB_ORIGIN"),
        (
            {"HUB_OIDC_ISSUER": "https://[", "HUB_OIDC_CLIENT_ID": "hub", "HUB_OIDC_CLIENT_SECRET": "s"},
            "HUB_OIDC_ISSUER",
        ),
        (
            {"HUB_OIDC_ISSUER": "https://", "HUB_OIDC_CLIENT_ID": "hub", "HUB_OIDC_CLIENT_SECRET": "s"},
            "HUB_OIDC_ISSUER",
        ),
        ({"HUB_POLICY": "/there/is/none"}, "HUB_POLICY"),
        ({"FORWARDED_ALLOW_IPS": "proxy"}, "FORWARDED_ALLOW_IPS"),
        ({"FORWARDED_ALLOW_IPS": "10.0.0.1, "}, "FORWARDED_ALLOW_IPS"),
        ({"FORWARDED_ALLOW_IPS": "10.0.0.1/8"}, "FORWARDED_ALLOW_IPS"),
        ({"HUB_OIDC_ISSUER": "https://idp.example"}, "HUB_OIDC_CLIENT_ID"),
        ({"HUB_OIDC_ISSUER": "idp", "HUB_OIDC_CLIENT_ID": "hub", "HUB_OIDC_CLIENT_SECRET": "s"}, "HUB_OIDC_ISSUER"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named(monkeypatch, given, named):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert named in settings.wrong() and "secret" not in settings.wrong()


def test_what_is_no_setting_is_named_with_the_one_that_was_meant(monkeypatch):
    assert settings.unknown() == []
    for name in ("HUB_MAIL_URI", "HUB_OIDC_SECRET", "HUB_XYZZY", "HUB_TOKENS", "HUB_TOKEN", "HUB_AUDIT_TOKEN"):
        monkeypatch.setenv(name, "something secret")
    assert settings.unknown() == [
        "HUB_MAIL_URI is no setting, and counts for nothing: is HUB_MAIL_URL or HUB_MAIL_FROM meant?",
        "HUB_OIDC_SECRET is no setting, and counts for nothing: is HUB_OIDC_CLIENT_SECRET or HUB_OIDC_ISSUER meant?",
        "HUB_TOKENS is no setting, and counts for nothing.",
        "HUB_XYZZY is no setting, and counts for nothing.",
    ]


@pytest.mark.parametrize(
    "url", ["https://hub.example", "https://hub.example/", "http://127.0.0.1:8000", "https://[::1]:8443", ""]
)
def test_an_address_of_a_site_is_taken(monkeypatch, url):
    monkeypatch.setenv("HUB_URL", url)
    assert settings.wrong() == ""


@pytest.mark.parametrize("proxies", ["", "*", "10.0.0.1", "10.0.0.1, fd00::/8"])
def test_addresses_of_proxies_are_taken(monkeypatch, proxies):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", proxies)
    assert settings.wrong() == ""


def test_what_only_looks_makes_no_hub(empty_dsn, tmp_path):
    for words in (("doctor",), ("verify",), ("log",), ("people",), ("rebuild",), ("at", "0")):
        code, out, said = hub(empty_dsn, *words)
        assert (code, out) == (3, "") and "There is no hub" in said
    code, _, said = hub(empty_dsn.replace("/test", "/typo"), "doctor")
    assert code == 3 and "There is no hub" in said
    code, _, said = hub("", "doctor", home=tmp_path / "typo")
    assert code == 3 and "There is no hub" in said and not (tmp_path / "typo").exists()


def test_nobody_touches_the_data_of_another_user(tmp_path, monkeypatch):
    (tmp_path / "postgres").mkdir()
    before = (tmp_path.stat().st_mode, [*tmp_path.iterdir()])
    me = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: me + 12_345)
    with pytest.raises(Unavailable, match="give the command as that user"):
        Embedded(tmp_path).own()
    assert (tmp_path.stat().st_mode, [*tmp_path.iterdir()]) == before


def test_programs_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HUB_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(Unavailable, match="HUB_POSTGRES_BIN"):
        program("postgres")


def test_data_of_another_postgresql_are_not_touched():
    home = Path(tempfile.mkdtemp(prefix="hub-old-"))
    home.chmod(0o711)
    (home / "postgres").mkdir()
    (home / "postgres" / "PG_VERSION").write_text("9\n")
    server = Embedded(home)
    if server._user:
        os.chown(home / "postgres", server._user.pw_uid, server._user.pw_gid)
    assert server.own()
    with pytest.raises(Unavailable, match="made by PostgreSQL 9"):
        server.start()
    assert [each.name for each in (home / "postgres").iterdir()] == ["PG_VERSION"]
    server.stop()
    shutil.rmtree(home)


def test_a_user_without_rights_is_told_which_and_one_with_prepared_ones_is_served(server, empty_dsn):
    asyncio.run(administered(server, "DROP ROLE IF EXISTS clerk", "CREATE ROLE clerk LOGIN"))
    name = empty_dsn.partition("?")[0].rpartition("/")[2]
    theirs = empty_dsn.replace("//hub@", "//clerk@").replace(f"/{name}?", f"/{name}_own?")
    invite = ("invite", "first@example.org", "--name", "First Person", "--center-officer")
    code, _, said = hub(theirs, *invite)
    assert code == 3 and "CREATE DATABASE hub_keys" in said and "GRANT hub_writer" in said
    prepared = re.findall(r"(?:CREATE|GRANT) [^;]+;", said)
    assert len(prepared) == 7 and all(
        " ".join(each.split()) in TOLD[1].read_text() for each in prepared if "'" not in each
    )
    try:
        made = [f"CREATE DATABASE {name}_own{tail} OWNER clerk" for tail in ("", "_keys")]
        asyncio.run(administered(server, *made))
        code, _, said = hub(theirs, *invite)
        assert code == 3 and "GRANT hub_writer TO hub" in said
        role = """DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hub_writer') THEN
                  CREATE ROLE hub_writer NOLOGIN; END IF; END $$"""
        asyncio.run(administered(server, role, "GRANT hub_writer TO clerk"))
        code, out, said = hub(theirs, *invite)
        assert code == 0 and "/sign-in/" in out, said
        assert hub(theirs, "verify")[0] == 0
    finally:
        drop = [f"DROP DATABASE IF EXISTS {name}_own{tail} WITH (FORCE)" for tail in ("", "_keys")]
        asyncio.run(administered(server, *drop, "DROP ROLE clerk"))


def test_people_are_found_by_name_or_address_and_let_in_or_out(dsn):
    invite = ("invite", "zarina@example.org", "--name", "Зарина Каримова", "--center-officer", "--json")
    code, out, _ = hub(dsn, *invite)
    assert code == 0
    id = json.loads(out)["receipt"]["record"]
    code, _, said = hub(dsn, *invite)
    assert code == 1 and f"hub link {id}" in said
    assert hub(dsn, "link", "nobody@example.org")[0] == hub(dsn, "link", "person_nobody")[0] == 1
    code, _, said = hub(dsn, "token", "zarina@example.org")
    assert code == 1 and "not joined" in said
    assert hub(dsn, "do", "join-hub", "--person", id, "--as", id)[0] == 0
    code, made, _ = hub(dsn, "token", "zarina@example.org", "--label", "nightly")
    assert code == 0 and made.startswith("hub_")
    assert "/sign-in/" in hub(dsn, "link", "Zarina@Example.org")[1]
    for text in ("карим", "ZARINA@", id, "center_officer"):
        code, out, _ = hub(dsn, "people", text)
        assert code == 0 and "Зарина Каримова" in out and "1 tokens" in out
    assert hub(dsn, "people", "nobody") == (0, "", "")
    assert hub(dsn, "revoke", "zarina@example.org")[0] == 0
    found = json.loads(hub(dsn, "people", "--json")[1])
    assert (found["tokens"], found["status"], found["roles"]) == (0, "joined", ["center_officer"])
    # Whoever replays the log sees what others than she got to act as her, and when that ended.
    told = [json.loads(line) for line in hub(dsn, "log", "--tag", id, "--json")[1].splitlines()]
    told = [each for each in told if each["type"].startswith("Access")]
    assert [(each["type"], each["data"].get("way"), each["data"].get("scope")) for each in told] == [
        ("AccessGiven", "link", []),
        ("AccessGiven", "token", ["read"]),
        ("AccessGiven", "link", []),
        ("AccessEnded", None, None),
    ]
    assert all(each["actor"] == "hub" and each["request"].startswith("console") for each in told)
    code, _, said = hub(dsn, "forget", id, "--yes")
    assert code == 0 and "Nobody who has joined is an officer of the Center" in said
    assert "erased" in hub(dsn, "people")[1] and "Зарина" not in hub(dsn, "people")[1]


def test_doctor_notices_that_names_cannot_be_read(dsn):
    async def story():
        hub = await Hub.open(dsn)
        await person(hub, "Zarina")
        await hub._keys.execute("DELETE FROM key")
        await hub.close()

    assert hub(dsn, "invite", "first@example.org", "--name", "First")[0] == 0
    assert hub(dsn, "doctor")[0] == 0
    told(story())
    code, out, _ = hub(dsn, "doctor", "--json")
    assert code == 1 and json.loads(out)["names that cannot be read"] == 2


def test_doctor_notices_rounds_that_are_overdue_and_events_that_are_dated_ahead(dsn, monkeypatch):
    later = datetime.now(UTC) + timedelta(days=2)

    async def story():
        hub = await Hub.open(dsn)
        officer = await person(hub, "Zarina")
        await hub.do(GrantRole(person=officer, role=HubRole.CENTER_OFFICER))
        times = {"opens_at": later - timedelta(days=1), "closes_at": later}
        draft = DraftCall(title="A call", summary="S" * 50, criteria=(Criterion("Excellence", 100),), **times)
        call = (await hub.do(draft, officer)).record
        await hub.do(PublishCall(call=call), officer)
        # A hub is served, and what it is to do by itself is not done.
        db = await asyncpg.connect(dsn)
        await db.execute(f"SELECT pg_advisory_lock({Lock.FOLLOWER})")
        found = json.loads((await asyncio.to_thread(apart, dsn, "doctor", "--json"))[1])
        assert found["overdue"] == [] and "later than" not in found["newest event"]
        await db.execute(f"UPDATE {hub.models.schema}.call SET opens_at = now() - interval '2 minutes'")
        code, out, _ = await asyncio.to_thread(apart, dsn, "doctor", "--json")
        assert code == 1 and json.loads(out)["overdue"] == [call]
        await db.execute(f"UPDATE {hub.models.schema}.call SET opens_at = now() + interval '2 minutes'")
        await hub.do(InvitePerson(name="Ahead", email="ahead@example.org"), at=later)
        code, out, _ = await asyncio.to_thread(apart, dsn, "doctor", "--json")
        assert code == 1 and "later than this clock" in json.loads(out)["newest event"]
        await db.close()
        await hub.close()

    told(story())


def test_who_verifies_takes_away_what_one_that_was_killed_has_left(dsn):
    assert hub(dsn, "invite", "first@example.org", "--name", "First")[0] == 0
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^verify_'"

    async def asked(sql):
        db = await asyncpg.connect(dsn)
        found = await db.fetchval(sql)
        await db.close()
        return found

    told(asked("CREATE SCHEMA verify_0123456789ab"))
    assert told(asked(schemas)) == 1
    assert hub(dsn, "verify")[0] == 0 and told(asked(schemas)) == 0


def test_a_server_that_takes_long_to_come_up_is_waited_for(monkeypatch):
    home, said = Path(tempfile.mkdtemp(prefix="hub-slow-")), []
    home.chmod(0o711)
    server, ready, looks = Embedded(home), Embedded._ready, []

    def slowly(self, bin):
        looks.append(bin)
        return len(looks) > 20 and ready(self, bin)

    monkeypatch.setattr("hub.postgres._SAID", 0.1)
    monkeypatch.setattr(Embedded, "_ready", slowly)
    try:
        assert server.own()
        server.start(said.append)
        assert said and all("still starts" in each for each in said)
    finally:
        server.stop()
        shutil.rmtree(home)


def test_a_full_disk_behind_the_output_is_no_broken_database(dsn):
    assert hub(dsn, "invite", "first@example.org", "--name", "First")[0] == 0
    for words in (("log",), ("doctor",), ("people",), ("verify",)):
        with open("/dev/full", "w") as full:
            env = {**os.environ, "HUB_DATABASE_URL": dsn, "HUB_HOME": str(home_of(dsn))}
            command = [sys.executable, "-m", "hub", *words]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=env, timeout=60)
        assert done.returncode == 3 and "cannot be written" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr and "HUB_DATABASE_URL" not in done.stderr


def _is_open(port):
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(f"http://127.0.0.1:{port}/health").status_code == 200
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_that_is_told_to_end_ends_as_with_ctrl_c(dsn, workers):
    port = free_port()
    env = {**os.environ, "HUB_DATABASE_URL": dsn, "HUB_HOME": str(home_of(dsn)), "HUB_ORIGIN": "trial.invalid/log"}
    command = [sys.executable, "-m", "hub", "serve", "--port", str(port), "--workers", workers]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not _is_open(port):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0 and said.rstrip().endswith("The hub is closed."), said
    assert "Traceback" not in said


@contextlib.contextmanager
def _serving_with_workers(dsn, program=("-m", "hub")):
    port = free_port()
    env = {**os.environ, "HUB_DATABASE_URL": dsn, "HUB_HOME": str(home_of(dsn)), "HUB_ORIGIN": "trial.invalid/log"}
    command = [sys.executable, *program, "serve", "--port", str(port), "--workers", "2"]
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def workers():
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [each for each in children if b"spawn_main" in _command(Path(f"/proc/{each}"))]

    def waited(until):
        deadline = time.monotonic() + 60
        while not until():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)

    try:
        yield process, port, waited, workers
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_a_worker_that_dies_is_told_and_another_takes_its_place(dsn):
    with _serving_with_workers(dsn) as (process, port, waited, workers):
        waited(lambda: _is_open(port))
        killed = workers()[0]
        os.kill(int(killed), signal.SIGKILL)
        waited(lambda: killed not in workers() and len(workers()) == 2 and _is_open(port))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert re.search(rf"^\S+Z WARNING Child process \[{killed}\] died$", said, re.M), said
    assert "Started server process" not in said and "Traceback" not in said


def test_a_terminal_that_is_closed_elsewhere_asks_nothing_of_a_service(dsn, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", partial(subprocess.Popen, start_new_session=True))
    with _serving_with_workers(dsn) as (process, port, waited, workers):
        waited(lambda: _is_open(port) and len(workers()) == 2)
        before = workers()
        os.killpg(process.pid, signal.SIGHUP)
        time.sleep(1)
        assert workers() == before and _is_open(port)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_terminal_that_is_closed_ends_what_it_shows(dsn, workers):
    port, (ours, theirs) = free_port(), pty.openpty()
    env = {**os.environ, "HUB_DATABASE_URL": dsn, "HUB_HOME": str(home_of(dsn)), "HUB_ORIGIN": "trial.invalid/log"}
    command = [sys.executable, "-m", "hub", "serve", "--port", str(port), "--workers", str(workers)]
    process = subprocess.Popen(command, env=env, stdin=theirs, stderr=theirs, preexec_fn=_owns_its_terminal)
    os.close(theirs)
    try:
        deadline = time.monotonic() + 60
        while not _is_open(port):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.close(ours)
        process.wait(timeout=30)
        assert not _is_open(port)
    finally:
        process.kill()
        process.wait(timeout=30)


def _owns_its_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_stop_does_not_wait_for_a_worker_that_hangs(dsn):
    hurried = "from hub import supervising as s; s.LEAVING = 2; from hub.cli.main import main; main()"
    with _serving_with_workers(dsn, ("-c", hurried)) as (process, port, waited, workers):
        waited(lambda: _is_open(port) and len(workers()) == 2)
        hangs = int(workers()[0])
        os.kill(hangs, signal.SIGSTOP)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=40)
        assert said.rstrip().endswith("The hub is closed."), said


_BEGINS = """
import signal
from contextlib import suppress
from hub.cli.serving import Ending, _run
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, Ending())
    with suppress(KeyboardInterrupt):
        _run("postgresql://hub@127.0.0.1:1/away", "127.0.0.1", {port}, {workers})
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_that_is_ended_while_it_waits_for_its_database_has_not_failed(tmp_path, workers):
    (tmp_path / "begins.py").write_text(_BEGINS.format(port=free_port(), workers=workers))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    begun = subprocess.Popen([sys.executable, tmp_path / "begins.py"], env=env, stderr=subprocess.PIPE, text=True)
    try:
        for line in begun.stderr:
            if "waits for the database" in line:
                break
        begun.send_signal(signal.SIGTERM)
        begun.communicate(timeout=30)
        assert begun.returncode == 0
    finally:
        begun.kill()
        begun.communicate(timeout=30)


def test_workers_do_not_serve_on_when_who_began_them_is_killed(dsn):
    with _serving_with_workers(dsn) as (process, port, waited, workers):
        waited(lambda: _is_open(port) and len(workers()) == 2)
        left = [Path(f"/proc/{each}") for each in workers()]
        process.kill()
        process.wait()
        deadline = time.monotonic() + 20
        while any(each.exists() for each in left) or _is_open(port):
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


def test_forms_and_health_behind_a_proxy_that_calls_the_hub_otherwise(region_dsn, monkeypatch):
    monkeypatch.setenv("HUB_URL", "https://hub.example")
    with opened(region_dsn, "--demo") as url, httpx2.Client(base_url=url) as client:
        said = client.get("/health")
        assert (said.status_code, said.text, said.headers["cache-control"]) == (
            200,
            "The hub is open.\n",
            "no-store",
        )
        for origin, status in (("https://hub.example", 303), ("https://elsewhere.example", 403), ("", 403)):
            answer = client.post("/preferences", data={"language": "ru"}, headers={"Origin": origin})
            assert answer.status_code == status, origin


TOLD = [Path(__file__).parent.parent / name for name in ("README.md", "docs/operating.md", "docs/audit.md")]


def test_what_is_told_to_operators_is_there():
    text = "\n".join(file.read_text() for file in TOLD)
    others = {"HUB_AUDIT_POLICY"}  # of hub-audit, which is a program of its own
    assert set(re.findall(r"\b(?:HUB_[A-Z_]+[A-Z]|PORT)\b", text)) - others <= set(settings.SETTINGS)
    own = TOLD[1].read_text()
    assert all(f"`{name}`" in own for name in settings.SETTINGS)
    named = set(re.findall(r"(?:^|[`(]|    |/bin/)hub ([a-z]+)", text))
    assert {"backup", "restore", "doctor", "serve", "people"} <= named <= set(main.commands), named - set(main.commands)


def test_in_russian_operators_are_told_the_same():
    """The same parts, and to the letter the same commands, files, settings and addresses; comments are translated."""

    def parts(file):
        return [
            (
                [re.sub(r"\s+# .*", "", line) for line in re.findall(r"^ {4}.+", part, re.MULTILINE)],
                sorted(re.findall(r"`([^`]+)`", part.replace("\n", " "))),
                sorted(re.findall(r"\b(?:HUB_[A-Z_]+[A-Z]|PORT)\b", part)),
                len(re.findall(r"^\d\. |^- |^\| ", part, re.MULTILINE)),
            )
            for part in file.read_text().split("\n## ")
        ]

    english, russian = parts(TOLD[1]), parts(TOLD[1].with_suffix(".ru.md"))
    assert len(english) == len(russian)
    for ours, theirs in zip(english, russian, strict=True):
        assert ours == theirs
    headings = re.findall(r"^## (.+)", TOLD[1].with_suffix(".ru.md").read_text(), re.MULTILINE)
    known = {each.casefold().replace(" ", "-") for each in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TOLD[1].with_suffix(".ru.md").read_text())) <= known


def test_a_log_of_a_newer_version_is_said_to_be_one(dsn):
    async def newer():
        db = await asyncpg.connect(dsn)
        await db.execute(
            """INSERT INTO hub.event SELECT position + 1, 'PeerReviewed', '', actor, at, request, '{}' FROM hub.event
               ORDER BY position DESC LIMIT 1"""
        )
        await db.close()

    assert hub(dsn, "invite", "first@example.org", "--name", "First")[0] == 0
    told(newer())
    code, out, said = hub(dsn, "doctor")
    assert (code, out) == (1, "") and "“PeerReviewed”" in said and "newer version" in said
    asked = {"HUB_ORIGIN": "trial.invalid/log"}
    code, _, said = hub(dsn, "serve", "--port", free_port(), **asked)
    assert code == 1 and "newer version" in said


def test_a_log_of_the_server_that_has_grown_begins_anew(monkeypatch):
    monkeypatch.setattr(postgres, "_LOG", 10)
    home = Path(tempfile.mkdtemp(prefix="hub-log-"))
    home.chmod(0o711)
    server = Embedded(home)
    try:
        assert server.own()
        server.start()
        server.stop()
        assert server.own()
        server.start()
        assert (home / "postgres.log.1").stat().st_size > 10 and (home / "postgres.log").exists()
    finally:
        server.stop()
        shutil.rmtree(home)


def test_nothing_is_recorded_where_something_that_was_sealed_is_missing(dsn):
    assert hub(dsn, "invite", "first@example.org", "--name", "First")[0] == 0
    home = home_of(dsn)
    LastHead(home / "log.head").keep(Head("trial.invalid/log", 9, bytes(32)))
    invite = ("do", "invite-person", "--name", "Second", "--email", "second@example.org", "--as", "hub")
    known = "first@example.org"
    again = ("invite", "second@example.org", "--name", "Second"), ("link", known), ("token", known), ("revoke", known)
    for words in (*again, invite, ("seal",)):
        code, _, said = hub(dsn, *words)
        assert code == 1 and "newer ones are missing" in said
    told = [json.loads(line)["type"] for line in hub(dsn, "log", "--json")[1].splitlines()]
    assert told == ["PersonInvited", "AccessGiven"]


def test_health_is_answered_whatever_the_database_does(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            monkeypatch.setattr(app, "HEALTH", 0.2)
            anybody = (await client()).http
            assert (await anybody.get("/health")).status_code == 200

            async def silent(*_):
                await asyncio.sleep(60)

            async def gone(*_):
                raise asyncpg.InterfaceError("connection is closed")

            for broken in (silent, gone):
                with monkeypatch.context() as patched:
                    patched.setattr(Pool, "fetchval", broken)
                    async with asyncio.timeout(5):
                        assert (await anybody.get("/health")).status_code == 503
            assert (await anybody.get("/health")).status_code == 200

    told(story())


@pytest.mark.parametrize(("after", "of_ctrl_c"), [(0.05, signal.SIG_IGN), (0.2, signal.SIG_DFL), (0.4, signal.SIG_DFL)])
def test_a_hub_that_is_told_to_end_before_it_is_open_leaves_nothing_running(after, of_ctrl_c):
    """Also where a shell has Ctrl-C ignored by what it starts in the background."""
    with _beginning(after, of_ctrl_c) as (home, process):
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0 and "The hub is closed." in said and "Traceback" not in said, said
        assert not [pid for pid in Path("/proc").glob("[0-9]*") if _runs_on(pid, home)]
        assert Embedded(home).own() and not (home / "postgres" / "postmaster.pid").exists()


def test_a_hub_that_is_told_to_end_while_a_process_is_begun_ends_that_too(monkeypatch):
    """The signal comes when the process runs and nobody knows of it yet."""
    begun = []

    class Begun(subprocess.Popen):
        def __init__(self, command, **settings):
            super().__init__(command, **settings)
            if isinstance(command, list) and "-D" in command:
                begun.append(self)
                signal.raise_signal(signal.SIGINT)

    home = Path(tempfile.mkdtemp(prefix="hub-early-"))
    home.chmod(0o711)
    embedded = Embedded(home)
    assert embedded.own()
    for name in ("initdb", "postgres"):
        begun.clear()
        monkeypatch.setattr("hub.cluster.subprocess.Popen", Begun)
        with pytest.raises(KeyboardInterrupt):
            embedded.start()
        monkeypatch.undo()
        assert begun[-1].args[0].endswith(name)
        if name == "postgres":
            embedded.stop()
        assert begun[-1].poll() is not None
        assert not [pid for pid in Path("/proc").glob("[0-9]*") if _runs_on(pid, home)]
        if name == "initdb":
            embedded._initdb(embedded._bin())
    shutil.rmtree(home)


def test_an_end_that_python_drops_is_heeded_all_the_same():
    """What a signal's handler raises while a process is being forked is printed and dropped."""
    ending = Ending()
    with pytest.raises(KeyboardInterrupt):
        ending()
    with pytest.raises(KeyboardInterrupt):
        ending.heed()
    Ending().heed()


@pytest.mark.parametrize("dropped", [KeyboardInterrupt, ValueError])
def test_ctrl_c_that_python_drops_is_heeded_and_a_fault_is_told(monkeypatch, capsys, dropped):
    ending = Ending()
    monkeypatch.setattr(sys, "unraisablehook", ending.dropped)

    class Dropping:
        def __del__(self):
            raise dropped

    Dropping()
    if dropped is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            ending.heed()
    else:
        ending.heed()
    assert ("Dropping.__del__" in capsys.readouterr().err) == (dropped is ValueError)


def test_a_hub_that_is_killed_while_its_database_is_made_is_started_again_at_once():
    """What was at work for it goes on for a moment, and writes into nothing that the next one makes."""
    with _beginning(0.2) as (home, process):
        process.kill()
        process.communicate(timeout=60)
        again = Embedded(home)
        # A process that it had only just begun may hold what it held, until it is the program that it is to be.
        deadline = time.monotonic() + 10
        while not again.own():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        again.start()
        assert again.accepts()
        again.stop()
        deadline = time.monotonic() + 20
        while left := [pid for pid in Path("/proc").glob("[0-9]*") if _runs_on(pid, home)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


@contextlib.contextmanager
def _beginning(after, of_ctrl_c=signal.SIG_DFL):
    """A hub that is started for the first time, so many seconds after it said so; its folder, and its process."""
    home = Path(tempfile.mkdtemp(prefix="hub-early-"))
    home.chmod(0o711)
    env = {name: value for name, value in os.environ.items() if name != "HUB_DATABASE_URL"}
    env |= {"HUB_HOME": str(home), "HUB_ORIGIN": "trial.invalid/log"}
    command = [sys.executable, "-m", "hub", "serve", "--port", str(free_port())]
    process = subprocess.Popen(
        command,
        env=env,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, of_ctrl_c),
    )
    assert "A hub is made: starting PostgreSQL" in process.stderr.readline()
    time.sleep(after)
    yield home, process
    shutil.rmtree(home)


def _command(process):
    with contextlib.suppress(OSError):  # it has ended meanwhile
        return (process / "cmdline").read_bytes()
    return b""


def _runs_on(process, home):
    with contextlib.suppress(OSError):
        return str(home).encode() in _command(process) or home in (process / "cwd").resolve().parents
    return False


def test_lines_of_the_log_say_when_and_hold_no_values(capsys):
    def said(error, message="a page failed"):
        record = logging.makeLogRecord({"msg": message, "levelname": "ERROR", "created": 0.0})
        record.exc_info = (type(error), error, error.__traceback__)
        return Lines().format(record)

    detail = "too many connections\nDETAIL: (email)=(zarina@example.org)"
    assert said(asyncpg.TooManyConnectionsError(detail)) == (
        "1970-01-01T00:00:00Z ERROR a page failed: too many connections"
    )
    assert said(ConnectionRefusedError(111, "refused")).endswith("a page failed: [Errno 111] refused")
    # What nobody has foreseen is told whole.
    for bug in (KeyError("x"), asyncpg.UndefinedColumnError("column p.nmae"), FileNotFoundError(2, "none", "a.html")):
        assert type(bug).__name__ in said(bug)
    assert said(OSError("x"), "first\n2026-01-01T00:00:00Z ERROR forged").count("\n") == 0
