"""Tables as CSV files: rows that every name fits into, and answers for a spreadsheet, in which none is a formula."""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

# A spreadsheet computes a cell that begins with one of these signs, also in their wide form and behind blanks
# (https://owasp.org/www-community/attacks/CSV_Injection). It may begin a cell at a semicolon, a tab or a line's end
# as well, where its language parts them there. What looks as if it had an apostrophe from here gets another, so that
# a program that takes one away has the name again.
BEFORE_A_FORMULA = re.compile(r"(?:^|(?<=[;\t\r\n]))(?=[\s']*[=+\-@＝＋－＠])")

Answer = Callable[[str, str | None, str | None, Mapping[str, float] | None, str | None], None]


def row_writer(file: TextIO) -> Callable[[Sequence[object]], object]:
    """What writes a row into a file that was opened with newline=""."""
    plain = csv.writer(file, lineterminator="\n")
    # Python before 3.13 doesn't see that a carriage return needs quotes, and a reader would end the row at it.
    quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    return lambda row: (quoting if any("\r" in str(each) for each in row) else plain).writerow(row)


def disarmed(text: str) -> str:
    """A text with an apostrophe before each place where a spreadsheet would begin a formula; nearly all stay as is."""
    return BEFORE_A_FORMULA.sub("'", text)


def answers_writer(file: TextIO, class_names: Sequence[str]) -> Answer:
    """Write the head of the table into a file that was opened with newline="", and give what adds a row to it.

    That takes a photo's path or name, its label, its verdict, its probability of each class and the error; the last
    four may be None.
    """
    write_row = row_writer(file)

    def write(*row: str | float) -> None:
        write_row([disarmed(each) if isinstance(each, str) else each for each in row])

    def add(
        path: str,
        label: str | None,
        verdict: str | None,
        probabilities: Mapping[str, float] | None,
        error: str | None,
    ) -> None:
        numbers = [probabilities[name] if probabilities else "" for name in class_names]
        write(path, label or "", verdict or "", *numbers, error or "")

    write("path", "label", "verdict", *(f"probability_{name}" for name in class_names), "error")
    return add
