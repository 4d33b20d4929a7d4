"""The commands that neither train a classifier nor use one: they look at photos, at a run's result, at what is kept.

Each needs no TensorFlow, takes the parsed arguments and a console for progress, and returns the exit status.
"""

import argparse
import time
from pathlib import Path
from typing import TextIO

from catdog.commands.arguments import LISTS, program
from catdog.commands.console import print_json
from catdog.exports.packed_runs import WHAT_TRAVELS, file_name_of, pack_run, unpack_run
from catdog.files.folders import require_empty
from catdog.files.shelves import ShelfSummary, clear_shelves, limit_bytes, list_shelves, readable_size, shelves_folder
from catdog.photos import fingerprints
from catdog.photos.photo_sets import find_photo_set
from catdog.photos.problems import check_photos
from catdog.plain_text import say
from catdog.results.findings import describe_accuracy, describe_calibration, describe_wrong_labels
from catdog.results.report_files import HTML_FILE, left_aside
from catdog.runs.progress import progress_on
from catdog.settings import TrainConfig


def report_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Write a run's report as one HTML file, and print what it says and where it is."""
    # The drawing of charts takes longer to load than the other commands take.
    from catdog.results.html_report import report_of, write_html

    folder = Path(arguments.run)
    report = report_of(folder)
    page = write_html(folder, Path(arguments.out) if arguments.out is not None else folder / HTML_FILE)
    if arguments.json:
        print_json(report | {"html": str(page)})
        return 0
    for sentence in left_aside(folder, report):
        say(sentence, console)
    for describe in (describe_accuracy, describe_calibration, describe_wrong_labels):
        say(" ".join(describe(report)))
        say("")
    say(f"The report is in {page}.")
    return 0


def pack_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Write a run as one file, and print where it is."""
    folder = Path(arguments.run)
    file = Path(arguments.out) if arguments.out is not None else Path(file_name_of(folder))
    pack_run(folder, file)
    size_bytes = file.stat().st_size
    if arguments.json:
        print_json({"run": str(folder), "file": str(file), "bytes": size_bytes})
    else:
        say(f"The run is in {file} ({readable_size(size_bytes)}): {WHAT_TRAVELS}")
    return 0


def unpack_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Make a run of a file again, and print where it is."""
    say("Opening its classifier in a process of its own, which takes some ten seconds.", console)
    folder = unpack_run(Path(arguments.file), Path(arguments.out) if arguments.out is not None else None)
    if arguments.json:
        print_json({"run": str(folder)})
    else:
        say(f"The run is in {folder}.")
    return 0


def check_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Read every photo of a folder, and print how many there are and what is wrong."""
    corrections = {name: getattr(arguments, name, ()) for name in LISTS}
    photo_set = find_photo_set(arguments.data, **corrections)
    total = len(photo_set.paths())
    progress = progress_on(console)
    try:
        progress({"event": "phase", "phase": "photos"})
        photo_set, problems = check_photos(
            photo_set,
            TrainConfig().seed,
            lambda done, rate: progress({"event": "progress", "done": done, "total": total, "per_second": rate}),
        )
    finally:
        progress.close()
    counts = photo_set.counts()
    if arguments.json:
        print_json({"photos": counts, "problems": [problem.as_dict() for problem in problems]})
        return 0
    for split, of_class in counts.items():
        say(f"{split}: " + ", ".join(f"{count:,} {name}" for name, count in of_class.items()))
    for problem in problems:
        say(f"{problem.kind}: {problem.message}")
    found = "1 problem was found." if len(problems) == 1 else f"{len(problems):,} problems were found."
    say(found if problems else "Nothing wrong was found.")
    return 0


def samples_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Draw or fetch photos to start with."""
    from catdog.photos import samples

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
    say(f"The photos are in {folder}; train on them with: {program()} train {folder}")
    return 0


def cache_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Print what is kept of photos for later runs, after removing it if asked to."""
    folder = shelves_folder()
    if arguments.clear:
        freed = clear_shelves(folder)
        say(f"{readable_size(freed)} freed.", console if arguments.json else None)
    shelves = list_shelves(folder)
    total = sum(shelf.size_bytes for shelf in shelves)
    if arguments.json:
        sizes = {"limit_bytes": limit_bytes(), "size_bytes": total}
        print_json({"folder": str(folder), **sizes, "shelves": [shelf.as_dict() for shelf in shelves]})
        return 0
    say(str(folder))
    for shelf in shelves:
        say(shelf_line(shelf))
    say(f"{readable_size(total)} of at most {readable_size(limit_bytes())} (CATDOG_CACHE_GB sets the limit).")
    return 0


def shelf_line(shelf: ShelfSummary) -> str:
    """What is on a shelf, how much of it, and when it was last used."""
    what = shelf.as_dict()
    kind, image_size = what["kind"] or "unknown", what["image_size"] or "?"
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(shelf.used))
    size = readable_size(shelf.size_bytes)
    if kind == fingerprints.KIND:
        return f"{kind}, to find faults by{shelf.photos:>16,} photos  {size:>8}  last used {used}"
    view = {0: "as they are", 1: "mirrored"}.get(what["view"], "unknown view")
    return f"{kind:7}  {image_size:>3} pixels  {view:12}  {shelf.photos:>7,} photos  {size:>8}  last used {used}"
