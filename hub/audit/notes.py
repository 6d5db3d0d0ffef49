"""Signed notes, checkpoints, cosignatures and proofs: C2SP ``signed-note``, ``tlog-checkpoint``, ``tlog-cosignature``,
``tlog-proof``.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hub.files import fresh

LOG, WITNESS = 1, 4
"""The types of signatures: a log's own, and a witness's, which carries its time."""
_NAME = re.compile(r"[^\s+]+")
_SIGNATURE = re.compile(r"— (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+={0,2})")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class Malformed(ValueError):
    """A note, key or policy has not the form that its specification asks for; the message says what."""


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("base64 is asked for") from None


def _key_id(name: str, kind: int, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


@dataclass(frozen=True)
class Head:
    """What a checkpoint says: the log's origin, the size of its tree, and its root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True)
class Signature:
    """One signature line of a note."""

    name: str
    id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """As it stands in a note."""
        return f"— {self.name} {base64.b64encode(self.id + self.signature).decode()}\n"


@dataclass(frozen=True)
class Verifier:
    """A public key with its name and the type of its signatures."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> "Verifier":
        """From ``name+id+key``; raises ``Malformed``."""
        name, _, rest = vkey.partition("+")
        id, _, key = rest.partition("+")
        decoded = _decoded(key)
        if not _NAME.fullmatch(name) or len(decoded) != 33 or decoded[0] not in (LOG, WITNESS):
            raise Malformed(f"“{vkey}” is no verifier key of a log or a witness")
        found = cls(name, decoded[0], decoded[1:])
        if id != found.id.hex():
            raise Malformed(f"the id in “{vkey}” does not belong to its key")
        return found

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys apart."""
        return _key_id(self.name, self.kind, self.public)

    @property
    def vkey(self) -> str:
        """As it is published: ``name+id+key``."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    def signed(self, text: str, signatures: Iterable[Signature]) -> int | None:
        """Whether one of the signatures is this key's, over this text: its time (0 for a log's); else ``None``."""
        for each in signatures:
            if (each.name, each.id) != (self.name, self.id):
                continue
            signature, at, message = each.signature, 0, text.encode()
            if self.kind == WITNESS:
                at, signature = int.from_bytes(signature[:8], "big"), signature[8:]
                message = f"cosignature/v1\ntime {at}\n".encode() + message
            try:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
            except (InvalidSignature, ValueError):
                return None
            return at
        return None


@dataclass(frozen=True)
class Signer:
    """A private key with its name; it is kept in a file of its own, in the form of Go's ``note`` package."""

    name: str
    kind: int
    secret: bytes = field(repr=False)

    @classmethod
    def kept(cls, file: Path, name: str, kind: int) -> "Signer":
        """The key in a file; a new one, of this name, where there is no file yet. Raises ``Malformed``."""
        if not file.exists():
            if not _NAME.fullmatch(name):
                raise Malformed(f"“{name}” is no name of a key: it may hold neither spaces nor “+”")
            # Linked when it is whole: a crash in the middle leaves no half of a key, and the first of two makers wins.
            made = fresh(file, cls(name, kind, os.urandom(32))._text.encode())
            with suppress(FileExistsError):
                os.link(made, file)
            made.unlink()
        return cls.read(file)

    @classmethod
    def read(cls, file: Path) -> "Signer":
        """The key in a file; raises ``Malformed`` where others than its owner may read it."""
        if file.stat().st_mode & 0o077:
            raise Malformed(f"others may read {file}: chmod 600 {file}")
        prefix, _, rest = file.read_bytes().decode(errors="replace").strip().partition("PRIVATE+KEY+")
        name, _, rest = rest.partition("+")
        decoded = _decoded(rest.partition("+")[2])
        if prefix or not _NAME.fullmatch(name) or len(decoded) != 33 or decoded[0] not in (LOG, WITNESS):
            raise Malformed(f"{file} holds no private key of a log or a witness")
        return cls(name, decoded[0], decoded[1:])

    @property
    def _text(self) -> str:
        key = base64.b64encode(bytes([self.kind]) + self.secret).decode()
        return f"PRIVATE+KEY+{self.name}+{self.verifier.id.hex()}+{key}\n"

    @property
    def verifier(self) -> Verifier:
        """Its public half."""
        public = Ed25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()
        return Verifier(self.name, self.kind, public)

    def sign(self, text: str, at: int = 0) -> Signature:
        """Sign a text; a witness signs it together with the time, in seconds since 1970."""
        message, head = text.encode(), b""
        if self.kind == WITNESS:
            head = at.to_bytes(8, "big")
            message = f"cosignature/v1\ntime {at}\n".encode() + message
        signature = Ed25519PrivateKey.from_private_bytes(self.secret).sign(message)
        return Signature(self.name, self.verifier.id, head + signature)


@dataclass(frozen=True)
class Checkpoint:
    """A signed head, with all its signatures."""

    head: Head
    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, note: bytes) -> "Checkpoint":
        """From a note; raises ``Malformed``."""
        if len(note) > 100_000:
            raise Malformed("a checkpoint is not as long as this")
        try:
            whole = note.decode()
        except UnicodeDecodeError:
            raise Malformed("a checkpoint is UTF-8") from None
        if any(char < " " and char != "\n" for char in whole):
            raise Malformed("a checkpoint holds no control characters")
        text, blank, rest = whole.rpartition("\n\n")
        if not blank or not rest.endswith("\n"):
            raise Malformed("a checkpoint is a text, an empty line, and signature lines")
        return cls(_head(text + "\n"), text + "\n", tuple(map(signature, rest[:-1].split("\n"))))

    @property
    def note(self) -> bytes:
        """As it is published."""
        return (self.text + "\n" + "".join(each.line for each in self.signatures)).encode()


def signature(line: str) -> Signature:
    """A signature line without its newline; raises ``Malformed``."""
    found = _SIGNATURE.fullmatch(line)
    decoded = _decoded(found["signature"]) if found else b""
    if found is None or len(decoded) < 5:
        raise Malformed(f"“{line[:80]}” is no signature line")
    return Signature(found["name"], decoded[:4], decoded[4:])


def _head(text: str) -> Head:
    lines = text.split("\n")
    if len(lines) < 4 or not all(lines[:-1]):
        raise Malformed("a checkpoint begins with origin, size and root, and has no empty lines")
    root = _decoded(lines[2])
    if not _NUMBER.fullmatch(lines[1]) or len(root) != 32:
        raise Malformed("a checkpoint's second line is a decimal number, its third the base64 of 32 bytes")
    return Head(lines[0], int(lines[1]), root)


def tlog_proof(leaf: bytes, index: int, path: list[bytes], note: bytes) -> bytes:
    """A C2SP ``tlog-proof`` whose extra data are the leaf."""
    lines = ["c2sp.org/tlog-proof@v1", f"extra {base64.b64encode(leaf).decode()}", f"index {index}"]
    lines += [base64.b64encode(each).decode() for each in path]
    return "\n".join([*lines, "", note.decode()]).encode()
