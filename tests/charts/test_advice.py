import math

import pytest
from helpers.made_events import epoch

from catdog.charts.advice import read_curves
from catdog.settings import TrainConfig

EVEN = {"train": {"cats": 100, "dogs": 100}, "validation": {"cats": 50, "dogs": 50}}
GUESSING = math.log(2)


def said(losses, val_losses=None, accuracies=None, phase="head", before=(), counts=EVEN, **settings) -> str:
    """What is said of epochs with these training and validation losses and validation accuracies."""
    val_losses = val_losses or losses
    accuracies = accuracies or [0.9] * len(losses)
    events = [
        epoch(phase, number, loss=loss, val_loss=val_loss, val_accuracy=accuracy)
        for number, (loss, val_loss, accuracy) in enumerate(zip(losses, val_losses, accuracies, strict=True), start=1)
    ]
    config = TrainConfig(**{"head_epochs": 10, "fine_tune_epochs": 10, **settings})
    return " ".join(read_curves([*before, *events], config, counts))


FALLING = [0.6, 0.5, 0.4, 0.3]
FLAT = [0.2, 0.1, 0.1, 0.1, 0.1]


def test_before_the_first_epoch_nothing_is_said():
    assert read_curves([], TrainConfig(), {}) == []


def test_two_epochs_are_too_few_and_three_are_not():
    assert said(FALLING[:2]) == "Too early to say: curves mean something after 3 epochs of a phase."
    assert said(FALLING[:3]) == "Still improving."


def test_a_phase_that_ends_before_the_third_epoch_says_so():
    assert said([0.6], head_epochs=1) == "1 epoch of a phase can't show whether more would help."
    assert said([0.6], head_epochs=2) == "2 epochs of a phase can't show whether more would help."


def test_at_the_end_more_epochs_may_help():
    assert said(FALLING, head_epochs=5) == "Still improving."
    assert said(FALLING, head_epochs=4) == "Still improving at the end: more epochs may help."


@pytest.mark.parametrize(("last", "words"), [(0.097, "Still improving."), (0.098, "Leveled off")])
def test_improving_is_a_fall_by_three_hundredths(last, words):
    assert said([0.2, 0.1, 0.1, last]).startswith(words)


def test_an_improvement_that_was_taken_back_is_neither():
    assert said([0.2, 0.1, 0.05, 0.2 / 3], [0.2, 0.1, 0.05, 0.08]) == ""


@pytest.mark.parametrize(("last", "words"), [(0.11, "Leveled off"), (0.12, "")])
def test_leveled_off_is_near_the_lowest(last, words):
    assert said([*FLAT[:-1], 0.1], [0.2, 0.1, 0.1, 0.1, last])[: len("Leveled off")] == words


@pytest.mark.parametrize(
    ("val_losses", "training", "memorizes"),
    [
        ([0.5, 0.3, 0.331, 0.34, 0.35], 0.08, True),
        ([0.5, 0.3, 0.329, 0.34, 0.35], 0.08, False),  # one of the last three is not a tenth higher
        ([0.5, 0.3, 0.34, 0.35], 0.08, False),  # only two epochs since
        ([0.5, 0.3, 0.331, 0.34, 0.35], 0.091, False),  # training did not fall by a tenth since
        ([0.5, 0.16, 0.179, 0.179, 0.179], 0.0895, True),
        ([0.5, 0.16, 0.179, 0.179, 0.179], 0.0896, False),  # training is more than half of validation
    ],
)
def test_memorizing_is_a_rise_on_validation_far_above_training_that_falls(val_losses, training, memorizes):
    losses = [0.2, 0.1, *[0.08] * (len(val_losses) - 3), training]
    assert ("memorizing: since epoch 2" in said(losses, val_losses)) == memorizes


@pytest.mark.parametrize(("rise", "memorizes"), [(0.0099, False), (0.0101, True)])
def test_a_rise_too_small_to_tell_is_no_memorizing(rise, memorizes):
    assert ("memorizing" in said([0.05, 0.01, *[0.001] * 3], [0.1, 0.02, *[0.02 + rise] * 3])) == memorizes


@pytest.mark.parametrize(("factor", "speaks"), [(10.001, True), (9.999, False)])
def test_a_loss_of_ten_times_guessing_comes_of_too_high_a_rate(factor, speaks):
    # Also after a single epoch, and also when it came down again.
    for losses in ([factor * GUESSING], [factor * GUESSING, 0.3, 0.1, 0.1]):
        assert ("head learning rate is too high, try a tenth of it" in said(losses)) == speaks
    four = {"train": dict.fromkeys("abcd", 10)}
    assert "too high" not in said([10.001 * GUESSING], counts=four)
    assert "went up to 13.9, where guessing has 1.39" in said([10.001 * math.log(4)], counts=four)


