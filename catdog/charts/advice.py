"""What a run's curves say, in plain words: each sentence follows from a rule that stands beside it."""

import itertools
import math
from collections.abc import Iterable
from typing import Any

from catdog.charts.curves import Curves
from catdog.settings import SETTINGS, TrainConfig

# Fewer epochs of a phase than this are a beginning, not a curve.
FEWEST_EPOCHS = 3
# How many of the latest epochs tell whether it goes on getting better.
RECENT_EPOCHS = 3
# By what share the lowest validation loss must have fallen within them; below that a curve is flat to the eye.
IMPROVING = 0.03
# By what share the validation loss lies above its lowest, and by how much at least, when it has risen ...
RISEN, LEAST_RISE = 0.1, 0.01
# ... while the training loss fell by at least this share since then, to at most this share of the validation loss.
STILL_LEARNING, APART = 0.1, 0.5
# A validation loss that is within this share of what it was at first hardly moves ...
HARDLY_MOVING = 0.02
# ... which says something while it is above this share of the loss of guessing: there is much left to learn.
MUCH_LEFT = 0.5
# A rise of the validation loss by this share and this much from one epoch to the next is a jump;
# so many of them within so many epochs are no accident.
JUMP, LEAST_JUMP = 0.3, 0.05
FEWEST_JUMPS, JUMP_EPOCHS = 2, 10
# A training loss this many times that of guessing comes from steps that were far too wide: a new head begins below 4.
BLOWN_UP = 10.0
# Whoever is right this often and yet has a higher loss than guessing is far too certain where it is wrong.
OFTEN_RIGHT = 0.75
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
        or jumping(latest, phase)
        or too_slow(latest, guessing, phase, rate)
        or no_better_than_guessing(latest, counts.get("validation", {}))
        or memorizing(latest)
        or improving_or_flat(latest, planned)
    )
    return [each for each in (sentence, unbalanced(counts.get("train", {}))) if each]


def words_of(phase: str) -> str:
    """A phase's learning rate as the form calls it."""
    return SETTINGS["head_learning_rate" if phase == "head" else "fine_tune_learning_rate"].metadata["label"].lower()


def too_fast(epochs: Epochs, guessing: float, phase: str) -> str | None:
    """A training loss was BLOWN_UP times that of guessing, or all of the latest RECENT_EPOCHS are above it although
    their training accuracies are at least OFTEN_RIGHT."""
    highest, latest = max(event["loss"] for event in epochs), epochs[-RECENT_EPOCHS:]
    blown_up = highest >= BLOWN_UP * guessing
    certain = len(latest) == RECENT_EPOCHS and all(
        event["loss"] > guessing and event["accuracy"] >= OFTEN_RIGHT for event in latest
    )
    if not blown_up and not certain:
        return None
    shown = f"went up to {highest:.3g}" if blown_up else f"is {epochs[-1]['loss']:.3g}"
    return (
        f"The training loss {shown}, where guessing has {guessing:.3g}: "
        f"the {words_of(phase)} is too high, try a tenth of it."
    )


def jumping(epochs: Epochs, phase: str) -> str | None:
    """The validation loss jumped up FEWEST_JUMPS times or more within the latest JUMP_EPOCHS epochs."""
    losses = [event["val_loss"] for event in epochs[-JUMP_EPOCHS:]]
    jumps = sum(
        later > (1 + JUMP) * earlier and later - earlier > LEAST_JUMP for earlier, later in itertools.pairwise(losses)
    )
    if jumps < FEWEST_JUMPS:
        return None
    return f"The validation loss jumps up and down: the {words_of(phase)} looks too high, try a lower one."


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
    """At less than the usual rate, the training loss is still above that of guessing, or the validation loss is
    HARDLY_MOVING with MUCH_LEFT to learn."""
    first, last = epochs[0]["val_loss"], epochs[-1]["val_loss"]
    if rate >= SETTINGS["head_learning_rate" if phase == "head" else "fine_tune_learning_rate"].default:
        return None
    if epochs[-1]["loss"] > guessing:
        return f"It learns slowly: the {words_of(phase)} looks too low, try ten times as much."
    if abs(last - first) < HARDLY_MOVING * first and last > MUCH_LEFT * guessing:
        return f"The validation loss hardly moves: the {words_of(phase)} looks too low, try ten times as much."
    return None


def memorizing(epochs: Epochs) -> str | None:
    """Since its lowest, RECENT_EPOCHS ago or more, the validation loss has RISEN, while the training loss is
    STILL_LEARNING and APART from it."""
    lowest = min(range(len(epochs)), key=lambda index: epochs[index]["val_loss"])
    before, since = epochs[lowest], epochs[lowest + 1 :][-RECENT_EPOCHS:]
    if len(since) < RECENT_EPOCHS:
        return None
    # All of the latest must be so: one alone may be chance.
    validation, training = min(event["val_loss"] for event in since), max(event["loss"] for event in since)
    if validation - before["val_loss"] < max(RISEN * before["val_loss"], LEAST_RISE):
        return None
    if training > min((1 - STILL_LEARNING) * before["loss"], APART * validation):
        return None
    return (
        f"It is memorizing: since epoch {before['epoch']} the training loss has fallen and the validation loss risen. "
        "More photos would help against that."
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
