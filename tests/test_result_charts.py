"""The charts of an evaluation show its numbers, and nothing that only one kind of eye or theme can see."""

import itertools
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from reports import make_probabilities, make_report, report_of
from test_charts import axis, layers, rows_of

from catdog.chart_svg import draw_svg
from catdog.charts import CLASS_COLOURS, CURVE_COLOUR
from catdog.measures import answered, histogram
from catdog.result_charts import answered_chart, histogram_chart, reliability_chart

REPORT = make_report()
NAMES = ["cats", "dogs"]
CHARTS = {
    "reliability": reliability_chart(REPORT["calibration"]),
    "histogram": histogram_chart(REPORT["histogram"], NAMES),
    "answered": answered_chart(REPORT["answered"]),
}
SVG = "{http://www.w3.org/2000/svg}"


def titles_of(layer):
    """A layer's tooltip as titles by field."""
    return {each["field"]: each["title"] for each in layer["encoding"]["tooltip"]}


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_a_chart_leaves_its_look_to_the_page_and_says_what_it_is(chart):
    assert "config" not in chart
    assert chart["width"] == "container"
    assert len(chart["description"]) > 40
    assert json.dumps(
        {**chart, "datasets": {key: rows_of(chart, {"data": {"name": key}}) for key in chart["datasets"]}}
    )
    # Whatever speaks under the pointer does so in words.
    for layer in chart["layer"]:
        speaks = layer["mark"].get("tooltip", "by default") is not None
        assert speaks == ("tooltip" in layer["encoding"])
        assert not speaks or all(each["type"] == "nominal" for each in layer["encoding"]["tooltip"])


def test_reliability_shows_each_bin_before_and_after():
    chart = CHARTS["reliability"]
    (points,) = layers(chart, "circle")
    for state in ("before", "after"):
        drawn = [row for row in points["rows"] if row["state"] == state]
        bins = REPORT["calibration"][state]["bins"]
        assert [(row["probability"], row["accuracy"], row["photos"]) for row in drawn] == [
            (each["probability"], each["accuracy"], each["photos"]) for each in bins
        ]
    assert points["encoding"]["size"]["field"] == "photos"
    low, high = points["encoding"]["size"]["scale"]["range"]
    assert 0 < low < high
    assert titles_of(points) == {
        "state": "Temperature",
        "labels": "Photos",
        "given": "Mean probability of the label",
        "right": "Label right",
    }
    first = REPORT["calibration"]["before"]["bins"][0]
    assert points["rows"][0]["labels"] == str(first["photos"])
    assert points["rows"][0]["given"] == f"{100 * first['probability']:.1f} %"


def test_before_after_and_ideal_differ_by_dash_and_before_and_after_by_colour_too():
    ideal, found = layers(CHARTS["reliability"], "line")
    for line in (ideal, found):
        assert line["encoding"]["color"]["scale"]["domain"] == ["before", "after", "ideal"]
    before, after, diagonal = found["encoding"]["strokeDash"]["scale"]["range"]
    assert before != after != diagonal != before
    colours = found["encoding"]["color"]["scale"]["range"]
    assert colours[0] != colours[1]
    assert [(row["probability"], row["accuracy"]) for row in ideal["rows"]] == [(0.5, 0.5), (1, 1)]
    assert [row["state"] for row in found["rows"]].count("before") == len(REPORT["calibration"]["before"]["bins"])


def test_more_classes_have_lower_probabilities_on_the_axis():
    names = ("cats", "dogs", "owls", "rats")
    report = report_of(*make_probabilities(200, names, 0.5), names)
    lowest = min(each["probability"] for each in report["calibration"]["after"]["bins"])
    (start, end), ticks = axis(reliability_chart(report["calibration"]), "x")
    assert lowest < 0.5
    assert ticks[0] <= lowest < ticks[0] + 0.1
    assert start < ticks[0] < ticks[-1] == 1 < end


@pytest.mark.parametrize("names", [("cats", "dogs"), ("cats", "dogs", "owls")])
def test_the_histogram_has_a_bar_for_each_class_in_each_bin_that_has_photos(names):
    probabilities, labels = make_probabilities(40, names)
    found = histogram(probabilities, labels)
    (bars,) = layers(histogram_chart(found, list(names)), "bar")
    for name, counts in zip(names, found["counts"], strict=True):
        drawn = {int(row["from"] * 20): row["photos"] for row in bars["rows"] if row["class"] == name}
        assert drawn == {place: count for place, count in enumerate(counts) if count}
    edges = sorted((row["from"], row["to"]) for row in bars["rows"])
    assert all(end <= start + 1e-12 for (_, end), (start, _) in itertools.pairwise(edges))
    assert all(0 < end - start < 0.05 for start, end in edges)
    colour = bars["encoding"]["color"]["scale"]
    assert colour == {"domain": list(names), "range": list(CLASS_COLOURS[: len(names)])}


