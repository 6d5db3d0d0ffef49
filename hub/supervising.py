"""The processes that serve: one, or several under a supervisor."""

import signal
import time
from contextlib import suppress

from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess, multiprocess

BUSY = 60
"""Seconds for which a process may be too busy to answer, before another one is begun in its place."""
LEAVING = 20
"""Seconds that the processes have to end, once they are told to."""


class Patient(multiprocess.Process):
    """Asked for a moment only, however busy it is: its supervisor has signals to hear."""

    heard: float | None = None

    def start(self) -> None:
        """Begin it. What a closed terminal asks is asked of its supervisor, and ignored by it from its beginning on."""
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            super().start()
        finally:
            signal.signal(signal.SIGHUP, before)

    def is_alive(self, timeout: float = BUSY) -> bool:
        """Whether it answers, or has not been silent for so long."""
        if not self.process.is_alive():
            return False
        with suppress(OSError, EOFError):
            while self.parent_conn.poll():
                # An answer to what was asked before says nothing of now.
                self.parent_conn.recv()
        if self.heard is None or self.ping(min(timeout, 1)):
            self.heard = time.monotonic()
        return time.monotonic() - self.heard < timeout


class Supervisor(Multiprocess):
    """Begins another process for each that ends; where one ``ends_with_terminal``, a closed one ends them all."""

    def __init__(self, config: Config, ends_with_terminal: bool) -> None:
        # What it begins later is as patient as what it begins first.
        multiprocess.Process = Patient  # type: ignore[misc]
        super().__init__(config, sockets=[config.bind_socket()])
        self._ends_with_terminal, self.told = ends_with_terminal, False

    def handle_int(self) -> None:
        """Ctrl-C, which ends them all."""
        self.told = True
        super().handle_int()

    def handle_term(self) -> None:
        """Told to end, as by Ctrl-C."""
        self.told = True
        super().handle_term()

    def handle_hup(self) -> None:
        """The terminal was closed."""
        if self._ends_with_terminal:
            self.handle_term()

    def join_all(self) -> None:
        """Wait until they have ended; not for one that hangs."""
        until = time.monotonic() + LEAVING
        for each in self.processes:
            each.process.join(max(0.0, until - time.monotonic()))
            if each.process.is_alive():
                each.process.kill()
                each.process.join()


def run(config: Config, ends_with_terminal: bool) -> bool:
    """Serve until told to end; answers whether it ever served, or was told to end before."""
    if config.workers > 1:
        supervisor = Supervisor(config, ends_with_terminal)
        supervisor.run()
        return supervisor.told or all(each.exitcode != STARTUP_FAILURE for each in supervisor.processes)
    server = Server(config)
    # A server that is told to end while it begins calls that a failure.
    with suppress(KeyboardInterrupt, SystemExit):
        server.run()
    return server.started or server.should_exit
