"""Whose signatures are asked for: C2SP ``tlog-policy``."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from hub.audit.notes import LOG, WITNESS, Checkpoint, Malformed, Verifier

MOST = 200
"""Groups and witnesses that a policy may have: C2SP asks for 32 of each at least."""


@dataclass
class Policy:
    """Whose signatures make a checkpoint valid: one of the logs', and a quorum of witnesses'."""

    logs: dict[str, Verifier] = field(default_factory=dict)
    witnesses: dict[str, Verifier] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    groups: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    quorum: str = ""

    @classmethod
    def parse(cls, text: str) -> "Policy":
        """From a policy file; raises ``Malformed`` naming the line."""
        policy, keys, members = cls(), set[bytes](), set[str]()
        if any((char < " " and char not in "\t\n") or char in "\x7f\x85\u2028\u2029" for char in text):
            raise Malformed("the policy holds characters that end a line for some readers and not for others")
        for n, line in enumerate(text.split("\n"), start=1):
            words = re.split("[ \t]+", line.strip(" \t"))
            if not words[0] or words[0].startswith("#"):
                continue
            if len(policy.groups) > MOST or len(policy.witnesses) > MOST:
                raise Malformed(f"more than {MOST} groups or witnesses are not read")
            try:
                policy._read(words, keys, members)
            except (Malformed, ValueError, IndexError) as error:
                raise Malformed(f"line {n} of the policy: {error}") from None
        if not policy.quorum:
            raise Malformed("the policy has no quorum line")
        return policy

    def _read(self, words: list[str], keys: set[bytes], members: set[str]) -> None:
        what, *rest = words
        if what == "log" and len(rest) in (1, 2):
            log = Verifier.parse(rest[0])
            if log.kind != LOG or log.public in keys:
                raise Malformed("the key is no log's, or stands here twice")
            keys.add(log.public)
            self.logs[log.vkey] = log
        elif what == "witness" and len(rest) in (2, 3):
            witness = Verifier.parse(rest[1])
            if witness.kind != WITNESS or witness.public in keys:
                raise Malformed("the key is no witness's, or stands here twice")
            self._define(rest[0])
            keys.add(witness.public)
            self.witnesses[rest[0]] = witness
            if rest[2:]:
                self.urls[rest[0]] = rest[2]
        elif what == "group" and len(rest) >= 3:
            name, count, *names = rest
            self._define(name)
            for each in names:
                if (each not in self.witnesses and each not in self.groups) or each in members:
                    raise Malformed(f"“{each}” is not defined above, or is in another group already")
                members.add(each)
            least = {"any": 1, "all": len(names)}.get(count) or int(count)
            if not 1 <= least <= len(names):
                raise Malformed("a group asks for 1 of its members at least, and for all of them at most")
            self.groups[name] = least, tuple(names)
        elif what == "quorum" and len(rest) == 1:
            if self.quorum or rest[0] not in {"none", *self.witnesses, *self.groups}:
                raise Malformed("there is one quorum line, and it names what is defined above")
            self.quorum = rest[0]
        else:
            raise Malformed(f"“{' '.join(words)[:80]}” is not understood")

    def _define(self, name: str) -> None:
        if name == "none" or name in self.witnesses or name in self.groups:
            raise Malformed(f"“{name}” is defined already")

    def witnessed(self, names: Collection[str], by: str | None = None) -> bool:
        """Whether these witnesses are a quorum."""
        by = self.quorum if by is None else by
        if by == "none" or by in names:
            return True
        least, members = self.groups.get(by, (1, ()))
        return sum(self.witnessed(names, each) for each in members) >= least

    def cosigned(self, checkpoint: Checkpoint) -> dict[str, int]:
        """The witnesses that have cosigned a checkpoint, with the times of their signatures."""
        times = {name: each.signed(checkpoint.text, checkpoint.signatures) for name, each in self.witnesses.items()}
        return {name: at for name, at in times.items() if at is not None}

    def logged(self, checkpoint: Checkpoint) -> str | None:
        """The key of the log that has signed a checkpoint of this origin; nothing where none has."""
        own = (log for log in self.logs.values() if log.name == checkpoint.head.origin)
        return next((log.vkey for log in own if log.signed(checkpoint.text, checkpoint.signatures) is not None), None)
