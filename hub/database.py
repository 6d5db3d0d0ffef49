"""Where the database is: at ``HUB_DATABASE_URL``, or in the hub's own folder."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from hub.postgres import Embedded
from hub.programs import Unavailable

_OF_LIBPQ = {
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
}
"""What addresses tell PostgreSQL's own client library, and the hub's client would take for settings of the server."""


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        # One of several servers, perhaps.
        ports = [urlsplit(f"//{each}").port for each in parts.netloc.rpartition("@")[2].split(",")]
        if parts.scheme in ("postgresql", "postgres") and parts.path.strip("/") and 0 not in ports:
            given = parse_qsl(parts.query, keep_blank_values=True)
            kept = [(name, value) for name, value in given if name not in _OF_LIBPQ]
            return url if kept == given else urlunsplit(parts._replace(query=urlencode(kept)))
    except ValueError:
        pass
    raise Unavailable("HUB_DATABASE_URL is no address of a database: postgresql://USER@HOST:PORT/NAME is asked for.")


def unset_others(*names: str) -> None:
    """Let nothing in the environment lead this process, and what it starts, to another database than the hub's: what is
    set for other programs of PostgreSQL, or for these ``names`` alone.
    """
    for name in [*os.environ]:
        if name.startswith("PG") and (not names or name in names):
            del os.environ[name]


@contextmanager
def database(
    home: Path, say: Callable[[str], None] = lambda _: None, *, alone: bool = False, makes: bool = False
) -> Iterator[str]:
    """The address of the database: ``HUB_DATABASE_URL``, a hub's that runs on ``home``, or our own embedded one.

    ``alone`` raises ``Unavailable`` where another hub runs on ``home``; so does an empty ``home``, unless this
    ``makes`` a hub there.
    """
    if url := os.environ.get("HUB_DATABASE_URL"):
        unset_others("PGHOSTADDR", "PGSERVICE")
        yield _checked(url)
        return
    unset_others()
    embedded = Embedded(home)
    if not makes and not embedded.exists():
        raise Unavailable(f"There is no hub in {home}: “hub serve” makes one; HUB_HOME names another folder.")
    if not embedded.own():
        if alone:
            raise Unavailable(f"Another hub runs on {home}: stop it first, or set HUB_HOME to another folder.")
        if not embedded.accepts():
            raise Unavailable(
                f"The hub that runs on {home} has no PostgreSQL now: it is starting or stopping, so try again in a "
                f"moment. {embedded.last_words()}".strip()
            )
        yield embedded.dsn
        return
    try:
        say(f"{'Starting PostgreSQL' if embedded.exists() else 'A hub is made: starting PostgreSQL'} in {home}")
        embedded.start(say)
        with embedded.watched(say):
            yield embedded.dsn
    finally:
        embedded.stop()


def default_home() -> Path:
    """Where data live: ``HUB_HOME``, else ``/var/lib/hub`` for root and ``~/.local/share/hub`` for others."""
    if given := os.environ.get("HUB_HOME"):
        try:
            home = Path(os.path.realpath(Path(given).expanduser()))
        except RuntimeError:
            raise Unavailable(f"HUB_HOME is “{given}”: there is no such user.") from None
        if os.path.exists(home) and not os.path.isdir(home):
            raise Unavailable(f"HUB_HOME is “{given}”: that is no folder.")
        return home
    if os.geteuid() == 0:
        return Path("/var/lib/hub")
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().resolve() / "hub"
