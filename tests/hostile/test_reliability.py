"""The tables of docs/reliability.md are those of the cases that the tests try."""

import pytest

from hostile.reliability import DOCUMENT, case_ids, for_a_cell, sections, with_tables


def test_the_document_says_what_the_tests_check():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == with_tables(text), "run: PYTHONPATH=tests python -m hostile.reliability"


def test_another_outcome_is_another_document():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(text.replace("the file is empty", "the file is full")) == text
    with pytest.raises(AssertionError, match="has no place for photos"):
        with_tables("# Nothing")


@pytest.mark.parametrize("name", sections())
def test_every_case_has_a_row_of_its_own(name):
    ids = case_ids(sections()[name])
    assert len(ids) == len(set(ids)) > 10


def test_a_cell_stays_a_cell():
    assert for_a_cell("a|b") == r"a\|b"
    assert for_a_cell("x" * 1_000 + "/y") == "xxxxxx…/y"
    assert for_a_cell("12, 12, 12") == "12, 12, 12"
