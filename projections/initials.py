"""What an organization is called for short: the initials of its names, by which most people look for it."""

import re

# After whom it is called stands before these words in the Turkic languages and Tajik, and in no short name.
_CALLED_AFTER = re.compile(
    r"[,(«“\"]|\b(?:named after|imeni|имени|им\.|nomidagi|номидаги|nomli|атындағы|атындагы|adyndaky|ба номи|номи)(?!\w)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:[ʻʼ’‘`'][^\W\d_]+)*")
_SMALL = frozenset("of the and for in on at de und и в во на по при для с о va ва ба дар аз әрі және жана we".split())
LEAST = 3
"""Fewer initials are no name."""


def initials(name: str) -> list[str]:
    """The initials of each part of a name that has at least three words that count; as they stand, in capitals."""
    parts = [
        "".join(word[0] for word in _WORD.findall(part) if word.casefold() not in _SMALL)
        for part in _CALLED_AFTER.split(name)
    ]
    return [part.upper() for part in parts if len(part) >= LEAST]
