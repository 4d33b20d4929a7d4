"""A classifier handed on: written in another format, loaded again, compared with itself, and only then offered."""

import argparse
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TextIO

from catdog.errors import Failed, Refused
from catdog.figures import percent
from catdog.json_files import write_json
from catdog.runs import H5_FILE, KERAS_FILE
from catdog.shelves import readable_size

SNIPPETS = Path(__file__).parent / "snippets"
REQUIREMENTS = "requirements-export.txt"


@dataclass(frozen=True)
class Format:
    """What an export is called, and which modules it takes to write and to use it beyond what Catdog needs anyway."""

    title: str
    file_name: str  # of an export that nobody named; its ending is that of every file in the format
    modules: tuple[str, ...]
    packages: str  # what whoever uses an export has to install

    @property
    def ending(self) -> str:
        """The ending of a file's name; empty for a format that is a folder."""
        return Path(self.file_name).suffix


FORMATS = {
    "keras": Format("Keras", KERAS_FILE, (), "tensorflow pillow"),
    "h5": Format("HDF5", H5_FILE, (), "tensorflow h5py pillow"),
    "savedmodel": Format("SavedModel", "cat_dog_classifier_savedmodel", (), "tensorflow pillow"),
    "litert": Format("LiteRT", "cat_dog_classifier.tflite", ("ai_edge_litert",), "ai-edge-litert pillow"),
    "onnx": Format("ONNX", "cat_dog_classifier.onnx", ("tf2onnx", "onnx", "onnxruntime"), "onnxruntime pillow"),
}
QUANTIZED_FILE_NAME = "cat_dog_classifier_int8.tflite"
QUANTIZER = "litert_quantizer"


@dataclass(frozen=True)
class Export:
    """What was written, and how it compared with the classifier that it was made from."""

    file: str
    format: str
    bytes: int
    quantized: bool
    # Of any probability of any photo.
    largest_difference: float
    photos_compared: int
    # Shares of "original" and "export" on these photos; None where they are drawings.
    accuracy: dict[str, float] | None

    @property
    def sentence(self) -> str:
        """How it compared, for people."""
        kind = "drawings" if self.accuracy is None else "photos"
        text = (
            f"Loaded again, it gives {self.photos_compared} {kind} the classifier's probabilities to "
            f"{max(self.largest_difference, 1e-6):.6f}"
        )
        if self.accuracy is None:
            return f"{text}."
        return (
            f"{text}; accuracy on them {percent(self.accuracy['export'])}, {percent(self.accuracy['original'])} before."
        )

    @property
    def snippet(self) -> str:
        """Ten lines of Python that use it where Catdog isn't installed."""
        return snippet(self.format, self.file)


def snippet(format_name: str, file: str, photo: str = "photo.jpg") -> str:
    """Ten lines of Python that say what an export, at this path, makes of a photo."""
    template = Template((SNIPPETS / f"{format_name}.txt").read_text(encoding="utf-8"))
    return template.substitute(file=repr(file), photo=repr(photo))


def check_choice(format_name: str, quantize: bool) -> Format:
    """The format of a name; raises `Refused` where there is none, or where what it takes is not installed."""
    chosen = FORMATS.get(format_name)
    if chosen is None:
        raise Refused(f"There is no export format {format_name}: choose one of {', '.join(FORMATS)}.")
    if quantize and format_name != "litert":
        raise Refused(f"Only a litert export can be quantized: leave out --quantize for {format_name}.")
    missing = [name for name in chosen.modules + (QUANTIZER,) * quantize if find_spec(name) is None]
    if missing:
        what = "A quantized litert export" if missing == [QUANTIZER] else f"The {format_name} export"
        raise Refused(f"{what} needs {missing[0]}, which is not installed: pip install -r {REQUIREMENTS} gets it.")
    return chosen


def choose_target(chosen: Format, out: Path | str | None, quantize: bool) -> Path:
    """Where an export goes; raises `Refused` where something is in the way or the name has another ending."""
    target = Path(out if out is not None else QUANTIZED_FILE_NAME if quantize else chosen.file_name)
    if target.suffix.lower() != chosen.ending and chosen.ending:
        raise Refused(f"The name of a {chosen.title} file ends in {chosen.ending}, not as {target} does.")
    require_absent(target)
    if not target.parent.is_dir():
        raise Refused(f"There is no folder {target.parent} to put the export in.")
    return target


