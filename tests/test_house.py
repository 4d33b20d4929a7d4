"""The house keeps its floors: who may import whom, how long a module may be, how many stand in a room."""

import re
import sys
from pathlib import Path

import pytest
from helpers.places import REPOSITORY
from helpers.processes import run_python

sys.path.append(str(REPOSITORY / "docs"))
import draw_house

PACKAGE = REPOSITORY / "catdog"
MOST_LINES, MOST_MODULES = 400, 12


def test_the_contract_on_imports_is_kept():
    # In a process of its own: the linter sets up logging anew, and closes what pytest logs into.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = run_python("-c", code, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout


def test_the_contract_has_no_exceptions():
    assert "ignore_imports" not in (REPOSITORY / "pyproject.toml").read_text()


ROOMS = [PACKAGE, *(each.parent for each in sorted(PACKAGE.rglob("*/__init__.py")))]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(REPOSITORY).as_posix())
def test_no_room_is_too_full_and_no_module_too_long(room: Path):
    modules = [path for path in room.glob("*.py") if path.name != "__init__.py"]
    assert modules
    assert len(modules) <= MOST_MODULES
    assert {path.name for path in modules if len(path.read_text().splitlines()) > MOST_LINES} == set()


def test_the_drawing_is_of_the_imports_as_they_are():
    house, text = draw_house.House(), draw_house.PAGE.read_text(encoding="utf-8")
    assert draw_house.PICTURE.read_text(encoding="utf-8") == draw_house.draw(house), "run: python docs/draw_house.py"
    assert draw_house.with_rooms(text, house) == text, "run: python docs/draw_house.py"


def test_the_ways_named_in_the_page_are_there():
    text = draw_house.PAGE.read_text(encoding="utf-8")
    table = text[text.index("| to change |") : text.index("`pyproject.toml` holds")]
    ways = re.findall(r"`([\w/]+(?:\.py|/))`", table)
    assert len(ways) >= 8
    assert [way for way in ways if not (PACKAGE / way).exists()] == []
