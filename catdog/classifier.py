"""The new head, and a saved classifier: put together, written, loaded, and asked about photos."""

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from catdog.activations import NETWORK_BATCH, compiled
from catdog.errors import Refused
from catdog.json_files import read_json
from catdog.model_trial import look_through
from catdog.photos import ReadPhoto, read_ahead
from catdog.runs import H5_FILE, INFO_FILE, KERAS_FILE
from catdog.settings import BUNDLED, SETTINGS, checked

FORMAT = 1
RESIZE = "bilinear, aspect ratio not kept"
DROPOUT = 0.2


def build_classifier(backbone: keras.Model, class_count: int) -> keras.Model:
    """The backbone with a new softmax layer: float32 RGB from 0 to 255 in, (n, class_count) probabilities out."""
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(backbone.output)
    x = keras.layers.Dropout(DROPOUT, name="dropout")(x)
    x = keras.layers.Dense(class_count, name="logits")(x)
    x = keras.layers.Softmax(name="probabilities")(x)
    return keras.Model(backbone.inputs[0], x, name="cat_dog_classifier")


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one photo; all but the source is None where it could not be read."""

    source: Path | str | bytes
    label: str | None
    verdict: str | None
    probabilities: dict[str, float] | None
    reason: str | None

    @property
    def error(self) -> str | None:
        """A sentence that names the photo and the reason why it could not be read."""
        name = "The photo" if isinstance(self.source, bytes) else self.source
        return None if self.reason is None else f"{name}: {self.reason}."


class Classifier:
    """A trained network with its class names and image size."""

    def __init__(self, model: keras.Model, info: dict[str, Any]):
        self.model = model
        self.info = info
        self.class_names: tuple[str, ...] = tuple(info["class_names"])
        self.image_size: int = info["image_size"]

    @cached_property
    def run(self) -> Callable[[np.ndarray], list[tf.Tensor]]:
        """The network as one compiled function of uint8 photos, made when it is first asked for."""
        return compiled(self.model)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Float32 probabilities (n, classes) of uint8 photos (n, image_size, image_size, 3)."""
        return self.run(pixels)[0].numpy()

    def feature_maps(self, pixels: np.ndarray) -> np.ndarray:
        """What the head pools, float32 (n, rows, columns, channels), of uint8 photos (n, image_size, image_size, 3)."""
        pooled = self.model.get_layer("pooled")
        run = compiled(keras.Model(self.model.inputs[0], pooled.input))
        parts = [pixels[start : start + NETWORK_BATCH] for start in range(0, len(pixels), NETWORK_BATCH)]
        return np.concatenate([run(part)[0].numpy() for part in parts])

    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """The weights (channels, classes) and the bias (classes,) that lead from pooled features to logits."""
        weights, bias = self.model.get_layer("logits").get_weights()
        return weights, bias

    def read_and_classify(self, sources: Iterable[Path | str | bytes]) -> Iterator[tuple[ReadPhoto, np.ndarray | None]]:
        """Each photo as it was read, in order, with its probabilities (classes,), or None where it is unreadable."""
        waiting: list[ReadPhoto] = []
        for photo in read_ahead(sources, self.image_size):
            waiting.append(photo)
            if len(waiting) == NETWORK_BATCH:
                yield from self.classify_batch(waiting)
                waiting = []
        yield from self.classify_batch(waiting)

    def classify_batch(self, photos: list[ReadPhoto]) -> Iterator[tuple[ReadPhoto, np.ndarray | None]]:
        """Each of these photos with its probabilities, the readable ones in one pass through the network."""
        readable = [photo.pixels for photo in photos if photo.pixels is not None]
        rows = iter(self.probabilities(np.stack(readable)) if readable else ())
        for photo in photos:
            yield photo, None if photo.pixels is None else next(rows)

    def classify(self, sources: Iterable[Path | str | bytes]) -> Iterator[Prediction]:
        """A prediction for each photo (a path, or a file's bytes), in order, as they come out of the network."""
        for photo, row in self.read_and_classify(sources):
            if row is None:
                yield Prediction(photo.source, None, None, None, photo.reason)
            else:
                label = self.class_names[row.argmax()]
                probabilities = dict(zip(self.class_names, map(float, row), strict=True))
                yield Prediction(photo.source, label, label, probabilities, None)


def scale_logits(model: keras.Model, temperature: float) -> None:
    """Divide a classifier's logits by a temperature, for good."""
    head = model.get_layer("logits")
    head.set_weights([values / np.float32(temperature) for values in head.get_weights()])


