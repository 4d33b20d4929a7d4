"""The photos on the training page: what is wrong with them, leaving some out, uploads, and all of them on demand."""

import re
import shutil
from pathlib import Path

import pytest
from helpers.app_pages import button, chosen_upload, open_page, opened, settings_of_the_run, table, texts, uploads
from helpers.pictures import draw_scene, save_scene, zip_of
from streamlit.testing.v1 import AppTest

from catdog.pages.choose import choose_photos, corrections, photo_problems
from catdog.photos.photo_sets import find_photo_set
from catdog.photos.problems import check_photos
from catdog.runs import jobs


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working folder with runs and a cache of its own, and a photo set of faultless photos in data/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CATDOG_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CATDOG_FOLDERS", raising=False)
    seed = 0
    for split, count in (("train", 21), ("validation", 5)):
        for name in ("cats", "dogs"):
            for number in range(count):
                save_scene(tmp_path / "data" / split / name / f"{number:02}.jpg", draw_scene(seed, 96, 72))
                seed += 1
    return tmp_path


@pytest.fixture
def copied(here) -> Path:
    """The same with a training photo among the validation photos too, one twice in training, and a tiny one."""
    shutil.copy(here / "data/train/cats/00.jpg", here / "data/validation/cats/copy.jpg")
    shutil.copy(here / "data/train/dogs/01.jpg", here / "data/train/dogs/copy.jpg")
    save_scene(here / "data/train/dogs/tiny.jpg", draw_scene(900, 40, 40))
    return here


def folds(app: AppTest) -> list[str]:
    """The headings of what can be unfolded."""
    return [fold.label for fold in app.expander]


def test_faultless_photos_get_a_quiet_line(here):
    app = open_page("train")
    assert "Nothing wrong was found in these photos" in texts(app)
    assert not [label for label in folds(app) if "problem" in label]


def test_each_problem_is_counted_and_shown_with_its_photos_when_opened(copied):
    app = open_page("train")
    assert "3 problems" in folds(app)
    assert "validation/cats" not in texts(app)
    opened(app, "photo_problems")
    said = texts(app)
    assert "**1 picture is learned from and tested with**" in said
    assert "the result looks better than it is" in said
    assert "**1 photo is there more than once**" in said
    assert "**1 photo is tiny**" in said
    # The worst comes first.
    assert said.index("learned from and tested with") < said.index("more than once") < said.index("is tiny")


def test_the_copy_in_training_is_left_out_and_brought_back(copied, monkeypatch):
    launched = []
    monkeypatch.setattr(jobs, "launch", launched.append)
    app = opened(open_page("train"), "photo_problems")
    assert (table(app).count(">21<"), table(app).count(">23<")) == (1, 1)
    app.button(key="leave_out_across-splits").click().run()
    assert not app.exception
    assert "1 photo is left out" in texts(app)
    assert "2 problems" in folds(app)
    assert (table(app).count(">20<"), table(app).count(">23<")) == (1, 1)
    button(app, "Train").click().run()
    assert settings_of_the_run(launched)["leave_out"] == ["train/cats/00.jpg"]

    # It outlives a visit to another page.
    app.switch_page("catdog/pages/how_it_works.py").run()
    app.switch_page("catdog/pages/train.py").run()
    assert "1 photo is left out" in texts(app)
    button(app, "Bring back").click().run()
    assert "left out" not in texts(app)
    assert "3 problems" in folds(app)
    button(app, "Train").click().run()
    assert settings_of_the_run(launched)["leave_out"] == []
    assert (copied / "data/train/cats/00.jpg").exists()


def test_what_is_left_out_of_one_folder_is_not_of_another(copied):
    shutil.copytree(copied / "data", copied / "other")
    app = opened(open_page("train"), "photo_problems")
    app.button(key="leave_out_tiny").click().run()
    assert "1 photo is left out" in texts(app)
    app.selectbox(key="photo_folder").set_value("other").run()
    assert "left out" not in texts(app)
    app.selectbox(key="photo_folder").set_value("data").run()
    assert "1 photo is left out" in texts(app)
    # Nor does another visitor see it.
    assert "left out" not in texts(open_page("train"))


