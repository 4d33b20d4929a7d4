import json
import math

import pytest

from catdog import charts
from catdog.charts import CLASS_COLOURS, comparison_chart, learning_chart, learning_curves
from catdog.runs import read_events


def step(phase="head", epoch=1, step=1, steps=4, loss=0.5, accuracy=0.75, **other):
    """A step's event."""
    return {"event": "step", "phase": phase, "epoch": epoch, "step": step, "steps": steps} | {
        "loss": loss,
        "accuracy": accuracy,
        **other,
    }


def epoch(phase="head", epoch=1, loss=0.2, accuracy=0.97, val_loss=0.1, val_accuracy=0.98, **other):
    """A whole epoch's event."""
    return {"event": "epoch", "phase": phase, "epoch": epoch, "loss": loss, "accuracy": accuracy} | {
        "val_loss": val_loss,
        "val_accuracy": val_accuracy,
        "epochs": 10,
        "learning_rate": 0.001,
        "seconds": 1.5,
        **other,
    }


def values(curves, **where) -> list[tuple[float, float]]:
    """Positions and values of the frame's rows with these columns."""
    for column, value in where.items():
        curves = curves[curves[column] == value]
    return list(zip(curves["position"], curves["value"], strict=True))


def layers(chart, mark: str) -> list[dict]:
    """The chart's layers of a kind of mark as Vega-Lite sees them, with their rows of data."""
    spec = chart.to_dict()
    return [
        {**layer, "rows": spec["datasets"][layer["data"]["name"]]}
        for layer in spec["layer"]
        if layer["mark"]["type"] == mark
    ]


def axis(chart, channel: str) -> tuple[list[float], list[float] | None]:
    """The ends and the ticks of an axis, which all layers with that axis must agree on."""
    found = [
        (layer["encoding"][channel]["scale"]["domain"], layer["encoding"][channel]["axis"].get("values"))
        for layer in chart.to_dict()["layer"]
        if "scale" in layer["encoding"].get(channel, {})
    ]
    assert found
    assert all(each == found[0] for each in found)
    return found[0]


RUN = [
    {"event": "phase", "phase": "head"},
    step(step=1, loss=1.5, accuracy=0.25),
    step(step=4, loss=0.25, accuracy=0.75),
    epoch(epoch=1, loss=0.4, accuracy=0.8, val_loss=0.11, val_accuracy=0.97),
    epoch(epoch=2, loss=0.2, accuracy=0.97, val_loss=0.06, val_accuracy=0.98),
    {"event": "phase", "phase": "fine-tune"},
    step("fine-tune", epoch=1, step=1, loss=0.125, accuracy=1),
    epoch("fine-tune", epoch=1, loss=0.1, accuracy=0.99, val_loss=0.0042, val_accuracy=0.9876),
    {"event": "progress", "done": 3, "total": 7, "per_second": 1.5},
]


def test_positions_count_the_epochs_of_both_phases():
    curves = learning_curves(RUN, head_epochs=2, fine_tune_epochs=3)
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
    curves = learning_curves([*before, *after], head_epochs=5)
    assert values(curves, kind="step", measure="loss") == [(1.25, 9), (1.5, 1)]
    assert values(curves, split="validation", measure="loss") == [(1, 0.4), (2, 0.3)]


def test_a_run_that_begins_anew_leaves_nothing_of_what_was():
    curves = learning_curves([*RUN, step(step=1, loss=3), epoch(val_loss=2, val_accuracy=0.5)], 2, 3)
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
    curves = learning_curves([*whole[:2], odd, whole[2]], head_epochs=3)
    assert curves.equals(learning_curves(whole, head_epochs=3))
    assert len(curves) == 2 + 4 + 4


def test_a_damaged_file_gives_what_is_whole_in_it(tmp_path):
    lines = [json.dumps(event) for event in (step(loss=math.nan), step(step=2, loss=0.25), epoch())]
    (tmp_path / "events.jsonl").write_text("\n".join([lines[0], lines[1], lines[2][:40], lines[2], '{"event": "st']))
    curves = learning_curves(read_events(tmp_path)[0], head_epochs=1)
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
    curves = learning_curves(events, head_epochs=3)
    assert set(curves.loc[curves["best"], "epoch"]) == {best}
    (ring,) = layers(learning_chart(curves, "loss", 3), "point")
    assert [(row["position"], row["value"]) for row in ring["rows"]] == [(best, figures[best - 1][1])]


