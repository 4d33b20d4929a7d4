"""Whether a photo is like those that a classifier learned from, by how close its features are to theirs.

A heuristic: what is far from every photo that was learned from is hardly one of their classes, whatever the
probabilities say. Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, 2022.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catdog.files.array_files import read_arrays, write_arrays

REFERENCE_FILE = "reference.npz"
# Of the photos that were kept apart to validate with, so many are taken for strange.
REFUSED_SHARE = 0.02
NEIGHBOURS = 5
MOST_PHOTOS = 4_000  # whose features are kept: 16 MB of those of a ResNet-50
# Where the last stages have learned, photos go through them once more for the features that they now have: fewer.
MOST_PASSED_AGAIN = {"train": 1_000, "validation": 500}


@dataclass(frozen=True)
class Reference:
    """What a classifier learned from, as points in the space of its pooled features.

    `points` (n, channels) are float32 and of length 1: of one photo each, or the centres of many. A photo's
    similarity is the mean cosine similarity to its `neighbours` nearest points; below `limit` it is strange.
    """

    points: np.ndarray
    neighbours: int
    limit: float
    # Of each point, where it is one of a photo.
    paths: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    def compare(
        self, features: np.ndarray, multiply: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How similar photos with these pooled features (n, channels) are, (n,), and their nearest points.

        Those are given as places in `points` and as cosine similarities, (n, neighbours) each, the nearest first.
        `multiply` gives the products of rows with the points, (n, len(points)), where NumPy is not to.
        """
        cosines = multiply(unit(features)) if multiply else unit(features) @ self.points.T
        count = min(self.neighbours, len(self.points))
        nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        found = np.take_along_axis(cosines, nearest, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        nearest, found = np.take_along_axis(nearest, order, axis=1), np.take_along_axis(found, order, axis=1)
        return found.mean(axis=1), nearest, found


def unit(features: np.ndarray) -> np.ndarray:
    """The features (n, channels), float32, each row brought to length 1."""
    features = np.asarray(features, np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def with_limit(reference: Reference, validation: np.ndarray) -> Reference:
    """The same with the limit that takes REFUSED_SHARE of photos with these features (n, channels) for strange."""
    similarities, _, _ = reference.compare(validation)
    limit = float(np.quantile(similarities, REFUSED_SHARE))
    return Reference(reference.points, reference.neighbours, limit, reference.paths, reference.class_names)


def spread_evenly(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most so many rows of photos with these labels (n,), in order, as evenly from each class as may be."""
    if len(labels) <= most:
        return np.arange(len(labels))
    chance = np.random.default_rng(seed)
    shuffled = chance.permutation(len(labels))
    # A photo's turn is how many of its own class came before it.
    turns = np.empty(len(labels), int)
    for label in np.unique(labels):
        of_class = shuffled[labels[shuffled] == label]
        turns[of_class] = np.arange(len(of_class))
    return np.sort(np.lexsort((labels, turns))[:most])


def write_reference(path: Path, reference: Reference) -> None:
    """Write it as an `.npz` file, whole or not at all; the points take half of their memory."""
    notes = {name: getattr(reference, name) for name in ("neighbours", "limit", "paths", "class_names")}
    write_arrays(path, {"points": reference.points.astype(np.float16)}, **notes)


def read_reference(path: Path, channels: int) -> Reference | None:
    """What such a file holds for features of so many channels; None where it is missing, damaged or of another kind."""
    found = read_arrays(path)
    if found is None:
        return None
    arrays, notes = found
    points = arrays.get("points")
    if points is None or points.ndim != 2 or points.dtype != np.float16 or points.shape[1] != channels:
        return None
    try:
        paths, class_names = (texts(notes[name]) for name in ("paths", "class_names"))
        reference = Reference(unit(points), int(notes["neighbours"]), float(notes["limit"]), paths, class_names)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    whole = len(points) > 0 and np.isfinite(reference.points).all() and np.isfinite(reference.limit)
    named = {len(paths), len(class_names)} in ({0}, {len(points)})
    return reference if whole and named and reference.neighbours > 0 else None


def texts(values: Sequence[str]) -> tuple[str, ...]:
    """The values as they are, if they are a list of texts; raises `TypeError`."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError
    return tuple(values)
