"""The last head that a signer signed, in a file: a database that is put back does not put this back."""

import base64
from pathlib import Path

from hub.audit.notes import Head, Malformed
from hub.files import written


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
        written(self._file, head.text.encode(), 0o644)
