"""Marks for texts that people read, so that gettext finds them where they stand."""


def N_(text: str) -> str:
    """Mark a text for translation; it is translated where it is shown."""
    return text
