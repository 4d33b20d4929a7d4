"""Files of small classifiers, whole or as a stranger might have changed them."""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest

from catdog.classifier.building import build_classifier
from catdog.classifier.saving import describe_classifier, save_h5, save_keras
from catdog.errors import Refused
from catdog.inspection.model_files import check_model_file

PLAN, WEIGHTS = "config.json", "model.weights.h5"
PLAN_ATTRIBUTE = "model_config"
INFO = describe_classifier(["cats", "dogs"], 64, "starter", "conv5", 1.0, {"accuracy": 0.9}, {})


def small_network() -> keras.Model:
    """A network of 138 numbers with one layer of each kind that classifiers of this program have."""
    layers = keras.layers
    photo = keras.Input((None, None, 3), name="image")
    x = layers.Rescaling(1.0, offset=[-123.68, -116.779, -103.939], name="subtract_mean")(photo)
    x = layers.ZeroPadding2D(1, name="margin")(x)
    x = layers.Conv2D(4, 3, strides=2, name="convolution")(x)
    x = layers.BatchNormalization(name="normalization")(x)
    y = layers.Activation("relu", name="activation")(x)
    y = layers.Add(name="sum")([x, y])
    y = layers.MaxPooling2D(3, 2, name="maximum")(y)
    return build_classifier(keras.Model(photo, y), 2)


def write_small(folder: Path) -> dict[str, Path]:
    """The same small classifier in both formats, by their endings."""
    paths = {ending: folder / f"small.{ending}" for ending in ("keras", "h5")}
    save_keras(small_network(), INFO, paths["keras"])
    save_h5(small_network(), INFO, paths["h5"])
    return paths


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> dict[str, Path]:
    """A small classifier in both formats."""
    return write_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """A folder of its own for temporary files, of which none may stay behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def members(path: Path) -> dict[str, bytes]:
    """What is in a zip archive."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(path: Path, content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip archive with this content."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo("harmless")
            entry.filename = name  # afterwards, since ZipInfo makes names harmless
            entry.compress_type = compression
            archive.writestr(entry, data)
    return path


def with_plan(paths: dict[str, Path], ending: str, change: Callable[[dict[str, Any]], object], target: Path) -> Path:
    """The small classifier with another plan of its network."""
    if ending == "keras":
        content = members(paths["keras"])
        plan = json.loads(content[PLAN])
        change(plan)
        return write_members(target, content | {PLAN: json.dumps(plan).encode()})
    target.write_bytes(paths["h5"].read_bytes())
    with h5py.File(target, "a") as file:
        plan = json.loads(file.attrs[PLAN_ATTRIBUTE])
        change(plan)
        file.attrs[PLAN_ATTRIBUTE] = json.dumps(plan)
    return target


def with_weights(paths: dict[str, Path], ending: str, change: Callable[[h5py.File], object], target: Path) -> Path:
    """The small classifier with something else in the HDF5 file, or in the one inside the `.keras` file."""
    if ending == "keras":
        content = members(paths["keras"])
        weights = io.BytesIO(content[WEIGHTS])
        with h5py.File(weights, "a") as file:
            change(file)
        return write_members(target, content | {WEIGHTS: weights.getvalue()})
    target.write_bytes(paths["h5"].read_bytes())
    with h5py.File(target, "a") as file:
        change(file)
    return target


def layer_of(plan: dict[str, Any], name: str) -> dict[str, Any]:
    """The layer of that name in a plan."""
    (found,) = [layer for layer in plan["config"]["layers"] if layer["name"] == name]
    return found


def refused(path: Path) -> str:
    """The one sentence about a file that is refused; fails where something is left behind."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(Refused) as raised:
        check_model_file(path)
    text = str(raised.value)
    assert text.startswith(f"{path} ")
    about = text.removeprefix(f"{path} ")
    assert about.count(": ") == 1
    assert ". " not in about
    assert about.endswith(".")
    assert about.isprintable()
    assert len(about) < 300
    assert sorted(path.parent.rglob("*")) == before
    return about


def unwritten_array(file: h5py.File) -> None:
    file.create_dataset("other", (10**10,), "f4")


# Tells what a file says of pixels where this package isn't installed.
PLAIN_KERAS = """
import json, sys
sys.modules["catdog"] = None  # any import of it now fails
import keras, numpy as np
pixels = np.load(sys.argv[2])
print(json.dumps(keras.models.load_model(sys.argv[1], compile=False).predict(pixels, verbose=0).tolist()))
"""


def write_foreign(path, outputs=2, channels=3, activation="softmax"):
    image = keras.Input((None, None, channels))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    keras.Model(image, keras.layers.Dense(outputs, activation=activation)(pooled)).save(path)
