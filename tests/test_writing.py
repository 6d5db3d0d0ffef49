"""Writing in Chromium: nothing that was typed is lost, sent twice, or taken back unseen."""

import re

import pytest

from tests.browsing import AUTHOR, BUILT_HERE, CENTER, CHANGE, NEEDED, first_link, own_draft, sign_in

pytestmark = NEEDED


@pytest.mark.parametrize("scripts", [True, False])
def test_whoever_goes_back_to_a_form_and_sends_it_again_makes_nothing_twice(visitor, scripts):
    page = visitor(390, scripts=scripts)
    sign_in(page, AUTHOR)
    page.goto(first_link(page, "/calls?status=OPEN", "/calls/"))
    page.locator("main a[href^='/do/draftProposal']").first.click()
    page.locator("#title").fill(f"Sent, and sent again {scripts}")
    page.locator("main form .send button").click()
    page.wait_for_url(re.compile("/proposals/.*done="))
    made = page.url
    page.go_back()
    page.locator("main form .send button").click()
    page.wait_for_url(re.compile("/proposals/.*done="))
    assert page.url == made


@BUILT_HERE
def test_what_was_typed_survives_a_lost_page_and_is_forgotten_once_saved(visitor):
    page = visitor(scripts=True)
    sign_in(page, AUTHOR)
    address = own_draft(page, "A lost line")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    form = page.get_by_role("link", name=CHANGE).first.get_attribute("href")
    page.goto(form)
    page.get_by_label("Abstract").press_sequentially("Words that nobody has saved yet")
    page.wait_for_timeout(600)
    page.goto("/")
    assert asked == ["beforeunload"]
    page.goto(form)
    assert page.get_by_label("Abstract").input_value() == ""
    page.get_by_role("button", name="Restore").click()
    assert page.get_by_label("Abstract").input_value() == "Words that nobody has saved yet"
    page.get_by_role("button", name="Revise proposal").click()
    page.wait_for_url(re.compile(r"done="))
    page.goto(form)
    assert page.get_by_role("button", name="Restore").count() == 0
    assert asked == ["beforeunload"]
    assert "nobody has saved" in page.get_by_label("Abstract").input_value()
    # Somebody else on this device is offered nothing.
    page.get_by_label("Abstract").press_sequentially("!")
    page.wait_for_timeout(600)
    sign_in(page, "Фаррух Назаров")
    page.goto(f"/do/invitePartner?proposal={address.rpartition('/')[2]}")
    assert page.get_by_role("button", name="Restore").count() == 0


def _written_in(visitor, title):
    # The form of a new draft, in a browser that leaves a page without asking.
    page = visitor(scripts=True)
    sign_in(page, AUTHOR)
    own_draft(page, title)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name=CHANGE).first.click()
    return page


def _kept(page):
    return page.evaluate("Object.keys(localStorage).filter((each) => each.startsWith('draft ')).length")


@BUILT_HERE
def test_what_was_sent_in_vain_is_kept_however_one_goes_back(visitor):
    page = _written_in(visitor, "Sent over a line that broke")
    page.get_by_label("Abstract").press_sequentially("An hour's work")
    page.context.set_offline(True)
    page.get_by_role("button", name="Revise proposal").click()
    page.wait_for_url("chrome-error://**")
    page.context.set_offline(False)
    # A page that says what was done before this says nothing of it.
    page.evaluate("void setTimeout(() => history.go(-2), 100)")
    page.wait_for_url(re.compile("done="))
    page.wait_for_load_state()
    assert _kept(page) == 1
    page.get_by_role("link", name=CHANGE).first.click()
    page.get_by_role("button", name="Restore").click()
    assert page.get_by_label("Abstract").input_value() == "An hour's work"
    page.get_by_role("button", name="Revise proposal").click()
    page.wait_for_url(re.compile("done="))
    assert _kept(page) == 0 and "An hour's work" in page.locator("main").inner_text()


