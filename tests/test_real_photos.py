"""What is promised of real photos: the folder that CATDOG_SHARED names holds photos, photos_original and weights."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_classifier import PLAIN_KERAS
from trained import one_json_object, run_python

from catdog.__main__ import main
from catdog.photo_sets import photos_below
from catdog.photos import read_photo
from catdog.runs import read_events

pytestmark = pytest.mark.photos


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photos and weights."""
    return Path(os.environ["CATDOG_SHARED"]).absolute()


@pytest.fixture(scope="session")
def starter_run(shared, tmp_path_factory) -> Path:
    """A run of the starter's head on all real training photos."""
    folder = tmp_path_factory.mktemp("real") / "run"
    assert main(["train", str(shared / "photos"), "--backbone", "starter", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def some_photos(shared, tmp_path_factory) -> Path:
    """Every fourth real photo: 500 to train on, 250 to validate with."""
    folder = tmp_path_factory.mktemp("some") / "photos"
    for path in photos_below(shared / "photos")[::4]:
        target = folder / path.relative_to(shared / "photos")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def test_the_starters_head_reaches_its_accuracy(starter_run):
    assert json.loads((starter_run / "report.json").read_text())["accuracy"] >= 0.978


def test_imagenet_reaches_its_accuracy_and_fine_tuning_keeps_it(shared, some_photos, tmp_path):
    weights = shared / "weights" / "resnet50_imagenet.keras"
    flags = ["--backbone", str(weights), "--fine-tune-epochs", "2", "--out", str(tmp_path / "run")]
    assert main(["train", str(some_photos), *flags]) == 0
    epochs = [event for event in read_events(tmp_path / "run")[0] if event["event"] == "epoch"]
    assert max(event["val_accuracy"] for event in epochs if event["phase"] == "head") >= 0.964
    assert epochs[-1]["phase"] == "fine-tune"
    assert epochs[-1]["val_accuracy"] >= 0.964


@pytest.mark.parametrize("folder", ["photos/validation", "photos_original"])
def test_the_bundled_classifier_is_right(shared, folder, capfd):
    assert main(["classify", "starter", str(shared / folder), "--json"]) == 0
    photos = one_json_object(capfd.readouterr().out)["photos"]
    right = [Path(photo["path"]).parent.name == photo["label"] for photo in photos]
    assert len(right) in (1000, 198)
    assert np.mean(right) >= 0.975


@pytest.mark.parametrize("name", ["cat_dog_classifier.keras", "cat_dog_classifier.h5"])
def test_plain_keras_gives_the_same_for_fifty_photos(shared, starter_run, tmp_path, capfd, name):
    paths = photos_below(shared / "photos_original")[::4][:50]
    np.save(tmp_path / "pixels.npy", np.stack([read_photo(path, 224) for path in paths]).astype(np.float32))
    shutil.copy(starter_run / name, tmp_path / name)
    theirs = np.array(json.loads(run_python("-c", PLAIN_KERAS, name, "pixels.npy", cwd=tmp_path, PYTHONPATH="").stdout))
    assert main(["classify", str(starter_run), *map(str, paths), "--json"]) == 0
    photos = one_json_object(capfd.readouterr().out)["photos"]
    ours = [[photo["probabilities"]["cats"], photo["probabilities"]["dogs"]] for photo in photos]
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_one_photo_gets_one_probability_everywhere(shared, starter_run, capfd):
    with (starter_run / "predictions.csv").open(newline="") as file:
        kept = {row["path"]: float(row["probability_cats"]) for row in csv.DictReader(file)}
    assert main(["classify", str(starter_run), str(shared / "photos" / "validation"), "--json"]) == 0
    photos = one_json_object(capfd.readouterr().out)["photos"]
    assert kept.keys() == {photo["path"] for photo in photos}
    differences = [abs(kept[photo["path"]] - photo["probabilities"]["cats"]) for photo in photos]
    assert max(differences) <= 1e-4
    assert main(["evaluate", str(starter_run), str(shared / "photos"), "--json"]) == 0
    figures = one_json_object(capfd.readouterr().out)
    report = json.loads((starter_run / "report.json").read_text())
    assert figures["confusion"] == report["confusion"]
    assert figures["loss"] == pytest.approx(report["loss"], abs=1e-4)
