"""Figures from probabilities and labels, each against one worked out by hand or by Keras."""

import csv
from pathlib import Path

import keras
import numpy as np
import pytest

from catdog.evaluation import accuracy, confusion, cross_entropy, evaluate_probabilities, write_predictions
from catdog.photo_sets import Photo

PROBABILITIES = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3], [0.0, 1.0]], np.float32)
LABELS = np.array([0, 0, 1, 1, 0], np.int32)


def test_accuracy_counts_what_is_right():
    assert accuracy(PROBABILITIES, LABELS) == pytest.approx(2 / 5)


def test_cross_entropy_is_that_of_keras():
    one_hot = keras.utils.to_categorical(LABELS, 2)
    theirs = float(np.mean(keras.losses.categorical_crossentropy(one_hot, PROBABILITIES)))
    assert cross_entropy(PROBABILITIES, LABELS) == pytest.approx(theirs, rel=1e-5)


def test_confusion_has_the_photos_class_in_rows():
    assert confusion(PROBABILITIES, LABELS) == [[1, 2], [1, 1]]
    three = np.eye(3, dtype=np.float32)[[0, 2, 2]]
    assert confusion(three, np.array([0, 1, 2])) == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_figures_are_plain_values():
    figures = evaluate_probabilities(PROBABILITIES, LABELS)
    assert [type(figures[key]) for key in ("accuracy", "loss", "photos", "confusion")] == [float, float, int, list]


def test_predictions_read_back_exactly(tmp_path):
    photos = [Photo(Path(f'é {number},"x".jpg'), label) for number, label in enumerate(LABELS)]
    probabilities = np.random.default_rng(0).dirichlet([1, 1], len(LABELS)).astype(np.float32)
    write_predictions(tmp_path / "predictions.csv", photos, ["cats", "dogs"], probabilities)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [str(photo.path) for photo in photos]
    assert [row["class"] for row in rows] == ["cats", "cats", "dogs", "dogs", "cats"]
    assert [row["label"] for row in rows] == [["cats", "dogs"][row.argmax()] for row in probabilities]
    back = np.array([[row["probability_cats"], row["probability_dogs"]] for row in rows], np.float32)
    np.testing.assert_array_equal(back, probabilities)
