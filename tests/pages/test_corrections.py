"""What a visitor corrected, as both sides of the training page show it and take it back."""

from pathlib import Path

import pytest
from helpers.app_pages import button, open_page, opened, settings_of_the_run, table, texts
from helpers.pictures import draw_scene, save_scene
from streamlit.testing.v1 import AppTest

from catdog.pages.choose import choose_photos, corrections
from catdog.runs import jobs


@pytest.fixture
def data(place) -> Path:
    """A small photo set in the working folder."""
    for number, name in enumerate(("train/cats", "train/dogs", "validation/cats", "validation/dogs")):
        for photo in range(3):
            save_scene(place / "data" / name / f"{photo}.jpg", draw_scene(10 * number + photo, 96, 72))
    return place / "data"


def opened_with(folder: Path, changes: dict[str, str | None]) -> AppTest:
    """The training page of a visitor with these corrections: each photo's other class, or None where it is left out."""
    app = open_page("train")
    app.session_state["corrections"] = {str(folder): changes}
    app.run()
    assert not app.exception
    return app


def test_the_training_page_counts_lists_and_undoes_them(data, monkeypatch):
    launched = []
    monkeypatch.setattr(jobs, "launch", launched.append)
    changes = {"train/cats/0.jpg": "dogs", "validation/dogs/1.jpg": "cats", "train/dogs/2.jpg": None}
    app = opened_with(data, changes)
    assert "1 photo is left out, 2 photos count as another class" in texts(app)
    assert [table(app).count(f">{number}<") for number in (2, 3, 4)] == [2, 1, 1]
    assert "counts as" not in texts(app)
    button(app, "Train").click().run()
    settings = settings_of_the_run(launched)
    assert settings["leave_out"] == ["train/dogs/2.jpg"]
    assert settings["relabel"] == [["train/cats/0.jpg", "dogs"], ["validation/dogs/1.jpg", "cats"]]

    opened(app, "show_corrections")
    listed = [
        line for line in texts(app).splitlines() if line.endswith((": left out", r"counts as cats", r"counts as dogs"))
    ]
    assert listed == [
        r"train/cats/0\.jpg\: counts as dogs",
        r"train/dogs/2\.jpg\: left out",
        r"validation/dogs/1\.jpg\: counts as cats",
    ]
    app.button(key="undo_correction_train/cats/0.jpg").click().run()
    assert not app.exception
    assert "1 photo is left out, 1 photo counts as another class" in texts(app)
    button(app, "Train").click().run()
    assert settings_of_the_run(launched)["relabel"] == [["validation/dogs/1.jpg", "cats"]]
    button(app, "Bring back").click().run()
    assert "as another class" not in texts(app)
    assert "left out" not in texts(app)
    button(app, "Train").click().run()
    assert settings_of_the_run(launched)["relabel"] == settings_of_the_run(launched)["leave_out"] == []


def test_a_long_list_of_corrections_has_pages(data):
    for number in range(10, 23):
        save_scene(data / "train/cats" / f"{number}.jpg", draw_scene(100 + number, 96, 72))
    app = opened_with(data, {f"train/cats/{number}.jpg": "dogs" for number in range(10, 23)})
    opened(app, "show_corrections")
    assert "13 photos count as another class" in texts(app)
    assert len([each for each in app.button if each.label == "Undo"]) == corrections.LISTED
    app.session_state["corrections_page_2"] = 2
    app.run()
    assert [each.key for each in app.button if each.label == "Undo"] == [
        f"undo_correction_train/cats/{number}.jpg" for number in (20, 21, 22)
    ]


def test_corrections_that_hold_no_more_are_said_and_can_be_undone(data):
    app = opened_with(data, {"train/dogs/0.jpg": "lions"})
    assert r"is to count as lions, but data has the classes cats and dogs only\." in texts(app)
    assert button(app, "Train").disabled
    opened(app, "show_corrections")
    button(app, "Undo").click().run()
    assert not app.exception
    assert "lions" not in texts(app)
    assert not button(app, "Train").disabled


def test_a_folder_that_needs_its_corrections_is_looked_through(place, monkeypatch):
    monkeypatch.setattr(choose_photos, "suggested_folders", lambda *_: ["data"])
    for name, count in (("cats", 1), ("dogs", 7)):
        for number in range(count):
            save_scene(place / "data" / name / f"{number}.jpg", draw_scene(number + 50 * count, 96, 72))
    assert "it needs two" in texts(open_page("train"))
    app = opened_with(place / "data", {"dogs/0.jpg": "cats", "dogs/1.jpg": None})
    assert not button(app, "Train").disabled
    assert "counts of photos are too low" in texts(opened(app, "photo_problems"))


def doubtful_labels(data: Path, *names: str, label: str = "dogs") -> AppTest:
    """The doubtful labels of a run on these photos of cats, by themselves."""

    def script(data, names, label):
        from catdog.pages.result.label_view import show_labels

        found = [
            {
                "path": str(data / "train/cats" / name),
                "split": "train",
                "class": "cats",
                "label": label,
                "probability": 0.97,
            }
            for name in names
        ]
        show_labels(data.parent, {"wrong_labels": {"photos": 12, "folds": 3, "found": found}}, data)

    app = AppTest.from_function(script, args=(data, names, label), default_timeout=60).run()
    assert not app.exception
    return app


def kept_by(app: AppTest, data: Path) -> dict[str, str | None]:
    """A visitor's corrections of a folder."""
    return app.session_state["corrections"].get(str(data), {})


def test_a_doubtful_photo_is_relabelled_left_out_and_brought_back(data):
    app = doubtful_labels(data, "0.jpg", "1.jpg")
    app.button(key="relabel_train/cats/0.jpg").click().run()
    app.button(key="without_train/cats/1.jpg").click().run()
    assert not app.exception
    assert kept_by(app, data) == {"train/cats/0.jpg": "dogs", "train/cats/1.jpg": None}
    said = texts(app)
    assert "will count as dogs" in said
    assert "will be left out" in said
    assert "2 corrections for the next training" in said
    app.button(key="undo_train/cats/0.jpg").click().run()
    assert kept_by(app, data) == {"train/cats/1.jpg": None}
    button(app, "Undo all").click().run()
    assert not app.exception
    assert kept_by(app, data) == {}


def test_a_doubtful_photo_whose_correction_can_not_be_gets_a_sentence(data):
    app = doubtful_labels(data, "0.jpg", "1.jpg", "2.jpg")
    for number in range(3):
        app.button(key=f"without_train/cats/{number}.jpg").click().run()
        assert not app.exception
    assert "All train photos of the class cats" in texts(app)
    assert kept_by(app, data) == {"train/cats/0.jpg": None, "train/cats/1.jpg": None}
    # It is said once.
    app.run()
    assert "All train photos" not in texts(app)
    app = doubtful_labels(data, "0.jpg", label="lions")
    app.button(key="relabel_train/cats/0.jpg").click().run()
    assert "is to count as lions, but" in texts(app)
    assert kept_by(app, data) == {}
