"""A run's curves become Vega-Lite charts: how loss and accuracy went, step by step and epoch by epoch."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
import pyarrow as pa

from catdog.charts.curves import Curves, Epoch
from catdog.figures import percent, short_loss

# Each stands out by a contrast of 3 or more from the background of Streamlit's light theme and of its dark one.
CURVE_COLOUR = "#12908a"
NEUTRAL_COLOUR = "#7a7f8a"
# By the index of the class, everywhere; the colour-blind can tell the first two apart as well.
CLASS_COLOURS = ("#cc730c", "#2a7fc9", "#c15f97", "#1a9a6c", "#8068cf", "#8a7a5c")

SPLITS = ("training", "validation")
SPLIT_COLOURS = (NEUTRAL_COLOUR, CURVE_COLOUR)
SPLIT_DASHES = ([1, 0], [5, 3])  # solid, as a dash without a gap, and dashed
PHASE_NAMES = {"head": "head", "fine-tune": "fine-tuning"}
# A run of more epochs than this shows no point for each: they would lie on one another.
MOST_POINTS = 20

NOTE = "No steps yet"
HEIGHT = 200  # pixels, with title and legend
Y_LABEL_WIDTH = 44  # pixels
LEGEND = {
    "title": None,
    "orient": "top",
    "padding": 0,
    "columnPadding": 10,
    "labelFontSize": 12,
    "labelOffset": 4,
    "symbolSize": 256,
}
# A circle that is smaller than a symbol of LEGEND's size, so that the legend's symbols stand in line.
RING = "M0.7,0A0.7,0.7,0,1,1,-0.7,0A0.7,0.7,0,1,1,0.7,0"
# Where an accuracy's axis may start, with its ticks: few choices, so that it changes seldom.
ACCURACY_TICKS = {
    0.95: [0.95, 0.96, 0.97, 0.98, 0.99, 1.0],
    0.9: [0.9, 0.92, 0.94, 0.96, 0.98, 1.0],
    0.8: [0.8, 0.85, 0.9, 0.95, 1.0],
    0.7: [0.7, 0.8, 0.9, 1.0],
    0.5: [0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
    0.0: [0.0, 0.25, 0.5, 0.75, 1.0],
}
# A loss's axis ends at one of these times a power of ten, with ticks that far apart.
LOSS_TICK_DISTANCES = {1: 0.2, 2: 0.5, 3: 1, 5: 1}
SMALLEST_LOSS = 1e-7  # what is smaller is as good as this on a logarithmic axis
# What an axis has beyond its first and its last tick, as a share of its length, so that a line on them is seen whole.
HEADROOM = 0.03


class Axis(NamedTuple):
    """What a y axis shows: its two ends, its ticks, and how they are written, as a Vega expression."""

    domain: tuple[float, float]
    ticks: tuple[float, ...]
    label: str
    scale: str = "linear"


def class_colours(class_names: Sequence[str]) -> dict[str, str]:
    """Each class's colour, by its index; with more classes than colours they begin again."""
    return {name: CLASS_COLOURS[index % len(CLASS_COLOURS)] for index, name in enumerate(class_names)}


def learning_chart(
    curves: Curves, measure: str, head_epochs: int, fine_tune_epochs: int = 0, log: bool = False
) -> dict[str, Any]:
    """The loss or the accuracy by epoch, as a Vega-Lite specification with Arrow tables as its datasets.

    While a run learns only the data changes, and the y axis now and then, so that a browser need not draw it anew;
    `log` gives the loss a logarithmic axis.
    """
    epochs, (positions, values) = curves.shown_epochs(), curves.shown_steps(measure)
    if measure == "accuracy":
        axis = accuracy_axis(epochs)
    else:
        axis = logarithmic_loss_axis(epochs, values) if log else loss_axis(epochs, values)
    note = [] if epochs or len(values) else [NOTE]
    middle = len(axis.ticks) // 2  # between two of its lines
    datasets = {
        "steps": pa.table(
            {"position": positions, "split": pa.repeat(SPLITS[0], len(values)), "value": shown_on(axis, values)}
        ),
        **epoch_data(epochs, curves.best(), measure, has_few_epochs(head_epochs + fine_tune_epochs), axis),
        "by_epoch": figures_data(epochs, curves.best(), measure, {"head": head_epochs, "fine-tune": fine_tune_epochs}),
        "note": pa.table(
            {"note": texts(note), "value": numbers((axis.ticks[middle - 1] + axis.ticks[middle]) / 2 for _ in note)}
        ),
    }
    spec = learning_spec(measure, head_epochs, fine_tune_epochs, axis)
    return spec | {"datasets": spec.get("datasets", {}) | datasets}