@BUILT_HERE
@pytest.mark.parametrize("meanwhile", [False, True])
def test_what_is_written_after_it_was_sent_is_kept(visitor, meanwhile):
    page = _written_in(visitor, "Sent over a slow line")
    page.get_by_label("Abstract").press_sequentially("Sent.")
    waiting = []
    page.route(re.compile("sent=1"), lambda route: waiting.append(route))
    # In one go, as whoever drives a browser waits for a page that is under way.
    said = page.evaluate("""async () => {
        const pause = (time) => new Promise((go) => setTimeout(go, time));
        document.querySelector(".send button").click();
        await pause(1_000);
        const field = document.getElementById("abstract");
        field.value += " Not sent.";
        field.dispatchEvent(new Event("input", { bubbles: true }));
        await pause(600);
        return document.getElementById("said").textContent;
    }""")
    assert said.startswith("It is being sent.")
    waiting[0].continue_()
    page.wait_for_url(re.compile("done="))
    page.unroute_all()
    assert len(waiting) == 1
    page.get_by_text("What you wrote after you had sent this").wait_for()
    id = page.locator("main").get_attribute("data-record")
    if meanwhile:
        page.request.post("/do/reviseProposal", form={"proposal": id, "abstract": "Sent. And theirs."})
    page.get_by_role("link", name=CHANGE).first.click()
    page.get_by_role("button", name="Restore").click()
    assert page.get_by_label("Abstract").input_value() == "Sent. Not sent."
    page.get_by_role("button", name="Revise proposal").click()
    if meanwhile:
        # It goes on from what was sent: what others made of that is shown first.
        page.locator(".theirs", has_text="And theirs.").wait_for()
        return
    page.wait_for_url(re.compile("done="))
    assert _kept(page) == 0 and "Sent. Not sent." in page.locator("main").inner_text()


@BUILT_HERE
def test_what_is_sent_once_more_after_signing_in_again_is_no_more_kept(visitor):
    page = visitor(scripts=True)
    sign_in(page, AUTHOR)
    page.goto(first_link(page, "/calls?status=OPEN", "/calls/"))
    page.get_by_role("link", name="Begin a proposal").click()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Title").press_sequentially("Signed out while writing")
    cookies = page.context.cookies()
    page.context.clear_cookies(name="hub_session")
    page.get_by_role("button", name="Draft proposal").click()
    page.get_by_role("button", name="Send it again").wait_for()
    page.context.add_cookies(cookies)
    page.get_by_role("button", name="Send it again").click()
    page.wait_for_url(re.compile("done="))
    assert _kept(page) == 0


@BUILT_HERE
def test_what_is_kept_of_a_field_that_is_no_more_is_shown(visitor):
    page = _written_in(visitor, "A field less")
    page.get_by_label("Title").wait_for()
    form = page.locator("form[data-draft]").get_attribute("data-draft")
    page.evaluate(
        """(form) => localStorage.setItem(`draft ${document.getElementById("main").dataset.person} ${form} x`,
            JSON.stringify({ at: Date.now(),
                             values: { criteria: "Written before it was frozen", quorum: "3", abstract: "To be sent" },
                             began: { "!was.quorum": "3" } }))""",
        form,
    )
    page.reload()
    frozen = page.locator("main .notice pre")
    # What nobody had changed is nobody's text.
    assert frozen.all_inner_texts() == ["Written before it was frozen"] and _kept(page) == 1
    # The rest is restored, and sent: it stays, here and when the form is opened again, also where it came back once.
    page.get_by_role("button", name="Restore").click()
    assert page.get_by_label("Abstract").input_value() == "To be sent"
    assert frozen.all_inner_texts() == ["Written before it was frozen"]
    page.get_by_label("Title").fill("")
    page.get_by_role("button", name="Revise proposal").click()
    page.get_by_role("alert").wait_for()
    assert frozen.all_inner_texts() == ["Written before it was frozen"]
    page.get_by_label("Title").press_sequentially("A field less")
    page.get_by_label("Abstract").press_sequentially(".")
    page.wait_for_timeout(600)
    page.get_by_role("button", name="Revise proposal").click()
    page.wait_for_url(re.compile("done="))
    page.get_by_role("link", name=CHANGE).first.click()
    assert page.get_by_label("Abstract").input_value() == ".To be sent"
    assert frozen.all_inner_texts() == ["Written before it was frozen"]
    assert page.get_by_role("button", name="Restore").count() == 0
    page.get_by_role("button", name="Discard it").click()
    assert _kept(page) == 0 and frozen.count() == 0