def describe_classifier(
    class_names: Sequence[str],
    image_size: int,
    backbone: str,
    freeze_depth: str,
    temperature: float,
    metrics: dict,
    versions: dict,
) -> dict[str, Any]:
    """What `classifier.json` says of a classifier."""
    return {
        "format": FORMAT,
        "class_names": list(class_names),
        "image_size": image_size,
        "resize": RESIZE,
        "backbone": backbone,
        "freeze_depth": freeze_depth,
        "temperature": temperature,
        "metrics": metrics,
        "versions": versions,
    }


def save_keras(model: keras.Model, info: dict[str, Any], path: Path) -> None:
    """Write the model as a `.keras` file, whole or not at all, with its `classifier.json` inside the archive."""
    draft = path.with_name(f".draft.{path.name}")
    model.save(draft)
    with zipfile.ZipFile(draft, "a") as archive:
        archive.writestr(INFO_FILE, json.dumps(info))
    draft.replace(path)


def save_h5(model: keras.Model, info: dict[str, Any], path: Path) -> None:
    """Write the model as a legacy `.h5` file, whole or not at all, with its `classifier.json` as an attribute."""
    draft = path.with_name(f".draft.{path.name}")
    model.save(draft)
    with h5py.File(draft, "a") as file:
        file.attrs[INFO_FILE] = json.dumps(info)
    draft.replace(path)


def load_classifier(source: Path | str) -> Classifier:
    """The classifier of a run's folder, a `.keras` or `.h5` file, or `starter` for the bundled one.

    Raises `Refused` with what is wrong with it. A file that isn't a run's own is looked through first, in a second.
    """
    path = Path(source)
    of_a_run = path.is_dir()
    if str(source) == BUNDLED and not path.exists():
        from catdog.bundled import load_bundled

        return load_bundled()
    if of_a_run:
        found = [path / name for name in (KERAS_FILE, H5_FILE) if (path / name).is_file()]
        if not found:
            raise Refused(f"There is no classifier in {path}: train one there, or name a .keras or .h5 file.")
        path = found[0]
    if not path.is_file():
        raise Refused(f"There is no classifier {source}: name a run's folder, a .keras or .h5 file, or starter.")
    if path.suffix.lower() not in (".keras", ".h5"):
        raise Refused(f"{path} is not a classifier: a run's folder, a .keras or .h5 file, or starter is.")
    if not of_a_run:
        look_through(path)
    return load_file(path)


def load_file(path: Path) -> Classifier:
    """The classifier in a `.keras` or `.h5` file that is known to be harmless; raises `Refused` where it is damaged."""
    try:
        info = read_info(path)
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras, zipfile and h5py raise whatever they meet in a file that isn't theirs.
        raise Refused(f"{path} can't be loaded as a Keras model ({type(error).__name__}).") from None
    return Classifier(model, check_info(model, info, path))


def read_info(path: Path) -> dict[str, Any]:
    """The `classifier.json` inside a classifier's file, else the one beside it, else nothing."""
    text = None
    if path.suffix.lower() == ".h5":
        with h5py.File(path, "r") as file:
            text = file.attrs.get(INFO_FILE)
    else:
        with zipfile.ZipFile(path) as archive:
            if INFO_FILE in archive.namelist():
                text = archive.read(INFO_FILE).decode()
    info = json.loads(text) if text else read_json(path.with_name(INFO_FILE))
    return info if isinstance(info, dict) else {}


def check_info(model: keras.Model, info: dict[str, Any], path: Path) -> dict[str, Any]:
    """A classifier's description made whole; raises `Refused` where the model is none or contradicts it."""
    one_each = isinstance(model, keras.Model) and len(model.inputs) == len(model.outputs) == 1
    if not one_each or len(model.inputs[0].shape) != 4 or model.inputs[0].shape[-1] != 3:
        raise Refused(f"{path} is not a classifier of photos: its input is not (height, width, 3) per photo.")
    shape = model.outputs[0].shape
    if len(shape) != 2 or (shape[1] or 0) < 2:
        raise Refused(f"{path} is not a classifier: its output is not one probability per class.")
    names = info.get("class_names") or [f"class {number}" for number in range(1, shape[1] + 1)]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise Refused(f"The classifier.json of {path} is damaged: its class names are not a list of names.")
    if len(names) != shape[1] or len(set(names)) != len(names):
        raise Refused(f"{path} has {shape[1]} outputs, but its classifier.json names {len(set(names))} classes.")
    fixed_size = model.inputs[0].shape[1]
    image_size = info.get("image_size") or fixed_size or SETTINGS["image_size"].default
    try:
        image_size = checked(SETTINGS["image_size"], image_size)
    except Refused as error:
        raise Refused(f"The classifier.json of {path} is damaged: {error}") from None
    if fixed_size not in (None, image_size):
        raise Refused(f"{path} takes photos of {fixed_size} pixels, but its classifier.json says {image_size}.")
    found = {"backbone": "unknown", "freeze_depth": "unknown", "metrics": {}, **info}
    return found | {"class_names": names, "image_size": image_size}
