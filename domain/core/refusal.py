"""A refusal: the domain's own "no", in words that its reader understands."""

from collections.abc import Iterable
from enum import StrEnum


class Reason(StrEnum):
    """Why a command was refused. The codes are stable: programs may rely on them."""

    INVALID = "INVALID"
    NOT_PERMITTED = "NOT_PERMITTED"
    WRONG_STATUS = "WRONG_STATUS"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_TAKEN = "ALREADY_TAKEN"
    NOT_VERIFIED = "NOT_VERIFIED"
    OWN_ORGANIZATION = "OWN_ORGANIZATION"
    ROUND_NOT_OPEN = "ROUND_NOT_OPEN"
    FROZEN = "FROZEN"
    INCOMPLETE = "INCOMPLETE"
    PARTNERS_UNCONFIRMED = "PARTNERS_UNCONFIRMED"
    TOO_FEW_COUNTRIES = "TOO_FEW_COUNTRIES"
    RISK_UNACCEPTABLE = "RISK_UNACCEPTABLE"
    CHANGED_MEANWHILE = "CHANGED_MEANWHILE"
    TOO_LARGE = "TOO_LARGE"
    KEY_REUSED = "KEY_REUSED"


class Refusal(Exception):
    """A command that is not carried out, and why.

    ``message`` is an English sentence (a gettext id) with ``%(name)s`` places for ``values``;
    ``field`` names the command's field to mend, where there is one; ``further`` is what else stands in the way.
    """

    further: tuple["Refusal", ...] = ()

    def __init__(self, reason: Reason, message: str, field: str | None = None, **values: object) -> None:
        super().__init__(reason, message, field, values)
        self.reason = reason
        self.message = message
        self.field = field
        self.values = values

    def __str__(self) -> str:
        return self.message % self.values if self.values else self.message


def refuse(refusals: Iterable[Refusal]) -> None:
    """Raise the first refusal, with the others beside it; nothing where there is none."""
    found = [*refusals]
    if found:
        found[0].further = tuple(found[1:])
        raise found[0]