def test_one_photo_is_seen_beside_a_thousand():
    counts = [[0] * 20, [0] * 20]
    counts[0][2], counts[1][19] = 1, 1480
    chart = histogram_chart({"edges": [place / 20 for place in range(21)], "counts": counts}, NAMES)
    (_, high), ticks = axis(chart, "y")
    (bars,) = layers(chart, "bar")
    assert bars["encoding"]["y"]["scale"]["type"] == "symlog"
    # On that scale a number stands at the logarithm of one more.
    assert np.log1p(1) / np.log1p(high) > 0.05
    assert ticks == [0, 1, 3, 10, 30, 100, 300, 1000]
    assert [(row["range"], row["counted"]) for row in bars["rows"]] == [
        ("10 % to 15 %", "1"),
        ("95 % to 100 %", "1,480"),
    ]


def test_where_a_label_becomes_wrong_is_drawn_for_two_classes_alone():
    (rule,) = layers(CHARTS["histogram"], "rule")
    assert rule["encoding"]["x"]["datum"] == 0.5
    assert [layer["encoding"]["text"]["value"] for layer in layers(CHARTS["histogram"], "text")] == ["wrong", "right"]
    three = {"edges": [0, 0.5, 1], "counts": [[1, 2], [0, 3], [1, 2]]}
    chart = histogram_chart(three, ["cats", "dogs", "owls"])
    assert not layers(chart, "rule") + layers(chart, "text")


def test_more_classes_than_colours_are_counted_as_one():
    names = [f"breed {number}" for number in range(9)]
    chart = histogram_chart({"edges": [0, 0.5, 1], "counts": [[1, number] for number in range(9)]}, names)
    (bars,) = layers(chart, "bar")
    assert [(row["class"], row["photos"]) for row in bars["rows"]] == [("all classes", 9), ("all classes", 36)]
    assert bars["encoding"]["color"]["scale"]["range"] == [CURVE_COLOUR]


def test_a_histogram_without_photos_has_its_axes():
    chart = histogram_chart({"edges": [0, 0.5, 1], "counts": [[0, 0], [0, 0]]}, NAMES)
    assert axis(chart, "y")[1] == [0, 1]
    assert layers(chart, "bar")[0]["rows"] == []


def test_the_answered_chart_shows_accuracy_by_share_with_the_threshold_in_words():
    chart = CHARTS["answered"]
    (line,), (rule,) = layers(chart, "line"), layers(chart, "rule")
    assert [(row["share"], row["accuracy"]) for row in line["rows"]] == [
        (each["share"], each["accuracy"]) for each in REPORT["answered"]
    ]
    assert titles_of(rule) == {
        "shown": "Photos answered",
        "right": "Of these right",
        "threshold": "Probability of the label",
    }
    last = REPORT["answered"][0]
    assert rule["rows"][0]["shown"] == "100 %"
    assert rule["rows"][0]["threshold"] == f"at least {100 * last['threshold']:.1f} %"
    start = axis(chart, "y")[1][0]
    assert start <= min(each["accuracy"] for each in REPORT["answered"])
    assert not layers(chart, "circle")


def test_a_single_threshold_is_a_point():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1]], np.float32)
    chart = answered_chart(answered(probabilities, np.array([0, 0])))
    assert [(row["share"], row["accuracy"]) for row in layers(chart, "circle")[0]["rows"]] == [(1, 1)]
    assert axis(answered_chart([{"share": 1.0, "threshold": 0.5, "accuracy": 0.0}]), "y")[1][0] == 0


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_a_chart_becomes_an_svg_in_the_pages_colours(chart):
    root = ElementTree.fromstring(draw_svg(chart, 400, "first"))
    assert root.tag == f"{SVG}svg"
    assert (root.get("role"), root.get("aria-label"), root.get("width")) == ("img", chart["description"], "400")
    written = "".join(root.itertext())
    assert chart["title"]["text"] in written
    labels = [each for each in root.iter(f"{SVG}text") if each.text.endswith("%")]
    assert labels
    assert all(each.get("fill") == "currentColor" for each in labels)
    # No ground of its own that would be white in the dark.
    assert not [each for each in root.iter() if each.get("fill") in ("white", "#fff", "#ffffff")]


def test_two_charts_of_a_page_share_no_ids():
    ids = []
    for name in ("first", "second"):
        for chart in (*CHARTS.values(),):
            svg = ElementTree.fromstring(draw_svg(chart, 400, f"{name}{len(ids)}"))
            found = {each.get("id") for each in svg.iter() if each.get("id")}
            used = {each.get("clip-path")[5:-1] for each in svg.iter() if each.get("clip-path")}
            assert used <= found
            ids.append(found)
    assert sum(map(len, ids)) == len(set().union(*ids))


def test_a_class_name_stays_text_in_an_svg():
    names = ['<script>alert("x")</script>', "a & b"]
    svg = ElementTree.fromstring(draw_svg(histogram_chart(REPORT["histogram"], names), 400, "h"))
    assert not [each for each in svg.iter() if "script" in each.tag]
    assert names[1] in [each.text for each in svg.iter(f"{SVG}text")]
