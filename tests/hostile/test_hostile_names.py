"""What people name stays a name wherever it is shown or written."""

import os
import shutil
from pathlib import Path

import pytest
from helpers.app_pages import choose_rows, open_page, texts
from helpers.pictures import draw_scene, save_scene
from helpers.reports import make_probabilities, report_of, save_report_run

from catdog.pages.every_page.words import plain
from catdog.runs import jobs
from hostile.name_cases import CASES, FORMULA, TAG
from hostile.reliability import case_ids

NO_UTF_8 = os.fsdecode(b"\xff\xfe")
HOSTILE = (f"{NO_UTF_8}.png", "www.example.com.png", f"{TAG}.png", f"{FORMULA}.png", "\x1b[2J\n.png", "![x](y).png")


@pytest.mark.parametrize("case", CASES, ids=case_ids(CASES))
def test_a_name_stays_a_name(case, tmp_path):
    assert case.make(tmp_path) == case.outcome


def place_photos(folder: Path, class_names: tuple[str, ...]) -> Path:
    """A set of photos of these classes with hostile names, of which one is twice there, and one broken, as each is."""
    seed = 0
    for split in ("train", "validation"):
        for class_name in class_names:
            for name in HOSTILE:
                path = save_scene(folder / split / class_name / name, draw_scene(seed, 96, 72))
                seed += 1
            shutil.copy(path, path.with_name(f"copy of {NO_UTF_8}.png"))
            path.with_name(f"broken {NO_UTF_8}.png").write_text("no photo")
    return folder


def test_the_training_page_shows_photos_of_any_name(place):
    """Also in what lies folded up: the problems, the photos of each class, the corrections."""
    class_names = ("**cats**", "=dogs")
    place_photos(place / "data", class_names)
    (place / NO_UTF_8 / "train").mkdir(parents=True)
    app = open_page("train")
    assert app.selectbox(key="photo_folder").options == ["data"]
    for key in ("photo_problems", "show_photos"):
        app.session_state[key] = True
    app.run()
    assert not app.exception
    assert app.selectbox(key="shown_class").options == list(class_names)
    assert r"broken \\udcff\\udcfe\.png can't be read" in texts(app)
    (leave_out,) = [each for each in app.button if each.key == "leave_out_duplicate"]
    leave_out.click().run()
    app.session_state["show_corrections"] = True
    app.run()
    assert not app.exception
    undo = [each for each in app.button if each.label == "Undo"]
    assert [each.key for each in undo if "\\udcff" in each.key]
    undo[-1].click().run()
    assert not app.exception


def test_a_result_shows_photos_and_classes_of_any_name(place):
    names = (TAG, FORMULA)
    report = report_of(*make_probabilities(20, names), names, folder="photos")
    found = report["wrong_labels"]["found"]
    for listed in (report["mistakes"], report["border"], found):
        for each, name in zip(listed, HOSTILE * 9, strict=False):
            each["path"] = f"photos/{name}"
    folder = save_report_run(place / "runs" / "20260101-000000-odd", report, place)
    jobs.rename(folder, f"{TAG} {FORMULA} www.example.com")
    app = open_page("train")
    table = next(each.value for each in app.dataframe if "Class" in each.value)
    assert list(table["Class"]) == [TAG, f"'{FORMULA}"]
    for tab in ("Mistakes", "Doubtful labels", "How sure"):
        app.session_state[f"result_{folder.name}"] = next(each.label for each in app.tabs if each.label.startswith(tab))
        app.run()
        assert not app.exception
    assert plain(f"{TAG} {FORMULA} www.example.com") in app.subheader[-1].value


def test_compared_runs_have_no_markup_in_their_table(place):
    for number, name in enumerate((f"**a** {TAG}", "![x](//y) www.example.com")):
        report = report_of(*make_probabilities(20, ("cats", "dogs")), ("cats", "dogs"))
        folder = save_report_run(
            place / "runs" / f"2026010{number + 1}-000000-run", report, place / f"*photos* {number}"
        )
        jobs.rename(folder, name)
    table = choose_rows(open_page("runs"), "20260101-000000-run", "20260102-000000-run").table[0].value
    assert set(table.columns) == {plain(f"**a** {TAG}"), plain("![x](//y) www.example.com")}
    assert {plain(str(place / f"*photos* {number}")) for number in (0, 1)} == set(table.loc["Photos"])