@pytest.mark.parametrize(
    ("losses", "accuracy", "speaks"),
    [
        ([2, 0.694, 0.694, 0.694], 0.75, True),
        ([2, 0.694, 0.693, 0.694], 0.75, False),  # not above guessing all the time
        ([2, 0.694, 0.694, 0.694], 0.74, False),  # as a new head is in the beginning
        ([0.694, 0.694], 0.75, False),
    ],
)
def test_being_right_with_a_loss_above_guessing_comes_of_too_high_a_rate(losses, accuracy, speaks):
    events = [epoch(epoch=at, loss=loss, accuracy=accuracy) for at, loss in enumerate(losses, start=1)]
    assert ("too high" in " ".join(read_curves(events, TrainConfig(), EVEN))) == speaks


@pytest.mark.parametrize(
    ("val_losses", "jumps"),
    [
        ([0.3, 0.2, 0.261, 0.2, 0.261], True),
        ([0.3, 0.2, 0.259, 0.2, 0.261], False),  # one jump alone
        ([0.06, 0.04, 0.089, 0.04, 0.089], False),  # too small to matter
        ([0.3, 0.2, 0.261, *[0.2] * 9, 0.261], False),  # the first is long ago
        ([0.3, 0.2, 0.261, *[0.2] * 7, 0.261], True),
    ],
)
def test_a_validation_loss_that_jumps_twice_comes_of_too_high_a_rate(val_losses, jumps):
    sentence = said([0.1] * len(val_losses), val_losses, head_epochs=20)
    assert ("jumps up and down: the head learning rate looks too high" in sentence) == jumps


@pytest.mark.parametrize(
    ("last", "rate", "slow"), [(0.589, 0.0009, True), (0.587, 0.0009, False), (0.589, 0.001, False)]
)
def test_a_loss_that_hardly_moves_comes_of_too_low_a_rate(last, rate, slow):
    sentence = said([0.6, 0.59, 0.5], [0.6, 0.59, last], head_learning_rate=rate)
    assert ("hardly moves: the head learning rate looks too low" in sentence) == slow


@pytest.mark.parametrize(("last", "rate", "slow"), [(0.694, 0.0009, True), (0.693, 0.0009, False), (0.9, 0.001, False)])
def test_a_loss_still_above_guessing_comes_of_too_low_a_rate(last, rate, slow):
    epochs = [(2.0, 0.3), (1.5, 0.4), (last, 0.5)]
    events = [
        epoch(epoch=at, loss=loss, accuracy=accuracy, val_loss=loss, val_accuracy=0.9)
        for at, (loss, accuracy) in enumerate(epochs, start=1)
    ]
    sentence = " ".join(read_curves(events, TrainConfig(head_learning_rate=rate), EVEN))
    assert ("It learns slowly: the head learning rate looks too low" in sentence) == slow


def test_where_little_is_left_to_learn_a_loss_may_stand_still():
    assert said([0.34, 0.34, 0.34], head_learning_rate=0.0001).startswith("Leveled off")
    assert "too low" in said([0.36, 0.36, 0.36], head_learning_rate=0.0001)


@pytest.mark.parametrize(("accuracy", "guesses"), [(0.84, True), (0.841, False)])
def test_no_better_than_guessing_is_within_a_standard_error_of_the_larger_class(accuracy, guesses):
    # 80 of 100 are dogs: a standard error of 0.04.
    counts = {"train": {"cats": 50, "dogs": 50}, "validation": {"cats": 20, "dogs": 80}}
    sentence = said(FALLING, accuracies=[0.99, 0.5, 0.5, accuracy], counts=counts)
    assert sentence == (
        "So far it is no better on validation photos than always saying dogs, which is right for 80 % of them."
        if guesses
        else "Still improving."
    )
    assert said(FALLING, accuracies=[accuracy] * 4, counts={}) == "Still improving."


@pytest.mark.parametrize(("after", "worse"), [(0.151, True), (0.149, False)])
def test_fine_tuning_that_spoils_what_was_known_is_told_at_once(after, worse):
    head = [epoch(epoch=number, loss=0.1, val_loss=loss) for number, loss in enumerate((0.3, 0.1, 0.2), start=1)]
    sentence = said([0.1], [after], phase="fine-tune", before=head)
    assert sentence.startswith("Fine-tuning made the validation loss higher" if worse else "Too early to say")
    # One epoch that is no worse is enough.
    assert "made" not in said([0.1, 0.1], [after, 0.1], phase="fine-tune", before=head)


def test_each_phase_is_judged_by_itself():
    head = [epoch(epoch=number, loss=8.0, val_loss=0.3) for number in (1, 2, 3)]
    sentence = said(FALLING, phase="fine-tune", before=head, fine_tune_epochs=4)
    assert sentence == "Still improving at the end: more epochs may help."
    assert "fine-tuning learning rate is too high" in said([8.0], phase="fine-tune", before=head)


@pytest.mark.parametrize(("dogs", "speaks"), [(300, True), (299, False)])
def test_a_class_of_three_times_the_photos_is_named_beside_the_rest(dogs, speaks):
    counts = {**EVEN, "train": {"cats": 100, "dogs": dogs}}
    more = " There are 3 times as many training photos of dogs as of cats, which favours dogs."
    assert said(FALLING, counts=counts) == "Still improving." + (more if speaks else "")
