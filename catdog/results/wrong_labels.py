"""Photos whose label may be wrong: those that a head contradicts which learned from the other photos alone."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from catdog.results.calibration import draw_folds
from catdog.results.measures import of_class

FOLDS = 5
# The pull of the weights towards zero, for each photo learned from; found by trying on photos with swapped labels.
WEIGHT_DECAY = 0.003
MOST_ITERATIONS = 100


def cross_validate(features: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray | None:
    """Probabilities (n, classes), float32, of each photo from a head trained on the features (n, channels) of others.

    None where a class has too few photos to be parted.
    """
    classes = int(labels.max()) + 1
    folds = min(FOLDS, int(np.bincount(labels, minlength=classes).min()))
    if folds < 2:
        return None
    fold_of = draw_folds(labels, folds, seed)
    probabilities = np.empty((len(labels), classes), np.float32)
    for fold in range(folds):
        inside = fold_of == fold
        weights, bias = fit_head(features, labels, ~inside, classes)
        probabilities[inside] = softmax(features[inside] @ weights + bias, axis=1)
    return probabilities


def fit_head(features: np.ndarray, labels: np.ndarray, used: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (channels, classes) and bias (classes,) of a softmax layer with the lowest cross-entropy.

    It learns from the photos that are used (n,), without a copy of their features, which may be large.
    """
    # In float32 as the features are: what is double would make a copy of them at each step, in double as well.
    share = (used / used.sum()).astype(np.float32)
    mean = share @ features
    # One number for all channels: those that vary most are those that tell most.
    spread = float(np.sqrt(share @ np.einsum("nc,nc->n", features, features) - mean @ mean)) or 1.0
    targets = np.eye(classes, dtype=np.float32)[labels]

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = split(flat)
        logits = log_softmax(features @ (weights / spread) + (bias - mean @ weights / spread), axis=1)
        errors = share[:, None] * (np.exp(logits) - targets)
        to_bias = errors.sum(axis=0)
        to_weights = (features.T @ errors - np.outer(mean, to_bias)) / spread + WEIGHT_DECAY * weights
        value = -share @ of_class(logits, labels) + WEIGHT_DECAY / 2 * (weights**2).sum()
        return float(value), np.concatenate([to_weights.ravel(), to_bias]).astype(np.float64)

    def split(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = flat.astype(np.float32)
        return flat[:-classes].reshape(-1, classes), flat[-classes:]

    start = np.zeros((features.shape[1] + 1) * classes)
    found = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": MOST_ITERATIONS})
    weights, bias = split(found.x)
    return weights / spread, bias - mean @ weights / spread


def suspects(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rows of the photos whose label is contradicted, the least probable label first."""
    contradicted = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return contradicted[np.argsort(of_class(probabilities, labels)[contradicted], kind="stable")]
