"""The new head, and a saved classifier: put together, written, loaded, and asked about photos."""

import json
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras.src.legacy.saving.legacy_h5_format import save_model_to_hdf5

from catdog.classifier.heatmaps import difference_maps
from catdog.classifier.novelty import REFERENCE_FILE, Reference, read_reference
from catdog.classifier.verdicts import UNSURE_BELOW, verdict_of
from catdog.errors import Failed, Refused, ran_out_of_memory
from catdog.files.json_files import read_json
from catdog.files.storage import Place
from catdog.files.whole_files import draft_of
from catdog.inspection.model_trial import look_through
from catdog.network.activations import NETWORK_BATCH, compiled
from catdog.photos.reading import ReadPhoto, read_ahead
from catdog.plain_text import one_line
from catdog.runs.run_folder import H5_FILE, INFO_FILE, KERAS_FILE
from catdog.settings import BUNDLED, SETTINGS, checked

FORMAT = 1
RESIZE = "bilinear, aspect ratio not kept"
DROPOUT = 0.2
# Photos that are answered together. What a network makes of a few stays near the processor: the half-width one answers
# at least as many photos a second as with 32, in a fifth of the memory.
ANSWER_BATCH = 4


def build_classifier(backbone: keras.Model, class_count: int) -> keras.Model:
    """The backbone with a new softmax layer: float32 RGB from 0 to 255 in, (n, class_count) probabilities out."""
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(backbone.output)
    x = keras.layers.Dropout(DROPOUT, name="dropout")(x)
    x = keras.layers.Dense(class_count, name="logits")(x)
    x = keras.layers.Softmax(name="probabilities")(x)
    return keras.Model(backbone.inputs[0], x, name="cat_dog_classifier")


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
    with draft_of(path) as draft:
        model.save(draft)
        with zipfile.ZipFile(draft, "a") as archive:
            archive.writestr(INFO_FILE, json.dumps(info))


def save_h5(model: keras.Model, info: dict[str, Any], path: Path) -> None:
    """Write the model as a legacy `.h5` file, whole or not at all, with its `classifier.json` as an attribute."""
    # In memory first: where the disk is full, HDF5 would end the whole process as it closes the file.
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        save_model_to_hdf5(model, file, include_optimizer=False)
        file.attrs[INFO_FILE] = json.dumps(info)
        file.flush()
        content = file.id.get_file_image()
    with draft_of(path) as draft:
        draft.write_bytes(content)


def load_classifier(source: Path | str) -> Classifier:
    """The classifier of a run's folder, a `.keras` or `.h5` file, or `starter` for the bundled one.

    Raises `Refused` with what is wrong with it. A file that isn't a run's own is looked through first, in a second.
    """
    path = Path(source)
    of_a_run = path.is_dir()
    if str(source) == BUNDLED and not path.exists():
        from catdog.classifier.bundled import load_bundled

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
        if ran_out_of_memory(error):
            raise Failed(f"There was not enough memory to load {path}: end something else first.") from None
        raise Refused(f"{path} can't be loaded as a Keras model ({type(error).__name__}).") from None
    classifier = Classifier(model, check_info(model, info, path))
    # It lies beside a run's files; what lies beside another file is another's.
    if path.name in (KERAS_FILE, H5_FILE) and classifier.shows_why:
        beside = path.with_name(REFERENCE_FILE)
        classifier.reference = read_reference(beside, len(classifier.head()[0]))
        if classifier.reference is None and beside.exists():
            classifier.note = f"{beside} is damaged: no photo is found to be neither."
    return classifier


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
    shown = isinstance(names, list) and all(isinstance(name, str) and name == one_line(name) for name in names)
    if not shown or not all(names):
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
