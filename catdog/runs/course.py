"""How a run goes right now: its events, taken in as they come, without keeping more of them than is shown."""

import math
from array import array
from collections import deque
from pathlib import Path
from typing import Any

from catdog.charts.curves import Curves, thinned
from catdog.files.json_files import NUMBER, found_in
from catdog.runs.events import read_events
from catdog.runs.progress import PHASE_WORDS
from catdog.runs.run_folder import WAITING
from catdog.settings import TrainConfig

RECENT_SECONDS = 10.0  # what a figure of speed looks back on
MOST_KEPT = 1000  # figures of speed; beyond that every second is dropped
SPARK_POINTS = 30  # what a line as small as a word can show


class Course:
    """What a run's events say so far: its curves, the part that is under way and its pace, notes and result."""

    def __init__(self, folder: Path, config: TrainConfig):
        self.folder = folder
        self.config = config
        self.offset = 0
        self.curves = Curves(config.head_epochs, config.fine_tune_epochs)
        self.phase: str | None = None
        self.latest: dict[str, Any] = {}  # the latest step of learning, or of other work, in this part
        self.pace = Pace()
        self.notes: list[str] = []
        self.result: dict[str, Any] | None = None

    def read(self) -> None:
        """Take in what the run has written since the last time."""
        events, self.offset = read_events(self.folder, self.offset)
        for event in events:
            self.take(event)

    def take(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        kind = event["event"]
        time = found_in(event, "time", kind=NUMBER) or 0.0
        learned = self.curves.add(event)
        if kind == "phase":
            self.phase, self.latest, self.pace = event["phase"], {}, Pace()
        elif kind == "step" and learned:
            self.latest = event
            photos = self.config.batch_size  # close enough: an epoch's last batch may be a smaller one
            done = ((event["epoch"] - 1) * event["steps"] + event["step"]) * photos
            self.pace.add(time, done, self.planned_epochs(event["phase"]) * event["steps"] * photos)
        elif kind == "progress" and is_finite(event["done"]) and is_finite(event.get("total")):
            self.latest = event
            self.pace.add(time, event["done"], event["total"], event["per_second"])
        elif kind == "note" and event["message"] not in (WAITING, *self.notes):
            self.notes.append(event["message"])
        elif kind == "result":
            self.result = event

    def planned_epochs(self, phase: str) -> int:
        """How many epochs a phase is to have."""
        return self.config.head_epochs if phase == "head" else self.config.fine_tune_epochs

    def progress(self) -> tuple[float, str]:
        """The share done of the part that is under way, from 0 to 1, and what it is in words."""
        if self.phase is None:
            return 0.0, "Starting"
        words = PHASE_WORDS.get(self.phase, self.phase)
        if not self.latest:
            return 0.0, words
        if self.latest["event"] == "step":
            planned = self.planned_epochs(self.latest["phase"])
            done = (self.latest["epoch"] - 1 + self.latest["step"] / self.latest["steps"]) / planned
            return done, f"{words}: epoch {self.latest['epoch']} of {planned}"
        done, total = self.latest["done"], self.latest["total"]
        unit = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if self.phase == "download" else f"{done:,} of {total:,}"
        return min(done / total, 1.0) if total else 0.0, f"{words}: {unit}"

    def photos_per_second(self) -> list[float]:
        """How the speed went in this part, the latest figure last; empty where it isn't photos that are worked on."""
        return [] if self.phase in ("download", "photos", "evaluation") else self.pace.lately(self.pace.rates)

    def seconds_left(self) -> list[float]:
        """What was still to go of this part, the latest figure last."""
        return self.pace.lately(self.pace.left)

    def validation(self, measure: str) -> list[float]:
        """A measure on validation photos, epoch by epoch, the latest last; thinned."""
        epochs = self.curves.epochs
        return [epochs[index].event[f"val_{measure}"] for index in thinned(len(epochs), SPARK_POINTS)]


class Pace:
    """How fast a part of a run goes, in whatever it counts, and the seconds that are left of it."""

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None
        self.recent: deque[tuple[float, float]] = deque()
        self.rates, self.left = array("d"), array("d")

    def add(self, time: float, done: float, total: float, rate: float | None = None) -> None:
        """Note that at this time so much of the total was done; `rate` where whoever works says how fast it is.

        The first time is where counting starts: what came before it may have been preparation.
        """
        self.first = self.first or (time, done)
        self.recent.append((time, done))
        while len(self.recent) > 2 and time - self.recent[0][0] > RECENT_SECONDS:
            self.recent.popleft()
        overall = speed(*self.first, time, done) if rate is None else rate
        rate = speed(*self.recent[0], time, done) if rate is None else rate
        if is_finite(rate) and is_finite(overall) and rate > 0 and overall > 0:
            self.rates.append(rate)
            self.left.append(max(total - done, 0) / overall)
        if len(self.rates) > MOST_KEPT:
            self.rates, self.left = self.rates[::2], self.left[::2]

    def lately(self, figures: array) -> list[float]:
        """The figures so far, as many as a small line shows."""
        return [figures[index] for index in thinned(len(figures), SPARK_POINTS)]


def speed(since: float, before: float, time: float, done: float) -> float:
    """How much was done a second between two times; 0 where no time went by."""
    return (done - before) / (time - since) if time > since else 0.0


def is_finite(value: Any) -> bool:
    """Whether a value is a number that one can count with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
