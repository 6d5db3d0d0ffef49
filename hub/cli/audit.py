"""``hub key``, ``hub policy``, ``hub seal``, ``hub witness``, ``hub mirror``, ``hub restore``."""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click

from hub import settings
from hub.audit.following import caught_up, policy_of, seal_models
from hub.audit.following import lost as missing_events
from hub.audit.heads import LastHead
from hub.audit.notes import LOG, Malformed, Signer
from hub.audit.policy import Policy
from hub.audit.restore import Different
from hub.audit.restore import restore as restored
from hub.audit.witness import Taken
from hub.audit.witness import run as run_witness
from hub.cli.backups import is_backup
from hub.cli.console import err, failing, opened, shown
from hub.cli.persons import unreadable
from hub.cli.restoring import bring_back
from hub.connecting import connect
from hub.database import database, default_home
from hub.door import Hub
from hub.dumps import Unfit
from hub.locks import Lock
from hub.log import make_databases
from hub.programs import Unavailable
from hub.settings import address, policy_file


def origin() -> str:
    """What the log is called in its checkpoints: ``HUB_ORIGIN``, else the hub's address; fixed with the first key."""
    parts = urlsplit(address())
    return os.environ.get("HUB_ORIGIN") or f"{parts.netloc}{parts.path}/log"


UNNAMED = """Before the first start, say where people will reach this hub: HUB_URL=https://hub.example hub serve
Its log is called after that address for good, and auditors know it by that name. To try a hub out on this machine only:
HUB_ORIGIN=trial.invalid/log hub serve. With invented people in it: hub serve --demo."""


def unnamed(home: Path) -> str:
    """What to say where a hub is begun whose log would have no name; empty where it has one, or may have."""
    begun = os.environ.get("HUB_DATABASE_URL") or (home / "log.key").exists() or (home / "postgres").exists()
    return "" if begun or settings.is_named() else UNNAMED


_SIGNED = "SELECT EXISTS (SELECT FROM hub.head)"


async def sealing_key(hub: Hub, home: Path, demo: bool) -> Signer:
    """The key that seals this log, made where it has none yet; leaves where the log is another key's.

    A lost key is never replaced by itself: whoever verifies would see another log. Nor is a name that stays for good
    ever guessed, but for a demonstration.
    """
    file, known = home / "log.key", await hub.log.pool.fetchval("SELECT vkey FROM hub.sealer")
    if known is not None and not file.exists():
        err.print(
            f"This log is sealed with the key {known}, and {file} is not there: bring it back from a backup. Where it "
            "is lost for good: hub key replace"
        )
        sys.exit(1)
    made = not file.exists()
    if made and not demo and not settings.is_named():
        err.print(UNNAMED)
        sys.exit(2)
    try:
        home.mkdir(parents=True, exist_ok=True)
        signer = Signer.kept(file, origin(), LOG)
    except (OSError, Malformed) as error:
        err.print(f"The log's key cannot be used: {error}")
        sys.exit(2)
    if known is not None and signer.verifier.vkey != known:
        err.print(f"This log is sealed with the key {known}, and {file} holds another: bring its own back.")
        sys.exit(1)
    if known is not None and not (home / "log.head").exists() and await hub.log.pool.fetchval(_SIGNED):
        err.print(
            f"{home / 'log.head'} is not there: it remembers what was signed last where the database is put back. "
            "The next seal makes it; where a backup has it, compare that one first."
        )
    if made:
        err.print(f"The key that seals the log was made; the log is called “{signer.name}” for good.")
    elif (os.environ.get("HUB_ORIGIN") or signer.name) != signer.name:
        err.print(f"HUB_ORIGIN is ignored: the log is called “{signer.name}” since its key was made.")
    return signer


