"""The command line as people type it: what it prints where, and its exit status."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.http_server import clear_proxies, closed_port
from helpers.places import REPOSITORY
from helpers.processes import one_json_object, run_python
from helpers.trained_runs import small_config, small_flags, tiny_backbone

from catdog.__main__ import main
from catdog.learning.training import train
from catdog.photos.photo_sets import photos_below
from catdog.runs.events import read_events
from catdog.runs.run_folder import create_run, read_config, read_status


@pytest.fixture
def no_photos(tmp_path):
    """A folder with one class folder, empty."""
    (tmp_path / "empty" / "cats").mkdir(parents=True)
    return tmp_path / "empty"


WRONG = {
    "no command": ([], "COMMAND"),
    "unknown command": (["bogus"], "bogus"),
    "no data": (["train"], "DATA"),
    "missing folder": (["train", "nowhere"], "There is no folder nowhere"),
    "one class alone": (["train", "EMPTY"], "one class alone"),
    "unknown flag": (["train", "DRAWINGS", "--nope"], "--nope"),
    "shortened flag": (["train", "DRAWINGS", "--head-e", "3"], "--head-e"),
    "image size": (["train", "DRAWINGS", "--image-size", "7"], "from 32 to 512, not '7'"),
    "batch size": (["train", "DRAWINGS", "--batch-size", "0"], "from 1 to 512"),
    "epochs": (["train", "DRAWINGS", "--head-epochs", "many"], "whole number"),
    "half an epoch": (["train", "DRAWINGS", "--head-epochs", "1.5"], "whole number"),
    "fine-tuning epochs": (["train", "DRAWINGS", "--fine-tune-epochs", "-1"], "from 0 to 1000"),
    "learning rate": (["train", "DRAWINGS", "--head-learning-rate", "nan"], "a number from"),
    "fine-tuning rate": (["train", "DRAWINGS", "--fine-tune-learning-rate", "2"], "a number from"),
    "freeze depth": (["train", "DRAWINGS", "--freeze-depth", "conv6"], "one of none, conv1"),
    "augmentation": (["train", "DRAWINGS", "--augment", "spin"], "one of none, mirror"),
    "seed": (["train", "DRAWINGS", "--seed", "-1"], "from 0 to"),
    "no list of photos": (["train", "DRAWINGS", "--leave-out", "nofile"], "the file nofile can't be read"),
    "a list of other things": (["train", "DRAWINGS", "--leave-out", __file__], "is not among the photos"),
    "no list of labels": (["train", "DRAWINGS", "--relabel", "nofile"], "the file nofile can't be read"),
    "labels of other things": (
        ["train", "DRAWINGS", "--relabel", str(REPOSITORY / ".gitignore")],
        "each with a class, not",
    ),
    "labels in no table": (["train", "DRAWINGS", "--relabel", __file__], "can't be read as CSV"),
    "value missing": (["train", "DRAWINGS", "--seed"], "--seed"),
    "backbone": (["train", "DRAWINGS", "--backbone", "nofile"], "There is no backbone nofile"),
    "backbone of another kind": (["train", "DRAWINGS", "--backbone", __file__, "--out", "new/run"], "can load"),
    "out is not empty": (["train", "DRAWINGS", "--out", "DRAWINGS"], "is not empty"),
    "resume without out": (["train", "DRAWINGS", "--resume"], "--resume needs --out"),
    "nothing to resume": (["train", "DRAWINGS", "--resume", "--out", "nowhere"], "no run in nowhere"),
    "no model": (["classify", "nowhere", "DRAWINGS"], "There is no classifier nowhere"),
    "no photos named": (["classify", "starter"], "PHOTO_OR_FOLDER"),
    "missing photo": (["classify", "starter", "nowhere.jpg"], "There is no photo or folder nowhere.jpg"),
    "folder without photos": (["classify", "starter", "EMPTY"], "There are no photos in"),
    "csv in no folder": (["classify", "starter", "DRAWINGS", "--csv", "nowhere/x.csv"], "can't be written"),
    "evaluate nothing": (["evaluate", "starter", "nowhere"], "There is no folder nowhere"),
    "report of no run": (["report", "nowhere"], "There is no run in nowhere"),
    "report of no result": (["report", "EMPTY"], "There is no run in"),
    "check nothing": (["check", "nowhere"], "There is no folder nowhere"),
    "other samples": (["samples", "songs", "x"], "songs"),
    "samples over something": (["samples", "drawings", "DRAWINGS"], "isn't an empty folder"),
}


@pytest.mark.parametrize(("arguments", "telling"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_sentence_with_status_2(
    arguments, telling, drawings, no_photos, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    places = {"DRAWINGS": str(drawings), "EMPTY": str(no_photos)}
    assert main([places.get(argument, argument) for argument in arguments]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    *progress, sentence = printed.err.splitlines()
    assert telling in sentence
    assert sentence.endswith(".")
    # What can only be refused once the backbone is opened comes after a first line of progress.
    assert progress in ([], ["Looking through the photos ..."])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_list_of_labels_has_whole_quotes_and_may_have_blank_lines(drawings, tmp_path, capfd):
    listed = tmp_path / "list.csv"
    path = photos_below(drawings / "train/cats")[0].relative_to(drawings)
    listed.write_text(f'\n"{path}",dogs\r\n  \n')
    assert main(["check", str(drawings), "--relabel", str(listed), "--json"]) == 0
    assert one_json_object(capfd.readouterr().out)["photos"]["train"] == {"cats": 23, "dogs": 25}
    listed.write_text(f'{path},"dogs')
    assert main(["check", str(drawings), "--relabel", str(listed)]) == 2
    assert "can't be read as CSV (unexpected end of data)" in capfd.readouterr().err


def test_the_module_trains_and_prints_one_object(drawings, tmp_path):
    done = run_python(
        "-m", "catdog", "train", str(drawings), *small_flags(), "--out", "out/run", "--json", cwd=tmp_path
    )
    assert done.returncode == 0
    result = one_json_object(done.stdout)
    assert set(result) == {
        *("run", "files", "backbone", "freeze_depth", "class_names", "photos", "accuracy", "loss", "epochs", "seconds")
    }
    assert result["run"] == "out/run"
    assert (tmp_path / result["files"]["h5"]).is_file()
    assert (tmp_path / result["files"]["keras"]).is_file()
    lines = done.stderr.splitlines()
    assert lines[0] == "Looking through the photos ..."
    assert sum(line.startswith("Head epoch") for line in lines) == 3
    assert not [line for line in lines if "WARNING" in line or "cudart" in line]


def test_the_script_writes_the_h5_into_the_working_folder(drawings, tmp_path):
    shutil.copytree(drawings, tmp_path / "data")
    done = run_python(str(REPOSITORY / "cat_dog_classifier.py"), *small_flags(), "--json", cwd=tmp_path)
    result = one_json_object(done.stdout)
    written = tmp_path / "cat_dog_classifier.h5"
    assert written.read_bytes() == (tmp_path / result["files"]["h5"]).read_bytes()
    assert Path(result["run"]).parent == Path("runs")


def test_the_script_without_data_says_what_it_needs(tmp_path):
    done = run_python(str(REPOSITORY / "cat_dog_classifier.py"), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "There is no folder data.\n"


@pytest.mark.lowest
def test_classify_prints_json_and_csv_in_sorted_order(trained, drawings, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(drawings / "validation", "photos")
    Path("photos/dogs/broken.jpg").write_text("no photo")
    Path("photos/readme.txt").write_text("ignored")
    assert main(["classify", str(trained), "./photos", "--json", "--csv", "answers.csv"]) == 0
    answers = one_json_object(capfd.readouterr().out)
    paths = [photo["path"] for photo in answers["photos"]]
    assert paths == sorted(paths)
    assert len(paths) == 17
    assert all(path.startswith("./photos/") for path in paths)
    assert answers["model"] == str(trained)
    for photo in answers["photos"]:
        assert set(photo) == {"path", "label", "probabilities", "verdict", "error"}
        if photo["path"].endswith("broken.jpg"):
            assert photo["error"].endswith("it is a text file, not a photo.")
            assert photo["label"] is photo["verdict"] is photo["probabilities"] is None
        else:
            assert photo["error"] is None
            label, highest = max(photo["probabilities"].items(), key=lambda pair: pair[1])
            assert photo["label"] == label
            assert photo["verdict"] in ((label, "neither") if highest >= 0.8 else ("unsure", "neither"))
    with Path("answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "verdict", "probability_cats", "probability_dogs", "error"]
    assert [row["path"] for row in rows] == paths
    assert [row["label"] or None for row in rows] == [photo["label"] for photo in answers["photos"]]


def test_one_photo_gets_one_probability_everywhere(trained, drawings, capfd):
    assert main(["evaluate", str(trained), str(drawings), "--json"]) == 0
    figures = one_json_object(capfd.readouterr().out)
    report = json.loads((trained / "report.json").read_text())
    assert figures == {"model": str(trained)} | {
        key: pytest.approx(report[key], abs=1e-4) for key in ("accuracy", "loss", "photos")
    } | {"confusion": report["confusion"]}


def test_evaluate_names_what_it_left_out(trained, drawings, tmp_path, capfd):
    shutil.copytree(drawings / "validation", tmp_path / "flat")
    (tmp_path / "flat" / "cats" / "zero.jpg").touch()
    assert main(["evaluate", str(trained), str(tmp_path / "flat")]) == 0
    printed = capfd.readouterr()
    assert "on 16 photos." in printed.out
    assert printed.err.endswith("zero.jpg: the file is empty.\n")


def test_photos_are_left_out_of_training_and_of_the_resumed_run(drawings, tmp_path, capfd):
    listed, other = tmp_path / "list.txt", tmp_path / "other.txt"
    unwanted = [path.relative_to(drawings).as_posix() for path in photos_below(drawings / "train")[:3]]
    listed.write_text("\n".join(["", f"./{unwanted[1]}", unwanted[0], unwanted[2], unwanted[0]]), encoding="utf-8-sig")
    other.write_text(unwanted[0])
    run = tmp_path / "run"
    flags = ["train", str(drawings), *small_flags(), "--leave-out", str(listed)]
    assert main([*flags, "--out", str(run), "--json"]) == 0
    assert one_json_object(capfd.readouterr().out)["photos"]["train"] == 45
    config = json.loads((run / "config.json").read_text())
    assert config["settings"]["leave_out"] == unwanted
    assert config["photos"]["counts"]["train"] == {"cats": 21, "dogs": 24}
    assert all((drawings / path).exists() for path in unwanted)

    stopped = create_run(read_config(run), tmp_path / "stopped")
    stopped.set_state("stopped")
    resume = ["train", str(drawings), "--out", str(stopped.folder), "--resume"]
    assert main([*resume, "--leave-out", str(other)]) == 2
    assert "began with another list of photos to leave out" in capfd.readouterr().err
    assert main([*resume, "--json"]) == 0
    assert one_json_object(capfd.readouterr().out)["photos"]["train"] == 45


def test_photos_count_as_another_class_in_training_and_in_the_resumed_run(drawings, tmp_path, capfd):
    listed, other = tmp_path / "list.csv", tmp_path / "other.csv"
    paths = [path.relative_to(drawings).as_posix() for path in photos_below(drawings / "train" / "cats")[:2]]
    listed.write_text(f'\ufeff"{paths[1]}",dogs\r\n\r\n./{paths[0]},dogs\r\n', encoding="utf-8", newline="")
    other.write_text(f"{paths[0]},dogs\n")
    assert main(["check", str(drawings), "--relabel", str(listed), "--json"]) == 0
    assert one_json_object(capfd.readouterr().out)["photos"]["train"] == {"cats": 22, "dogs": 26}
    run = tmp_path / "run"
    assert main(["train", str(drawings), *small_flags(), "--relabel", str(listed), "--out", str(run)]) == 0
    config = json.loads((run / "config.json").read_text())
    assert config["settings"]["relabel"] == [[path, "dogs"] for path in paths]
    assert config["photos"]["counts"]["train"] == {"cats": 22, "dogs": 26}

    stopped = create_run(read_config(run), tmp_path / "stopped")
    stopped.set_state("stopped")
    capfd.readouterr()
    assert main(["train", str(drawings), "--out", str(stopped.folder), "--resume", "--relabel", str(other)]) == 2
    assert "began with another list of photos to relabel than --relabel names." in capfd.readouterr().err


def test_evaluate_refuses_classes_that_the_model_lacks(trained, drawings, tmp_path, capfd):
    shutil.copytree(drawings / "validation" / "cats", tmp_path / "flat" / "lions")
    shutil.copytree(drawings / "validation" / "dogs", tmp_path / "flat" / "dogs")
    assert main(["evaluate", str(trained), str(tmp_path / "flat")]) == 2
    assert "the class lions, but the classifier knows cats and dogs only" in capfd.readouterr().err


def test_check_counts_and_names_problems(drawings, tmp_path, capfd):
    shutil.copytree(drawings, tmp_path / "photos")
    (tmp_path / "photos" / "validation" / "dogs" / "text.jpg").write_text("text")
    assert main(["check", str(tmp_path / "photos"), "--json"]) == 0
    found = one_json_object(capfd.readouterr().out)
    assert found["photos"]["train"] == {"cats": 24, "dogs": 24}
    (problem,) = found["problems"]
    assert problem["kind"] == "unreadable"
    assert [Path(path).name for path in problem["paths"]] == ["text.jpg"]
    assert "text file" in problem["message"]


def test_drawings_can_be_made_and_checked(tmp_path, capfd):
    assert main(["samples", "drawings", str(tmp_path / "new")]) == 0
    assert main(["check", str(tmp_path / "new"), "--json"]) == 0
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["photos"]["train"]["cats"] == found["photos"]["train"]["dogs"] >= 100
    assert found["problems"] == []


def test_tutorial_photos_without_a_network_end_in_a_sentence(tmp_path, monkeypatch, capfd):
    clear_proxies(monkeypatch)
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CATDOG_TUTORIAL_URL", f"http://127.0.0.1:{closed_port()}/photos.zip")
    assert main(["samples", "tutorial", str(tmp_path / "new")]) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("The tutorial's photos could not be downloaded from 127.0.0.1")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_stops_keeps_the_best_and_resuming_ends_it(drawings, tmp_path, monkeypatch, capfd, number):
    flags = ["--backbone", tiny_backbone(), "--image-size", "64", "--head-epochs", "1000", "--out", "run", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "catdog", "train", str(drawings), *flags],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not any(event["event"] == "epoch" for event in read_events(tmp_path / "run")[0]):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 130
    result = one_json_object(printed)
    assert result["epochs"] >= 1
    assert said.splitlines()[-1] == "Stopped; the best epoch was kept."
    assert read_status(tmp_path / "run")["state"] == "stopped"
    assert (tmp_path / "run" / "cat_dog_classifier.h5").is_file()

    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    assert main(["train", str(drawings), "--out", "run", "--resume", "--seed", "5"]) == 2
    assert capfd.readouterr().err == "The run in run began with --seed 0, not 5.\n"


def test_a_stopped_run_is_resumed_to_its_end(drawings, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    run = create_run(small_config(drawings, head_epochs=4), "run")
    run.listen = lambda event: event["event"] == "epoch" and run.asked_to_stop.set()
    train(run_config := small_config(drawings, head_epochs=4), run)
    assert read_status(run.folder)["state"] == "stopped"
    moved = tmp_path / "moved"
    shutil.copytree(drawings, moved)
    assert main(["train", str(moved), "--out", "run", "--resume", "--json"]) == 0
    result = one_json_object(capfd.readouterr().out)
    assert result["epochs"] == run_config.head_epochs
    assert read_status(run.folder)["state"] == "done"
    assert main(["train", str(moved), "--out", "run", "--resume"]) == 2
    assert "is done: there is nothing to resume" in capfd.readouterr().err


def test_two_processes_never_work_on_one_run(drawings, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    run = create_run(small_config(drawings), "run")
    run.set_state("stopped")
    with run.alone():
        assert main(["train", str(drawings), "--out", "run", "--resume"]) == 2
    assert "is running already" in capfd.readouterr().err
    assert read_status(run.folder)["state"] == "stopped"


def test_help_shows_every_setting_with_its_default(capfd):
    with pytest.raises(SystemExit) as left:
        main(["train", "--help"])
    assert left.value.code == 0
    text = " ".join(capfd.readouterr().out.split())
    for words in ("--image-size INT", "Default: 224", "--freeze-depth none|conv1", "Default: conv4", "--resume"):
        assert words in text


def test_looking_and_checking_need_no_tensorflow(drawings, tmp_path):
    code = (
        "import sys; from catdog.__main__ import main; "
        f"main(['check', {str(drawings)!r}]); print('tensorflow' in sys.modules, 'streamlit' in sys.modules)"
    )
    assert run_python("-c", code, cwd=tmp_path).stdout.splitlines()[-1] == "False False"
