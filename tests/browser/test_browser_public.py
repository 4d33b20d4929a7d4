"""The app open to the public in Chromium: two strangers, one who comes back, and one who takes everything along."""

import re

import pytest
from helpers.browser import expect, newest_run, no_error, open_page, served, settle, start

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(place):
    with served(place, CATDOG_PUBLIC="1", CATDOG_PUBLIC_HOURS="3") as address:
        yield address


def cookie(page) -> dict:
    """The cookie that the visitor is known by."""
    (found,) = [each for each in page.context.cookies() if each["name"] == "catdog"]
    return found


def test_two_strangers_one_comes_back_and_removes_everything(address, browser, place):
    mine, other = open_page(browser, address), open_page(browser, address)
    assert cookie(mine)["value"] != cookie(other)["value"]
    assert (cookie(mine)["sameSite"], cookie(mine)["path"]) == ("Strict", "/")
    assert mine.get_by_text("until 3 hours after your last visit").count() == 1
    start(mine, head_epochs=1)
    expect(mine.get_by_role("button", name="Download .keras").first).to_be_visible()
    folder = newest_run(place)

    # After a reload it is still there, and the address tells nothing that could be passed on.
    mine.reload()
    settle(mine)
    expect(mine.get_by_role("button", name="Download .keras").first).to_be_visible()
    assert mine.url.rstrip("/") == address
    assert cookie(mine)["value"] not in mine.url

    # The other one sees none of it, on any page.
    for name in ("", "classify", "runs"):
        other.goto(f"{address}/{name}")
        settle(other)
        assert folder.name not in other.content()
        assert other.get_by_text(re.compile("^Run of")).count() == 0
        no_error(other)
    expect(other.get_by_text("Every run will stand here")).to_be_visible()

    # What is removed is gone, and whoever removed it is somebody new.
    before = cookie(mine)["value"]
    mine.goto(f"{address}/runs")
    settle(mine)
    mine.get_by_role("button", name="Remove everything of mine").click()
    mine.get_by_role("dialog").get_by_role("button", name="Remove for good").click()
    expect(mine.get_by_text("Every run will stand here")).to_be_visible()
    settle(mine)
    assert not folder.exists()
    assert cookie(mine)["value"] != before
    no_error(mine)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_what_is_kept_is_said_on_every_page(address, browser, width, dark):
    page = open_page(browser, address, width=width, dark=dark)
    for name in ("", "classify", "runs", "how_it_works"):
        page.goto(f"{address}/{name}")
        settle(page)
        expect(page.get_by_text("Nobody else sees your photos and runs.")).to_be_visible()
        expect(page.get_by_role("button", name="Remove everything of mine")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        no_error(page)
    page.context.close()