def numbers(values: Iterable[float]) -> pa.Array:
    """A column of numbers, which it also is where there are none."""
    return pa.array(list(values), pa.float64())


def texts(values: Iterable[str]) -> pa.Array:
    """A column of texts, which it also is where there are none."""
    return pa.array(list(values), pa.string())


def shown_on(axis: Axis, values: np.ndarray) -> np.ndarray:
    """The values as an axis can show them."""
    return np.maximum(values, SMALLEST_LOSS) if axis.scale == "log" else values


@lru_cache(maxsize=200)
def learning_spec(measure: str, head_epochs: int, fine_tune_epochs: int, axis: Axis) -> dict[str, Any]:
    """The specification of such a chart without its data, which takes long to make; not to be changed."""
    total = head_epochs + fine_tune_epochs
    x = alt.X(
        "position:Q",
        title=None,
        scale=alt.Scale(domain=[0, total], nice=False),
        axis=alt.Axis(format="d", tickMinStep=1, tickCount=7, grid=False, labelPadding=6, labelFlush=False),
    )
    y = alt.Y(
        "value:Q",
        title=None,
        scale=alt.Scale(domain=list(axis.domain), nice=False, type=axis.scale),
        axis=alt.Axis(
            values=list(axis.ticks),
            labelExpr=axis.label,
            labelPadding=6,
            # The same for all charts and numbers, so that charts stand in line and none moves sideways.
            minExtent=Y_LABEL_WIDTH,
            maxExtent=Y_LABEL_WIDTH,
        ),
    )
    # Below the legend, the names of the phases need a line of their own.
    legend = LEGEND | {"offset": 20 if fine_tune_epochs else 6}
    layers = [
        *phase_layers(head_epochs, fine_tune_epochs),
        *curve_layers(has_few_epochs(total), x, y, legend),
        hover_layer(x),
        alt.Chart(alt.NamedData("note"))
        .mark_text(color=NEUTRAL_COLOUR, fontSize=13, tooltip=None)
        .encode(y, text="note:N"),
    ]
    title = alt.TitleParams(f"{measure.capitalize()} by epoch", fontSize=14, anchor="start", offset=6)
    chart = alt.layer(
        *layers,
        width="container",
        height=HEIGHT,
        title=title,
        padding={"left": 0, "top": 0, "right": 8, "bottom": 4},
        description=f"Line chart: {measure} of training and validation by epoch",
    ).to_dict()
    del chart["config"]  # Altair's defaults, which would take the place of Streamlit's theme.
    return chart


def has_few_epochs(epochs: int) -> bool:
    """Whether a run is so short that each epoch has a point of its own."""
    return epochs <= MOST_POINTS


def telling_values(epochs: list[Epoch], measure: str) -> list[float]:
    """The values that an axis must show: all epochs', but from the third on not the first's training, far from all."""
    trained = epochs[1:] if len(epochs) > 2 else epochs
    return [each.event[f"val_{measure}"] for each in epochs] + [each.event[measure] for each in trained]


def accuracy_axis(epochs: list[Epoch]) -> Axis:
    """From the highest of a few values that is below all the epochs' accuracies, to 100 %; from 0 before the first."""
    values = telling_values(epochs, "accuracy")
    start = next((start for start in ACCURACY_TICKS if values and start <= min(values)), 0.0)
    headroom = HEADROOM * (1 - start)
    return Axis((start - headroom, 1 + headroom), tuple(ACCURACY_TICKS[start]), "round(100 * datum.value) + ' %'")


def loss_axis(epochs: list[Epoch], steps: np.ndarray) -> Axis:
    """From 0 to 1, 2, 3 or 5 times a power of ten, so that the epochs' losses fit; before the first most steps'."""
    largest = max(telling_values(epochs, "loss") or [1.0, *(np.quantile(steps, [0.75]) if len(steps) else [])])
    exponent = math.floor(math.log10(max(largest, 0.01)))
    ends = [(digit, power) for power in (exponent, exponent + 1) for digit in LOSS_TICK_DISTANCES]
    digit, power = next((digit, power) for digit, power in ends if decimal(digit, power) >= largest)
    distance = LOSS_TICK_DISTANCES[digit]
    ticks = tuple(decimal(distance * count, power) for count in range(round(digit / distance) + 1))
    headroom = HEADROOM * ticks[-1]
    decimals = max(0, -power + (distance < 1))
    return Axis((-headroom, ticks[-1] + headroom), ticks, f"format(datum.value, '.{decimals}f')")


