"""A run as a process of its own: start it, stop it, find it again. What runs is known from the runs' folders alone."""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from catdog.errors import Failed, Refused
from catdog.files.folders import remove_folder, remove_leftovers
from catdog.files.json_files import found_in, read_json, write_json
from catdog.memory import SPARING
from catdog.places import search_path
from catdog.plain_text import one_line
from catdog.public_mode import is_public
from catdog.runs.admission import admitted, require_startable
from catdog.runs.owners import is_own, owner_of
from catdog.runs.run_folder import (
    ACTIVE_STATES,
    KERAS_FILE,
    create_run,
    judged,
    read_config,
    read_statuses,
    reopen_run,
    runs_folder,
    waiting_line,
)
from catdog.settings import TrainConfig

LABEL_FILE = "label.json"
SHOWN_VARIABLE = "CATDOG_SHOW"
LONGEST_NAME = 80


@dataclass(frozen=True)
class Job:
    """A run's folder and its state at a moment."""

    folder: Path
    status: dict[str, Any]

    @property
    def is_active(self) -> bool:
        """Whether its process is working or waiting for its turn."""
        return self.status["state"] in ACTIVE_STATES

    @property
    def has_classifier(self) -> bool:
        """Whether there is a trained classifier in its folder."""
        return (self.folder / KERAS_FILE).is_file()


def find_job(folder: Path) -> Job:
    """The job of a run's folder as it is now."""
    return Job(folder, judged(read_kept(folder / "status.json"), folder))


def list_jobs(owner: str | None = None) -> list[Job]:
    """All runs of the runs folder, the newest first; those of this visitor where the app is open to the public."""
    return jobs_in(runs_folder(), owner)


def shown_jobs() -> list[Job]:
    """The runs that CATDOG_SHOW lists, for every visitor to classify with; some of them may have no classifier."""
    listed = os.environ.get(SHOWN_VARIABLE, "").split(os.pathsep)
    return [find_job(Path(entry).resolve()) for entry in listed if entry]


