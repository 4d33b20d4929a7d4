"""Whole runs on drawings: both phases, every setting, stopping, resuming, and what is left in the folder."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers.processes import run_python
from helpers.trained_runs import small_config
from PIL import Image

from catdog.errors import Failed, Refused, Stopped
from catdog.files.json_files import read_json
from catdog.learning import training
from catdog.learning.training import train
from catdog.network import activations
from catdog.photos.photo_sets import find_photo_set, photos_below
from catdog.photos.problems import check_photos
from catdog.runs.events import read_events
from catdog.runs.run_folder import create_run, read_status, reopen_run
from catdog.settings import STAGES


def events_of(folder: Path, kind: str) -> list[dict]:
    """A run's events of a kind."""
    return [event for event in read_events(folder)[0] if event["event"] == kind]


def copy_photos(drawings: Path, folder: Path, layout: dict[str, str]) -> list[Path]:
    """Copy folders of the drawings under other names; gives the copies."""
    for source, target in layout.items():
        shutil.copytree(drawings / source, folder / target)
    return [folder / target for target in layout.values()]


def test_a_run_leaves_what_the_design_says(trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "config.json",
        "events.jsonl",
        "status.json",
        "cat_dog_classifier.keras",
        "cat_dog_classifier.h5",
        "classifier.json",
        "report.json",
        "heatmaps.npz",
        "report.html",
        "predictions.csv",
        "reference.npz",
        "log.txt",
    }
    assert read_status(trained)["state"] == "done"
    config = read_json(trained / "config.json")
    assert config["class_names"] == ["cats", "dogs"]
    assert config["photos"]["counts"]["train"] == {"cats": 24, "dogs": 24}
    assert len(config["photos"]["digest"]) == len(config["backbone"]["digest"]) == 64
    described = read_json(trained / "classifier.json")
    assert described["format"] == 1
    assert described["image_size"] == 64
    assert described["metrics"]["accuracy"] == read_json(trained / "report.json")["accuracy"]


def test_events_tell_the_whole_run(trained):
    phases = [event["phase"] for event in events_of(trained, "phase")]
    assert phases == ["photos", "features", "head", "fine-tune", "evaluation"]
    assert events_of(trained, "progress")[-1]["done"] == 64
    epochs = events_of(trained, "epoch")
    assert [(event["phase"], event["epoch"]) for event in epochs] == [
        *(("head", epoch) for epoch in (1, 2, 3)),
        ("fine-tune", 1),
    ]
    best = max(epochs, key=lambda event: (event["val_accuracy"], -event["val_loss"]))
    (result,) = events_of(trained, "result")
    assert result["accuracy"] == best["val_accuracy"]
    # The epoch's loss is that before the temperature.
    report = read_json(trained / "report.json")
    assert report["calibration"]["before"]["loss"] == pytest.approx(best["val_loss"])
    assert result["loss"] == report["loss"]
    assert result["epochs"] == 4
    assert result["photos"] == {"train": 48, "validation": 16, "left_out": 0}


def test_only_the_frozen_stays_and_batch_normalization_never_changes(drawings, tmp_path):
    config = small_config(
        drawings, head_epochs=1, fine_tune_epochs=1, fine_tune_learning_rate=0.003, freeze_depth="none"
    )
    run = create_run(config, tmp_path / "run")
    after = {}

    def look(event):
        # The best epoch may be the head's, so what fine-tuning did is looked at before it is put back.
        if event["event"] == "epoch" and event["phase"] == "fine-tune":
            with np.load(run.checkpoint_folder / "last.npz") as file:
                after.update(file)

    run.listen = look
    train(config, run)
    original = {variable.path: variable.numpy() for variable in keras.models.load_model(config.backbone).variables}
    learned = {name: value for name, value in after.items() if name in original}
    batch_normalization = {name for name in original if "_bn/" in name}
    assert learned.keys() == original.keys() - batch_normalization
    assert [name for name, value in learned.items() if (value == original[name]).all()] == []
    saved = keras.models.load_model(run.folder / "cat_dog_classifier.keras")
    now = {variable.path: variable.numpy() for variable in saved.variables}
    assert [name for name in batch_normalization if (now[name] != original[name]).any()] == []


