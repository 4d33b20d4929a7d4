"""One phase of learning: epochs over kept activations or photos, the best epoch, and the checkpoint to resume from."""

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from catdog.errors import Failed, Stopped
from catdog.files.array_files import read_arrays, write_arrays
from catdog.network.activations import Source, in_batches
from catdog.network.steps import compiled_prediction, compiled_step
from catdog.results.measures import accuracy, cross_entropy
from catdog.runs.events import read_events
from catdog.runs.run_folder import Run

PHASES = ("head", "fine-tune")


class Diverged(Failed):
    """Raised when a loss is no longer a finite number."""


@dataclass(frozen=True)
class Phase:
    """What one phase of learning needs; `network` leads from the sources' batches to logits (n, classes)."""

    name: str
    epochs: int
    learning_rate: float
    network: keras.Model
    training: Source
    validation: Source
    views: int
    # Of the devices that it learns on: by default the one that TensorFlow chooses.
    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)

    @property
    def dropout(self) -> keras.layers.Dropout:
        """The network's dropout, whose seed decides what it leaves out."""
        return self.network.get_layer("dropout")


def same_epoch(event: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two events are of the same epoch of the same phase."""
    return (event["phase"], event["epoch"]) == (other["phase"], other["epoch"])


@dataclass
class Best:
    """The best epoch so far: its event, its validation probabilities (n, classes), and what had been learned."""

    event: dict[str, Any]
    probabilities: np.ndarray
    variables: dict[str, np.ndarray]

    def is_beaten_by(self, event: dict[str, Any]) -> bool:
        """Whether an epoch has a higher validation accuracy or, with the same, a lower validation loss."""
        return (-event["val_accuracy"], event["val_loss"]) < (-self.event["val_accuracy"], self.event["val_loss"])

    def is_of(self, event: dict[str, Any]) -> bool:
        """Whether this is the epoch itself, as where it was interrupted after its best had been written."""
        return same_epoch(event, self.event)


@dataclass
class Learning:
    """The course of learning over both phases: what is best, and how far the checkpoint is."""

    run: Run
    train_labels: np.ndarray
    validation_labels: np.ndarray
    batch_size: int
    seed: int
    best: Best | None = None
    epochs: int = 0  # whole epochs so far, over both phases
    done: dict[str, int] = field(default_factory=dict)  # whole epochs of each phase in the checkpoint
    last: dict[str, np.ndarray] = field(default_factory=dict)  # variables of the checkpoint's phase
    originals: dict[str, np.ndarray] = field(default_factory=dict)  # what variables were before they learned

    def learn(self, phase: Phase) -> None:
        """Go through a phase's epochs, from the checkpoint's on; raises `Stopped` or `Diverged`."""
        first = self.done.get(phase.name, 0) + 1
        if any(self.done.get(later) for later in PHASES[PHASES.index(phase.name) + 1 :]) or first > phase.epochs:
            self.restore(phase, None)
            return
        self.run.event("phase", phase=phase.name)
        with phase.strategy.scope():
            optimizer = keras.optimizers.Adam(phase.learning_rate, name=phase.name.replace("-", "_"))
            optimizer.build(phase.network.trainable_variables)
        self.restore(phase, optimizer)
        self.last = {}  # A later phase goes on from here, and not from where the checkpoint was.
        step = compiled_step(phase.network, optimizer, phase.strategy)
        predict = compiled_prediction(phase.network)
        for epoch in range(first, phase.epochs + 1):
            started = time.monotonic()
            loss, correct = self.train_epoch(phase, epoch, step)
            probabilities = predict_all(predict, phase.validation, self.batch_size)
            event = {
                "phase": phase.name,
                "epoch": epoch,
                "epochs": phase.epochs,
                "loss": loss,
                "accuracy": correct,
                "val_loss": finite(cross_entropy(probabilities, self.validation_labels), phase, epoch),
                "val_accuracy": accuracy(probabilities, self.validation_labels),
                "learning_rate": phase.learning_rate,
                "seconds": round(time.monotonic() - started, 3),
            }
            event["best"] = self.best is None or self.best.is_beaten_by(event) or self.best.is_of(event)
            self.keep(event, probabilities, phase, optimizer)
            self.run.event("epoch", **event)

    def keep(self, event: dict[str, Any], probabilities: np.ndarray, phase: Phase, optimizer: keras.Optimizer) -> None:
        """Write the checkpoint of an epoch that has ended.

        The values go when this returns: held through the next epoch they would take as much again as what learns.
        """
        variables = {variable.path: variable.numpy() for variable in phase.network.trainable_variables}
        if event["best"]:
            self.best = Best(event, probabilities, variables)
            write_arrays(self.file("best"), {"probabilities": probabilities, **variables}, event=event)
        self.epochs += 1
        self.done[phase.name] = event["epoch"]
        # The best epoch was written first, so that the last never runs ahead of it.
        of_optimizer = {f"optimizer/{variable.path}": variable.numpy() for variable in optimizer.variables}
        position = {"done": self.done, "epochs": self.epochs, "event": event}
        write_arrays(self.file("last"), variables | of_optimizer, **position)

    def train_epoch(self, phase: Phase, epoch: int, step: Callable) -> tuple[float, float]:
        """Learn from each training photo once; the mean loss and accuracy while doing so."""
        count = len(phase.training)
        order, views, dropout_seed = draw_epoch(self.seed, phase, epoch, count)
        phase.dropout.seed_generator.state.assign(dropout_seed)
        labels = self.train_labels[order]
        steps = math.ceil(count / self.batch_size)
        loss_sum = correct_sum = 0.0
        for number, batch in enumerate(in_batches(phase.training, order, views, self.batch_size), start=1):
            if self.run.stop_requested():
                raise Stopped("Stopped before the first epoch ended: there is nothing to keep yet.")
            of_batch = labels[(number - 1) * self.batch_size : number * self.batch_size]
            loss, correct = (float(value) for value in step(batch, of_batch))
            finite(loss, phase, epoch)
            self.run.frequent_event(
                "step",
                last=number == steps,
                phase=phase.name,
                epoch=epoch,
                step=number,
                steps=steps,
                loss=loss,
                accuracy=correct / len(of_batch),
            )
            loss_sum += loss * len(of_batch)
            correct_sum += correct
        return loss_sum / count, correct_sum / count

    def file(self, name: str) -> Path:
        """The path of a file of the checkpoint."""
        return self.run.checkpoint_folder / f"{name}.npz"

    def load(self) -> None:
        """Take up the checkpoint of an earlier process, if there is a whole one."""
        last, best = read_arrays(self.file("last")), read_arrays(self.file("best"))
        if last is None or best is None or len(best[0].get("probabilities", ())) != len(self.validation_labels):
            return
        self.last, position = last
        self.done, self.epochs = position["done"], position["epochs"]
        probabilities = best[0].pop("probabilities")
        self.best = Best(best[1]["event"], probabilities, best[0])
        # The process may have ended between the checkpoint and the event.
        written = [event for event in read_events(self.run.folder)[0] if event["event"] == "epoch"]
        if not any(same_epoch(event, position["event"]) for event in written):
            self.run.event("epoch", **position["event"])

    def restore(self, phase: Phase, optimizer: keras.Optimizer | None) -> None:
        """Give the phase's variables, and its optimizer's, the values that the checkpoint has for them."""
        for variable in phase.network.trainable_variables:
            self.originals.setdefault(variable.path, variable.numpy())
            if variable.path in self.last:
                variable.assign(self.last[variable.path])
        if optimizer and self.done.get(phase.name):
            for variable in optimizer.variables:
                variable.assign(self.last[f"optimizer/{variable.path}"])

    def put_back_best(self, model: keras.Model) -> None:
        """Give the model's variables the values of the best epoch; what learned only later gets its original ones."""
        if self.best is None:
            raise ValueError("No epoch has ended, so there is no best one.")
        values = self.originals | self.best.variables
        for variable in model.variables:
            if variable.path in values:
                variable.assign(values[variable.path])

    def discard(self) -> None:
        """Remove the checkpoint."""
        shutil.rmtree(self.run.checkpoint_folder, ignore_errors=True)


def draw_epoch(seed: int, phase: Phase, epoch: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order of an epoch's photos, the view of each, and dropout's seed (2,): all that chance decides in it.

    It follows from seed, phase and epoch alone, so that a resumed run takes the same path.
    """
    chance = np.random.default_rng([seed, PHASES.index(phase.name), epoch])
    order = chance.permutation(count)
    views = chance.integers(0, phase.views, count)
    return order, views, chance.integers(0, 2**32, 2, dtype=np.uint32)


def finite(loss: float, phase: Phase, epoch: int) -> float:
    """The loss, or `Diverged` where it is not a finite number."""
    if math.isfinite(loss):
        return loss
    what = "fine-tuning" if phase.name == "fine-tune" else "head"
    raise Diverged(
        f"The loss was no longer a number in {what} epoch {epoch}: "
        f"choose a lower {what} learning rate than {phase.learning_rate:g}."
    )


def predict_all(predict: Callable, source: Source, batch_size: int) -> np.ndarray:
    """Probabilities (n, classes), float32, of all of a source's photos as they are."""
    order, views = np.arange(len(source)), np.zeros(len(source), int)
    return np.concatenate([predict(batch).numpy() for batch in in_batches(source, order, views, batch_size)])
