"""What `classify` does: it finds the photos, and writes the answers as they come, from here or from a Ray cluster."""

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from catdog.classifier.answers import answer_of
from catdog.classifier.verdicts import NEITHER, UNSURE
from catdog.cluster.answer_parts import AnswerParts, cut, describe
from catdog.commands.arguments import require_no_workers
from catdog.commands.console import print_json
from catdog.errors import Refused
from catdog.files.csv_files import answers_writer
from catdog.files.folders import require_replaceable
from catdog.files.storage import as_place, is_address, reason_of
from catdog.files.whole_files import draft_of
from catdog.photos.photo_sets import photos_below
from catdog.photos.reading import is_photo_name
from catdog.plain_text import say
from catdog.runs.progress import progress_on

if TYPE_CHECKING:
    from catdog.classifier.prediction import Classifier, Prediction

PARTS_ENDING = ".parts"  # of the folder beside a CSV file, where its parts are until it is whole


def classify_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Classify photos, and print each answer as soon as it is there, or all of them as JSON."""
    require_fitting(arguments)
    paths = [path for argument in arguments.photos for path in photo_paths(argument)]
    if arguments.engine == "ray":
        return classify_on_ray(arguments, paths, console)
    with csv_file(arguments.csv) as file:
        classifier = load_noted(arguments.model, console)
        add_row = answers_writer(file, classifier.class_names) if file else None
        answers = []
        predictions = classifier.classify(paths, arguments.unsure_below)
        for path, found in zip(paths, predictions, strict=True):
            if add_row:
                add_row(path, found.label, found.verdict, found.probabilities, found.error)
            if arguments.json:
                answers.append(answer_of(path, found))
            elif found.error:
                say(found.error, console)
            else:
                say(answer_line(found, path))
    if arguments.json:
        print_json({"model": arguments.model, "photos": answers})
    return 0


def require_fitting(arguments: argparse.Namespace) -> None:
    """Raise `Refused` for flags that don't go together."""
    if arguments.engine == "ray":
        if bool(arguments.csv) == bool(arguments.parquet):
            raise Refused("--engine ray writes its answers to a file: add --csv FILE or --parquet FOLDER.")
        if arguments.json:
            raise Refused("--json prints all answers at once, which --engine ray is not for: leave one of them out.")
        return
    require_no_workers(arguments)
    for name in ("parquet", "resume"):
        if getattr(arguments, name):
            raise Refused(f"--{name} goes with --engine ray alone: add that, or leave it out.")


def load_noted(model: str, console: TextIO) -> "Classifier":
    """The classifier of that name; what is wrong with the files beside it is told."""
    from catdog.classifier.loading import load_classifier

    classifier = load_classifier(model)
    if classifier.note:
        say(classifier.note, console)
    return classifier


def classify_on_ray(arguments: argparse.Namespace, paths: list[str], console: TextIO) -> int:
    """Classify photos on a Ray cluster, part by part, into one CSV file or a folder of Parquet files."""
    from catdog.classifier.classifier_files import digest_of, files_of
    from catdog.cluster.ray_engine import cluster, each_part

    if arguments.csv:
        require_replaceable(Path(arguments.csv))
    folder = as_place(arguments.parquet or arguments.csv + PARTS_ENDING)
    classifier, files = load_noted(arguments.model, console), files_of(arguments.model)
    answers = AnswerParts(folder, "csv" if arguments.csv else "parquet", classifier.class_names)
    parts = cut(paths)
    description = describe(digest_of(files), classifier.class_names, arguments.unsure_below, paths)
    with answers.held(), cluster(arguments.workers) as share:
        there = answers.begin(description, arguments.resume)
        done = sum(len(part) for number, part in enumerate(parts) if number in there)
        waiting = [
            {"part": number, "paths": [os.fsencode(path) for path in part]}
            for number, part in enumerate(parts)
            if number not in there
        ]
        progress = progress_on(console)
        try:
            progress({"event": "phase", "phase": "classify"})
            work = "catdog.cluster.ray_workers:AnswerWorker"
            started, before = time.monotonic(), done
            for found in each_part(work, (files, arguments.unsure_below), waiting, share) if waiting else ():
                answers.write(found["part"], json.loads(found["answers"]))
                done += len(parts[found["part"]])
                rate = (done - before) / (time.monotonic() - started)
                progress({"event": "progress", "done": done, "total": len(paths), "per_second": rate})
        finally:
            progress.close()
        verdicts = answers.finish(len(parts), arguments.csv and Path(arguments.csv))
    say(f"{tally(verdicts, classifier.class_names)}. The answers are in {arguments.csv or arguments.parquet}.")
    return 0


def tally(verdicts: Counter[str], class_names: Sequence[str]) -> str:
    """How many photos there are, and how many of them were given each verdict."""
    words = {name: name for name in (*class_names, UNSURE, NEITHER)} | {"": "could not be read"}
    counts = [f"{verdicts[verdict]:,} {word}" for verdict, word in words.items() if verdicts[verdict]]
    total = verdicts.total()
    return f"{total:,} photo{'s' * (total != 1)}: {', '.join(counts)}"


def answer_line(found: "Prediction", path: str) -> str:
    """A photo's verdict, its label's probability, and its path, in columns."""
    # What it would be, where the verdict is none of the classes.
    label = "" if found.verdict == found.label else f" ({found.label})"
    return f"{found.verdict}{label}  {found.probabilities[found.label]:7.2%}  {path}"


def photo_paths(argument: str) -> list[str]:
    """A photo's path itself, or those in a folder (the argument joined with the rest) or of a pattern, sorted."""
    if is_address(argument):
        return stored_paths(argument)
    path = Path(argument)
    if not path.is_dir():
        if path.exists():
            return [argument]
        # A shell passes a pattern on where it is quoted, or where that shell knows none.
        matching = sorted(glob(argument, recursive=True))  # noqa: PTH207
        matching = [match for match in matching if is_photo_name(Path(match).name)]
        if not matching:
            raise Refused(f"There is no photo or folder {argument}.")
        return matching
    found = [os.path.join(argument, each.relative_to(path)) for each in photos_below(path)]  # noqa: PTH118
    if not found:
        raise Refused(f"There are no photos in {argument}.")
    return found


def stored_paths(address: str) -> list[str]:
    """The address of a photo in object storage, or those of the photos in a folder there, sorted."""
    place = as_place(address)
    try:
        is_photo, is_there = place.is_file(), place.exists()
    except Exception as error:  # Each kind of storage has errors of its own.
        raise Refused(f"{address} can't be looked into ({reason_of(error)}).") from None
    if not is_there:
        raise Refused(f"There is no photo or folder {address}.")
    found = [address] if is_photo else [str(each) for each in photos_below(place)]
    if not found:
        raise Refused(f"There are no photos in {address}.")
    return found


@contextmanager
def csv_file(name: str | None) -> Iterator[TextIO | None]:
    """The open CSV file of that name, which appears whole at the end or not at all; None where there is no name."""
    if name is None:
        yield None
        return
    path = Path(name)
    require_replaceable(path)
    with draft_of(path) as draft:
        try:
            file = draft.open("w", newline="", encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise Refused(f"The file {name} can't be written ({error.strerror}).") from None
        with file:
            yield file
