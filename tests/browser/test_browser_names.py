"""Names that would be markup, in Chromium: they stand on the page as they were given, and nothing is fetched."""

from pathlib import Path

import pytest
from helpers.browser import chromium, expect, no_error, open_page, served, settle
from helpers.pictures import draw_scene, save_scene
from helpers.reports import make_probabilities, report_of, save_report_run
from playwright.sync_api import Page
from test_browser_runs import choose_rows

from catdog.pages.every_page.words import AFTER_MARKDOWN, WORD_JOINER
from catdog.runs import jobs

pytestmark = pytest.mark.browser

ELSEWHERE = "127.0.0.1:9/x.png"
LABELS = (
    "www.example.com, me@example.com :material/home: a -> b -- c",
    f"**a** ![b](//{ELSEWHERE}) <u>d</u> :red[e] $f$",
)
CLASS_NAMES = ("<img src=x onerror=alert(1)>", "https:**www.example.com**")
PHOTO_NAMES = ("www.example.com.png", "![a](b).png", "<u>a -- b.png", ":material-home: me@example.com.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a set of photos and two runs, all of them with such names."""
    folder = tmp_path_factory.mktemp("names")
    seed = 0
    for split in ("train", "validation"):
        for class_name in CLASS_NAMES:
            for name in PHOTO_NAMES:
                save_scene(folder / "photos" / split / class_name / name, draw_scene(seed, 96, 72))
                seed += 1
    for number, label in enumerate(LABELS):
        report = report_of(*make_probabilities(20, CLASS_NAMES), CLASS_NAMES, suspected=len(PHOTO_NAMES))
        for each, name in zip(report["wrong_labels"]["found"], PHOTO_NAMES, strict=True):
            each["path"] = f"validation/{CLASS_NAMES[0]}/{name}"
        photos = folder / ("photos", "**other** www.example.com")[number - 1]
        run = save_report_run(folder / "runs" / f"2026010{number + 1}-000000-000000", report, photos)
        jobs.rename(run, label)
    return folder


@pytest.fixture(scope="module")
def address(place):
    with served(place, CATDOG_FOLDERS=str(place / "photos")) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def on_page(name: str) -> str:
    """A name as Markdown shows it: with what has no width where it would become a link."""
    return AFTER_MARKDOWN.sub(WORD_JOINER, name)


def watched(browser, address: str) -> tuple[Page, list[str]]:
    """A page, and what it asks for elsewhere or a script of it says."""
    page, heard = open_page(browser, address), []
    page.on("request", lambda request: heard.append(request.url) if ELSEWHERE in request.url else None)
    page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
    page.reload()
    settle(page)
    return page, heard


def has_no_markup(page: Page, heard: list[str]) -> None:
    """No name on a page has become a link, a picture, an icon or formatted text."""
    settle(page)
    no_error(page)
    assert page.locator('a[href*="example"]').count() == 0
    assert page.locator('img[src*="127.0.0.1:9"], img[src="x"], img[src="b"]').count() == 0
    assert page.locator('[data-testid="stMarkdownContainer"] u').count() == 0
    assert page.get_by_role("img", name="home icon").count() == 0
    assert heard == []


def test_the_training_page_shows_the_names_of_photos_classes_and_runs(address, browser):
    page, heard = watched(browser, address)
    page.get_by_role("radio", name="Folder").or_(page.get_by_role("button", name="Folder")).first.click()
    settle(page)
    for name in CLASS_NAMES:
        expect(page.get_by_role("columnheader", name=name, exact=True).first).to_be_visible()
    page.get_by_text("Show photos").click()
    has_no_markup(page, heard)
    # The newest run is shown.
    expect(page.get_by_role("heading", name=on_page(LABELS[1]))).to_be_visible()
    for tab in ("How sure", "Mistakes", "Doubtful labels"):
        page.get_by_role("tab", name=tab).click()
        has_no_markup(page, heard)
    for name in PHOTO_NAMES:
        expect(page.get_by_text(on_page(f"{name}, train"), exact=True)).to_be_visible()


def test_the_runs_page_shows_names_as_they_were_given(address, browser):
    page, heard = watched(browser, f"{address}/runs")
    choose_rows(page, 0, 1)
    table = page.locator('[data-testid="stTable"]')
    for label in LABELS:
        expect(table).to_contain_text(on_page(label))
    expect(table).to_contain_text(on_page("**other** www.example.com"))
    has_no_markup(page, heard)
    choose_rows(page, 1)
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text(on_page(LABELS[1]))
    has_no_markup(page, heard)
