"""What an answer is on the wire."""

from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus

_OF_BODIES = (b"content-type", b"content-length")
_STATUS = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}
Named = list[tuple[bytes, bytes]]


def _lines(headers: Named) -> bytes:
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers])


class Block:
    """Headers that many answers have."""

    def __init__(self, headers: Named) -> None:
        self.headers, self.lines = headers, _lines(headers)


@dataclass
class Response:
    """What an answer is on the wire: its own headers, and those that others have as well."""

    status: int
    own: Named
    shared: Block
    body: bytes
    tag: str = ""

    @property
    def headers(self) -> Named:
        """All of them."""
        return self.own + self.shared.headers

    @cached_property
    def wire(self) -> bytes:
        """What is sent after the line of the status."""
        return b"%b%b\r\n%b" % (_lines(self.own), self.shared.lines, self.body)

    @property
    def line(self) -> bytes:
        """The line of the status."""
        return _STATUS[self.status]

    @cached_property
    def unchanged(self) -> "Response":
        """What is sent to whoever holds this already."""
        kept = [each for each in self.headers if each[0] not in _OF_BODIES]
        return Response(304, kept, Block([]), b"")
