"""Classifying a folder of photos on a local Ray cluster, against the plain command on the same processors."""

import argparse
import csv
import os
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from measuring import paired_ratio, print_machine, print_table, run_measured, say, write_figures

FEW = 64  # photos of a run that shows what it takes to start


def parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    flags = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    shared = os.environ.get("CATDOG_SHARED")
    photos = Path(shared) / "photos" if shared else None
    help_text = "A folder of photos. Default: photos in the folder that CATDOG_SHARED names."
    flags.add_argument("--photos", type=Path, default=photos, required=photos is None, help=help_text)
    flags.add_argument("--model", default="starter", help="As classify takes it. Default: %(default)s")
    flags.add_argument("--count", type=int, default=5_000, help="Photos, some of them again. Default: %(default)s")
    flags.add_argument("--workers", type=int, help="Default: what --engine ray chooses.")
    flags.add_argument("--repetitions", type=int, default=1, help="Default: %(default)s")
    flags.add_argument("--json", type=Path, metavar="FILE", help="Also write all figures to this file.")
    return flags


def link_photos(source: Path, folder: Path, count: int) -> Path:
    """A folder of links to so many photos, to the same ones again where there are fewer."""
    from catdog.photos.photo_sets import photos_below

    folder.mkdir()
    for number, path in enumerate(islice(cycle(photos_below(source.resolve())), count)):
        (folder / f"{number:06}{path.suffix}").symlink_to(path)
    return folder


def classify(arguments: argparse.Namespace, photos: Path, out: Path, on_ray: bool) -> tuple[float, int]:
    """The seconds of a whole command that writes a CSV file, and the most memory it held with its processes."""
    command = [sys.executable, "-m", "catdog", "classify", arguments.model, photos, "--csv", out]
    if on_ray:
        command += ["--engine", "ray", *(["--workers", str(arguments.workers)] if arguments.workers else [])]
    measured = run_measured(command)
    return measured.seconds, measured.peak_bytes


def rows_of(path: Path) -> list[list[str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def largest_difference(one: Path, other: Path) -> float:
    """The largest difference of any probability in two CSV files; raises `SystemExit` where anything else differs."""
    largest = 0.0
    rows, others = rows_of(one), rows_of(other)
    for row, same in zip(rows, others, strict=True):
        for name, value, expected in zip(rows[0], row, same, strict=True):
            if name.startswith("probability_") and row is not rows[0] and value:
                largest = max(largest, abs(float(value) - float(expected)))
            elif value != expected:
                raise SystemExit(f"The two differ: {row} and {same}")
    return largest


def main() -> None:
    """Classify both ways, in turn, and print what the second costs."""
    arguments = parser().parse_args()
    machine = print_machine()
    seconds: dict[str, list[float]] = {name: [] for name in ("plain", "ray", "plain, few", "ray, few")}
    peaks = dict.fromkeys(seconds, 0)
    with tempfile.TemporaryDirectory(prefix="catdog-ray-") as name:
        folder = Path(name)
        # The many last: their answers are compared.
        sets = {", few": link_photos(arguments.photos, folder / "few", FEW)}
        sets[""] = link_photos(arguments.photos, folder / "many", arguments.count)
        for repetition in range(arguments.repetitions):
            for which, photos in sets.items():
                for way in ("plain", "ray"):
                    say(f"{way}{which}, {repetition + 1} of {arguments.repetitions}")
                    out = folder / f"{way}.csv"
                    found, peak = classify(arguments, photos, out, way == "ray")
                    seconds[f"{way}{which}"].append(found)
                    peaks[f"{way}{which}"] = max(peaks[f"{way}{which}"], peak)
        difference = largest_difference(folder / "plain.csv", folder / "ray.csv")
        same_bytes = (folder / "plain.csv").read_bytes() == (folder / "ray.csv").read_bytes()
    start = [ray - plain for ray, plain in zip(seconds["ray, few"], seconds["plain, few"], strict=True)]
    rest = [ray - each for ray, each in zip(seconds["ray"], start, strict=True)]
    ratio = paired_ratio(rest, seconds["plain"])
    print_table(
        f"{arguments.count:,} photos, {arguments.model}",
        ("what", "seconds", "most memory"),
        [
            *((name, f"{median(each):.1f}", f"{peaks[name] / 1e6:,.0f} MB") for name, each in seconds.items()),
            ("start-up of Ray (the two few)", f"{median(start):.1f}", ""),
            ("ray less its start-up, of plain", f"{ratio:.2f} x", ""),
            ("largest difference of a probability", f"{difference:.1e}", ""),
            ("the same CSV file to the byte", "yes" if same_bytes else "no", ""),
        ],
    )
    figures = {"count": arguments.count, "seconds": seconds, "peak_bytes": peaks, "start": start, "ratio": ratio}
    write_figures(arguments.json, {"machine": machine, **figures, "difference": difference, "same_bytes": same_bytes})


if __name__ == "__main__":
    main()
