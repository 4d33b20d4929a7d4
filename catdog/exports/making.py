"""A classifier handed on: written in another format, loaded again, compared with itself, and only then kept."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from catdog.errors import Failed, Refused, Stopped
from catdog.exports.export_jobs import COMPARED, Wanted, find_export, wanted_in
from catdog.exports.formats import FORMATS, Export, check_choice, file_name
from catdog.files.json_files import write_json
from catdog.files.shelves import readable_size
from catdog.runs.run_folder import Run
from catdog.settings import TrainConfig

ROOM = 3  # times the weights' float32 bytes: a SavedModel on the way, the export, and as much to spare


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
        # Only now, since a choice or a place that is wrong is said without TensorFlow.
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


def make(config: TrainConfig, run: Run) -> dict[str, Any]:
    """Make the export that a process's folder names, unless it is there already; the settings have no part in it."""

    def tell(sentence: str) -> None:
        if run.stop_requested():
            raise Stopped("Stopped before it was made.")
        run.set_state("running", sentence)

    with run.working():
        try:
            wanted = Wanted(**wanted_in(run.folder))
        except TypeError:
            raise Refused(f"{run.folder / 'config.json'} is damaged: start the export once more.") from None
        export = find_export(wanted) or write_wanted(wanted, tell)
        run.set_state("done")
    return asdict(export)


def write_wanted(wanted: Wanted, tell: Callable[[str], object]) -> Export:
    """Write an export and how it compared, in place of an older one."""
    wanted.folder.mkdir(parents=True, exist_ok=True)
    for path in (wanted.record, wanted.file):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        # Left by a process that was killed while it packed it.
        shutil.rmtree(wanted.made)
    export = export_classifier(wanted.source, wanted.format, wanted.made, wanted.quantize, tell)
    if wanted.made.is_dir():
        shutil.make_archive(str(wanted.made), "zip", wanted.folder, wanted.made.name)
        shutil.rmtree(wanted.made)
    write_json(wanted.record, {key: asdict(export)[key] for key in COMPARED})
    return export
