"""English, Russian and Tajik: every text is marked and translated, its places are kept, and pages show it."""

import re
from pathlib import Path

import pytest

from domain.core import Word, every_command
from domain.proposals.commands import DraftProposal
from tests.test_log import told
from tests.web import people_of, serving
from web.messages import catalog, forms, messages, missing
from web.preferences import READER, Preferences, accepted, preferred
from web.showing import named
from web.words import PAGES, translated, translations

TEMPLATES = sorted((Path(__file__).parent.parent / "web" / "pages").glob("*.html"))
PLACE = re.compile(r"%\(\w+\)s")


def unmarked(template):
    """The words of a template that would be shown in every language alike: outside tags and expressions, or in an
    attribute that people read or hear.
    """
    # Attributes that a block gives to a tag, or that are put together before it.
    template = re.sub(r"\{% (block live|set \w+) %\}.*?\{% end(block|set) %\}", " ", template, flags=re.S)
    text = re.sub(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", " ", template, flags=re.S)
    read = re.findall(r'\b(?:title|aria-label|placeholder|alt)="([^"]*)"', text)
    text = re.sub(r"<(script|style|code|pre)\b.*?</\1>", " ", text, flags=re.S)
    shown = re.sub(r"<[^>]*>", " ", text)
    shown = re.sub(r"&\w+;", " ", shown)
    return [word for each in (shown, *read) for word in re.findall(r"[^\W\d_]{2,}", each)]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.stem)
def test_no_template_holds_words_that_are_not_marked(template):
    # What is called alike in every language: identifiers, and addresses that are shown.
    alike = {"SHA", "UTC", "ROR", "ORCID", "iD", "https", "ror", "org", "log", "checkpoint"}
    alike |= {"CSV", "JSON", "MB", "curl", "Python", "JavaScript"}
    assert [word for word in unmarked(template.read_text()) if word not in alike] == []


def test_a_planted_unmarked_text_is_caught():
    assert unmarked('<p title="Hidden words">{{ _("Marked") }} not marked</p>') == ["not", "marked", "Hidden", "words"]


@pytest.mark.parametrize("language", PAGES[1:])
def test_every_text_is_translated(language):
    assert missing(language) == []
    known = catalog(language)
    gone = [each.id for each in known if each.id and each.id not in messages()]
    assert gone == [], "python -m web.messages takes out what is gone"


@pytest.mark.parametrize("language", PAGES[1:])
def test_translations_keep_the_places_and_the_ends_of_their_texts(language):
    for each in catalog(language):
        *_, asked = forms(each.id)
        for said in forms(each.string) if asked else ():
            assert sorted(PLACE.findall(asked)) == sorted(PLACE.findall(said)), each.id
            assert (asked[-1] in ".:") == (said[-1] in ".:"), each.id


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ["1 proposal", "3 proposals", "11 proposals", "21 proposals"]),
        ("ru", ["1 заявка", "3 заявки", "11 заявок", "21 заявка"]),
        ("tg", ["1 дархост", "3 дархост", "11 дархост", "21 дархост"]),
    ],
)
def test_what_is_counted_agrees_with_its_number(language, said):
    one, many = "%(count)s proposal", "%(count)s proposals"
    counted = [translations(language).ngettext(one, many, n) % {"count": n} for n in (1, 3, 11, 21)]
    assert counted == said


def test_a_plural_form_that_waits_to_be_translated_is_caught(monkeypatch):
    known = catalog("ru")
    known.get("%(count)s proposal").string = ("%(count)s заявка", "", "%(count)s заявок")
    monkeypatch.setattr("web.messages.catalog", lambda language: known)
    assert missing("ru") == [("%(count)s proposal", "%(count)s proposals")]


