"""How good probabilities are, measured against what the photos are: figures as plain values."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

# Keras's own lower bound of a probability in a cross-entropy (keras.config.epsilon), so that losses compare.
SMALLEST_PROBABILITY = 1e-7
INTERVAL_SHARE = 0.95
# As in Guo et al., On Calibration of Modern Neural Networks, 2017.
CALIBRATION_BINS = 15
HISTOGRAM_BINS = 20
MOST_ANSWERED_POINTS = 100


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The mean categorical cross-entropy of probabilities (n, classes) against class indices (n,), in nats."""
    of_label = of_class(probabilities, labels).astype(np.float64)
    return float(-np.log(np.clip(of_label, SMALLEST_PROBABILITY, 1.0)).mean())


def of_class(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of each row of values (n, classes) the one of its class (n,)."""
    return values[np.arange(len(labels)), labels]


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The share of photos, 0 to 1, whose most probable class is their own."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def confusion(probabilities: np.ndarray, labels: np.ndarray) -> list[list[int]]:
    """How many photos of each class (row) were given each class (column)."""
    classes = probabilities.shape[1]
    cells = np.bincount(labels * classes + probabilities.argmax(axis=1), minlength=classes**2)
    return cells.reshape(classes, classes).tolist()


def interval(right: int, photos: int) -> list[float]:
    """The Wilson interval, 95 %, of the share that so many right ones out of so many photos are a sample of."""
    found = binomtest(right, photos).proportion_ci(INTERVAL_SHARE, method="wilson")
    return [float(found.low), float(found.high)]


def baseline(labels: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """The most frequent class, and the accuracy of always saying it."""
    counts = np.bincount(labels, minlength=len(class_names))
    return {"class": class_names[counts.argmax()], "accuracy": float(counts.max() / len(labels))}


def by_class(cells: list[list[int]], class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Photos, precision and recall of each class, from a confusion; None where there is nothing to divide by."""
    table = np.array(cells)
    given, own, right = table.sum(axis=0), table.sum(axis=1), table.diagonal()
    return [
        {
            "name": name,
            "photos": int(own[index]),
            "precision": float(right[index] / given[index]) if given[index] else None,
            "recall": float(right[index] / own[index]) if own[index] else None,
        }
        for index, name in enumerate(class_names)
    ]


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """How far probabilities can be taken at their word: loss, expected calibration error, and what it is made of.

    Photos are put into CALIBRATION_BINS equal bins by the probability of the label they were given; the error is the
    mean distance, over photos, of a bin's mean probability and its accuracy.
    """
    highest = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    places = np.minimum((highest * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    bins = [
        {
            "from": place / CALIBRATION_BINS,
            "to": (place + 1) / CALIBRATION_BINS,
            "photos": int((places == place).sum()),
            "probability": float(highest[places == place].mean()),
            "accuracy": float(right[places == place].mean()),
        }
        for place in np.unique(places).tolist()
    ]
    error = sum(each["photos"] * abs(each["probability"] - each["accuracy"]) for each in bins) / len(labels)
    return {"loss": cross_entropy(probabilities, labels), "error": error, "bins": bins}


def histogram(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """How many photos of each class gave their own class how much probability."""
    edges = [step / HISTOGRAM_BINS for step in range(HISTOGRAM_BINS + 1)]
    own = of_class(probabilities, labels)
    counts = [np.histogram(own[labels == label], edges)[0].tolist() for label in range(probabilities.shape[1])]
    return {"edges": edges, "counts": counts}


def answered(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """The accuracy on the photos whose label has at least some probability, and the share that those are.

    From all photos on down, at most MOST_ANSWERED_POINTS thresholds.
    """
    highest = probabilities.max(axis=1)
    order = np.argsort(-highest, kind="stable")
    falling, right = highest[order], (probabilities.argmax(axis=1) == labels)[order]
    # Photos of equal probability are answered together.
    ends = np.flatnonzero(np.append(falling[1:] < falling[:-1], True))
    chosen = ends[np.unique(np.linspace(0, len(ends) - 1, MOST_ANSWERED_POINTS).round().astype(int))]
    so_far = right.cumsum()
    return [
        {
            "share": (end + 1) / len(labels),
            "threshold": float(falling[end]),
            "accuracy": float(so_far[end] / (end + 1)),
        }
        for end in chosen[::-1].tolist()
    ]


def worst_first(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rows of the photos that were given another class than their own, the least probable own class first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(of_class(probabilities, labels)[wrong], kind="stable")]


def nearest_to_border(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rows of the photos that were given their own class, those first that nearly were not."""
    right = np.flatnonzero(probabilities.argmax(axis=1) == labels)
    highest = np.sort(probabilities[right], axis=1)
    return right[np.argsort(highest[:, -1] - highest[:, -2], kind="stable")]
