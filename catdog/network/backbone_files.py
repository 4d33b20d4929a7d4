"""Where the files of backbones are, their stages, and how many numbers can learn in each; told without TensorFlow."""

import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from catdog.files.folders import cache_folder
from catdog.places import WEIGHTS
from catdog.settings import BUNDLED, FREEZE_DEPTHS, STAGES

STARTER_FILE = WEIGHTS / "resnet50_half.keras"
# Bytes that are unpacked to be counted: a ResNet-50 has 0.2 million and 95 million of them.
LARGEST = {"config.json": 20_000_000, "model.weights.h5": 500_000_000}


@dataclass(frozen=True)
class Parameters:
    """How many numbers a backbone consists of."""

    learnable: tuple[int, ...]  # of each stage in STAGES; batch normalization, which never learns, left out
    fixed: int  # those of batch normalization
    channels: int  # of the feature map that the head reads

    def head(self, class_count: int) -> int:
        """Those of a head with so many outputs."""
        return (self.channels + 1) * class_count

    def total(self, class_count: int) -> int:
        """All of the backbone and its head."""
        return sum(self.learnable) + self.fixed + self.head(class_count)

    def learning(self, frozen_stages: int, class_count: int) -> int:
        """Those that learn where the first so many stages are frozen."""
        return sum(self.learnable[frozen_stages:]) + self.head(class_count)


# Of keras.applications.ResNet50 without its top, for as long as it wasn't downloaded.
IMAGENET_PARAMETERS = Parameters((9_472, 214_400, 1_216_000, 7_088_128, 14_953_472), 106_240, 2048)


def imagenet_file() -> Path:
    """Where the ImageNet backbone is kept once it was fetched."""
    return cache_folder() / "backbones" / "resnet50_imagenet.keras"


def frozen_stages(freeze_depth: str, fine_tune_epochs: int) -> int:
    """How many stages stay frozen to the end: all of them where nothing is fine-tuned."""
    return FREEZE_DEPTHS.index(freeze_depth) if fine_tune_epochs else len(STAGES)


def last_layers(names: Sequence[str]) -> dict[str, str]:
    """The name of each stage's last layer, among a backbone's; raises `ValueError` where a stage is missing."""
    ends = {}
    for stage in STAGES:
        pattern = r"pool1_pool" if stage == "conv1" else rf"{stage}_block(\d+)_out"
        found = [name for name in names if re.fullmatch(pattern, name)]
        if not found:
            raise ValueError(f"it has no layer that ends {stage}")
        ends[stage] = max(found, key=lambda name: int(re.sub(r"\D", "", name.removeprefix(stage)) or 0))
    return ends


def stages_of_layers(names: Sequence[str]) -> dict[str, int]:
    """The number of the stage, 0 for conv1 to 4 for conv5, of each layer before the head, in working order.

    Raises `ValueError` where a stage is missing.
    """
    ends = last_layers(names)
    stages = {}
    current = 0
    for name in names:
        stages[name] = current
        if name == ends[STAGES[current]]:
            current += 1
            if current == len(STAGES):
                break
    return stages


def find_parameters(source: str) -> Parameters | None:
    """The parameters of the backbone of a name in BACKBONES or of a file's path; None where they can't be told."""
    path = STARTER_FILE if source == BUNDLED else imagenet_file() if source in ("auto", "imagenet") else Path(source)
    try:
        about = path.stat()
    except (OSError, ValueError):
        return IMAGENET_PARAMETERS if source in ("auto", "imagenet") else None
    return read_parameters(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=32)
def read_parameters(path: Path, changed: int, size_bytes: int) -> Parameters | None:
    """The parameters of a backbone file, as long as it was last changed then; None where it is damaged or none."""
    try:
        return count_parameters(path)
    except Exception:  # A damaged archive raises whatever its damage leads to.
        return None


def count_parameters(path: Path) -> Parameters:
    """Count a backbone file's parameters; raises what a file that is none leads to."""
    with zipfile.ZipFile(path) as archive:
        for name, largest in LARGEST.items():
            if archive.getinfo(name).file_size > largest:
                raise ValueError(f"its {name} is too large")
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
        shapes = dict(shapes_by_layer(archive.read("model.weights.h5")))
    stages = stages_of_layers([layer["name"] for layer in layers])
    learnable, fixed, channels = [0] * len(STAGES), 0, 0
    for layer in layers:
        count = sum(math.prod(shape) for shape in shapes.get(layer["name"], ()))
        if layer["name"] in stages and layer["class_name"] != "BatchNormalization":
            learnable[stages[layer["name"]]] += count
            channels = shapes[layer["name"]][0][-1] if count else channels
        else:
            fixed += count
    return Parameters(tuple(learnable), fixed, channels)


def shapes_by_layer(weights: bytes) -> Iterator[tuple[str, list[tuple[int, ...]]]]:
    """The name of each layer with variables, and their shapes, from the content of a `model.weights.h5`."""
    import h5py

    with h5py.File(io.BytesIO(weights), "r") as file:
        # The groups are named by kind and number; which layer one belongs to, it says itself.
        for group in file["layers"].values():
            variables = group["vars"]
            if len(variables):
                yield variables.attrs["name"], [variables[key].shape for key in sorted(variables, key=int)]
