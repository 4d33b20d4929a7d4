"""How long a run will take and how much memory it will need: reckoned from what a small run took (small_run.py).

A measurement takes seconds and needs TensorFlow (estimate.py); to reckon from it takes neither.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catdog.classifier.novelty import MOST_PASSED_AGAIN
from catdog.errors import CatdogError
from catdog.figures import duration, gigabytes
from catdog.files.shelves import RECORD, size_of
from catdog.runs import jobs, trials
from catdog.runs.run_folder import read_config
from catdog.settings import OF_THE_PHOTOS, TrainConfig

TASK = "estimate"
# What a measurement holds for alone; epochs, learning rates and the seed make no difference to it.
DECISIVE = (*OF_THE_PHOTOS, "backbone", "image_size", "batch_size", "augment", "bfloat16")


@dataclass(frozen=True)
class Expectation:
    """Seconds by part of a run, in its order, and bytes of memory (0 where the system does not tell)."""

    parts: dict[str, float]
    size_bytes: int

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return sum(self.parts.values())


def find_estimate(config: TrainConfig, owner: str | None = None) -> jobs.Job | None:
    """The newest estimate of this visitor's, under way or ended, from which these settings can be told."""
    for job in trials.found_trials(owner):
        if trials.task_of(job.folder) == TASK:
            try:
                measured = read_config(job.folder).as_dict()
            except CatdogError:
                continue
            if holds_for({"settings": measured}, config):
                return job
    return None


def in_words(found: Expectation, note: str) -> str:
    """What to expect, as sentences."""
    memory = f" and {gigabytes(found.size_bytes)} of memory" if found.size_bytes else ""
    parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in found.parts.items())
    return f"About {duration(found.seconds)}{memory} ({parts}). {note}".rstrip()


def expected(measurement: dict[str, Any], config: TrainConfig) -> Expectation | None:
    """What to expect of a run with these settings; None where the measurement says nothing of it, or is damaged."""
    try:
        if not holds_for(measurement, config):
            return None
        fine_tunes = config.fine_tune_epochs > 0
        seconds, photos = measurement["seconds"], measurement["photos"]
        parts = {"start": seconds["start"]}
        features = features_seconds(measurement, fine_tunes)
        if features is None:
            return None
        parts["features"] = features
        parts["head"] = phase_seconds(seconds["head"], config.head_epochs, photos)
        if fine_tunes:
            parts["fine-tuning"] = phase_seconds(seconds["fine-tune"], config.fine_tune_epochs, photos)
        labels = seconds["label"] * (photos["train"] + photos["validation"])
        parts["end"] = seconds["end"] + labels + seconds["test_photo"] * photos.get("test", 0)
        if fine_tunes and config.freeze_depth != "conv5":
            again = sum(min(photos[split], most) for split, most in MOST_PASSED_AGAIN.items())
            parts["end"] += seconds["fine-tune"]["validation_photo"] * again
        return Expectation({name: float(part) for name, part in parts.items()}, memory_bytes(measurement, fine_tunes))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def holds_for(measurement: dict[str, Any], config: TrainConfig) -> bool:
    """Whether the measured settings and these differ in nothing but what can be reckoned."""
    measured, wanted = measurement["settings"], config.as_dict()
    if any(measured[name] != wanted[name] for name in DECISIVE):
        return False
    same_depth = measured["freeze_depth"] == wanted["freeze_depth"] and measured["fine_tune_epochs"]
    return bool(same_depth or not wanted["fine_tune_epochs"])


def features_seconds(measurement: dict[str, Any], fine_tunes: bool) -> float | None:
    """Seconds to run the photos that are missing by now, and to read those that are kept; None if not measured."""
    total = measurement["seconds"]["features"]["prepare"]
    for split, shelves in measurement["shelves"].items():
        seconds, count = measurement["seconds"]["features"][split], measurement["photos"][split]
        needed = [shelf for shelf in shelves if fine_tunes or shelf["kind"] == "pooled"]
        missing = max(missing_now(shelf, count) for shelf in needed)
        # Before the missing ones run, the others are read, and all of them afterwards.
        total += seconds["kept"] * (count + (count - missing if missing else 0))
        if missing:
            if seconds["photo"] is None:
                return None
            total += seconds["begin"] + seconds["photo"] * missing
    return total


def missing_now(shelf: dict[str, Any], count: int) -> int:
    """How many of so many photos a shelf lacks by now, told by how its index has grown since it was measured."""
    rows = size_of(Path(shelf["folder"]) / "index.bin") // RECORD.itemsize
    if rows < shelf["rows"]:
        return count  # it was cleared meanwhile
    return min(count, max(0, shelf["missing"] - (rows - shelf["rows"])))


def phase_seconds(seconds: dict[str, float], epochs: int, photos: dict[str, int]) -> float:
    """Seconds of so many epochs of a phase."""
    per_epoch = seconds["train_photo"] * photos["train"] + seconds["validation_photo"] * photos["validation"]
    return seconds["begin"] + epochs * (per_epoch + seconds["epoch"])


def memory_bytes(measurement: dict[str, Any], fine_tunes: bool) -> int:
    """The largest memory of the run: that of the small one, and the pooled features of all photos; 0 if unknown."""
    sizes, photos = measurement["bytes"], measurement["photos"]
    largest = sizes["all" if fine_tunes or not measurement["settings"]["fine_tune_epochs"] else "head"]
    return largest and int(largest + sum(each * photos[split] for split, each in sizes["photo"].items()))
