"""Checkpoints, their signatures, and the policy that says whose signatures are asked for (C2SP)."""

import base64
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hub_audit.outcome import NotSigned, Unusable

ED25519, COSIGNATURE = 0x01, 0x04
MOST = 200
"""Groups and witnesses that a policy may have: C2SP asks for 32 of each at least."""


def base64_of(text: str, what: str) -> bytes:
    """What a base64 text holds; raises ``Unusable``. Only the one canonical spelling is taken."""
    try:
        found = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        raise Unusable(f"{what} is not base64") from None
    if base64.b64encode(found).decode() != text:
        raise Unusable(f"{what} is not written as base64 is")
    return found


def decimal(text: str, what: str) -> int:
    """A decimal number without leading zeros; raises ``Unusable``."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0") or len(text) > 19:
        raise Unusable(f"{what} is no decimal number")
    return int(text)


@dataclass(frozen=True)
class Key:
    """A public key, as a policy names it."""

    name: str
    type: int
    public: bytes

    @classmethod
    def of(cls, vkey: str) -> "Key":
        """From a verifier key; raises ``Unusable``."""
        parts = vkey.split("+", 2)
        if len(parts) != 3 or not parts[0]:
            raise Unusable(f"“{vkey}” is no verifier key")
        data = base64_of(parts[2], f"the key of {parts[0]}")
        if len(data) != 33 or data[0] not in (ED25519, COSIGNATURE):
            raise Unusable(f"the key of {parts[0]} is of no type that is known here")
        key = cls(parts[0], data[0], data[1:])
        if key.id.hex() != parts[1]:
            raise Unusable(f"the key of {parts[0]} has not the id that it claims")
        return key

    @property
    def id(self) -> bytes:
        """SHA-256(name ‖ 0x0A ‖ type ‖ key)[:4]."""
        return hashlib.sha256(self.name.encode() + bytes([0x0A, self.type]) + self.public).digest()[:4]

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made the signature."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Checkpoint:
    """A checkpoint as it was found; nothing of it is to be believed before ``accepted``."""

    def __init__(self, note: bytes, where: str) -> None:
        """Raises ``Unusable``, with ``where`` it was found, unless it has the form of a checkpoint."""
        self.note, self.where = note, where
        if len(note) > 1_000_000:
            raise Unusable(f"{where} is longer than a checkpoint can be")
        try:
            whole = note.decode("utf-8")
        except UnicodeDecodeError:
            raise Unusable(f"{where} is not UTF-8") from None
        if any(ord(char) < 0x20 and char != "\n" for char in whole):
            raise Unusable(f"{where} holds control characters")
        end = whole.rfind("\n\n")
        if end < 0 or not whole.endswith("\n"):
            raise Unusable(f"{where} is no signed note")
        self.text = whole[: end + 1]
        lines = self.text.split("\n")[:-1]
        if len(lines) < 3 or "" in lines:
            raise Unusable(f"{where} has not the three lines of a checkpoint")
        self.origin = lines[0]
        self.size = decimal(lines[1], f"the size in {where}")
        self.root = base64_of(lines[2], f"the root in {where}")
        if len(self.root) != 32:
            raise Unusable(f"the root in {where} has not 32 bytes")
        self.signatures: list[tuple[str, bytes, bytes]] = []
        for line in whole[end + 2 : -1].split("\n"):
            dash, _, rest = line.partition(" ")
            name, _, encoded = rest.partition(" ")
            data = base64_of(encoded, f"a signature in {where}")
            if dash != "—" or not name or "+" in name or len(data) < 5:
                raise Unusable(f"{where} has a line that is no signature")
            self.signatures.append((name, data[:4], data[4:]))

    def signed(self, key: Key) -> int | None:
        """The time of this key's signature over the checkpoint (0 for a log's); ``None`` where there is none of it.

        Raises ``NotSigned`` where there is one that is not valid: then nothing of the note is to be believed.
        """
        for name, id, data in self.signatures:
            if name != key.name or id != key.id:
                continue
            message, at = self.text.encode(), 0
            if key.type == COSIGNATURE:
                at, data = int.from_bytes(data[:8], "big"), data[8:]
                message = b"cosignature/v1\ntime %d\n" % at + message
            if not key.verifies(message, data):
                raise NotSigned(f"{self.where} is not what {name} has signed: it was altered, by whomever.")
            return at
        return None


class Policy:
    """A C2SP ``tlog-policy``: the logs, the witnesses, and which of them are a quorum."""

    def __init__(self, text: str, where: str) -> None:
        """Raises ``Unusable`` naming the line that is not understood."""
        self.logs: list[Key] = []
        self.witnesses: dict[str, Key] = {}
        self._groups: dict[str, tuple[int, list[str]]] = {}
        self.quorum: str | None = None
        used: set[str] = set()
        if any((ord(char) < 0x20 and char not in "\t\n") or char in "\x7f\x85\u2028\u2029" for char in text):
            raise Unusable(f"{where} holds characters that end a line for some readers and not for others")
        for n, line in enumerate(text.split("\n"), 1):
            words = re.split("[ \t]+", line.strip(" \t")) if line.strip(" \t") else []
            if not words or words[0].startswith("#"):
                continue
            at = f"{where}, line {n}"
            if len(self._groups) > MOST or len(self.witnesses) > MOST:
                raise Unusable(f"{at}: more than {MOST} groups or witnesses are not read")
            match words:
                case ["log", vkey, *url] if len(url) < 2:
                    key = Key.of(vkey)
                    self._new(key, ED25519, at)
                    self.logs.append(key)
                case ["witness", name, vkey, *url] if len(url) < 2 and self._is_new(name):
                    key = Key.of(vkey)
                    self._new(key, COSIGNATURE, at)
                    self.witnesses[name] = key
                case ["group", name, least, *members] if members and self._is_new(name):
                    for each in members:
                        if self._is_new(each) or each == "none" or each in used:
                            raise Unusable(f"{at}: “{each}” is not defined, or is in a group already")
                        used.add(each)
                    count = {"any": 1, "all": len(members)}.get(least) or decimal(least, f"{at}: the threshold")
                    if not 1 <= count <= len(members):
                        raise Unusable(f"{at}: the threshold is out of range")
                    self._groups[name] = count, members
                case ["quorum", name] if self.quorum is None and (name == "none" or not self._is_new(name)):
                    self.quorum = name
                case _:
                    raise Unusable(f"{at} is not understood")
        if self.quorum is None:
            raise Unusable(f"{where} has no quorum")

    def _is_new(self, name: str) -> bool:
        return name not in self.witnesses and name not in self._groups and name != "none"

    def _new(self, key: Key, type: int, at: str) -> None:
        if key.type != type or key.public in {each.public for each in (*self.logs, *self.witnesses.values())}:
            raise Unusable(f"{at}: the key is of another type, or stands here twice")

    def reached(self, names: Collection[str], by: str | None = None) -> bool:
        """Whether these witnesses are a quorum."""
        by = by or self.quorum
        if by == "none" or by in names:
            return True
        if by not in self._groups:
            return False
        least, members = self._groups[by]
        return sum(self.reached(names, each) for each in members) >= least

    def log_of(self, checkpoint: Checkpoint) -> Key | None:
        """The log of this policy that has signed a checkpoint of its own."""
        for key in self.logs:
            if key.name == checkpoint.origin and checkpoint.signed(key) is not None:
                return key
        return None

    def cosigned(self, checkpoint: Checkpoint) -> dict[str, int]:
        """The witnesses whose valid cosignatures a checkpoint has, with their times."""
        times = {name: checkpoint.signed(key) for name, key in self.witnesses.items()}
        return {name: at for name, at in times.items() if at is not None}
