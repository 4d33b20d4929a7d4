"""A report as whoever it was sent to opens it: a file in Chromium, with no network and nothing beside it."""

import shutil

import pytest
from helpers.browser import PATIENCE, chromium, expect
from helpers.reports import make_probabilities, make_report, report_of, save_report_run

from catdog.results.html_report import MOST_MISTAKES, write_html

pytestmark = pytest.mark.browser
SECTIONS = ("accuracy", "curves", "probabilities", "mistakes", "border", "wrong-labels", "settings")


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """A report's file in a folder of its own; the run and its photos are gone."""
    made = tmp_path_factory.mktemp("made")
    folder = save_report_run(made / "run", make_report(), made / "photos")
    page = write_html(folder, tmp_path_factory.mktemp("sent") / "report.html")
    shutil.rmtree(made)
    return page


def opened(browser, path, width: int = 1280, scheme: str = "light"):
    """The file in a browser that is offline, with the requests it made and what its console said."""
    context = browser.new_context(offline=True, viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    requests, said = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri(), wait_until="load")
    return page, requests, said


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_is_whole_by_itself(browser, sent, width, scheme):
    page, requests, said = opened(browser, sent, width, scheme)
    for section in SECTIONS:
        expect(page.locator(f"#{section}")).to_be_visible()
        expect(page.locator(f"#{section} h2")).to_be_visible()
    pictures = page.locator("img")
    assert pictures.count() > len(SECTIONS)
    widths = pictures.evaluate_all(
        "all => Promise.all(all.map(each => each.decode().then(() => each.naturalWidth, () => 0)))"
    )
    assert min(widths) > 0
    for chart in page.locator("svg[role=img]").all():
        expect(chart).to_be_visible()
        assert chart.bounding_box()["height"] > 100
    assert [url for url in requests if not url.startswith("data:image/jpeg;base64,")] == [sent.as_uri()]
    assert said == []
    # Nothing is wider than the screen.
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_is_dark_where_the_reader_wants_it_dark(browser, sent):
    def brightness(scheme: str) -> int:
        page, *_ = opened(browser, sent, scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))

    assert brightness("dark") < 200
    assert brightness("light") > 600


def test_the_report_of_a_large_run_opens_and_its_names_do_nothing(browser, tmp_path):
    names = ("cats", "<img src=x onerror=alert(1)>")
    report = report_of(*make_probabilities(1500, names, certainty=2.0), names, suspected=100)
    # Beyond those that are shown nothing need be drawn.
    report["mistakes"] = report["mistakes"][:MOST_MISTAKES]
    for each in report["mistakes"] + report["border"] + report["wrong_labels"]["found"]:
        each["path"] = each["path"].replace(names[1], "dogs")
    path = write_html(save_report_run(tmp_path / "run", report, tmp_path), tmp_path / "report.html")
    assert path.stat().st_size < 5_000_000
    page, requests, said = opened(browser, path)
    widths = page.eval_on_selector_all("img", "all => all.map(each => each.complete && each.naturalWidth)")
    assert len(widths) == 2 * MOST_MISTAKES + 16 + 100
    assert all(widths)
    assert [url for url in requests if not url.startswith("data:image/jpeg;base64,")] == [path.as_uri()]
    assert said == []
    expect(page.get_by_role("columnheader", name=names[1]).first).to_be_visible()