def _key() -> Signer:
    file = default_home() / "log.key"
    try:
        signer, last = Signer.read(file), LastHead(default_home() / "log.head").read()
        if last is not None and last.origin != signer.name:
            err.print(
                f"{file} is the key of “{signer.name}”, and this log is called “{last.origin}”: bring its own back."
            )
            sys.exit(1)
        return signer
    except FileNotFoundError:
        err.print(f"There is no key in {default_home()} yet: the first “hub serve” makes it.")
        sys.exit(1)
    except (OSError, Malformed) as error:
        err.print(f"The log's key cannot be used: {error}")
        sys.exit(2)


@click.group()
def key() -> None:
    """The key that seals the log."""


@key.command("show")
def key_show() -> None:
    """Print the public half of the log's key, as verifiers and witnesses take it (C2SP signed-note)."""
    click.echo(_key().verifier.vkey)


@key.command("replace")
@click.option("--yes", is_flag=True, help="Do not ask.")
def key_replace(yes: bool) -> None:
    """Give up the log's key, where it is lost or was stolen: the next “hub serve” makes another one.

    Whoever verifies sees another log from then on: give it another name (HUB_ORIGIN), and tell auditors and witnesses
    its key. No event changes; what was signed until now is proven by mirrors and by what auditors hold. The files of
    the old key are kept, under other names. Stop the hub before.
    """
    home = default_home()

    async def story(hub: Hub) -> tuple[str | None, int]:
        db = await connect(hub.log.dsn)
        try:
            async with db.transaction():
                if not await db.fetchval(f"SELECT pg_try_advisory_xact_lock({Lock.FOLLOWER})"):
                    raise Unavailable("A hub is sealing this log: stop it before.")
                await db.execute("DELETE FROM hub.cosignature")
                heads = await db.fetchval("WITH gone AS (DELETE FROM hub.head RETURNING 1) SELECT count(*) FROM gone")
                return await db.fetchval("DELETE FROM hub.sealer RETURNING vkey"), heads
        finally:
            await db.close()

    if not yes:
        click.confirm("Every auditor and witness has to be told the new key. Go on?", abort=True)
    given_up, heads = opened(story)
    for name in ("log.key", "log.head"):
        if (home / name).exists():
            (home / name).rename(home / f"{name}.given-up-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    if given_up is None:
        click.echo("No key had sealed this log.")
    else:
        click.echo(f"Given up: {given_up}, and {heads:,} heads that it had signed. “hub serve” makes another key.")


@click.command()
def policy() -> None:
    """Print what auditors pin: the log's key, its witnesses and their quorum (C2SP tlog-policy).

    The file “policy” in HUB_HOME, or the one that HUB_POLICY names, holds the witnesses; without it there are none.
    """
    if said := settings.wrong():
        raise click.UsageError(said)
    click.echo(_own_policy(), nl=False)


def _own_policy() -> str:
    signer, file = _key(), policy_file()
    if not file.exists() and (demonstration := default_home() / "demonstration" / "policy").exists():
        file = demonstration
    try:
        known = policy_of(file)
    except Malformed as error:
        err.print(f"{file}: {error}")
        sys.exit(2)
    own = "" if signer.verifier.vkey in known.logs else f"log {signer.verifier.vkey} {address()}/log\n"
    return own + (file.read_text().rstrip("\n") if file.exists() else "quorum none") + "\n"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as JSON.")
def seal(as_json: bool) -> None:
    """Seal the read models now: record, as events, what each of them is."""
    shown(opened(seal_models, records=True), as_json)


@click.command()
@click.argument("name")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--log", "logs", multiple=True, required=True, help="The key of a log to cosign: see hub key show.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8100, show_default=True, type=click.IntRange(0, 65535))
def witness(name: str, folder: Path, logs: tuple[str, ...], host: str, port: int) -> None:
    """Run a witness: cosign a hub's log as long as nothing of it is changed (C2SP tlog-witness).

    NAME is what the witness is called, such as witness.example.org/hub; FOLDER keeps its key and the last head of each
    log. It needs no database, and belongs to somebody who does not run the hub.
    """
    try:
        run_witness(name, folder, list(logs), host, port)
    except KeyboardInterrupt:
        sys.exit(0)
    except (Malformed, Taken, OSError) as error:
        err.print(f"The witness cannot run: {error}")
        sys.exit(2)


