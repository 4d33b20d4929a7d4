"""What trials found, as Altair charts: loss by learning rate, accuracy by number of photos."""

from typing import Any

import altair as alt
import pandas as pd

from catdog.charts.run_charts import (
    CURVE_COLOUR,
    LEGEND,
    NEUTRAL_COLOUR,
    SMALLEST_LOSS,
    SPLIT_COLOURS,
    SPLIT_DASHES,
    SPLITS,
    logarithmic_axis,
)
from catdog.figures import decimal, percent

HEIGHT = 200  # pixels
RATE_TICKS = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1]


def heading(words: str) -> alt.TitleParams:
    """A chart's heading, as all charts of the page have it."""
    return alt.TitleParams(words, fontSize=14, anchor="start", offset=6)


def rates_chart(rates: list[dict[str, Any]], suggested: float | None = None) -> alt.LayerChart:
    """Training and validation loss by learning rate, both axes logarithmic, with a ring round the suggested rate."""
    rows = pd.DataFrame(
        [
            (
                each["learning_rate"],
                split,
                max(each[prefix + "loss"], SMALLEST_LOSS),
                each["learning_rate"] == suggested,
            )
            for each in rates
            for split, prefix in zip(SPLITS, ("", "val_"), strict=True)
        ],
        columns=["rate", "split", "loss", "suggested"],
    )
    rows = rows.assign(written=rows["rate"].map(decimal))
    axis = logarithmic_axis(rows["loss"].tolist())
    x = alt.X(
        "rate:Q",
        title=None,
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(grid=False, values=RATE_TICKS, labelExpr="format(datum.value, '~f')"),
    )
    y = alt.Y(
        "loss:Q",
        title=None,
        scale=alt.Scale(domain=list(axis.domain), nice=False, type=axis.scale),
        axis=alt.Axis(values=axis.ticks, labelExpr=axis.label),
    )
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=2, symbolOpacity=1, **LEGEND)
    colour = alt.Color("split:N", scale=alt.Scale(domain=list(SPLITS), range=list(SPLIT_COLOURS)), legend=legend)
    style = alt.StrokeDash("split:N", scale=alt.Scale(domain=list(SPLITS), range=list(SPLIT_DASHES)), legend=legend)
    tooltip = [
        alt.Tooltip("written:N", title="Learning rate"),
        alt.Tooltip("split:N", title="Photos"),
        alt.Tooltip("loss:Q", title="Loss", format=".4f"),
    ]
    chosen = rows[rows["suggested"] & (rows["split"] == "validation")]
    return alt.layer(
        alt.Chart(rows).mark_line(strokeWidth=2).encode(x, y, colour, style, tooltip=tooltip),
        alt.Chart(rows).mark_circle(size=30, opacity=1).encode(x, y, colour, tooltip=tooltip),
        alt.Chart(chosen).mark_point(color=CURVE_COLOUR, size=220, strokeWidth=1.5).encode(x, y, tooltip=tooltip),
        title=heading("Loss by learning rate"),
        height=HEIGHT,
        width="container",
        description="Line chart: loss of training and validation by learning rate",
    )


def shares_chart(shares: list[dict[str, Any]]) -> alt.LayerChart:
    """Validation accuracy by number of training photos, with a bar from the lowest to the highest draw."""
    rows = pd.DataFrame(shares, columns=["photos", "val_accuracy", "val_loss", "lowest", "highest"])
    rows = rows.assign(
        accuracy=rows["val_accuracy"].map(percent),
        draws=[
            percent(low) if low == high else f"{percent(low)} to {percent(high)}"
            for low, high in zip(rows["lowest"], rows["highest"], strict=True)
        ],
    )
    x = alt.X(
        "photos:Q",
        title=None,
        scale=alt.Scale(zero=True, nice=False),
        axis=alt.Axis(grid=False, values=rows["photos"].tolist(), labelExpr="format(datum.value, ',')"),
    )
    y = alt.Y(
        "val_accuracy:Q",
        title=None,
        scale=alt.Scale(zero=False, padding=8),
        axis=alt.Axis(labelExpr="format(100 * datum.value, '.1~f') + ' %'", tickCount=4),
    )
    tooltip = [
        alt.Tooltip("photos:Q", title="Training photos", format=","),
        alt.Tooltip("accuracy:N", title="Accuracy"),
        alt.Tooltip("draws:N", title="Lowest and highest"),
        alt.Tooltip("val_loss:Q", title="Loss", format=".4f"),
    ]
    chart = alt.Chart(rows)
    return alt.layer(
        chart.mark_rule(color=NEUTRAL_COLOUR, strokeWidth=3, opacity=0.4).encode(
            x, y=alt.Y("lowest:Q"), y2="highest:Q", tooltip=tooltip
        ),
        chart.mark_line(color=CURVE_COLOUR, strokeWidth=2).encode(x, y),
        chart.mark_circle(color=CURVE_COLOUR, size=50, opacity=1).encode(x, y, tooltip=tooltip),
        title=heading("Accuracy by number of photos"),
        height=HEIGHT,
        width="container",
        description="Line chart: validation accuracy by number of training photos",
    )
