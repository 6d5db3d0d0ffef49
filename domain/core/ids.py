"""Identifiers: who is who, and what the log is indexed by.

An entity's id is a TypeID over UUIDv7 (``proposal_01k…``): sortable by the time of its making, safe in URLs,
and its prefix says what it names. A *claim* is a value that at most one entity may hold (a ROR id, an alias of an
ORCID iD); it is indexed like an id, under ``kind:value``.

A field annotated with one of these types is a tag of its event: nobody writes tags down.
"""

import re
import typing
from dataclasses import dataclass
from typing import Annotated

_SUFFIX = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}", re.ASCII)


@dataclass(frozen=True)
class Kind:
    """Marks a string type as naming an entity (or, with ``claim``, a value that only one entity may hold)."""

    name: str
    claim: bool = False

    def tag(self, value: str) -> str:
        """The tag under which the log finds events that mention ``value``."""
        return f"{self.name}:{value}" if self.claim else value

    def admits(self, value: str) -> bool:
        """Whether ``value`` has the form of an id of this kind."""
        prefix, _, suffix = value.rpartition("_")
        return self.claim or (prefix == self.name and _SUFFIX.fullmatch(suffix) is not None)


OrganizationId = Annotated[str, Kind("organization")]
PersonId = Annotated[str, Kind("person")]
AffiliationId = Annotated[str, Kind("affiliation")]
CallId = Annotated[str, Kind("call")]
ProposalId = Annotated[str, Kind("proposal")]
SealId = Annotated[str, Kind("seal")]

RorId = Annotated[str, Kind("ror", claim=True)]
OrcidAlias = Annotated[str, Kind("orcid", claim=True)]
EmailAlias = Annotated[str, Kind("email", claim=True)]


def kind_of(annotation: object) -> tuple[Kind, bool] | None:
    """The kind that an annotation names and whether it names many; ``None`` where it names no entity.

    Reads through ``X | None``, ``list[X]``, ``tuple[X, ...]`` and ``frozenset[X]``.
    """
    origin = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    if origin is Annotated:
        for extra in args[1:]:
            if isinstance(extra, Kind):
                return extra, False
        return kind_of(args[0])
    if origin in (list, tuple, frozenset):
        inner = kind_of(args[0])
        return (inner[0], True) if inner else None
    for arg in args:
        if found := kind_of(arg):
            return found
    return None


def kind_named(id: str) -> str:
    """The kind that an id's prefix names: ``proposal`` for ``proposal_01k…``; empty where there is none."""
    return id.rpartition("_")[0]


def bare_ror(typed: str) -> str:
    """A ROR id as it is kept, of what somebody typed: also where its address was given. It may be none."""
    return typed.strip().rstrip("/").rpartition("/")[2].lower()


def ror_is_valid(ror: str) -> bool:
    """Whether a bare ROR id (``02004hr86``) has the right form and check digits.

    Crockford base32 of the first seven characters; check = 98 − (n·100 mod 97).
    """
    if not re.fullmatch(r"0[a-hj-km-np-tv-z0-9]{6}\d{2}", ror, re.ASCII):
        return False
    n = 0
    for char in ror[:7]:
        n = n * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(char)
    return 98 - (n * 100 % 97) == int(ror[7:])


def orcid_is_valid(orcid: str) -> bool:
    """Whether an ORCID iD (``0000-0002-1825-0097``) has the right form and check digit (ISO 7064 mod 11-2)."""
    if not re.fullmatch(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]", orcid, re.ASCII):
        return False
    total = 0
    for digit in orcid.replace("-", "")[:15]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    return orcid[-1] == ("X" if check == 10 else str(check))
