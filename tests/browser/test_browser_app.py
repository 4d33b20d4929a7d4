"""The command `app` in Chromium, started in another Streamlit project's folder: our pages, theme and settings."""

import json
import signal
from pathlib import Path

import pytest
from helpers.app_command import make_foreign, started_app
from helpers.browser import expect, free_port, no_error, open_page, settle, start

pytestmark = pytest.mark.browser

OURS, THEIRS = "rgb(29, 38, 38)", {"rgb(255, 0, 255)", "rgb(255, 0, 0)"}
COLOURS = """[...document.querySelectorAll(".stApp, .stApp *")].map(each => getComputedStyle(each)).flatMap(
    each => [each.color, each.backgroundColor, each.borderTopColor])"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The other project's folder."""
    return make_foreign(tmp_path_factory.mktemp("app") / "other")


@pytest.fixture(scope="module")
def started(folder):
    with started_app(folder, "--port", str(free_port())) as started:
        yield started


@pytest.fixture(scope="module")
def address(started):
    """What the first line says is to be opened."""
    before, address, after = started.lines[0].partition(started.lines[0].split()[1])
    assert (before, after) == ("Open ", " in your browser.")
    return address


@pytest.mark.parametrize("name", ["", "classify", "runs", "how_it_works"])
def test_each_page_is_served_in_our_theme(address, browser, name):
    page = open_page(browser, f"{address}/{name}")
    app = page.locator(".stApp")
    assert app.evaluate("each => getComputedStyle(each).backgroundColor") == "rgb(255, 255, 255)"
    assert "monospace" not in app.evaluate("each => getComputedStyle(each).fontFamily")
    colours = set(page.evaluate(COLOURS))
    assert OURS in colours
    assert not colours & THEIRS
    # The secrets of that folder would have opened the app to the public.
    assert page.get_by_role("button", name="Remove everything of mine").count() == 0
    no_error(page)
    page.context.close()


def test_a_training_runs_to_its_end_in_the_folder_that_the_command_was_given_in(address, browser, folder):
    page = open_page(browser, address)
    start(page, head_epochs=1)
    expect(page.get_by_role("button", name="Download .keras").first).to_be_visible()
    (run,) = [path for path in (folder / "runs").iterdir() if (path / "status.json").exists()]
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    # Links from page to page lead there, too.
    page.get_by_role("link", name="Classify photos with it").click()
    settle(page)
    assert f"{address}/classify?run={run.name}" == page.url
    no_error(page)
    page.context.close()


def test_it_ends_on_ctrl_c_while_somebody_looks_on(address, browser, started):
    page = open_page(browser, address)
    assert started.end(signal.SIGINT) == 0
    assert [line.strip() for line in started.lines[3:]] == ["Stopping..."]
    page.context.close()
