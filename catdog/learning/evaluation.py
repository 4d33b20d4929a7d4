"""How good a classifier is: what a run's report says, out of probabilities that are there already."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from catdog.classifier.heatmaps import difference_maps
from catdog.classifier.prediction import Classifier
from catdog.files.csv_files import row_writer
from catdog.files.whole_files import draft_of
from catdog.photos.photo_sets import LeftOut, Photo, labels_of
from catdog.photos.reading import read_ahead
from catdog.results import measures
from catdog.results.measures import by_class, confusion, cross_entropy, interval
from catdog.results.report_files import FORMAT
from catdog.results.wrong_labels import suspects

# What a report names at most, worst first.
MOST_MISTAKES = 500
MOST_MAPS = 48  # of mistakes: each takes a pass of one photo through the network
MOST_ON_BORDER = 16
MOST_SUSPECTS = 100


def evaluate_probabilities(probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """Accuracy with its interval, loss, number of photos, confusion, and figures by class, as plain values."""
    cells = confusion(probabilities, labels)
    right = int(np.trace(cells))
    return {
        "accuracy": measures.accuracy(probabilities, labels),
        "loss": cross_entropy(probabilities, labels),
        "photos": len(labels),
        "confusion": cells,
        "interval": interval(right, len(labels)),
        "baseline": measures.baseline(labels, class_names),
        "classes": by_class(cells, class_names),
    }


def describe_probabilities(
    photos: Sequence[Photo], probabilities: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """All that a report says of the evaluated photos, whose float32 probabilities are (n, classes)."""
    labels = labels_of(photos)
    worst = measures.worst_first(probabilities, labels)[:MOST_MISTAKES]
    border = measures.nearest_to_border(probabilities, labels)[:MOST_ON_BORDER]
    runners_up = np.argsort(-probabilities, axis=1, kind="stable")[:, 1]

    def entry(row: int) -> dict[str, Any]:
        given = int(probabilities[row].argmax())
        return {
            "path": str(photos[row].path),
            "class": class_names[labels[row]],
            "label": class_names[given],
            "probability": float(probabilities[row, given]),
            "heatmap": None,
        }

    return {
        "format": FORMAT,
        "class_names": list(class_names),
        **evaluate_probabilities(probabilities, labels, class_names),
        "histogram": measures.histogram(probabilities, labels),
        "answered": measures.answered(probabilities, labels),
        "mistakes": [entry(row) for row in worst],
        "border": [entry(row) | {"against": class_names[runners_up[row]]} for row in border],
    }


def describe_suspects(
    photos: Sequence[Photo], splits: Sequence[str], probabilities: np.ndarray, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """The photos whose label may be wrong, out of cross-validated probabilities (n, classes), worst first."""
    return [
        {
            "path": str(photos[row].path),
            "split": splits[row],
            "class": class_names[photos[row].label],
            "label": class_names[probabilities[row].argmax()],
            "probability": float(probabilities[row].max()),
        }
        for row in suspects(probabilities, labels_of(photos))[:MOST_SUSPECTS]
    ]


def add_maps(report: dict[str, Any], classifier: Classifier) -> np.ndarray:
    """Number the report's photos that have a map, and return the maps, float32 (n, rows, columns).

    The worst mistakes and the photos near the border go through the network once more, a few dozen at most.
    """
    explained = [*report["mistakes"][:MOST_MAPS], *report["border"]]
    names = {name: index for index, name in enumerate(classifier.class_names)}
    readable, pixels = [], []
    photos = read_ahead((each["path"] for each in explained), classifier.image_size)
    for each, photo in zip(explained, photos, strict=True):
        if photo.pixels is not None:
            each["heatmap"] = len(readable)
            readable.append((names[each["label"]], names[each.get("against", each["class"])]))
            pixels.append(photo.pixels)
    if not readable:
        return np.empty((0, 1, 1), np.float32)
    given, other = np.array(readable).T
    weights, _ = classifier.head()
    return difference_maps(classifier.feature_maps(np.stack(pixels)), weights, given, other)


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
    with (
        draft_of(path) as draft,
        draft.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        write_row = row_writer(file)
        write_row(["path", "class", "label", *(f"probability_{name}" for name in class_names)])
        for photo, row in zip(photos, probabilities, strict=True):
            write_row([photo.path, class_names[photo.label], class_names[row.argmax()], *map(number, row)])
