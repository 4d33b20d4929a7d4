"""Questions about photos and settings that are answered by trying, before training: each in a folder like a run's.

A trial is worked on by a process of its own and waits in line with the runs; what came of it is one JSON file.
"""

import shutil
from pathlib import Path
from typing import Any

from catdog.errors import CatdogError
from catdog.files.json_files import found_in, read_json
from catdog.runs import jobs
from catdog.runs.admission import admitted, require_startable
from catdog.runs.run_folder import TRIALS_FOLDER, Run, create_run, new_run_folder, read_config, runs_folder
from catdog.settings import SETTINGS, TrainConfig

QUESTIONS = {
    "rates": "try learning rates for the head, and suggest one",
    "learning-curve": "say whether more photos or more epochs would help",
    "estimate": "say how long training would take and how much memory it would need",
}
EXPORT = "export"  # what a page lets be made of a classifier waits in line just so
ANSWER_FILE = "trial.json"
MOST_KEPT = 20  # trials; older ones are removed
# What the questions about the head alone do not depend on.
WITHOUT_EFFECT = {"fine_tune_epochs", "fine_tune_learning_rate", "freeze_depth"}


def trials_folder() -> Path:
    """Where trials are kept."""
    return runs_folder() / TRIALS_FOLDER


def create_trial(config: TrainConfig, task: str, owner: str | None = None, **found: Any) -> Run:
    """The folder of a new trial, state `queued`, with what else its `config.json` is to say. Old trials go.

    Raises `Refused` where it can't be made.
    """
    for job in found_trials(owner)[MOST_KEPT - 1 :]:
        if not job.is_active:
            shutil.rmtree(job.folder, ignore_errors=True)
    run = create_run(config, trials_folder() / new_run_folder(owner).name, owner)
    run.write_config(config, task=task, **found)
    return run


def start(config: TrainConfig, task: str, owner: str | None = None) -> Path:
    """Start a trial in a process of its own and return its folder; raises `Refused` or `Failed`.

    One that has an owner is held to the limits of the public.
    """
    if owner:
        require_startable(config, owner)
    with admitted(owner):
        run = create_trial(config, task, owner)
    jobs.launch(run.folder)
    return run.folder


def task_of(folder: Path) -> str:
    """What is to be done in a run's or a trial's folder: one of QUESTIONS, EXPORT, else `train`."""
    task = found_in(read_json(folder / "config.json"), "task", kind=str)
    return task if task in (*QUESTIONS, EXPORT) else "train"


def found_trials(owner: str | None = None) -> list[jobs.Job]:
    """All trials, the newest first; those of this visitor where the app is open to the public."""
    return jobs.jobs_in(trials_folder(), owner)


def newest(task: str, config: TrainConfig, owner: str | None = None) -> jobs.Job | None:
    """The newest trial of a task, of this visitor's, whose answer holds for these settings."""
    for job in found_trials(owner):
        if task_of(job.folder) != task:
            continue
        try:
            tried = read_config(job.folder)
        except CatdogError:
            continue
        without_effect = WITHOUT_EFFECT | ({"head_learning_rate"} if task == "rates" else set())
        if all(getattr(tried, name) == getattr(config, name) for name in SETTINGS.keys() - without_effect):
            return job
    return None


def answer_of(folder: Path) -> dict[str, Any]:
    """What came of a trial; empty where it isn't done."""
    return read_json(folder / ANSWER_FILE)
