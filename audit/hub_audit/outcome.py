"""What a verification comes to: exit codes, and the evidence that is kept of what is proven false."""

import json
import time
from pathlib import Path
from typing import Any

VERIFIED, FALSE, USAGE, UNDECIDED, STALE = 0, 1, 2, 3, 4


class Failed(Exception):
    """A verification that did not succeed. ``code`` is the exit code; the message is one sentence for people."""

    code = USAGE


class Unusable(Failed):
    """Wrong usage, or input that has not the form that its specification asks for."""

    code = USAGE


class Undecided(Failed):
    """Data are missing, or too few witnesses have signed: nothing is proven, in either way."""

    code = UNDECIDED


class Absent(Undecided):
    """A file of a log is not here."""


class NotSigned(Unusable):
    """A signature that is not its key's over this text: the file was altered, by whomever. It accuses nobody."""


class Stale(Failed):
    """Everything holds, and is older than was asked for."""

    code = STALE


class False_(Failed):
    """Proven false: somebody signed what does not hold. ``proof`` is what shows it to others."""

    code = FALSE

    def __init__(self, message: str, **proof: Any) -> None:
        super().__init__(message)
        self.proof = proof


def plain(text: str) -> str:
    """A text that a terminal shows as it is: what it would take for commands, or not show, is written out."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def quoted(text: str | bytes, most: int = 100) -> str:
    """What a hub has written, in a sentence: on one line, and no longer than this."""
    said = text.decode(errors="backslashreplace") if isinstance(text, bytes) else text
    return plain(said[:most]).replace("\n", "\\n") + ("…" if len(said) > most else "")


def written(folder: Path, failure: False_) -> Path:
    """Keep the evidence of an accusation in a file of its own, and answer which."""
    place = folder / "evidence"
    place.mkdir(parents=True, exist_ok=True)
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for n in range(1_000):
        file = place / f"{at}-{n:03d}.json"
        try:
            with file.open("x") as out:
                json.dump({"at": at, "accusation": str(failure), **failure.proof}, out, indent=2)
                out.write("\n")
            return file
        except FileExistsError:
            continue
    raise Unusable(f"{place} is full of evidence: move some of it away")
