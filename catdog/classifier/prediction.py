"""A trained network asked about photos: what it says of each, and how sure, and why."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from catdog.classifier.heatmaps import difference_maps
from catdog.classifier.novelty import Reference
from catdog.classifier.verdicts import UNSURE_BELOW, verdict_of
from catdog.files.storage import Place
from catdog.network.activations import NETWORK_BATCH, compiled
from catdog.photos.reading import ReadPhoto, read_ahead
from catdog.plain_text import one_line

# Photos that are answered together. What a network makes of a few stays near the processor: the half-width one answers
# at least as many photos a second as with 32, in a fifth of the memory.
ANSWER_BATCH = 4


class Neighbour(NamedTuple):
    """A photo that a classifier learned from, and how similar another is to it: the cosine of their features."""

    path: str
    class_name: str
    similarity: float


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one photo; all but the source is None where it could not be read."""

    source: Place | str | bytes
    label: str | None = None
    verdict: str | None = None
    probabilities: dict[str, float] | None = None
    reason: str | None = None
    # How like the photos that were learned from, -1 to 1; None where nothing is known of those.
    similarity: float | None = None
    nearest: tuple[Neighbour, ...] = ()
    # What each place (rows, columns) adds to the label's logit over that of the runner-up; None without a map.
    runner_up: str | None = None
    places: np.ndarray | None = None

    @property
    def error(self) -> str | None:
        """A sentence that names the photo and the reason why it could not be read."""
        name = "The photo" if isinstance(self.source, bytes) else self.source
        return None if self.reason is None else one_line(f"{name}: {self.reason}.")


class Outputs(NamedTuple):
    """What a classifier's network makes of n photos, float32: `maps` is what is pooled, `features` what then comes."""

    probabilities: np.ndarray  # (n, classes)
    features: np.ndarray | None  # (n, channels)
    maps: tf.Tensor | None  # (n, rows, columns, channels)