@pytest.mark.parametrize("freeze_depth", STAGES)
def test_every_freeze_depth_trains_only_what_comes_after(drawings, tmp_path, freeze_depth):
    config = small_config(drawings, head_epochs=1, fine_tune_epochs=1, freeze_depth=freeze_depth)
    run = create_run(config, tmp_path / "run")
    learned = set()

    def look(event):
        if event["event"] == "epoch" and event["phase"] == "fine-tune":
            with np.load(run.checkpoint_folder / "last.npz") as file:
                learned.update(name.split("_")[0].split("/")[0] for name in file if "/" in name)

    run.listen = look
    train(config, run)
    after = STAGES[STAGES.index(freeze_depth) + 1 :]
    assert learned - {"fine", "optimizer"} == {*after, "logits"}


@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16"])
def test_without_room_activations_are_computed_anew_to_the_same_end(drawings, tmp_path, monkeypatch, arithmetic):
    # Where the processor hasn't got bfloat16, TensorFlow passes over the switch.
    monkeypatch.setattr(training, "processor_has_bfloat16", lambda: True)
    monkeypatch.setattr(activations, "choose_arithmetic", lambda *arguments: arithmetic)
    config = small_config(drawings, fine_tune_epochs=1, fine_tune_learning_rate=0.0001, head_epochs=1)
    kept = train(config, tmp_path / "kept")
    monkeypatch.setattr(training, "make_room", lambda needed, parent: False)
    anew = train(config, tmp_path / "anew")
    notes = [note["message"] for note in events_of(tmp_path / "anew", "note")]
    assert [note.split(" of ")[1] for note in notes] == [
        "activations, so each epoch computes them anew.",
        "features, so the next run computes them anew.",
    ]
    assert kept["accuracy"] == anew["accuracy"]
    assert kept["loss"] == pytest.approx(anew["loss"], abs=0.002)
    last = [events_of(tmp_path / name, "epoch")[-1] for name in ("kept", "anew")]
    assert last[0]["val_loss"] == pytest.approx(last[1]["val_loss"], abs=0.002)


def test_mirroring_shows_two_views(drawings, tmp_path, monkeypatch):
    seen = []
    load = activations.KeptActivations.load

    def watch(self, indices, views):
        seen.append((len(self.views), set(views.tolist())))
        return load(self, indices, views)

    monkeypatch.setattr(activations.KeptActivations, "load", watch)
    plain = train(small_config(drawings), tmp_path / "plain")
    assert {arrays for arrays, _ in seen} == {1}
    mirrored = train(small_config(drawings, augment="mirror"), tmp_path / "mirrored")
    assert set.union(*(views for arrays, views in seen if arrays == 2)) == {0, 1}
    assert plain["loss"] != mirrored["loss"]


