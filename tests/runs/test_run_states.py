"""What a run's state is taken for, and which runs are taken up again."""

import json
import os
import socket
import time

import pytest
from helpers.made_runs import CONFIG, DAMAGED, LOST, dead_pid, everything_in, run, write_status

from catdog.errors import Refused
from catdog.runs.events import read_events
from catdog.runs.run_folder import read_status, reopen_run

__all__ = ["run"]


@pytest.mark.parametrize("state", ["queued", "running", "done", "stopped", "failed"])
def test_a_state_is_read_as_it_was_written(state, tmp_path):
    write_status(tmp_path, state=state, message="So it is.")
    assert read_status(tmp_path)["state"] == state
    assert read_status(tmp_path)["message"] == "So it is."


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_is_lost_whose_process_is_gone_or_silent(state, tmp_path):
    dead = dead_pid()
    for changes in (
        {"pid": dead},
        {"pid": 0},
        {"updated": time.time() - 61},
        {"updated": time.time() + 3600},
        {"host": "elsewhere", "updated": time.time() - 61},
    ):
        write_status(tmp_path, state=state, **changes)
        status = read_status(tmp_path)
        assert (status["state"], status["message"]) == ("lost", LOST), changes


def test_a_run_elsewhere_is_judged_by_its_heartbeat_alone(tmp_path):
    write_status(tmp_path, host="elsewhere", pid=dead_pid())
    assert read_status(tmp_path)["state"] == "running"


@pytest.mark.parametrize("state", ["done", "stopped", "failed"])
def test_what_has_ended_is_not_lost(state, tmp_path):
    write_status(tmp_path, state=state, pid=dead_pid(), updated=0)
    assert read_status(tmp_path)["state"] == state


@pytest.mark.parametrize(
    "content",
    [
        *(None, b"", b"{", b"[]", b"null", b'"running"', b"\xff", b"[" * 99_999, b"{}"),
        *(b'{"state": 3}', b'{"state": []}', b'{"state": "dancing"}', b'{"state": null, "message": "hello"}'),
    ],
)
def test_a_missing_or_damaged_state_is_lost(content, tmp_path):
    if content is not None:
        (tmp_path / "status.json").write_bytes(content)
    status = read_status(tmp_path)
    assert (status["state"], status["message"]) == ("lost", DAMAGED)
    assert {name: type(value) for name, value in status.items()} == {
        "state": str,
        "pid": int,
        "host": str,
        "started": float,
        "updated": float,
        "message": str,
    }


@pytest.mark.parametrize("name", ["pid", "updated", "started", "host", "message"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "1e999", "1" + "0" * 400, "4000000000", "true", "[]", "{}"])
def test_a_wrongly_typed_state_is_read_without_an_error(name, value, tmp_path):
    status = {"pid": f"{os.getpid()}", "updated": f"{time.time()}", "started": "1", "host": '"here"', "message": '"x"'}
    status["host"] = json.dumps(socket.gethostname())
    status[name] = value
    members = ", ".join(f'"{key}": {text}' for key, text in {"state": '"running"', **status}.items())
    (tmp_path / "status.json").write_text(f"{{{members}}}")
    read = read_status(tmp_path)
    assert read["state"] == ("lost" if name in ("pid", "updated") else "running")
    assert all(isinstance(read[key], str) for key in ("state", "host", "message"))
    assert all(type(read[key]) in (int, float) and read[key] >= 0 for key in ("pid", "started", "updated"))


# Resuming


@pytest.mark.parametrize("state", ["stopped", "failed", "lost", "missing"])
def test_a_run_that_ended_early_is_reopened(state, run):
    run.event("phase", phase="photos")
    (run.folder / "stop").touch()
    if state == "missing":
        (run.folder / "status.json").unlink()
    else:
        write_status(run.folder, state="running" if state == "lost" else state, updated=0)
    reopened, config = reopen_run(str(run.folder))
    assert config == CONFIG
    assert not reopened.stop_requested()
    assert read_status(run.folder)["state"] == "queued"
    reopened.event("phase", phase="head")
    assert [event["phase"] for event in read_events(run.folder)[0]] == ["photos", "head"]


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("running", "The run in {} is running already."),
        ("queued", "The run in {} is queued already."),
        ("done", "The run in {} is done: there is nothing to resume."),
    ],
)
def test_a_run_that_works_or_is_done_is_not_reopened(state, sentence, run):
    write_status(run.folder, state=state)
    (run.folder / "stop").touch()
    before = everything_in(run.folder)
    with pytest.raises(Refused) as raised:
        reopen_run(run.folder)
    assert str(raised.value) == sentence.format(run.folder)
    assert everything_in(run.folder) == before


def test_where_there_is_no_run_none_is_reopened(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(Refused) as raised:
            reopen_run(folder)
        assert str(raised.value) == f"There is no run in {folder} to resume: leave out --resume to start one."
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(Refused, match=r"config\.json is missing or damaged: start a new run\.$"):
        reopen_run(tmp_path)
    assert everything_in(tmp_path) == {"config.json": b"{"}


def test_a_run_that_cannot_be_written_is_not_reopened(run):
    write_status(run.folder, state="stopped")
    (run.folder / "stop").mkdir()
    with pytest.raises(Refused, match=r"^The run in .* can't be continued \(.+\)\.$"):
        reopen_run(run.folder)


def test_a_line_that_a_killed_process_left_half_does_not_swallow_the_next_event(run):
    run.event("phase", phase="photos")
    with (run.folder / "events.jsonl").open("ab") as file:
        file.write(b'{"event": "step", "ti')
    write_status(run.folder, state="stopped")
    reopened, _ = reopen_run(run.folder)
    reopened.event("phase", phase="head")
    assert [event["phase"] for event in read_events(run.folder)[0]] == ["photos", "head"]


# Stopping
