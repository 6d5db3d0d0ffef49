"""A progress bar, where somebody looks."""

import sys
import time
from types import TracebackType

BAR = 30


class Progress:
    """Shows how far long work has come, on a terminal only, at most ten times a second."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, max(total, 1), 0
        self._began = self._shown = time.monotonic()
        self._on = sys.stderr.isatty()

    def add(self, count: int) -> None:
        """So much more is done."""
        self._done += count
        now = time.monotonic()
        if self._on and now - self._shown >= 0.1:
            self._shown = now
            part = min(1.0, self._done / self._total)
            bar = "█" * round(BAR * part) + "·" * (BAR - round(BAR * part))
            speed = self._done / max(now - self._began, 0.001)
            sys.stderr.write(f"\r{self._what} {bar} {part:4.0%}  {self._done:,} of {self._total:,}  {speed:,.0f}/s  ")
            sys.stderr.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._on:
            sys.stderr.write("\r\033[K")
