"""The command line as its users meet it: import, do, log, rebuild, verify, forget."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from hub import database
from hub.cli.main import main
from hub.postgres import Embedded
from hub.programs import Unavailable
from tests.web import free_port, home_of

SHARED = Path(__file__).parent.parent.parent / "shared" / "data" / "ror-central-asia.json"


@pytest.fixture
def dsn(empty_dsn):
    """The command line meets a database in which there is no hub yet."""
    return empty_dsn


@pytest.fixture
def hub(server, dsn):
    """Run ``hub`` on a fresh database; answers exit code and what was printed."""

    def run(*words, home=None, stdin="", **given):
        env = {
            **os.environ,
            **given,
            "HUB_DATABASE_URL": dsn,
            "HUB_HOME": str(home or home_of(dsn)),
            "PORT": str(free_port()),
        }
        if home is None:
            done = CliRunner(env=env).invoke(main, [*map(str, words)], input=stdin)
            assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
            return done.exit_code, done.stdout, done.stderr
        del env["HUB_DATABASE_URL"]
        command = [sys.executable, "-m", "hub", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, input=stdin)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


def record(**changes):
    plain = {
        "id": "https://ror.org/02004hr86",
        "names": [{"value": "Umarov Institute", "types": ["ror_display", "label"], "lang": "en"}],
        "types": ["education"],
        "status": "active",
        "locations": [{"geonames_details": {"name": "Dushanbe", "country_code": "TJ", "lat": 38.54, "lng": 68.78}}],
        "links": [],
        "admin": {"last_modified": {"date": "2026-01-01"}},
    }
    return {**plain, **changes}


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED.name} is not here: ../shared/data is absent")
def test_all_of_central_asia_is_imported_once(hub):
    code, out, _ = hub("import", "ror", SHARED, "--json")
    assert (code, json.loads(out)) == (0, {"recorded": 225, "unchanged": 0, "inactive": 9, "malformed": 0})
    code, out, _ = hub("import", "ror", SHARED, "--json")
    assert (code, json.loads(out)) == (0, {"recorded": 0, "unchanged": 225, "inactive": 9, "malformed": 0})
    whole = "Identical at position 225: every row of the read models is what the events give.\n"
    unsigned = "The events' order, times and tags are right; no signed head is here that they could be compared with.\n"
    assert hub("verify")[:2] == (0, unsigned + whole)


def test_a_malformed_record_is_named_and_the_rest_goes_on(hub, tmp_path):
    file = tmp_path / "dump.zip"
    bad = [7, record(names=[]), record(id="https://ror.org/02004hr87"), record(locations=[]), {}]
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("v1.99_schema_v2.json", json.dumps([*bad, record()]))
    code, out, err = hub("import", "ror", file)
    assert (code, out) == (2, "1 recorded, 0 unchanged, 0 inactive, 5 malformed\n")
    assert all(f"record {n}:" in err for n in range(5)) and "record 5" not in err


def test_a_changed_record_becomes_an_event_and_an_inactive_one_closes(hub, tmp_path):
    file = tmp_path / "dump.json"
    for changes in ({}, {"types": ["facility"]}, {"status": "inactive"}, {"status": "withdrawn"}):
        file.write_text(json.dumps([record(**changes)]))
        assert hub("import", "ror", file)[0] == 0
    types = [json.loads(line)["type"] for line in hub("log", "--json")[1].splitlines()]
    assert types == ["OrganizationImported", "OrganizationImported", "OrganizationClosed"]


@pytest.mark.parametrize("text", ["", "{}", "[", "\x00", '"text"'])
def test_what_is_no_dump_is_said_to_be_none(hub, tmp_path, text):
    file = tmp_path / "dump.json"
    file.write_text(text)
    code, _, err = hub("import", "ror", file)
    assert code == 2 and "dump.json" in err


def test_from_the_first_person_to_a_call(hub):
    code, out, _ = hub("invite", "officer@example.org", "--name", "Officer", "--center-officer", "--json")
    invited = json.loads(out)
    person = invited["receipt"]["record"]
    assert code == 0 and "/sign-in/" in invited["link"]
    assert hub("do", "join-hub", "--person", person, "--as", person)[0] == 0
    assert "Nothing had to be done" in hub("do", "join-hub", "--person", person, "--as", person)[1]
    draft = [*DRAFT_CALL, "--as", person]
    code, out, _ = hub(*draft, "--criteria", "Excellence: 60", "--criteria", "Impact: 40", "--json")
    assert code == 0 and json.loads(out)["record"].startswith("call_")
    code, _, err = hub(*draft, "--criteria", "Excellence: 60")
    assert code == 2 and "--criteria: The weights of the criteria have to add up to 100; these are 60." in err
    code, _, err = hub(*draft, "--criteria", "Excellence: 60", "--title", "x", "--quorum", "99")
    assert code == 2 and all(f"--{each}: " in err for each in ("title", "quorum", "criteria"))
    code, _, err = hub(*draft, "--criteria", "Excellence")
    assert code == 2 and "Number 1 (“Excellence”) needs a name" in err
    code, _, err = hub("do", "publish-call", "--call", json.loads(out)["record"], "--as", "person_nobody")
    assert code == 1 and "NOT_PERMITTED" in err and "“person_nobody” is nobody who has joined" in err
    refused, told, _ = hub("do", "publish-call", "--call", json.loads(out)["record"], "--as", "person_nobody", "--json")
    assert refused == 1 and json.loads(told)["refusal"]["code"] == "NOT_PERMITTED"
    assert hub("rebuild")[0] == 0
    assert hub("do", "publish-call", "--call", json.loads(out)["record"], "--as", person)[0] == 0
    assert hub("verify")[0] == 0
    code, out, _ = hub("log", "--type", "PersonInvited")
    assert "Officer" not in out and "PersonInvited" in out
    # Whoever replays the log sees what was given here, in whosever name.
    keyed = [*draft, "--title", "Ice", "--criteria", "Excellence: 100", "--key", "once"]
    assert hub(*keyed)[0] == 0 and hub(*keyed)[0] == 0
    told = [json.loads(line) for line in hub("log", "--json")[1].splitlines()]
    assert all(each["request"].startswith("console") for each in told)
    assert len({each["request"] for each in told}) == len(told)
    assert [each["data"]["title"] for each in told if each["type"] == "CallDrafted"].count("Ice") == 1
    assert hub("forget", person, stdin="y\n")[0] == 0
    assert hub("forget", person, "--yes")[0] == 0
    # By the address under which somebody was invited, as for links and tokens.
    assert hub("invite", "soon.gone@example.org", "--name", "Soon Gone")[0] == 0
    assert hub("forget", "soon.gone@example.org", "--yes")[0] == 0
    code, _, said = hub("forget", "soon.gone@example.org", "--yes")
    assert code == 1 and "nobody of this address" in said
    assert hub("do", "draft-proposal", "--help")[0] == 0
    assert json.loads(hub("doctor", "--json")[1])["parked"] == []
    assert hub("verify")[0] == 0


@pytest.mark.parametrize("words", [["--after", "9" * 20], ["--after", "-1"], ["--tag", b"\xff"], ["--after", "x"]])
def test_what_cannot_be_looked_up_is_said_to_be_so(hub, dsn, words):
    assert hub("invite", "first@example.org", "--name", "First")[0] == 0
    env = {**os.environ, "HUB_DATABASE_URL": dsn, "HUB_HOME": str(home_of(dsn))}
    done = subprocess.run([sys.executable, "-m", "hub", "log", *words], capture_output=True, env=env, timeout=60)
    assert done.returncode == 2 and done.stderr and b"Traceback" not in done.stderr


def test_an_address_may_tell_what_only_other_clients_understand(dsn):
    url = f"{dsn}&connect_timeout=10&keepalives=1&channel_binding=prefer"
    env = {**os.environ, "HUB_DATABASE_URL": url, "HUB_HOME": str(home_of(dsn))}
    command = [sys.executable, "-m", "hub", "invite", "first@example.org", "--name", "First"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    # Two servers may be named, each with a port that one can be reached at.
    assert database._checked("postgresql://hub@a:5432,b:5433/hub") == "postgresql://hub@a:5432,b:5433/hub"
    with pytest.raises(Unavailable):
        database._checked("postgresql://hub@a:5432,b:0/hub")
    env["HUB_DATABASE_URL"] = f"{dsn}&frobnicate=1"
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 3 and "frobnicate" in done.stderr and "Is HUB_DATABASE_URL right?" in done.stderr


def test_an_unreachable_database_says_what_to_check():
    env = {**os.environ, "HUB_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/hub"}
    done = subprocess.run([sys.executable, "-m", "hub", "doctor"], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 3 and "HUB_DATABASE_URL" in done.stderr and "Traceback" not in done.stderr


def test_the_embedded_server_comes_back_after_kill_nine_of_hub_and_server(hub):
    home = Path(tempfile.mkdtemp(prefix="hub-kill-"))
    os.chmod(home, 0o711)
    env = {name: value for name, value in os.environ.items() if name != "HUB_DATABASE_URL"} | {"HUB_HOME": str(home)}
    try:
        assert hub("invite", "first@example.org", "--name", "First", home=home)[0] == 0
        for victims in ("hub", "server", "both"):
            follow = subprocess.Popen(
                [sys.executable, "-m", "hub", "log", "--follow"], env=env, stdout=subprocess.PIPE, text=True
            )
            assert "PersonInvited" in follow.stdout.readline()
            server = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
            # While it runs, another command works beside it.
            assert hub("doctor", home=home)[0] == 0
            if victims in ("server", "both"):
                os.kill(server, signal.SIGKILL)
            if victims in ("hub", "both"):
                os.kill(follow.pid, signal.SIGKILL)
            follow.terminate()
            follow.wait(30)
            follow.stdout.close()
            deadline = time.monotonic() + 20
            while True:
                code, out, err = hub("log", home=home)
                if code == 0 or time.monotonic() > deadline:
                    break
                time.sleep(0.1)
            assert code == 0 and out.count("PersonInvited") == 1, err
    finally:
        shutil.rmtree(home, ignore_errors=True)


OTHERS = {"PGSSLMODE": "verify-full", "PGHOSTADDR": "127.0.0.1", "PGTARGETSESSIONATTRS": "read-only", "PGTZ": "foo"}


def test_what_is_set_for_other_programs_of_postgresql_leads_the_hub_nowhere(hub, tmp_path):
    home = Path(tempfile.mkdtemp(prefix="hub-others-"))
    os.chmod(home, 0o711)
    try:
        given = {**OTHERS, "PGSERVICE": "nothing", "PGCLIENTENCODING": "LATIN1", "PGHOST": "db.invalid"}
        code, _, err = hub("invite", "first@example.org", "--name", "First", home=home, **given)
        assert code == 0, err
        code, _, err = hub("backup", tmp_path / "copy", home=home, **given)
        assert code == 0, err
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_an_address_leads_where_it_says_whatever_else_is_set(hub, tmp_path):
    given = {"PGHOSTADDR": "127.0.0.1", "PGSERVICE": "nothing"}
    assert hub("invite", "first@example.org", "--name", "First", **given)[0] == 0
    code, _, err = hub("backup", tmp_path / "copy", **given)
    assert code == 0, err


def test_sockets_are_found_however_long_the_path_of_the_data_and_whatever_is_temporary(tmp_path, monkeypatch):
    home = tmp_path / "Документы" / "Проекты лаборатории" / "Искусственный интеллект" / "Хаб"
    home.mkdir(parents=True)
    found = Embedded(home).dsn
    assert len(os.fsencode(re.search(r"host=([^&]+)", found)[1])) < 85
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert Embedded(home).dsn == found


@pytest.mark.parametrize("words", ["doctor", "serve", "verify", "policy", "key show", "backup x", "link a@b.org"])
def test_a_folder_of_data_that_is_none_is_said_to_be_none(hub, dsn, words):
    env = {**os.environ, "HUB_DATABASE_URL": dsn, "HUB_HOME": "/dev/null"}
    env.pop("PORT", None)
    command = [sys.executable, "-m", "hub", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 3 and done.stderr == "HUB_HOME is “/dev/null”: that is no folder.\n"


def test_who_reads_no_further_hears_of_no_difference(hub, dsn):
    assert hub("invite", "a@b.org", "--name", "Anna")[0] == 0
    env = {**os.environ, "HUB_DATABASE_URL": dsn, "HUB_HOME": str(home_of(dsn))}
    reader, writer = os.pipe()
    os.close(reader)
    for words in (("people", "--json"), ("--help",)):
        command = [sys.executable, "-m", "hub", *words]
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=env, timeout=60)
        assert done.returncode == 141 and done.stderr == b""
    os.close(writer)


@pytest.mark.parametrize(
    "url", ["garbage", "http://x/y", " x", "postgresql://127.0.0.1:99999/x", "postgresql://127.0.0.1/", "postgresql://"]
)
def test_an_address_that_is_none_says_what_is_asked_for(url):
    env = {**os.environ, "HUB_DATABASE_URL": url}
    done = subprocess.run([sys.executable, "-m", "hub", "doctor"], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 3 and "postgresql://USER@HOST" in done.stderr and "Traceback" not in done.stderr


DRAFT_CALL = ["do", "draft-call", "--title", "Water", "--summary", "Water and ice together"]
DRAFT_CALL += ["--opens-at", "2027-01-01T00:00:00Z", "--closes-at", "2027-02-01T00:00:00Z"]


def test_what_is_malformed_is_a_wrong_usage(hub):
    invite = ["do", "invite-person", "--name", "Anna", "--email", "a@b.org", "--as", "hub"]
    for words in (
        [*invite, "--key", "x" * 12_000],
        [*invite, "--key", "two words"],
        ["do", "submit-proposal", "--proposal", "x", "--as", "hub"],
        ["forget", "x", "--yes"],
        ["invite", "no-address", "--name", "Anna"],
        ["do", "invite-person", "--name", " ", "--email", "a@b.org", "--as", "hub"],
        [*DRAFT_CALL, "--criteria", "Excellence: " + "9" * 5_000, "--as", "hub"],
    ):
        code, _, err = hub(*words)
        assert code == 2 and err, words


@pytest.mark.parametrize("content", [b"[" * 200_000, b"PK\x03\x04 broken", b"PK\x05\x06" + b"\0" * 18])
def test_a_broken_dump_is_said_to_be_one(hub, tmp_path, content):
    file = tmp_path / "dump.zip"
    file.write_bytes(content)
    code, _, err = hub("import", "ror", file)
    assert code == 2 and "dump.zip" in err


def test_a_place_that_is_none_is_malformed(hub, tmp_path):
    file = tmp_path / "dump.json"
    place = {"geonames_details": {"name": "Dushanbe", "country_code": "TJ", "lat": float("nan"), "lng": 68.78}}
    file.write_text(json.dumps([record(locations=[place])]))
    code, _, err = hub("import", "ror", file)
    assert code == 2 and "latitude" in err


def test_who_reads_only_the_first_line_ends_what_follows_the_log(hub, dsn):
    assert hub("invite", "a@b.org", "--name", "Anna")[0] == 0
    env = {**os.environ, "HUB_DATABASE_URL": dsn, "HUB_HOME": str(home_of(dsn))}
    log = subprocess.Popen(
        [sys.executable, "-m", "hub", "log", "--follow"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    log.stdout.readline()
    log.stdout.close()
    assert hub("invite", "c@d.org", "--name", "Carl")[0] == 0
    assert log.wait(30) == 141 and log.stderr.read() == b""
    log.stderr.close()


@contextlib.contextmanager
def served(*words):
    """``hub serve`` on a data directory of its own: its address, and that directory."""
    home = Path(tempfile.mkdtemp(prefix="hub-served-"))
    os.chmod(home, 0o711)
    port = free_port()
    env = {name: value for name, value in os.environ.items() if name != "HUB_DATABASE_URL"}
    env |= {"HUB_HOME": str(home), "PORT": str(port), "HUB_ORIGIN": "trial.invalid/log"}
    command = [sys.executable, "-m", "hub", "serve", *words]
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while f"is open at http://127.0.0.1:{port}" not in (line := process.stderr.readline()):
            assert line, "the hub did not open"
        url = f"http://127.0.0.1:{port}"
        # What is said to be open is.
        assert httpx2.get(f"{url}/health").status_code == 200
        yield url, env, home
        # A service has no terminal that could be closed under it.
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert process.poll() is None and httpx2.get(f"{url}/health").status_code == 200
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stderr.close()
        shutil.rmtree(home, ignore_errors=True)


def wait_for(condition, seconds=20):
    """Until it holds; whatever it raises before is no answer yet."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx2.HTTPError):
            if condition():
                return
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.1)


