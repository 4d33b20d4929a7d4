"""What a run's curves say, in plain words: each sentence follows from a rule that stands beside it."""

import itertools
import math
from collections.abc import Iterable
from typing import Any

from catdog.curves import Curves
from catdog.settings import SETTINGS, TrainConfig

# Fewer epochs of a phase than this are a beginning, not a curve.
FEWEST_EPOCHS = 3
# How many of the latest epochs tell whether it goes on getting better.
RECENT_EPOCHS = 3
# By what share the lowest validation loss must have fallen within them; below that a curve is flat to the eye.
IMPROVING = 0.03
# By what share the validation loss lies above its lowest, and by how much at least, when it has risen ...
RISEN, LEAST_RISE = 0.1, 0.01
# ... while the training loss fell by at least this share since then.
STILL_LEARNING = 0.1
# A training loss that has fallen by less than this share over a phase hardly moves ...
HARDLY_MOVING = 0.05
# ... which says something while it is above this share of the loss of guessing: there is much left to learn.
MUCH_LEFT = 0.5
# A rise of the training loss by this share, from one epoch to the next, is a jump; and so often it is no accident.
JUMP, FEWEST_JUMPS = 0.3, 2
# A loss this many times that of guessing comes from steps that were far too wide.
BLOWN_UP = 2.0
# Fine-tuning whose validation loss is this many times the head's best has lost what the network knew.
SPOILED = 1.5
# A class with so many times the training photos of another is favoured.
UNBALANCED = 3

Epochs = list[dict[str, Any]]


def read_curves(events: Iterable[dict[str, Any]], config: TrainConfig, counts: dict[str, dict[str, int]]) -> list[str]:
    """At most two sentences on a run's curves so far, from its events, its settings, and its photos by split and class.

    The first rule that applies gives the first sentence; the second is about unbalanced classes, where they are.
    """
    curves = Curves(config.head_epochs, config.fine_tune_epochs)
    for event in events:
        curves.add(event)
    epochs = [each.event for each in curves.epochs]
    if not epochs:
        return []
    phase = epochs[-1]["phase"]
    head, latest = ([event for event in epochs if event["phase"] == name] for name in ("head", phase))
    guessing = math.log(max(len(counts.get("train", {})), 2))  # the loss of giving each class the same probability
    rate = config.head_learning_rate if phase == "head" else config.fine_tune_learning_rate
    planned = config.head_epochs if phase == "head" else config.fine_tune_epochs
    sentence = (
        too_fast(latest, guessing, phase)
        or (spoiled_by_fine_tuning(head, latest) if phase == "fine-tune" else None)
        or too_short(latest, planned)
        or no_better_than_guessing(latest, counts.get("validation", {}))
        or too_slow(latest, guessing, phase, rate)
        or memorizing(latest)
        or improving_or_flat(latest, planned)
    )
    return [each for each in (sentence, unbalanced(counts.get("train", {}))) if each]


def words_of(phase: str) -> str:
    """A phase's learning rate as the form calls it."""
    return SETTINGS["head_learning_rate" if phase == "head" else "fine_tune_learning_rate"].metadata["label"].lower()


def too_fast(epochs: Epochs, guessing: float, phase: str) -> str | None:
    """The training loss of an epoch is BLOWN_UP times that of guessing, or it jumped up FEWEST_JUMPS times or more."""
    losses = [event["loss"] for event in epochs]
    jumps = sum(later > (1 + JUMP) * earlier for earlier, later in itertools.pairwise(losses))
    if max(losses) >= BLOWN_UP * guessing:
        return (
            f"The training loss went up to {max(losses):.1f}, where guessing has {guessing:.1f}: "
            f"the {words_of(phase)} is too high, try a tenth of it."
        )
    if jumps >= FEWEST_JUMPS and max(losses) - min(losses) > LEAST_RISE:
        return f"The training loss jumps up and down: the {words_of(phase)} looks too high, try a lower one."
    return None


def spoiled_by_fine_tuning(head: Epochs, tuned: Epochs) -> str | None:
    """Every fine-tuned epoch's validation loss is SPOILED times the head's best, and by LEAST_RISE higher."""
    if not head:
        return None
    before = min(event["val_loss"] for event in head)
    after = min(event["val_loss"] for event in tuned)
    if after >= SPOILED * before and after - before >= LEAST_RISE:
        return (
            f"Fine-tuning made the validation loss higher than it was ({after:.2f} after {before:.2f}): "
            f"try a lower {words_of('fine-tune')}."
        )
    return None


