"""Types of command fields that subjects share, with the bounds and words that forms and the API show."""

from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from .words import N_

Language = Literal["en", "ru", "tg", "ky", "kk", "uz", "tk"]
LANGUAGES: tuple[str, ...] = get_args(Language)
"""Those of the region, and English (BCP 47)."""

COUNTRIES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO "
    "FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE "
    "JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO "
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW "
    "PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM "
    "TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW"
)
"""ISO 3166-1, and XK, under which registries file Kosovo."""

Country = Annotated[
    str,
    Meta(
        pattern=f"^({COUNTRIES.replace(' ', '|')})$",
        title=N_("Country"),
        description=N_("Two capital letters, ISO 3166-1."),
        extra_json_schema={"asked": N_("The two capital letters of a country are asked for, like TJ.")},
    ),
]
Title = Annotated[str, Meta(min_length=3, max_length=300, title=N_("Title"))]
Revision = Annotated[int, Meta(ge=1, le=1_000_000, extra_json_schema={"widget": "hidden"})]
StartedFrom = Annotated[Revision, Meta(title=N_("Revision that you started from"))]
"""The revision of a record that somebody saw when they began to write over it."""
LongText = Annotated[str, Meta(max_length=20_000, extra_json_schema={"widget": "textarea", "format": "markdown"})]
ReasonText = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=2_000,
        title=N_("Reason"),
        description=N_("It is shown to those concerned and stays in the history."),
        extra_json_schema={"widget": "textarea"},
    ),
]


def meta_of(annotation: Any) -> dict[str, Any]:
    """What a field's type says of it: title, description, pattern, widget; the nearest word counts.

    What is needed ``later`` may be left empty now; ``typed`` says how a form takes it.
    """
    found: dict[str, Any] = {}
    for inner in getattr(annotation, "__args__", ()):
        if hasattr(inner, "__metadata__"):
            found |= meta_of(inner)
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, Meta):
            found |= {name: value for name in ("title", "description", "pattern") if (value := getattr(extra, name))}
            more = extra.extra_json_schema or {}
            found |= {name: more[name] for name in ("widget", "format", "later", "typed") if name in more}
    return found
