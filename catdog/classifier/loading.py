"""Where a classifier is found and loaded from: a run's folder, a file, or what ships with the package."""

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from catdog.classifier.building import build_classifier
from catdog.classifier.bundled_files import CENTRES_FILE, DESCRIPTION_FILE, HEAD_FILE
from catdog.classifier.novelty import REFERENCE_FILE, read_reference
from catdog.classifier.prediction import Classifier
from catdog.errors import Failed, Refused, ran_out_of_memory
from catdog.files.json_files import read_json
from catdog.inspection.model_trial import look_through
from catdog.network.backbone import load_backbone_file
from catdog.network.backbone_files import STARTER_FILE
from catdog.plain_text import one_line
from catdog.runs.run_folder import H5_FILE, INFO_FILE, KERAS_FILE
from catdog.settings import BUNDLED, SETTINGS, checked


def load_classifier(source: Path | str) -> Classifier:
    """The classifier of a run's folder, a `.keras` or `.h5` file, or `starter` for the bundled one.

    Raises `Refused` with what is wrong with it. A file that isn't a run's own is looked through first, in a second.
    """
    path = Path(source)
    of_a_run = path.is_dir()
    if str(source) == BUNDLED and not path.exists():
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


def load_bundled() -> Classifier:
    """The bundled classifier, put together from the starter and the stored numbers."""
    description = read_json(DESCRIPTION_FILE)
    model = build_classifier(load_backbone_file(STARTER_FILE), len(description["class_names"]))
    with np.load(HEAD_FILE) as head:
        model.get_layer("logits").set_weights([head["kernel"], head["bias"]])
        channels = len(head["kernel"])
    return Classifier(model, description, read_reference(CENTRES_FILE, channels))


def load_file(path: Path) -> Classifier:
    """The classifier in a `.keras` or `.h5` file that is known to be harmless; raises `Refused` where it is damaged."""
    try:
        info = read_info(path)
        model = with_plain_ends(keras.models.load_model(path, compile=False))
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


def with_plain_ends(model: keras.Model) -> keras.Model:
    """The model with one input and one output where it has lists of one, as `.h5` files give; others as they are."""
    if not isinstance(model, keras.Model) or not isinstance(model.output, list) or len(model.outputs) != 1:
        return model
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


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
