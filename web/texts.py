"""Texts that people wrote, as pages show them: rendered, with what was looked for marked, and what became of them."""

import re
from functools import cache, lru_cache

from diff_match_patch import diff_match_patch
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markupsafe import Markup, escape

from projections.words import LOOKED_FOR

_BLOCKS = ("paragraph_open", "heading_open", "list_item_open", "td_open", "th_open")
_BULLET = re.compile(r"^([ \t]*)[•‣▪●◦·][ \t]+", re.MULTILINE)


def _lowered(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        if token.type in _BLOCKS:
            # Each runs as its own first letter does.
            token.attrSet("dir", "auto")


@cache
def _markdown() -> MarkdownIt:
    # Raw HTML in what people wrote stays text; links lead only where a browser may go.
    # Their headings stand below the page's own.
    made = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    made.core.ruler.push("lower", _lowered)
    return made


@lru_cache(500)
def markdown(text: str) -> Markup:
    """What people wrote, rendered; the bullets of a word processor are those of a list."""
    return Markup(_markdown().render(_listed(text)))


def _listed(text: str) -> str:
    if not _BULLET.search(text):
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    code = {
        n
        for token in _markdown().parse(text)
        if token.type in ("fence", "code_block") and token.map
        for n in range(*token.map)
    }
    return "\n".join(line if n in code else _BULLET.sub(r"\1- ", line) for n, line in enumerate(lines))


@lru_cache(500)
def _terms(words: str | None) -> tuple[str, ...]:
    found = re.split(r"\W+", (words or "")[:LOOKED_FOR])
    return tuple(sorted(filter(None, found), key=len, reverse=True)[:8])


@lru_cache(500)
def _beginnings(words: str | None) -> re.Pattern[str] | None:
    terms = "|".join(map(re.escape, _terms(words)))
    return re.compile(rf"\b({terms})", re.IGNORECASE) if terms else None


def marked(text: str, words: str | None) -> Markup:
    """A text in which the beginnings of words that were looked for are marked."""
    pattern = _beginnings(words)
    if pattern is None:
        return escape(text)
    parts = [str(escape(each)) for each in pattern.split(text)]
    return Markup("".join(f"<mark>{each}</mark>" if n % 2 else each for n, each in enumerate(parts)))


def excerpt(text: str, words: str | None, around: int = 90) -> str:
    """The part of a text in which one of the words stands; empty where none does."""
    # Not casefold: its places would not be those of the text.
    lowered = text.lower()
    if len(lowered) != len(text):
        return ""
    for term in _terms(words):
        if (found := f" {lowered}".find(f" {term.lower()}")) >= 0:
            begin, end = max(0, found - around), found + len(term) + around
            return ("… " if begin else "") + " ".join(text[begin:end].split()) + (" …" if end < len(text) else "")
    return ""


MOST_COMPARED = 60_000
"""Letters of both texts that are compared; more than two texts of a record have."""


@lru_cache(500)
def difference(before: str, after: str) -> Markup:
    """Both texts in one, word by word: what went as ``<del>``, what came as ``<ins>``.

    It takes a tenth of a second at most: where the texts are too unlike for that, what differs is shown more coarsely.
    """
    if len(before) + len(after) > MOST_COMPARED:
        return Markup("<del>{}</del><ins>{}</ins>").format(before, after)
    letters: dict[str, str] = {}

    def packed(text: str) -> str:
        # A letter for each word: the library compares letters, and ends in time.
        return "".join(
            letters.setdefault(each, chr(0xE000 + len(letters) if len(letters) < 0x1000 else 0xF_0000 + len(letters)))
            for each in re.findall(r"\s+|\w+|[^\w\s]", text)
        )

    differ = diff_match_patch()
    differ.Diff_Timeout = 0.1
    found = differ.diff_main(packed(before), packed(after), False)
    differ.diff_cleanupSemantic(found)
    words = {letter: word for word, letter in letters.items()}
    shown = Markup("")
    for kind, part in found:
        text = "".join(words[letter] for letter in part)
        shown += {-1: Markup("<del>{}</del>").format, 0: escape, 1: Markup("<ins>{}</ins>").format}[kind](text)
    return shown
