"""What came of a run, in Chromium: its tabs, the photos behind the confusion, and labels put right for the next run."""

import re
import shutil
from pathlib import Path

import pytest
from helpers.browser import choose, chromium, expect, no_error, open_page, served, settle
from playwright.sync_api import Page

from catdog.__main__ import main
from catdog.results.report_files import read_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def place(drawings, tmp_path_factory) -> Path:
    """A folder with drawings of which four lie in the wrong class, and a finished run on them."""
    folder = tmp_path_factory.mktemp("result")
    shutil.copytree(drawings, folder / "photos")
    for class_name, other in (("cats", "dogs"), ("dogs", "cats")):
        for path in sorted((folder / "photos" / "train" / class_name).iterdir())[:2]:
            path.rename(folder / "photos" / "train" / other / f"swapped-{path.name}")
    flags = ["--backbone", "starter", "--image-size", "64", "--head-epochs", "2", "--out", str(folder / "runs" / "one")]
    assert main(["train", str(folder / "photos"), *flags]) == 0
    return folder


@pytest.fixture(scope="module")
def address(place):
    with served(place, CATDOG_FOLDERS=str(place)) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def open_tab(page: Page, name: str) -> None:
    """Open one of the tabs under the curves."""
    page.get_by_role("tab", name=re.compile(name)).click()
    settle(page)


def pictures(page: Page):
    """The photos in the open tab that were really decoded."""
    return page.get_by_role("tabpanel").locator("img")


def test_every_tab_shows_what_the_report_says(place, browser, address):
    report = read_report(place / "runs" / "one")
    page = open_page(browser, address)
    expect(page.get_by_text("validation photos were given their own class").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download report").click()
    assert Path(download.value.path()).read_bytes() == (place / "runs" / "one" / "report.html").read_bytes()
    open_tab(page, "How sure")
    expect(page.get_by_text("calibration error").first).to_be_visible()
    assert page.get_by_role("tabpanel").locator("canvas, svg.marks").count() >= 3
    open_tab(page, "Mistakes")
    wrong = sum(report["confusion"][row][1 - row] for row in range(2))
    assert page.get_by_role("tab", name=f"Mistakes ({wrong})").count() == 1
    page.get_by_role("button", name="Nearly mistaken").click()
    settle(page)
    expect(pictures(page).first).to_be_visible()
    widths = pictures(page).evaluate_all("images => images.map(image => image.naturalWidth)")
    assert len(widths) == min(12, len(report["border"]))
    assert min(widths) > 0
    no_error(page)


def test_a_cell_of_the_confusion_opens_its_photos(place, browser, address):
    report = read_report(place / "runs" / "one")
    page = open_page(browser, address)
    open_tab(page, "Mistakes")
    count = report["confusion"][0][0]
    page.get_by_role("tabpanel").get_by_role("button", name=str(count), exact=True).first.click()
    settle(page)
    expect(pictures(page).first).to_be_visible()
    assert pictures(page).count() == min(12, count)
    no_error(page)


def test_a_label_is_put_right_for_the_next_training_and_back(place, browser, address):
    page = open_page(browser, address)
    page.get_by_role("radio", name="Folder").or_(page.get_by_role("button", name="Folder")).first.click()
    settle(page)
    choose(page, "Folder on this computer", str(place / "photos"))
    open_tab(page, "Doubtful labels")
    files = sorted(path for path in (place / "photos").rglob("*.jpg"))
    page.get_by_role("button", name=re.compile("^Make it ")).first.click()
    settle(page)
    # Both sides of the page tell of it.
    expect(page.get_by_text("1 photo counts as another class")).to_be_visible()
    expect(page.get_by_text("1 correction for the next training")).to_be_visible()
    page.get_by_role("button", name="Leave out").first.click()
    settle(page)
    expect(page.get_by_text("2 corrections for the next training")).to_be_visible()
    page.get_by_role("button", name="Undo all").click()
    settle(page)
    expect(page.get_by_text("What you change here holds for the next training")).to_be_visible()
    assert sorted(path for path in (place / "photos").rglob("*.jpg")) == files
    no_error(page)
