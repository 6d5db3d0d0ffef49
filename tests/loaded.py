"""``hub`` as processes that begin with it loaded: one process loads it for a whole run, and forks the others.

Loading it is most of what starting it takes, and the tests start it a hundred times.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

_MOST = 200_000
"""Bytes that the words and the surroundings of one process may have."""


class Started:
    """A process, as ``subprocess`` shows it."""

    def __init__(self, pid, over):
        self.pid, self.returncode, self._over = pid, None, over

    def poll(self):
        """Its exit code; ``None`` while it runs."""
        return self._ended(0)

    def wait(self, timeout):
        """Its exit code, once it has ended; raises ``TimeoutExpired``."""
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return self.returncode

    def send_signal(self, number):
        """Signal it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _ended(self, timeout):
        if self.returncode is None and select.select([self._over], [], [], timeout)[0]:
            told = os.read(self._over, 16)
            os.close(self._over)
            # Nothing is told where whoever waits for it was killed itself.
            self.returncode = int(told) if told else -signal.SIGKILL
        return self.returncode


class Loader:
    """The process that has loaded the hub; it ends with whoever made it."""

    def __init__(self):
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.loaded", str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=Path(__file__).parent.parent)
        theirs.close()

    def start(self, words, env, said):
        """Start ``hub WORDS`` with these surroundings; what it says goes to the file ``said``."""
        over, told = os.pipe()
        asked = json.dumps([list(map(str, words)), dict(env), os.getcwd()]).encode()
        assert len(asked) < _MOST
        socket.send_fds(self._socket, [asked], [said.fileno(), told])
        os.close(told)
        return Started(int(self._socket.recv(16)), over)

    def close(self):
        """End it; what it has started goes on."""
        self._socket.close()
        self._process.wait()


def _serve(asked):
    """Fork a process for whatever is asked; answers its words in each of them, and nothing once nobody asks."""
    awake, told = os.pipe()
    for end in (awake, told):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Ctrl-C is for whoever started this; it ends when they are gone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    running = {}
    while True:
        ready = select.select([asked, awake], [], [])[0]
        if asked in ready:
            given, fds, _, _ = socket.recv_fds(asked, _MOST, 2)
            if not given:
                return None
            said, over = fds
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                for end in (1, 2):
                    os.dup2(said, end)
                for end in (asked.detach(), awake, told, said, over, *running.values()):
                    os.close(end)
                words, env, folder = json.loads(given)
                os.environ.clear()
                os.environ.update(env)
                os.chdir(folder)
                return words
            os.close(said)
            running[pid] = over
            asked.send(str(pid).encode())
        if awake in ready:
            os.read(awake, 4096)
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            over = running.pop(pid)
            os.write(over, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(over)


if __name__ == "__main__":
    import web.served  # noqa: F401  what is loaded for all of them
    from hub.cli.main import main
    from web.pages import SITE, text
    from web.reads.documents import prepared_once
    from web.schema import schema

    for page in SITE:
        prepared_once(schema(), text(page.name))

    given = _serve(socket.socket(fileno=int(sys.argv[1])))
    if given is not None:
        sys.argv = ["hub", *given]
        main()
