"""How values are shown: in the reader's language and time zone, safely, in the templates and outside of them."""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Any

from babel import Locale
from babel.dates import format_date, format_timedelta, get_timezone_gmt
from babel.numbers import format_decimal
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from projections.organizations import name_for
from projections.places import city_for
from web import assets, drawing
from web.labels import LABELS, LANGUAGE_NAMES
from web.pages import HERE, MENU, SITE, path_of
from web.preferences import READER, ZONES, Preferences
from web.reads.late import SAYS
from web.schema import schema
from web.texts import difference, excerpt, markdown, marked
from web.words import PAGES, translated, translations

STOOD: ContextVar[datetime | None] = ContextVar("stood", default=None)
"""The time that is now for a page that shows the hub as it stood then."""
_locale = cache(Locale.parse)


def locale() -> Locale:
    """The reader's."""
    return _locale(READER.get().language)


def _local(value: str) -> datetime:
    return datetime.fromisoformat(value).astimezone(READER.get().tz)


def moment(value: str) -> str:
    """An instant in the reader's time zone, with how far that is from UTC: ``Nov 24, 2026, 19:55 UTC+5``."""
    return _moment(value, READER.get())


@lru_cache(4_000)
def _moment(value: str, reader: Preferences) -> str:
    at = datetime.fromisoformat(value).astimezone(reader.tz)
    return f"{_dated(at, _locale(reader.language))}, {at:%H:%M} {offset(at)}"


def _dated(day: date, locale: Locale) -> str:
    if locale.language == "tg":
        # Its months stand in CLDR as names alone: a date joins its year to them, as in 27 ноябри 2026.
        return f"{day.day} {locale.months['format']['wide'][day.month].lower()}и {day.year}"
    return format_date(day, "medium", locale=locale)


def clock(value: str) -> str:
    """An instant as a field for date and time holds it, by the reader's clock."""
    return f"{_local(value):%Y-%m-%dT%H:%M}"


def offset(at: datetime) -> str:
    """How far a local time is from UTC, as people write it: ``UTC+5``, ``UTC+5:30``."""
    sign, hours, minutes = (told := get_timezone_gmt(at, "iso8601", locale=_locale("en")))[:1], told[1:3], told[-2:]
    if told == "Z" or (hours, minutes) == ("00", "00"):
        return "UTC"
    return f"UTC{sign}{int(hours)}" + (f":{minutes}" if minutes != "00" else "")


def day(value: str) -> str:
    """A day, or the day of an instant in the reader's time zone."""
    found = _local(value) if "T" in value else date.fromisoformat(value)
    return _dated(found, locale())


def due(until: str | None, call: Mapping[str, Any]) -> str:
    """Until when a proposal can be submitted: while the round of its call is open, or what was given back ``until`` its
    own time, where that is later; empty where it has no time."""
    closes = call["closesAt"] if call["status"] == "OPEN" else ""
    return max(filter(None, (closes, until)), key=datetime.fromisoformat, default="")


def relative(value: str) -> str:
    """How far an instant is from now, in words: ``in 12 days``, ``3 hours ago``."""
    delta = datetime.fromisoformat(value) - _now()
    return format_timedelta(delta, add_direction=True, threshold=1.5, granularity="minute", locale=locale())


def number(value: float) -> str:
    """A number, grouped as the reader groups."""
    return format_decimal(value, locale=locale())


_COUNTRIES = {("ru", "KG"): "Кыргызстан"}
_LANGUAGES = {("ru", "ky"): "кыргызский"}


def country(code: str) -> str:
    """A country's name in the reader's language, as it is called in the region."""
    known = _COUNTRIES.get((READER.get().language, code))
    return known or str(locale().territories.get(code, code))


def city(name: str) -> str:
    """A city's name in the reader's language, where it is known."""
    return city_for(READER.get().language, name)


def language_name(code: str) -> str:
    """A language's name in the reader's, as it is called in the region."""
    known = _LANGUAGES.get((READER.get().language, code))
    return known or str(locale().languages.get(code, code))


def named(organization: dict[str, Any]) -> str:
    """An organization's name in the reader's language, or in the one that they read next; else as it writes itself."""
    names = {each["language"]: each["text"] for each in reversed(organization.get("names") or ())}
    return name_for(READER.get().language, organization["name"], names)


def label(value: str, of: str) -> str:
    """A value of an enum in words."""
    return translated(LABELS[of][value].words, READER.get().language)


def choices(of: str) -> list[tuple[str, str]]:
    """The values of an enum of the schema, each with its words."""
    return [(value, label(value, of)) for value in schema().type_map[of].values]  # type: ignore[attr-defined]