@BUILT_HERE
def test_who_was_invited_is_offered_to_nobody_as_unsent(visitor):
    page = visitor(scripts=True)
    sign_in(page, CENTER, to="/do/invitePerson")
    page.get_by_label("Name").press_sequentially("Somebody New")
    page.get_by_label("E-mail").press_sequentially("new@example.org")
    page.wait_for_timeout(600)
    page.get_by_role("button", name="Invite person").click()
    page.get_by_role("heading", name="Somebody New is invited").wait_for()
    page.get_by_role("link", name="Invite another person").click()
    page.get_by_label("Name").wait_for()
    assert _kept(page) == 0 and page.get_by_role("button", name="Restore").count() == 0


@BUILT_HERE
def test_two_forms_that_are_written_at_once_keep_each_their_own(visitor):
    page = visitor(scripts=True)
    sign_in(page, AUTHOR)
    page.goto(first_link(page, "/calls?status=OPEN", "/calls/"))
    page.get_by_role("link", name="Begin a proposal").click()
    other = page.context.new_page()
    for each in (page, other):
        each.on("dialog", lambda dialog: dialog.accept())
    other.goto(page.url)
    for each, title in ((page, "The one"), (other, "The other")):
        each.get_by_label("Title").press_sequentially(title)
        each.wait_for_timeout(600)
    other.close(run_before_unload=False)
    page.get_by_role("button", name="Draft proposal").click()
    page.wait_for_url(re.compile("done="))
    page.goto("/do/draftProposal")
    offered = page.locator("main .notice.warn", has_text="The other")
    assert page.get_by_role("button", name="Restore").count() == 1
    offered.get_by_role("button", name="Restore").click()
    assert page.get_by_label("Title").input_value() == "The other"


@BUILT_HERE
def test_what_is_restored_is_compared_with_what_others_wrote_meanwhile(visitor):
    page = visitor(scripts=True)
    sign_in(page, AUTHOR)
    id = own_draft(page, "Restored too late").rpartition("/")[2]
    page.on("dialog", lambda dialog: dialog.accept())
    form = f"/do/reviseProposal?proposal={id}"
    page.goto(form)
    page.get_by_label("Abstract").press_sequentially("Mine")
    page.goto("/")
    page.request.post("/do/reviseProposal", form={"proposal": id, "abstract": "Theirs"})
    page.goto(form)
    page.get_by_role("button", name="Restore").click()
    page.get_by_role("button", name="Revise proposal").click()
    page.locator(".theirs", has_text="Theirs").wait_for()
    assert page.get_by_label("Abstract").input_value() == "Mine"


@BUILT_HERE
def test_a_device_without_room_says_that_it_keeps_nothing(visitor):
    page = _written_in(visitor, "No room")
    page.evaluate("""() => { for (const size of [1e6, 1e5, 1e4, 1e3, 100, 10]) try {
        for (let n = 0; ; n++) localStorage.setItem(`${size} ${n}`, "x".repeat(size)); } catch {} }""")
    page.get_by_label("Abstract").press_sequentially("Sent all the same")
    page.get_by_text("This device has no room left").wait_for()
    page.get_by_role("button", name="Revise proposal").click()
    page.wait_for_url(re.compile("done="))
    page.evaluate("localStorage.clear()")
    assert "Sent all the same" in page.locator("main").inner_text()


