"""Words in the reader's language, through gettext."""

import gettext
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

LOCALES = Path(__file__).parent / "locale"
DEFAULT = "en"


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The catalog of a language; texts that it lacks stay English."""
    return gettext.translation("hub", LOCALES, [language], fallback=True)


def translated(message: str, language: str = DEFAULT, values: Mapping[str, Any] | None = None) -> str:
    """A text in a language, its places filled in."""
    if not message:
        return ""
    text = translations(language).gettext(message)
    return text % values if values else text
