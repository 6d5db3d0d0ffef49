"""The last head that a signer signed, in a file: a database that is put back does not put this back."""

import base64
import os
from pathlib import Path

from hub.audit.notes import Head, Malformed


class LastHead:
    """Remembers one head, durably."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> Head | None:
        """The head, if there is one yet; raises ``Malformed`` where the file is damaged."""
        try:
            origin, size, root, _ = self._file.read_text().split("\n")
            head = Head(origin, int(size), base64.b64decode(root, validate=True))
            if head.size < 0 or len(head.root) != 32:
                raise ValueError(size)
            return head
        except FileNotFoundError:
            return None
        except ValueError:
            raise Malformed(
                f"{self._file} is damaged: bring it back from a backup; it is what stops two histories."
            ) from None

    def keep(self, head: Head) -> None:
        """Remember this head instead; it is on the disk when this returns."""
        fresh = self._file.with_name(self._file.name + ".new")
        with fresh.open("w") as out:
            out.write(head.text)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self._file)
        folder = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
