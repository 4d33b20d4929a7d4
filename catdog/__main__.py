"""The command line: which commands there are, how each ends, and what those do that train a classifier or use one."""

import argparse
import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, TextIO

from catdog.arguments import LISTS, build_parser, build_script_parser, require_no_workers
from catdog.classify_command import classify_command
from catdog.errors import CatdogError, Refused, Stopped
from catdog.exports.formats import FORMATS, snippet
from catdog.exports.making import export_classifier
from catdog.files.json_files import read_json
from catdog.files.shelves import readable_size
from catdog.files.whole_files import draft_of
from catdog.memory import let_networks_go
from catdog.photos.photo_sets import LeftOut, find_evaluation_photos, find_photo_set, labels_of
from catdog.plain_text import say
from catdog.runs.admission import require_startable
from catdog.runs.owners import owner_of
from catdog.runs.progress import progress_on
from catdog.runs.run_folder import H5_FILE, Run, create_run, read_config, reopen_run, runs_folder
from catdog.runs.time_limits import in_time
from catdog.runs.trials import EXPORT, create_trial, task_of
from catdog.settings import SETTINGS, TrainConfig, check_backbone_name
from catdog.side_commands import (
    cache_command,
    check_command,
    pack_command,
    print_json,
    report_command,
    samples_command,
    unpack_command,
)

if TYPE_CHECKING:
    pass

# What a process can work on, and the function that does it, which alone brings TensorFlow.
TASKS = {
    "train": "catdog.learning.training:train",
    "rates": "catdog.learning.head_trials:try_rates",
    "learning-curve": "catdog.learning.head_trials:try_shares",
    "estimate": "catdog.learning.estimate:estimate",
    "export": "catdog.exports.making:make",
}
EVALUATE_KEYS = ("accuracy", "loss", "photos", "confusion")
EXIT_FAILED, EXIT_REFUSED, EXIT_STOPPED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    return guarded(lambda console: act_on(build_parser(), argv, console))


def train_script(argv: Sequence[str] | None = None) -> int:
    """The script of the original recipe: train on --data, and write ./cat_dog_classifier.h5 besides the run."""

    return guarded(lambda console: act_on(build_script_parser(), argv, console))


def act_on(parser: argparse.ArgumentParser, argv: Sequence[str] | None, console: TextIO) -> int:
    """Parse the arguments and do what they ask for."""
    arguments = parser.parse_args(argv)
    return COMMANDS[arguments.command](arguments, console)


def guarded(act: Callable[[TextIO], int]) -> int:
    """Call with a console that still reaches people while native libraries' own messages do not.

    Whatever goes wrong becomes one sentence on it and an exit status.
    """
    with console_apart() as console:
        try:
            return act(console)
        except CatdogError as error:
            say(str(error), console)
            return {Refused: EXIT_REFUSED, Stopped: EXIT_STOPPED}.get(type(error), EXIT_FAILED)
        except KeyboardInterrupt:
            say("Stopped.", console)
            return EXIT_STOPPED
        except BrokenPipeError:
            # Whoever read the output has gone; Python must not try to flush it again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_FAILED
        except OSError as error:
            say(f"A file could not be read or written ({error.strerror}: {error.filename}).", console)
            return EXIT_FAILED
        except Exception as error:
            say(f"It failed in a way that was not foreseen ({type(error).__name__}: {error}).", console)
            return EXIT_FAILED


@contextmanager
def console_apart() -> Iterator[TextIO]:
    """A text stream to standard error, whose own descriptor is silenced meanwhile.

    TensorFlow writes to the descriptor from C++, which no Python setting quiets.
    """
    sys.stderr.flush()
    before = os.dup(2)
    with open(before, "w", encoding="utf-8", errors="replace", closefd=False) as console:
        try:
            send_native_output_to(Path(os.devnull))
            yield console
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
    os.close(before)


def send_native_output_to(path: Path) -> None:
    """Let what is written to standard error's descriptor, other than through the console, go to this file."""
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 2)
    os.close(target)


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


def evaluate_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Evaluate a classifier on labelled photos, and print the figures."""
    if not Path(arguments.data).is_dir():
        raise Refused(f"There is no folder {arguments.data}.")
    from catdog.classifier.loading import load_classifier
    from catdog.learning.evaluation import classify_photos, evaluate_probabilities

    classifier = load_classifier(arguments.model)
    photos = find_evaluation_photos(arguments.data, classifier.class_names)
    photos, probabilities, left_out = classify_photos(classifier, photos)
    figures = evaluate_probabilities(probabilities, labels_of(photos), classifier.class_names)
    for each in left_out:
        say(f"Left out {each.sentence}", console)
    if arguments.json:
        # Other programs read this object: it has these keys and no others.
        print_json({"model": arguments.model, **{key: figures[key] for key in EVALUATE_KEYS}})
        return 0
    say(f"Accuracy {figures['accuracy']:.2%}, loss {figures['loss']:.4f}, on {figures['photos']:,} photos.")
    width = max(map(len, classifier.class_names))
    say(f"{'':{width}}  " + "  ".join(f"{name:>{width}}" for name in classifier.class_names) + "  <- label given")
    for name, row in zip(classifier.class_names, figures["confusion"], strict=True):
        say(f"{name:>{width}}  " + "  ".join(f"{count:>{width}}" for count in row))
    return 0


def export_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Write a classifier in another format, and print how it compared and how to use it."""
    tell = functools.partial(print, file=console, flush=True)
    export = export_classifier(arguments.model, arguments.format, arguments.out, arguments.quantize, tell)
    if arguments.json:
        print_json({"model": arguments.model, **asdict(export)})
        return 0
    print(f"Wrote {export.file} ({readable_size(export.bytes)}). {export.sentence}")
    print(f"\nWhere Catdog isn't installed, after pip install {FORMATS[export.format].packages}:\n")
    print(snippet(export.format, export.file), end="")
    return 0


COMMANDS = {
    "train": train_command,
    "work": work_command,
    "rates": trial_command,
    "learning-curve": trial_command,
    "estimate": trial_command,
    "classify": classify_command,
    "evaluate": evaluate_command,
    "report": report_command,
    "pack": pack_command,
    "unpack": unpack_command,
    "check": check_command,
    "export": export_command,
    "samples": samples_command,
    "cache": cache_command,
}


if __name__ == "__main__":
    sys.exit(main())