def pinned(file: Path | None) -> Policy:
    """The policy that somebody has pinned, or this hub's own; a usage error where it names no log."""
    if file is None and not (default_home() / "log.key").exists():
        raise click.UsageError(
            f"--policy: no key in {default_home()} says whose signature counts: name the policy that you have pinned."
        )
    try:
        known = Policy.parse(_own_policy() if file is None else file.read_bytes().decode())
    except (OSError, UnicodeDecodeError, Malformed) as error:
        raise click.UsageError(f"--policy: {error}") from None
    if not known.logs:
        raise click.UsageError("--policy: no log is named in it.")
    return known


with_policy = click.option(
    "--policy",
    "policy_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The C2SP tlog-policy that you have pinned; left out, this hub's own: see hub policy.",
)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@with_policy
def restore(folder: Path, policy_path: Path | None) -> None:
    """Bring a hub back from the FOLDER of a backup, or of a mirror; read models are made anew. Stop the hub before.

    A backup (see hub backup) is brought back into an empty database: log, personal data, the log's key. A mirror is
    verified first, and brings back the whole log into an empty database, or what is missing at its end, as after an
    older backup; personal names come back where it holds their sealed values and the keys' own database was kept.
    """
    home = default_home()
    if is_backup(folder) and policy_path is not None:
        raise click.UsageError("--policy is for a mirror, and this is a backup.")
    if not is_backup(folder) and not (folder / "checkpoint").exists():
        raise click.UsageError(f"{folder} is the folder of neither a backup nor a mirror.")
    known = None if is_backup(folder) else pinned(policy_path)

    async def story(dsn: str) -> tuple[str, int, str]:
        if known is None:
            await bring_back(dsn, home, folder)
            said = (
                "They are as they were when the backup was made. Where a mirror holds more, bring that back now, "
                "before this is served: “hub restore DIR --policy FILE”."
            )
        else:
            dsn, _ = await make_databases(dsn)
            _, new = await restored(dsn, folder, known, lambda at: err.print(f"Position {at:,}", style="dim"))
            said = f"{new:,} of them came from the mirror; their root is the one that was signed."
        hub = await Hub.open(dsn)
        try:
            await caught_up(hub)
            said = f"{await hub.log.head():,} events are here. {said}"
            missing = await missing_events(hub, home)
            if not (home / "log.key").exists() and await hub.log.pool.fetchval("SELECT vkey FROM hub.sealer"):
                missing += f" The key that seals the log is not in {home}: bring log.key back before you serve."
            return said, await unreadable(hub), missing.strip()
        finally:
            await hub.close()

    with failing(), database(home, lambda text: err.print(text, style="dim"), alone=True, makes=True) as dsn:
        try:
            said, lost, missing = asyncio.run(story(dsn))
        except (Malformed, Different, Unfit) as error:
            err.print(f"Nothing was restored: {error}")
            sys.exit(1)
        except PermissionError as error:
            if error.filename is None:
                raise
            err.print(f"Nothing was restored: {error.filename}: {error.strerror}.")
            sys.exit(1)
    click.echo(said)
    if lost:
        err.print(
            f"{lost:,} people's names cannot be read: the keys' own database (…_keys), or their sealed values, are not "
            "here. Bring that database back from a backup, and restore again from a mirror of sealed values (see hub "
            "token --scope mirror)."
        )
    err.print("Sessions and tokens do not come back: people sign in anew (hub link), programs get new tokens.")
    if missing:
        # It is here, and cannot be served like this.
        err.print(missing)
        sys.exit(1)
