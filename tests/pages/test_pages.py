"""Each page without a browser: with an empty, a damaged and a full runs folder, and what it keeps to itself."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from helpers.app_pages import PAGES, button, choose_rows, open_page, texts
from helpers.places import REPOSITORY
from helpers.processes import one_json_object, run_python
from helpers.trained_runs import small_config

from catdog.__main__ import main
from catdog.errors import Refused
from catdog.figures import decimal, duration, gigabytes, percent
from catdog.pages.choose import choose_photos
from catdog.pages.every_page.words import moment, plain
from catdog.photos.photo_sets import photos_below
from catdog.runs import jobs
from catdog.runs.run_folder import create_run
from catdog.settings import SETTINGS, TrainConfig


def fill_runs(place: Path, trained: Path) -> None:
    """Runs in every state, one of them finished, and things that are no runs."""
    for state, message in (
        ("queued", "Waiting for another run to end."),
        ("running", ""),
        ("failed", "There was *not* enough memory."),
        ("stopped", "Stopped; the best epoch was kept."),
    ):
        run = create_run(TrainConfig(data="photos"), place / "runs" / f"20260101-00000{len(state)}-{state}")
        run.set_state(state, message)
    shutil.copytree(trained, place / "runs" / "20260102-000000-done")
    (place / "runs" / "a file").write_text("no run")
    (place / "runs" / "no run").mkdir()


def damage_runs(place: Path, trained: Path) -> None:
    """Copies of a finished run, each with another file cut in half, emptied, made of other things, or taken away."""
    names = sorted(path.name for path in trained.iterdir())
    for number, name in enumerate(names):
        for way in ("cut", "empty", "other", "list", "gone"):
            folder = place / "runs" / f"2026010{number}-000000-{way}"
            shutil.copytree(trained, folder, copy_function=os.link)
            path = folder / name
            content = path.read_bytes()
            path.unlink()
            if way == "cut":
                path.write_bytes(content[: len(content) // 2])
            elif way == "empty":
                path.touch()
            elif way == "other":
                path.write_text('{"state": 7, "metrics": 3, "photos": [], "settings": {"seed": "x"}, "event": "epoch"}')
            elif way == "list":
                path.write_text("[1, 2]")


@pytest.mark.parametrize("name", PAGES)
def test_pages_open_where_nothing_was_trained(place, name):
    assert not open_page(name).exception


@pytest.mark.lowest
@pytest.mark.parametrize("name", PAGES)
def test_pages_open_with_runs_in_every_state(place, trained, name):
    fill_runs(place, trained)
    app = open_page(name)
    if name == "train":
        for job in jobs.list_jobs():
            app.session_state["shown_run"] = job.folder.name
            app.run()
            assert not app.exception, job.folder.name


def test_no_damaged_run_raises_on_a_page(place, trained):
    damage_runs(place, trained)
    app = open_page("train")
    for job in jobs.list_jobs():
        app.session_state["shown_run"] = job.folder.name
        app.run()
        assert not app.exception, (job.folder.name, app.exception)
    open_page("classify")
    open_page("runs")


def test_the_newest_run_is_found_again_and_its_result_shown(place, trained):
    fill_runs(place, trained)
    app = open_page("train")
    app.session_state["shown_run"] = "20260102-000000-done"
    app.run()
    accuracy = json.loads((trained / "report.json").read_text())["accuracy"]
    assert percent(accuracy) in [metric.value for metric in app.metric]


def test_a_message_is_shown_as_it_is_and_not_as_markup(place, trained):
    fill_runs(place, trained)
    app = open_page("train")
    app.session_state["shown_run"] = next(job.folder.name for job in jobs.list_jobs() if "failed" in job.folder.name)
    app.run()
    assert r"There was \*not\* enough memory" in texts(app)


def test_the_page_starts_a_run_with_what_the_form_says(place, drawings, monkeypatch):
    shutil.copytree(drawings, place / "data")
    launched = []
    monkeypatch.setattr(jobs, "launch", launched.append)
    app = open_page("train")
    app.number_input(key="head_epochs").set_value(7)
    app.select_slider(key="head_learning_rate").set_value(0.005)
    app.selectbox(key="backbone").set_value("starter")
    app.number_input(key="fine_tune_epochs").set_value(2).run()
    app.select_slider(key="freeze_depth").set_value("conv3")
    app.run()
    button(app, "Train").click().run()
    assert not app.exception
    (folder,) = launched
    settings = json.loads((folder / "config.json").read_text())["settings"]
    assert settings == {
        **TrainConfig(data="data").as_dict(),
        "head_epochs": 7,
        "head_learning_rate": 0.005,
        "backbone": "starter",
        "fine_tune_epochs": 2,
        "freeze_depth": "conv3",
    }


def test_settings_outlive_a_visit_to_another_page(place, drawings):
    shutil.copytree(drawings, place / "data")
    app = open_page("train")
    app.number_input(key="head_epochs").set_value(7)
    app.select_slider(key="head_learning_rate").set_value(0.005)
    app.number_input(key="fine_tune_epochs").set_value(2).run()
    app.select_slider(key="freeze_depth").set_value("conv3")
    app.run()
    app.switch_page("catdog/pages/how_it_works.py").run()
    app.switch_page("catdog/pages/train.py").run()
    assert not app.exception
    assert app.number_input(key="head_epochs").value == 7
    assert app.select_slider(key="head_learning_rate").value == 0.005
    assert app.select_slider(key="freeze_depth").value == "conv3"


def test_no_folder_outside_the_allowed_ones_is_read(place, drawings, tmp_path_factory, monkeypatch):
    (place / "data").mkdir()
    outside = tmp_path_factory.mktemp("outside") / "photos"
    shutil.copytree(drawings, outside)
    (place / "link").symlink_to(outside, target_is_directory=True)
    for folder in (str(outside), "../", "link", str(place / "link"), "/", "a\0b"):
        # AppTest can't type into a select box, so what would be typed is among its options.
        monkeypatch.setattr(choose_photos, "suggested_folders", lambda *_, folder=folder: [folder])
        app = open_page("train")
        assert "this app may read" in texts(app)
        assert button(app, "Train").disabled


@pytest.mark.parametrize("text", ["~nosuchuser", "~", "nowhere", "*"])
def test_a_folder_that_is_not_there_gets_a_sentence(place, monkeypatch, text):
    (place / "data").mkdir()
    monkeypatch.setattr(choose_photos, "suggested_folders", lambda *_: [text])
    app = open_page("train")
    assert "There is no folder" in texts(app)
    assert button(app, "Train").disabled


@pytest.mark.parametrize("name", ["train/cats/zzz.jpg", "train/secrets", "test"])
def test_a_link_among_the_photos_is_not_followed_out(place, drawings, tmp_path_factory, name):
    secret = tmp_path_factory.mktemp("secret") / ("secret.jpg" if name.endswith("jpg") else "secrets")
    if name.endswith("jpg"):
        shutil.copy(photos_below(drawings)[0], secret)
    else:
        (secret / "hidden things").mkdir(parents=True)
    shutil.copytree(drawings, place / "data")
    (place / "data" / name).symlink_to(secret)
    app = open_page("train")
    assert "leads out of the folders" in texts(app)
    assert "hidden things" not in texts(app)
    assert button(app, "Train").disabled


@pytest.mark.lowest
def test_an_uploaded_photo_gets_the_command_lines_probability(place, trained, drawings, capfd):
    (place / "runs").mkdir()
    shutil.copytree(trained, place / "runs" / "20260102-000000-done")
    paths = photos_below(drawings / "validation")[::4]
    broken = place / "broken <b>.jpg"
    broken.write_text("no photo")
    app = open_page("classify")
    app.file_uploader[0].set_value([(path.name, path.read_bytes(), "image/jpeg") for path in [*paths, broken]]).run()
    assert not app.exception
    answers = {answer.name: answer for answer in app.session_state["answers"].values()}
    capfd.readouterr()
    assert main(["classify", str(trained), *map(str, paths), "--json"]) == 0
    for photo in one_json_object(capfd.readouterr().out)["photos"]:
        shown = answers[Path(photo["path"]).name]
        assert shown.label == photo["label"]
        assert shown.verdict(0.8) == photo["verdict"]
        assert shown.probabilities == pytest.approx(photo["probabilities"], abs=1e-4)
    assert r"broken \<b\>\.jpg: it is a text file, not a photo" in texts(app)
    # What is removed is forgotten.
    app.file_uploader[0].set_value([]).run()
    assert dict(app.session_state["answers"]) == {}


def test_pages_bring_no_tensorflow_until_a_photo_is_classified(place):
    code = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(REPOSITORY / "streamlit_app.py")!r}, default_timeout=120).run()
for name in {PAGES[1:]!r}:
    app.switch_page(f"catdog/pages/{{name}}.py").run()
    assert not app.exception
print("tensorflow" in sys.modules, "keras" in sys.modules)
"""
    assert run_python("-c", code, cwd=place).stdout.splitlines()[-1] == "False False"


