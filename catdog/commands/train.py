"""What trains, or asks a question before training: prepared, and worked on in this process."""

import argparse
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, TextIO

from catdog.commands.arguments import LISTS, require_no_workers
from catdog.commands.console import EXIT_STOPPED, print_json, send_native_output_to
from catdog.errors import Refused
from catdog.files.json_files import read_json
from catdog.files.whole_files import draft_of
from catdog.memory import let_networks_go
from catdog.photos.photo_sets import LeftOut, find_photo_set
from catdog.plain_text import say
from catdog.runs.admission import require_startable
from catdog.runs.owners import owner_of
from catdog.runs.progress import progress_on
from catdog.runs.run_folder import H5_FILE, Run, create_run, read_config, reopen_run, runs_folder
from catdog.runs.time_limits import in_time
from catdog.runs.trials import EXPORT, create_trial, task_of
from catdog.settings import SETTINGS, TrainConfig, check_backbone_name

# What a process can work on, and the function that does it, which alone brings TensorFlow.
TASKS = {
    "train": "catdog.learning.training:train",
    "rates": "catdog.learning.head_trials:try_rates",
    "learning-curve": "catdog.learning.head_trials:try_shares",
    "estimate": "catdog.learning.estimate:estimate",
    "export": "catdog.exports.making:make",
}


def train_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Train, and print the result; the exit status tells whether it was stopped."""
    run, config = prepare_run(arguments)
    try:
        result = work_on(run, config, console, engine=arguments.engine, workers=arguments.workers)
    except Refused:
        # Nothing was done yet, and a folder that stayed behind would be in the way of the next try.
        if not arguments.resume:
            shutil.rmtree(run.folder, ignore_errors=True)
        raise
    also_write = getattr(arguments, "also_write", None)
    if also_write:
        with draft_of(also_write) as draft:
            shutil.copyfile(run.folder / H5_FILE, draft)
    if arguments.json:
        print_json(result)
    else:
        for left_out in left_out_of(run):
            say(f"Left out {left_out.sentence}", console)
        say(f"Accuracy {result['accuracy']:.2%}, loss {result['loss']:.4f}, {result['seconds']:.0f} seconds.")
        say(f"Saved {also_write or result['files']['keras']}; everything of this run is in {run.folder}.")
    if run.status["state"] == "stopped":
        say(run.status["message"], console)
        return EXIT_STOPPED
    return 0


def work_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Do the work of a run whose folder somebody has made: the process that the pages start."""
    folder = Path(arguments.run)
    run = Run(folder)
    work_on(run, read_config(folder), console, task_of(folder))
    return EXIT_STOPPED if run.status["state"] == "stopped" else 0


def work_on(run: Run, config: TrainConfig, console: TextIO, task: str = "train", **options: Any) -> dict[str, Any]:
    """Do a task in this process, with progress on the console, in turn with others of the same runs folder.

    The options are passed on to the task's function.
    """
    send_native_output_to(run.folder / "log.txt")
    progress = run.listen = progress_on(console)
    in_runs_folder = run.queue_folder.resolve() == runs_folder().resolve()
    try:
        with run.alone(), run.stopping_on_signals(), run.turn() if in_runs_folder else nullcontext():
            run.set_state("running", "Loading TensorFlow.")
            with held_to_limits(run, config, task):
                answer = resolve_name(TASKS[task])(config, run, **options)
                # Before the next in line loads its network, and not only when this process has ended.
                let_networks_go()
                return answer
    finally:
        progress.close()


@contextmanager
def held_to_limits(run: Run, config: TrainConfig, task: str) -> Iterator[None]:
    """Hold a visitor's work to the limits of the public in its own process, too; raises `Refused`, as the run says."""
    owner = owner_of(run.folder)
    if owner is None:
        yield
        return
    with run.working():
        # What is exported was trained within the limits; its settings are no part of it.
        if task != EXPORT:
            require_startable(config, owner)
    with in_time(run):
        yield


def trial_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Answer a question about photos and settings before training, and print the answer."""
    config = TrainConfig(**{name: value for name, value in vars(arguments).items() if name in SETTINGS})
    check_backbone_name(config.backbone)
    find_photo_set(config.data, config.seed, config.leave_out, config.relabel)
    answer = work_on(create_trial(config, arguments.command), config, console, arguments.command)
    if arguments.json:
        print_json(answer)
    else:
        say(answer["sentence"])
    return 0


def prepare_run(arguments: argparse.Namespace) -> tuple[Run, TrainConfig]:
    """The run's folder and settings, after everything that can be refused without TensorFlow has been."""
    given = {name: value for name, value in vars(arguments).items() if name in SETTINGS}
    if arguments.resume:
        if not arguments.out:
            raise Refused("--resume needs --out RUN_DIR, the folder of the run to continue.")
        config = resumed_config(Path(arguments.out), given)
    else:
        config = TrainConfig(**given)
    check_backbone_name(config.backbone)
    require_no_workers(arguments)
    find_photo_set(config.data, config.seed, config.leave_out, config.relabel)
    if getattr(arguments, "also_write", None) and not os.access(".", os.W_OK):
        raise Refused("The working folder can't be written, so no cat_dog_classifier.h5 can be put there.")
    if arguments.resume:
        return reopen_run(arguments.out)[0], config
    return create_run(config, arguments.out), config


def resumed_config(folder: Path, given: dict[str, Any]) -> TrainConfig:
    """The settings of the run to continue; raises `Refused` where a given flag says otherwise."""
    if not (folder / "config.json").exists():
        raise Refused(f"There is no run in {folder} to resume: leave out --resume to start one.")
    config = read_config(folder)
    for name, value in given.items():
        before = getattr(config, name)
        if name in LISTS and value != before:
            raise Refused(f"The run in {folder} began with another list of photos to {LISTS[name]} names.")
        if name != "data" and value != before:
            raise Refused(f"The run in {folder} began with --{name.replace('_', '-')} {before}, not {value}.")
    # The photos may have moved; that they are the same ones is checked by their content.
    return replace(config, data=given.get("data", config.data))


def left_out_of(run: Run) -> list[LeftOut]:
    """The photos that a run left out, from its `config.json`."""
    photos = read_json(run.folder / "config.json").get("photos", {})
    return [LeftOut(Path(each["path"]), each["reason"]) for each in photos.get("left_out", [])]
