"""What can be found out by training the head again and again, which takes seconds on kept features.

`try_rates` is a sweep over learning rates; `try_shares` trains on a quarter, a half, three quarters and all photos.
"""

import math
import time
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from catdog.errors import Failed, Stopped
from catdog.figures import counted, decimal, percent
from catdog.files.json_files import write_json
from catdog.learning.preparation import Setup, prepare
from catdog.learning.training import extract_splits, head_phase, require_every_class
from catdog.learning.training_loop import Diverged, draw_epoch, finite, predict_all
from catdog.network.activations import Extracted, in_batches
from catdog.network.steps import compiled_prediction, compiled_step
from catdog.photos.photo_sets import labels_of
from catdog.results.measures import accuracy, cross_entropy
from catdog.runs.run_folder import Run
from catdog.runs.trials import ANSWER_FILE
from catdog.settings import SETTINGS, TrainConfig, rate_steps

# Steps with each learning rate, so that a sweep over many photos takes seconds too; at least one epoch.
MOST_STEPS = 400
# Rates whose loss is higher by no more than this share do as well.
LITTLE_MORE = 0.1
SHARES = (0.25, 0.5, 0.75, 1.0)
DRAWS = 3  # of photos for each share but the whole, since chance decides much among few
# More photos are worth while if the loss fell by this share when their number doubled.
TELLING_FALL = 0.1
# More epochs are worth while if the loss still fell by this share in the last of them.
STILL_FALLING = 0.02


class HeadTrials:
    """Trains the same head from the same start on the features of some photos, as often as wanted."""

    def __init__(self, setup: Setup, extracted: dict[str, Extracted]):
        self.setup = setup
        self.phase = head_phase(setup, extracted["train"], extracted["validation"])
        self.labels, self.validation_labels = (labels_of(extracted[split].photos) for split in ("train", "validation"))
        self.optimizer = keras.optimizers.Adam(setup.config.head_learning_rate)
        self.optimizer.build(self.phase.network.trainable_variables)
        self.step = compiled_step(self.phase.network, self.optimizer)
        self.predict = compiled_prediction(self.phase.network)
        self.start = [variable.numpy() for variable in self.phase.network.trainable_variables]

    def train(self, learning_rate: float, epochs: int, rows: np.ndarray) -> list[dict[str, float]]:
        """The figures of each epoch over these photos; raises `Stopped`, or `Diverged` where they have none."""
        for variable, value in zip(self.phase.network.trainable_variables, self.start, strict=True):
            variable.assign(value)
        for variable in self.optimizer.variables:
            variable.assign(np.zeros(variable.shape))
        self.optimizer.learning_rate = learning_rate
        config, figures = self.setup.config, []
        for epoch in range(1, epochs + 1):
            order, views, dropout_seed = draw_epoch(config.seed, self.phase, epoch, len(rows))
            order = rows[order]
            self.phase.dropout.seed_generator.state.assign(dropout_seed)
            loss_sum = correct_sum = 0.0
            for number, batch in enumerate(in_batches(self.phase.training, order, views, config.batch_size)):
                if self.setup.run.stop_requested():
                    raise Stopped("Stopped before there was an answer.")
                labels = self.labels[order[number * config.batch_size : (number + 1) * config.batch_size]]
                loss, correct = (float(value) for value in self.step(batch, labels))
                loss_sum, correct_sum = loss_sum + loss * len(labels), correct_sum + correct
            probabilities = predict_all(self.predict, self.phase.validation, config.batch_size)
            val_loss = cross_entropy(probabilities, self.validation_labels)
            finite(loss_sum + val_loss, self.phase, epoch)
            figures.append(
                {
                    "loss": loss_sum / len(rows),
                    "accuracy": correct_sum / len(rows),
                    "val_loss": val_loss,
                    "val_accuracy": accuracy(probabilities, self.validation_labels),
                }
            )
        return figures


def prepare_trials(config: TrainConfig, run: Run) -> HeadTrials:
    """Everything up to the features, which are computed if they aren't kept."""
    setup = prepare(replace(config, fine_tune_epochs=0), run)
    extracted = extract_splits(setup)
    require_every_class(setup, extracted)
    return HeadTrials(setup, extracted)


def finish(run: Run, answer: dict[str, Any], started: float) -> dict[str, Any]:
    """Write a trial's answer and its last state."""
    answer = {**answer, "seconds": round(time.monotonic() - started, 1)}
    write_json(run.folder / ANSWER_FILE, answer)
    run.set_state("done")
    return answer