class Classifier:
    """A trained network with its class names and image size, and perhaps with what it learned from."""

    def __init__(self, model: keras.Model, info: dict[str, Any], reference: Reference | None = None):
        self.model = model
        self.info = info
        self.class_names: tuple[str, ...] = tuple(info["class_names"])
        self.image_size: int = info["image_size"]
        self.reference = reference
        self.note = ""  # what is wrong with the files beside it
        self.running = threading.Lock()

    @cached_property
    def shows_why(self) -> bool:
        """Whether the network ends as those that are trained here, so that a map can be drawn of what it looks at."""
        try:
            pooled, head = self.model.get_layer("pooled"), self.model.get_layer("logits")
        except ValueError:
            return False
        return (
            isinstance(pooled, keras.layers.GlobalAveragePooling2D)
            and isinstance(head, keras.layers.Dense)
            and head.activation is keras.activations.linear
            and [type(layer) for layer in self.model.layers[-4:]]
            == [keras.layers.GlobalAveragePooling2D, keras.layers.Dropout, keras.layers.Dense, keras.layers.Softmax]
        )

    @cached_property
    def run(self) -> Callable[[np.ndarray], list[tf.Tensor]]:
        """The network as one compiled function of uint8 photos, made when it is first asked for."""
        if not self.shows_why:
            return compiled(self.model)
        pooled = self.model.get_layer("pooled")
        return compiled(keras.Model(self.model.inputs[0], [pooled.input, pooled.output, self.model.output]))

    def outputs(self, pixels: np.ndarray) -> Outputs:
        """What the network makes of uint8 photos (n, image_size, image_size, 3)."""
        # Two batches at a time would take twice the memory, and no less time.
        with self.running:
            found = self.run(pixels)
        if not self.shows_why:
            return Outputs(found[0].numpy(), None, None)
        maps, features, probabilities = found
        return Outputs(probabilities.numpy(), features.numpy(), maps)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Float32 probabilities (n, classes) of uint8 photos (n, image_size, image_size, 3)."""
        return self.outputs(pixels).probabilities

    def feature_maps(self, pixels: np.ndarray) -> np.ndarray:
        """What the head pools, float32 (n, rows, columns, channels), of uint8 photos (n, image_size, image_size, 3)."""
        parts = [pixels[start : start + NETWORK_BATCH] for start in range(0, len(pixels), NETWORK_BATCH)]
        return np.concatenate([self.outputs(part).maps.numpy() for part in parts])

    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """The weights (channels, classes) and the bias (classes,) that lead from pooled features to logits."""
        weights, bias = self.model.get_layer("logits").get_weights()
        return weights, bias

    def answer_batches(
        self, sources: Iterable[Place | str | bytes]
    ) -> Iterator[tuple[list[ReadPhoto], Outputs | None]]:
        """The photos as they were read, in order, a batch at a time, with the outputs of those that are readable."""
        waiting: list[ReadPhoto] = []
        for photo in read_ahead(sources, self.image_size):
            waiting.append(photo)
            if len(waiting) == ANSWER_BATCH:
                yield self.answer_batch(waiting)
                waiting = []
        if waiting:
            yield self.answer_batch(waiting)

    def answer_batch(self, photos: list[ReadPhoto]) -> tuple[list[ReadPhoto], Outputs | None]:
        """These photos and the outputs of the readable ones, which go through the network together."""
        readable = [photo.pixels for photo in photos if photo.pixels is not None]
        return photos, self.outputs(np.stack(readable)) if readable else None

    def read_and_classify(
        self, sources: Iterable[Place | str | bytes]
    ) -> Iterator[tuple[ReadPhoto, np.ndarray | None]]:
        """Each photo as it was read, in order, with its probabilities (classes,), or None where it is unreadable."""
        for photos, outputs in self.answer_batches(sources):
            rows = iter(outputs.probabilities if outputs else ())
            for photo in photos:
                yield photo, None if photo.pixels is None else next(rows)

    def classify(
        self, sources: Iterable[Place | str | bytes], unsure_below: float = UNSURE_BELOW
    ) -> Iterator[Prediction]:
        """A prediction for each photo (a path, or a file's bytes), in order, as they come out of the network.

        A label less probable than `unsure_below` gets the verdict `unsure`; a photo unlike all that were learned
        from, whatever its label, `neither`.
        """
        for photos, outputs in self.answer_batches(sources):
            answers = iter(self.explain(outputs, unsure_below) if outputs else ())
            for photo in photos:
                if photo.pixels is None:
                    yield Prediction(photo.source, reason=photo.reason)
                else:
                    yield Prediction(photo.source, **next(answers))

    def explain(self, outputs: Outputs, unsure_below: float) -> Iterator[dict[str, Any]]:
        """What a prediction says of each photo that went through the network."""
        probabilities = outputs.probabilities
        ranks = np.argsort(-probabilities, axis=1, kind="stable")
        count = len(ranks)
        places: Sequence[np.ndarray | None] = [None] * count
        if outputs.maps is not None:
            places = difference_maps(outputs.maps.numpy(), self.head()[0], ranks[:, 0], ranks[:, 1])
        similarities: Sequence[float | None] = [None] * count
        nearest: Sequence[tuple[Neighbour, ...]] = [()] * count
        if self.reference is not None and outputs.features is not None:
            means, points, cosines = self.reference.compare(outputs.features, self.multiply_with_points)
            similarities = list(map(float, means))
            nearest = [self.neighbours(*pair) for pair in zip(points, cosines, strict=True)]
        limit = self.reference.limit if self.reference else None
        for row, rank in enumerate(ranks):
            label = self.class_names[rank[0]]
            probability = float(probabilities[row, rank[0]])
            yield {
                "label": label,
                "verdict": verdict_of(label, probability, similarities[row], limit, unsure_below),
                "probabilities": dict(zip(self.class_names, map(float, probabilities[row]), strict=True)),
                "similarity": similarities[row],
                "nearest": nearest[row],
                "runner_up": self.class_names[rank[1]],
                "places": places[row],
            }

    @cached_property
    def points(self) -> tf.Tensor:
        """The reference's points, where TensorFlow has them at hand."""
        return tf.constant(self.reference.points)

    def multiply_with_points(self, rows: np.ndarray) -> np.ndarray:
        """The products (n, points) of rows (n, channels) with the reference's points.

        By TensorFlow: after a product of NumPy's, the threads of its library go on looking for work on the cores that
        the next photo's network needs, and one photo takes nearly twice the time.
        """
        return tf.matmul(rows, self.points, transpose_b=True).numpy()

    def neighbours(self, points: np.ndarray, cosines: np.ndarray) -> tuple[Neighbour, ...]:
        """The photos at these points of what was learned from; none where the points are not single photos."""
        if not self.reference.paths:
            return ()
        names, paths = self.reference.class_names, self.reference.paths
        return tuple(
            Neighbour(paths[point], names[point], float(cosine)) for point, cosine in zip(points, cosines, strict=True)
        )
