"""Figures from probabilities and labels, each against scikit-learn's, Keras's or one worked out another way."""

import keras
import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

from catdog.results import measures

PROBABILITIES = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3], [0.0, 1.0]], np.float32)
LABELS = np.array([0, 0, 1, 1, 0], np.int32)
NAMES = ["birds", "cats", "dogs"]


def draw(photos: int = 500, classes: int = 3, sharpness: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (photos, classes) that are right most of the time, and labels."""
    chance = np.random.default_rng(photos + classes)
    labels = chance.integers(0, classes, photos).astype(np.int32)
    logits = chance.normal(size=(photos, classes)) + sharpness * 0.5 * np.eye(classes)[labels]
    return np.exp(sharpness * logits) / np.exp(sharpness * logits).sum(1, keepdims=True), labels


def test_accuracy_and_confusion_are_those_of_scikit_learn():
    probabilities, labels = draw()
    given = probabilities.argmax(axis=1)
    assert measures.accuracy(probabilities, labels) == accuracy_score(labels, given)
    assert measures.confusion(probabilities, labels) == confusion_matrix(labels, given).tolist()


def test_confusion_has_the_photos_class_in_rows():
    assert measures.confusion(PROBABILITIES, LABELS) == [[1, 2], [1, 1]]


def test_cross_entropy_is_that_of_keras_and_of_scikit_learn():
    one_hot = keras.utils.to_categorical(LABELS, 2)
    theirs = float(np.mean(keras.losses.categorical_crossentropy(one_hot, PROBABILITIES)))
    assert measures.cross_entropy(PROBABILITIES, LABELS) == pytest.approx(theirs, rel=1e-5)
    probabilities, labels = draw()
    assert measures.cross_entropy(probabilities, labels) == pytest.approx(log_loss(labels, probabilities), rel=1e-6)


def test_precision_and_recall_are_those_of_scikit_learn():
    probabilities, labels = draw()
    rows = measures.by_class(measures.confusion(probabilities, labels), NAMES)
    precision, recall, _, support = precision_recall_fscore_support(labels, probabilities.argmax(axis=1))
    assert [row["name"] for row in rows] == NAMES
    assert [row["photos"] for row in rows] == support.tolist()
    assert [row["precision"] for row in rows] == pytest.approx(precision)
    assert [row["recall"] for row in rows] == pytest.approx(recall)


def test_what_can_not_be_divided_is_no_number():
    cats, dogs = measures.by_class([[3, 0], [0, 0]], ["cats", "dogs"])
    assert (cats["precision"], cats["recall"]) == (1.0, 1.0)
    assert (dogs["precision"], dogs["recall"]) == (None, None)


@pytest.mark.parametrize(("right", "photos"), [(0, 7), (7, 7), (983, 1000), (1, 2)])
def test_the_interval_is_where_the_share_is_a_normal_deviation_away(right, photos):
    low, high = measures.interval(right, photos)
    assert 0 <= low <= right / photos <= high <= 1
    # Wilson: the shares p whose distance from what was seen is 1.96 times sqrt(p (1 - p) / n).
    for share in {low, high} - {0.0, 1.0}:
        distance = abs(right / photos - share) / np.sqrt(share * (1 - share) / photos)
        assert distance == pytest.approx(1.959964, abs=1e-4)


def test_the_baseline_says_the_most_frequent_class():
    assert measures.baseline(LABELS, ["cats", "dogs"]) == {"class": "cats", "accuracy": 3 / 5}


def test_calibration_bins_are_those_of_scikit_learn():
    probabilities, labels = draw(classes=2)
    found = measures.calibration(probabilities, labels)
    right = probabilities.argmax(axis=1) == labels
    accuracies, means = calibration_curve(right, probabilities.max(axis=1), n_bins=measures.CALIBRATION_BINS)
    assert [each["accuracy"] for each in found["bins"]] == pytest.approx(accuracies)
    assert [each["probability"] for each in found["bins"]] == pytest.approx(means)
    assert sum(each["photos"] for each in found["bins"]) == len(labels)


def test_the_calibration_error_is_the_mean_distance_of_probability_and_accuracy():
    # Two photos at 0.9, one right: off by 0.4; two at 0.6, both right: off by 0.4 as well.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    found = measures.calibration(probabilities, np.array([0, 1, 0, 0]))
    assert found["error"] == pytest.approx(0.4)
    assert [each["photos"] for each in found["bins"]] == [2, 2]


def test_certain_probabilities_have_a_bin():
    found = measures.calibration(np.array([[1.0, 0.0]]), np.array([0]))
    assert found["bins"] == [{"from": 14 / 15, "to": 1.0, "photos": 1, "probability": 1.0, "accuracy": 1.0}]


def test_the_histogram_counts_every_photo_of_each_class():
    probabilities, labels = draw()
    found = measures.histogram(probabilities, labels)
    assert [sum(row) for row in found["counts"]] == np.bincount(labels).tolist()
    below_half = sum(sum(row[:10]) for row in found["counts"])
    assert below_half == sum(probabilities[row, label] < 0.5 for row, label in enumerate(labels))


def test_fewer_photos_answered_begin_with_all_of_them():
    probabilities, labels = draw()
    points = measures.answered(probabilities, labels)
    assert len(points) == measures.MOST_ANSWERED_POINTS
    assert points[0]["share"] == 1
    assert points[0]["accuracy"] == pytest.approx(accuracy_score(labels, probabilities.argmax(axis=1)))
    assert [each["share"] for each in points] == sorted((each["share"] for each in points), reverse=True)
    for point in points:
        answered = probabilities.max(axis=1) >= point["threshold"]
        assert answered.mean() == pytest.approx(point["share"])
        right = accuracy_score(labels[answered], probabilities[answered].argmax(axis=1))
        assert point["accuracy"] == pytest.approx(right)


def test_photos_of_equal_probability_are_answered_together():
    points = measures.answered(np.array([[0.8, 0.2], [0.8, 0.2], [0.3, 0.7]]), np.array([0, 1, 1]))
    assert [each["share"] for each in points] == [1, pytest.approx(2 / 3)]
    assert [each["accuracy"] for each in points] == [pytest.approx(2 / 3), pytest.approx(1 / 2)]


def test_mistakes_come_worst_first_and_the_rest_by_how_near_it_was():
    assert measures.worst_first(PROBABILITIES, LABELS).tolist() == [4, 3, 1]
    assert measures.nearest_to_border(PROBABILITIES, LABELS).tolist() == [2, 0]
