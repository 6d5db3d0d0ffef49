"""The form in which a person makes a token for programs: what one may be for, and what is wrong with what was sent."""

from collections.abc import Mapping
from functools import cache

from domain.core import N_, Role, every_command, mutation_of, sentence
from hub.identity import EVERYTHING, MIRROR, READ, TOKEN_LIVES_AT_MOST

LABEL = 100
"""Characters that may say what a token is for."""
NAMED = "named"
"""As the form calls it: a token for the commands that are marked in it, each by a field of its own."""
_MARK = "may."


@cache
def may() -> dict[str, list[tuple[str, str]]]:
    """What a person may do at all, by the kind of its records: the name that programs use, and its words."""
    found: dict[str, list[tuple[str, str]]] = {}
    for cls in every_command():
        if not cls.by <= {Role.HUB}:
            found.setdefault(cls.on.kind.name.upper(), []).append((mutation_of(cls), sentence(cls.__name__)))
    return {kind: sorted(each) for kind, each in sorted(found.items())}


@cache
def called() -> dict[str, str]:
    """In words what a token may be for, by the name that programs use."""
    return {
        MIRROR: N_("Mirror the log with its sealed values"),
        **dict(each for kind in may().values() for each in kind),
    }


def marked(sent: Mapping[str, str]) -> set[str]:
    """The commands that are marked; marks for what is no command are none."""
    known = {name for each in may().values() for name, _ in each}
    return {name.removeprefix(_MARK) for name in sent if name.startswith(_MARK)} & known


def label(sent: Mapping[str, str]) -> str:
    """What the token is for."""
    return sent.get("label", "").replace("\0", "").strip()


def scope(sent: Mapping[str, str]) -> list[str]:
    """What the token allows, where nothing is wrong."""
    return sorted(marked(sent)) if sent["scope"] == NAMED else [sent["scope"]]


def problems(sent: Mapping[str, str]) -> dict[str, str]:
    """What is wrong, by field, as gettext ids; nothing where a token can be made."""
    wrong, days, asked = dict[str, str](), sent.get("days", ""), sent.get("scope")
    if not label(sent):
        wrong["label"] = N_("Say in a few words what it is for.")
    elif len(label(sent)) > LABEL:
        wrong["label"] = N_("At most 100 characters fit.")
    if not (days.isascii() and days.isdecimal() and len(days) < 4 and 1 <= int(days) <= TOKEN_LIVES_AT_MOST):
        wrong["days"] = N_("From 1 to 366.")
    if asked not in (READ, NAMED, EVERYTHING):
        wrong["scope"] = N_("Choose one of the three.")
    elif asked == NAMED and not marked(sent):
        wrong["scope"] = N_("Mark what it may do, below.")
    elif asked != NAMED and marked(sent):
        wrong["scope"] = N_("Choose “reading, and only what is marked below”, or take the marks below away.")
    return wrong
