"""Every text of the pages that is translated; ``python -m web.messages`` brings the catalogs up to them.

Most are marked: ``N_`` in the code, ``_`` in the templates. The words of commands, events and fields are their
docstrings, titles and names.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

import msgspec
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from domain.core import meta_of, sentence
from web.reads.late import SAYS
from web.schema.mutations import commands
from web.words import LOCALES, PAGES

BEGAN = datetime(2026, 11, 24, tzinfo=UTC)
"""A date that does not move: a catalog changes when a text does."""
_ROOT = Path(__file__).parent.parent


Text = str | tuple[str, str]
"""A text, or what is said of one and of many."""


def _first(found: object) -> Text:
    texts = [found] if isinstance(found, str) else [each for each in found or () if each]  # type: ignore[attr-defined]
    return (texts[0], texts[1]) if len(texts) == 2 else texts[0] if texts else ""


def _all() -> Iterator[tuple[Text, str]]:
    for room in ("domain", "hub", "web"):
        for file, _, found, *_ in extract_from_dir(_ROOT / room, [("**.py", "python")], keywords={"N_": None}):
            yield _first(found), f"{room}/{file}"
    # A template that cannot be read as the pages read it is an error: its texts would be gone from the catalogs.
    options = {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false", "extensions": "jinja2.ext.do"}
    for template in sorted((_ROOT / "web" / "pages").glob("*.html")):
        with template.open("rb") as source:
            for _, _, texts, _ in babel_extract(source, ["_", "ngettext"], [], options):
                yield _first(texts), f"web/pages/{template.name}"
    for cls in commands().values():
        where = f"{cls.__module__.replace('.', '/')}.py"
        yield (cls.__doc__ or "").strip(), where
        yield sentence(cls.__name__), where
        for field in msgspec.structs.fields(cls):
            meta = meta_of(field.type)
            yield str(meta.get("title", "")) or sentence(field.name).replace("_", " "), where
            yield str(meta.get("description", "")), where
    for text in SAYS.values():
        yield text, "domain"


@cache
def messages() -> dict[Text, str]:
    """Every text that is translated, and the file in which it stands first."""
    found: dict[Text, str] = {}
    for text, where in _all():
        if text:
            found.setdefault(text, where)
    return found


def catalog(language: str) -> Catalog:
    """The translations into a language, as they are committed."""
    with (LOCALES / language / "LC_MESSAGES" / "hub.po").open("rb") as file:
        return read_po(file, locale=language, domain="hub")


def forms(text: str | Sequence[str] | None) -> tuple[str, ...]:
    """All forms of a text, or of its translation."""
    return (text or "",) if isinstance(text, str | None) else tuple(text)


def missing(language: str) -> list[Text]:
    """The texts that have no translation into a language yet; each of its plural forms is one."""
    known = catalog(language)
    return [text for text in messages() if not (found := known.get(text)) or not all(forms(found.string))]


def main() -> int:
    """Write the catalogs anew: texts that are new wait to be translated, those that are gone go."""
    waiting = 0
    for language in PAGES[1:]:
        old = catalog(language)
        new = Catalog(
            language,
            "hub",
            "# Gathered by python -m web.messages; translated here.",
            project="The hub",
            version=version("central-asia-ai-hub"),
            msgid_bugs_address="the Center",
            last_translator="the Center",
            language_team=language,
            creation_date=BEGAN,
            revision_date=BEGAN,
            fuzzy=False,
        )
        for text, where in sorted(messages().items(), key=lambda each: (each[1], forms(each[0]))):
            known = old.get(text)
            none = "" if isinstance(text, str) else ("",) * new.num_plurals
            said = known.string if known and len(forms(known.id)) == len(forms(text)) else none
            new.add(text, said, locations=[(where, 1)])
        with (LOCALES / language / "LC_MESSAGES" / "hub.po").open("wb") as file:
            write_po(file, new, width=120, include_lineno=False, omit_header=False, ignore_obsolete=True)
        for text in missing(language):
            waiting += 1
            print(f"{language}: {' / '.join(forms(text))}")
    return 1 if waiting else 0


if __name__ == "__main__":
    sys.exit(main())
