"""The classify page in Chromium: real photos, verdicts and why, many at once, several visitors, a copied picture."""

import csv
import io
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.browser import choose, expect, no_error, open_page, settle
from helpers.trained_runs import SMALL_FLAGS
from playwright.sync_api import Page

from catdog.__main__ import main
from catdog.classifier.loading import load_classifier
from catdog.photos.drawings import draw_photo_set
from catdog.photos.photo_sets import photos_below

pytestmark = pytest.mark.browser

VISITORS = 20
PASTE = """async () => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 64;
    const blob = await new Promise(done => canvas.toBlob(done, "image/png"));
    const copied = new DataTransfer();
    copied.items.add(new File([blob], "copied.png", {type: "image/png"}));
    const zone = document.querySelector('[data-testid="stFileUploaderDropzone"]');
    zone.dispatchEvent(new ClipboardEvent("paste", {clipboardData: copied, bubbles: true, cancelable: true}));
}"""


def shared(name: str) -> Path:
    """A folder of real photos."""
    return Path(os.environ["CATDOG_SHARED"]) / name


def upload(page: Page, paths: Sequence[Path]) -> None:
    """Choose files for the first uploader."""
    page.locator('input[type="file"]').first.set_input_files(paths)


def pill(page: Page, words: str):
    """A group of answers with how many it has."""
    return page.get_by_role("radio", name=words, exact=True)


def saved(page: Page, label: str, path: Path) -> bytes:
    """What a download button gives."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=label).click()
    waiting.value.save_as(path)
    return path.read_bytes()


def test_real_photos_other_things_and_a_broken_file(address, browser, tmp_path):
    cats, dogs = (photos_below(shared("photos_original") / name)[:3] for name in ("cats", "dogs"))
    others = photos_below(shared("photos_other"))[:40:10]
    broken = tmp_path / "letter.jpg"
    broken.write_text("Dear cat, ")
    paths = [*cats, *dogs, *others, broken]
    verdicts = {found.source: found.verdict for found in load_classifier("starter").classify(paths)}
    assert [verdicts[path] for path in others].count("neither") >= 3
    page = open_page(browser, f"{address}/classify")
    choose(page, "Classifier", "Bundled")
    upload(page, paths)
    expect(pill(page, f"all {len(paths)}")).to_be_visible()
    for name in ("cats", "dogs", "neither"):
        expect(pill(page, f"{name} {list(verdicts.values()).count(name)}")).to_be_visible()
    expect(page.get_by_text("it is a text file, not a photo")).to_be_visible()
    for path in paths[:-1]:
        expect(page.get_by_role("img", name=path.name)).to_be_visible()

    # What is chosen is what is shown, and what is taken along has all of it.
    pill(page, f"neither {list(verdicts.values()).count('neither')}").click()
    settle(page)
    strange = [path for path in paths if verdicts[path] == "neither"]
    expect(page.get_by_role("button", name="Why?")).to_have_count(len(strange))
    rows = list(csv.DictReader(io.StringIO(saved(page, "Download CSV", tmp_path / "answers.csv").decode())))
    assert {row["path"]: row["verdict"] for row in rows} == {
        path.name: verdict or "" for path, verdict in verdicts.items()
    }
    with zipfile.ZipFile(io.BytesIO(saved(page, "Download sorted photos", tmp_path / "sorted.zip"))) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    folders = {path: verdict or "can't be read" for path, verdict in verdicts.items()}
    assert found == {f"{folder}/{path.name}": path.read_bytes() for path, folder in folders.items()}
    no_error(page)


def test_why_shows_the_map_and_similar_photos(address, browser, place):
    photos = place / "cache" / "photos" / "drawn"
    draw_photo_set(photos, train=24, validation=8, seed=1)
    folder = place / "runs" / "20260101-000000-000000"
    assert main(["train", str(photos), *SMALL_FLAGS, "--out", str(folder)]) == 0
    path = photos_below(photos / "validation")[0]
    (found,) = load_classifier(folder).classify([path])
    page = open_page(browser, f"{address}/classify")
    choose(page, "Classifier", "Run of")
    upload(page, [path])
    page.get_by_role("button", name="Why?").click()
    dialog = page.get_by_role("dialog")
    expect(
        dialog.get_by_text(f"likeness to the photos that were learned from is {found.similarity:.2f}")
    ).to_be_visible()
    for each in found.nearest:
        expect(dialog.get_by_role("img", name=Path(each.path).name)).to_be_visible()
    # Without opacity it is the photo itself.
    with_map = dialog.get_by_role("img", name=path.name).screenshot()
    dialog.get_by_role("slider", name="Opacity of the map").press("Home")
    settle(page)
    expect(dialog.get_by_role("slider", name="Opacity of the map")).to_have_value("0")
    page.wait_for_timeout(1000)
    assert dialog.get_by_role("img", name=path.name).screenshot() != with_map
    no_error(page)


def test_a_copied_picture_is_pasted(address, browser):
    page = open_page(browser, f"{address}/classify")
    choose(page, "Classifier", "Bundled")
    page.evaluate(PASTE)
    expect(page.get_by_role("img", name="copied.png")).to_be_visible()
    no_error(page)


def test_twenty_visitors_get_their_own_answers(address, browser):
    """Each has other photos, and all wait for the same classifier."""
    classifier = load_classifier("starter")
    cats, dogs = (photos_below(shared("photos") / "validation" / name) for name in ("cats", "dogs"))
    chosen = [(cats if number % 2 else dogs)[5 * number : 5 * number + 3] for number in range(VISITORS)]
    expected = [{found.source.name: found.verdict for found in classifier.classify(paths)} for paths in chosen]
    pages = [open_page(browser, f"{address}/classify") for _ in range(VISITORS)]
    for page in pages:
        choose(page, "Classifier", "Bundled")
    for page, paths in zip(pages, chosen, strict=True):
        upload(page, paths)
    for page, paths, verdicts in zip(pages, chosen, expected, strict=True):
        expect(page.get_by_role("button", name="Why?")).to_have_count(len(paths))
        expect(page.get_by_role("img", name=re.compile("jpg"))).to_have_count(len(paths))
        for name in paths:
            expect(page.get_by_role("img", name=name.name)).to_be_visible()
        for verdict in set(verdicts.values()):
            expect(pill(page, f"{verdict} {list(verdicts.values()).count(verdict)}")).to_be_visible()
        no_error(page)
        page.context.close()
