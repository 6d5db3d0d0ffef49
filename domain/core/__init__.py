"""What every subject stands on: ids, events, states, commands, refusals."""

from .command import HUB, Act, Command, Model, admit, check_ids, every_command, record_field, sentence
from .event import Codec, Event, Sealed, UnknownEvent, every_event, subject_of, tagged_fields
from .fields import COUNTRIES, LANGUAGES, Country, Language, LongText, Reason_, Title
from .ids import (
    AffiliationId,
    CallId,
    EmailAlias,
    Kind,
    OrcidAlias,
    OrganizationId,
    PersonId,
    ProposalId,
    RorId,
    kind_named,
    kind_of,
    orcid_is_valid,
    ror_is_valid,
)
from .refusal import Reason, Refusal
from .state import Actor, Role, State, every_state
from .words import N_

__all__ = [
    "COUNTRIES",
    "HUB",
    "LANGUAGES",
    "N_",
    "Act",
    "Actor",
    "AffiliationId",
    "CallId",
    "Codec",
    "Command",
    "Country",
    "EmailAlias",
    "Event",
    "Kind",
    "Language",
    "LongText",
    "Model",
    "OrcidAlias",
    "OrganizationId",
    "PersonId",
    "ProposalId",
    "Reason",
    "Reason_",
    "Refusal",
    "Role",
    "RorId",
    "Sealed",
    "State",
    "Title",
    "UnknownEvent",
    "admit",
    "check_ids",
    "every_command",
    "every_event",
    "every_state",
    "kind_named",
    "kind_of",
    "orcid_is_valid",
    "record_field",
    "ror_is_valid",
    "sentence",
    "subject_of",
    "tagged_fields",
]
