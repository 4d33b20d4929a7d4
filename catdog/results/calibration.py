"""One temperature that the logits are divided by, so that probabilities can be taken at their word.

Guo et al., On Calibration of Modern Neural Networks, 2017. It changes no label, since it keeps the order of the logits.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from catdog.results.measures import calibration, of_class

FOLDS = 5
# How far the logarithm of the temperature is expected to be from 0 before any photo was seen (one standard deviation):
# without that, photos of which none is mistaken would ask for a temperature of nothing.
EXPECTED_SPREAD = 0.5
BOUNDS = (0.1, 10.0)


@dataclass(frozen=True)
class Calibration:
    """A temperature, and the probabilities (n, classes) that each photo gets from one fitted without it."""

    temperature: float
    cross_fitted: np.ndarray


def rescale(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """What the softmax (n, classes), float32, would have been of logits divided by the temperature."""
    return softmax(logarithms(probabilities) / temperature, axis=1).astype(np.float32)


def logarithms(probabilities: np.ndarray) -> np.ndarray:
    """The logits up to a constant for each photo, float64; a probability of zero counts as the smallest float32."""
    smallest = np.finfo(np.float32).smallest_subnormal
    return np.log(np.maximum(probabilities, smallest).astype(np.float64))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the lowest cross-entropy on these photos, drawn a little towards 1."""
    logits = logarithms(probabilities)

    def cost(log_temperature: float) -> float:
        losses = -of_class(log_softmax(logits / np.exp(log_temperature), axis=1), labels)
        return losses.sum() + log_temperature**2 / (2 * EXPECTED_SPREAD**2)

    found = minimize_scalar(cost, bounds=tuple(np.log(BOUNDS)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def draw_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold (n,) from 0 to `folds` - 1 for each photo, every class spread evenly over them."""
    chance = np.random.default_rng(seed)
    drawn = np.empty(len(labels), int)
    dealt = 0
    for label in np.unique(labels):
        rows = chance.permutation(np.flatnonzero(labels == label))
        # One class goes on where the one before ended, so that no fold gets all the odd ones.
        drawn[rows] = (np.arange(len(rows)) + dealt) % folds
        dealt += len(rows)
    return drawn


def calibrate(probabilities: np.ndarray, labels: np.ndarray, seed: int) -> Calibration:
    """Fit a temperature on all of these photos, and cross-fit it to see what it does on others.

    It stays 1 unless it lowers both the cross-entropy and the calibration error of photos that it was not fitted on.
    """
    folds = draw_folds(labels, FOLDS, seed)
    cross_fitted = probabilities.copy()
    for fold in range(FOLDS):
        inside = folds == fold
        if inside.any():
            cross_fitted[inside] = rescale(
                probabilities[inside], fit_temperature(probabilities[~inside], labels[~inside])
            )
    before, after = calibration(probabilities, labels), calibration(cross_fitted, labels)
    if after["loss"] >= before["loss"] or after["error"] >= before["error"]:
        return Calibration(1.0, probabilities)
    return Calibration(fit_temperature(probabilities, labels), cross_fitted)
