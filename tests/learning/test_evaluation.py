"""A run's report: against scikit-learn on the run's own predictions, and against the file that was saved."""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

from catdog.classifier.loading import load_classifier
from catdog.learning.evaluation import MOST_MAPS, MOST_ON_BORDER, add_maps, describe_probabilities, write_predictions
from catdog.photos.photo_sets import Photo
from catdog.photos.reading import read_photo
from catdog.results.report_files import fits, read_maps, read_predictions, read_report

PROBABILITIES = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3], [0.0, 1.0]], np.float32)
LABELS = np.array([0, 0, 1, 1, 0], np.int32)
NAMES = ["cats", "dogs"]


def photos_of(labels: np.ndarray) -> list[Photo]:
    """Photos by these labels that are nowhere."""
    return [Photo(Path(f"{number}.jpg"), int(label)) for number, label in enumerate(labels)]


@pytest.fixture(scope="module")
def report(trained) -> dict:
    return read_report(trained)


@pytest.fixture(scope="module")
def predictions(trained) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Probabilities, labels and paths, as `predictions.csv` has them."""
    with (trained / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    probabilities = np.array([[row["probability_cats"], row["probability_dogs"]] for row in rows], np.float32)
    return probabilities, np.array([NAMES.index(row["class"]) for row in rows]), [row["path"] for row in rows]


def test_the_reports_figures_are_those_of_scikit_learn(report, predictions):
    probabilities, labels, _ = predictions
    given = probabilities.argmax(axis=1)
    precision, recall, _, support = precision_recall_fscore_support(labels, given, zero_division=np.nan)
    assert report["accuracy"] == accuracy_score(labels, given)
    assert report["confusion"] == confusion_matrix(labels, given).tolist()
    double = probabilities.astype(float)
    assert report["loss"] == pytest.approx(log_loss(labels, double / double.sum(axis=1, keepdims=True)), rel=1e-5)
    assert [each["photos"] for each in report["classes"]] == support.tolist()
    assert [each["recall"] for each in report["classes"]] == pytest.approx(recall)
    assert [each["precision"] for each in report["classes"]] == pytest.approx(precision, nan_ok=True)
    assert report["baseline"]["accuracy"] == np.bincount(labels).max() / len(labels)


def test_the_temperature_is_in_the_saved_file(trained, report, predictions):
    probabilities, _, paths = predictions
    described = json.loads((trained / "classifier.json").read_text())
    assert described["temperature"] == report["calibration"]["temperature"] != 1
    model = keras.models.load_model(trained / "cat_dog_classifier.keras")
    pixels = np.stack([read_photo(Path(path), described["image_size"]) for path in paths]).astype(np.float32)
    np.testing.assert_allclose(model(pixels).numpy(), probabilities, atol=1e-5)


def test_losses_before_and_after_are_of_photos_the_temperature_was_not_fitted_on(report, trained):
    calibration = report["calibration"]
    assert calibration["judged_on"] == "cross-fitted"
    assert calibration["after"]["loss"] < calibration["before"]["loss"]
    events = [json.loads(line) for line in (trained / "events.jsonl").read_text().splitlines()]
    best = [event for event in events if event["event"] == "epoch" and event["best"]][-1]
    assert calibration["before"]["loss"] == pytest.approx(best["val_loss"])


def test_a_map_adds_up_to_the_difference_of_the_logits_of_the_saved_file(trained, report):
    classifier, maps = load_classifier(trained), read_maps(trained)
    shown = [each for each in (*report["mistakes"], *report["border"]) if each["heatmap"] is not None]
    assert len(shown) == len(maps) > 3
    pixels = np.stack([read_photo(Path(each["path"]), classifier.image_size) for each in shown])
    logits = keras.Model(classifier.model.inputs[0], classifier.model.get_layer("logits").output)(pixels).numpy()
    bias = classifier.head()[1]
    for each, row in zip(shown, logits, strict=True):
        given, other = (NAMES.index(name) for name in (each["label"], each.get("against", each["class"])))
        expected = (row[given] - bias[given]) - (row[other] - bias[other])
        assert maps[each["heatmap"]].sum() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_mistakes_and_border_are_worst_first():
    found = describe_probabilities(photos_of(LABELS), PROBABILITIES, NAMES)
    assert [(each["path"], each["class"], each["label"]) for each in found["mistakes"]] == [
        ("4.jpg", "cats", "dogs"),
        ("3.jpg", "dogs", "cats"),
        ("1.jpg", "cats", "dogs"),
    ]
    assert found["mistakes"][0]["probability"] == 1
    assert [(each["path"], each["label"], each["against"]) for each in found["border"]] == [
        ("2.jpg", "dogs", "cats"),
        ("0.jpg", "cats", "dogs"),
    ]


def test_with_three_classes_the_border_is_to_the_second():
    probabilities = np.array([[0.1, 0.5, 0.4], [0.45, 0.1, 0.45]], np.float32)
    found = describe_probabilities(photos_of(np.array([1, 2])), probabilities, ["a", "b", "c"])
    assert [(each["label"], each["against"]) for each in found["border"]] == [("b", "c")]
    assert [(each["class"], each["label"]) for each in found["mistakes"]] == [("c", "a")]


def test_only_the_worst_have_a_map_and_what_can_not_be_read_has_none(trained, drawings):
    paths = sorted((drawings / "validation").glob("*/*"))
    photos = [Photo(paths[number % len(paths)], number % 2) for number in range(80)]
    photos[3] = Photo(drawings / "gone.jpg", 1)
    probabilities = np.tile(np.array([[0.4, 0.6], [0.7, 0.3]], np.float32), (40, 1))
    probabilities[70:] = [[0.9, 0.1], [0.1, 0.9]] * 5
    found = describe_probabilities(photos, probabilities, NAMES)
    maps = add_maps(found, load_classifier(trained))
    assert len(found["border"]) == 10 <= MOST_ON_BORDER
    numbered = [each["heatmap"] for each in (*found["mistakes"], *found["border"])]
    assert [number is None for number in numbered[MOST_MAPS:70]] == [True] * 22
    assert [number for number in numbered if number is not None] == list(range(len(maps)))
    unread = [each for each in found["mistakes"][:MOST_MAPS] if each["path"].endswith("gone.jpg")]
    assert [each["heatmap"] for each in unread] == [None] * len(unread)
    assert len(maps) == MOST_MAPS + 10 - len(unread)


def test_the_report_is_whole_and_a_damaged_one_is_none(trained, report, tmp_path):
    assert report
    for key in report:
        damaged = {name: value for name, value in report.items() if name != key}
        (tmp_path / "report.json").write_text(json.dumps(damaged))
        assert read_report(tmp_path) == {}
    for key, value in {"photos": 0, "interval": [0.5], "confusion": [[1, 2]], "accuracy": float("nan")}.items():
        (tmp_path / "report.json").write_text(json.dumps({**report, key: value}))
        assert read_report(tmp_path) == {}
    suspect = {"path": "a.jpg", "split": "train", "class": "cats", "label": "dogs", "probability": 0.9}
    for count in (1, 2):
        suspects = {"photos": 2, "folds": 5, "found": [suspect] * count}
        (tmp_path / "report.json").write_text(json.dumps({**report, "wrong_labels": suspects}))
        assert bool(read_report(tmp_path)) == (count == 1)


@pytest.mark.parametrize(
    ("value", "shape", "expected"),
    [
        (1, float, True),
        (True, int, False),
        (True, float, False),
        (10**400, float, False),
        (float("nan"), float, False),
        (float("inf"), float, False),
        (1.0, int, False),
        (None, (int, None), True),
        ({"a": [1, "x"]}, {"a": [int]}, False),
        ([], [int], True),
        ("x", [str], False),
    ],
)
def test_shapes(value, shape, expected):
    assert fits(value, shape) == expected


def test_predictions_read_back_exactly(tmp_path):
    photos = [Photo(Path(f'é {number},"x".jpg'), label) for number, label in enumerate(LABELS)]
    probabilities = np.random.default_rng(0).dirichlet([1, 1], len(LABELS)).astype(np.float32)
    write_predictions(tmp_path / "predictions.csv", photos, NAMES, probabilities)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [str(photo.path) for photo in photos]
    assert [row["class"] for row in rows] == ["cats", "cats", "dogs", "dogs", "cats"]
    assert [row["label"] for row in rows] == [NAMES[row.argmax()] for row in probabilities]
    back = np.array([[row["probability_cats"], row["probability_dogs"]] for row in rows], np.float32)
    np.testing.assert_array_equal(back, probabilities)
    judgements = read_predictions(tmp_path, NAMES)
    assert [each.probability for each in judgements] == pytest.approx(sorted(probabilities.max(axis=1)))
    assert {each.path for each in judgements} == {photo.path for photo in photos}


def test_damaged_predictions_are_passed_over(tmp_path):
    (tmp_path / "predictions.csv").write_text(
        "path,class,label,probability_cats,probability_dogs\na.jpg,cats,cats,0.9,0.1\nb.jpg,cats\n"
        "c.jpg,birds,cats,0.9,0.1\nd.jpg,cats,cats,nan,0.1\ne.jpg,cats,cats,much,0.1\n"
    )
    assert [each.path.name for each in read_predictions(tmp_path, NAMES)] == ["a.jpg"]
    assert read_predictions(tmp_path / "nowhere", NAMES) == []
