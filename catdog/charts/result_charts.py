"""What an evaluation found, as Vega-Lite charts: how far probabilities can be believed, and what they are worth."""

import math
from typing import Any

import altair as alt
import pyarrow as pa

from catdog.charts.run_charts import (
    ACCURACY_TICKS,
    CLASS_COLOURS,
    CURVE_COLOUR,
    HEADROOM,
    HEIGHT,
    LEGEND,
    MOST_POINTS,
    NEUTRAL_COLOUR,
    SPLIT_DASHES,
    Y_LABEL_WIDTH,
    numbers,
    texts,
)
from catdog.charts.trial_charts import heading
from catdog.figures import percent

PERCENT_LABEL = "round(100 * datum.value) + ' %'"
# Before and after the temperature, and what would be right: told apart by colour and by dash.
STATES = ("before", "after", "ideal")
STATE_COLOURS = (NEUTRAL_COLOUR, CURVE_COLOUR, NEUTRAL_COLOUR)
STATE_DASHES = (SPLIT_DASHES[1], SPLIT_DASHES[0], [1, 3])
POINT_AREAS = (16, 260)  # square pixels, of the bins with the fewest and the most photos
ALL_CLASSES = "all classes"  # where there are more than colours
THRESHOLD_LINES = ("answered", "right of those")
THRESHOLD_HEIGHT = 130  # pixels: it stands below a control
COUNT_HEADROOM = 1.1  # how far an axis of counts goes, times the largest
BAR_SHARE = 0.86  # of a bin's width; the rest is room between bins


def reliability_chart(calibration: dict[str, Any]) -> dict[str, Any]:
    """How often the label was right by the probability it was given, before and after the temperature.

    A Vega-Lite specification with Arrow tables as its datasets, as the other two; a bin's point is larger the more
    photos it has.
    """
    bins = [(state, each) for state in STATES[:2] for each in calibration[state]["bins"]]
    lowest = min((each["probability"] for _, each in bins), default=0.5)
    start = min(max(math.floor(10 * lowest) / 10, 0.0), 0.5)
    datasets = {
        "bins": pa.table(
            {
                "probability": numbers(each["probability"] for _, each in bins),
                "accuracy": numbers(each["accuracy"] for _, each in bins),
                "photos": numbers(each["photos"] for _, each in bins),
                "state": texts(state for state, _ in bins),
                "labels": texts(f"{each['photos']:,}" for _, each in bins),
                "given": texts(percent(each["probability"]) for _, each in bins),
                "right": texts(percent(each["accuracy"]) for _, each in bins),
            }
        ),
        "ideal": pa.table(
            {
                "probability": numbers([start, 1.0]),
                "accuracy": numbers([start, 1.0]),
                "state": texts(["ideal", "ideal"]),
            }
        ),
    }
    x = share_axis("probability", alt.X, start, [tick / 10 for tick in range(round(10 * start), 11)])
    y = share_axis("accuracy", alt.Y, 0.0, ACCURACY_TICKS[0.0])
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=2, symbolOpacity=1, **LEGEND)
    colour = alt.Color("state:N", scale=alt.Scale(domain=STATES, range=STATE_COLOURS), legend=legend)
    dash = alt.StrokeDash("state:N", scale=alt.Scale(domain=STATES, range=STATE_DASHES), legend=legend)
    area = alt.Size("photos:Q", scale=alt.Scale(type="sqrt", range=list(POINT_AREAS)), legend=None)
    tooltip = words(state="Temperature", labels="Photos", given="Mean probability of the label", right="Label right")
    found, ideal = (alt.Chart(alt.NamedData(name)) for name in ("bins", "ideal"))
    return finished(
        [
            ideal.mark_line(strokeWidth=1.5, tooltip=None).encode(x, y, colour, dash),
            found.mark_line(strokeWidth=2, tooltip=None).encode(x, y, colour, dash),
            found.mark_circle(opacity=0.85).encode(x, y, colour, area, tooltip=tooltip),
        ],
        datasets,
        "How often right, by probability of the label",
        "Line chart: the share of labels that are right by the probability they were given, before and after the "
        "temperature, beside the line on which both would be the same",
    )


