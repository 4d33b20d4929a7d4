"""A classifier handed on from a page: made by a process that waits in line, found again, offered once it is whole."""

import json
import os
import shutil
import time
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.app_pages import button, open_page, texts
from streamlit.testing.v1 import AppTest

from catdog.errors import Failed, Refused, Stopped
from catdog.exports import export_jobs, formats, making
from catdog.exports.export_jobs import Wanted, find_export
from catdog.runs import jobs, trials
from catdog.runs.run_folder import Run, create_run, read_status
from catdog.settings import TrainConfig


@pytest.fixture
def run(place, trained) -> Path:
    """The only run, which is done; given as the page names it."""
    shutil.copytree(trained, place / "runs" / "20260101-000000-done")
    return place / "runs" / "20260101-000000-done"


@pytest.fixture
def launched(monkeypatch) -> list[Path]:
    """The folders that processes were to be started for; none is."""
    folders = []
    monkeypatch.setattr(jobs, "launch", folders.append)
    return folders


def view(source: Path | str, format_name: str = "keras") -> AppTest:
    """The view alone, with a format chosen."""
    app = AppTest.from_string(
        f"from catdog.pages.result.export_view import show_export\nshow_export({str(source)!r})", default_timeout=120
    ).run()
    app.selectbox[0].set_value(format_name).run()
    assert not app.exception
    return app


def work(wanted: Wanted) -> Path:
    """Make an export as a process would; gives the folder of that process."""
    folder = queued(wanted)
    making.make(TrainConfig(), Run(folder))
    return folder


def queued(wanted: Wanted) -> Path:
    """The folder of a process that was to be started for this export."""
    export_jobs.start(wanted)
    return export_jobs.newest_job(wanted).folder


