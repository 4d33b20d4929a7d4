"""The command line: train, classify, evaluate, check and samples."""

import argparse
import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn, TextIO

from catdog.errors import CatdogError, Refused, Stopped
from catdog.folders import require_empty
from catdog.photo_sets import LeftOut, find_evaluation_photos, find_photo_set, labels_of, photos_below
from catdog.photos import read_ahead
from catdog.progress import progress_on
from catdog.runs import H5_FILE, Run, create_run, read_config, read_json, reopen_run, runs_folder
from catdog.settings import SETTINGS, TrainConfig, check_backbone_name, checked

EXIT_FAILED, EXIT_REFUSED, EXIT_STOPPED = 1, 2, 130
SMALL = 64  # the size at which `check` reads photos: enough to find what is broken


class Parser(argparse.ArgumentParser):
    """Refuses wrong flags in one sentence, without the usage lines."""

    def error(self, message: str) -> NoReturn:
        """Raise `Refused` with argparse's own words."""
        message = message.removeprefix("argument ")
        raise Refused(f"{message[:1].upper()}{message[1:]}; see {self.prog} --help.")


def setting_parser(name: str) -> Callable[[str], Any]:
    """What argparse calls to turn a flag's text into a setting's value."""

    def parse(text: str) -> Any:
        try:
            return checked(SETTINGS[name], text)
        except Refused as error:
            raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None

    return parse


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting but the photos, and those of the run's folder."""
    for name, field in SETTINGS.items():
        if name == "data":
            continue
        choices = field.metadata.get("choices")
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=setting_parser(name),
            default=argparse.SUPPRESS,
            metavar="|".join(choices) if choices else field.type.__name__.upper().replace("STR", "NAME"),
            help=f"{field.metadata['help']} Default: {field.default}".replace("%", "%%"),
        )
    parser.add_argument("--out", metavar="RUN_DIR", help="Folder for the run, empty or absent; default: runs/<id>.")
    parser.add_argument("--resume", action="store_true", help="Continue the stopped or lost run in --out.")
    parser.add_argument("--json", action="store_true", help="Print the result as one JSON object.")


