"""What a run's evaluation left in its folder, read by whoever shows it; the files may have been changed by hand."""

import csv
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from catdog.files.json_files import read_json

REPORT_FILE = "report.json"
HTML_FILE = "report.html"
HEATMAPS_FILE = "heatmaps.npz"
PREDICTIONS_FILE = "predictions.csv"
FORMAT = 1
# What a photo's entry must hold, and then everything a report must: types, lists of one shape, and None where allowed.
MISTAKE = {"path": str, "class": str, "label": str, "probability": float, "heatmap": (int, None)}
JUDGED = {
    "loss": float,
    "error": float,
    "bins": [{"from": float, "to": float, "photos": int, "probability": float, "accuracy": float}],
}
SHAPE = {
    "format": int,
    "split": str,
    "class_names": [str],
    "accuracy": float,
    "loss": float,
    "photos": int,
    "confusion": [[int]],
    "interval": [float],
    "baseline": {"class": str, "accuracy": float},
    "classes": [{"name": str, "photos": int, "precision": (float, None), "recall": (float, None)}],
    "calibration": {"temperature": float, "fitted_on": int, "judged_on": str, "before": JUDGED, "after": JUDGED},
    "histogram": {"edges": [float], "counts": [[int]]},
    "answered": [{"share": float, "threshold": float, "accuracy": float}],
    "mistakes": [MISTAKE],
    "border": [{**MISTAKE, "against": str}],
    "wrong_labels": (
        {
            "photos": int,
            "folds": int,
            "found": [{"path": str, "split": str, "class": str, "label": str, "probability": float}],
        },
        None,
    ),
}


def read_report(folder: Path) -> dict[str, Any]:
    """The whole report of a run; empty where there is none, or one that is damaged or of an older version."""
    report = read_json(folder / REPORT_FILE)
    return report if fits(report, SHAPE) and is_consistent(report) else {}


def count_right(report: dict[str, Any]) -> int:
    """How many of a report's photos were given their own class."""
    return sum(row[place] for place, row in enumerate(report["confusion"]))


def fits(value: Any, shape: Any) -> bool:
    """Whether a value read from JSON has a shape as SHAPE writes it."""
    if isinstance(shape, tuple):
        return any(fits(value, each) for each in shape)
    if shape is None:
        return value is None
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(key in value and fits(value[key], each) for key, each in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(each, shape[0]) for each in value)
    if shape is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # A whole number in JSON may be larger than any float, and one that is no number compares with nothing.
        return is_number and abs(value) <= sys.float_info.max
    return isinstance(value, shape) and not isinstance(value, bool)


def is_consistent(report: dict[str, Any]) -> bool:
    """Whether the parts of a report that has its shape fit one another, so that a chart or a table can rely on it."""
    classes = len(report["class_names"])
    tables = (report["confusion"], report["histogram"]["counts"], report["classes"])
    doubtful = report["wrong_labels"]["found"] if report["wrong_labels"] else []
    named = [*report["mistakes"], *report["border"], *doubtful]
    return (
        report["format"] == FORMAT
        and classes >= 2
        and report["photos"] > 0
        and all(len(table) == classes for table in tables)
        and all(len(row) == classes for row in report["confusion"])
        and all(len(row) == len(report["histogram"]["edges"]) - 1 for row in report["histogram"]["counts"])
        and len(report["interval"]) == 2
        and report["calibration"]["temperature"] > 0
        and all({each["class"], each["label"]} <= set(report["class_names"]) for each in named)
        and all(each["against"] in report["class_names"] for each in report["border"])
        # Each has buttons of its own, which a page finds again by the path.
        and len({each["path"] for each in doubtful}) == len(doubtful)
    )


def read_maps(folder: Path) -> np.ndarray | None:
    """The maps (n, rows, columns), float32, that a report's `heatmap` numbers mean; None where there are none."""
    try:
        with (folder / HEATMAPS_FILE).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            maps = file["maps"]
    except Exception:  # A damaged archive raises whatever its damage leads to.
        return None
    return maps if maps.ndim == 3 and maps.dtype == np.float32 and np.isfinite(maps).all() else None


def left_aside(folder: Path, report: dict[str, Any]) -> list[str]:
    """A sentence for each file of a run's result that is not what its report says, and is left aside."""
    predictions, maps = folder / PREDICTIONS_FILE, read_maps(folder)
    found = []
    if len(read_predictions(folder, report["class_names"])) != report["photos"]:
        found.append(f"{predictions} is missing or damaged: not all photos can be shown.")
    numbers = [each["heatmap"] for each in report["mistakes"] if each["heatmap"] is not None]
    if numbers and (maps is None or max(numbers) >= len(maps)):
        found.append(f"{folder / HEATMAPS_FILE} is missing or damaged: there are no maps of where it looked.")
    return found


class Judgement(NamedTuple):
    """A row of `predictions.csv`: a photo, its class, the label it was given, and that label's probability."""

    path: Path
    class_name: str
    label: str
    probability: float


def read_predictions(folder: Path, class_names: Sequence[str]) -> list[Judgement]:
    """The evaluated photos of a run, the least probable label first; rows that are damaged are passed over."""
    found = []
    try:
        with (folder / PREDICTIONS_FILE).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            for row in csv.DictReader(file):
                with suppress(KeyError, TypeError, ValueError):
                    probability = float(row[f"probability_{row['label']}"])
                    if {row["class"], row["label"]} <= set(class_names) and 0 <= probability <= 1:
                        found.append(Judgement(Path(row["path"]), row["class"], row["label"], probability))
    except (OSError, csv.Error):
        return []
    return sorted(found, key=lambda each: each.probability)


def answered_above(judgements: Sequence[Judgement]) -> list[dict[str, float]]:
    """For each whole percent of probability, from one half on: the share of photos whose label has at least as much,
    and the accuracy on those; None where there are none."""
    probabilities = np.array([each.probability for each in judgements])
    right = np.array([each.label == each.class_name for each in judgements])
    rows = []
    for percent in range(50, 100):
        answered = probabilities >= percent / 100
        accuracy = float(right[answered].mean()) if answered.any() else None
        rows.append({"threshold": percent / 100, "share": float(answered.mean()), "accuracy": accuracy})
    return rows
