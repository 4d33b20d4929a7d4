"""How a visitor is known again, and how what they left is removed: theirs alone, in time, and no more than that."""

import os
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from catdog.files.folders import REMOVED, models_folder, remove_folder, uploads_folder
from catdog.runs import jobs, trials, visitors
from catdog.runs.owners import VISITORS_FOLDER, note_visit, visit_file
from catdog.runs.run_folder import WAITING, Run, create_run, runs_folder
from catdog.runs.visitors import forget, is_token, new_token, owner_with, sweep
from catdog.settings import TrainConfig

HOUR = 3600.0


@pytest.fixture(autouse=True)
def public(place, monkeypatch):
    """The app is open to the public, and what visitors leave is kept for two hours."""
    monkeypatch.setenv("CATDOG_PUBLIC", "1")
    monkeypatch.setenv("CATDOG_PUBLIC_HOURS", "2")


def leave(owner: str, hours_ago: float, state: str = "done") -> list[Path]:
    """A run, a trial and an upload of a visitor who was here last so long ago."""
    run = create_run(TrainConfig(), owner=owner)
    trial = trials.create_trial(TrainConfig(), "rates", owner)
    for each in (run, trial):
        each.set_state(state, WAITING if state == "queued" else "")
    photos = uploads_folder(owner) / "abc-mine"
    photos.mkdir(parents=True)
    (photos / "cat.jpg").write_bytes(b"x")
    note_visit(runs_folder(), owner, stays=True)
    then = time.time() - hours_ago * HOUR
    os.utime(visit_file(runs_folder(), owner), (then, then))
    return [run.folder, trial.folder, photos]


def left(owner: str) -> list[Path]:
    """What is there of a visitor's."""
    return [path for path in [*(job.folder for job in visitors.work_of(owner)), uploads_folder(owner)] if path.exists()]


def test_tokens_are_long_and_no_owner_tells_one():
    tokens = [new_token() for _ in range(100)]
    assert len(set(tokens)) == 100
    assert all(map(is_token, tokens))
    owners = {owner_with(token) for token in tokens}
    assert len(owners) == 100
    assert all(visitors.OWNER.fullmatch(owner) and not is_token(owner) for owner in owners)


@pytest.mark.parametrize(
    "value", [None, "", "short", "x" * 42, "x" * 44, "x" * 42 + "/", "x" * 42 + "é", 7, "../" * 14]
)
def test_what_is_no_token_is_not_taken_for_one(value):
    assert not is_token(value)


def test_what_is_older_than_is_kept_goes_and_all_else_stays(place):
    gone, here = owner_with(new_token()), owner_with(new_token())
    old, new = leave(gone, 2.1), leave(here, 1.9)
    free = create_run(TrainConfig()).folder
    shared = uploads_folder().parent / "drawings"
    shared.mkdir()
    private = uploads_folder() / "a1b2c3-private"
    private.mkdir()
    told = []
    sweep(told.append)
    assert told == [gone]
    assert not any(path.exists() for path in [*old, uploads_folder(gone), visit_file(runs_folder(), gone)])
    assert all(path.exists() for path in [*new, free, shared, private, visit_file(runs_folder(), here)])
    assert visitors.known_owners() == [here]


def test_what_is_at_work_goes_only_once_it_has_ended(place):
    owner = owner_with(new_token())
    paths = leave(owner, 50.0, "queued")
    sweep()
    assert all(path.exists() for path in paths)
    for path in paths[:2]:
        Run(path).set_state("stopped")
    sweep()
    assert left(owner) == []


def test_what_nobody_is_known_to_have_left_goes(place):
    """As where the process ended between two removals."""
    owner = owner_with(new_token())
    leave(owner, 0.0)
    visit_file(runs_folder(), owner).unlink()
    sweep()
    assert left(owner) == []


def test_no_link_is_followed(place, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "kept.jpg").write_bytes(b"x")
    owner = owner_with(new_token())
    run, _, photos = leave(owner, 9.0)
    (run / "link").symlink_to(outside, target_is_directory=True)
    (photos / "link").symlink_to(outside, target_is_directory=True)
    # Another's folder, as if it were a run, and a folder of uploads that is a link.
    foreign = outside / "run"
    create_run(TrainConfig(), foreign, owner)
    (runs_folder() / "20000101-000000-000000").symlink_to(foreign, target_is_directory=True)
    uploads_folder("d" * 32).symlink_to(outside, target_is_directory=True)
    (runs_folder() / f"{REMOVED}link").symlink_to(outside, target_is_directory=True)
    sweep()
    assert not run.exists()
    assert not photos.exists()
    assert (outside / "kept.jpg").exists()
    assert (foreign / "config.json").exists()


def test_removals_that_were_interrupted_are_ended(place):
    owner = owner_with(new_token())
    leave(owner, 0.0)
    remains = [parent / f"{REMOVED}1234-x" for parent in (runs_folder(), trials.trials_folder(), uploads_folder())]
    for folder in remains:
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x")
    sweep()
    assert not any(folder.exists() for folder in remains)
    assert len(left(owner)) == 3


def test_classifiers_that_were_added_before_go_too(place):
    old, new = models_folder() / "old", models_folder() / "new"
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (1000, 1000))
    sweep()
    assert [old.exists(), new.exists()] == [False, True]


def test_one_server_at_a_time_sweeps_and_several_do_no_harm(place):
    owner = owner_with(new_token())
    leave(owner, 9.0)
    with FileLock(runs_folder() / VISITORS_FOLDER / ".sweep"):
        sweep()
        assert len(left(owner)) == 3
    others = [owner_with(new_token()) for _ in range(5)]
    for each in others:
        leave(each, 9.0)
    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [left(each) for each in [owner, *others]] == [[]] * 6


def test_of_two_that_remove_a_folder_one_does(tmp_path):
    (tmp_path / "folder").mkdir()
    remove_folder(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        remove_folder(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_nothing_a_sweep_does_nothing(place):
    sweep()
    assert visitors.known_owners() == []


def test_a_visitor_removes_everything_of_theirs_and_nothing_else(place):
    mine, other = owner_with(new_token()), owner_with(new_token())
    leave(mine, 0.0)
    paths = leave(other, 0.0)
    forget(mine)
    assert left(mine) == []
    assert all(path.exists() for path in paths)
    assert visitors.known_owners() == [other]


def test_what_is_at_work_is_asked_to_stop_and_goes_with_the_next_sweep(place):
    owner = owner_with(new_token())
    run, trial, photos = leave(owner, 0.0, "running")
    forget(owner)
    assert not photos.exists()
    assert [(path / "stop").exists() for path in (run, trial)] == [True, True]
    assert jobs.list_jobs(owner)
    for path in (run, trial):
        Run(path).set_state("stopped")
    sweep()
    assert left(owner) == []
    assert visitors.known_owners() == []
