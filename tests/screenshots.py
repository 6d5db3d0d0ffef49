"""``make screenshots``: every page of the demonstration at two widths, in two colors and three languages, as pictures.

The site map says which pages there are; records are those that the demonstration tells of.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench.measure import free_port, process
from tests.browsing import photograph
from tests.web import CHROMIUM
from web.words import PAGES

WIDTHS, COLORS = (1280, 390), ("light", "dark")
READERS = {"researcher": "Зарина Каримова", "officer": "Айбек Токтогулов", "center": "Нилуфар Раҳимова"}
LINKS = {
    "call": ("/calls", "/calls/"),
    "organization": ("/organizations?text=Physical-Technical", "/organizations/"),
    "proposal": ("/proposals", "/proposals/"),
}


def addresses(page: Page, signed_in: bool) -> Iterator[tuple[str, str]]:
    """Every page that this reader opens, by the name of its picture."""
    plain = ("calls", "proposals", "organizations", "activity", "log", "status", "developers", "components")
    yield "home", "/"
    yield from ((name, f"/{name}") for name in plain)
    yield "search", "/search?text=ai"
    for name, (listed, begins) in LINKS.items():
        page.goto(listed)
        found = page.locator(f'main a[href^="{begins}"]').first.get_attribute("href")
        yield name, str(found)
        if name == "call" and signed_in:
            yield "form", f"/do/draftProposal?call={str(found).rpartition('/')[2]}"
    if signed_in:
        yield from ((f"profile-{tab}", f"/profile?tab={tab}") for tab in ("about", "signing-in", "tokens"))
    else:
        yield "sign-in", "/sign-in"


def draw(browser: Browser, base: str, folder: Path, language: str, color: str, only: str = "") -> int:
    """All pictures of one language and color; answers how many."""
    count = 0
    for reader, name in {"public": "", **READERS}.items():
        for width in WIDTHS:
            context = browser.new_context(
                viewport={"width": width, "height": 900}, base_url=base, color_scheme=color, locale=language
            )
            page = context.new_page()
            if name:
                page.goto("/sign-in")
                page.locator("main").get_by_role("button", name=name).click()
                page.wait_for_url(lambda url: "/sign-in" not in url)
            for title, address in [*addresses(page, bool(name))]:
                if only and only != title:
                    continue
                page.goto(address, wait_until="load")
                photograph(page, folder / f"{title}-{reader}-{width}-{color}-{language}.png")
                count += 1
            context.close()
    return count


def main(folder: str, only: str = "", languages: str = ",".join(PAGES), colors: str = ",".join(COLORS)) -> None:
    """Serve a demonstration of its own, draw it, and remove it; ``only`` names one page."""
    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "hub", "serve", "--demo", "--port", str(port)]
    with tempfile.TemporaryDirectory() as home, process(command, port, HUB_HOME=home), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        drawn = sum(
            draw(browser, f"http://127.0.0.1:{port}", into, language, color, only)
            for language in languages.split(",")
            for color in colors.split(",")
        )
        browser.close()
    print(f"{drawn} pictures in {into}/")


if __name__ == "__main__":
    main(*sys.argv[1:])