def jobs_in(parent: Path, owner: str | None = None) -> list[Job]:
    """All runs or trials that lie in a folder, the newest first; this visitor's where the app is open to the public."""
    try:
        folders = [path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
    own = (folder for folder in sorted(folders, reverse=True) if is_own(folder, owner))
    return [find_job(folder) for folder in own if (folder / "status.json").exists()]


def at_work(found: list[Job]) -> list[Job]:
    """Of these runs those that are active: what works first, then what waits, in the order in which it came."""
    active = [job for job in found if job.is_active]
    return sorted(active, key=lambda job: (job.status["state"] == "queued", job.status["started"], job.folder.name))


def place_in_line(folder: Path) -> int:
    """How many runs and trials of all visitors are to end before this one begins."""
    working = [path for path, status in read_statuses(runs_folder()).items() if status["state"] == "running"]
    line = waiting_line(runs_folder())
    ahead = line[: line.index(folder)] if folder in line else line
    return len({*working, *ahead} - {folder})


def read_kept(path: Path) -> dict[str, Any]:
    """The object in a JSON file, read once as long as the file stays what it is; not to be changed."""
    try:
        found = path.stat()
    except OSError:
        return {}
    return read_version(path, (found.st_ino, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=1000)
def read_version(path: Path, version: tuple[int, int, int]) -> dict[str, Any]:
    """The object in a JSON file of that inode, time and size."""
    return read_json(path)


def start(config: TrainConfig, owner: str | None = None) -> Path:
    """Start a run of these settings in a process of its own and return its folder; raises `Refused` or `Failed`.

    A run that has an owner is held to the limits of the public.
    """
    if owner:
        require_startable(config, owner)
    with admitted(owner, another_run=True):
        run = create_run(config, owner=owner)
    launch(run.folder)
    return run.folder


def resume(folder: Path) -> None:
    """Let a stopped or lost run go on in a new process; raises `Refused` where it can't."""
    owner = owner_of(folder)
    if owner:
        require_startable(read_config(folder), owner)
    with admitted(owner):
        reopen_run(folder)
    launch(folder)


def stop(folder: Path) -> None:
    """Ask a run to stop; it keeps its best epoch."""
    (folder / "stop").touch()


def label_of(folder: Path) -> str:
    """The name that a person gave a run; empty where nobody did."""
    return one_line(found_in(read_kept(folder / LABEL_FILE), "name", kind=str) or "")


def rename(folder: Path, name: str) -> None:
    """Give a run a name of at most LONGEST_NAME characters; an empty one takes it away. Raises `Failed`."""
    name = " ".join(name.split())[:LONGEST_NAME]
    try:
        write_json(folder / LABEL_FILE, {**read_json(folder / LABEL_FILE), "name": name})
    except OSError as error:
        raise Failed(f"The name could not be written ({error.strerror}).") from None


def delete(folder: Path) -> None:
    """Remove a run's folder; raises `Refused` while its process is at work, `Failed` where it can't be removed."""
    if find_job(folder).is_active:
        raise Refused("This run is at work: stop it first.")
    try:
        remove_folder(folder)
        remove_leftovers(folder.parent)
    except OSError as error:
        raise Failed(f"The run could not be deleted ({error.strerror}).") from None


def summarize(job: Job) -> dict[str, Any]:
    """What is known of a run, in a row of plain values; None where something is not known, or not yet."""
    config, report = read_kept(job.folder / "config.json"), read_kept(job.folder / "report.json")
    settings = found_in(config, "settings", kind=dict) or {}
    photos = sum(number for of_class in counts_of(job.folder).values() for number in of_class.values())
    updated, started = job.status["updated"], job.status["started"]
    return {
        "name": label_of(job.folder),
        "started": started,
        "state": job.status["state"],
        "accuracy": found_in(report, "accuracy", kind=float),
        "photos": photos or None,
        "backbone": found_in(config, "backbone", "name", kind=str) or found_in(settings, "backbone", kind=str),
        "freeze_depth": found_in(settings, "freeze_depth", kind=str),
        "head_epochs": found_in(settings, "head_epochs", kind=int),
        "head_learning_rate": found_in(settings, "head_learning_rate", kind=float),
        "fine_tune_epochs": found_in(settings, "fine_tune_epochs", kind=int),
        "fine_tune_learning_rate": found_in(settings, "fine_tune_learning_rate", kind=float),
        "seconds": max(updated - started, 0.0),
        "size_bytes": folder_bytes(job.folder),
    }


def counts_of(folder: Path) -> dict[str, dict[str, int]]:
    """How many photos of each split and class a run works with; empty where it is not known, or not yet."""
    counts = found_in(read_kept(folder / "config.json"), "photos", "counts", kind=dict) or {}
    return {
        split: {name: number for name, number in of_class.items() if isinstance(number, int)}
        for split, of_class in counts.items()
        if isinstance(of_class, dict)
    }


def folder_bytes(folder: Path) -> int:
    """What a run's files take on the disk."""
    total = 0
    for path in folder.rglob("*"):
        # Files come and go while a run is at work.
        with suppress(OSError):
            total += path.lstat().st_size
    return total


def launch(folder: Path) -> None:
    """Start the process that works on a run's folder; its output goes to the run's `log.txt`."""
    try:
        with (folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                # -P: what lies in the working folder, such as a random.py, is none of Python's modules.
                [sys.executable, "-P", "-m", "catdog", "work", str(folder)],
                env={**os.environ, **(SPARING if is_public() else {}), "PYTHONPATH": search_path()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A session of its own, so that Ctrl-C in the server's terminal does not reach it.
                start_new_session=True,
            )
    except OSError as error:
        raise Failed(f"The training process could not be started ({error.strerror}).") from None
    # An ended child stays a zombie, and looks alive, until somebody has waited for it.
    threading.Thread(target=process.wait, daemon=True, name=f"wait-{folder.name}").start()