def tone(value: str, of: str) -> str:
    """How a mark of a value of an enum looks."""
    return LABELS[of][value].tone


CLOSED_CALLS = ("CLOSED", "DECIDED", "ARCHIVED")
"""The statuses of a call whose round has closed."""


def earlier(partner: Mapping[str, Any], proposal: Mapping[str, Any]) -> bool:
    """Whether what a partner has confirmed is not the text as it is now; where no revision was named, by the times."""
    if partner["status"] != "CONFIRMED":
        return False
    if partner["revision"] is None:
        return bool(partner["answeredAt"] < proposal["revisedAt"])
    return bool(partner["revision"] < proposal["revision"])


SHORT = 80
"""Up to so many letters what was and what became of it are read beside each other."""
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


def said_of(field: str, value: str | None) -> str:
    """What a field of a record says, in words: a value as the API writes it, its field as forms or the API name it."""
    if not value:
        return ""
    if _INSTANT.fullmatch(value):
        return moment(value)
    match field:
        case "country":
            return country(value)
        case "city":
            return city(value)
        case "blindness":
            return label(value.upper(), "Blindness")
        case "kind":
            return label(value.upper(), "OrganizationKind")
        case "level":
            return label(value.upper(), "RiskLevel")
        case "personalData":
            return said("yes") if value == "true" else said("no")
    return value


def changed(field: str, before: str | None, after: str | None) -> Markup:
    """What something was and what it became: a text in one, word by word, what is short beside each other."""
    old, new = said_of(field, before), said_of(field, after)
    if max(len(old), len(new)) > SHORT:
        return difference(old, new)
    return Markup(" ").join(
        Markup(f"<{tag}>{{}}</{tag}>").format(text) for tag, text in (("del", old), ("ins", new)) if text
    )


@lru_cache(4_000)
def _text(message: str, language: str) -> Markup:
    return Markup(translations(language).gettext(message))


@lru_cache(4_000)
def _whole(message: str, language: str) -> Markup:
    return _text(message, language) % {}


def said(message: str, **values: Any) -> Markup:
    """A text of a template in the reader's language, its places filled in and escaped: Jinja's own, remembered."""
    language = READER.get().language
    return _text(message, language) % values if values else _whole(message, language)


def is_past(moment: str) -> bool:
    """Whether a time, as the API writes it, has come."""
    return datetime.fromisoformat(moment) <= _now()


def lasts(affiliation: Mapping[str, Any]) -> bool:
    """Whether somebody works there today, as they say."""
    until = affiliation["until"]
    return not affiliation["withdrawn"] and (until is None or bool(until >= _today()))


def goes_on(affiliation: Mapping[str, Any]) -> bool:
    """Whether somebody works there today and will tomorrow, as they say."""
    return lasts(affiliation) and affiliation["until"] != _today()


def _today() -> str:
    return f"{_now():%Y-%m-%d}"


def _now() -> datetime:
    return STOOD.get() or datetime.now(UTC)


@cache
def environment() -> Environment:
    """The templates: everything is escaped, and what is not there is an error."""
    made = Environment(
        # In memory, as the code is: what is installed over a hub that serves is the next one's.
        loader=DictLoader({each.name: each.read_text() for each in HERE.glob("*.html")}),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_gettext_callables(  # type: ignore[attr-defined]
        lambda message: translations(READER.get().language).gettext(message),
        lambda one, many, n: translations(READER.get().language).ngettext(one, many, n),
        newstyle=True,
    )
    made.filters |= {
        "moment": moment,
        "clock": clock,
        "day": day,
        "relative": relative,
        "number": number,
        "country": country,
        "city": city,
        "language": language_name,
        "named": named,
        "path": path_of,
        "markdown": markdown,
        "marked": marked,
        "excerpt": excerpt,
    }
    made.tests |= {"lasting": lasts, "going_on": goes_on, "past": is_past}
    made.globals |= {
        "_": said,
        "label": label,
        "tone": tone,
        "difference": difference,
        "earlier": earlier,
        "due": due,
        "closed_calls": CLOSED_CALLS,
        "changed": changed,
        "said_of": said_of,
        "menu": MENU,
        "asset": assets.address,
        "drawing": drawing,
        "zones": ZONES,
        "languages": tuple((code, LANGUAGE_NAMES[code]) for code in PAGES),
        "today": lambda: f"{datetime.now(UTC):%Y%m%d}",
        "event_types": tuple(sorted(SAYS.items())),
        "documents": tuple(page.name for page in SITE),
        "choices": choices,
    }
    return made
