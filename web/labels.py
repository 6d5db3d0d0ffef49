"""The values of the schema's enums in words that people read."""

from typing import NamedTuple

from domain.core import N_


class Label(NamedTuple):
    """What a value is called, and how a mark of it looks: ``good``, ``warn``, ``bad``, ``quiet``, or as any."""

    words: str
    tone: str = ""


LABELS = {
    "RecordKind": {
        "ORGANIZATION": Label(N_("organization")),
        "PERSON": Label(N_("person")),
        "CALL": Label(N_("call")),
        "PROPOSAL": Label(N_("proposal")),
    },
    "OrganizationKind": {
        "UNIVERSITY": Label(N_("university")),
        "LABORATORY": Label(N_("laboratory")),
        "DATA_CENTER": Label(N_("data center")),
        "TECHNOLOGY_PARK": Label(N_("technology park")),
        "COMPANY": Label(N_("company")),
        "MINISTRY": Label(N_("government")),
        "INTERNATIONAL_ORGANIZATION": Label(N_("international organization")),
        "CENTER": Label(N_("the Center")),
        "HOSPITAL": Label(N_("hospital")),
        "ARCHIVE": Label(N_("archive")),
        "NONPROFIT": Label(N_("nonprofit")),
        "FUNDER": Label(N_("funder")),
        "OTHER": Label(N_("other")),
    },
    "OrganizationStatus": {
        "REGISTERED": Label(N_("registered"), "warn"),
        "VERIFIED": Label(N_("verified"), "good"),
        "SUSPENDED": Label(N_("suspended"), "warn"),
        "CLOSED": Label(N_("no more"), "quiet"),
    },
    "PersonStatus": {
        "INVITED": Label(N_("invited"), "warn"),
        "JOINED": Label(N_("joined")),
        "ERASED": Label(N_("erased"), "bad"),
    },
    "HubRoleName": {
        "CENTER_OFFICER": Label(N_("officer of the Center")),
        "AUDITOR": Label(N_("auditor")),
        "NATIONAL_AUTHORITY": Label(N_("national authority")),
    },
    "AffiliationStatus": {
        "CONFIRMED": Label(N_("confirmed"), "good"),
    },
    "CallStatus": {
        "DRAFT": Label(N_("draft"), "warn"),
        "PUBLISHED": Label(N_("published")),
        "OPEN": Label(N_("open"), "good"),
        "CLOSED": Label(N_("closed"), "quiet"),
        "DECIDED": Label(N_("decided"), "quiet"),
        "ARCHIVED": Label(N_("archived"), "quiet"),
    },
    "Blindness": {
        "OPEN": Label(N_("both sides know each other")),
        "SINGLE_BLIND": Label(N_("applicants do not know their reviewers")),
        "DOUBLE_BLIND": Label(N_("neither side knows the other")),
    },
    "ProposalStatus": {
        "DRAFT": Label(N_("draft"), "warn"),
        "SUBMITTED": Label(N_("submitted")),
        "RETURNED": Label(N_("returned for changes"), "warn"),
        "IN_REVIEW": Label(N_("in review")),
        "RECOMMENDED": Label(N_("recommended"), "good"),
        "AWARD_OFFERED": Label(N_("award offered"), "good"),
        "AWARDED": Label(N_("awarded"), "good"),
        "AWARD_REFUSED": Label(N_("award refused"), "bad"),
        "DECLINED": Label(N_("declined"), "bad"),
        "INELIGIBLE": Label(N_("ineligible"), "bad"),
        "WITHDRAWN": Label(N_("withdrawn"), "quiet"),
    },
    "PartnerStatus": {
        "INVITED": Label(N_("asked"), "warn"),
        "CONFIRMED": Label(N_("takes part"), "good"),
        "DECLINED": Label(N_("does not take part"), "bad"),
    },
    "RiskLevel": {
        "MINIMAL": Label(N_("minimal")),
        "LIMITED": Label(N_("limited")),
        "HIGH": Label(N_("high")),
        "UNACCEPTABLE": Label(N_("unacceptable")),
    },
    "SealStatus": {
        "RECORDED": Label(N_("recorded"), "warn"),
        "SIGNED": Label(N_("signed")),
        "SEALED": Label(N_("sealed"), "good"),
    },
    "FigureName": {
        "ORGANIZATIONS": Label(N_("organizations")),
        "OPEN_CALLS": Label(N_("open calls")),
        "AWARDED": Label(N_("awarded projects")),
        "PARTNERSHIPS": Label(N_("partnerships across borders")),
    },
}
"""By the enum. Some that only pages tell apart stand there too: an award that is offered, or was refused."""

SAID = (N_("returned"),)
"""What a refusal calls a status by its own name, where its label says more."""

LANGUAGE_NAMES = {
    "en": "English",
    "ru": "Русский",
    "tg": "Тоҷикӣ",
    "ky": "Кыргызча",
    "kk": "Қазақша",
    "uz": "Oʻzbekcha",
    "tk": "Türkmençe",
}
"""Languages by their own names."""