def test_a_text_that_waits_to_be_translated_is_caught(monkeypatch):
    monkeypatch.setattr("web.messages.messages", lambda: {"Nobody has translated this.": "x", "Title": "y"})
    from web import messages as module

    assert module.missing("ru") == ["Nobody has translated this."]


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        ("tg", b"ru", "tg"),
        ("", b"tg-Cyrl-TJ, ru;q=0.8", "tg"),
        ("", b"ky, ru;q=0.8, en;q=0.5", "ru"),
        ("", b"fr", "en"),
        ("ky", b"", "en"),
        ("<script>", b"\xff\xfe", "en"),
    ],
)
def test_the_readers_language_is_found(chosen, accepted, language):
    assert preferred(f"hub_language={chosen}".encode(), accepted).language == language


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", ["Совместные исследования ИИ", "Конкурсы", "Войти", "Тадж"]),
        ("tg", ["Таҳқиқоти муштараки", "Озмунҳо", "Даромадан", "Тоҷ"]),
    ],
)
def test_pages_are_in_the_readers_language(region_dsn, language, words):
    async def story():
        async with serving(region_dsn, demo=True) as (hub, _, client):
            people = await people_of(hub)
            headers = {"accept-language": language}
            anybody = await client()
            home = (await anybody.http.get("/", headers=headers)).text
            assert f'<html lang="{language}">' in home
            for each in words[:3]:
                assert each in home, each
            assert words[3] in (await anybody.http.get("/organizations", headers=headers)).text
            author = await client(people["karimova"])
            # A form with a problem: its heading, labels, help and what is wrong, all in the language.
            form = (await author.http.post("/do/draftProposal", data={"title": "x"}, headers=headers)).text
            shown = [
                translated((DraftProposal.__doc__ or "").strip(), language).rstrip("."),
                translated("Title", language),
                translated("The one that you work at; it is verified.", language),
                translated("Something is missing or does not fit: see the fields below.", language),
            ]
            for each in shown:
                assert each in form, each
            for english in ("Begin a joint proposal", "Lead organization", "Something is missing", "This is needed"):
                assert english not in form

    told(story())


def test_a_refusal_names_statuses_in_the_readers_language():
    message = "This cannot be done while the record is “%(status)s”."
    assert translated(message, "ru", {"status": Word("in review")}).endswith("«на рассмотрении».")
    assert translated("There is no such %(kind)s.", "tg", {"kind": Word("call")}) == "Чунин сабт нест (озмун)."
    # What people wrote stays as they wrote it, also where it is a word of ours.
    assert translated("There is no such %(kind)s.", "tg", {"kind": "call"}) == "Чунин сабт нест (call)."
    assert translated("Recorded as event %(position)s.", "ru", {"position": 7}) == "Записано: событие 7 в журнале."
    statuses = {each.replace("_", " ") for command in every_command() for each in command.while_ or ()}
    for language in PAGES[1:]:
        assert [each for each in statuses if translated(each, language) == each] == []


@pytest.mark.parametrize(
    ("language", "shown"), [("en", "Own name"), ("ru", "По-русски"), ("tg", "По-русски"), ("ky", "Own name")]
)
def test_an_organization_is_called_by_the_name_that_its_reader_reads_first(language, shown):
    reader = READER.set(Preferences(language=language))
    try:
        names = [{"language": "ru", "text": "По-русски"}, {"language": "ru", "text": "Иначе по-русски"}]
        assert named({"name": "Own name", "names": names}) == shown
        if language == "tg":
            assert (
                named({"name": "Own name", "names": [*names, {"language": "tg", "text": "Ба тоҷикӣ"}]}) == "Ба тоҷикӣ"
            )
        assert named({"name": "Own name", "names": []}) == "Own name"
    finally:
        READER.reset(reader)


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("ru;q=0.5, en;q=0.9", "en"),
        ("ru;q=0, en", "en"),
        ("ru;q=0", "en"),
        ("en;q=0.1, ru;q=0.9", "ru"),
        ("de, tg-TJ;q=0.8, ru;q=0.7", "tg"),
        ("ru, tg", "ru"),
        ("tg;q=1.0,ru;q=1", "tg"),
        ("RU ; q = 0.3 , tg;q=0.2", "ru"),
        ("ru;q=much", "ru"),
        ("*, de", "en"),
        ("", "en"),
    ],
)
def test_the_language_that_is_wanted_most_is_answered(asked, language):
    assert accepted(asked.encode()) == language
