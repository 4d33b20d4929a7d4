"""An export loaded again with its own runtime, and compared with the classifier that it was made from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from catdog.classifier.loading import with_plain_ends
from catdog.classifier.prediction import Classifier
from catdog.errors import Failed
from catdog.network.activations import NETWORK_BATCH
from catdog.photos.drawings import Scene, draw_animal
from catdog.photos.reading import read_ahead
from catdog.results.report_files import read_predictions

MOST_PHOTOS = 200
# Fewer photos than these would say little: then as many drawings as DRAWINGS are taken.
FEWEST_PHOTOS = 8
DRAWINGS = 64
# How far a probability may be from the classifier's, and where the weights are quantized.
TOLERANCE, QUANTIZED_TOLERANCE = 0.005, 0.05

Network = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Compared:
    """Photos to compare on, uint8 (n, image_size, image_size, 3), and their classes (n,), which drawings lack."""

    pixels: np.ndarray
    labels: np.ndarray | None

    @property
    def kind(self) -> str:
        """What to call them."""
        return "drawings" if self.labels is None else "photos"


def find_photos(source: Path | str, classifier: Classifier) -> Compared:
    """At most MOST_PHOTOS of those that a run was evaluated on, where they are still there, else drawings.

    They are spread evenly from the least to the most certain.
    """
    path = Path(source)
    folder = path if path.is_dir() else path.parent
    # The bundled classifier is a name, not a path.
    judged = read_predictions(folder, classifier.class_names) if path.exists() else []
    there = [each for each in judged if each.path.is_file()]
    places = np.linspace(0, len(there) - 1, min(MOST_PHOTOS, len(there))).round().astype(int)
    chosen = [there[place] for place in places]
    read = list(read_ahead([each.path for each in chosen], classifier.image_size))
    found = [(photo.pixels, each.class_name) for photo, each in zip(read, chosen, strict=True) if photo.reason is None]
    if len(found) < FEWEST_PHOTOS:
        return Compared(draw(classifier.image_size), None)
    labels = [classifier.class_names.index(name) for _, name in found]
    return Compared(np.stack([pixels for pixels, _ in found]), np.array(labels))


def draw(image_size: int) -> np.ndarray:
    """Drawings of cats and dogs, uint8 (DRAWINGS, image_size, image_size, 3)."""
    pictures = [draw_animal(("cat", "dog")[number % 2], Scene(f"export {number}")) for number in range(DRAWINGS)]
    return np.stack([np.asarray(picture.resize((image_size, image_size))) for picture in pictures])


def compare(classifier: Classifier, format_name: str, quantized: bool, file: Path, photos: Compared) -> dict[str, Any]:
    """The largest difference of any probability, on how many photos, and both accuracies, or None for drawings.

    Raises `Failed` where a probability differs by more than it may. Of two classes, no label differs then but where
    the probability is as near to one half as that.
    """
    expected = in_batches(classifier.probabilities, photos.pixels)
    found = in_batches(LOADERS[format_name](file), photos.pixels)
    differences = np.abs(found - expected).max(axis=1)
    tolerance = QUANTIZED_TOLERANCE if quantized else TOLERANCE
    # What is no number is no good either.
    wrong = int((~(differences <= tolerance)).sum())
    if wrong:
        raise Failed(
            f"The {format_name} export was not kept: loaded again, it gives {wrong} of {len(differences)} "
            f"{photos.kind} probabilities further than {tolerance} from the classifier's."
        )
    accuracy = None
    if photos.labels is not None:
        accuracy = {
            name: float((rows.argmax(axis=1) == photos.labels).mean())
            for name, rows in (("original", expected), ("export", found))
        }
    return {
        "photos_compared": len(differences),
        "largest_difference": float(differences.max()),
        "accuracy": accuracy,
    }


def in_batches(network: Network, pixels: np.ndarray) -> np.ndarray:
    """A network's probabilities (n, classes) of photos (n, height, width, 3); the first of them goes alone."""
    parts = np.split(pixels, range(1, len(pixels), NETWORK_BATCH))
    return np.concatenate([network(part) for part in parts])


def load_keras(file: Path) -> Network:
    """The network of a `.keras` or `.h5` file, in Keras."""
    return with_plain_ends(keras.models.load_model(file, compile=False)).predict_on_batch


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
