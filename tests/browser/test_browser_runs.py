"""Runs in Chromium: killed, found by a server that started anew, waiting in line, compared, taken into the form."""

import contextlib
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from helpers.browser import chromium, expect, free_port, newest_run, no_error, open_page, served, settle, start
from playwright.sync_api import Page

from catdog.runs.events import read_events
from catdog.runs.run_folder import read_status

pytestmark = pytest.mark.browser
# Long enough that nothing comes to its end while it is looked at.
LONG = {"head_epochs": 1000, "batch_size": 2}
LEARNING = re.compile("Training the head: epoch [1-9]")


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def place(tmp_path) -> Path:
    """The folder with the server's runs and cache."""
    return tmp_path


@pytest.fixture
def address(place):
    with served(place) as address:
        yield address


def heading(page: Page, state: str):
    """The heading of the run that is shown, in this state."""
    return page.get_by_role("heading", name=re.compile(state))


def epochs_of(run: Path) -> list[int]:
    """The epochs that a run has recorded."""
    return [event["epoch"] for event in read_events(run)[0] if event["event"] == "epoch"]


def stop(page: Page) -> None:
    """Stop the run that is shown, and wait until it has."""
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def choose_rows(page: Page, *rows: int) -> None:
    """Tick these rows of the table of runs, which is painted on a canvas."""
    table = page.locator('[data-testid="stDataFrame"]').first
    expect(table).to_be_visible()
    for row in rows:
        table.click(position={"x": 20, "y": 35 * (row + 1) + 17})
        settle(page)


def test_a_killed_run_is_shown_as_lost_and_resumed_to_its_end(address, browser, place):
    page = open_page(browser, address)
    start(page, head_epochs=200, batch_size=8)
    run = newest_run(place)
    expect(page.get_by_text(LEARNING)).to_be_visible()
    other = open_page(browser, address)
    expect(other.get_by_text(LEARNING)).to_be_visible()
    os.kill(read_status(run)["pid"], signal.SIGKILL)
    for tab in (page, other):
        expect(heading(tab, "lost")).to_be_visible()
        expect(
            tab.get_by_text("Its process ended without a word, as where memory runs out; it can be resumed.")
        ).to_be_visible()
    before = epochs_of(run)
    assert 0 < len(before) < 200
    page.get_by_role("button", name="Resume").click()
    expect(heading(page, "done")).to_be_visible()
    assert epochs_of(run) == list(range(1, 201))
    assert read_status(run)["state"] == "done"
    no_error(page)
    # The other tab had stopped looking; a reload finds the run as it is.
    other.reload()
    expect(heading(other, "done")).to_be_visible()


def test_a_run_goes_on_while_the_server_is_started_again(browser, place):
    port = free_port()
    with contextlib.ExitStack() as first:
        address = first.enter_context(served(place, port))
        page = open_page(browser, address)
        start(page, **LONG)
        run = newest_run(place)
        expect(page.get_by_text(LEARNING)).to_be_visible()
    process, before = read_status(run)["pid"], len(epochs_of(run))
    with served(place, port):
        # The page that was open connects again by itself, and a new one finds the same.
        for tab in (page, open_page(browser, address)):
            expect(heading(tab, "running")).to_be_visible()
            expect(tab.get_by_text(LEARNING)).to_be_visible()
        assert read_status(run)["pid"] == process
        page.wait_for_timeout(1500)
        assert len(epochs_of(run)) > before
        stop(page)
    assert read_status(run)["state"] == "stopped"
    assert epochs_of(run) == list(range(1, len(epochs_of(run)) + 1))


def test_a_run_waits_in_line_and_can_be_taken_out(address, browser, place):
    page = open_page(browser, address)
    start(page, **LONG)
    working = newest_run(place)
    expect(page.get_by_text(LEARNING)).to_be_visible()
    watching = open_page(browser, address)
    page.get_by_role("button", name="Train", exact=True).click()
    expect(heading(page, "queued")).to_be_visible()
    expect(page.get_by_text(re.compile("Waiting for Run of .* to end"))).to_be_visible()
    waiting = newest_run(place)
    assert waiting != working
    # Whoever looks at the run that works sees what waits for it, and may take it out.
    expect(watching.get_by_text("1 in line")).to_be_visible()
    watching.get_by_role("button", name="Take out").click()
    expect(watching.get_by_text("1 in line")).to_have_count(0)
    expect(heading(watching, "running")).to_be_visible()
    expect(heading(page, "stopped")).to_be_visible()
    expect(page.get_by_role("button", name="Download .keras")).to_have_count(0)
    assert (read_status(waiting)["state"], read_status(working)["state"]) == ("stopped", "running")
    # What was taken out can be put back, and then begins by itself.
    page.get_by_role("button", name="Resume").click()
    expect(heading(page, "queued")).to_be_visible()
    stop(watching)
    expect(page.get_by_text(LEARNING)).to_be_visible()
    stop(page)
    for tab in (page, watching):
        no_error(tab)


