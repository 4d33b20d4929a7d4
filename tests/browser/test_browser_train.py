"""What a visitor does, in Chromium, with no network: draw, train, look elsewhere, reload, stop, download."""

import re

import keras
import pytest
from helpers.browser import expect, newest_run, no_error, open_page, start

from catdog.runs.events import read_events
from catdog.runs.run_folder import read_status

pytestmark = pytest.mark.browser


def test_train_watch_reload_and_download(address, browser, place):
    page = open_page(browser, address)
    start(page, head_epochs=5, fine_tune_epochs=3)
    run = newest_run(place)

    # Another page while it runs, then back; and a reload in the middle finds it running.
    page.get_by_role("link", name="How it works").click()
    expect(page.get_by_text("frozen", exact=False).first).to_be_visible()
    page.get_by_role("link", name="Train", exact=True).click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.reload()
    settle_on_run = page.get_by_text(re.compile("Run of "))
    expect(settle_on_run).to_be_visible()
    other = open_page(browser, address)
    expect(other.get_by_text(re.compile("Run of "))).to_be_visible()

    expect(page.get_by_role("button", name="Download .h5")).to_be_visible()
    assert read_status(run)["state"] == "done"
    expect(page.get_by_role("heading", name=re.compile("done"))).to_be_visible()
    expect(page.locator('[data-testid="stVegaLiteChart"]')).to_have_count(2)
    no_error(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download .h5").click()
    path = place / "downloaded.h5"
    waiting.value.save_as(path)
    assert path.read_bytes() == (run / "cat_dog_classifier.h5").read_bytes()
    assert keras.models.load_model(path, compile=False).output_shape == (None, 2)
    # The second tab has come to the same end by itself.
    expect(other.get_by_role("button", name="Download .h5")).to_be_visible()


def test_both_charts_grow_while_it_learns(address, browser, place):
    page = open_page(browser, address)
    start(page, head_epochs=1000, batch_size=2)
    run = newest_run(place)
    expect(page.get_by_text(re.compile(r"Training the head: epoch [1-9]"))).to_be_visible()
    charts = page.locator('[data-testid="stVegaLiteChart"]')
    before = [charts.nth(number).screenshot() for number in range(2)]
    page.wait_for_timeout(4000)
    after = [charts.nth(number).screenshot() for number in range(2)]
    assert all(earlier != later for earlier, later in zip(before, after, strict=True))

    # Stopping keeps the best epoch, and the run can be resumed.
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert read_status(run)["state"] == "stopped"
    stopped_after = len([event for event in read_events(run)[0] if event["event"] == "epoch"])
    assert 0 < stopped_after < 1000
    expect(page.get_by_role("button", name="Download .keras")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text(re.compile(r"Training the head: epoch [1-9]"))).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    epochs = [event["epoch"] for event in read_events(run)[0] if event["event"] == "epoch"]
    assert epochs == list(range(1, len(epochs) + 1))
    assert len(epochs) > stopped_after
    no_error(page)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("path", ["", "classify", "runs", "how_it_works"])
def test_no_page_is_wider_than_the_window(address, browser, path, width):
    page = open_page(browser, f"{address}/{path}", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    no_error(page)
