"""Words as the search knows them: the same for what is stored and for what is looked for."""

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"\w{1,100}")
# One letter of Uzbek, many ways to type its mark: none of them parts a word.
_MARKS = "ʻʼ’‘`'"
# The region writes one name in two scripts: what is looked for in either is found in both. The transcription is that
# of names on the region's passports, as far as one fits all its languages; words are only compared, never shown.
_LATIN = str.maketrans(
    dict(zip("абвгдезийклмнопрстуфыэ", "abvgdeziyklmnoprstufye", strict=True))
    | dict(zip("ғқӯӣҳҷңөүұәіһўє", "gquihjnouuaihoe", strict=True))
    | {
        "ж": "zh",
        "ё": "yo",
        "х": "kh",
        "ц": "ts",
        "ч": "ch",
        "ш": "sh",
        "щ": "sh",
        "ъ": "",
        "ь": "",
        "ю": "yu",
        "я": "ya",
    }
    | {"ş": "sh", "ı": "i", "ß": "ss"}
)
# Who has no such letters on a keyboard types those of Russian: what has them is found by either.
_PLAIN = str.maketrans(dict(zip("ғқӣӯҳҷңөүұіһәҒҚӢӮҲҶҢӨҮҰІҺӘ", "гкиухчноууихаГКИУХЧНОУУИХА", strict=True)))
LOOKED_FOR = 200
"""How many characters of a query count."""


def words(text: str) -> list[str]:
    """The words of a text in their order: in one script, without case or accents; one parts after 100 letters."""
    return [word for part in text.split() for word in _known(part)]


def _words(part: str) -> tuple[str, ...]:
    part = unicodedata.normalize("NFC", part).casefold().translate(_LATIN)
    if not part.isascii():
        part = "".join(each for each in unicodedata.normalize("NFD", part) if not unicodedata.combining(each))
        part = unicodedata.normalize("NFC", part)
    for mark in _MARKS:
        part = part.replace(mark, "")
    return tuple(_WORD.findall(part))


# A language's words come again and again; what is longer than any of them is not kept.
_remembered, _KEPT = lru_cache(50_000)(_words), 50


def _known(part: str) -> tuple[str, ...]:
    return _remembered(part) if len(part) <= _KEPT else _words(part)


def _both(part: str) -> tuple[str, ...]:
    plain = part.translate(_PLAIN)
    return _words(part) if plain == part else (*_words(part), *_words(plain))


_found_by = lru_cache(50_000)(_both)


def found_by(*texts: str) -> set[str]:
    """All words by which some texts are found: those of the texts, also in Russian letters alone."""
    parts = {part for text in texts for part in text.split()}
    return {word for part in parts for word in (_found_by(part) if len(part) <= _KEPT else _both(part))}


def vector(*texts: str) -> str:
    """The same as PostgreSQL writes a tsvector: each once, in quotes."""
    found = found_by(*texts)
    return "'" + "' '".join(found) + "'" if found else ""


def query(text: str) -> str | None:
    """What a person typed as PostgreSQL writes a tsquery: every word, also as the beginning of a longer one."""
    return " & ".join(f"'{word}':*" for word in words(text[:LOOKED_FOR])) or None
