"""What is promised of real photos: the folder that CATDOG_SHARED names holds photos, photos_original and weights."""

import csv
import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers.made_models import PLAIN_KERAS
from helpers.processes import one_json_object, run_python
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

from catdog.__main__ import main
from catdog.classifier.heatmaps import difference_maps
from catdog.classifier.loading import load_classifier
from catdog.exports.formats import FORMATS, file_name, snippet
from catdog.exports.making import export_classifier
from catdog.exports.round_trips import LOADERS, in_batches
from catdog.photos.photo_sets import photos_below
from catdog.photos.reading import read_photo
from catdog.results.report_files import read_report
from catdog.runs.events import read_events

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


def test_the_reports_figures_are_those_of_scikit_learn_on_real_predictions(starter_run):
    report = read_report(starter_run)
    with (starter_run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    written = np.array([[row["probability_cats"], row["probability_dogs"]] for row in rows], np.float32)
    probabilities = written.astype(float) / written.sum(axis=1, keepdims=True, dtype=float)
    labels = np.array([["cats", "dogs"].index(row["class"]) for row in rows])
    given = probabilities.argmax(axis=1)
    precision, recall, _, support = precision_recall_fscore_support(labels, given)
    assert report["accuracy"] == accuracy_score(labels, given)
    assert report["confusion"] == confusion_matrix(labels, given).tolist()
    assert report["loss"] == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
    assert [each["photos"] for each in report["classes"]] == support.tolist()
    assert [each["precision"] for each in report["classes"]] == pytest.approx(precision)
    assert [each["recall"] for each in report["classes"]] == pytest.approx(recall)
    assert len(report["mistakes"]) == (given != labels).sum()
    for point in report["answered"]:
        answered = written.max(axis=1) >= np.float32(point["threshold"])
        assert point["share"] == pytest.approx(answered.mean())
        assert point["accuracy"] == pytest.approx(accuracy_score(labels[answered], given[answered]))
    for label, counts in enumerate(report["histogram"]["counts"]):
        own = written[labels == label, label]
        assert counts == np.histogram(own, report["histogram"]["edges"])[0].tolist()
        assert sum(counts[:10]) == (own < 0.5).sum()
    calibration = report["calibration"]
    assert calibration["after"]["error"] <= calibration["before"]["error"]
    assert calibration["after"]["loss"] <= calibration["before"]["loss"]
    assert (starter_run / "report.html").stat().st_size < 5_000_000


def test_maps_add_up_to_the_difference_of_the_logits_for_fifty_photos(shared, starter_run):
    classifier = load_classifier(starter_run)
    pixels = np.stack([read_photo(path, 224) for path in photos_below(shared / "photos" / "validation")[::20]])
    assert len(pixels) == 50
    weights, bias = classifier.head()
    logits = keras.Model(classifier.model.inputs[0], classifier.model.get_layer("logits").output)(pixels).numpy()
    given, rows = logits.argmax(axis=1), np.arange(50)
    maps = difference_maps(classifier.feature_maps(pixels), weights, given, 1 - given)
    expected = (logits - bias)[rows, given] - (logits - bias)[rows, 1 - given]
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), expected, rtol=1e-4, atol=1e-4)


def test_swapped_labels_are_among_the_first_listed(shared, tmp_path):
    chance = np.random.default_rng(0)
    swapped = set()
    for class_name, other in (("cats", "dogs"), ("dogs", "cats")):
        paths = photos_below(shared / "photos" / "train" / class_name)[:500]
        wrong = set(chance.choice(len(paths), 10, replace=False).tolist())
        for number, path in enumerate(paths):
            target = tmp_path / "photos" / (other if number in wrong else class_name) / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            swapped |= {str(target)} if number in wrong else set()
    weights = shared / "weights" / "resnet50_imagenet.keras"
    flags = ["--backbone", str(weights), "--head-epochs", "1", "--out", str(tmp_path / "run")]
    assert main(["train", str(tmp_path / "photos"), *flags]) == 0
    listed = [each["path"] for each in read_report(tmp_path / "run")["wrong_labels"]["found"]]
    assert len(swapped & set(listed[:30])) >= 17


@pytest.mark.parametrize(("format_name", "quantize"), [*((name, False) for name in FORMATS), ("litert", True)])
def test_every_export_answers_as_its_classifier_on_real_photos(shared, starter_run, tmp_path, format_name, quantize):
    tolerance = 0.05 if quantize else 0.005
    export = export_classifier(starter_run, format_name, tmp_path / file_name(format_name, quantize), quantize)
    assert export.photos_compared == 200
    assert export.largest_difference <= tolerance
    assert export.accuracy["export"] == pytest.approx(export.accuracy["original"], abs=0.005 if quantize else 0)
    # Other photos than those on which it was compared before it was kept.
    paths = photos_below(shared / "photos" / "train")[::10]
    pixels = np.stack([read_photo(path, 224) for path in paths])
    expected = in_batches(load_classifier(starter_run).probabilities, pixels)
    found = in_batches(LOADERS[format_name](Path(export.file)), pixels)
    assert len(paths) == 200
    assert np.abs(found - expected).max() <= tolerance
    clear = np.abs(expected[:, 0] - 0.5) > tolerance
    np.testing.assert_array_equal(found.argmax(axis=1)[clear], expected.argmax(axis=1)[clear])
    photo = photos_below(shared / "photos_original")[7]
    done = run_python("-c", snippet(format_name, export.file, str(photo)), cwd=tmp_path, PYTHONPATH="")
    (answer,) = load_classifier(starter_run).classify([photo])
    assert json.loads(done.stdout.replace("'", '"')) == pytest.approx(answer.probabilities, abs=tolerance)
