import json
import math

import pandas as pd
import pytest
from helpers.made_events import RUN, epoch, long_run, step

from catdog.charts.curves import COLUMNS, MOST_EPOCHS, MOST_STEPS, learning_curves
from catdog.runs.events import read_events


def values(curves, **where) -> list[tuple[float, float]]:
    """Positions and values of the frame's rows with these columns."""
    for column, value in where.items():
        curves = curves[curves[column] == value]
    return list(zip(curves["position"], curves["value"], strict=True))


def test_positions_count_the_epochs_of_both_phases():
    curves = learning_curves(RUN, head_epochs=2, fine_tune_epochs=3).frame()
    assert values(curves, kind="step", measure="loss") == [(0.25, 1.5), (1, 0.25), (2.25, 0.125)]
    assert values(curves, kind="step", measure="accuracy") == [(0.25, 0.25), (1, 0.75), (2.25, 1)]
    assert values(curves, kind="epoch", split="training", measure="loss") == [(1, 0.4), (2, 0.2), (3, 0.1)]
    assert values(curves, split="validation", measure="accuracy") == [(1, 0.97), (2, 0.98), (3, 0.9876)]
    fine_tuned = curves[curves["position"] > 2]
    assert set(zip(fine_tuned["phase"], fine_tuned["epoch"], strict=True)) == {("fine-tune", 1)}
    assert set(curves.loc[curves["kind"] == "step", "split"]) == {"training"}


def test_of_what_a_resumed_run_repeats_the_later_counts():
    before = [epoch(epoch=1, val_loss=0.4), step(epoch=2, step=1, loss=9), step(epoch=2, step=3, loss=8)]
    after = [step(epoch=2, step=2, loss=1), epoch(epoch=2, val_loss=0.3)]
    curves = learning_curves([*before, *after], head_epochs=5).frame()
    assert values(curves, kind="step", measure="loss") == [(1.25, 9), (1.5, 1)]
    assert values(curves, split="validation", measure="loss") == [(1, 0.4), (2, 0.3)]


def test_a_run_that_begins_anew_leaves_nothing_of_what_was():
    curves = learning_curves([*RUN, step(step=1, loss=3), epoch(val_loss=2, val_accuracy=0.5)], 2, 3).frame()
    assert values(curves, kind="step", measure="loss") == [(0.25, 3)]
    assert values(curves, split="validation", measure="loss") == [(1, 2)]
    assert set(curves.loc[curves["best"], "value"]) == {0.2, 0.97, 2, 0.5}


@pytest.mark.parametrize(
    "odd",
    [
        {"event": "epoch", "phase": "head", "epoch": 2},
        {"event": "step"},
        {"event": ["epoch"], "phase": "head", "epoch": 2},
        step(epoch=2, loss=math.nan),
        step(epoch=2, loss=math.inf),
        step(epoch=2, loss=10**400),
        step(epoch=2, loss="0.1"),
        step(epoch=2, loss=None),
        step(epoch=2, loss=-0.1),
        step(epoch=2, accuracy=1.5),
        step(epoch=2, accuracy=True),
        step(epoch=2, step=5, steps=4),
        step(epoch=2, step=0),
        step(epoch=2, steps=10**400),
        step(epoch=2, steps="4"),
        step(epoch=0),
        step(epoch=1.5),
        step(epoch=4),
        step(phase="evaluation"),
        step(phase=["head"]),
        step(phase="fine-tune", epoch=1),
        epoch(epoch=2, val_loss=math.nan),
        epoch(epoch=2, val_accuracy=-math.inf),
        epoch(epoch=2, val_accuracy=None),
        epoch(epoch=True, loss=0.3),
    ],
)
def test_an_event_without_its_numbers_is_passed_over(odd):
    whole = [step(step=1), epoch(epoch=1), epoch(epoch=3)]
    curves = learning_curves([*whole[:2], odd, whole[2]], head_epochs=3).frame()
    assert curves.equals(learning_curves(whole, head_epochs=3).frame())
    assert len(curves) == 2 + 4 + 4


def test_a_damaged_file_gives_what_is_whole_in_it(tmp_path):
    lines = [json.dumps(event) for event in (step(loss=math.nan), step(step=2, loss=0.25), epoch())]
    (tmp_path / "events.jsonl").write_text("\n".join([lines[0], lines[1], lines[2][:40], lines[2], '{"event": "st']))
    curves = learning_curves(read_events(tmp_path)[0], head_epochs=1).frame()
    assert values(curves, measure="loss") == [(0.5, 0.25), (1, 0.2), (1, 0.1)]


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        ([(0.97, 0.1), (0.99, 0.3), (0.98, 0.05)], 2),  # validation accuracy and loss of each epoch
        ([(0.98, 0.1), (0.98, 0.05), (0.97, 0.01)], 2),
        ([(0.98, 0.1), (0.98, 0.1), (0.98, 0.1)], 1),
    ],
)
def test_the_best_epoch_is_the_most_accurate_then_of_least_loss_then_the_earliest(figures, best):
    events = [
        epoch(epoch=number, val_accuracy=accuracy, val_loss=loss, best=False)
        for number, (accuracy, loss) in enumerate(figures, start=1)
    ]
    curves = learning_curves(events, head_epochs=3).frame()
    assert set(curves.loc[curves["best"], "epoch"]) == {best}


def test_a_long_run_is_thinned_to_what_a_browser_takes_easily():
    events = long_run(steps=10_007, epochs=1000)
    curves = learning_curves(events, head_epochs=1000, fine_tune_epochs=200).frame()
    steps = [position for position, _ in values(curves, kind="step", measure="loss")]
    epochs = [position for position, _ in values(curves, split="validation", measure="loss")]
    assert MOST_STEPS / 2 < len(steps) <= MOST_STEPS
    assert MOST_EPOCHS / 2 < len(epochs) <= MOST_EPOCHS
    assert (steps[0], steps[-1]) == (1 / 10_007, 1)
    assert (epochs[0], epochs[-1]) == (1, 1000)
    assert 334 in epochs
    assert set(curves.loc[curves["best"], "epoch"]) == {334}


def test_a_short_run_is_shown_whole():
    curves = learning_curves(long_run(steps=598, epochs=498), head_epochs=498).frame()
    assert len(values(curves, kind="step", measure="loss")) == 598
    assert len(values(curves, split="validation", measure="loss")) == 498


def test_what_is_shown_of_a_long_run_stays_where_it_is():
    events = long_run(steps=2000, epochs=0)
    early, later, late = (
        values(learning_curves(events[:count], 1).frame(), measure="loss") for count in (1000, 1100, 1700)
    )
    assert set(early[:-1]) < set(later)
    # When they become too many, every second goes.
    assert {place for place in late if place < early[-1]} < set(early)


@pytest.mark.lowest
def test_an_empty_run_has_the_columns_of_a_full_one():
    curves = learning_curves([], head_epochs=10, fine_tune_epochs=2).frame()
    assert curves.empty
    for frame in (curves, learning_curves(RUN, 2, 3).frame()):
        # In pandas 2 a column of texts is one of objects.
        assert dict(frame.dtypes) == {name: pd.Series(dtype=kind).dtype for name, kind in COLUMNS.items()}
