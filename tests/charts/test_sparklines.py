import re
from xml.etree import ElementTree

import pytest

from catdog.charts.sparklines import HEIGHT, MARGIN, WIDTH, sparkline


def points_of(svg: str) -> list[tuple[float, float]]:
    """The points of the line in an SVG."""
    (line,) = ElementTree.fromstring(svg)
    return [tuple(map(float, point.split(","))) for point in line.get("points").split()]


def test_a_line_goes_from_left_to_right_between_its_lowest_and_highest():
    assert points_of(sparkline([1, 3, 2], "Loss")) == [(0, HEIGHT - MARGIN), (WIDTH / 2, MARGIN), (WIDTH, HEIGHT / 2)]


def test_what_never_changed_runs_through_the_middle():
    assert points_of(sparkline([7, 7], "Loss")) == [(0, HEIGHT / 2), (WIDTH, HEIGHT / 2)]


@pytest.mark.parametrize("values", [[], [1]])
def test_before_the_second_value_there_is_room_and_no_line(values):
    empty, full = sparkline(values, "Loss"), sparkline([1, 2], "Loss")
    assert points_of(empty) == []
    assert re.sub('points="[^"]*"', "", empty) == re.sub('points="[^"]*"', "", full)


def test_a_screen_reader_gets_the_description_as_text():
    assert ElementTree.fromstring(sparkline([], 'a "b" <c>')).get("aria-label") == 'a "b" <c>'
