"""A refusal: the domain's own "no", in words that its reader understands."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from .words import N_


class Reason(StrEnum):
    """Why a command was refused: a code, and what it means. The codes are stable: programs may rely on them."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        """A member whose value is its code."""
        made = str.__new__(cls, code)
        made._value_, made.meaning = code, meaning
        return made

    INVALID = "INVALID", "A value does not fit; `field` says which, where it is one."
    NOT_PERMITTED = (
        "NOT_PERMITTED",
        "It is not yours to do, or there is nothing here that you may know of; with a `field`, that value is not yours "
        "to choose.",
    )
    WRONG_STATUS = (
        "WRONG_STATUS",
        "It cannot be done while the record stands as it does; with a `field`, another value may do.",
    )
    NOT_FOUND = "NOT_FOUND", "There is no such record, or none that you may know of."
    ALREADY_TAKEN = "ALREADY_TAKEN", "Another record already has what only one may have."
    NOT_VERIFIED = "NOT_VERIFIED", "The organization has not been verified, or is not now."
    OWN_ORGANIZATION = (
        "OWN_ORGANIZATION",
        "It is for somebody else: nobody verifies, confirms or authorizes what is their own.",
    )
    ROUND_NOT_OPEN = "ROUND_NOT_OPEN", "The call's round has not opened yet, or is over."
    FROZEN = "FROZEN", "It was fixed when the call's round opened."
    INCOMPLETE = "INCOMPLETE", "Something has to be there first; `missing` on the action says all of it."
    PARTNERS_UNCONFIRMED = "PARTNERS_UNCONFIRMED", "A partner that was asked has not answered."
    TOO_FEW_COUNTRIES = "TOO_FEW_COUNTRIES", "The call asks for partners from more countries."
    RISK_UNACCEPTABLE = "RISK_UNACCEPTABLE", "What poses an unacceptable risk cannot be submitted."
    CHANGED_MEANWHILE = (
        "CHANGED_MEANWHILE",
        "Somebody has changed the record since the `revision` that you name: read it again.",
    )
    TOO_LARGE = "TOO_LARGE", "It is larger than a record may be."
    KEY_REUSED = "KEY_REUSED", "The same `Idempotency-Key` came with another command before."
    KEY_FORGOTTEN = (
        "KEY_FORGOTTEN",
        "The same `Idempotency-Key` came before, and with which command cannot be known any more: look whether it was "
        "recorded before you send it under a new one.",
    )


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

    @property
    def every(self) -> tuple["Refusal", ...]:
        """This one, and what else stands in the way."""
        return self, *self.further

    def __str__(self) -> str:
        return self.message % self.values if self.values else self.message


def refuse_unseen(started_from: int | None, revision: int) -> None:
    """Raise a refusal where somebody writes over a change that they have not seen; not for who names no revision."""
    if started_from is not None and started_from != revision:
        raise Refusal(
            Reason.CHANGED_MEANWHILE,
            N_("Somebody changed the text while you were writing. Compare yours with theirs, then save again."),
        )


def refuse(refusals: Iterable[Refusal]) -> None:
    """Raise the first refusal, with the others beside it; nothing where there is none."""
    found = [*refusals]
    if found:
        found[0].further = tuple(found[1:])
        raise found[0]