def test_a_run_is_exported_on_its_page_by_a_process_and_found_again(run):
    app = open_page("train")
    assert "Hand it on" in [each.label for each in app.expander]
    app.selectbox(key=f"export_format_{run.name}").set_value("onnx").run()
    assert "ONNX is a file for ONNX Runtime" in texts(app)
    button(app, "Write it as ONNX").click().run()
    assert button(app, "Stop")
    job = export_jobs.newest_job(Wanted(str(run), "onnx", False))
    assert job.folder.parent == run.parent / "trials"
    deadline = time.monotonic() + 300
    while read_status(job.folder)["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert read_status(job.folder)["state"] == "done", (job.folder / "log.txt").read_text()

    app = open_page("train")
    app.selectbox(key=f"export_format_{run.name}").set_value("onnx").run()
    assert r"asked about 16 photos, it gives the classifier's probabilities to within 0\.0001;" in texts(app)
    assert [each.label for each in app.get("download_button")][-1] == "Download cat_dog_classifier.onnx"
    assert "onnxruntime.InferenceSession('cat_dog_classifier.onnx')" in app.code[0].value
    assert {path.name for path in (run / "exports").iterdir()} == {
        "cat_dog_classifier.onnx",
        "cat_dog_classifier.onnx.json",
    }


def test_the_bundled_classifier_is_exported_into_the_cache_folder(place, launched):
    app = view("starter", "litert")
    app.toggle[0].set_value(True).run()
    button(app, "Write it as LiteRT").click().run()
    wanted = Wanted("starter", "litert", True)
    assert export_jobs.newest_job(wanted).folder == launched[0]
    assert export_jobs.newest_job(Wanted("starter", "litert", False)) is None
    assert wanted.file == place / "cache" / "exports" / "cat_dog_classifier_int8.tflite"
    assert "Starting ..." in texts(app).replace("\\", "")
    button(app, "Stop").click().run()
    assert button(app, "Stopping").disabled


def test_quantizing_is_offered_for_litert_alone(place):
    assert len(view("starter", "litert").toggle) == 1
    assert len(view("starter", "onnx").toggle) == 0


def test_a_saved_model_is_packed_into_a_file_that_unpacks_to_one_folder(run, launched, tmp_path):
    wanted = Wanted(str(run), "savedmodel", False)
    assert find_export(wanted) is None
    work(wanted)
    assert {path.name for path in wanted.folder.iterdir()} == {
        "cat_dog_classifier_savedmodel.zip",
        "cat_dog_classifier_savedmodel.zip.json",
    }
    with zipfile.ZipFile(find_export(wanted).file) as archive:
        archive.extractall(tmp_path / "new")
    classifier = tf.saved_model.load(str(tmp_path / "new" / "cat_dog_classifier_savedmodel"))
    answer = classifier.serve(np.zeros((1, 64, 64, 3), np.uint8))["probabilities"].numpy()
    assert answer.sum() == pytest.approx(1, abs=1e-5)
    app = view(run, "savedmodel")
    assert "unpack it and `pip install tensorflow pillow`" in texts(app)
    assert "tf.saved_model.load('cat_dog_classifier_savedmodel')" in app.code[0].value


def test_an_export_is_made_once_and_anew_for_another_classifier(run, launched):
    wanted = Wanted(str(run), "h5", False)
    work(wanted)
    first = wanted.file.stat().st_mtime_ns
    work(wanted)
    assert wanted.file.stat().st_mtime_ns == first
    os.utime(wanted.file, (0, 0))
    assert find_export(wanted) is None
    assert button(view(run, "h5"), "Write it as HDF5")
    work(wanted)
    assert find_export(wanted)


@pytest.mark.parametrize(
    "damage",
    [
        {"largest_difference": "0"},
        {"largest_difference": 1e300},
        {"accuracy": {"original": 2, "export": 0}},
        {"accuracy": [1]},
        {"photos_compared": None},
    ],
)
def test_a_damaged_record_counts_as_none(run, launched, damage):
    wanted = Wanted(str(run), "keras", False)
    wanted.folder.mkdir()
    shutil.copy(run / "cat_dog_classifier.keras", wanted.file)
    good = {"photos_compared": 16, "largest_difference": 0.0, "accuracy": None}
    wanted.record.write_text(json.dumps(good))
    assert find_export(wanted)
    wanted.record.write_text(json.dumps(good | damage))
    assert find_export(wanted) is None
    assert button(view(run), "Write it as Keras")


def test_why_an_export_failed_is_said_and_it_can_be_tried_again(run, launched, monkeypatch):
    def fail(*_):
        raise Failed("The keras export was *not* kept.")

    monkeypatch.setattr(making, "export_classifier", fail)
    with pytest.raises(Failed):
        work(Wanted(str(run), "keras", False))
    app = view(run)
    assert r"The keras export was \*not\* kept" in app.warning[0].value
    button(app, "Write it as Keras").click().run()
    assert len(launched) == 2


def test_a_stopped_export_leaves_nothing(run, launched):
    wanted = Wanted(str(run), "keras", False)
    folder = queued(wanted)
    jobs.stop(folder)
    with pytest.raises(Stopped):
        making.make(TrainConfig(), Run(folder))
    assert read_status(folder)["message"] == "Stopped before it was made."
    assert list(wanted.folder.iterdir()) == []


def test_what_a_killed_process_left_is_not_in_the_way(run, launched):
    wanted = Wanted(str(run), "savedmodel", False)
    wanted.made.mkdir(parents=True)
    (wanted.made / "saved_model.pb").write_text("half")
    wanted.file.write_text("half")
    work(wanted)
    assert zipfile.is_zipfile(find_export(wanted).file)


def test_a_damaged_wish_is_refused(run, launched):
    folder = queued(Wanted(str(run), "keras", False))
    (folder / "config.json").write_text(json.dumps({"task": "export", "export": {"source": "x"}}))
    with pytest.raises(Refused, match=r"config\.json is damaged: start the export once more"):
        making.make(TrainConfig(), Run(folder))
    assert read_status(folder)["state"] == "failed"


def test_what_a_format_lacks_is_said_instead_of_a_button(place, monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    app = view("starter", "onnx")
    assert "needs onnx, which is not installed: pip install" in app.info[0].value.replace("\\", "")
    assert len(app.button) == 0


def test_an_export_waits_in_line_and_is_no_run(run, launched):
    folder = queued(Wanted(str(run), "onnx", False))
    assert Run(folder).queue_folder == run.parent
    assert trials.task_of(folder) == "export"
    assert export_jobs.wanted_in(folder) == asdict(Wanted(str(run), "onnx", False))
    assert [job.folder for job in jobs.list_jobs()] == [run]
    assert trials.newest("rates", TrainConfig()) is None
    assert trials.task_of(create_run(TrainConfig()).folder) == "train"
