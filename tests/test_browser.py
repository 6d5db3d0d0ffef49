"""The pages in headless Chromium, as the people of the region use them; scripts are off, for pages work without."""

import re
import subprocess
import sys
from urllib.parse import urljoin

import pytest

from tests.browsing import NEEDED, choose, sign_in
from tests.web import opened

pytestmark = NEEDED


def test_a_researcher_in_dushanbe_submits_with_a_university_in_bishkek(visitor):
    author, officer = visitor(), visitor()
    sign_in(author, "Зарина Каримова", by_hand=True)
    author.get_by_role("link", name="AI for health and languages").click()
    author.get_by_role("link", name="Begin a proposal").click()
    author.get_by_label("Title").fill("Нутқи тоҷикӣ")
    author.get_by_label("Abstract").fill("We record how people of three valleys speak. " * 6)
    author.get_by_role("button", name="Draft proposal").click()
    assert author.get_by_role("heading", level=1).inner_text() == "Нутқи тоҷикӣ draft"
    address = author.url.partition("?")[0]

    author.get_by_role("link", name="Ask a partner").click()
    choose(author, "Kyrgyz State Technical University")
    author.get_by_label("Contribution").fill("Recordings from Naryn")
    author.get_by_role("button", name="Invite partner").click()
    assert "Partners that have not confirmed yet: 1." in author.get_by_role("region", name="What is next").inner_text()

    author.get_by_role("link", name="Assess").click()
    author.get_by_label("Level of risk").select_option("limited")
    author.get_by_label("Who could be harmed").fill("Whoever is understood wrongly")
    author.get_by_label("What you do against it").fill("A person decides")
    author.get_by_role("button", name="Assess risk").click()

    sign_in(officer, "Айбек Токтогулов")
    officer.get_by_role("link", name="Нутқи тоҷикӣ").first.click()
    officer.get_by_role("link", name="Confirm", exact=True).click()
    officer.get_by_role("button", name="Confirm partner").click()
    assert "takes part" in officer.get_by_role("row", name="Kyrgyz State Technical University").inner_text()

    author.goto(address)
    author.get_by_role("link", name="Submit").click()
    author.get_by_role("button", name="Submit proposal").click()
    assert author.get_by_role("heading", level=1).inner_text() == "Нутқи тоҷикӣ submitted"
    assert author.locator(".notice[role=status]").inner_text().startswith("A version was submitted.")
    assert "A version was submitted." in author.get_by_role("region", name="What happened").inner_text()
    # Whoever takes no part is told the same as of a proposal that does not exist.
    stranger = visitor()
    sign_in(stranger, "Gülnara Mämmedowa")
    refused = stranger.goto(address)
    assert refused.status == 404
    told = stranger.get_by_role("main").inner_text()
    assert stranger.goto(address[:-1] + ("0" if address[-1] != "0" else "1")).status == 404
    assert stranger.get_by_role("main").inner_text() == told


def test_what_was_typed_stays_and_the_error_stands_at_its_field(visitor):
    page = visitor(scripts=True)
    sign_in(page, "Dilshod", to="/calls")
    page.get_by_role("link", name="AI for health and languages").click()
    page.get_by_role("link", name="Begin a proposal").click()
    page.get_by_label("Abstract").fill("Суръат ва сифат")
    page.get_by_label("Title").fill("ab")
    page.get_by_role("button", name="Draft proposal").click()
    assert page.get_by_label("Abstract").input_value() == "Суръат ва сифат"
    assert "At least 3 characters" in page.locator(".wrong").inner_text()
    assert page.locator(".wrong").get_by_role("textbox").input_value() == "ab"


def test_an_officer_of_the_center_drafts_a_call_by_typing(visitor):
    page = visitor(width=1280, scripts=True)
    sign_in(page, "Нилуфар Раҳимова", to="/calls")
    page.get_by_role("link", name="Draft a call").click()
    page.get_by_label("Title").fill("Water and ice")
    page.get_by_label("What it is for").fill("Joint research on water and ice.")
    page.get_by_label("Opens").fill("2099-01-01T09:00:00")
    page.get_by_label("Closes").fill("2099-03-01T09:00:00")
    page.get_by_label("Criteria").press_sequentially("Excellence: 60\nImpact")
    page.get_by_role("button", name="Draft call").click()
    assert "name: percent" in page.locator(".wrong").inner_text()
    page.get_by_label("Criteria").fill("")
    page.get_by_label("Criteria").press_sequentially("Excellence: 60\nImpact: 40")
    page.get_by_role("button", name="Draft call").click()
    page.get_by_role("row", name="Impact 40").wait_for()
    assert page.get_by_role("heading", level=1).inner_text() == "Water and ice draft"


@pytest.mark.parametrize("name", [None, "Зарина Каримова", "Нилуфар Раҳимова"])
def test_every_link_leads_somewhere_and_no_page_is_wider_than_the_screen(visitor, region_url, name):
    # Scripts change no page's width but the explorer's: one of the three runs them.
    page = visitor(scripts=name == "Зарина Каримова")
    if name:
        sign_in(page, name)
    page.goto("/")
    seen, waiting = {region_url + "/"}, [region_url + "/"]
    kinds = {}
    while waiting:
        address = waiting.pop()
        kind = re.sub(r"(organization|person|proposal|call)_\w+|(?<=proof/)\d+|\?.*", "…", address)
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] > 2:
            continue
        if "/log/" in address or address.partition("?")[0].endswith((".csv", ".json")):
            # What is downloaded is no page to go to; just after it was recorded, an event has no proof yet.
            assert page.request.get(address).status in (200, 404), address
            continue
        answer = page.goto(address)
        assert answer.status == 200, address
        if "text/html" not in answer.headers["content-type"]:
            continue
        for width in (1920, 320):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        for each in page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))"):
            target = urljoin(address, each).partition("#")[0]
            if target.startswith(region_url) and target not in seen:
                seen.add(target)
                waiting.append(target)
    assert len(kinds) > 8


def test_a_one_time_link_signs_in_on_a_phone_once(visitor, plain_dsn):
    with opened(plain_dsn) as url:
        env = {"HUB_DATABASE_URL": plain_dsn, "HUB_URL": url}
        invite = [sys.executable, "-m", "hub", "invite", "new@example.org", "--name", "Ситора Ҳасанова"]
        made = subprocess.run(invite, env=env, capture_output=True, text=True, check=True).stdout
        link = made.split()[-1]
        page = visitor(base_url=url)
        page.goto("/sign-in")
        assert page.get_by_role("main").get_by_role("button").count() == 0
        page.goto(link)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        assert page.get_by_role("heading", level=1).inner_text() == "Good to see you, Ситора Ҳасанова"
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("link", name="Sign in").wait_for()
        page.goto(link)
        assert "This link was used" in page.get_by_role("alert").inner_text()