def test_the_second_hub_on_one_data_directory_says_so_and_ends():
    with served() as (_, env, _):
        serve = [sys.executable, "-m", "hub", "serve"]
        other = subprocess.run(
            [*serve, "--port", str(free_port())], env=env, capture_output=True, text=True, timeout=60
        )
        assert other.returncode == 3 and "Another hub runs on" in other.stderr
        same = subprocess.run(serve, env=env, capture_output=True, text=True, timeout=60)
        assert same.returncode == 2 and f"Port {env['PORT']}" in same.stderr


QUERY = {"query": "{ calls { nodes { title } } proposals(orderBy: OLDEST) { totalCount nodes { title status } } }"}


@pytest.fixture
def standing():
    """A hub that was just opened: its address, its PostgreSQL's processes, the server first, and what it reads."""
    with served("--demo") as (url, _, home):
        before = httpx2.post(f"{url}/graphql", json=QUERY).json()
        assert before["data"]["proposals"]["totalCount"] > 1 and "errors" not in before
        server = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
        mine = Path(f"/proc/{server}/task/{server}/children").read_text() if sys.platform == "linux" else ""
        yield url, [server, *map(int, mine.split())], before


def read_again(url, before):
    """What is read once pages are shown again: what was read before, if that comes within twenty seconds."""
    wait_for(lambda: httpx2.get(f"{url}/calls").status_code == 200)
    deadline = time.monotonic() + 20
    while (read := httpx2.post(f"{url}/graphql", json=QUERY).json()) != before and time.monotonic() < deadline:
        time.sleep(0.1)
    return read


