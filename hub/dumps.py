"""A database as a file and back, by PostgreSQL's own programs: no password stands on a command line."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from hub.programs import Unavailable, program

# Programs older than a server do not know its settings, but newer ones tell it of theirs: it needs none of that one.
_TOO_NEW = b"SET transaction_timeout = 0;\n"
_ENVIRONMENT = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "dbname": "PGDATABASE",
    "database": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


_MENDS = (
    (
        "SSL support is not compiled in",
        "The programs that came with the hub speak no TLS: install PostgreSQL's client programs, of the server's "
        "version or a later one, and name their folder in HUB_POSTGRES_BIN (on Debian, postgresql-client and "
        "/usr/lib/postgresql/VERSION/bin).",
    ),
    (
        "no encryption",
        "The server asks for TLS: add sslmode=verify-full to HUB_DATABASE_URL, and name PostgreSQL's own client "
        "programs in HUB_POSTGRES_BIN.",
    ),
    (
        "unsupported version",
        "The backup was made by later programs: name theirs, or later ones, in HUB_POSTGRES_BIN.",
    ),
    (
        "server version mismatch",
        "Name the client programs of the server's version, or later ones, in HUB_POSTGRES_BIN.",
    ),
)
"""What PostgreSQL's programs say, and what mends it."""


class Unfit(Exception):
    """A backup cannot be made or brought back; the message says why."""


def dump(dsn: str, to: Path, *words: str) -> None:
    """Write a database into a file that nobody else can read, durably; raises ``Unfit``."""
    with open(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        _run(["pg_dump", "--no-password", "--format=custom", *words], dsn, out)
        os.fsync(out.fileno())


def load(dsn: str, file: Path, *words: str) -> None:
    """Bring a file's tables into a database, all of them or none; raises ``Unfit``."""
    with tempfile.TemporaryFile() as script, tempfile.TemporaryFile() as fit:
        _run(["pg_restore", "--no-owner", "--no-comments", *words, "--file=-", str(file)], dsn, script)
        script.seek(0)
        fit.writelines(line for line in script if line != _TOO_NEW)
        fit.seek(0)
        quiet = ["--no-password", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"]
        _run(["psql", *quiet], dsn, subprocess.DEVNULL, fit)


def _run(command: list[str], dsn: str, out: Any, given: Any = subprocess.DEVNULL) -> None:
    # What an address holds is no argument: other users of the machine see those.
    env = {**os.environ, **_environment(dsn), "PGAPPNAME": "hub backup"}
    try:
        done = subprocess.run(
            [str(program(command[0])), *command[1:]], stdin=given, stdout=out, stderr=subprocess.PIPE, env=env
        )
    except OSError as error:
        raise Unavailable(
            f"{command[0]} cannot be run ({error.strerror}): HUB_POSTGRES_BIN names its folder."
        ) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-500:].removeprefix(f"{command[0]}: ")
        said += next((f"\n{words}" for what, words in _MENDS if what in said), "")
        raise Unfit(f"{command[0]}{f' of {Path(command[-1]).name}' if command[-1].endswith('.dump') else ''}: {said}")


def read(words: list[str], file: Path) -> bytes:
    """What ``pg_restore`` says of a file, or of what is in it; raises ``Unfit``."""
    with tempfile.TemporaryFile() as out:
        _run(["pg_restore", *words, str(file)], "", out)
        out.seek(0)
        return out.read()


def _environment(dsn: str) -> dict[str, str]:
    parts = urlsplit(dsn)
    user, _, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    places = [urlsplit(f"//{each}") for each in hosts.split(",")] if hosts else []
    found = {
        "PGHOST": ",".join(unquote(each.hostname or "") for each in places),
        "PGPORT": ",".join(str(each.port or "") for each in places),
        "PGUSER": unquote(name),
        "PGPASSWORD": unquote(password),
        "PGDATABASE": unquote(parts.path[1:]),
    }
    found |= {_ENVIRONMENT[key]: value for key, value in parse_qsl(parts.query) if key in _ENVIRONMENT}
    return {key: value for key, value in found.items() if value.strip(",")}
