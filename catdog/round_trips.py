"""An export loaded again with its own runtime, and compared with the classifier that it was made from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from catdog.activations import NETWORK_BATCH
from catdog.classifier import Classifier
from catdog.drawings import Scene, draw_animal
from catdog.errors import Failed
from catdog.photos import read_ahead
from catdog.results import read_predictions

MOST_COMPARED = 64
# Fewer photos than these would say little: then drawings are taken.
FEWEST_COMPARED = 8
# How far a probability may be from the classifier's, and where the weights are quantized.
TOLERANCE, QUANTIZED_TOLERANCE = 0.005, 0.05

Network = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Compared:
    """Photos to compare on, uint8 (n, image_size, image_size, 3), and their classes (n,) where they are real."""

    pixels: np.ndarray
    labels: np.ndarray | None

    @property
    def kind(self) -> str:
        """What to call them."""
        return "drawings" if self.labels is None else "photos"


def find_photos(source: Path | str, classifier: Classifier, most: int = MOST_COMPARED) -> Compared:
    """At most so many of the photos that a run was evaluated on, where they are still there, else drawings.

    They are spread from the least to the most certain, for the least certain are the first to change.
    """
    path = Path(source)
    judged = read_predictions(path if path.is_dir() else path.parent, classifier.class_names)
    there = [each for each in judged if each.path.is_file()]
    chosen = [there[place] for place in np.linspace(0, len(there) - 1, min(most, len(there))).round().astype(int)]
    read = list(read_ahead([each.path for each in chosen], classifier.image_size))
    rows = [(photo.pixels, each.class_name) for photo, each in zip(read, chosen, strict=True) if photo.reason is None]
    if len(rows) < FEWEST_COMPARED:
        return Compared(draw(most, classifier.image_size), None)
    labels = [classifier.class_names.index(name) for _, name in rows]
    return Compared(np.stack([pixels for pixels, _ in rows]), np.array(labels))


def draw(count: int, image_size: int) -> np.ndarray:
    """So many drawings, uint8 (count, image_size, image_size, 3)."""
    pictures = (draw_animal(("cat", "dog")[number % 2], Scene(f"export {number}")) for number in range(count))
    return np.stack([np.asarray(picture.resize((image_size, image_size))) for picture in pictures])


def compare(classifier: Classifier, format_name: str, file: Path, photos: Compared, quantized: bool) -> dict[str, Any]:
    """The largest difference of any probability, how many photos were compared, and both accuracies or None.

    Raises `Failed` where a probability differs by more than it may: then no label differs either where the
    probability is further than that from one half.
    """
    expected = in_batches(classifier.probabilities, photos.pixels)
    found = in_batches(LOADERS[format_name](file), photos.pixels)
    tolerance = QUANTIZED_TOLERANCE if quantized else TOLERANCE
    differences = np.abs(found - expected).max(axis=1) if found.shape == expected.shape else np.array([np.nan])
    # Also what is no number is no good.
    wrong = int((~(differences <= tolerance)).sum())
    if wrong:
        kept = "; without --quantize it would be exact" if quantized else ""
        raise Failed(
            f"The {format_name} export was not kept: loaded again, it gives {wrong} of {len(differences)} {photos.kind} "
            f"probabilities that differ from the classifier's by up to {differences.max():.3f}, more than {tolerance}{kept}."
        )
    accuracy = None
    if photos.labels is not None:
        accuracy = {
            name: float((rows.argmax(axis=1) == photos.labels).mean())
            for name, rows in (("original", expected), ("export", found))
        }
    largest = float(differences.max())
    return {"largest_difference": largest, "photos_compared": len(photos.pixels), "accuracy": accuracy}


def in_batches(network: Network, pixels: np.ndarray) -> np.ndarray:
    """A network's probabilities (n, classes) of photos (n, height, width, 3); the first of them goes alone."""
    starts = [0, *range(1, len(pixels), NETWORK_BATCH)]
    parts = [pixels[start:end] for start, end in zip(starts, [*starts[1:], len(pixels)], strict=True)]
    return np.concatenate([network(part) for part in parts])


def load_keras(file: Path) -> Network:
    """The network of a `.keras` or `.h5` file, in Keras."""
    model = keras.models.load_model(file, compile=False)
    return lambda pixels: model.predict_on_batch(pixels)


def load_saved_model(folder: Path) -> Network:
    """The network of a SavedModel, in TensorFlow."""
    served = tf.saved_model.load(str(folder))
    return lambda pixels: served.serve(pixels)["probabilities"].numpy()


def load_litert(file: Path) -> Network:
    """The network of a LiteRT file, in LiteRT's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(file)).get_signature_runner()
    return lambda pixels: run(pixels=pixels)["probabilities"]


def load_onnx(file: Path) -> Network:
    """The network of an ONNX file, in ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(["probabilities"], {"pixels": pixels})[0]


LOADERS = {
    "keras": load_keras,
    "h5": load_keras,
    "savedmodel": load_saved_model,
    "litert": load_litert,
    "onnx": load_onnx,
}