def long_run(steps: int, epochs: int, best: int = 334) -> list[dict]:
    """Events of a run with that many steps, all in its first epoch, and that many epochs, one of them the best."""
    return [
        *(step(step=number, steps=steps, loss=0.1 + number % 7) for number in range(1, steps + 1)),
        *(epoch(epoch=number, val_accuracy=0.9 + 0.05 * (number == best)) for number in range(1, epochs + 1)),
    ]


def test_a_long_run_is_thinned_to_what_a_browser_takes_easily():
    events = long_run(steps=10_007, epochs=1000)
    curves = learning_curves(events, head_epochs=1000, fine_tune_epochs=200)
    steps = [position for position, _ in values(curves, kind="step", measure="loss")]
    epochs = [position for position, _ in values(curves, split="validation", measure="loss")]
    assert charts.MOST_STEPS / 2 < len(steps) <= charts.MOST_STEPS
    assert charts.MOST_EPOCHS / 2 < len(epochs) <= charts.MOST_EPOCHS
    assert (steps[0], steps[-1]) == (1 / 10_007, 1)
    assert (epochs[0], epochs[-1]) == (1, 1000)
    assert 334 in epochs
    assert set(curves.loc[curves["best"], "epoch"]) == {334}
    assert len(json.dumps(learning_chart(curves, "loss", 1000, 200).to_dict())) < 150_000


def test_a_short_run_is_shown_whole():
    curves = learning_curves(long_run(steps=598, epochs=498), head_epochs=498)
    assert len(values(curves, kind="step", measure="loss")) == 598
    assert len(values(curves, split="validation", measure="loss")) == 498


def test_what_is_shown_of_a_long_run_stays_where_it_is():
    events = long_run(steps=2000, epochs=0)
    early, later, late = (values(learning_curves(events[:count], 1), measure="loss") for count in (1000, 1100, 1700))
    assert set(early[:-1]) < set(later)
    # When they become too many, every second goes.
    assert {place for place in late if place < early[-1]} < set(early)


def test_an_empty_run_shows_the_axes_of_what_will_come():
    curves = learning_curves([], head_epochs=10, fine_tune_epochs=2)
    assert {name: str(kind) for name, kind in curves.dtypes.items()} == charts.COLUMNS
    assert curves.empty
    for measure, ends in (("loss", [0, 1]), ("accuracy", [0, 1])):
        chart = learning_chart(curves, measure, 10, 2)
        ticks = axis(chart, "y")[1]
        assert [ticks[0], ticks[-1]] == ends
        assert axis(chart, "x")[0] == [0, 12]
        assert [row["note"] for row in layers(chart, "text")[-1]["rows"]] == ["No steps yet"]
        assert all(not layer["rows"] for mark in ("line", "circle", "point") for layer in layers(chart, mark))
    assert axis(learning_chart(curves, "loss", 10, log=True), "y")[1][0] == 0.01


def test_the_note_goes_with_the_first_step():
    chart = learning_chart(learning_curves([step()], 10), "loss", 10)
    assert layers(chart, "text")[-1]["rows"] == []


def test_training_and_validation_differ_by_line_style_as_well_as_by_colour():
    chart = learning_chart(learning_curves(RUN, 2, 3), "accuracy", 2, 3)
    (line,) = layers(chart, "line")
    for channel in ("strokeDash", "color"):
        encoding = line["encoding"][channel]
        assert (encoding["field"], encoding["scale"]["domain"]) == ("split", ["training", "validation"])
        assert encoding["legend"]["orient"] == "top"
    assert line["mark"]["clip"] is True
    solid, dashed = line["encoding"]["strokeDash"]["scale"]["range"]
    assert solid[1] == 0 < dashed[1]
    drawn = [(row["split"], row["position"], row["value"]) for row in line["rows"]]
    assert sorted(drawn) == [
        *(("training", position, value) for position, value in ((1, 0.8), (2, 0.97), (3, 0.99))),
        *(("validation", position, value) for position, value in ((1, 0.97), (2, 0.98), (3, 0.9876))),
    ]


def test_steps_are_faint_and_epochs_clear():
    steps, epochs = layers(learning_chart(learning_curves(RUN, 2, 3), "loss", 2, 3), "circle")
    assert [row["value"] for row in steps["rows"]] == [1.5, 0.25, 0.125]
    assert steps["mark"]["opacity"] < 0.5 < epochs["mark"]["opacity"]
    assert steps["mark"]["size"] < epochs["mark"]["size"]
    assert len(epochs["rows"]) == 6


def test_a_run_of_many_epochs_has_a_point_for_the_last_alone():
    curves = learning_curves(long_run(steps=1, epochs=30), head_epochs=90)
    points = layers(learning_chart(curves, "loss", 90), "circle")[1]
    assert [row["position"] for row in points["rows"]] == [30, 30]
    assert len(layers(learning_chart(curves, "loss", 90), "line")[0]["rows"]) == 60


