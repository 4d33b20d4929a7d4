"""The CSV of answers: no name in it is a formula, and a program has every name back."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catdog.files.csv_files import answers_writer, disarmed, row_writer

SIGNS = "=+-@＝＋－＠"
ORDINARY = [
    "photos/cats/1.jpg",
    "./-1.jpg",
    "Katze Nº 1, am Fenster; müde.jpg",
    "'tis a cat.jpg",
    '"quoted".jpg',
    "C:\\cats\\1 = 2.jpg",
    "a - b.jpg",
    "1 + 1 @ 2.jpg",
    "\udc80.jpg",
    " leading blank.jpg",
    "",
]
FORMULAS = [
    "=cmd|' /C calc'!A0.jpg",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1.jpg",
    "-2+3+cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "  =1+1",
    "＝1+1",
    "'=1+1",
    "''''@x",
    'a;=HYPERLINK("http://127.0.0.1:9/?x="&A1)',
    "cats\n=1+1",
    "x;\t;=1",
]


def restored(text: str) -> str:
    """A text without the apostrophes that disarmed it: what the documentation tells programs to do."""
    return re.sub(rf"(?:^|(?<=[;\t\r\n]))'(?=[\s']*[{SIGNS}])", "", text)


def rows_of(*rows: tuple, class_names: tuple[str, ...] = ("cats", "dogs"), delimiter: str = ",") -> list[list[str]]:
    """What a program reads of a table with these rows, with its head."""
    file = io.StringIO(newline="")
    add = answers_writer(file, class_names)
    for row in rows:
        add(*row)
    return list(csv.reader(io.StringIO(file.getvalue(), newline=""), delimiter=delimiter))


def begins_a_formula(cell: str) -> bool:
    """Whether a spreadsheet computes a cell instead of showing it."""
    return cell.lstrip()[:1] in tuple(SIGNS)


def test_the_columns_are_those_that_programs_know():
    probabilities = {"dogs": 0.25, "cats": 0.75}
    head, answer, error = rows_of(
        ("a.jpg", "cats", "cats", probabilities, None), ("b.jpg", None, None, None, "b.jpg: it is empty.")
    )
    assert head == ["path", "label", "verdict", "probability_cats", "probability_dogs", "error"]
    assert answer == ["a.jpg", "cats", "cats", "0.75", "0.25", ""]
    assert error == ["b.jpg", "", "", "", "", "b.jpg: it is empty."]


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_stay_as_they_are(name):
    assert disarmed(name) == name
    assert rows_of((name, name, name, None, name))[1] == [name, name, name, "", "", name]


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_a_formula_however_a_spreadsheet_parts_the_lines(name, delimiter):
    rows = rows_of((name, name, name, None, f"{name}: it is empty."), class_names=(name, "dogs"), delimiter=delimiter)
    assert not [cell for row in rows for cell in row for line in cell.splitlines() if begins_a_formula(line)]
    if delimiter == ",":
        assert [restored(cell) for cell in rows[1][:3]] == [name] * 3


NAMES = st.text(st.sampled_from([*SIGNS, *"';,\t\r\n \"ab"]) | st.characters(), max_size=12)


@given(st.lists(st.lists(NAMES, min_size=1), min_size=1))
def test_every_row_can_be_read_back(rows):
    file = io.StringIO(newline="")
    write_row = row_writer(file)
    for row in rows:
        write_row(row)
    assert list(csv.reader(io.StringIO(file.getvalue(), newline=""))) == rows


@given(NAMES)
def test_every_name_can_be_had_back(name):
    assert restored(disarmed(name)) == name
    assert not any(begins_a_formula(cell) for cell in re.split(r"[;\t\r\n]", disarmed(name)))