def test_a_hub_whose_postgresql_is_killed_says_so_and_goes_on_by_itself(standing):
    url, (server, *_), before = standing
    os.kill(server, signal.SIGKILL)
    time.sleep(0.1)
    page, answer = httpx2.get(f"{url}/calls"), httpx2.post(f"{url}/graphql", json=QUERY)
    for each in (page, answer):
        assert each.status_code in (200, 503) and "Internal Server Error" not in each.text
    assert read_again(url, before) == before


@pytest.mark.skipif(sys.platform != "linux", reason="whose a process is, is asked as Linux tells it")
def test_what_a_killed_postgresql_left_behind_and_never_notices_holds_up_nothing(standing):
    url, (server, *mine), before = standing
    # It holds the server's memory and never hears that the server has gone.
    deaf = mine[-1]
    os.kill(deaf, signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    try:
        assert read_again(url, before) == before
        assert not Path(f"/proc/{deaf}/cwd").exists()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(deaf, signal.SIGKILL)


def test_a_hub_of_real_people_is_never_served_as_the_demonstration(hub, dsn):
    assert hub("invite", "a@b.org", "--name", "Anna")[0] == 0
    code, _, err = hub("serve", "--demo", "--port", free_port())
    assert code == 2 and "without --demo" in " ".join(err.split())


def test_a_log_without_what_was_asked_for_says_so(hub):
    assert hub("invite", "a@b.org", "--name", "Anna")[0] == 0
    code, told, err = hub("log", "--tag", "person:nobody")
    assert (code, told) == (0, "") and "No event mentions “person:nobody”." in err
    assert "mentions" not in hub("log", "--after", "1000")[2]
