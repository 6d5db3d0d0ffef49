"""Whether this machine's clock can be believed: what is dated ahead of its time is never taken back."""

import ctypes
import sys
import time

YOUNG = 120.0
"""Seconds after a machine's start for which its clock may not have been set yet."""
_UNSYNCHRONIZED = 5
"""What ``adjtimex`` answers where nobody has set the clock: ``TIME_ERROR`` of its manual page."""


def is_set() -> bool:
    """Whether the clock has been set since this machine was started, or has had the time to be.

    Where the kernel does not say, it is believed.
    """
    if sys.platform != "linux" or time.clock_gettime(time.CLOCK_BOOTTIME) > YOUNG:
        return True
    return bool(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1_024)) != _UNSYNCHRONIZED)
