"""Files that are whole: whoever reads one meets the old or the new, after a crash too."""

import os
from pathlib import Path


def fresh(file: Path, data: bytes, mode: int = 0o600) -> Path:
    """A new file beside another, with these bytes on the disk: to be put in its place, or linked there."""
    made = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
    except OSError:
        # Of a disk that is full, the half of a file is not even what was there.
        made.unlink(missing_ok=True)
        raise
    return made


def written(file: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file, or write it anew: it is on the disk, under its name, when this returns."""
    fresh(file, data, mode).replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
