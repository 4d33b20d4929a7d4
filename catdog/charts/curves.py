"""A run's events become curves: loss and accuracy, step by step and epoch by epoch, taken in as they come."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

COLUMNS = {
    "position": "float64",  # in epochs, counted over both phases; a whole epoch stands at its end
    "phase": "str",  # as in the events
    "epoch": "int64",  # from 1, within its phase
    "kind": "str",  # step or epoch
    "split": "str",
    "measure": "str",  # loss or accuracy
    "value": "float64",  # an accuracy lies between 0 and 1
    "best": "bool",
}
# What a browser is sent at most, however long the run.
MOST_STEPS = 600
MOST_EPOCHS = 500
LARGEST_LOSS = 1e12  # what is larger is as good as infinite


class Epoch(NamedTuple):
    """A whole epoch: where it ends, in epochs over both phases, and its event."""

    position: float
    event: dict[str, Any]


class Curves:
    """How loss and accuracy went so far: steps as bare numbers, since there may be very many, and whole epochs."""

    def __init__(self, head_epochs: int, fine_tune_epochs: int = 0):
        self.head_epochs = head_epochs
        # Of each phase how many epochs there are before it, and in it.
        self.planned = {"head": (0, head_epochs), "fine-tune": (head_epochs, fine_tune_epochs)}
        self.epochs: list[Epoch] = []
        self.positions, self.losses, self.accuracies = array("d"), array("d"), array("d")

    def add(self, event: dict[str, Any]) -> bool:
        """Take in a step or an epoch; whether the event was one, with all its numbers.

        A run that was resumed goes back a little: what it had recorded from there on no longer counts.
        """
        position = locate(event, self.planned)
        if position is None:
            return False
        is_epoch = event["event"] == "epoch"
        # An epoch ends after its last step, at the same position.
        first = (bisect_right if is_epoch else bisect_left)(self.positions, position)
        for numbers in (self.positions, self.losses, self.accuracies):
            del numbers[first:]
        while self.epochs and self.epochs[-1].position >= position:
            self.epochs.pop()
        if is_epoch:
            self.epochs.append(Epoch(position, event))
        else:
            self.positions.append(position)
            self.losses.append(event["loss"])
            self.accuracies.append(event["accuracy"])
        return True

    def best(self) -> Epoch | None:
        """The epoch with the highest validation accuracy, then the lowest validation loss, then the earliest."""
        return min(self.epochs, key=lambda each: (-each.event["val_accuracy"], each.event["val_loss"]), default=None)

    def shown_epochs(self) -> list[Epoch]:
        """The whole epochs, thinned to what a browser takes easily, the best one among them."""
        best = self.best()
        place = None if best is None else bisect_left(self.epochs, best.position, key=lambda each: each.position)
        return [self.epochs[index] for index in thinned(len(self.epochs), MOST_EPOCHS, place)]

    def shown_steps(self, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """The positions of the steps and their loss or accuracy, thinned to what a browser takes easily."""
        chosen = np.array(thinned(len(self.positions), MOST_STEPS), int)
        values = self.losses if measure == "loss" else self.accuracies
        return np.array(self.positions)[chosen], np.array(values)[chosen]

    def frame(self) -> pd.DataFrame:
        """A tidy frame of COLUMNS of what is shown."""
        best, epochs = self.best(), self.shown_epochs()
        parts = [
            *(self.step_columns(measure) for measure in ("loss", "accuracy")),
            *(
                epoch_columns(epochs, best, split, measure, prefix)
                for split, prefix in (("training", ""), ("validation", "val_"))
                for measure in ("loss", "accuracy")
            ),
        ]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
        return pd.DataFrame(columns).astype(COLUMNS)

    def step_columns(self, measure: str) -> dict[str, np.ndarray]:
        """The frame's columns for one measure of the steps."""
        positions, values = self.shown_steps(measure)
        tuning = positions > self.head_epochs
        return {
            "position": positions,
            "phase": np.where(tuning, "fine-tune", "head").astype(object),
            "epoch": np.ceil(positions - tuning * self.head_epochs),
            "kind": np.full(len(positions), "step", object),
            "split": np.full(len(positions), "training", object),
            "measure": np.full(len(positions), measure, object),
            "value": values,
            "best": np.zeros(len(positions), bool),
        }


def learning_curves(events: Iterable[dict[str, Any]], head_epochs: int, fine_tune_epochs: int = 0) -> Curves:
    """The curves of a run's events and its numbers of epochs."""
    curves = Curves(head_epochs, fine_tune_epochs)
    for event in events:
        curves.add(event)
    return curves


def epoch_columns(
    epochs: list[Epoch], best: Epoch | None, split: str, measure: str, prefix: str
) -> dict[str, np.ndarray]:
    """The frame's columns for one measure of these epochs on training or on validation photos."""
    return {
        "position": np.array([each.position for each in epochs]),
        "phase": np.array([each.event["phase"] for each in epochs], object),
        "epoch": np.array([each.event["epoch"] for each in epochs], float),
        "kind": np.full(len(epochs), "epoch", object),
        "split": np.full(len(epochs), split, object),
        "measure": np.full(len(epochs), measure, object),
        "value": np.array([each.event[prefix + measure] for each in epochs], float),
        "best": np.array([each is best for each in epochs], bool),
    }


def locate(event: dict[str, Any], planned: dict[str, tuple[int, int]]) -> float | None:
    """A step's or an epoch's place in the run; None for another event, or where a needed number is missing or odd."""
    kind, phase, epoch = event.get("event"), event.get("phase"), event.get("epoch")
    if kind not in ("step", "epoch") or not isinstance(phase, str) or phase not in planned:
        return None
    before, epochs = planned[phase]
    if not is_whole(epoch, epochs) or not has_measures(event):
        return None
    if kind == "epoch":
        return float(before + epoch) if has_measures(event, "val_") else None
    step, steps = event.get("step"), event.get("steps")
    if not is_whole(steps, 10**9) or not is_whole(step, steps):
        return None
    return before + epoch - 1 + step / steps


def is_whole(value: Any, most: int) -> bool:
    """Whether a value is a whole number from 1 to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def has_measures(event: dict[str, Any], prefix: str = "") -> bool:
    """Whether an event has a loss and an accuracy that are numbers within their bounds, which NaN never is."""
    return all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most
        for value, most in ((event.get(f"{prefix}loss"), LARGEST_LOSS), (event.get(f"{prefix}accuracy"), 1))
    )


def thinned(count: int, most: int, best: int | None = None) -> list[int]:
    """At most `most` of so many places: all, or every second, fourth, eighth, ..., with the last and the best.

    What is shown stays where it is while a run goes on, until the distance doubles.
    """
    distance = 1
    while count > (most - 2) * distance:
        distance *= 2
    chosen = {*range(0, count, distance), *range(max(count - 1, 0), count)}
    return sorted(chosen | ({best} if best is not None else set()))