def histogram_chart(histogram: dict[str, Any], class_names: list[str]) -> dict[str, Any]:
    """How many photos of each class gave their own class how much probability, on an axis that shows few as well.

    With two classes a line stands where a label becomes wrong; more classes than colours are counted as one.
    """
    edges, counts = histogram["edges"], histogram["counts"]
    names = list(class_names)
    if len(names) > len(CLASS_COLOURS):
        names, counts = [ALL_CLASSES], [[sum(column) for column in zip(*counts, strict=True)]]
    colours = [CURVE_COLOUR] if names == [ALL_CLASSES] else list(CLASS_COLOURS[: len(names)])
    bars = [
        (name, low, high, *bar_ends(low, high, place, len(names)), count)
        for place, (name, of_class) in enumerate(zip(names, counts, strict=True))
        for low, high, count in zip(edges[:-1], edges[1:], of_class, strict=True)
        if count > 0
    ]
    most = max((bar[-1] for bar in bars), default=1)
    ticks = [0, *(digit * 10**power for power in range(math.floor(math.log10(most)) + 1) for digit in (1, 3))]
    ticks = [tick for tick in ticks if tick <= most * COUNT_HEADROOM]
    datasets = {
        "bars": pa.table(
            {
                "class": texts(name for name, *_ in bars),
                "from": numbers(start for *_, start, _, _ in bars),
                "to": numbers(end for *_, end, _ in bars),
                "photos": numbers(count for *_, count in bars),
                "range": texts(f"{low:.0%} to {high:.0%}".replace("%", " %") for _, low, high, *_ in bars),
                "counted": texts(f"{count:,}" for *_, count in bars),
            }
        )
    }
    x = share_axis("from", alt.X, 0.0, [0.0, 0.25, 0.5, 0.75, 1.0])
    # Nearly all photos stand at the right end: the logarithm shows one photo as well as a thousand, and none as none.
    y = alt.Y(
        "photos:Q",
        title=None,
        scale=alt.Scale(type="symlog", domain=[0, most * COUNT_HEADROOM], nice=False),
        axis=alt.Axis(values=ticks, format=",d", minExtent=Y_LABEL_WIDTH, maxExtent=Y_LABEL_WIDTH, labelPadding=6),
    )
    # Below the legend, the words on both sides of the border need a line of their own.
    above = {"offset": 20 if len(class_names) == 2 else 6}
    legend = alt.Legend(symbolType="square", symbolOpacity=1, labelLimit=120, **LEGEND | {"symbolSize": 100} | above)
    colour = alt.Color("class:N", scale=alt.Scale(domain=names, range=colours), legend=legend)
    tooltip = words(class_="Class", range="Probability of its own class", counted="Photos")
    drawn = (
        alt.Chart(alt.NamedData("bars"))
        .mark_bar(opacity=1)
        .encode(x, alt.X2("to:Q"), y, alt.Y2Datum(0), colour, tooltip=tooltip)
    )
    return finished(
        [drawn, *(border_layers() if len(class_names) == 2 else [])],
        datasets,
        "Photos by probability of their own class",
        "Bar chart: how many photos of each class gave their own class how much probability, on a logarithmic axis",
    )


def bar_ends(low: float, high: float, place: int, bars: int) -> tuple[float, float]:
    """Where the bar of one class, by its place, begins and ends within a bin."""
    width = (high - low) * BAR_SHARE / bars
    start = low + (high - low) * (1 - BAR_SHARE) / 2 + place * width
    return start, start + width


def border_layers() -> list[alt.Chart]:
    """A line at one half, with the words for what lies on either side of it."""
    one = alt.Chart(alt.InlineData(values=[{}]))
    layers = [one.mark_rule(color=NEUTRAL_COLOUR, opacity=0.6, tooltip=None).encode(x=alt.XDatum(0.5))]
    for word, align, away in (("wrong", "right", -5), ("right", "left", 5)):
        text = one.mark_text(color=NEUTRAL_COLOUR, fontSize=12, align=align, baseline="bottom", dx=away, tooltip=None)
        layers.append(text.encode(x=alt.XDatum(0.5), y=alt.value(-3), text=alt.value(word)))
    return layers