def test_a_photo_that_was_left_out_may_go(copied):
    app = opened(open_page("train"), "photo_problems")
    app.button(key="leave_out_tiny").click().run()
    (copied / "data/train/dogs/tiny.jpg").unlink()
    app.run()
    assert not app.exception
    assert "left out" not in texts(app)
    assert not button(app, "Train").disabled


def correct(app: AppTest, change) -> AppTest:
    """The page after a visitor's change of corrections elsewhere, as under a run's result."""
    kept = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corrections.st, "session_state", kept)
        change()
    app.session_state[corrections.KEPT] = kept[corrections.KEPT]
    app.run()
    assert not app.exception
    return app


def test_a_photo_counts_as_another_class_until_it_is_brought_back(copied, monkeypatch):
    launched = []
    monkeypatch.setattr(jobs, "launch", launched.append)
    folder = Path("data")

    def change():
        corrections.relabel(folder, folder / "train/cats/00.jpg", "dogs")
        corrections.leave_out(folder.resolve(), [copied / "data/train/cats/01.jpg"])

    app = correct(open_page("train"), change)
    assert "1 photo is left out, 1 photo counts as another class" in texts(app)
    assert (table(app).count(">19<"), table(app).count(">24<")) == (1, 1)
    button(app, "Train").click().run()
    assert settings_of_the_run(launched)["relabel"] == [["train/cats/00.jpg", "dogs"]]
    assert settings_of_the_run(launched)["leave_out"] == ["train/cats/01.jpg"]
    button(app, "Bring back").click().run()
    assert "counts as another class" not in texts(app)
    assert (table(app).count(">21<"), table(app).count(">23<")) == (1, 1)


def test_corrections_that_cannot_be_trained_on_can_be_brought_back(here):
    folder = here / "data"
    app = correct(open_page("train"), lambda: corrections.relabel(folder, folder / "train/cats/00.jpg", "lions"))
    assert "has the classes cats and dogs only" in texts(app).replace("\\", "")
    assert button(app, "Train").disabled
    button(app, "Bring back").click().run()
    assert not button(app, "Train").disabled


@pytest.fixture
def session(monkeypatch) -> dict:
    """One visitor's session state, without a page."""
    monkeypatch.setattr(corrections.st, "session_state", {})
    return corrections.st.session_state


def test_a_photo_has_one_correction_which_can_be_undone(here, session):
    folder = Path("data")
    first, second = (folder / f"train/cats/0{number}.jpg" for number in range(2))
    corrections.leave_out(folder, [first, second])
    corrections.relabel(folder, first, "dogs")
    assert corrections.left_out_of(folder) == ("train/cats/01.jpg",)
    assert corrections.relabelled_of(folder) == (("train/cats/00.jpg", "dogs"),)
    corrections.leave_out(folder, [first])
    assert corrections.relabelled_of(folder) == ()
    corrections.undo(folder, second)
    assert corrections.left_out_of(folder) == ("train/cats/00.jpg",)
    corrections.relabel(folder, second, "dogs")
    second.unlink()
    assert corrections.relabelled_of(folder) == ()
    corrections.bring_back(folder)
    assert corrections.left_out_of(folder) == ()


def test_a_change_that_cannot_be_trained_on_is_taken_back_with_the_reason(here, session):
    folder = Path("data")
    photos = [folder / f"train/cats/{number:02}.jpg" for number in range(21)]
    corrections.relabel(folder, photos[3], "dogs")
    corrections.try_to(folder, lambda: corrections.leave_out(folder, photos))
    assert corrections.left_out_of(folder) == ()
    assert corrections.relabelled_of(folder) == (("train/cats/03.jpg", "dogs"),)
    assert corrections.take_refusal().startswith("All train photos of the class cats in data are left out")
    assert corrections.take_refusal() is None
    corrections.try_to(folder, lambda: corrections.leave_out(folder, photos[:2]))
    assert len(corrections.left_out_of(folder)) == 2
    assert corrections.take_refusal() is None


