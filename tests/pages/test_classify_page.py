"""What the classify page makes of answers: groups, files to take along, and what a threshold would have meant."""

import csv
import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from catdog.charts.result_charts import threshold_chart
from catdog.pages.answers.answer_view import (
    ALL,
    UNREADABLE,
    WRONG,
    as_csv,
    as_zip,
    free_name,
    group,
    safe_name,
    table_row,
    verdict_line,
)
from catdog.pages.answers.answer_why import reasons
from catdog.pages.answers.kept_answers import Answer, answer_of
from catdog.results.report_files import Judgement, answered_above

NAMES = ("cats", "dogs")


def answer(name: str, cats: float | None = 0.9, similarity: float | None = 0.9) -> Answer:
    """An answer for a photo of that name; None for one that can't be read."""
    found = SimpleNamespace(reason="the file is empty", label=None, probabilities=None)
    if cats is not None:
        label = "cats" if cats >= 0.5 else "dogs"
        found = SimpleNamespace(reason=None, label=label, probabilities={"cats": cats, "dogs": 1 - cats})
    found.similarity, found.nearest, found.runner_up = similarity, (), "dogs"
    found.places = np.zeros((2, 2), np.float32)
    classifier = SimpleNamespace(reference=SimpleNamespace(limit=0.5), class_names=NAMES)
    return answer_of(name, name, found, classifier)


ANSWERS = [
    answer("set/cats/sure.jpg", 0.95),
    answer("set/cats/mistaken.jpg", 0.1),
    answer("dogs/unsure.jpg", 0.4),
    answer("a car.jpg", 0.99, similarity=0.2),
    answer("broken.jpg", None),
    answer("other/sure.jpg", 0.9),
]


def test_answers_are_grouped_by_verdict_and_by_their_folders():
    found = {name: [each.name for each in of_group] for name, of_group in group(ANSWERS, NAMES, 0.8).items()}
    assert found == {
        ALL: [each.name for each in ANSWERS],
        "cats": ["set/cats/sure.jpg", "other/sure.jpg"],
        "dogs": ["set/cats/mistaken.jpg"],
        "unsure": ["dogs/unsure.jpg"],
        "neither": ["a car.jpg"],
        WRONG: ["set/cats/mistaken.jpg"],
        UNREADABLE: ["broken.jpg"],
    }
    assert "unsure" not in {each.verdict(0.5) for each in ANSWERS}
    assert set(group(ANSWERS[:1], NAMES, 0.8)) == {ALL, "cats", "dogs", "unsure", "neither"}


def test_the_csv_has_every_photo():
    rows = list(csv.DictReader(io.StringIO(as_csv(ANSWERS, NAMES, 0.8).decode())))
    assert [row["path"] for row in rows] == [each.name for each in ANSWERS]
    assert [row["verdict"] for row in rows] == ["cats", "dogs", "unsure", "neither", "", "cats"]
    assert rows[4]["error"] == "broken.jpg: the file is empty."
    assert float(rows[0]["probability_cats"]) == 0.95


def test_the_zip_has_a_folder_for_each_verdict_and_loses_no_photo():
    uploads = {each.name: io.BytesIO(each.name.encode()) for each in ANSWERS}
    with zipfile.ZipFile(io.BytesIO(as_zip(ANSWERS, uploads, 0.8))) as archive:
        found = {name: archive.read(name).decode() for name in archive.namelist()}
    assert found == {
        "cats/sure.jpg": "set/cats/sure.jpg",
        "dogs/mistaken.jpg": "set/cats/mistaken.jpg",
        "unsure/unsure.jpg": "dogs/unsure.jpg",
        "neither/a car.jpg": "a car.jpg",
        "can't be read/broken.jpg": "broken.jpg",
        "cats/sure (2).jpg": "other/sure.jpg",
    }


@pytest.mark.parametrize(
    ("name", "safe"),
    [("../x", "_x"), ("..", "_"), ("a/b\\c", "a_b_c"), ("CON:", "CON_"), ("a\nb", "a_b"), ("", "_"), (" x. ", "x")],
)
def test_a_name_is_one_part_of_a_path(name, safe):
    assert safe_name(name) == safe


def test_names_that_differ_by_case_alone_are_told_apart():
    taken: set[str] = set()
    assert [free_name("cats", name, taken) for name in ("a.jpg", "A.JPG", "x/../a.jpg")] == [
        "cats/a.jpg",
        "cats/A (2).JPG",
        "cats/a (3).jpg",
    ]


def test_a_row_of_the_table_has_no_formula_and_no_column_of_a_class_hides_another():
    names = ("Name", "=1+1")
    strange = Answer("1", "@SUM(1).jpg", None, "=1+1", {"Name": 0.1, "=1+1": 0.9}, None, None, (), None, None, "")
    row = table_row(strange, None, names, 0.8)
    assert row == {
        "Photo": None,
        "Verdict": "'=1+1",
        "probability_Name": 10.0,
        "probability_=1+1": 90.0,
        "Name": "'@SUM(1).jpg",
        "Likeness": None,
        "Reason": None,
    }


def test_what_people_name_is_no_markup():
    strange = Answer("1", "<b>", None, "cats", {"cats": 1.0}, None, None, (), None, None, "<i>")
    assert "<i>" not in verdict_line(strange, 0.8)
    assert "&lt;i&gt;" in verdict_line(strange, 0.8)


def test_reasons_say_what_stands_behind_a_verdict():
    assert "counts as neither, so this one does" in " ".join(reasons(answer("a", 0.9, similarity=0.2), 0.8))
    assert "so this one does" not in " ".join(reasons(answer("a", 0.9), 0.8))
    assert "unsure" in " ".join(reasons(answer("a", 0.7), 0.8))
    assert "unsure" not in " ".join(reasons(answer("a", 0.7), 0.6))


def test_thresholds_tell_exactly_what_is_left_and_right():
    judged = [
        Judgement("a", "cats", "cats", 0.99),
        Judgement("b", "dogs", "cats", 0.7),
        Judgement("c", "dogs", "dogs", 0.5),
    ]
    rows = {round(100 * row["threshold"]): row for row in answered_above(judged)}
    assert sorted(rows) == list(range(50, 100))
    assert (rows[50]["share"], rows[50]["accuracy"]) == pytest.approx((1, 2 / 3))
    assert (rows[51]["share"], rows[51]["accuracy"]) == pytest.approx((2 / 3, 1 / 2))
    assert (rows[70]["share"], rows[70]["accuracy"]) == pytest.approx((2 / 3, 1 / 2))
    assert (rows[71]["share"], rows[71]["accuracy"]) == pytest.approx((1 / 3, 1))
    none = answered_above(judged[2:])[-1]
    assert (none["share"], none["accuracy"]) == (0, None)
    chart = threshold_chart(answered_above(judged), 0.7)
    lines = chart["datasets"]["lines"].to_pylist()
    assert {(row["threshold"], row["value"]) for row in lines if row["line"] == "answered"} == {
        (percent / 100, row["share"]) for percent, row in rows.items()
    }
    assert chart["layer"][1]["encoding"]["x"]["datum"] == 0.7
