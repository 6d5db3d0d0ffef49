"""Marks for texts that people read, so that gettext finds them where they stand."""


def N_(text: str) -> str:
    """Mark a text for translation; it is translated where it is shown."""
    return text


class Word(str):
    """A word of the product in a place of one of its texts (a status, a kind of record): it is translated with it."""
