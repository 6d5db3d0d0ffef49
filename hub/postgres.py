"""The embedded PostgreSQL: started as a direct child, stopped with its hub, and found again after any crash."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from hub.cluster import Cluster, reachable
from hub.processes import is_postgres_of, until_known, working_in
from hub.programs import Unavailable

PORT = 5432
_STOP, _GOES = 30.0, 1.0
_SAID, _SELDOM = 30.0, 30.0
"""Seconds after which it is said that it still starts; and at most between two tries to start it again."""
_LOG = 10_000_000


class Embedded(Cluster):
    """One PostgreSQL over the data directory ``home``; only one process at a time may own it."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def dsn(self) -> str:
        """How to reach it: over a socket that only its owner may enter."""
        return f"postgresql://hub@/hub?host={quote(str(self._sockets))}&port={PORT}"

    def accepts(self) -> bool:
        """Whether it answers on its socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self._sockets / f".s.PGSQL.{PORT}"))
            except OSError:
                return False
            return True

    def own(self) -> bool:
        """Take the data directory; ``False`` where another process has it. The kernel frees it when we die."""
        if (owner := self._owner()) is not None:
            # Before anything is touched: what root changes here, its owner cannot use again.
            raise Unavailable(f"{self.home} belongs to “{owner}”: give the command as that user.")
        self._make(self.home, 0o711, owned=False)
        try:
            self._lock = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            what = f"{self.home} cannot be used: {error.strerror}. Set HUB_HOME to another folder."
            raise Unavailable(what) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            return False
        return True

    def start(self, say: Callable[[str], None] = lambda _: None, given_up: Callable[[], bool] = lambda: False) -> None:
        """Bring it up, whatever the last run left behind; raises ``Unavailable``. Needs ``own`` first.

        After a crash it may read its log for long before anybody can connect: it is waited for as long as it runs, or
        all that it did would begin anew; unless it is ``given_up``.
        """
        if self._user and not reachable(self.home):
            raise Unavailable(
                f"PostgreSQL does not run as root, and the user “nobody” cannot reach {self.home}: "
                "set HUB_HOME to a folder that everybody may enter, such as /var/lib/hub."
            )
        bin = self._bin()
        self._make(self._sockets, 0o700)
        self._stop_orphan()
        self._end_left()
        for left in self.home.glob("postgres.*.new"):
            shutil.rmtree(left, ignore_errors=True)
        if not (self._data / "PG_VERSION").exists():
            self._initdb(bin)
        elif (made := (self._data / "PG_VERSION").read_text().strip()) != (ours := str(self._major(bin))):
            raise Unavailable(
                f"The data in {self.home} were made by PostgreSQL {made}, and these programs are of {ours}: set "
                "HUB_POSTGRES_BIN to those of the other, or bring a backup back into a new folder (hub backup)."
            )
        for stale in self._sockets.glob(".s.PGSQL.*"):
            stale.unlink()
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        log = self.home / "postgres.log"
        if log.exists() and log.stat().st_size > _LOG:
            log.rename(log.with_name("postgres.log.1"))
        said = log.stat().st_size if log.exists() else 0
        options = {"listen_addresses": "", "unix_socket_directories": str(self._sockets), "timezone": "UTC"}
        # What was erased is not kept in a piece of the write-ahead log that waits to be used again.
        options["wal_recycle"] = "off"
        # Each process that serves may take some twenty, and eight of them are not too many for a large machine.
        options["max_connections"] = "250"
        command = [str(bin / "postgres"), "-D", str(self._data), "-p", str(PORT)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with log.open("ab") as out, until_known():
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **self._as_user()
            )
        began, told = time.monotonic(), _SAID
        while not self._ready(bin):
            if (waited := time.monotonic() - began) > told:
                say(f"PostgreSQL has not come up for {waited:.0f} s, and still starts: {log} says what it does")
                told += _SAID
            if given_up():
                raise Unavailable("PostgreSQL was still starting when the hub was told to end.")
            if self._process.poll() is not None:
                own = log.read_bytes()[said:].decode(errors="replace").strip().splitlines()
                worst = [line for line in own if "FATAL" in line or "PANIC" in line or "could not" in line] or own
                raise Unavailable(f"PostgreSQL did not start; {log} says: " + " / ".join(worst[-3:]))
            time.sleep(0.02 if waited < 10 else 0.5)

    @contextmanager
    def watched(self, say: Callable[[str], None]) -> Iterator[None]:
        """Start it again whenever it ends by itself, or is killed; who was connected connects anew."""
        over = threading.Event()

        def watch() -> None:
            wait = 0.5
            while not over.wait(wait):
                wait = 0.5 if self._process is None or self._process.poll() is None else min(2 * wait, _SELDOM)
                if wait > 0.5:
                    say("PostgreSQL has ended: starting it again")
                    try:
                        self.start(say, over.is_set)
                    except Exception as error:
                        say(str(error) or type(error).__name__)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def stop(self) -> None:
        """Stop it cleanly and give the data directory back."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_STOP)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._lock is not None:
            if self._process and self._sockets.parent != self.home:
                shutil.rmtree(self._sockets, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    @property
    def pid(self) -> int | None:
        """The server's process, while it is ours."""
        return self._process.pid if self._process else None

    def _ready(self, bin: Path) -> bool:
        asked = [str(bin / "pg_isready"), "-q", "-h", str(self._sockets), "-p", str(PORT)]
        return self.accepts() and (not (bin / "pg_isready").exists() or subprocess.run(asked).returncode == 0)

    def _stop_orphan(self) -> None:
        # We hold the lock, so a server that still runs here lost its hub: it is ours to stop.
        with suppress(OSError, ValueError, IndexError):
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            if not is_postgres_of(pid, self._data):
                return
            os.kill(pid, signal.SIGINT)
            deadline = time.monotonic() + _STOP
            while is_postgres_of(pid, self._data):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)

    def _end_left(self) -> None:
        # The server has gone. What it began hears of that where it waits for work, but not where it waits for what
        # another held who has gone: it would keep the memory that the next server asks for.
        deadline = time.monotonic() + _GOES
        while left := working_in(self._data):
            if time.monotonic() > deadline:
                for pid in left:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline + _STOP:
                return
            time.sleep(0.02)
