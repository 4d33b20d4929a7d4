"""What can be tried before training, in Chromium: a learning rate is found and fills the form, a run's time is told."""

import re
from pathlib import Path

import pytest
from helpers.browser import choose, draw, expect, fill, no_error, open_page, settle

from catdog.figures import decimal
from catdog.runs.trials import ANSWER_FILE, task_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(address, browser):
    """The training page with the drawings chosen, and settings of seconds."""
    page = open_page(browser, address)
    draw(page)
    choose(page, "Backbone", "Starter")
    page.get_by_text("More settings").click()
    fill(page, "Image size", "64")
    return page


def answer_of(place: Path, task: str) -> Path:
    """The answer of the only trial of a task."""
    (folder,) = [path for path in (place / "runs" / "trials").iterdir() if task_of(path) == task]
    return folder / ANSWER_FILE


def test_the_finder_fills_the_form(page, place):
    page.get_by_text("Try before you train").click()
    page.get_by_role("button", name="Find a rate").click()
    found = page.get_by_role("button", name=re.compile("^Use 0|^Use 1"))
    expect(found).to_be_visible()
    rate = re.search(r'"learning_rate": ([^,\s]+),\s*"epochs"', answer_of(place, "rates").read_text())
    words = decimal(float(rate[1]))
    assert found.inner_text().endswith(f"Use {words}")
    found.click()
    settle(page)
    expect(page.get_by_role("slider", name="Head learning rate")).to_have_attribute("aria-valuetext", words)
    expect(page.get_by_text("The form has this rate.")).to_be_visible()
    no_error(page)


def test_photos_or_epochs_is_answered(page, place):
    page.get_by_role("button", name="More photos or epochs?").click()
    expect(page.get_by_text(re.compile("^From 120 to 240 photos, accuracy went from"))).to_be_visible()
    assert answer_of(place, "learning-curve").exists()
    no_error(page)


def test_the_time_of_a_run_is_told(page, place):
    page.get_by_role("button", name="Estimate time and memory").click()
    expect(page.get_by_text(re.compile("^About .* GB$"))).to_be_visible()
    assert answer_of(place, "estimate").exists()
    no_error(page)
