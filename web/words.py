"""Words in the reader's language, through gettext."""

import gettext
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from domain.core import Word

LOCALES = Path(__file__).parent / "locale"
DEFAULT = "en"
PAGES = (DEFAULT, "ru", "tg")
"""The languages of the pages: those into which every text is translated."""


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The catalog of a language, read from its source; texts that it lacks stay English."""
    file = LOCALES / language / "LC_MESSAGES" / "hub.po"
    if not file.exists():
        return gettext.NullTranslations()
    compiled = BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language, domain="hub"))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def translated(message: str, language: str = DEFAULT, values: Mapping[str, Any] | None = None) -> str:
    """A text in a language, its places filled in."""
    if not message:
        return ""
    known = translations(language)
    text = known.gettext(message)
    words = {name: known.gettext(each) if isinstance(each, Word) else each for name, each in (values or {}).items()}
    return text % words if words else text