def answered_chart(answered: list[dict[str, float]]) -> dict[str, Any]:
    """How often it is right if it answers only where it is sure enough, by the share of photos that it then answers."""
    lowest = min((each["accuracy"] for each in answered), default=0.0)
    start = next((start for start in ACCURACY_TICKS if start <= lowest), 0.0)
    datasets = {
        "answered": pa.table(
            {
                "share": numbers(each["share"] for each in answered),
                "accuracy": numbers(each["accuracy"] for each in answered),
                "shown": texts(percent(each["share"]) for each in answered),
                "right": texts(percent(each["accuracy"]) for each in answered),
                "threshold": texts(f"at least {percent(each['threshold'])}" for each in answered),
            }
        )
    }
    x = share_axis("share", alt.X, 0.0, [0.0, 0.25, 0.5, 0.75, 1.0])
    y = share_axis("accuracy", alt.Y, start, ACCURACY_TICKS[start])
    tooltip = words(shown="Photos answered", right="Of these right", threshold="Probability of the label")
    chart = alt.Chart(alt.NamedData("answered"))
    nearest = alt.selection_point(
        name="pointer", nearest=True, on="pointerover", clear="pointerout", encodings=["x"], empty=False
    )
    opacity = alt.condition(nearest, alt.value(0.6), alt.value(0))
    layers = [
        chart.mark_line(color=CURVE_COLOUR, strokeWidth=2, tooltip=None).encode(x, y),
        chart.mark_rule(color=NEUTRAL_COLOUR).encode(x, opacity=opacity, tooltip=tooltip).add_params(nearest),
    ]
    # Many would lie on one another; a single one would be no line.
    if len(answered) <= MOST_POINTS:
        layers.append(chart.mark_circle(color=CURVE_COLOUR, size=20, opacity=1, tooltip=None).encode(x, y))
    return finished(
        layers,
        datasets,
        "How often right, by share answered",
        "Line chart: accuracy on the photos whose label is probable enough to be answered, by the share that those are",
    )


def threshold_chart(answered: list[dict[str, Any]], threshold: float) -> dict[str, Any]:
    """How many photos are answered, and how often that is right, by the probability that a label must have at least.

    `answered` is what `results.answered_above` gives; a line stands at the threshold.
    """
    lines = [
        (name, each["threshold"], each[field])
        for name, field in zip(THRESHOLD_LINES, ("share", "accuracy"), strict=True)
        for each in answered
        if each[field] is not None
    ]
    lowest = min((value for *_, value in lines), default=0.0)
    start = next((start for start in ACCURACY_TICKS if start <= lowest), 0.0)
    datasets = {
        "lines": pa.table(
            {
                "line": texts(name for name, *_ in lines),
                "threshold": numbers(at for _, at, _ in lines),
                "value": numbers(value for *_, value in lines),
                "shown": texts(percent(value) for *_, value in lines),
                "at": texts(percent(at) for _, at, _ in lines),
            }
        )
    }
    x = share_axis("threshold", alt.X, 0.5, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    y = share_axis("value", alt.Y, start, ACCURACY_TICKS[start])
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=2, symbolOpacity=1, **LEGEND)
    dash = alt.StrokeDash("line:N", scale=alt.Scale(domain=THRESHOLD_LINES, range=SPLIT_DASHES), legend=legend)
    tooltip = words(line="Line", at="Probability at least", shown="Share")
    here = alt.Chart(alt.InlineData(values=[{}]))
    return finished(
        [
            alt.Chart(alt.NamedData("lines"))
            .mark_line(color=CURVE_COLOUR, strokeWidth=2)
            .encode(x, y, dash, tooltip=tooltip),
            here.mark_rule(color=NEUTRAL_COLOUR, tooltip=None).encode(x=alt.XDatum(threshold)),
        ],
        datasets,
        "By the probability asked for",
        "Line chart: the share of photos answered and the share of those that are right, by the probability that a "
        "label must have, with a line at the one that is chosen",
    ) | {"height": THRESHOLD_HEIGHT}


def share_axis(field: str, channel: type, start: float, ticks: list[float]) -> Any:
    """A channel for shares from a start to 1, with a little room beyond both ends."""
    headroom = HEADROOM * (1 - start)
    horizontal = channel is alt.X
    extent = {} if horizontal else {"minExtent": Y_LABEL_WIDTH, "maxExtent": Y_LABEL_WIDTH}
    return channel(
        f"{field}:Q",
        title=None,
        scale=alt.Scale(domain=[start - headroom, 1 + headroom], nice=False),
        axis=alt.Axis(
            values=ticks, labelExpr=PERCENT_LABEL, grid=not horizontal, labelPadding=6, labelFlush=False, **extent
        ),
    )


def words(**titles: str) -> list[alt.Tooltip]:
    """A tooltip of fields that are words already, with their titles."""
    return [alt.Tooltip(f"{field.rstrip('_')}:N", title=title) for field, title in titles.items()]


def finished(layers: list[alt.Chart], datasets: dict[str, pa.Table], title: str, description: str) -> dict[str, Any]:
    """The specification of these layers with their data."""
    chart = alt.layer(
        *layers,
        width="container",
        height=HEIGHT,
        title=heading(title),
        padding={"left": 0, "top": 0, "right": 8, "bottom": 4},
        description=description,
    ).to_dict()
    del chart["config"]  # Altair's defaults, which would take the place of Streamlit's theme.
    return chart | {"datasets": chart.get("datasets", {}) | datasets}
