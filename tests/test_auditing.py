"""The command line of those who seal, witness, mirror and restore; and the processes behind it."""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from hub_audit.dates import FALSE
from hub_audit.notes import Policy as Pinned

from hub.audit import mirror
from hub.audit.mirror import Forged, Mirror
from hub.audit.notes import Checkpoint
from hub.audit.policy import Policy
from hub.door import Hub
from hub.vault import close_box
from tests.sealed import MODELS, SEALED, Region, as_root, audit, processes, until_sealed, witness_of
from tests.test_log import told
from tests.web import free_port, home_of, hub, opened


def until(condition, seconds=20):
    """Wait until something holds, and answer it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def demonstration(region):
    """``hub serve --demo`` as a process whose output is read; its first lines, and the process."""
    port = free_port()
    env = {**os.environ, "HUB_DATABASE_URL": region.dsn, "HUB_HOME": str(region.home)}
    command = [sys.executable, "-m", "hub", "serve", "--demo", "--port", str(port)]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    try:
        lines = []
        while not any("fsck" in line for line in lines):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        yield f"http://127.0.0.1:{port}", lines, process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stderr.close()


def test_the_three_commands_of_the_demonstration_work_as_they_are_printed(sealed):
    with demonstration(sealed) as (url, lines, _):
        until(lambda: _answers(url))
        until_sealed(url, SEALED)
        commands = [line.strip() for line in lines if "hub-audit" in line]
        assert len(commands) == 3
        for command in commands:
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
            assert done.returncode == 0, (command, done)
        assert f"{SEALED} events, their times, their tiles and their root are right; who has signed" in done.stdout


def _answers(url):
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(f"{url}/log/checkpoint").status_code == 200


def test_nothing_is_left_running_when_the_hub_is_killed(sealed):
    with demonstration(sealed) as (url, _, process):
        until(lambda: _answers(url))
        folder = f"{sealed.home}/demonstration"
        witnesses = processes("hub.region.witnesses", folder)
        followers = [pid for pid in processes("hub.audit.following") if _parent(pid) == process.pid]
        assert len(witnesses) == 1 + 5 and len(followers) == 1
        process.kill()
        process.wait()
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in (*witnesses, *followers)))
    with demonstration(sealed) as (url, _, process):
        until(lambda: _answers(url))
        assert until_sealed(url, SEALED) == SEALED


def _parent(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


def test_a_follower_that_is_killed_is_started_again(sealed):
    with demonstration(sealed) as (url, _, process):
        until(lambda: _answers(url))
        (follower,) = [pid for pid in processes("hub.audit.following") if _parent(pid) == process.pid]
        os.kill(follower, signal.SIGKILL)
        assert hub(sealed.dsn, "seal")[0] == 0
        assert until_sealed(url, SEALED + MODELS) == SEALED + MODELS


def test_key_and_policy_are_printed_as_others_read_them(sealed):
    code, vkey, _ = hub(sealed.dsn, "key", "show")
    assert code == 0 and vkey.strip() in sealed.policy.read_text()
    # The demonstration's witnesses; without a policy file the hub seals alone, and says so.
    code, text, _ = hub(sealed.dsn, "policy")
    assert code == 0 and len(Policy.parse(text).witnesses) == 5
    shutil.rmtree(sealed.home / "demonstration")
    code, text, _ = hub(sealed.dsn, "policy")
    assert code == 0 and Policy.parse(text).quorum == "none" == Pinned(text, "it").quorum
    assert next(iter(Policy.parse(text).logs.values())).vkey == vkey.strip()
    shutil.copy(sealed.policy, sealed.home / "policy")
    code, text, _ = hub(sealed.dsn, "policy")
    assert code == 0 and len(Policy.parse(text).witnesses) == len(Pinned(text, "it").witnesses) == 5
    (sealed.home / "policy").write_text("quorum nobody")
    for words in (("policy",), ("serve", "--port", str(free_port()))):
        code, _, said = hub(sealed.dsn, *words)
        assert code == 2 and "line 1" in said
    (sealed.home / "log.key").chmod(0o644)
    code, _, said = hub(sealed.dsn, "key", "show")
    assert code == 2 and "chmod 600" in said


@contextlib.contextmanager
def mirroring(region, url, folder, *words):
    """``hub mirror`` as a process."""
    env = {**os.environ, "HUB_DATABASE_URL": region.dsn, "HUB_HOME": str(region.home)}
    command = [sys.executable, "-m", "hub", "mirror", f"{url}/log", str(folder), "--policy", str(region.policy)]
    command += ["--token-file", str(region.token), "--every", "0.2", *map(str, words)]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stderr.close()


def size(folder):
    with contextlib.suppress(FileNotFoundError):
        return Checkpoint.parse((folder / "checkpoint").read_bytes()).head.size
    return 0


def test_a_mirror_follows_and_serves_the_same_addresses(sealed, tmp_path):
    folder, readers = tmp_path / "mirror", tmp_path / "readers"
    readers.write_text(hashlib.sha256(b"a-reader-of-the-mirror").hexdigest() + "\n")
    port = free_port()
    with sealed.open() as url:
        until_sealed(url, SEALED)
        with mirroring(sealed, url, folder, "--port", port, "--readers", readers):
            until(lambda: size(folder) == SEALED)
            assert hub(sealed.dsn, "seal")[0] == 0
            head = until_sealed(url, SEALED + MODELS)
            until(lambda: size(folder) == head)
            there, bearer = f"http://127.0.0.1:{port}", {"authorization": "Bearer a-reader-of-the-mirror"}
            for path in ("checkpoint", "tile/0/000", "tile/0/001.p/48", "tile/1/000.p/1"):
                assert httpx2.get(f"{there}/log/{path}").content, path
            assert httpx2.get(f"{there}/log/tile/entries/000").status_code == 401
            assert httpx2.get(f"{there}/log/proof/7").status_code == 401
            for path in ("tile/0/999", "tile/x", "tile/0/%2e%2e/%2e%2e/checkpoint", "proof/0", "proof/999", "proof/x"):
                assert httpx2.get(f"{there}/log/{path}", headers=bearer).status_code == 404, path
            proof = httpx2.get(f"{there}/log/proof/7", headers=bearer)
            (tmp_path / "proof").write_bytes(proof.content)
            assert audit("proof", tmp_path / "proof", "--policy", sealed.policy)[0] == 0
            (tmp_path / "token").write_text("a-reader-of-the-mirror")
            words = ("fetch", f"{there}/log", tmp_path / "fetched", "--token-file", tmp_path / "token")
            assert audit(*words)[0] == 0
        # What an auditor fetches from the mirror is what the hub has.
        assert audit("fsck", tmp_path / "fetched")[0] == 0
        assert audit("compare", tmp_path / "fetched", sealed.fetched, "--policy", sealed.policy)[0] == 0


def test_a_mirror_that_is_killed_goes_on_where_it_was(sealed, tmp_path):
    folder = tmp_path / "mirror"
    with sealed.open() as url:
        until_sealed(url, SEALED)
        for _ in range(6):
            with mirroring(sealed, url, folder) as process:
                time.sleep(0.9)
                process.kill()
        with mirroring(sealed, url, folder):
            until(lambda: size(folder) == SEALED)
    assert audit("fsck", folder)[0] == 0


@pytest.mark.parametrize("change", ["replace(data::text, 'seal', 'Seal')::json", "(data::text || ' ')::json"])
def test_a_mirror_accuses_a_hub_that_rewrites_what_was_mirrored(sealed, tmp_path, change):
    folder = tmp_path / "mirror"
    with sealed.open() as url:
        until_sealed(url, SEALED)
        words = ("mirror", f"{url}/log", folder, "--policy", sealed.policy, "--token-file", sealed.token, "--once")
        assert hub(sealed.dsn, *words)[0] == 0
        as_root(sealed.dsn, f"UPDATE hub.event SET data = {change} WHERE position = 290")
        assert hub(sealed.dsn, "seal")[0] == 0
        until_sealed(url, SEALED + MODELS)
        code, _, said = hub(sealed.dsn, *words)
        assert code == 1 and "evidence" in said
        evidence = json.loads(next(folder.glob("evidence/*.json")).read_text())
        policy = Policy.parse(sealed.policy.read_text())
        assert all(policy.logged(Checkpoint.parse(evidence[each].encode())) for each in ("old", "new"))
    # What was mirrored before is still whole.
    assert size(folder) == SEALED and audit("fsck", folder)[0] == 0


def test_a_mirror_accuses_a_hub_in_whose_quiet_log_an_event_was_put(sealed, tmp_path, monkeypatch):
    """Those who cosigned that there was none say when: what is dated clearly before that was not there."""
    policy, token = Policy.parse(sealed.policy.read_text()), sealed.token.read_text().strip()

    async def step(url):
        one = Mirror(f"{url}/log", tmp_path / "mirror", policy, lambda: token)
        try:
            return await one.step()
        finally:
            await one.close()

    with sealed.open() as url:
        until_sealed(url, SEALED)
        assert told(step(url)) == (SEALED, SEALED)
        after = "(SELECT max(at) + interval '1 second' FROM hub.event)"
        as_root(
            sealed.dsn,
            f"""INSERT INTO hub.event SELECT {SEALED + 1}, type, tags, actor, {after}, request, data FROM hub.event
                WHERE type = 'RoundOpened' ORDER BY position LIMIT 1""",
        )
        until_sealed(url, SEALED + 1)
        with monkeypatch.context() as apart, pytest.raises(Forged, match="was put in later"):
            apart.setattr(mirror, "APART", timedelta(minutes=-1))
            told(step(url))
        assert size(tmp_path / "mirror") == SEALED
        # What clocks may differ by accuses nobody; the auditor's program sees it so, too.
        assert mirror.APART.total_seconds() == FALSE
        assert told(step(url)) == (1, SEALED + 1)


def test_a_mirror_that_met_a_forgery_serves_on_what_it_had_verified(sealed, tmp_path):
    folder, port = tmp_path / "mirror", free_port()
    with sealed.open() as url:
        until_sealed(url, SEALED)
        with mirroring(sealed, url, folder, "--port", port) as process:
            until(lambda: size(folder) == SEALED)
            as_root(sealed.dsn, "UPDATE hub.event SET data = (data::text || ' ')::json WHERE position = 290")
            assert hub(sealed.dsn, "seal")[0] == 0
            until(lambda: list(folder.glob("evidence/*.json")))
            time.sleep(1)
            served = httpx2.get(f"http://127.0.0.1:{port}/log/checkpoint")
            assert served.status_code == 200 and f"\n{SEALED}\n" in served.text
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 1


def test_another_personal_value_is_shown_to_nobody(sealed, tmp_path):
    """Whoever has the database has the keys, and could close another name into a box: its digest is in the event."""

    async def forged():
        opened_ = await Hub.open(sealed.dsn)
        schema = opened_.models.schema
        person, name = await opened_.log.pool.fetchrow(
            f"SELECT id, name::text FROM {schema}.person ORDER BY id LIMIT 1"
        )
        own = json.loads(name)
        kid, secret = await opened_.vault.key(person)
        roles = f"SELECT person FROM {opened_.models.schema}.role WHERE role = 'auditor'"
        auditor = await opened_.log.pool.fetchval(roles)
        box = close_box(secret, kid, person, "name", "Somebody Else")[1]
        token = await opened_.identity.token(auditor, ["read", "mirror"], "m", 1)
        await opened_.close()
        return own["sealed"], box, token

    digest, box, token = asyncio.run(forged())
    as_root(sealed.dsn, f"UPDATE hub.box SET box = '\\x{box.hex()}' WHERE digest = '{digest}'")
    code, out, _ = hub(sealed.dsn, "doctor", "--json")
    assert code == 1 and json.loads(out)["names that cannot be read"] == 1
    assert "Somebody Else" not in hub(sealed.dsn, "people")[1]
    (tmp_path / "token").write_text(token)
    with sealed.open() as url:
        until_sealed(url, SEALED)
        words = ("--policy", sealed.policy, "--token-file", tmp_path / "token", "--once")
        code, _, said = hub(sealed.dsn, "mirror", f"{url}/log", tmp_path / "mirror", *words)
        assert code == 1 and digest in said


def test_a_mirror_that_may_not_read_or_is_away_says_so(sealed, tmp_path):
    words = ("mirror", "{}", tmp_path / "m", "--policy", sealed.policy, "--once")
    with sealed.open() as url:
        until_sealed(url, SEALED)
        code, _, said = hub(sealed.dsn, *(str(each).format(f"{url}/log") for each in words))
        assert code == 3 and "--token-file" in said
        stranger = tmp_path / "stranger"
        stranger.write_text(re.sub(r"\+[0-9a-f]{8}\+\S+", "+ecd4d2c5+AaXmb8xgxqbEOaNYbzoT9gu5jdUEUTr1nR6ap0pzRjN3", ""))
        code, _, said = hub(sealed.dsn, *(str(each).format(f"{url}/log") for each in words[:-3]), "--policy", stranger)
        assert code == 2 and "quorum" in said
    code, _, said = hub(sealed.dsn, *(str(each).format("http://127.0.0.1:1/log") for each in words))
    assert code == 3 and "cannot be reached" in said


def test_what_cannot_be_restored_changes_nothing(sealed, server, tmp_path, dsn):
    mirror = shutil.copytree(sealed.fetched, tmp_path / "mirror")
    assert hub(sealed.dsn, "backup", tmp_path / "backup")[0] == 0
    # Another history in the database.
    as_root(sealed.dsn, "UPDATE hub.event SET actor = 'somebody' WHERE position = 40")
    code, _, said = hub(sealed.dsn, "restore", mirror, "--policy", sealed.policy)
    assert code == 1 and "position 40" in said
    # A damaged mirror, into a database where nothing is.
    empty = Region(dsn)
    bundle = mirror / "tile/entries/000"
    whole = bundle.read_bytes()
    bundle.write_bytes(whole.replace(b"Umarov", b"Umarof"))
    code, _, said = hub(empty.dsn, "restore", mirror, "--policy", sealed.policy)
    assert code == 1 and "root that was signed" in said
    assert hub(empty.dsn, "log", "--json")[1] == ""
    # It leaves nothing that would keep a backup out.
    assert hub(empty.dsn, "restore", tmp_path / "backup")[0] == 0
    as_root(empty.dsn, "DROP SCHEMA hub CASCADE")
    shutil.rmtree(empty.home)
    bundle.write_bytes(whole)
    # A policy that asks for other signatures.
    other = tmp_path / "other"
    other.write_text(sealed.policy.read_text().replace("countries 4", "countries 5"))
    checkpoint = (mirror / "checkpoint").read_text()
    fewer = "\n".join(line for line in checkpoint.split("\n") if not line.startswith("— tm."))
    (mirror / "checkpoint").write_text(fewer)
    code, _, said = hub(empty.dsn, "restore", mirror, "--policy", other)
    assert code == 1 and "quorum" in said
    # Without a policy, and without a key of one's own, nothing says whose signature counts.
    code, _, said = hub(empty.dsn, "restore", mirror)
    assert code == 2 and "name the policy that you have pinned" in said
    # And then it is restored, by the hub's own policy.
    home_of(empty.dsn).mkdir(exist_ok=True)
    shutil.copy(sealed.home / "log.key", home_of(empty.dsn) / "log.key")
    shutil.copy(sealed.policy, home_of(empty.dsn) / "policy")
    code, out, said = hub(empty.dsn, "restore", mirror)
    assert code == 0 and f"{SEALED} of them" in out, said
    assert hub(empty.dsn, "verify")[0] == 0
    assert home_of(empty.dsn).exists()


def test_who_brings_a_log_back_from_a_mirror_seals_it_with_its_own_key(sealed, dsn):
    """Another one would sign a history that auditors know under the first, and nobody would be told."""
    home = home_of(dsn)
    code, _, said = hub(dsn, "restore", sealed.fetched, "--policy", sealed.policy)
    assert code == 1 and "bring log.key back before you serve" in said and not (home / "log.key").exists()
    code, _, said = hub(dsn, "serve", "--port", free_port(), HUB_ORIGIN="another.example/log")
    assert code == 1 and "bring it back from a backup" in said and "hub key replace" in said
    assert not (home / "log.key").exists()
    shutil.copy(sealed.home / "log.key", home / "log.key")
    with opened(dsn) as url:
        until_sealed(url, SEALED)


def test_a_key_that_is_lost_for_good_is_given_up_and_only_then_replaced(dsn):
    home = home_of(dsn)
    with opened(dsn) as url:
        until(lambda: _answers(url) or httpx2.get(f"{url}/status").status_code == 200)
        assert hub(dsn, "invite", "first@example.org", "--name", "First Person")[0] == 0
        until(lambda: (home / "log.head").exists())
        # Not under the hub that seals with it.
        code, _, said = hub(dsn, "key", "replace", "--yes")
        assert code == 3 and "stop it before" in said and (home / "log.key").exists()
    old = hub(dsn, "key", "show")[1].strip()
    code, out, said = hub(dsn, "key", "replace", "--yes")
    assert code == 0 and old in out, said
    assert not (home / "log.key").exists() and len(list(home.glob("log.*.given-up-*"))) == 2
    with opened(dsn) as url:
        name = url.removeprefix("http://") + "/log"
        until(lambda: (home / "log.head").exists() and (home / "log.head").read_text().startswith(f"{name}\n"))
        new = hub(dsn, "key", "show")[1].strip()
        assert new.startswith(f"{name}+") and new != old
    assert hub(dsn, "verify")[0] == 0


def test_the_first_start_makes_the_key_and_a_lost_one_is_never_replaced(empty_dsn):
    home = home_of(empty_dsn)
    shutil.rmtree(home)
    for words in (("key", "show"), ("policy",)):
        code, _, said = hub(empty_dsn, *words)
        assert code == 1 and "hub serve" in said and not (home / "log.key").exists()
    # A name that stays for good is asked for, not guessed.
    code, _, said = hub(empty_dsn, "serve", "--port", free_port())
    assert code == 2 and "HUB_URL=" in said and not (home / "log.key").exists()
    code, _, said = hub("", "serve", "--port", free_port(), home=home / "new")
    assert code == 2 and "HUB_URL=" in said and not (home / "new").exists()
    with opened(empty_dsn) as url:
        until(lambda: _answers(url) or httpx2.get(f"{url}/status").status_code == 200)
        assert (home / "log.key").stat().st_mode & 0o777 == 0o600
        code, vkey, _ = hub(empty_dsn, "key", "show")
        assert code == 0 and vkey.startswith(url.removeprefix("http://") + "/log+")
        code, out, _ = hub(empty_dsn, "doctor")
        assert code == 0 and "none is asked: the hub seals alone" in out
    # Where it was served last is where its links lead.
    assert url in hub(empty_dsn, "invite", "first@example.org", "--name", "First Person")[1]
    kept = (home / "log.key").read_bytes()
    (home / "log.key").unlink()
    code, _, said = hub(empty_dsn, "serve", "--port", free_port())
    assert code == 1 and "bring it back from a backup" in said and not (home / "log.key").exists()
    (home / "log.key").write_bytes(kept.replace(b"+A", b"+B"))
    (home / "log.key").chmod(0o600)
    code, _, said = hub(empty_dsn, "serve", "--port", free_port())
    assert code in (1, 2) and "key" in said


def test_doctor_says_what_was_lost_and_whose_signature_is_missing(sealed):
    assert hub(sealed.dsn, "doctor")[0] == 0
    as_root(sealed.dsn, *(f"DELETE FROM hub.{table} WHERE position = {SEALED}" for table in ("event", "tag")))
    code, out, _ = hub(sealed.dsn, "doctor")
    assert code == 1 and "hub restore" in out
    (sealed.home / "log.head").unlink()
    (sealed.home / "policy").write_text("witness x")
    code, out, _ = hub(sealed.dsn, "doctor")
    assert code == 1 and "line 1 of the policy" in out


@pytest.mark.parametrize("gone", [100, SEALED])
def test_a_log_with_a_hole_is_named_by_whatever_reads_it_all(sealed, tmp_path, gone):
    assert hub(sealed.dsn, "invite", "next@example.org", "--name", "Next")[0] == 0
    gone_from = [f"DELETE FROM hub.{table} WHERE position = {gone}" for table in ("event", "tag")]
    as_root(sealed.dsn, *gone_from)
    for words in (("verify",), ("backup", tmp_path / "b"), ("rebuild",), ("rebuild", "--tree")):
        code, out, said = hub(sealed.dsn, *words)
        assert code == 1, (words, out, said)
    assert not (tmp_path / "b").exists()


def test_what_was_signed_is_remembered_beside_the_database(sealed, tmp_path):
    """Who changes an event and deletes the heads that were signed over it is met by the one that HUB_HOME keeps."""
    as_root(
        sealed.dsn,
        "UPDATE hub.event SET at = at - interval '1 microsecond' WHERE position = 1",
        "DELETE FROM hub.cosignature",
        "DELETE FROM hub.head",
    )
    for words in (("verify",), ("backup", tmp_path / "b"), ("rebuild",), ("rebuild", "--tree")):
        code, out, said = hub(sealed.dsn, *words)
        assert code == 1, (words, out, said)


def test_a_quorum_that_is_silent_is_said_to_be(sealed):
    with demonstration(sealed) as (url, _, _):
        until(lambda: _answers(url))
        until_sealed(url, SEALED)
        for country in ("tj", "kg"):
            os.kill(witness_of(sealed.home, country), signal.SIGKILL)
        assert hub(sealed.dsn, "invite", "silent@example.org", "--name", "Silent")[0] == 0

        def complains():
            as_root(sealed.dsn, "UPDATE hub.head SET at = at - interval '2 minutes' WHERE NOT witnessed")
            code, out, _ = hub(sealed.dsn, "doctor")
            print(code, out)  # shown where the test fails
            return code == 1 and "no quorum of witnesses has cosigned since" in out and "tj: " in out

        until(complains, 60)
        page = httpx2.get(f"{url}/status").text
        assert "tj: " in page and "Waits to be cosigned" in page
        ask = {"query": "{ hub { sealWaitsSince } }"}
        since = httpx2.post(f"{url}/graphql", json=ask).json()["data"]["hub"]["sealWaitsSince"]
        assert datetime.fromisoformat(since) < datetime.now(UTC) - timedelta(minutes=1)


def test_names_whose_keys_are_lost_are_not_called_erased(sealed, tmp_path):
    as_root(sealed.dsn.replace("?", "_keys?", 1), "DELETE FROM key")
    code, _, said = hub(sealed.dsn, "restore", sealed.fetched, "--policy", sealed.policy)
    assert code == 0 and "people's names cannot be read" in said and "log.key" not in said
    with sealed.open() as url:
        auditor = {"authorization": f"Bearer {sealed.token.read_text().strip()}"}
        found = httpx2.post(f"{url}/graphql", json={"query": "{ me { name } }"}, headers=auditor).json()
        assert found["data"]["me"]["name"] == "unreadable"