@pytest.mark.parametrize(
    ("head_epochs", "fine_tune_epochs", "labels"),
    [
        (6, 6, [("head", 3, "center"), ("fine-tuning", 9, "center")]),
        (10, 2, [("head", 5, "center"), ("fine-tuning", 12, "right")]),
        (1, 19, [("head", 0, "left"), ("fine-tuning", 10.5, "center")]),
    ],
)
def test_a_rule_parts_the_phases_and_each_has_its_name(head_epochs, fine_tune_epochs, labels):
    chart = learning_chart(learning_curves([], head_epochs, fine_tune_epochs), "loss", head_epochs, fine_tune_epochs)
    assert layers(chart, "rule")[0]["encoding"]["x"]["datum"] == head_epochs
    found = [
        (layer["encoding"]["text"]["value"], layer["encoding"]["x"]["datum"], layer["mark"]["align"])
        for layer in layers(chart, "text")[:-1]
    ]
    assert found == labels


def test_without_fine_tuning_there_is_one_phase_without_a_name():
    chart = learning_chart(learning_curves(RUN, 2), "loss", 2)
    assert [layer.get("name") for layer in layers(chart, "rule")] == ["figures"]
    assert len(layers(chart, "text")) == 1
    assert axis(chart, "x")[0] == [0, 2]


def test_the_pointer_shows_an_epochs_figures():
    curves = learning_curves(RUN, 2, 3)
    accuracy, loss = (layers(learning_chart(curves, measure, 2, 3), "rule")[-1] for measure in ("accuracy", "loss"))
    titles = [(tooltip["field"], tooltip["title"]) for tooltip in accuracy["encoding"]["tooltip"]]
    assert titles == [("phase", "Phase"), ("epoch", "Epoch"), ("training", "Training"), ("validation", "Validation")]
    assert [tuple(row.values()) for row in accuracy["rows"]] == [
        (1, "head", "1 of 2", "80.0 %", "97.0 %"),
        (2, "head", "2 of 2", "97.0 %", "98.0 %"),
        (3, "fine-tuning", "1 of 3, the best", "99.0 %", "98.8 %"),
    ]
    assert [(row["training"], row["validation"]) for row in loss["rows"]] == [
        ("0.400", "0.110"),
        ("0.200", "0.060"),
        ("0.100", "0.0042"),
    ]


def test_nothing_but_the_pointers_rule_has_a_tooltip():
    chart = learning_chart(learning_curves(RUN, 2, 3), "loss", 2, 3).to_dict()
    speaking = [layer for layer in chart["layer"] if layer["mark"].get("tooltip", "by default") is not None]
    assert [layer.get("name") for layer in speaking] == ["figures"]
    assert chart["params"][0]["views"] == ["figures"]
    assert chart["params"][0]["select"]["nearest"] is True


def test_only_data_changes_while_a_run_learns():
    specs = []
    for count in (4, 5, 6):
        events = [epoch(epoch=number, loss=0.2, val_loss=0.1 + 0.01 * number) for number in range(1, count + 1)]
        chart = learning_chart(learning_curves([step(), *events], 8, 2), "loss", 8, 2).to_dict()
        chart.pop("datasets")
        for layer in chart["layer"]:
            layer.pop("data")
        specs.append(chart)
    assert specs[0] == specs[1] == specs[2]
    assert (specs[0]["width"], specs[0]["height"]) == ("container", charts.HEIGHT)


@pytest.mark.parametrize(
    ("accuracies", "start"),
    [
        ([], 0),
        ([(0.6, 0.97)], 0.5),
        ([(0.6, 0.97), (0.97, 0.98)], 0.5),
        ([(0.6, 0.97), (0.97, 0.98), (0.975, 0.99)], 0.95),  # the first training, far below, no longer counts
        ([(0.6, 0.97), (0.97, 0.91), (0.99, 0.99)], 0.9),
        ([(0.6, 0.79), (0.85, 0.85), (0.99, 0.99)], 0.7),
        ([(0.95, 1.0)], 0.95),
        ([(0.1, 0.2)], 0),
    ],
)
def test_an_accuracy_axis_shows_small_differences_between_high_values(accuracies, start):
    events = [
        step(accuracy=0.03),
        *(
            epoch(epoch=number, accuracy=training, val_accuracy=validation)
            for number, (training, validation) in enumerate(accuracies, start=1)
        ),
    ]
    (low, high), ticks = axis(learning_chart(learning_curves(events, 9), "accuracy", 9), "y")
    assert (ticks[0], ticks[-1]) == (start, 1)
    assert low == pytest.approx(start - 0.03 * (1 - start))
    assert high == pytest.approx(1 + 0.03 * (1 - start))


