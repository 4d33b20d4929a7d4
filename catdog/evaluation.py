"""How good a classifier is: figures from probabilities and labels, and the files that hold them."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from catdog.classifier import Classifier
from catdog.photo_sets import LeftOut, Photo

# Keras's own lower bound of a probability in a cross-entropy (keras.config.epsilon), so that losses compare.
SMALLEST_PROBABILITY = 1e-7


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The mean categorical cross-entropy of probabilities (n, classes) against class indices (n,), in nats."""
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(of_label, SMALLEST_PROBABILITY, 1.0)).mean())


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The share of photos, 0 to 1, whose most probable class is their own."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def confusion(probabilities: np.ndarray, labels: np.ndarray) -> list[list[int]]:
    """How many photos of each class (row) were given each class (column)."""
    classes = probabilities.shape[1]
    cells = np.bincount(labels * classes + probabilities.argmax(axis=1), minlength=classes**2)
    return cells.reshape(classes, classes).tolist()


def evaluate_probabilities(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Accuracy, loss, number of photos and confusion, as plain values."""
    return {
        "accuracy": accuracy(probabilities, labels),
        "loss": cross_entropy(probabilities, labels),
        "photos": len(labels),
        "confusion": confusion(probabilities, labels),
    }


def number(value: float) -> str:
    """A float32 as text that reads back as the same float32."""
    return f"{value:.9g}"


def classify_photos(classifier: Classifier, photos: Sequence[Photo]) -> tuple[list[Photo], np.ndarray, list[LeftOut]]:
    """The readable photos, their float32 probabilities (n, classes), and the photos that were left out."""
    readable, rows, left_out = [], [], []
    results = classifier.read_and_classify(photo.path for photo in photos)
    for photo, (read, row) in zip(photos, results, strict=True):
        if row is None:
            left_out.append(LeftOut(photo.path, read.reason or ""))
        else:
            readable.append(photo)
            rows.append(row)
    return readable, np.array(rows, np.float32).reshape(-1, len(classifier.class_names)), left_out


def write_predictions(
    path: Path, photos: Sequence[Photo], class_names: Sequence[str], probabilities: np.ndarray
) -> None:
    """Write `predictions.csv`: each photo's path, its class, the label it was given and its probabilities."""
    draft = path.with_name(f".{path.name}")
    with draft.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "class", "label", *(f"probability_{name}" for name in class_names)])
        for photo, row in zip(photos, probabilities, strict=True):
            writer.writerow([photo.path, class_names[photo.label], class_names[row.argmax()], *map(number, row)])
    draft.replace(path)
