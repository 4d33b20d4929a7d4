import json

import pytest
from helpers.made_events import RUN, epoch, long_run, step

from catdog.charts import run_charts
from catdog.charts.curves import learning_curves
from catdog.charts.run_charts import CLASS_COLOURS, comparison_chart, learning_chart


def layers(chart, mark: str) -> list[dict]:
    """The chart's layers of a kind of mark as Vega-Lite sees them, with their rows of data."""
    return [{**layer, "rows": rows_of(chart, layer)} for layer in chart["layer"] if layer["mark"]["type"] == mark]


def rows_of(chart, layer: dict) -> list[dict]:
    """A layer's rows of data."""
    rows = chart["datasets"][layer["data"]["name"]]
    return rows if isinstance(rows, list) else rows.to_pylist()


def axis(chart, channel: str) -> tuple[list[float], list[float] | None]:
    """The ends and the ticks of an axis, which all layers with that axis must agree on."""
    found = [
        (layer["encoding"][channel]["scale"]["domain"], layer["encoding"][channel]["axis"].get("values"))
        for layer in chart["layer"]
        if "scale" in layer["encoding"].get(channel, {})
    ]
    assert found
    assert all(each == found[0] for each in found)
    return found[0]


def test_the_best_epoch_has_a_ring_on_its_validation():
    events = [
        epoch(epoch=number, val_accuracy=accuracy, val_loss=0.1) for number, accuracy in ((1, 0.9), (2, 0.95), (3, 0.9))
    ]
    (ring,) = layers(learning_chart(learning_curves(events, 3), "loss", 3), "point")
    assert [(row["position"], row["value"]) for row in ring["rows"]] == [(2, 0.1)]


def test_a_browser_takes_the_chart_of_a_long_run_easily():
    curves = learning_curves(long_run(steps=10_007, epochs=1000), head_epochs=1000, fine_tune_epochs=200)
    chart = learning_chart(curves, "loss", 1000, 200)
    assert len(json.dumps(chart | {"datasets": [rows_of(chart, layer) for layer in chart["layer"]]})) < 150_000


@pytest.mark.lowest
def test_an_empty_run_shows_the_axes_of_what_will_come():
    curves = learning_curves([], head_epochs=10, fine_tune_epochs=2)
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


@pytest.mark.lowest
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
    chart = learning_chart(learning_curves(RUN, 2, 3), "loss", 2, 3)
    speaking = [layer for layer in chart["layer"] if layer["mark"].get("tooltip", "by default") is not None]
    assert [layer.get("name") for layer in speaking] == ["figures"]
    assert chart["params"][0]["views"] == ["figures"]
    assert chart["params"][0]["select"]["nearest"] is True


@pytest.mark.lowest
def test_only_data_changes_while_a_run_learns():
    specs = []
    for count in (4, 5, 6):
        events = [epoch(epoch=number, loss=0.2, val_loss=0.1 + 0.01 * number) for number in range(1, count + 1)]
        chart = learning_chart(learning_curves([step(), *events], 8, 2), "loss", 8, 2)
        assert len(chart.pop("datasets")["epochs"]) == 2 * count
        specs.append(chart)
    assert specs[0] == specs[1] == specs[2]
    assert (specs[0]["width"], specs[0]["height"]) == ("container", run_charts.HEIGHT)


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
    assert layers(chart, "line")[0]["rows"][-1]["value"] == run_charts.SMALLEST_LOSS
    assert layers(chart, "rule")[0]["rows"][-1]["validation"] == "0"


def luminance(colour: str) -> float:
    """A colour's relative luminance as WCAG 2 defines it, 0 to 1."""
    shares = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", [run_charts.CURVE_COLOUR, run_charts.NEUTRAL_COLOUR, *run_charts.CLASS_COLOURS])
@pytest.mark.parametrize("background", ["#ffffff", "#171614"])
def test_each_colour_stands_out_in_both_themes(colour, background):
    darker, lighter = sorted((luminance(colour), luminance(background)))
    assert (lighter + 0.05) / (darker + 0.05) >= 3


@pytest.mark.lowest
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
