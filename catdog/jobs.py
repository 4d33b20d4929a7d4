"""A run as a process of its own: start it, stop it, find it again. What runs is known from the runs' folders alone."""

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catdog.errors import Failed
from catdog.runs import KERAS_FILE, create_run, read_status, reopen_run, runs_folder
from catdog.settings import TrainConfig

ACTIVE_STATES = ("queued", "running")


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
    return Job(folder, read_status(folder))


def list_jobs() -> list[Job]:
    """All runs of the runs folder, the newest first."""
    try:
        folders = [path for path in runs_folder().iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
    return [find_job(folder) for folder in sorted(folders, reverse=True) if (folder / "status.json").exists()]


def start(config: TrainConfig) -> Path:
    """Start a run of these settings in a process of its own and return its folder; raises `Refused` or `Failed`."""
    run = create_run(config)
    launch(run.folder)
    return run.folder


def resume(folder: Path) -> None:
    """Let a stopped or lost run go on in a new process; raises `Refused` where it can't."""
    reopen_run(folder)
    launch(folder)


def stop(folder: Path) -> None:
    """Ask a run to stop; it keeps its best epoch."""
    (folder / "stop").touch()


def launch(folder: Path) -> None:
    """Start the process that works on a run's folder; its output goes to the run's `log.txt`."""
    package_folder = str(Path(__file__).parent.parent)
    search_path = os.pathsep.join(filter(None, [package_folder, os.environ.get("PYTHONPATH")]))
    try:
        with (folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "catdog", "work", str(folder)],
                env={**os.environ, "PYTHONPATH": search_path},
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
