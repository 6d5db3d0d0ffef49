"""What an organization is called for short: the initials of its names, by which most people look for it."""

import re

# After whom it is called stands before these words in the Turkic languages and Tajik, and in no short name.
_CALLED_AFTER = re.compile(
    r"[,(«“\"]|\b(?:named after|имени|им\.|imeni|nomidagi|номидаги|nomli|атындағы|атындагы|adyndaky|ба номи)(?!\w)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:[ʻʼ’‘`'][^\W\d_]+)*")
_SMALL = set(
    re.findall(r"\w+", "of the and for in on at de und и в во на по при для с о ва ба дар аз әрі және жана va we")
)
LEAST = 3
"""Fewer initials are no name."""


def initials(name: str) -> list[str]:
    """The initials of each part of a name that has at least three words that count; as they stand, in capitals."""
    parts = [
        "".join(word[0] for word in _WORD.findall(part) if word.casefold() not in _SMALL)
        for part in _CALLED_AFTER.split(name)
    ]
    return [part.upper() for part in parts if len(part) >= LEAST]