@BUILT_HERE
def test_a_page_that_is_open_hears_that_its_time_is_over(visitor):
    page = visitor(scripts=True)
    page.clock.install()
    sign_in(page, AUTHOR)
    address = own_draft(page, "Open while the round closes")
    id = address.rpartition("/")[2]
    page.goto(address)
    closes = page.locator("time[data-due]").first.get_attribute("datetime")
    left = page.evaluate("(at) => Date.parse(at) - Date.now()", closes)
    page.clock.fast_forward(left - 3_700_000)
    asked = []
    page.on("response", lambda answer: asked.append(answer) if answer.url.startswith(address) else None)
    for times in (1, 2):
        # Its next minute begins once the page has shown the answer, which may be after it came.
        while len(asked) < times:
            page.clock.fast_forward(110_000)
            page.wait_for_timeout(100)
    form = f"/do/reviseProposal?proposal={id}"
    page.clock.set_system_time(closes)
    page.goto(form)
    page.get_by_label("Abstract").press_sequentially("Too late")
    page.on("dialog", lambda dialog: dialog.accept())

    def over(route):
        # As the hub shows it once the round has closed.
        shown = page.request.get(form).text()
        assert '<p id="due">' in shown
        route.fulfill(status=200, content_type="text/html", body=shown.replace('<p id="due">', "<p>"))

    page.route(f"**{form}", over)
    page.clock.fast_forward(6_000)
    page.locator("#said .toast", has_text="Its time is over.").wait_for()
    assert page.locator("#due").inner_text() == "Its time is over."
    assert page.get_by_label("Abstract").input_value() == "Too late"
    # What else ended before its time says so itself.
    page.unroute_all()
    page.clock.set_system_time(page.evaluate("(at) => Date.parse(at) - 1_800_000", closes) / 1_000)
    page.goto(form)
    page.route(f"**{form}", lambda route: route.fulfill(status=403, body="withdrawn"))
    with page.expect_response(lambda answer: answer.status == 403):
        page.clock.fast_forward(61_000)
    page.wait_for_timeout(200)
    assert "time is over" not in page.locator("#said").inner_text() + page.locator("#due").inner_text()


@BUILT_HERE
def test_a_text_is_previewed_as_it_will_look(visitor):
    page = visitor(scripts=True)
    sign_in(page, AUTHOR)
    page.goto(first_link(page, "/calls?status=OPEN", "/calls/"))
    page.get_by_role("link", name="Begin a proposal").click()
    page.get_by_label("Abstract").fill("**Bold** words <b>plain</b> ![x](javascript:1)")
    page.get_by_role("button", name="Preview").click()
    shown = page.locator("#abstract-preview")
    shown.locator("strong").wait_for()
    assert shown.inner_text() == "Bold words <b>plain</b> ![x](javascript:1)"
    assert page.get_by_label("Abstract").input_value().startswith("**Bold**")
    plain = visitor(scripts=False)
    sign_in(plain, AUTHOR)
    plain.goto(page.url)
    plain.get_by_label("Abstract").fill("*Without* scripts")
    plain.get_by_role("button", name="Preview").click()
    assert plain.locator("#abstract-preview em").inner_text() == "Without"
    assert plain.get_by_label("Abstract").input_value() == "*Without* scripts"
    page.on("dialog", lambda dialog: dialog.accept())


@BUILT_HERE
def test_a_text_that_is_too_long_is_counted_and_kept_and_never_cut(visitor):
    page = visitor(scripts=True)
    sign_in(page, AUTHOR)
    id = own_draft(page, "Long").rpartition("/")[2]
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"/do/reviseProposal?proposal={id}")
    count = page.locator("#title + .count")
    assert count.inner_text() == ""
    page.get_by_label("Title").fill("т" * 270)
    assert count.inner_text() == "270 / 300" and "over" not in count.get_attribute("class")
    page.get_by_label("Title").fill("т" * 301)
    assert count.inner_text() == "301 / 300" and "over" in count.get_attribute("class")
    page.get_by_role("button", name="Revise proposal").click()
    page.get_by_role("alert").wait_for()
    assert page.get_by_label("Title").input_value() == "т" * 301
    assert "At most 300 characters fit; these are 301." in page.locator("#title-problem").inner_text()