def test_only_pages_import_streamlit():
    importing = [
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "catdog").rglob("*.py")
        if re.search(r"^\s*(import|from) streamlit\b", path.read_text(), re.MULTILINE)
    ]
    assert importing
    assert all(path.startswith("catdog/pages/") for path in importing)
    light = [
        "settings",
        "photos.reading",
        "photos.photo_sets",
        "photos.samples",
        "runs.run_folder",
        "runs.jobs",
        "runs.course",
        "runs.visitors",
        "runs.time_limits",
        "charts.run_charts",
        "charts.advice",
        "files.folders",
        "exports.export_jobs",
    ]
    code = f"import sys; [__import__(f'catdog.{{name}}') for name in {light!r}]; print('tensorflow' in sys.modules)"
    assert run_python("-c", code, cwd=REPOSITORY).stdout.strip() == "False"


def test_a_started_process_works_on_its_run_and_is_found_again(place, drawings):
    folder = jobs.start(small_config(drawings, head_epochs=1))
    (job,) = jobs.list_jobs()
    assert job.folder == folder
    assert job.is_active
    for _ in range(2000):
        if not jobs.find_job(folder).is_active:
            break
        time.sleep(0.1)
    assert jobs.find_job(folder).status["state"] == "done"
    assert jobs.find_job(folder).has_classifier
    assert "Head epoch 1 of 1" in (folder / "log.txt").read_text()