def test_two_processes_with_one_seed_write_the_same_predictions(drawings, tmp_path):
    config = small_config(drawings, fine_tune_epochs=1, batch_size=32)
    flags = ["--backbone", config.backbone, "--image-size", "32", "--head-epochs", "2", "--fine-tune-epochs", "1"]
    for name in ("a", "b"):
        done = run_python(
            "-m", "catdog", "train", str(drawings), *flags, "--seed", "3", "--out", str(tmp_path / name), cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    train(replace(config, seed=4), tmp_path / "c")
    first, second, other = ((tmp_path / name / "predictions.csv").read_bytes() for name in "abc")
    assert first == second
    assert first != other


TO_BE_STOPPED = {"head_epochs": 3, "fine_tune_epochs": 2, "fine_tune_learning_rate": 0.001}


@pytest.fixture(scope="module")
def undisturbed(drawings, tmp_path_factory) -> dict:
    """The result of a run that nobody stopped."""
    return train(small_config(drawings, **TO_BE_STOPPED), tmp_path_factory.mktemp("undisturbed") / "run")


@pytest.mark.parametrize(("phase", "epoch", "epochs"), [("head", 2, 2), ("fine-tune", 1, 4)])
def test_a_stopped_run_keeps_its_best_and_resumes_to_the_same_end(
    drawings, undisturbed, tmp_path, phase, epoch, epochs
):
    config = small_config(drawings, **TO_BE_STOPPED)
    run = create_run(config, tmp_path / "stopped")

    def listen(event):
        if event["event"] == "epoch" and (event["phase"], event["epoch"]) == (phase, epoch):
            (run.folder / "stop").touch()

    run.listen = listen
    result = train(config, run)
    assert result["epochs"] == epochs
    assert read_status(run.folder)["state"] == "stopped"
    assert (run.folder / "cat_dog_classifier.keras").exists()

    resumed, config_again = reopen_run(run.folder)
    assert config_again == config
    result = train(config_again, resumed)
    assert read_status(run.folder)["state"] == "done"
    assert not run.checkpoint_folder.exists()
    assert {**result, "run": 0, "files": 0, "seconds": 0} == {**undisturbed, "run": 0, "files": 0, "seconds": 0}
    same = [(folder / "predictions.csv").read_bytes() for folder in (run.folder, Path(undisturbed["run"]))]
    assert same[0] == same[1]


def test_a_run_stopped_before_its_first_epoch_says_so(drawings, tmp_path):
    run = create_run(small_config(drawings), tmp_path / "run")
    run.asked_to_stop.set()
    with pytest.raises(Stopped, match="nothing to keep yet"):
        train(small_config(drawings), run)
    assert read_status(run.folder)["state"] == "stopped"


def test_a_diverging_run_fails_in_a_sentence_and_keeps_the_best(drawings, tmp_path):
    config = small_config(
        drawings,
        backbone="starter",
        fine_tune_epochs=5,
        fine_tune_learning_rate=1.0,
        freeze_depth="conv2",
        image_size=32,
    )
    with pytest.raises(Failed, match="no longer a number in fine-tuning epoch") as caught:
        train(config, tmp_path / "run")
    assert "The best epoch before that was kept in" in str(caught.value)
    assert read_status(tmp_path / "run")["state"] == "failed"
    assert events_of(tmp_path / "run", "error")[0]["message"] == str(caught.value)
    assert events_of(tmp_path / "run", "result")[0]["accuracy"] >= 0.5
    assert (tmp_path / "run" / "cat_dog_classifier.keras").exists()


def test_resuming_with_other_photos_is_refused(drawings, tmp_path):
    (photos,) = copy_photos(drawings, tmp_path, {".": "photos"})
    config = small_config(photos, head_epochs=2)
    run = create_run(config, tmp_path / "run")
    run.listen = lambda event: event["event"] == "epoch" and run.asked_to_stop.set()
    train(config, run)
    Image.new("RGB", (50, 50)).save(photos / "train" / "cats" / "new.png")
    resumed, config = reopen_run(run.folder)
    with pytest.raises(Refused, match="photos are not what the run began with"):
        train(config, resumed)


def test_odd_folders_are_trained_through(drawings, tmp_path):
    """Three classes, `val`, odd names and endings, and photos that can't be read, all in one folder."""
    cats, dogs = drawings / "train" / "cats", drawings / "train" / "dogs"
    data = tmp_path / "Fotos mit Möwen"
    for split in ("train", "val"):
        shutil.copytree(cats, data / split / "Große Katzen")
        shutil.copytree(dogs, data / split / "dogs")
        (data / split / "箱").mkdir()
        for number in range(4):
            colour = (60 * number, 200, 255 - 60 * number)
            Image.new("RGB", (80, 60), colour).save(data / split / "箱" / f"box {number}.PNG")
    train_dogs = data / "train" / "dogs"
    whole = (train_dogs / "dog_001.jpg").read_bytes()
    (train_dogs / "cut off.jpg").write_bytes(whole[: len(whole) // 2])
    (train_dogs / "letter.jpg").write_text("Dear dog, ")
    (train_dogs / "readme.txt").write_text("not a photo, and not named like one")
    Image.new("RGB", (40, 40)).save(train_dogs / "really a png.jpg", format="PNG")
    rotated = Image.new("RGB", (90, 40))
    exif = rotated.getexif()
    exif[0x0112] = 6
    rotated.save(train_dogs / "phone.JPEG", exif=exif)

    result = train(small_config(data), tmp_path / "run")
    assert result["class_names"] == ["Große Katzen", "dogs", "箱"]
    assert result["photos"] == {"train": 24 + 24 + 4 + 2, "validation": 24 + 24 + 4, "left_out": 2}
    left_out = read_json(tmp_path / "run" / "config.json")["photos"]["left_out"]
    assert {Path(each["path"]).name for each in left_out} == {"cut off.jpg", "letter.jpg"}
    assert all(each["reason"] for each in left_out)
    report = read_json(tmp_path / "run" / "report.json")
    assert np.array(report["confusion"]).shape == (3, 3)
    assert np.array(report["confusion"]).sum() == 52


def test_a_class_without_a_readable_validation_photo_is_refused(drawings, tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    photos = tmp_path / "photos"
    shutil.copytree(drawings, photos)
    dogs = sorted((photos / "validation" / "dogs").iterdir())
    for path in dogs[1:]:
        path.write_text("no photo")
    # The first one passes the quick look that comes before any work, and has gone when its turn comes.
    run = create_run(small_config(photos), tmp_path / "run")
    run.listen = lambda event: event.get("phase") == "features" and dogs[0].write_text("no photo either")
    with pytest.raises(Refused, match="No validation photo of the class dogs can be read"):
        train(small_config(photos), run)


def predictions_of(folder: Path) -> tuple[list[str], list[float]]:
    """The labels and the probabilities of cats in a run's predictions."""
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["label"] for row in rows], [float(row["probability_cats"]) for row in rows]


def test_what_other_photo_sets_left_in_the_cache_makes_no_difference(drawings, tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cold"))
    train(small_config(drawings), tmp_path / "from cold")
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "warm"))
    some = tmp_path / "some"
    shutil.copytree(drawings, some)
    for path in sorted((some / "train").rglob("*.jpg"))[::3]:
        path.unlink()
    train(small_config(some), tmp_path / "filling")
    train(small_config(drawings), tmp_path / "from warm")
    # A photo's features differ in the last digits with the place that it had in its batch.
    (labels, cold), (labels_too, warm) = (predictions_of(tmp_path / name) for name in ("from cold", "from warm"))
    assert labels == labels_too
    assert cold == pytest.approx(warm, abs=1e-5)


def test_left_out_test_photos_are_listed_by_name(drawings, tmp_path):
    copy_photos(drawings, tmp_path / "data", {"train": "train", "validation": "validation"})
    copy_photos(drawings, tmp_path / "data", {"validation": "test"})
    (tmp_path / "data" / "test" / "cats" / "letter.jpg").write_text("Dear cat, ")
    train(small_config(tmp_path / "data"), tmp_path / "run")
    (left_out,) = read_json(tmp_path / "run" / "config.json")["photos"]["left_out"]
    assert Path(left_out["path"]).name == "letter.jpg"


def test_a_flat_folder_is_split_and_trained(drawings, tmp_path):
    result = train(small_config(drawings / "train"), tmp_path / "run")
    assert result["photos"] == {"train": 38, "validation": 10, "left_out": 0}


def test_copies_are_on_one_side_of_the_split_that_is_drawn_as_check_and_page_say(drawings, tmp_path):
    flat = shutil.copytree(drawings / "train", tmp_path / "flat")
    for path in photos_below(flat):
        with Image.open(path) as picture:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path.with_name(f"mirrored {path.name}"))
    drawn = {photo.path for photo in find_photo_set(flat).splits["validation"]}
    assert any(path.with_name(f"mirrored {path.name}") not in drawn for path in drawn)
    train(small_config(flat, head_epochs=1), tmp_path / "run")
    with (tmp_path / "run" / "predictions.csv").open(newline="") as file:
        validated = {Path(row["path"]) for row in csv.DictReader(file)}
    names = {path.name for path in validated}
    assert {name.removeprefix("mirrored ") for name in names} | {
        f"mirrored {name.removeprefix('mirrored ')}" for name in names
    } == names
    assert 18 <= len(validated) <= 20
    photo_set, problems = check_photos(find_photo_set(flat), seed=0)
    assert {photo.path for photo in photo_set.splits["validation"]} == validated
    assert {problem.kind for problem in problems} == {"near-duplicate"}


def test_figures_come_from_test_photos_where_there_are_some(drawings, tmp_path):
    copy_photos(drawings, tmp_path / "data", {"train": "train", "validation": "validation"})
    copy_photos(drawings, tmp_path / "data", {"validation": "test"})
    broken = tmp_path / "data" / "test" / "cats" / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    result = train(small_config(tmp_path / "data"), tmp_path / "run")
    report = read_json(tmp_path / "run" / "report.json")
    assert report["split"] == "test"
    assert report["photos"] == 16
    assert result["photos"]["left_out"] == 1
    (epoch,) = [event for event in events_of(tmp_path / "run", "epoch") if event["best"]][-1:]
    # Here the test photos are the validation photos again, so both ways of computing must agree.
    assert report["calibration"]["judged_on"] == "test"
    assert report["calibration"]["before"]["loss"] == pytest.approx(epoch["val_loss"], abs=1e-4)
    lines = (tmp_path / "run" / "predictions.csv").read_text().splitlines()
    assert len(lines) == 17
    assert "/test/" in lines[1]


def test_what_a_run_is_made_of_reads_back(trained):
    settings = json.loads((trained / "config.json").read_text())["settings"]
    assert settings["fine_tune_epochs"] == 1
    assert settings["backbone"] == "starter"