def logarithmic_loss_axis(epochs: list[Epoch], steps: np.ndarray) -> Axis:
    """A logarithmic axis on which the epochs' losses fit; before the first the steps'."""
    return logarithmic_axis([each.event[name] for each in epochs for name in ("loss", "val_loss")] or [*steps])


def logarithmic_axis(values: Sequence[float]) -> Axis:
    """An axis from 1, 2 or 5 times a power of ten to another, so that these losses fit; for none, from 0.01 to 1."""
    values = values or [0.01, 1.0]
    lowest, largest = max(min(values), SMALLEST_LOSS), max(*values, SMALLEST_LOSS)
    exponents = range(math.floor(math.log10(lowest)) - 1, math.floor(math.log10(largest)) + 2)
    ticks = [decimal(digit, exponent) for exponent in exponents for digit in (1, 2, 5)]
    start = max(tick for tick in ticks if tick <= lowest)
    end = min(tick for tick in ticks if tick >= largest and tick > start)
    ticks = [tick for tick in ticks if start <= tick <= end]
    if len(ticks) > 7:
        ticks = [decimal(1, exponent) for exponent in exponents if start <= decimal(1, exponent) <= end]
    headroom = (end / start) ** HEADROOM
    return Axis((start / headroom, end * headroom), tuple(ticks), "format(datum.value, '~r')", "log")


def decimal(digits: float, exponent: int) -> float:
    """The number nearest to digits times ten to the exponent, without the rounding of a product."""
    return float(f"{digits:.12g}e{exponent}")


def phase_layers(head_epochs: int, fine_tune_epochs: int) -> list[alt.Chart]:
    """A line where fine-tuning begins, and above the curves the names of both phases; nothing without fine-tuning."""
    if not fine_tune_epochs:
        return []
    total = head_epochs + fine_tune_epochs
    one = alt.Chart(alt.InlineData(values=[{}]))
    layers = [one.mark_rule(color=NEUTRAL_COLOUR, opacity=0.6, tooltip=None).encode(x=alt.XDatum(head_epochs))]
    for phase, start, end, edge, align in (
        ("head", 0, head_epochs, 0, "left"),
        ("fine-tune", head_epochs, total, total, "right"),
    ):
        # In the middle of its phase; at the outer edge where a phase is narrow.
        narrow = end - start < 0.3 * total
        text = one.mark_text(
            color=NEUTRAL_COLOUR,
            fontSize=12,
            align=align if narrow else "center",
            baseline="bottom",
            tooltip=None,
        )
        place = alt.XDatum(edge if narrow else (start + end) / 2)
        layers.append(text.encode(x=place, y=alt.value(-3), text=alt.value(PHASE_NAMES[phase])))
    return layers


def epoch_data(epochs: list[Epoch], best: Epoch | None, measure: str, few: bool, axis: Axis) -> dict[str, pa.Table]:
    """What the curves' layers show of whole epochs: all, those of them with a point, and the best one."""

    def rows(chosen: list[Epoch], splits: Sequence[str]) -> dict[str, Any]:
        prefixes = ["val_" if split == "validation" else "" for split in splits]
        return {
            "position": numbers(each.position for _ in splits for each in chosen),
            "split": texts(split for split in splits for _ in chosen),
            "value": shown_on(axis, np.array([each.event[prefix + measure] for prefix in prefixes for each in chosen])),
        }

    ring = [best] if best else []
    return {
        "epochs": pa.table(rows(epochs, SPLITS)),
        "points": pa.table(rows(epochs if few else epochs[-1:], SPLITS)),
        "best": pa.table({**rows(ring, SPLITS[1:]), "legend": texts("best" for _ in ring)}),
    }


