"""A classifier handed on in Chromium: found again after a reload, downloaded, and used by the program that is shown."""

import shutil

import pytest
from helpers.browser import choose, expect, no_error, open_page, settle
from helpers.processes import run_python

from catdog.photos.photo_sets import photos_below

pytestmark = pytest.mark.browser


def choose_quantized(page) -> None:
    """Open what hands a classifier on, and choose the quantized format."""
    page.get_by_text("Hand it on", exact=True).click()
    choose(page, "Format", "LiteRT")
    page.get_by_text("Quantize", exact=True).click()
    settle(page)


def test_an_export_is_found_again_downloaded_and_used(address, browser, place, trained, drawings, tmp_path):
    shutil.copytree(trained, place / "runs" / "20260101-000000-000000")
    page = open_page(browser, address)
    choose_quantized(page)
    page.get_by_role("button", name="Write it as LiteRT").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.reload()
    settle(page)
    choose_quantized(page)
    button = page.get_by_role("button", name="Download cat_dog_classifier_int8.tflite")
    expect(button).to_be_visible()
    expect(page.get_by_text("Loaded again and asked about 16 photos")).to_be_visible()
    with page.expect_download() as download:
        button.click()
    download.value.save_as(tmp_path / download.value.suggested_filename)
    shutil.copy(photos_below(drawings / "validation" / "cats")[0], tmp_path / "photo.jpg")
    code = page.locator('[data-testid="stCode"] code').inner_text()
    done = run_python("-c", code, cwd=tmp_path, PYTHONPATH="")
    assert done.stdout.startswith("{'cats': 0."), done.stderr
    no_error(page)