def require_absent(target: Path) -> None:
    """Raise `Refused` where an export, or its description, would take the place of something."""
    for path in (target, description_of(target)):
        if path.exists() or path.is_symlink():
            raise Refused(f"{path} is there already: name another file with --out.")


def description_of(file: Path) -> Path:
    """The JSON file beside an export: class names, image size, how to resize, and what it was made from."""
    return file.with_name(f"{file.name}.json")


def export_classifier(
    source: Path | str,
    format_name: str,
    out: Path | str | None = None,
    quantize: bool = False,
    tell: Callable[[str], object] = lambda sentence: None,
) -> Export:
    """Write the classifier of a run's folder, of a file or of the name `starter` in another format, whole or not at all.

    Calls `tell` with a sentence for each part of the work. Raises `Refused` before it starts, and `Failed` where
    what was written doesn't give the same probabilities, or can't be written; nothing is left behind then.
    """
    chosen = check_choice(format_name, quantize)
    target = choose_target(chosen, out, quantize)
    tell("Loading the classifier ...")
    from catdog.classifier import load_classifier

    classifier = load_classifier(source)
    from catdog.converters import describe, write
    from catdog.round_trips import compare, find_photos

    photos = find_photos(source, classifier)
    with draft_beside(target) as draft:
        tell(f"Writing it as {chosen.title} ...")
        about = describe(classifier, format_name, quantize)
        write(classifier, about, format_name, draft, quantize)
        tell(f"Comparing it on {len(photos.pixels)} {photos.kind} ...")
        compared = compare(classifier, format_name, draft, photos, quantize)
        write_json(description_of(draft), about)
        size = size_of(draft)
        move_whole(draft, target)
    return Export(str(target), format_name, size, quantize, **compared)


@contextmanager
def draft_beside(target: Path) -> Iterator[Path]:
    """A path of the same name in a folder that is gone afterwards, on the same disk; raises `Failed`."""
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
            yield Path(folder, target.name)
    except OSError as error:
        raise Failed(f"The export could not be written ({error.strerror or error}).") from None


def move_whole(draft: Path, target: Path) -> None:
    """Move an export and its description to where they belong, both or neither."""
    # Something may have appeared there meanwhile.
    require_absent(target)
    description = description_of(target)
    description_of(draft).rename(description)
    try:
        draft.rename(target)
    except OSError:
        description.unlink()
        raise


def size_of(file: Path) -> int:
    """The bytes of an export, be it a file or a folder."""
    files = [file] if file.is_file() else [path for path in file.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


def zip_folder(folder: Path, archive: Path) -> None:
    """Pack a SavedModel's folder into a zip archive that unpacks to one folder of that name."""
    draft = archive.with_name(f".{archive.name}")
    try:
        # Weights hardly get smaller by being compressed.
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as opened:
            for path in sorted(folder.rglob("*")):
                opened.write(path, Path(folder.name, path.relative_to(folder)))
        draft.replace(archive)
    finally:
        draft.unlink(missing_ok=True)


def export_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Export a classifier, and print what was written, how it compared, and how to use it."""
    export = export_classifier(
        arguments.model,
        arguments.format,
        arguments.out,
        arguments.quantize,
        lambda sentence: print(sentence, file=console, flush=True),
    )
    if arguments.json:
        print(json.dumps(asdict(export)))
        return 0
    print(
        f"Wrote {export.file} ({readable_size(export.bytes)}), and {description_of(Path(export.file)).name} beside it."
    )
    print(export.sentence)
    print(f"\nTo use it without Catdog (pip install {FORMATS[export.format].packages}):\n\n{export.snippet}", end="")
    return 0


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("model", metavar="MODEL", help="A run's folder, a .keras or .h5 file, or starter.")
    parser.add_argument("--format", choices=list(FORMATS), required=True, help="What to write.")
    parser.add_argument("--quantize", action="store_true", help="For litert: 8-bit weights, a third of the size.")
    names = ", ".join(each.file_name for each in FORMATS.values())
    parser.add_argument(
        "--out", metavar="FILE", help=f"What to write to; must not be there. Default, by format: {names}"
    )
    parser.add_argument("--json", action="store_true", help="Print what was written as one JSON object.")
