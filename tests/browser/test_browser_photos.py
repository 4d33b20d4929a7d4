"""Photos in Chromium: a folder and a zip uploaded, what is wrong with them, leaving some out, training without them."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from helpers.browser import choose, expect, fill, open_page, settle
from helpers.pictures import draw_scene, save_scene
from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pets(tmp_path_factory) -> Path:
    """A sorted folder of drawn pictures, one of them in training and in validation."""
    folder = tmp_path_factory.mktemp("uploaded") / "pets"
    for seed, (split, name, number) in enumerate(
        (split, name, number)
        for split, count in (("train", 21), ("validation", 5))
        for name in ("cats", "dogs")
        for number in range(count)
    ):
        save_scene(folder / split / name / f"{number:02}.jpg", draw_scene(seed, 96, 72))
    shutil.copy(folder / "train/cats/07.jpg", folder / "validation/cats/copy.jpg")
    return folder


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """A zip of a flat photo set with a broken photo and files that are none."""
    path = tmp_path_factory.mktemp("zipped") / "mixed bag.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("cats", "dogs"):
            for number in range(30):
                picture = save_scene(
                    path.parent / "picture.jpg", draw_scene(500 + number + 100 * (name == "cats"), 96, 72)
                )
                archive.write(picture, f"bag/{name}/{number:02}.jpg")
        archive.writestr("bag/cats/letter.jpg", "Dear cat,")
        archive.writestr("bag/notes.txt", "These are cats and dogs.")
    return path


def upload(page: Page, path: Path) -> None:
    """Choose the uploads as the source, and upload a zip or a folder there."""
    more = page.get_by_text("Upload more photos")
    if more.count():
        more.click()
    else:
        source = page.get_by_role("radio", name="Upload")
        source.or_(page.get_by_role("button", name="Upload", exact=True)).first.click()
    settle(page)
    inputs = page.locator('input[type="file"]')
    inputs.nth(0 if path.is_file() else 1).set_input_files(path)
    expect(page.get_by_role("img", name="An example of cats").first).to_be_visible()
    settle(page)


def no_error(page: Page) -> None:
    """The page shows no exception."""
    assert page.locator('[data-testid="stException"]').count() == 0


def test_a_folder_is_uploaded_a_copy_left_out_and_the_rest_trained_on(address, browser, place, pets):
    page = open_page(browser, address)
    upload(page, pets)
    expect(page.get_by_text("pets · 53 photos")).to_be_visible()
    page.get_by_text("1 problem", exact=True).click()
    expect(page.get_by_text("picture is learned from and tested with")).to_be_visible()
    for name in ("train/cats/07.jpg", "validation/cats/copy.jpg"):
        expect(page.get_by_role("img", name=name)).to_be_visible()
    settle(page)
    page.get_by_role("button", name="Leave out all but one copy").click()
    expect(page.get_by_text("1 photo is left out")).to_be_visible()
    expect(page.get_by_text("Nothing wrong was found in these photos")).to_be_visible()
    settle(page)

    choose(page, "Backbone", "Starter")
    fill(page, "Head epochs", "1")
    page.get_by_text("More settings").click()
    fill(page, "Image size", "32")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_role("button", name="Download .h5")).to_be_visible()
    (run,) = [path for path in (place / "runs").iterdir() if path.is_dir()]
    config = json.loads((run / "config.json").read_text())
    assert config["settings"]["leave_out"] == ["train/cats/07.jpg"]
    assert config["photos"]["counts"]["train"] == {"cats": 20, "dogs": 21}

    page.get_by_text("Show corrections").click()
    expect(page.get_by_text("train/cats/07.jpg: left out")).to_be_visible()
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.get_by_text("1 problem", exact=True)).to_be_visible()
    expect(page.get_by_text("1 photo is left out")).to_have_count(0)
    no_error(page)


def test_a_mixed_zip_is_uploaded_shown_and_removed(address, browser, place, pets, mixed):
    page = open_page(browser, address)
    upload(page, mixed)
    expect(page.get_by_text("mixed bag · 61 photos")).to_be_visible()
    page.get_by_text("1 problem", exact=True).click()
    expect(page.get_by_text("cats/letter.jpg: it is a text file, not a photo")).to_be_visible()
    page.get_by_text("Show photos").click()
    expect(page.get_by_text("1 to 24 of 25")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"^cats.\d\d.jpg"))).not_to_have_count(0)

    # A second one beside it; each can be chosen, and removing one leaves the other.
    upload(page, pets)
    expect(page.get_by_text("pets · 53 photos")).to_be_visible()
    kept = place / "cache" / "photos" / "uploads"
    assert len(list(kept.glob("*-mixed bag"))) == 1
    page.get_by_text("mixed bag · 61 photos").click()
    settle(page)
    page.get_by_role("button", name="Remove upload").click()
    expect(page.get_by_text("mixed bag · 61 photos")).to_have_count(0)
    expect(page.get_by_text("pets · 53 photos")).to_be_visible()
    assert list(kept.glob("*-mixed bag")) == []
    no_error(page)