def build_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(prog="python -m catdog", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    train = commands.add_parser("train", help="train a classifier on a folder of photos", allow_abbrev=False)
    train.add_argument("data", metavar="DATA", help=SETTINGS["data"].metadata["help"])
    add_train_arguments(train)
    train.set_defaults(act=train_command)

    work = commands.add_parser("work", help="do the work of a run that a page has made", allow_abbrev=False)
    work.add_argument("run", metavar="RUN_DIR", help="The run's folder.")
    work.set_defaults(act=work_command)

    classify = commands.add_parser("classify", help="say what is on photos", allow_abbrev=False)
    classify.add_argument("model", metavar="MODEL", help="A run's folder, a .keras or .h5 file, or starter.")
    classify.add_argument("photos", metavar="PHOTO_OR_FOLDER", nargs="+", help="Folders are read through.")
    classify.add_argument("--csv", metavar="FILE", help="Also write the answers to a CSV file.")
    classify.add_argument("--json", action="store_true", help="Print the answers as one JSON object.")
    classify.set_defaults(act=classify_command)

    evaluate = commands.add_parser("evaluate", help="say how good a classifier is", allow_abbrev=False)
    evaluate.add_argument("model", metavar="MODEL", help="A run's folder, a .keras or .h5 file, or starter.")
    evaluate.add_argument("data", metavar="DATA", help="A folder of labelled photos.")
    evaluate.add_argument("--json", action="store_true", help="Print the figures as one JSON object.")
    evaluate.set_defaults(act=evaluate_command)

    check = commands.add_parser("check", help="say what is in a folder of photos and what is wrong with it")
    check.add_argument("data", metavar="DATA", help=SETTINGS["data"].metadata["help"])
    check.add_argument("--json", action="store_true", help="Print it as one JSON object.")
    check.set_defaults(act=check_command)

    samples = commands.add_parser("samples", help="make or fetch photos to start with", allow_abbrev=False)
    samples.add_argument("kind", choices=("drawings", "tutorial"), help="Practice drawings, or the tutorials' photos.")
    samples.add_argument("folder", metavar="FOLDER", help="Folder to put them in, empty or absent.")
    samples.add_argument("--seed", type=setting_parser("seed"), default=0, help="For drawings. Default: 0")
    samples.set_defaults(act=samples_command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    return guarded(lambda console: act_on(build_parser(), argv, console))


def train_script(argv: Sequence[str] | None = None) -> int:
    """The script of the original recipe: train on --data, and write ./cat_dog_classifier.h5 besides the run."""

    def act(console: TextIO) -> int:
        parser = Parser(prog="python cat_dog_classifier.py", allow_abbrev=False)
        parser.add_argument("--data", default="data", help=f"{SETTINGS['data'].metadata['help']} Default: data")
        add_train_arguments(parser)
        parser.set_defaults(act=train_command, also_write=Path(H5_FILE))
        return act_on(parser, argv, console)

    return guarded(act)


def act_on(parser: Parser, argv: Sequence[str] | None, console: TextIO) -> int:
    """Parse the arguments and do what they ask for."""
    arguments = parser.parse_args(argv)
    return arguments.act(arguments, console)


def guarded(act: Callable[[TextIO], int]) -> int:
    """Call with a console that still reaches people while native libraries' own messages do not.

    Whatever goes wrong becomes one sentence on it and an exit status.
    """
    with console_apart() as console:
        try:
            return act(console)
        except CatdogError as error:
            print(error, file=console)
            return {Refused: EXIT_REFUSED, Stopped: EXIT_STOPPED}.get(type(error), EXIT_FAILED)
        except KeyboardInterrupt:
            print("Stopped.", file=console)
            return EXIT_STOPPED
        except BrokenPipeError:
            # Whoever read the output has gone; Python must not try to flush it again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_FAILED
        except Exception as error:
            print(f"It failed in a way that was not foreseen ({type(error).__name__}: {error}).", file=console)
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


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(content, ensure_ascii=True))


def train_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Train, and print the result; the exit status tells whether it was stopped."""
    run, config = prepare_run(arguments)
    try:
        result = work_on(run, config, console)
    except Refused:
        # Nothing was done yet, and a folder that stayed behind would be in the way of the next try.
        if not arguments.resume:
            shutil.rmtree(run.folder, ignore_errors=True)
        raise
    also_write = getattr(arguments, "also_write", None)
    if also_write:
        draft = also_write.with_name(f".{also_write.name}")
        shutil.copyfile(run.folder / H5_FILE, draft)
        draft.replace(also_write)
    if arguments.json:
        print_json(result)
    else:
        for left_out in left_out_of(run):
            print(f"Left out {left_out.sentence}", file=console)
        print(f"Accuracy {result['accuracy']:.2%}, loss {result['loss']:.4f}, {result['seconds']:.0f} seconds.")
        print(f"Saved {also_write or result['files']['keras']}; everything of this run is in {run.folder}.")
    if run.status["state"] == "stopped":
        print(run.status["message"], file=console)
        return EXIT_STOPPED
    return 0


def work_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Do the work of a run whose folder somebody has made: the process that the pages start."""
    folder = Path(arguments.run)
    run = Run(folder)
    work_on(run, read_config(folder), console)
    return EXIT_STOPPED if run.status["state"] == "stopped" else 0


def work_on(run: Run, config: TrainConfig, console: TextIO) -> dict[str, Any]:
    """Train in this process, with progress on the console, in turn with others of the same runs folder."""
    send_native_output_to(run.folder / "log.txt")
    progress = run.listen = progress_on(console)
    in_runs_folder = run.folder.absolute().parent == runs_folder().absolute()
    try:
        with run.stopping_on_signals(), run.turn() if in_runs_folder else nullcontext():
            run.set_state("running", "Loading TensorFlow.")
            from catdog.training import train

            return train(config, run)
    finally:
        progress.close()


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
    find_photo_set(config.data, config.seed)
    run = reopen_run(arguments.out) if arguments.resume else create_run(config, arguments.out)
    return run, config


def resumed_config(folder: Path, given: dict[str, Any]) -> TrainConfig:
    """The settings of the run to continue; raises `Refused` where a given flag says otherwise."""
    if not (folder / "config.json").exists():
        raise Refused(f"There is no run in {folder} to resume: leave out --resume to start one.")
    config = read_config(folder)
    for name, value in given.items():
        before = getattr(config, name)
        if name != "data" and value != before:
            raise Refused(f"The run in {folder} began with --{name.replace('_', '-')} {before}, not {value}.")
    return config


def left_out_of(run: Run) -> list[LeftOut]:
    """The photos that a run left out, from its `config.json`."""
    photos = read_json(run.folder / "config.json").get("photos", {})
    return [LeftOut(Path(each["path"]), each["reason"]) for each in photos.get("left_out", [])]


def classify_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Classify photos, and print each answer as soon as it is there, or all of them as JSON."""
    paths = [path for argument in arguments.photos for path in photo_paths(argument)]
    with answers_csv(arguments.csv) as write:
        from catdog.classifier import load_classifier

        classifier = load_classifier(arguments.model)
        write("path", "label", "verdict", *(f"probability_{name}" for name in classifier.class_names), "error")
        answers = []
        for path, found in zip(paths, classifier.classify(paths), strict=True):
            answer = {"path": path, "label": found.label, "probabilities": found.probabilities}
            answer |= {"verdict": found.verdict, "error": found.error}
            numbers = found.probabilities or dict.fromkeys(classifier.class_names, "")
            write(path, found.label or "", found.verdict or "", *numbers.values(), found.error or "")
            if arguments.json:
                answers.append(answer)
            elif found.error:
                print(found.error, file=console)
            else:
                print(f"{found.verdict}  {found.probabilities[found.label]:7.2%}  {path}")
    if arguments.json:
        print_json({"model": arguments.model, "photos": answers})
    return 0


def photo_paths(argument: str) -> list[str]:
    """A photo's path itself, or those of the photos in a folder: the argument joined with the rest, sorted."""
    path = Path(argument)
    if not path.is_dir():
        if not path.exists():
            raise Refused(f"There is no photo or folder {argument}.")
        return [argument]
    found = [os.path.join(argument, each.relative_to(path)) for each in photos_below(path)]  # noqa: PTH118
    if not found:
        raise Refused(f"There are no photos in {argument}.")
    return found


@contextmanager
def answers_csv(name: str | None) -> Iterator[Callable[..., None]]:
    """What writes a row to the CSV file of that name; the file appears whole at the end, or not at all."""
    if name is None:
        yield lambda *row: None
        return
    draft = Path(name).with_name(f".{Path(name).name}.{os.getpid()}")
    try:
        with draft.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file, lineterminator="\n")
            yield lambda *row: writer.writerow(row)
        draft.replace(name)
    except OSError as error:
        raise Refused(f"The file {name} can't be written ({error.strerror}).") from None
    finally:
        draft.unlink(missing_ok=True)