@BUILT_HERE
def test_a_form_that_would_be_refused_says_so_before_anybody_writes(visitor):
    page = visitor()
    sign_in(page, AUTHOR)
    id = own_draft(page, "Not yet").rpartition("/")[2]
    page.goto(f"/do/submitProposal?proposal={id}")
    assert page.locator("main form").count() == 0
    assert page.locator(".notice.warn").inner_text() == "The abstract needs at least 100 characters; it has 0."
    page.goto(f"/do/confirmEligibility?proposal={id}")
    assert page.locator("main form").count() == 0
    assert "not yours to do" in page.locator(".notice.warn").inner_text()
    page.get_by_role("link", name="Not yet").last.click()
    page.get_by_role("heading", level=1, name="Not yet").wait_for()
    # What was sent all the same is answered in the form, with what was typed.
    answer = page.request.post("/do/returnProposal", form={"proposal": id, "reason": "Typed at length"})
    assert answer.status == 422 and "Typed at length" in answer.text()


@BUILT_HERE
def test_what_was_written_into_a_form_that_closed_is_shown_to_be_copied(visitor):
    page = visitor(scripts=True)
    sign_in(page, AUTHOR)
    id = own_draft(page, "Closed while writing").rpartition("/")[2]
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"/do/reviseProposal?proposal={id}")
    page.get_by_label("Abstract").press_sequentially("An hour's work")
    page.wait_for_timeout(600)
    page.request.post("/do/withdrawProposal", form={"proposal": id, "reason": "No longer needed"})
    page.goto(f"/do/reviseProposal?proposal={id}")
    assert page.locator("main form").count() == 0
    assert page.locator("[data-kept] pre", has_text="An hour's work").is_visible()
    page.get_by_role("button", name="Discard it").click()
    page.reload()
    assert not page.locator("[data-kept]").is_visible()


def test_who_meets_a_change_may_take_it_instead_of_their_own(visitor):
    """Two open one form; the second to save sees both texts, takes one of theirs, keeps one of their own."""
    page = visitor()
    sign_in(page, AUTHOR)
    address = own_draft(page, "The first title")
    id = address.rpartition("/")[2]
    page.goto(f"/do/reviseProposal?proposal={id}")
    theirs = {"proposal": id, "title": "A better title", "abstract": "Their abstract"}
    page.request.post("/do/reviseProposal", form=theirs)
    page.get_by_label("Title").fill("My title")
    page.get_by_label("Abstract").fill("My abstract")
    page.get_by_role("button", name="Revise proposal").click()
    page.locator(".theirs").first.wait_for()
    page.wait_for_load_state()
    assert page.locator(".theirs").count() == 2
    page.locator(".theirs", has_text="A better title").get_by_role("button").click()
    assert page.get_by_label("Title").input_value() == "A better title"
    assert page.get_by_label("Abstract").input_value() == "My abstract"
    assert page.locator(".theirs").count() == 1
    page.get_by_role("button", name="Revise proposal").click()
    page.wait_for_url(re.compile("done="))
    assert page.get_by_role("heading", level=1, name="A better title").count() == 1
    assert "My abstract" in page.locator("main").inner_text()


