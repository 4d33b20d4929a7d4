"""Runs that are asked to stop, and runs that wait in line."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import pytest
from helpers.made_runs import CONFIG, dead_pid, heartbeat_of, run, wait_until, write_status

from catdog.errors import Stopped
from catdog.runs import run_folder
from catdog.runs.run_folder import Run, create_run, read_status, reopen_run

__all__ = ["run"]


def test_a_stop_file_asks_to_stop(run):
    assert not run.stop_requested()
    (run.folder / "stop").touch()
    assert run.stop_requested()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_to_stop_and_the_handlers_come_back(number, run):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with run.stopping_on_signals():
        assert not run.stop_requested()
        os.kill(os.getpid(), number)
        wait_until(run.stop_requested)
        assert not (run.folder / "stop").exists()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    assert run.stop_requested()


def test_the_handlers_come_back_after_an_error(run):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyError), run.stopping_on_signals():
        raise KeyError
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_interrupt_ends_the_work_at_once(first, run):
    seen = []

    def work() -> None:
        for number in (first, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
            wait_until(run.stop_requested)
            seen.append(read_status(run.folder)["state"])
        wait_until(lambda: False)

    with pytest.raises(KeyboardInterrupt), run.stopping_on_signals(), run.working():
        work()
    assert seen[:2] == ["running", "running"]
    assert read_status(run.folder)["state"] == "stopped"


# Waiting in line


@contextmanager
def in_line(run: Run):
    """The run waits for its turn on a thread; gives what it did so far, and ends the thread after."""
    done = []

    def work() -> None:
        try:
            with run.turn():
                done.append("began")
        except Stopped as stop:
            done.append(str(stop))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        (run.folder / "stop").touch()
        thread.join(timeout=30)
        assert not thread.is_alive()


def state_of(run: Run) -> tuple[str, str]:
    """State and message of a run now."""
    status = read_status(run.folder)
    return status["state"], status["message"]


def test_a_second_run_waits_until_the_first_has_ended(run, monkeypatch):
    monkeypatch.setattr(run_folder, "HEARTBEAT_SECONDS", 0.005)
    second = create_run(CONFIG, run.folder.parent / "second")
    with run.turn():
        with in_line(second) as done:
            wait_until(lambda: state_of(second) == ("queued", "Waiting for another run to end."))
            heartbeat_of(second)
            assert done == []
        assert done == ["Stopped while it was waiting for another run."]
        assert state_of(second) == ("stopped", "Stopped while it was waiting for another run.")
    second, _ = reopen_run(second.folder)
    with second.turn():
        assert not second.stop_requested()


def test_a_waiting_run_begins_when_the_one_before_it_ends(run):
    second = create_run(CONFIG, run.folder.parent / "second")
    with ExitStack() as first:
        first.enter_context(run.turn())
        with in_line(second) as done:
            wait_until(lambda: state_of(second)[1] == "Waiting for another run to end.")
            assert done == []
            first.close()
            wait_until(lambda: done)
    assert done == ["began"]


def test_of_those_that_wait_the_first_that_came_begins_first(run):
    # Named against the order in which they came.
    waiting = [create_run(CONFIG, run.folder.parent / name) for name in ("z", "y", "x")]
    begun = []

    def work(each: Run) -> None:
        with each.turn():
            begun.append(each.folder.name)
            each.set_state("running")

    threads = [threading.Thread(target=work, args=(each,)) for each in waiting]
    with run.turn():
        run.set_state("running")
        # They come to the line in yet another order.
        for place in (1, 2, 0):
            threads[place].start()
            wait_until(lambda place=place: state_of(waiting[place])[1] == run_folder.WAITING)
        assert [folder.name for folder in run_folder.waiting_line(run.folder.parent)] == ["z", "y", "x"]
    for thread in threads:
        thread.join(timeout=30)
    assert begun == ["z", "y", "x"]
    assert run_folder.waiting_line(run.folder.parent) == []


@pytest.mark.parametrize(
    "changes", [{"pid": -1}, {"updated": 0.0}, {"message": ""}, {"state": "running"}, {"state": "stopped"}]
)
def test_nobody_waits_behind_a_run_that_does_not_wait(run, changes):
    pid = dead_pid() if "pid" in changes else os.getpid()
    before = {"state": "queued", "message": run_folder.WAITING, "started": 1.0}
    write_status(run.folder.parent / "before", **{**before, **changes, "pid": pid})
    with in_line(run) as done:
        wait_until(lambda: done)
    assert done == ["began"]


def test_runs_of_different_folders_do_not_wait_for_each_other(run, tmp_path):
    other = create_run(CONFIG, tmp_path / "elsewhere" / "run")
    with run.turn(), in_line(other) as done:
        wait_until(lambda: done)
    assert done == ["began"]


def test_a_run_begins_when_the_process_before_it_is_killed(run):
    code = (
        "import sys, time; from pathlib import Path; from catdog.runs.run_folder import Run\n"
        "with Run(Path(sys.argv[1])).turn(): print('began', flush=True); time.sleep(600)"
    )
    folder = run.folder.parent / "second"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"began\n"
        with in_line(run) as done:
            wait_until(lambda: state_of(run)[1] == "Waiting for another run to end.")
            process.kill()
            wait_until(lambda: done)
        assert done == ["began"]