def curve_layers(few: bool, x: alt.X, y: alt.Y, legend: dict[str, Any]) -> list[alt.Chart]:
    """The steps as faint dots; whole epochs as lines, with a point for each or for the last; a ring round the best."""
    lines = alt.Legend(symbolType="stroke", symbolStrokeWidth=2, symbolOpacity=1, **legend)
    colour = alt.Color("split:N", scale=alt.Scale(domain=list(SPLITS), range=list(SPLIT_COLOURS)), legend=lines)
    style = alt.StrokeDash("split:N", scale=alt.Scale(domain=list(SPLITS), range=list(SPLIT_DASHES)), legend=lines)
    ring = alt.Legend(symbolStrokeWidth=1.5, symbolStrokeColor=CURVE_COLOUR, **legend)
    shape = alt.Shape("legend:N", scale=alt.Scale(domain=["best"], range=[RING]), legend=ring)
    within = alt.FieldRangePredicate("value", list(y["scale"]["domain"]))
    quiet = {"tooltip": None}  # or Streamlit's theme would show each mark's raw numbers
    steps, epochs, points, best = (alt.Chart(alt.NamedData(name)) for name in ("steps", "epochs", "points", "best"))
    return [
        steps.transform_filter(within).mark_circle(size=10 if few else 4, opacity=0.45, **quiet).encode(x, y, colour),
        epochs.mark_line(clip=True, strokeWidth=2, **quiet).encode(x, y, colour, style),
        points.transform_filter(within).mark_circle(size=20, opacity=1, **quiet).encode(x, y, colour),
        best.mark_point(color=CURVE_COLOUR, size=LEGEND["symbolSize"], strokeWidth=1.5, opacity=1, **quiet).encode(
            x, y, shape
        ),
    ]


def figures_data(epochs: list[Epoch], best: Epoch | None, measure: str, planned: dict[str, int]) -> pa.Table:
    """What each epoch's figures are in words; `planned` says how many epochs each phase has."""
    write = percent if measure == "accuracy" else short_loss
    counted = (
        f"{each.event['epoch']} of {planned[each.event['phase']]}{', the best' if each is best else ''}"
        for each in epochs
    )
    return pa.table(
        {
            "position": numbers(each.position for each in epochs),
            "phase": texts(PHASE_NAMES[each.event["phase"]] for each in epochs),
            "epoch": texts(counted),
            "training": texts(write(each.event[measure]) for each in epochs),
            "validation": texts(write(each.event[f"val_{measure}"]) for each in epochs),
        }
    )


def hover_layer(x: alt.X) -> alt.Chart:
    """What the nearest epoch's figures were, under the pointer, with a line where it stands."""
    pointer = alt.selection_point(
        name="pointer", nearest=True, on="pointerover", clear="pointerout", encodings=["x"], empty=False
    )
    return (
        alt.Chart(alt.NamedData("by_epoch"), name="figures")
        .mark_rule(color=NEUTRAL_COLOUR)
        .encode(
            x=x,
            opacity=alt.condition(pointer, alt.value(0.6), alt.value(0)),
            tooltip=[alt.Tooltip(f"{name}:N", title=name.capitalize()) for name in ("phase", "epoch", *SPLITS)],
        )
        .add_params(pointer)
    )


def comparison_chart(curves: dict[str, Curves], measure: str) -> alt.Chart:
    """The loss or the accuracy on validation photos, by epoch, of several runs in one chart; at most six by name."""
    # Of no run at all, the columns; each with its type, since pandas 2 warns of joining those without.
    frames = [of_run.frame().assign(run=name) for name, of_run in (curves or {"": Curves(0)}).items()]
    rows = pd.concat(frames, ignore_index=True)
    rows = rows[(rows["measure"] == measure) & (rows["split"] == "validation")]
    names = list(curves)
    form = ".0%" if measure == "accuracy" else "~g"
    return (
        alt.Chart(rows[["position", "value", "run"]], title=f"Validation {measure} by epoch", height=280)
        .mark_line(point={"size": 20}, strokeWidth=2)
        .encode(
            x=alt.X("position:Q", title=None, axis=alt.Axis(format="d", tickMinStep=1, grid=False)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format=form, tickCount=5)),
            color=alt.Color(
                "run:N",
                title=None,
                sort=names,
                scale=alt.Scale(domain=names, range=list(CLASS_COLOURS[: len(names)])),
                legend=alt.Legend(orient="top", columns=2, labelLimit=220, symbolType="stroke"),
            ),
            tooltip=[
                alt.Tooltip("run:N", title="Run"),
                alt.Tooltip("position:Q", title="Epoch", format="d"),
                alt.Tooltip("value:Q", title=measure.capitalize(), format=".1%" if measure == "accuracy" else ".3f"),
            ],
        )
    )