def test_photos_are_found_in_their_folder_through_links(here, session):
    (here / "link").symlink_to(here / "data")
    (here / "data/train/cats").rename(here / "cats elsewhere")
    (here / "data/train/cats").symlink_to(here / "cats elsewhere")
    ways = [here / "data/train/cats/00.jpg", here / "link/train/dogs/00.jpg", Path("link/train/dogs/../dogs/01.jpg")]
    ways += [here / "elsewhere.jpg"]
    for folder in (Path("link"), here / "data"):
        corrections.bring_back(folder)
        corrections.leave_out(folder, ways)
        expected = ("train/cats/00.jpg", "train/dogs/00.jpg", "train/dogs/01.jpg")
        assert corrections.left_out_of(Path("data")) == expected


def test_a_class_is_never_left_out_as_a_whole(here):
    for path in (here / "data/train/cats").iterdir():
        save_scene(path, draw_scene(int(path.stem), 40, 40))
    app = opened(open_page("train"), "photo_problems")
    app.button(key="leave_out_tiny").click().run()
    assert "All train photos of the class cats" in texts(app)
    assert "is left out" not in texts(app)
    assert not button(app, "Train").disabled


def test_an_unreadable_photo_is_named_with_its_reason(here):
    (here / "data/train/cats/letter.jpg").write_text("Dear cat,")
    app = open_page("train")
    assert "1 problem" in folds(app)
    opened(app, "photo_problems")
    assert r"train/cats/letter\.jpg\: it is a text file, not a photo" in texts(app)
    assert "leave_out_unreadable" not in [each.key for each in app.button]


def test_a_long_list_is_cut_short(here):
    for number in range(13):
        save_scene(here / f"data/train/cats/tiny {number}.jpg", draw_scene(900 + number, 40, 40))
    app = opened(open_page("train"), "photo_problems")
    assert "13 photos are tiny" in texts(app)
    assert "and 3 more" in texts(app)
    app.button(key="leave_out_tiny").click().run()
    assert "13 photos are left out" in texts(app)


def test_photos_are_read_once(copied, monkeypatch):
    open_page("train")
    monkeypatch.setattr(photo_problems, "fingerprint_photos", None)
    assert "3 problems" in folds(open_page("train"))


def test_of_a_flat_folder_the_counts_are_those_of_the_split_that_keeps_copies_together(here, monkeypatch):
    flat = here / "flat"
    for name in ("cats", "dogs"):
        for number in range(25):
            save_scene(flat / name / f"{number:02}.jpg", draw_scene(2000 + number + 50 * (name == "cats"), 96, 72))
        for number in range(25, 30):
            shutil.copy(flat / name / "00.jpg", flat / name / f"{number}.jpg")
    # AppTest can't type into a select box, so what would be typed is among its options.
    monkeypatch.setattr(choose_photos, "suggested_folders", lambda *_: ["flat"])
    app = open_page("train")
    assert "photos that look alike stay together" in texts(app)
    assert "2 problems" in folds(app)
    opened(app, "photo_problems")
    assert "learned from and tested with" not in texts(app)
    for split, counts in check_photos(find_photo_set(flat), seed=0)[0].counts().items():
        assert re.search(rf"{split}</th>.*>{counts['cats']}<.*>{counts['dogs']}<", table(app))