@BUILT_HERE
@pytest.mark.parametrize("scripts", [False, True])
def test_who_chooses_how_to_read_while_writing_goes_on_writing(visitor, scripts):
    page = visitor(scripts=scripts)
    sign_in(page, "Dilshod", to="/calls")
    page.get_by_role("link", name="AI for health and languages").click()
    page.get_by_role("link", name="Begin a proposal").click()
    page.get_by_label("Title").fill("Til va nutq")
    page.get_by_role("button", name="Тоҷикӣ").click()
    assert page.locator("html").get_attribute("lang") == "tg"
    assert page.locator("#title").input_value() == "Til va nutq"
    page.locator("#abstract").fill("Uch vodiyda odamlar qanday gapiradi")
    page.locator("#reader-language").select_option("ru")
    page.locator("#reader-zone").select_option("UTC")
    page.locator("#reader-theme").select_option("dark")
    page.get_by_role("button", name="Интихоб").last.click()
    assert page.locator("html").get_attribute("lang") == "ru"
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.locator("#abstract").input_value() == "Uch vodiyda odamlar qanday gapiradi"
    # What is chosen next takes nothing of it back.
    assert page.locator("#reader-zone").input_value() == "UTC"
    page.get_by_role("button", name="English").click()
    page.get_by_role("button", name="Русский").click()
    # Enter sends the form, and is no choice.
    page.locator("#title").press("Enter")
    page.wait_for_url(lambda url: "/proposals/" in url)
    assert page.get_by_role("heading", level=1).inner_text().startswith("Til va nutq")
    assert page.locator("html").get_attribute("lang") == "ru"
    assert page.locator("#reader-zone").input_value() == "UTC"


@BUILT_HERE
def test_an_organization_is_found_as_one_types_and_stays_chosen(visitor):
    page = visitor(scripts=True)
    sign_in(page, AUTHOR)
    address = f"/do/invitePartner?proposal={own_draft(page, 'To be joined').rpartition('/')[2]}"
    page.goto(address)
    find, found = page.locator("#organization"), page.locator("#organization-found label")
    every = found.count()
    assert "More fit" in page.locator("#organization-found").inner_text()
    # By its city, by its Russian name, by a name that is not spelled well: the best comes first, and says where it is.
    find.press_sequentially("бишкек технический")
    page.get_by_text("More fit").wait_for(state="detached")
    assert "Kyrgyz State Technical University\nBishkek, Kyrgyzstan" in found.first.inner_text()
    find.fill("Osh stete universty")
    found.first.filter(has_text="Osh State University").wait_for()
    found.first.locator("input").check()
    # What was chosen stays so whatever is looked for next; Enter in the box sends nothing.
    find.fill("qqqqqqq")
    find.press("Enter")
    found.nth(1).wait_for(state="detached")
    assert found.locator("input:checked").count() == 1 and "Osh State University" in found.inner_text()
    assert "/do/invitePartner" in page.url
    page.get_by_label("Contribution").fill("Measurements")
    page.wait_for_timeout(600)
    # A page that is lost brings the choice back, too.
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(address)
    page.get_by_role("button", name="Restore").click()
    page.locator("#organization-found input:checked").wait_for()
    assert "Osh State University" in found.first.inner_text() and found.count() >= every
    page.get_by_role("button", name="Invite partner").click()
    page.wait_for_url("**/proposals/*")
    assert page.locator("main").inner_text().count("Osh State University")


@BUILT_HERE
def test_a_long_list_is_narrowed_by_what_is_typed_above_it(visitor):
    page = visitor(scripts=True)
    sign_in(page, AUTHOR)
    page.goto("/do/registerOrganization")
    choice, find = page.locator("#country"), page.get_by_label("Find in the list")
    every = choice.locator("option").count()
    find.press_sequentially("stan")
    few = choice.locator("option").all_inner_texts()
    assert 1 < len(few) < every and "Kyrgyzstan" in few
    # Letters count without their marks, words in any order.
    find.fill("ivoire cote")
    assert choice.input_value() == "CI"
    # What alone fitted is chosen no more when it fits no more, and that nothing fits is said.
    find.press_sequentially(" of")
    assert choice.input_value() == "" and choice.locator("option").all_inner_texts() == ["Nothing fits what is typed."]
    find.fill("tajik")
    # Enter in the box sends nothing; what was found stays chosen when the box is emptied.
    find.press("Enter")
    assert "/do/registerOrganization" in page.url
    find.fill("")
    assert choice.locator("option").count() == every and choice.input_value() == "TJ"
