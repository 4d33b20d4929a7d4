"""A classifier handed on: written in another format, loaded again, compared with itself, and only then kept."""

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

from catdog.errors import Failed, Refused
from catdog.figures import percent
from catdog.files.shelves import readable_size
from catdog.runs.run_folder import H5_FILE, KERAS_FILE

SNIPPETS = Path(__file__).parent / "snippets"
REQUIREMENTS_FILE = "requirements-export.txt"
QUANTIZED_FILE = "cat_dog_classifier_int8.tflite"
QUANTIZER = "litert_quantizer"
ROOM = 3  # times the weights' float32 bytes: a SavedModel on the way, the export, and as much to spare


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
        raise Refused(f"{what} needs {missing}, which is not installed: pip install -r {REQUIREMENTS_FILE} gets it.")


def check_target(format_name: str, target: Path) -> None:
    """Raise `Refused` where something is in the way of an export, or its name has the ending of something else."""
    ending = Path(FORMATS[format_name].file_name).suffix
    if ending and target.suffix.lower() != ending:
        raise Refused(f"A name for {FORMATS[format_name].title} ends in {ending}, not as {target} does.")
    if target.exists() or target.is_symlink():
        raise Refused(f"{target} is there already: name another with --out.")
    if not target.parent.is_dir():
        raise Refused(f"There is no folder {target.parent} to put the export in.")


def export_classifier(
    source: Path | str,
    format_name: str,
    out: Path | str | None = None,
    quantize: bool = False,
    tell: Callable[[str], object] = lambda sentence: None,
) -> Export:
    """Write the classifier of a run's folder, of a file or named `starter` in another format, whole or not at all.

    Calls `tell` with a sentence as each part of the work begins. Raises `Refused` before it starts, and `Failed`
    where the export can't be written or gives other probabilities; nothing is left behind then.
    """
    check_choice(format_name, quantize)
    target = Path(out if out is not None else file_name(format_name, quantize))
    check_target(format_name, target)
    with draft_beside(target) as draft:
        tell("Loading the classifier ...")
        from catdog.classifier.loading import load_classifier
        from catdog.exports.converters import write
        from catdog.exports.round_trips import compare, find_photos

        classifier = load_classifier(source)
        check_room(target.parent, ROOM * 4 * classifier.model.count_params())
        photos = find_photos(source, classifier)
        tell(f"Writing it as {FORMATS[format_name].title} ...")
        write(classifier, format_name, quantize, draft)
        tell(f"Comparing it on {len(photos.pixels)} {photos.kind} ...")
        compared: dict[str, Any] = compare(classifier, format_name, quantize, draft, photos)
        size = size_of(draft)
        # Something may have appeared there meanwhile.
        check_target(format_name, target)
        draft.rename(target)
    return Export(str(target), format_name, quantize, size, **compared)


@contextmanager
def draft_beside(target: Path) -> Iterator[Path]:
    """A path of the same name, on the same disk, in a folder that is gone afterwards with all that was left in it.

    Raises `Refused` where no such folder can be made, and `Failed` where a file can't be written later.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent)
    except OSError as error:
        raise Refused(f"Nothing can be written to {target.parent} ({error.strerror}): name another folder.") from None
    with folder:
        try:
            yield Path(folder.name, target.name)
        except OSError as error:
            raise Failed(f"The export could not be written ({error.strerror or error}).") from None


def check_room(folder: Path, needed: int) -> None:
    """Raise `Refused` where the disk has fewer bytes left; HDF5 ends the whole process if it runs out of them."""
    left = shutil.disk_usage(folder).free
    if left < needed:
        raise Refused(
            f"The export takes up to {readable_size(needed)} while it is made, and {readable_size(left)} are left "
            f"on the disk of {folder}: make room, or name another place."
        )


def size_of(file: Path) -> int:
    """The bytes of an export, be it a file or a folder."""
    files = [file] if file.is_file() else [path for path in file.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)