def try_rates(config: TrainConfig, run: Run) -> dict[str, Any]:
    """Train the head with each rate of the form for a few epochs; the one with the lowest validation loss is suggested.

    Writes a `rate` event for each. Raises `Stopped`, or what training raises before its first epoch.
    """
    started = time.monotonic()
    with run.working():
        trials = prepare_trials(config, run)
        rows = np.arange(len(trials.labels))
        steps = math.ceil(len(rows) / config.batch_size)
        epochs = min(config.head_epochs, max(1, MOST_STEPS // steps))
        run.event("phase", phase="rates")
        rates, tried = rate_steps(SETTINGS["head_learning_rate"]), []
        for rate in rates:
            try:
                figures = trials.train(rate, epochs, rows)
            except Diverged:
                break  # A higher one would as well.
            run.event("progress", done=len(tried) + 1, total=len(rates), per_second=0)
            tried.append({"learning_rate": rate, **min(figures, key=lambda epoch: epoch["val_loss"])})
            run.event("rate", **tried[-1])
        suggested = suggest_rate(tried)
        sentence = describe_rates(tried, suggested, epochs)
        answer = {"learning_rate": suggested["learning_rate"], "epochs": epochs, "rates": tried, "sentence": sentence}
        return finish(run, answer, started)


def suggest_rate(tried: list[dict[str, float]]) -> dict[str, float]:
    """The trial with the lowest validation loss; of equal ones that with the lowest rate. Raises `Failed` for none."""
    if not tried:
        raise Failed("With no learning rate was the loss a number: look whether the backbone file is whole.")
    return min(tried, key=lambda each: (each["val_loss"], each["learning_rate"]))


def describe_rates(tried: list[dict[str, float]], suggested: dict[str, float], epochs: int) -> str:
    """What the suggested rate achieved, and between which others it made little difference."""
    place = low = high = tried.index(suggested)
    while low > 0 and tried[low - 1]["val_loss"] <= (1 + LITTLE_MORE) * tried[place]["val_loss"]:
        low -= 1
    while high + 1 < len(tried) and tried[high + 1]["val_loss"] <= (1 + LITTLE_MORE) * tried[place]["val_loss"]:
        high += 1
    sentence = (
        f"{decimal(suggested['learning_rate'])} had the lowest validation loss within {counted(epochs, 'epoch')}: "
        f"{suggested['val_loss']:.4f}, accuracy {percent(suggested['val_accuracy'])}."
    )
    if low == high:
        return sentence
    between = f"{decimal(tried[low]['learning_rate'])} to {decimal(tried[high]['learning_rate'])}"
    return f"{sentence} From {between} the rate made little difference."


def try_shares(config: TrainConfig, run: Run) -> dict[str, Any]:
    """Train the head on a quarter, a half, three quarters and all of the photos of each class.

    Writes a `share` event for each, with the mean over DRAWS draws of photos and the lowest and highest accuracy.
    Raises `Stopped`, or what training raises before its first epoch.
    """
    started = time.monotonic()
    with run.working():
        trials = prepare_trials(config, run)
        run.event("phase", phase="learning-curve")
        shares, trained = [], 0
        for share in SHARES:
            draws = DRAWS if share < 1 else 1
            courses = []
            for draw in range(draws):
                rows = draw_rows(trials.labels, share, [config.seed, draw])
                courses.append(trials.train(config.head_learning_rate, config.head_epochs, rows))
                trained += 1
                run.event("progress", done=trained, total=DRAWS * (len(SHARES) - 1) + 1, per_second=0)
            shares.append({"share": share, "photos": len(rows), **summarize(courses)})
            run.event("share", **shares[-1])
        falling = still_falling(courses[0])
        answer = {"shares": shares, "epochs": config.head_epochs, "sentence": describe_shares(shares, falling)}
        return finish(run, answer, started)


def draw_rows(labels: np.ndarray, share: float, seed: list[int]) -> np.ndarray:
    """Which photos are in a draw: this share of each class, at least one; a larger share holds all of a smaller."""
    rows = []
    for label in np.unique(labels):
        of_class = np.random.default_rng([*seed, int(label)]).permutation(np.flatnonzero(labels == label))
        rows.append(of_class[: max(1, round(share * len(of_class)))])
    return np.sort(np.concatenate(rows))


def summarize(courses: list[list[dict[str, float]]]) -> dict[str, float]:
    """The best epoch's validation figures: means over the draws, and the lowest and highest accuracy among them."""
    best = [min(epochs, key=lambda epoch: (-epoch["val_accuracy"], epoch["val_loss"])) for epochs in courses]
    accuracies = [epoch["val_accuracy"] for epoch in best]
    return {
        "val_accuracy": float(np.mean(accuracies)),
        "lowest": min(accuracies),
        "highest": max(accuracies),
        "val_loss": float(np.mean([min(epoch["val_loss"] for epoch in epochs) for epochs in courses])),
    }


def still_falling(epochs: list[dict[str, float]]) -> bool:
    """Whether the validation loss fell by STILL_FALLING in the last epoch, to less than ever before."""
    losses = [epoch["val_loss"] for epoch in epochs]
    return len(losses) > 1 and losses[-1] == min(losses) and losses[-1] < (1 - STILL_FALLING) * losses[-2]


def describe_shares(shares: list[dict[str, float]], falling: bool) -> str:
    """Whether more photos, and whether more epochs, promise a better classifier, and the figures that say so."""
    half, whole = (next(each for each in shares if each["share"] == share) for share in (0.5, 1.0))
    photos = (
        f"From {half['photos']:,} to {whole['photos']:,} photos, accuracy went from {percent(half['val_accuracy'])} to "
        f"{percent(whole['val_accuracy'])} and the loss from {half['val_loss']:.4f} to {whole['val_loss']:.4f}"
    )
    if whole["val_loss"] < (1 - TELLING_FALL) * half["val_loss"]:
        photos += ": more photos should still help."
    else:
        photos += ": more photos of the same kind would change little."
    if falling:
        return f"{photos} The loss still fell in the last epoch: more epochs, or a higher rate, should help as well."
    return f"{photos} In the last epoch the loss no longer fell: more epochs would change little."
