"""The house keeps its floors: who may import whom, how long a module may be, how many stand in a room."""

from pathlib import Path

import pytest
from helpers.places import REPOSITORY
from importlinter.cli import lint_imports

PACKAGE = REPOSITORY / "catdog"
MOST_LINES, MOST_MODULES = 400, 12


def test_the_contract_on_imports_is_kept(capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out


def test_the_contract_has_no_exceptions():
    assert "ignore_imports" not in (REPOSITORY / "pyproject.toml").read_text()


ROOMS = [PACKAGE, *(each.parent for each in sorted(PACKAGE.rglob("*/__init__.py")))]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(REPOSITORY).as_posix())
def test_no_room_is_too_full_and_no_module_too_long(room: Path):
    modules = [path for path in room.glob("*.py") if path.name != "__init__.py"]
    assert modules
    assert len(modules) <= MOST_MODULES
    assert {path.name for path in modules if len(path.read_text().splitlines()) > MOST_LINES} == set()
