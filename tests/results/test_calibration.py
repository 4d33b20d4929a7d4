"""The temperature: what it is fitted to, and that it is judged on photos it was not fitted on."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from catdog.results.calibration import calibrate, draw_folds, fit_temperature, rescale


def draw(photos: int, too_sure: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (photos, 2) whose logits are too large by a factor, and labels drawn from the right ones."""
    chance = np.random.default_rng(5)
    logits = chance.normal(scale=2.0, size=(photos, 2))
    labels = (chance.random(photos) < softmax(logits, axis=1)[:, 1]).astype(np.int32)
    return softmax(too_sure * logits, axis=1).astype(np.float32), labels


def loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Scikit-learn's cross-entropy, which wants rows that sum to one in double precision."""
    probabilities = probabilities.astype(float)
    return log_loss(labels, probabilities / probabilities.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("too_sure", [0.5, 2.0, 4.0])
def test_the_temperature_undoes_what_logits_are_too_large_by(too_sure):
    assert fit_temperature(*draw(20_000, too_sure)) == pytest.approx(too_sure, rel=0.05)


def test_no_other_temperature_has_a_lower_cross_entropy():
    probabilities, labels = draw(5_000, 3.0)
    best = fit_temperature(probabilities, labels)
    losses = [loss(labels, rescale(probabilities, best * factor)) for factor in (0.97, 1.0, 1.03)]
    assert losses[1] == min(losses)


def test_a_few_photos_without_a_mistake_do_not_ask_for_certainty():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]] * 5, np.float32)
    assert 0.3 < fit_temperature(probabilities, np.array([0, 1] * 5)) < 1
    assert fit_temperature(probabilities[:0], np.array([], int)) == pytest.approx(1, abs=1e-4)


def test_rescaling_is_undone_by_the_inverse_and_keeps_labels():
    probabilities, _ = draw(100, 3.0)
    softer = rescale(probabilities, 2.5)
    assert (softer.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert softer.max() < probabilities.max()
    np.testing.assert_allclose(rescale(softer, 1 / 2.5), probabilities, atol=1e-6)


def test_probabilities_of_zero_stay_numbers():
    np.testing.assert_array_equal(rescale(np.array([[0.0, 1.0]], np.float32), 1.0).round(6), [[0, 1]])
    assert np.isfinite(rescale(np.array([[0.0, 1.0]], np.float32), 0.1)).all()


def test_what_is_cross_fitted_comes_from_the_other_photos():
    probabilities, labels = draw(1_000, 3.0)
    found = calibrate(probabilities, labels, seed=3)
    folds = draw_folds(labels, 5, seed=3)
    for fold in range(5):
        inside = folds == fold
        temperature = fit_temperature(probabilities[~inside], labels[~inside])
        np.testing.assert_array_equal(found.cross_fitted[inside], rescale(probabilities[inside], temperature))
    assert found.temperature == fit_temperature(probabilities, labels)
    assert loss(labels, found.cross_fitted) < loss(labels, probabilities)


def test_a_temperature_that_helps_no_other_photo_is_left_at_one():
    chance = np.random.default_rng(0)
    logits = np.log([[0.7, 0.3]] * 6 + [[0.3, 0.7]] * 6)
    labels = np.array([0] * 4 + [1] * 2 + [1] * 4 + [0] * 2)
    probabilities = softmax(logits + chance.normal(scale=1e-3, size=logits.shape), axis=1).astype(np.float32)
    found = calibrate(probabilities, labels, seed=0)
    assert found.temperature == 1
    assert found.cross_fitted is probabilities


@pytest.mark.parametrize("counts", [(7, 7), (2, 30), (1, 4)])
def test_folds_are_even_and_have_their_share_of_each_class(counts):
    labels = np.repeat([0, 1], counts)
    folds = draw_folds(labels, 5, seed=1)
    sizes = np.bincount(folds, minlength=5)
    assert sizes.max() - sizes.min() <= 1
    for label in (0, 1):
        of_class = np.bincount(folds[labels == label], minlength=5)
        assert of_class.max() - of_class.min() <= 1
