"""Exports that a page asks for: each made by a process of its own, which waits in line with the runs, and found again.

What is made lies in the run's folder, or for the bundled classifier below the cache folder, with how it compared.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catdog.classifier.bundled_files import DESCRIPTION_FILE
from catdog.exports.formats import Export, check_choice, file_name
from catdog.files.folders import cache_folder
from catdog.files.json_files import found_in, read_json
from catdog.results.report_files import fits
from catdog.runs import jobs, trials
from catdog.runs.admission import admitted
from catdog.runs.run_folder import KERAS_FILE
from catdog.settings import BUNDLED, TrainConfig

EXPORTS_FOLDER = "exports"
COMPARED = {
    "photos_compared": int,
    "largest_difference": float,
    "accuracy": ({"original": float, "export": float}, None),
}


@dataclass(frozen=True)
class Wanted:
    """An export to make: of a run's folder or of the name `starter`, in which format, quantized or not."""

    source: str
    format: str
    quantize: bool

    @property
    def folder(self) -> Path:
        """Where the classifier's exports lie."""
        return (cache_folder() if self.source == BUNDLED else Path(self.source)) / EXPORTS_FOLDER

    @property
    def made(self) -> Path:
        """What is written: a file or a folder."""
        return self.folder / file_name(self.format, self.quantize)

    @property
    def file(self) -> Path:
        """The file to hand on; a folder is packed into it."""
        return self.made if self.made.suffix else self.made.with_suffix(".zip")

    @property
    def record(self) -> Path:
        """How it compared, written when all else is there."""
        return self.file.with_name(f"{self.file.name}.json")

    @property
    def classifier(self) -> Path:
        """The file that it is made from, as far as it tells when that has changed."""
        return DESCRIPTION_FILE if self.source == BUNDLED else Path(self.source) / KERAS_FILE


def find_export(wanted: Wanted) -> Export | None:
    """The export if it is there, whole, and not older than its classifier."""
    record = read_json(wanted.record)
    try:
        found = wanted.file.stat()
        if found.st_mtime < wanted.classifier.stat().st_mtime or not fits(record, COMPARED):
            return None
    except OSError:
        return None
    shares = (record["largest_difference"], *(record["accuracy"] or {}).values())
    if not all(0 <= share <= 1 for share in shares):
        return None  # Somebody changed the file.
    compared = {key: record[key] for key in COMPARED}
    return Export(str(wanted.file), wanted.format, wanted.quantize, found.st_size, **compared)


def newest_job(wanted: Wanted, owner: str | None = None) -> jobs.Job | None:
    """The newest process of this visitor's that was to make this export, at work or ended."""
    found = (job for job in trials.found_trials(owner) if trials.task_of(job.folder) == trials.EXPORT)
    return next((job for job in found if wanted_in(job.folder) == asdict(wanted)), None)


def wanted_in(folder: Path) -> dict[str, Any]:
    """What is to be exported, as the folder of a process says."""
    return found_in(read_json(folder / "config.json"), trials.EXPORT, kind=dict) or {}


def start(wanted: Wanted, owner: str | None = None) -> None:
    """Start to make an export, in a process of its own; raises `Refused` or `Failed`."""
    check_choice(wanted.format, wanted.quantize)
    with admitted(owner):
        run = trials.create_trial(TrainConfig(), trials.EXPORT, owner, **{trials.EXPORT: asdict(wanted)})
    jobs.launch(run.folder)