@pytest.fixture
def three_runs(place, trained) -> Path:
    """Three finished runs that differ in their head learning rate."""
    for number, rate in ((1, 0.001), (2, 0.005), (3, 0.01)):
        run = place / "runs" / f"2026010{number}-000000-000000"
        shutil.copytree(trained, run)
        config = json.loads((run / "config.json").read_text())
        config["settings"] |= {"head_learning_rate": rate, "head_epochs": 4 + number, "backbone": "starter"}
        (run / "config.json").write_text(json.dumps(config))
        (run / "label.json").write_text(json.dumps({"name": f"rate {rate}"}))
    return place


def test_runs_are_compared_in_one_chart_with_what_differs(three_runs, address, browser):
    page = open_page(browser, f"{address}/runs")
    choose_rows(page, 0, 1, 2)
    expect(page.locator('[data-testid="stVegaLiteChart"]')).to_have_count(2)
    table = page.locator('[data-testid="stTable"]')
    expect(table).to_be_visible()
    for words in ("Head learning rate", "0.001", "0.005", "0.01", "rate 0.005"):
        expect(table.get_by_text(words, exact=True)).to_be_visible()
    assert table.get_by_text("Image size").count() == 0
    no_error(page)


def test_a_runs_settings_are_taken_back_into_the_form(three_runs, address, browser):
    page = open_page(browser, f"{address}/runs")
    choose_rows(page, 1)
    page.get_by_role("button", name="Use its settings").click()
    expect(page.get_by_role("spinbutton", name="Head epochs")).to_have_value("6")
    expect(page.get_by_text("0.005", exact=True).first).to_be_visible()
    no_error(page)


def test_a_logarithmic_loss_is_kept_while_other_pages_are_open(three_runs, address, browser):
    page = open_page(browser, address)
    toggle = (
        page.get_by_role("switch", name="Logarithmic loss")
        .or_(page.get_by_role("checkbox", name="Logarithmic loss"))
        .first
    )
    expect(toggle).not_to_be_checked()
    page.get_by_text("Logarithmic loss").click()
    settle(page)
    page.get_by_role("link", name="How it works").click()
    settle(page)
    page.get_by_role("link", name="Train", exact=True).click()
    settle(page)
    expect(toggle).to_be_checked()
    no_error(page)


def test_a_run_is_taken_along_as_one_file_and_added_elsewhere(three_runs, address, browser, tmp_path_factory):
    page = open_page(browser, f"{address}/runs")
    choose_rows(page, 1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Take along").click()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    file = elsewhere / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name.endswith(".catdog.zip")
    damaged = elsewhere / "damaged.catdog.zip"
    damaged.write_bytes(file.read_bytes()[:10_000])
    with served(elsewhere) as other:
        page = open_page(browser, f"{other}/runs")
        page.get_by_text("Add a run from a file").click()
        page.locator('input[type="file"]').set_input_files(damaged)
        expect(page.get_by_role("alert").filter(has_text="damaged.catdog.zip")).to_be_visible()
        page.locator('input[type="file"]').set_input_files(file)
        expect(page.get_by_text("rate 0.005 was added.")).to_be_visible()
        choose_rows(page, 0)
        page.get_by_role("button", name="Use its settings").click()
        expect(page.get_by_role("spinbutton", name="Head epochs")).to_have_value("6")
        expect(heading(page, "rate 0.005")).to_be_visible()
        expect(heading(page, "done")).to_be_visible()
        no_error(page)
    (run,) = (path for path in (elsewhere / "runs").iterdir() if not path.name.startswith("."))
    assert read_status(run)["state"] == "done"
