"""Made-up evaluations: reports as training leaves them, consistent in themselves, and runs' folders with one."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from catdog.results import measures
from catdog.results.calibration import calibrate, rescale
from catdog.results.report_files import FORMAT, HEATMAPS_FILE, REPORT_FILE
from catdog.runs.run_folder import create_run
from catdog.settings import TrainConfig
from helpers.made_events import RUN
from helpers.pictures import draw_scene, save_scene

MOST_MAPS = 48
MAP_SIDE = 7


def make_report(**changes: Any) -> dict[str, Any]:
    """A report of 80 validation photos of two classes, a few of them mistaken, with these parts changed."""
    probabilities, labels = make_probabilities(40, ("cats", "dogs"))
    return report_of(probabilities, labels, ("cats", "dogs")) | changes


def make_probabilities(
    photos_per_class: int, class_names: tuple[str, ...], certainty: float = 3.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, classes), float32, that are surer than right, and labels (n,)."""
    chance = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(class_names)), photos_per_class)
    logits = chance.normal(0, 2, (len(labels), len(class_names)))
    logits[np.arange(len(labels)), labels] += certainty
    return rescale(np.exp(logits), 0.45), labels


def report_of(
    probabilities: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    split: str = "validation",
    folder: str = "photos",
    suspected: int = 3,
) -> dict[str, Any]:
    """The report of these probabilities (n, classes) of photos with these labels (n,), a few labels suspected."""
    names, photos = list(class_names), len(labels)
    found = calibrate(probabilities, labels, seed=0)
    cells = measures.confusion(probabilities, labels)
    right = sum(row[index] for index, row in enumerate(cells))
    paths = [f"{folder}/{split}/{names[label]}/{number:04}.jpg" for number, label in enumerate(labels)]

    def entry(row: int, place: int) -> dict[str, Any]:
        label = int(probabilities[row].argmax())
        return {"path": paths[row], "class": names[labels[row]], "label": names[label]} | {
            "probability": float(probabilities[row, label]),
            "heatmap": place if place < MOST_MAPS else None,
        }

    wrong = measures.worst_first(probabilities, labels)[:500].tolist()
    border = measures.nearest_to_border(probabilities, labels)[:16].tolist()
    return {
        "format": FORMAT,
        "split": split,
        "class_names": names,
        "accuracy": measures.accuracy(probabilities, labels),
        "loss": measures.cross_entropy(found.cross_fitted, labels),
        "photos": photos,
        "confusion": cells,
        "interval": measures.interval(right, photos),
        "baseline": measures.baseline(labels, names),
        "classes": measures.by_class(cells, names),
        "calibration": {
            "temperature": found.temperature,
            "fitted_on": photos,
            "judged_on": "test" if split == "test" else "cross-fitted",
            "before": measures.calibration(probabilities, labels),
            "after": measures.calibration(found.cross_fitted, labels),
        },
        "histogram": measures.histogram(found.cross_fitted, labels),
        "answered": measures.answered(found.cross_fitted, labels),
        "mistakes": [entry(row, place) for place, row in enumerate(wrong)],
        "border": [
            entry(row, len(wrong) + place) | {"against": names[int(probabilities[row].argsort()[-2])]}
            for place, row in enumerate(border)
        ],
        "wrong_labels": {
            "photos": 3 * photos,
            "folds": 5,
            "found": [
                {"path": f"{folder}/train/{names[0]}/{number:04}.jpg", "split": "train"}
                | {"class": names[0], "label": names[1], "probability": 0.99 - number / 1000}
                for number in range(suspected)
            ],
        },
    }


def save_report_run(folder: Path, report: dict[str, Any], photos: Path | None = None, seed: int = 0) -> Path:
    """A finished run's folder with this report, its heatmaps and learning curves; gives the folder.

    With a folder of `photos`, relative paths in the report are files in there, and each is drawn.
    """
    run = create_run(TrainConfig(data=str(photos or "photos"), head_epochs=2, fine_tune_epochs=3), folder)
    counts = {row["name"]: row["photos"] for row in report["classes"]}
    run.write_config(
        TrainConfig(data=str(photos or "photos"), head_epochs=2, fine_tune_epochs=3),
        class_names=report["class_names"],
        backbone={"name": "starter", "digest": "0" * 64, "note": None},
        photos={"digest": "1" * 64, "counts": {"train": counts, "validation": counts}, "left_out": []},
    )
    for event in RUN:
        run.event(event["event"], **{key: value for key, value in event.items() if key != "event"})
    shown = [*report["mistakes"], *report["border"]]
    places = [each["heatmap"] for each in shown if each["heatmap"] is not None]
    maps = np.random.default_rng(seed).normal(0, 1, (max(places, default=-1) + 1, MAP_SIDE, MAP_SIDE))
    np.savez_compressed(run.folder / HEATMAPS_FILE, maps=maps.astype(np.float32))
    for number, each in enumerate([*shown, *(report["wrong_labels"] or {"found": []})["found"]]):
        path = photos / Path(each["path"]) if photos else None
        if path and not path.exists():
            save_scene(path, draw_scene(number))
        each["path"] = str(path or each["path"])
    (run.folder / REPORT_FILE).write_text(json.dumps(report, indent=2))
    run.set_state("done")
    return run.folder
