"""The head that looks for wrong labels: the same as scikit-learn's, and never asked about what it learned from."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from catdog.results.calibration import draw_folds
from catdog.results.wrong_labels import FOLDS, WEIGHT_DECAY, cross_validate, fit_head, suspects


def draw(photos: int = 300, channels: int = 40, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Features (photos, channels) like those of a network, not negative, and labels that they tell apart."""
    chance = np.random.default_rng(classes)
    labels = np.arange(photos) % classes
    directions = chance.normal(size=(classes, channels))
    features = np.maximum(chance.normal(size=(photos, channels)) + directions[labels], 0)
    return features.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_is_that_of_a_logistic_regression(classes):
    features, labels = draw(classes=classes)
    used = np.arange(len(labels)) % 7 > 1
    weights, bias = fit_head(features, labels, used, classes)
    assert weights.dtype == bias.dtype == np.float32
    mean = features[used].mean(axis=0)
    spread = np.sqrt(((features[used] - mean) ** 2).sum(axis=1).mean())
    # With two classes scikit-learn has one row of weights where we have two opposite ones, each of half the size.
    strength = (2 if classes == 2 else 1) / (WEIGHT_DECAY * used.sum())
    theirs = LogisticRegression(C=strength, max_iter=1000, tol=1e-8)
    theirs.fit((features[used] - mean) / spread, labels[used])
    logits = features[~used] @ weights + bias
    ours = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = theirs.predict_proba((features[~used] - mean) / spread)
    np.testing.assert_allclose(ours, expected, atol=0.01)


def test_a_photo_is_judged_by_a_head_that_did_not_see_it():
    features, labels = draw(60)
    judged = cross_validate(features, labels, seed=4)
    inside = draw_folds(labels, FOLDS, seed=4) == 2
    changed = labels.copy()
    changed[np.flatnonzero(inside)[0]] ^= 1
    weights, bias = fit_head(features, changed, ~inside, 2)
    logits = features[inside] @ weights + bias
    np.testing.assert_allclose(judged[inside][:, 1], 1 / (1 + np.exp(logits[:, 0] - logits[:, 1])), atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_swapped_labels_are_found(classes):
    features, labels = draw(classes=classes)
    swapped = np.random.default_rng(1).choice(len(labels), 12, replace=False)
    wrong = labels.copy()
    wrong[swapped] = (wrong[swapped] + 1) % classes
    found = suspects(cross_validate(features, wrong, seed=0), wrong)
    assert len(set(found[:12]) & set(swapped)) >= 11


def test_what_is_contradicted_comes_worst_first():
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1], [0.2, 0.8]])
    assert suspects(probabilities, np.array([1, 1, 1, 0])).tolist() == [2, 3, 0]


def test_a_class_of_one_photo_can_not_be_judged():
    features, _ = draw(5)
    assert cross_validate(features, np.array([0, 0, 0, 0, 1]), seed=0) is None


def test_features_that_are_all_alike_are_no_error():
    judged = cross_validate(np.ones((8, 3), np.float32), np.array([0, 1] * 4), seed=0)
    np.testing.assert_allclose(judged, 0.5, atol=1e-3)