@pytest.mark.parametrize(
    ("losses", "ticks", "label"),
    [
        ([(0.3, 0.1)], [0, 0.1, 0.2, 0.3], ".1f"),
        ([(0.31, 0.1)], [0, 0.1, 0.2, 0.3, 0.4, 0.5], ".1f"),
        ([(7, 0.1), (0.19, 0.1), (0.1, 0.1)], [0, 0.05, 0.1, 0.15, 0.2], ".2f"),
        ([(7, 0.1), (0.19, 0.1), (0.1, 2.2)], [0, 1, 2, 3], ".0f"),
        ([(0.0, 0.0)], [0, 0.002, 0.004, 0.006, 0.008, 0.01], ".3f"),
        ([(800, 700)], [0, 200, 400, 600, 800, 1000], ".0f"),
    ],
)
def test_a_loss_axis_ends_where_the_epochs_fit(losses, ticks, label):
    events = [
        epoch(epoch=number, loss=training, val_loss=validation)
        for number, (training, validation) in enumerate(losses, start=1)
    ]
    chart = learning_chart(learning_curves([step(loss=50), *events], 9), "loss", 9)
    assert axis(chart, "y")[1] == ticks
    assert f"'{label}'" in layers(chart, "line")[0]["encoding"]["y"]["axis"]["labelExpr"]


def test_one_step_far_off_does_not_flatten_the_others():
    events = [step(step=number, steps=9, loss=loss) for number, loss in enumerate((50, 0.8, 0.7, 0.9, 0.6), start=1)]
    (low, high), ticks = axis(learning_chart(learning_curves(events, 3), "loss", 3), "y")
    assert ticks[-1] == 1
    shown = layers(learning_chart(learning_curves(events, 3), "loss", 3), "circle")[0]["transform"]
    assert shown == [{"filter": {"field": "value", "range": [low, high]}}]


def test_a_logarithmic_axis_has_room_for_all_epochs_and_for_a_loss_of_zero():
    events = [epoch(epoch=1, loss=0.7, val_loss=0.3), epoch(epoch=2, loss=0.06, val_loss=0.08)]
    chart = learning_chart(learning_curves(events, 9), "loss", 9, log=True)
    (low, high), ticks = axis(chart, "y")
    assert ticks == [0.05, 0.1, 0.2, 0.5, 1]
    assert 0 < low < 0.05
    assert high > 1
    assert layers(chart, "line")[0]["encoding"]["y"]["scale"]["type"] == "log"
    chart = learning_chart(learning_curves([*events, epoch(epoch=3, val_loss=0)], 9), "loss", 9, log=True)
    assert axis(chart, "y")[1] == [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1]
    assert layers(chart, "line")[0]["rows"][-1]["value"] == charts.SMALLEST_LOSS
    assert layers(chart, "rule")[0]["rows"][-1]["validation"] == "0"


def luminance(colour: str) -> float:
    """A colour's relative luminance as WCAG 2 defines it, 0 to 1."""
    shares = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", [charts.CURVE_COLOUR, charts.NEUTRAL_COLOUR, *charts.CLASS_COLOURS])
@pytest.mark.parametrize("background", ["#ffffff", "#171614"])
def test_each_colour_stands_out_in_both_themes(colour, background):
    darker, lighter = sorted((luminance(colour), luminance(background)))
    assert (lighter + 0.05) / (darker + 0.05) >= 3


def test_runs_are_compared_by_their_validation_in_one_colour_each():
    events = [
        {"event": "epoch", "phase": "head", "epoch": epoch, "epochs": 2, "loss": 0.9, "accuracy": 0.5}
        | {"val_loss": 0.4 / epoch, "val_accuracy": 0.8 + epoch / 10, "learning_rate": 0.1, "seconds": 1, "best": True}
        for epoch in (1, 2)
    ]
    runs = {name: learning_curves(events, 2) for name in ("first", "second")}
    drawn = comparison_chart(runs, "accuracy").to_dict()
    (rows,) = drawn["datasets"].values()
    assert {(row["run"], row["position"]) for row in rows} == {(run, at) for run in runs for at in (1, 2)}
    assert {round(row["value"], 6) for row in rows} == {0.9, 1.0}
    assert drawn["encoding"]["color"]["scale"] == {"domain": list(runs), "range": list(CLASS_COLOURS[:2])}
    assert comparison_chart({}, "loss").to_dict()["datasets"] is not None