def too_short(epochs: Epochs, planned: int) -> str | None:
    """There are fewer than FEWEST_EPOCHS epochs of the phase, or will never be more."""
    if len(epochs) >= FEWEST_EPOCHS:
        return None
    if planned < FEWEST_EPOCHS:
        return f"{planned} {'epoch' if planned == 1 else 'epochs'} of a phase can't show whether more would help."
    return f"Too early to say: curves mean something after {FEWEST_EPOCHS} epochs of a phase."


def no_better_than_guessing(epochs: Epochs, validation: dict[str, int]) -> str | None:
    """No recent epoch's validation accuracy is above the larger class's share by more than its standard error."""
    photos = sum(validation.values())
    if not photos or len(validation) < 2:
        return None
    larger = max(validation, key=lambda name: validation[name])
    share = validation[larger] / photos
    best = max(event["val_accuracy"] for event in epochs[-RECENT_EPOCHS:])
    if best > share + math.sqrt(share * (1 - share) / photos):
        return None
    return (
        f"So far it is no better on validation photos than always saying {larger}, "
        f"which is right for {100 * share:.0f} % of them."
    )


def too_slow(epochs: Epochs, guessing: float, phase: str, rate: float) -> str | None:
    """The training loss fell by less than HARDLY_MOVING with MUCH_LEFT to learn, at less than the usual rate."""
    first, last = epochs[0]["loss"], epochs[-1]["loss"]
    usual = SETTINGS["head_learning_rate" if phase == "head" else "fine_tune_learning_rate"].default
    moves = last < (1 - HARDLY_MOVING) * first
    if moves or last < MUCH_LEFT * guessing or rate >= usual:
        return None
    return f"The loss hardly moves: the {words_of(phase)} looks too low, try ten times as much."


def memorizing(epochs: Epochs) -> str | None:
    """Since the lowest validation loss, RECENT_EPOCHS ago or more, it has RISEN while training is STILL_LEARNING."""
    lowest = min(range(len(epochs)), key=lambda index: epochs[index]["val_loss"])
    since = epochs[lowest + 1 :]
    before, now = epochs[lowest], epochs[-1]
    # All of the latest must be higher: one alone may be chance.
    risen = min((event["val_loss"] for event in since[-RECENT_EPOCHS:]), default=0.0) - before["val_loss"]
    if len(since) < RECENT_EPOCHS or risen < max(RISEN * before["val_loss"], LEAST_RISE):
        return None
    if now["loss"] > (1 - STILL_LEARNING) * before["loss"]:
        return None
    return (
        f"It is memorizing: since epoch {before['epoch']} the training loss goes on falling "
        "while the validation loss rises. More photos would help, more epochs would not."
    )


def improving_or_flat(epochs: Epochs, planned: int) -> str | None:
    """Whether the lowest validation loss is among the latest RECENT_EPOCHS - 1 epochs and lower by IMPROVING."""
    latest = RECENT_EPOCHS - 1
    before = min(event["val_loss"] for event in epochs[:-latest])
    after = min(event["val_loss"] for event in epochs[-latest:])
    now = epochs[-1]["val_loss"]
    if after <= (1 - IMPROVING) * before:
        if now > after * (1 + RISEN):
            return None  # it has turned since
        over = len(epochs) >= planned
        return "Still improving at the end: more epochs may help." if over else "Still improving."
    if abs(now - before) <= max(RISEN * before, LEAST_RISE):
        return "Leveled off: the validation loss hardly changes any more, and more epochs would change little."
    return None


def unbalanced(training: dict[str, int]) -> str | None:
    """One class has at least UNBALANCED times the training photos of another."""
    numbers = {name: number for name, number in training.items() if number > 0}
    if len(numbers) < 2:
        return None
    most, least = (choose(numbers, key=lambda name: numbers[name]) for choose in (max, min))
    times = numbers[most] / numbers[least]
    if times < UNBALANCED:
        return None
    return f"There are {times:.0f} times as many training photos of {most} as of {least}, which favours {most}."