def test_the_runs_page_lists_all_runs_with_what_is_known(place, trained):
    fill_runs(place, trained)
    app = open_page("runs")
    table = app.dataframe[0].value
    assert list(table["State"]) == ["done", "stopped", "running", "queued", "failed"]
    done = table.iloc[0]
    assert done["Accuracy"] == 100 * json.loads((trained / "report.json").read_text())["accuracy"]
    assert (done["Photos"], done["Freeze depth"]) == (64, "conv4")
    assert (done["Head epochs"], done["Head rate"]) == (3, 0.001)
    assert (done["Tuning epochs"], done["Tuning rate"]) == (1, 0.00001)


def test_a_run_can_be_renamed(place, trained):
    fill_runs(place, trained)
    app = choose_rows(open_page("runs"), "20260102-000000-done")
    app.text_input[0].set_value("  my *best*   run ").run()
    button(app, "Save name").click().run()
    assert not app.exception
    assert app.dataframe[0].value["Name"][0] == "my *best* run"
    assert json.loads((place / "runs" / "20260102-000000-done" / "label.json").read_text())["name"] == "my *best* run"


def test_a_runs_settings_fill_the_form(place, trained):
    fill_runs(place, trained)
    app = choose_rows(open_page("runs"), "20260102-000000-done")
    button(app, "Use its settings").click().run()
    assert not app.exception
    app.switch_page("catdog/pages/train.py").run()
    settings = json.loads((trained / "config.json").read_text())["settings"]
    assert app.number_input(key="head_epochs").value == settings["head_epochs"] == 3
    assert app.number_input(key="image_size").value == settings["image_size"] == 64
    assert app.selectbox(key="backbone").value == settings["backbone"] == "starter"


@pytest.mark.lowest
def test_two_runs_are_compared_by_the_settings_in_which_they_differ(place, trained):
    fill_runs(place, trained)
    other = place / "runs" / "20260103-000000-other"
    shutil.copytree(trained, other)
    config = json.loads((other / "config.json").read_text())
    config["settings"]["head_learning_rate"] = 0.005
    config["settings"]["relabel"] = [[f"cats/{number}.jpg", "dogs"] for number in range(4)]
    (other / "config.json").write_text(json.dumps(config))
    app = choose_rows(open_page("runs"), "20260102-000000-done", "20260103-000000-other")
    # Cells and heads are Markdown.
    different = app.table[0].value.map(lambda cell: cell.replace("\\", ""))
    assert all(name == plain(name.replace("\\", "")) for name in app.table[0].value.columns)
    listed = "4: cats/0.jpg as dogs, cats/1.jpg as dogs, cats/2.jpg as dogs, ..."
    assert {name: sorted(different.loc[name]) for name in different.index} == {
        SETTINGS["relabel"].metadata["label"]: [listed, "none"],
        "Head learning rate": ["0.001", "0.005"],
    }


def test_a_run_is_deleted_whole_but_not_while_it_works(place, trained):
    fill_runs(place, trained)
    working, done = place / "runs" / "20260101-000007-running", place / "runs" / "20260102-000000-done"
    with pytest.raises(Refused, match="stop it first"):
        jobs.delete(working)
    jobs.delete(done)
    assert working.is_dir()
    assert "20260102-000000-done" not in [path.name for path in (place / "runs").iterdir()]
    assert done not in [job.folder for job in jobs.list_jobs()]
    app = choose_rows(open_page("runs"), working.name)
    assert button(app, "Delete").disabled


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.984), "98.4 %"),
        (percent(0.99999), "99.9 %"),
        (percent(0.00001), "0.1 %"),
        (percent(1), "100 %"),
        (percent(0), "0 %"),
        (moment(1e15), "an unknown time"),
        (decimal(0.00001), "0.00001"),
        (decimal(0.5), "0.5"),
        (decimal(1.0), "1"),
        (duration(0.2), "1 s"),
        (duration(59), "59 s"),
        (duration(150), "2 min"),
        (duration(7500), "2 h 5 min"),
        (gigabytes(823_300_000), "0.8 GB"),
        (gigabytes(1), "0.1 GB"),
        (plain("*a* [b](c) <i> $x$ :smile:"), r"\*a\* \[b\]\(c\) \<i\> \$x\$ \:smile\:"),
    ],
)
def test_words(shown, expected):
    assert shown == expected
