"""A classifier's files: written whole or not at all, with what there is to know of it inside."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
from keras.src.legacy.saving.legacy_h5_format import save_model_to_hdf5

from catdog.files.whole_files import draft_of
from catdog.network.plain_files import save_plainly
from catdog.network.plain_plans import keras_2_plan
from catdog.runs.run_folder import INFO_FILE

FORMAT = 1
RESIZE = "bilinear, aspect ratio not kept"


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
        save_plainly(model, draft)
        with zipfile.ZipFile(draft, "a") as archive:
            archive.writestr(INFO_FILE, json.dumps(info))


def save_h5(model: keras.Model, info: dict[str, Any], path: Path) -> None:
    """Write the model as a legacy `.h5` file, whole or not at all, with its `classifier.json` as an attribute."""
    # In memory first: where the disk is full, HDF5 would end the whole process as it closes the file.
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        save_model_to_hdf5(model, file, include_optimizer=False)
        file.attrs["model_config"] = json.dumps(keras_2_plan(json.loads(file.attrs["model_config"])))
        file.attrs[INFO_FILE] = json.dumps(info)
        file.flush()
        content = file.id.get_file_image()
    with draft_of(path) as draft:
        draft.write_bytes(content)
