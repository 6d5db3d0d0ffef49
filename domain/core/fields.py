"""Types of command fields that subjects share, with the bounds and words that forms and the API show."""

from typing import Annotated, Literal

from msgspec import Meta

from .words import N_

LANGUAGES = ("en", "ru", "tg", "ky", "kk", "uz", "tk")

Country = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]{2}$",
        title=N_("Country"),
        description=N_("Two capital letters, ISO 3166-1."),
    ),
]
Title = Annotated[str, Meta(min_length=3, max_length=300, title=N_("Title"))]
LongText = Annotated[str, Meta(max_length=20_000, extra_json_schema={"widget": "textarea"})]
Reason_ = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=2_000,
        title=N_("Reason"),
        description=N_("It is shown to those concerned and stays in the history."),
        extra_json_schema={"widget": "textarea"},
    ),
]
Language = Literal["en", "ru", "tg", "ky", "kk", "uz", "tk"]
