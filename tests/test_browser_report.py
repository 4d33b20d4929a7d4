"""The HTML report in Chromium with the network off: it opens from the disk, whole, in both themes and on a phone."""

import pytest
from browser import browser
from playwright.sync_api import Browser, Page
from reports import make_probabilities, report_of, save_report_run

from catdog.html_report import write_html

pytestmark = pytest.mark.browser
__all__ = ["browser"]

NAMES = ("cats", "<img src=x onerror=alert(1)>")


@pytest.fixture(scope="module")
def report_file(tmp_path_factory):
    """The page of a run with as many listed photos as there may be."""
    folder = tmp_path_factory.mktemp("report")
    report = report_of(*make_probabilities(1500, NAMES, certainty=2.0), NAMES, suspected=100)
    report["mistakes"] = report["mistakes"][:100]
    for each in report["mistakes"] + report["border"] + report["wrong_labels"]["found"]:
        each["path"] = each["path"].replace(NAMES[1], "dogs")
    return write_html(save_report_run(folder / "run", report, folder), folder / "report.html")


def opened(browser: Browser, address: str, width: int, dark: bool) -> tuple[Page, list[str]]:
    """The page of a visitor without a network, and what went wrong or was asked for besides the page itself."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", offline=True
    )
    wrong: list[str] = []

    def answer(route):
        if route.request.url == address:
            route.continue_()
        else:
            wrong.append(f"asked for {route.request.url}")
            route.abort()

    context.route("**/*", answer)
    page = context.new_page()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.goto(address)
    page.wait_for_load_state("load")
    return page, wrong


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_the_report_opens_without_a_network(browser, report_file, width, dark):
    page, wrong = opened(browser, report_file.as_uri(), width, dark)
    assert wrong == []
    # Every picture is there, and nothing reaches beyond the screen.
    sizes = page.eval_on_selector_all("img", "all => all.map(each => each.complete && each.naturalWidth)")
    assert len(sizes) == 2 * 48 + 100 + 16
    assert all(sizes)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    charts = page.locator("svg")
    assert charts.count() == 5
    assert all(box["width"] > 300 and box["height"] > 100 for box in (each.bounding_box() for each in charts.all()))
    assert page.get_by_role("columnheader", name=NAMES[1]).first.is_visible()
    # Text stands out from its ground in each theme, in charts as well.
    ground, text, label = page.evaluate(
        """() => [
            getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.body).color,
            getComputedStyle(document.querySelector('svg text')).fill,
        ]"""
    )
    assert brightness(ground) < 0.2 if dark else brightness(ground) > 0.9
    assert abs(brightness(text) - brightness(ground)) > 0.6
    assert label == text
    page.context.close()


def brightness(colour: str) -> float:
    """How bright a colour is that a browser wrote as rgb(r, g, b): 0 to 1."""
    return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) / (3 * 255)
