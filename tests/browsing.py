"""The pages in headless Chromium: a demonstration that serves, and visitors with whatever screen and settings."""

import asyncio
import re

import pytest

from tests.conftest import copied
from tests.web import CHROMIUM, opened
from web.assets import BUILT, manifest

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NEEDED = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: on Debian, install the package chromium-headless-shell"
)
BUILT_HERE = pytest.mark.skipif(not manifest(), reason=f"the pages' assets were not built into {BUILT.name}: make run")
CHANGE = re.compile("^(Write|Revise proposal)$")
"""What leads to the form in which a draft is written, on the page of a draft."""
AUTHOR, CENTER = "Зарина Каримова", "Нилуфар Раҳимова"


@pytest.fixture(scope="module")
def region_url(server, told_once):
    """The address of a demonstration that serves; what one test changes, the next one sees."""
    with opened(asyncio.run(copied(server, told_once)), "--demo") as url:
        yield url


@pytest.fixture(scope="module")
def plain_dsn(server, told_once):
    """The same region where the demonstration was not asked for."""
    return asyncio.run(copied(server, told_once))


@pytest.fixture(scope="module")
def chromium(region_url, plain_dsn):
    """The browser; it comes last, since while it runs this thread is its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium, region_url):
    """Makes a page of a phone; whatever the browser complains of fails the test."""
    contexts, complaints = [], []

    def make(width=390, scripts=False, base_url=region_url, **settings):
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, java_script_enabled=scripts, base_url=base_url, **settings
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("requestfailed", failed)
        return page

    def failed(request):
        # A page that is left ends what it listens to, and what it had asked for and needs no more; a test may take the
        # line away.
        if request.failure not in ("net::ERR_ABORTED", "net::ERR_INTERNET_DISCONNECTED"):
            complaints.append(f"{request.url}: {request.failure}")

    yield make
    for context in contexts:
        context.close()
    # A refusal shows its page with a status that says so; the browser notes that, and nothing else may be noted.
    found = [text for text in complaints if "the server responded with a status of 4" not in text]
    assert not found, found


def sign_in(page, name, to="/", by_hand=False):
    """Sign in as somebody of the demonstration: ``by_hand`` on the page for it, or by what that page sends."""
    if by_hand:
        page.goto(f"/sign-in?next={to}")
        page.get_by_role("button", name=name).click()
        page.wait_for_url(lambda url: "/sign-in" not in url)
        return
    offered = page.request.get("/sign-in").text()
    person = re.search(rf'name="person" value="([^"]+)">[^<]*{re.escape(name)}', offered)[1]
    page.request.post("/sign-in/as", form={"person": person, "next": to}, max_redirects=0)
    page.goto(to)


def choose(page, name, field="organization"):
    """Look for an organization in a form, with scripts or without, and choose the one of this name."""
    page.locator(f"#{field}").fill(name)
    page.locator(f".look button[value='{field}']").click()
    page.locator(f"#{field}-found label", has_text=name).locator("input").check()


def photograph(page, path):
    """A picture of the whole page. A browser that is short of time says that it cannot take one: it is asked again."""
    from playwright.sync_api import Error

    for left in (2, 1, 0):
        try:
            return page.screenshot(path=path, full_page=True)
        except Error as error:
            if not left or "Unable to capture" not in error.message:
                raise


def own_draft(page, title):
    """A new draft of whoever has signed in, whose page is open then; answers its address."""
    listed = page.request.get("/calls?status=OPEN").text()
    call = re.search(r'href="/calls/(call_[^"]+)">AI for health and languages', listed)[1]
    form = page.request.get(f"/do/draftProposal?call={call}").text()
    lead = re.search(r'name="lead" value="([^"]+)" checked', form)[1]
    made = page.request.post("/do/draftProposal", form={"call": call, "lead": lead, "title": title})
    page.goto(made.url)
    return page.url.partition("?")[0]


def first_link(page, listed, begins):
    """The address of the first record of a list."""
    page.goto(listed)
    return page.locator(f'main a[href^="{begins}"]').first.get_attribute("href")
