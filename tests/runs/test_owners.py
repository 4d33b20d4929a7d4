"""Whose a run is, and the order in which visitors take turns."""

import os
import threading
from pathlib import Path

import pytest
from helpers.made_runs import CONFIG, wait_until

from catdog.runs import run_folder
from catdog.runs.owners import TURN_ENDING, fair_order, is_own, last_time, note_turn, note_visit, owner_of, visit_file
from catdog.runs.run_folder import Run, create_run, read_status, waiting_line

ANNA, BEN, CLEO = ("a" * 32, "b" * 32, "c" * 32)


def waiting(folder: Path, *names: str) -> dict[Path, float]:
    """Runs that came one after another: of Anna, Ben or Cleo by the letter that a name begins with, else nobody's."""
    owners = {"a": ANNA, "b": BEN, "c": CLEO}
    return {
        create_run(CONFIG, folder / name, owners.get(name[0])).folder: float(number)
        for number, name in enumerate(names, 1)
    }


def order(folder: Path, came: dict[Path, float], at_work: tuple[str, ...] = ()) -> list[str]:
    """The names in the order in which it is their turn."""
    return [path.name for path in fair_order(folder, came, [folder / name for name in at_work])]


def had_turn(folder: Path, owner: str, moment: float) -> None:
    """A visitor's last turn was at that moment."""
    note_turn(folder, owner)
    os.utime(visit_file(folder, owner, TURN_ENDING), (moment, moment))


def test_the_owner_stands_in_the_folder_before_the_run_can_be_found(tmp_path, monkeypatch):
    seen = []
    before = Run.set_state
    monkeypatch.setattr(Run, "set_state", lambda run, *given: (seen.append(owner_of(run.folder)), before(run, *given)))
    run = create_run(CONFIG, tmp_path / "run", ANNA)
    assert seen == [ANNA] == [owner_of(run.folder)]
    assert owner_of(create_run(CONFIG, tmp_path / "other").folder) is None
    assert not (tmp_path / "other" / "owner").exists()


def test_everything_is_everybodys_unless_the_app_is_public(tmp_path, monkeypatch):
    owned, free = (create_run(CONFIG, tmp_path / name, owner).folder for name, owner in (("run", ANNA), ("free", None)))
    monkeypatch.delenv("CATDOG_PUBLIC", raising=False)
    assert all(is_own(folder, owner) for folder in (owned, free) for owner in (None, ANNA, BEN))
    monkeypatch.setenv("CATDOG_PUBLIC", "1")
    assert [owner for owner in (None, ANNA, BEN, "") if is_own(owned, owner)] == [ANNA]
    assert not any(is_own(free, owner) for owner in (None, ANNA, ""))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", None])
def test_a_damaged_owner_is_nobody(tmp_path, monkeypatch, content):
    folder = create_run(CONFIG, tmp_path / "run", ANNA).folder
    path = folder / "owner"
    path.unlink()
    path.write_bytes(content) if content is not None else path.mkdir()
    monkeypatch.setenv("CATDOG_PUBLIC", "1")
    assert not is_own(folder, ANNA)
    assert not is_own(folder, None)


def test_what_nobody_owns_goes_as_it_came(tmp_path):
    came = waiting(tmp_path, "x3", "x1", "x2")
    assert order(tmp_path, came) == ["x3", "x1", "x2"]
    # Of those that came at the same moment, by name.
    assert order(tmp_path, dict.fromkeys(came, 1.0)) == ["x1", "x2", "x3"]
    assert order(tmp_path, came, ("x3",)) == ["x3", "x1", "x2"]


def test_the_second_of_one_goes_behind_the_first_of_others(tmp_path):
    assert order(tmp_path, waiting(tmp_path, "a1", "a2", "a3", "b1", "c1", "b2")) == [
        "a1",
        "b1",
        "c1",
        "a2",
        "b2",
        "a3",
    ]


def test_what_is_at_work_counts_as_the_first(tmp_path):
    waiting(tmp_path, "a0")
    assert order(tmp_path, waiting(tmp_path, "a1", "b1", "a2"), ("a0",)) == ["b1", "a1", "a2"]


def test_whoever_had_a_turn_queues_behind_those_who_came_before_it_ended(tmp_path):
    came = waiting(tmp_path, "a1", "b1", "c1")
    had_turn(tmp_path, ANNA, 2.5)
    assert order(tmp_path, came) == ["b1", "a1", "c1"]
    # An old turn is no reason to wait, and nobody who comes later overtakes.
    had_turn(tmp_path, BEN, 0.5)
    assert order(tmp_path, came) == ["b1", "a1", "c1"]


def test_all_are_served_in_turns_until_the_line_is_empty(tmp_path):
    came = waiting(tmp_path, "a1", "a2", "a3", "b1", "b2", "c1")
    served = []
    for moment in range(10, 16):
        first = fair_order(tmp_path, came)[0]
        served.append(first.name)
        del came[first]
        had_turn(tmp_path, owner_of(first), moment)
    assert served == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_the_line_of_a_folder_is_fair_and_the_same_for_everybody(tmp_path):
    for number, name in enumerate(("a1", "a2", "b1")):
        run = create_run(CONFIG, tmp_path / name, ANNA if name[0] == "a" else BEN)
        run.status["started"] = 100.0 + number
        run.set_state("queued", run_folder.WAITING)
    assert [path.name for path in waiting_line(tmp_path)] == ["a1", "b1", "a2"]


def test_runs_take_their_turns_in_that_order(tmp_path):
    first = create_run(CONFIG, tmp_path / "first", ANNA)
    others = [create_run(CONFIG, tmp_path / name, owner) for name, owner in (("a2", ANNA), ("a3", ANNA), ("b1", BEN))]
    begun = []

    def work(each: Run) -> None:
        with each.turn():
            each.set_state("running")
            begun.append(each.folder.name)
            each.set_state("done")

    threads = [threading.Thread(target=work, args=(each,)) for each in others]
    with first.turn():
        first.set_state("running")
        for thread in threads:
            thread.start()
        wait_until(lambda: all(read_status(each.folder)["message"] == run_folder.WAITING for each in others))
        first.set_state("done")
    for thread in threads:
        thread.join(timeout=60)
    assert begun == ["b1", "a2", "a3"]
    assert last_time(tmp_path, ANNA, TURN_ENDING) > 0 < last_time(tmp_path, BEN, TURN_ENDING)


def test_nothing_is_kept_of_a_visitor_who_leaves_nothing(tmp_path):
    note_visit(tmp_path, ANNA)
    assert list(tmp_path.iterdir()) == []
    note_visit(tmp_path, ANNA, stays=True)
    assert visit_file(tmp_path, ANNA).read_bytes() == b""
    os.utime(visit_file(tmp_path, ANNA), (1000, 1000))
    note_visit(tmp_path, ANNA)
    assert last_time(tmp_path, ANNA) > 1000


def test_where_nothing_can_be_noted_nobody_is_stopped(tmp_path):
    (tmp_path / "runs").write_text("a file")
    note_turn(tmp_path / "runs", ANNA)
    note_visit(tmp_path / "runs", ANNA, stays=True)
    assert last_time(tmp_path / "runs", ANNA) == 0.0
