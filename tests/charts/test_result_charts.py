"""The charts of an evaluation: their data is the report's, and a page can draw them."""

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from helpers.processes import run_python
from helpers.reports import make_probabilities, make_report, report_of

from catdog.charts.chart_svg import draw_svg
from catdog.charts.result_charts import ALL_CLASSES, answered_chart, histogram_chart, reliability_chart
from catdog.charts.run_charts import CLASS_COLOURS

NAMES = ("birds", "cats", "dogs", "fish", "geese", "hares", "mice", "newts", "owls", "pigs", "rats", "sheep")


def charts_of(report: dict) -> dict[str, dict]:
    """The three charts of a report."""
    return {
        "reliability": reliability_chart(report["calibration"]),
        "histogram": histogram_chart(report["histogram"], report["class_names"]),
        "answered": answered_chart(report["answered"]),
    }


def rows(chart: dict, name: str) -> list[dict]:
    """A dataset's rows."""
    return chart["datasets"][name].to_pylist()


def marks(chart: dict) -> list[str]:
    """The kinds of the chart's layers."""
    return [layer["mark"]["type"] for layer in chart["layer"]]


def words_in(svg: str) -> list[str]:
    """The texts that an SVG shows."""
    return [text.text for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_reliability_chart_has_each_bin_before_and_after():
    calibration = make_report()["calibration"]
    chart = reliability_chart(calibration)
    for state in ("before", "after"):
        found = [
            (row["probability"], row["accuracy"], row["photos"]) for row in rows(chart, "bins") if row["state"] == state
        ]
        assert found == [(each["probability"], each["accuracy"], each["photos"]) for each in calibration[state]["bins"]]
        assert len(found) > 2
    assert all(row["probability"] == row["accuracy"] for row in rows(chart, "ideal"))


def test_the_reliability_axis_begins_below_the_least_probable_label():
    names = NAMES[:4]
    calibration = report_of(*make_probabilities(40, names, certainty=0.3), names)["calibration"]
    lowest = min(each["probability"] for state in ("before", "after") for each in calibration[state]["bins"])
    chart = reliability_chart(calibration)
    start = chart["layer"][0]["encoding"]["x"]["scale"]["domain"][0]
    assert start <= lowest < 0.5
    assert reliability_chart(make_report()["calibration"])["layer"][0]["encoding"]["x"]["axis"]["values"][0] == 0.5


def test_the_histogram_has_every_photo_once_within_its_bin():
    report = make_report()
    chart = histogram_chart(report["histogram"], report["class_names"])
    edges = report["histogram"]["edges"]
    found = {name: [0] * (len(edges) - 1) for name in report["class_names"]}
    for row in rows(chart, "bars"):
        place = next(place for place in range(len(edges) - 1) if edges[place] < row["from"] < edges[place + 1])
        assert row["from"] < row["to"] < edges[place + 1]
        found[row["class"]][place] = row["photos"]
    assert list(found.values()) == report["histogram"]["counts"]
    assert sum(map(sum, found.values())) == report["photos"]


def test_bars_of_two_classes_lie_side_by_side():
    report = make_report()
    bars = sorted(
        rows(histogram_chart(report["histogram"], report["class_names"]), "bars"), key=lambda row: row["from"]
    )
    assert len(bars) > 10
    assert all(before["to"] <= after["from"] + 1e-9 for before, after in pairwise(bars))


def test_only_two_classes_have_a_border_at_one_half():
    assert marks(charts_of(make_report())["histogram"]) == ["bar", "rule", "text", "text"]
    names = NAMES[:3]
    assert marks(charts_of(report_of(*make_probabilities(20, names), names))["histogram"]) == ["bar"]


def test_more_classes_than_colours_are_counted_as_one():
    names = NAMES[: len(CLASS_COLOURS) + 1]
    report = report_of(*make_probabilities(20, names), names)
    found = rows(histogram_chart(report["histogram"], report["class_names"]), "bars")
    assert {row["class"] for row in found} == {ALL_CLASSES}
    assert sum(row["photos"] for row in found) == report["photos"] == 20 * len(names)


def test_the_answered_chart_has_each_point():
    answered = make_report()["answered"]
    found = rows(answered_chart(answered), "answered")
    assert [(row["share"], row["accuracy"]) for row in found] == [
        (each["share"], each["accuracy"]) for each in answered
    ]
    assert found[0]["share"] == 1


def test_the_answered_axis_begins_below_the_lowest_accuracy():
    for accuracy in (1.0, 0.985, 0.93, 0.6, 0.0):
        chart = answered_chart([{"share": 1.0, "threshold": 0.5, "accuracy": accuracy}])
        for layer in chart["layer"][:1]:
            assert layer["encoding"]["y"]["axis"]["values"][0] <= accuracy


def test_a_single_point_is_a_dot_and_many_are_a_line_alone():
    one = answered_chart([{"share": 1.0, "threshold": 0.5, "accuracy": 0.9}])
    many = answered_chart([{"share": 1 - place / 100, "threshold": 0.5, "accuracy": 0.9} for place in range(100)])
    assert "circle" in marks(one)
    assert "circle" not in marks(many)


@pytest.mark.lowest
@pytest.mark.parametrize("name", ["reliability", "histogram", "answered"])
def test_a_chart_leaves_the_look_to_the_page_and_describes_itself(name):
    chart = charts_of(make_report())[name]
    assert "config" not in chart
    assert chart["width"] == "container"
    assert chart["description"].split(":")[0] in ("Line chart", "Bar chart")


@pytest.mark.lowest
def test_a_page_can_draw_them():
    report = make_report()
    for name, chart in charts_of(report).items():
        svg = draw_svg(chart, 400, name)
        assert chart["title"]["text"] in words_in(svg)
        assert chart["description"].split(":")[0] in svg.split(">")[0]
    assert {"before", "after", "ideal"} <= set(words_in(draw_svg(charts_of(report)["reliability"], 400, "r")))
    assert {"cats", "dogs", "wrong", "right"} <= set(words_in(draw_svg(charts_of(report)["histogram"], 400, "h")))


@pytest.mark.lowest
@pytest.mark.parametrize("photos_per_class", [1, 2])
def test_charts_of_hardly_any_photos_can_be_drawn(photos_per_class):
    names = NAMES[:2]
    report = report_of(*make_probabilities(photos_per_class, names), names)
    for name, chart in charts_of(report).items():
        assert chart["title"]["text"] in words_in(draw_svg(chart, 400, name))


def test_charts_of_nothing_can_be_drawn():
    nothing = {"bins": [], "error": 0.0, "loss": 0.0}
    empty = {
        "reliability": reliability_chart({"before": nothing, "after": nothing}),
        "histogram": histogram_chart({"edges": [0.0, 0.5, 1.0], "counts": [[0, 0], [0, 0]]}, ["cats", "dogs"]),
        "answered": answered_chart([]),
    }
    for name, chart in empty.items():
        assert chart["title"]["text"] in words_in(draw_svg(chart, 400, name))


def test_a_class_may_have_any_name():
    names = ("<img src=x onerror=alert(1)>", "\"&'")
    report = report_of(*make_probabilities(20, names), names)
    svg = draw_svg(charts_of(report)["histogram"], 400, "histogram")
    assert "<img" not in svg
    assert "\"&'" in words_in(svg)


def test_drawing_needs_neither_tensorflow_nor_streamlit(tmp_path):
    code = (
        "import sys; import catdog.charts.result_charts, catdog.charts.chart_svg; "
        "print('tensorflow' in sys.modules, 'streamlit' in sys.modules)"
    )
    assert run_python("-c", code, cwd=tmp_path).stdout.split() == ["False", "False"]


def test_one_photo_is_seen_beside_a_thousand():
    counts = [[0] * 20, [0] * 20]
    counts[0][2], counts[1][19] = 1, 1480
    chart = histogram_chart({"edges": [place / 20 for place in range(21)], "counts": counts}, ["cats", "dogs"])
    y = chart["layer"][0]["encoding"]["y"]
    assert y["scale"]["type"] == "symlog"
    # On that scale a number stands at the logarithm of one more.
    assert math.log1p(1) / math.log1p(y["scale"]["domain"][1]) > 0.05
    assert y["axis"]["values"] == [0, 1, 3, 10, 30, 100, 300, 1000]
    assert [(row["range"], row["counted"]) for row in rows(chart, "bars")] == [
        ("10 % to 15 %", "1"),
        ("95 % to 100 %", "1,480"),
    ]


def test_before_and_after_differ_by_dash_and_by_colour():
    chart = reliability_chart(make_report()["calibration"])
    line = next(layer for layer in chart["layer"] if layer.get("data", {}).get("name") == "bins")
    for channel in ("color", "strokeDash"):
        scale = line["encoding"][channel]["scale"]
        assert scale["domain"] == ["before", "after", "ideal"]
        assert scale["range"][0] != scale["range"][1]


@pytest.mark.parametrize("name", ["reliability", "histogram", "answered"])
def test_what_speaks_under_the_pointer_does_so_in_words(name):
    for layer in charts_of(make_report())[name]["layer"]:
        # Without a tooltip of its own, a mark would show its raw numbers.
        assert ("tooltip" in layer["encoding"]) == (layer["mark"].get("tooltip", "by default") is not None)
        assert all(each["type"] == "nominal" for each in layer["encoding"].get("tooltip", []))


def test_a_chart_drawn_again_is_the_same_text():
    chart = charts_of(make_report())["histogram"]
    first = draw_svg(chart, 400, "page")
    draw_svg(charts_of(make_report())["answered"], 400, "other")
    assert draw_svg(chart, 400, "page") == first
