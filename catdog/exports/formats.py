"""The formats that a classifier can be handed on in: who takes each, what it needs, and how to use it."""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from string import Template

from catdog.errors import Refused
from catdog.figures import percent
from catdog.places import how_to_install
from catdog.runs.run_folder import H5_FILE, KERAS_FILE

SNIPPETS = Path(__file__).parent / "snippets"
QUANTIZED_FILE = "cat_dog_classifier_int8.tflite"
QUANTIZER = "litert_quantizer"


@dataclass(frozen=True)
class Format:
    """What a format is called, who takes it, and what it needs."""

    title: str
    purpose: str
    file_name: str  # of an export that nobody named; its ending is that of every file in the format
    packages: str  # what whoever uses an export has to install
    modules: tuple[str, ...] = ()  # what writing and checking it takes beyond what Catdog needs anyway


FORMATS = {
    "keras": Format(
        "Keras",
        "the file of Keras itself, which can also train it further",
        KERAS_FILE,
        "tensorflow pillow",
    ),
    "h5": Format(
        "HDF5",
        "the older file of Keras, which many tutorials load",
        H5_FILE,
        "tensorflow h5py pillow",
    ),
    "savedmodel": Format(
        "SavedModel",
        "a folder for TensorFlow alone, in Python, C++, Java or TensorFlow Serving",
        "cat_dog_classifier_savedmodel",
        "tensorflow pillow",
    ),
    "litert": Format(
        "LiteRT",
        "what was called TensorFlow Lite, for phones and small devices",
        "cat_dog_classifier.tflite",
        "ai-edge-litert pillow",
        ("ai_edge_litert",),
    ),
    "onnx": Format(
        "ONNX",
        "a file for ONNX Runtime, in many languages and in browsers",
        "cat_dog_classifier.onnx",
        "onnxruntime pillow",
        ("onnx", "onnxruntime"),
    ),
}


@dataclass(frozen=True)
class Export:
    """What was written, and how it compared with the classifier that it was made from."""

    file: str
    format: str
    quantized: bool
    bytes: int
    photos_compared: int
    # Of any probability of any of these photos.
    largest_difference: float
    # Shares of "original" and "export" on these photos; None where they are drawings.
    accuracy: dict[str, float] | None

    @property
    def sentence(self) -> str:
        """How it compared, for people."""
        kind = "drawings" if self.accuracy is None else "photos"
        most = max(math.ceil(self.largest_difference * 10_000), 1) / 10_000
        compared = (
            f"Loaded again and asked about {self.photos_compared:,} {kind}, it gives the classifier's probabilities"
        )
        if self.accuracy is None:
            return f"{compared} to within {most:.4f}."
        before, after = percent(self.accuracy["original"]), percent(self.accuracy["export"])
        return f"{compared} to within {most:.4f}; accuracy on them {after}, the classifier's {before}."


def file_name(format_name: str, quantize: bool) -> str:
    """What an export is called that nobody named."""
    return QUANTIZED_FILE if quantize else FORMATS[format_name].file_name


def snippet(format_name: str, file: str, photo: str = "photo.jpg") -> str:
    """Ten lines of Python that say what an export, at this path, makes of a photo, where Catdog isn't installed."""
    template = Template((SNIPPETS / f"{format_name}.txt").read_text(encoding="utf-8"))
    return template.substitute(file=repr(file), photo=repr(photo))


def check_choice(format_name: str, quantize: bool) -> None:
    """Raise `Refused` where there is no such format, where it can't be quantized, or where a package is missing."""
    if format_name not in FORMATS:
        raise Refused(f"There is no export format {format_name}: choose one of {', '.join(FORMATS)}.")
    if quantize and format_name != "litert":
        raise Refused(f"Only a litert export can be quantized: leave out --quantize for {format_name}.")
    needed = FORMATS[format_name].modules + (QUANTIZER,) * quantize
    missing = next((name for name in needed if find_spec(name) is None), None)
    if missing:
        what = "A quantized litert export" if missing == QUANTIZER else f"The {format_name} export"
        raise Refused(f"{what} needs {missing}, which is not installed: {how_to_install('export')} gets it.")