def evaluate_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Evaluate a classifier on labelled photos, and print the figures."""
    if not Path(arguments.data).is_dir():
        raise Refused(f"There is no folder {arguments.data}.")
    from catdog.classifier import load_classifier
    from catdog.evaluation import classify_photos, evaluate_probabilities

    classifier = load_classifier(arguments.model)
    photos = find_evaluation_photos(arguments.data, classifier.class_names)
    photos, probabilities, left_out = classify_photos(classifier, photos)
    figures = evaluate_probabilities(probabilities, labels_of(photos))
    for each in left_out:
        print(f"Left out {each.sentence}", file=console)
    if arguments.json:
        print_json({"model": arguments.model, **figures})
        return 0
    print(f"Accuracy {figures['accuracy']:.2%}, loss {figures['loss']:.4f}, on {figures['photos']:,} photos.")
    width = max(map(len, classifier.class_names))
    print(f"{'':{width}}  " + "  ".join(f"{name:>{width}}" for name in classifier.class_names) + "  <- label given")
    for name, row in zip(classifier.class_names, figures["confusion"], strict=True):
        print(f"{name:>{width}}  " + "  ".join(f"{count:>{width}}" for count in row))
    return 0


def check_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Read every photo of a folder, and print how many there are and what is wrong."""
    photo_set = find_photo_set(arguments.data)
    problems = []
    for photo in read_ahead((photo.path for photos in photo_set.splits.values() for photo in photos), SMALL):
        if photo.reason:
            message = LeftOut(Path(photo.source), photo.reason).sentence
            problems.append({"kind": "unreadable", "paths": [str(photo.source)], "message": message})
    counts = photo_set.counts()
    if arguments.json:
        print_json({"photos": counts, "problems": problems})
        return 0
    for split, of_class in counts.items():
        print(f"{split}: " + ", ".join(f"{count:,} {name}" for name, count in of_class.items()))
    for problem in problems:
        print(f"{problem['kind']}: {problem['message']}")
    print(f"{len(problems)} problems found." if problems else "Nothing wrong was found.")
    return 0


def samples_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Draw or fetch photos to start with."""
    from catdog import samples

    folder = Path(arguments.folder)
    require_empty(folder)
    progress = progress_on(console)

    def on_progress(done: int, total: int | None) -> None:
        progress({"event": "progress", "done": done, "total": total, "per_second": 0})

    try:
        progress({"event": "phase", "phase": "drawings" if arguments.kind == "drawings" else "tutorial"})
        if arguments.kind == "drawings":
            samples.draw_photo_set(folder, seed=arguments.seed, on_progress=on_progress)
        else:
            samples.fetch_tutorial_photos(folder, on_progress=on_progress)
    finally:
        progress.close()
    print(f"The photos are in {folder}; train on them with: python -m catdog train {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