def test_all_photos_are_shown_by_split_and_class_a_page_at_a_time(here):
    for number in range(21, 30):
        save_scene(here / f"data/train/dogs/{number}.jpg", draw_scene(3000 + number, 96, 72))
    app = open_page("train")
    assert "shown_split" not in [each.key for each in app.selectbox]
    opened(app, "show_photos")
    assert "1 to 21 of 21" in texts(app)
    app.selectbox(key="shown_class").set_value(1).run()
    assert "1 to 24 of 30" in texts(app)
    app.session_state["shown_page_train_1_2"] = 2
    app.run()
    assert "25 to 30 of 30" in texts(app)
    app.selectbox(key="shown_split").set_value("validation").run()
    assert "1 to 5 of 5" in texts(app)


def test_uploads_are_listed_chosen_and_removed(here):
    app = uploads(open_page("train"))
    app.file_uploader[0].set_value([("first *one*.zip", zip_of(5), "application/zip")]).run()
    assert not app.exception
    assert app.radio(key="chosen_upload").options == [r"first \_one\_ · 10 photos"]
    app.file_uploader[0].set_value([("second.zip", zip_of(6, "mine/cats/letter.jpg"), "application/zip")]).run()
    assert not app.exception
    radio = app.radio(key="chosen_upload")
    assert radio.options[1] == "second · 13 photos"
    # The new one is chosen; its broken photo is named.
    assert radio.value.name.endswith("second")
    opened(app, "photo_problems")
    assert r"cats/letter\.jpg" in texts(app)
    first, second = app.session_state["uploads"]
    radio.set_value(first).run()
    assert r"cats/letter\.jpg" not in texts(app)
    app.switch_page("catdog/pages/how_it_works.py").run()
    app.switch_page("catdog/pages/train.py").run()
    assert app.radio(key="chosen_upload").value == first
    button(app, "Remove upload").click().run()
    assert not app.exception
    assert not first.exists()
    assert second.is_dir()
    assert app.radio(key="chosen_upload").value == second
    button(app, "Remove upload").click().run()
    assert not second.exists()
    assert not chosen_upload(app)


def test_uploads_are_the_visitors_own(here):
    app = uploads(open_page("train"))
    app.file_uploader[0].set_value([("mine.zip", zip_of(5), "application/zip")]).run()
    assert chosen_upload(app)
    assert not chosen_upload(uploads(open_page("train")))


def test_a_zip_that_is_none_gets_a_sentence_and_leaves_nothing(here):
    app = uploads(open_page("train"))
    app.file_uploader[0].set_value([("mine.zip", b"no zip", "application/zip")]).run()
    assert not app.exception
    assert app.warning
    assert not chosen_upload(app)
    assert list((here / "cache" / "photos" / "uploads").iterdir()) == []


def test_folders_that_look_like_photo_sets_are_suggested(tmp_path, monkeypatch):
    here = tmp_path / "here"
    monkeypatch.setenv("CATDOG_FOLDERS", str(here))
    flat = [f"{name}/{kind}/1.jpg" for name in ("pets", "mine/more", ".hidden", "two\nlines") for kind in ("a", "b")]
    split = [f"{name}/train/a/1.jpg" for name in ("data", "deep/set")]
    alone = [
        "one_class/a/1.jpg",
        "texts/a/1.txt",
        "texts/b/1.txt",
        "loose/1.jpg",
        "too/deep/for/a/1.jpg",
        "too/deep/for/b/1.jpg",
    ]
    for name in [*flat, *split, *alone]:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    outside = tmp_path / "outside"
    for kind in ("a", "b"):
        (outside / kind).mkdir(parents=True)
        (outside / kind / "1.jpg").touch()
    (here / "link").symlink_to(outside)
    (here / "half").mkdir()
    for kind in ("a", "b"):
        (here / "half" / kind).symlink_to(outside / kind)
    choose_photos.suggested_folders.clear()
    found = choose_photos.suggested_folders((here,), here)
    assert found == ["data", "deep/set", "mine/more", "pets"]
    choose_photos.suggested_folders.clear()
    elsewhere = [str(here / name) for name in found[:3]]
    assert choose_photos.suggested_folders((here,), here / "pets") == [".", *elsewhere]
