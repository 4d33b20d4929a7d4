"""A run's folder: made, described, written to, and how its work ends."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.made_runs import CONFIG, NOT_UNICODE, everything_in, heartbeat_of, run

from catdog import __version__
from catdog.errors import Failed, Refused, Stopped
from catdog.runs import run_folder
from catdog.runs.events import read_events
from catdog.runs.run_folder import create_run, new_run_folder, read_config, read_status, runs_folder

__all__ = ["run"]


# Creating


@pytest.mark.parametrize("prepare", ["absent", "deep", "empty"])
def test_a_run_is_created_in_an_absent_or_empty_folder(prepare, tmp_path):
    folder = tmp_path / ("a/b/c" if prepare == "deep" else "run")
    if prepare == "empty":
        folder.mkdir()
    run = create_run(CONFIG, str(folder))
    assert run.folder == folder
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "status.json"]
    status = read_status(folder)
    assert (status["state"], status["pid"], status["message"]) == ("queued", os.getpid(), "")
    assert status == run.status
    content = json.loads((folder / "config.json").read_text())
    assert content["format"] == 1
    assert content["settings"] == CONFIG.as_dict()
    assert {*content["versions"]} == {"catdog", "tensorflow", "keras", "numpy", "pillow", "pillow-heif"}
    assert content["versions"]["catdog"] == __version__
    assert read_config(folder) == CONFIG


@pytest.mark.parametrize("content", ["config.json", ".hidden", "folder/"])
def test_a_folder_that_holds_something_is_refused_and_stays_as_it_is(content, tmp_path):
    path = tmp_path / "run" / content
    path.parent.mkdir()
    path.mkdir() if content.endswith("/") else path.write_text("mine")
    before = everything_in(tmp_path)
    with pytest.raises(Refused) as raised:
        create_run(CONFIG, tmp_path / "run")
    assert str(raised.value) == (
        f"The folder {tmp_path / 'run'} is not empty: name another, or continue its run with --resume."
    )
    assert everything_in(tmp_path) == before


def test_a_file_in_the_way_is_refused_and_stays_as_it_is(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder, reason in {
        "file": "File exists",
        "file/run": "Not a directory",
        "x" * 300: "File name too long",
    }.items():
        with pytest.raises(Refused) as raised:
            create_run(CONFIG, tmp_path / folder)
        assert str(raised.value) == f"The folder {tmp_path / folder} can't be used for a run ({reason}): name another."
    assert everything_in(tmp_path) == {"file": b"mine"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("name", ["", "run"])
def test_an_unwritable_folder_is_refused(name, tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(Refused, match=r"can't be used for a run \(Permission denied\): name another\.$"):
        create_run(CONFIG, tmp_path / name)
    tmp_path.chmod(0o755)
    assert everything_in(tmp_path) == {}


def test_new_folders_sort_by_time_also_within_a_second(tmp_path, monkeypatch):
    monkeypatch.delenv("CATDOG_RUNS", raising=False)
    assert runs_folder() == Path("runs")
    monkeypatch.setenv("CATDOG_RUNS", str(tmp_path))
    moments = [0, 999_999_999_000, 1_700_000_000_000_001_000, 1_700_000_000_000_020_000, 1_700_000_000_900_000_000]
    moments += [1_700_000_001_000_000_000, 1_799_999_999_000_000_000]
    times = iter(moments)
    monkeypatch.setattr(run_folder.time, "time_ns", lambda: next(times))
    folders = [new_run_folder() for _ in moments]
    assert folders == sorted(set(folders))
    assert folders[3] == tmp_path / "20231114-221320-000020"


def test_without_a_folder_a_run_goes_where_runs_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_RUNS", str(tmp_path / "kept"))
    first, second = create_run(CONFIG), create_run(CONFIG)
    assert first.folder.parent == tmp_path / "kept"
    assert sorted((tmp_path / "kept").iterdir()) == [first.folder, second.folder]


# Settings and state


def test_the_settings_are_completed_with_what_was_found(run):
    run.write_config(CONFIG, class_names=["cats", NOT_UNICODE])
    assert read_config(run.folder) == CONFIG
    assert run_folder.read_json(run.folder / "config.json")["class_names"] == ["cats", NOT_UNICODE]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"settings": null}',
        '{"settings": {"colour": 1}}',
        '{"settings": {"seed": -1}}',
        "[" * 9999,
    ],
)
def test_damaged_settings_are_refused(content, run):
    (run.folder / "config.json").write_text(content)
    with pytest.raises(Refused) as raised:
        read_config(run.folder)
    assert str(raised.value) == f"{run.folder / 'config.json'} is missing or damaged: start a new run."


def test_the_state_is_written_beside_and_put_in_place_whole(run, monkeypatch):
    seen = []
    replace = Path.replace

    def watched(draft: Path, target: Path) -> Path:
        seen.append((draft.parent, json.loads(draft.read_text())["state"], json.loads(target.read_text())["state"]))
        return replace(draft, target)

    monkeypatch.setattr(Path, "replace", watched)
    run.set_state("running", "Grüße")
    assert seen == [(run.folder, "running", "queued")]
    assert sorted(path.name for path in run.folder.iterdir()) == ["config.json", "status.json"]
    assert json.loads((run.folder / "status.json").read_text(encoding="utf-8"))["message"] == "Grüße"


def test_a_state_that_cannot_be_written_leaves_the_one_before_and_no_draft(run, monkeypatch):
    before = everything_in(run.folder)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        run.set_state("running")
    assert everything_in(run.folder) == before


def test_a_state_keeps_when_the_run_started(run):
    started = run.status["started"]
    for state in ("queued", "running", "done"):
        run.set_state(state)
        status = read_status(run.folder)
        assert (status["state"], status["started"]) == (state, started)
        assert status["updated"] >= started


# Events


def test_events_are_appended_told_and_read_back_bit_by_bit(run):
    told = []
    run.listen = told.append
    assert read_events(run.folder) == ([], 0)
    run.event("phase", phase="photos")
    first, offset = read_events(run.folder)
    assert first == told == [{"event": "phase", "time": first[0]["time"], "phase": "photos"}]
    assert first[0]["time"] == pytest.approx(time.time(), abs=60)
    assert read_events(run.folder, offset) == ([], offset)
    run.event("note", message=f"Zwei\nZeilen\u2028und {NOT_UNICODE}")
    run.event("error", message="ende")
    rest, end = read_events(run.folder, offset)
    assert rest == told[1:]
    assert [event["event"] for event in rest] == ["note", "error"]
    assert end == (run.folder / "events.jsonl").stat().st_size
    assert read_events(run.folder) == (told, end)


def test_an_event_is_on_disk_before_it_is_told(run):
    run.listen = lambda event: found.append(read_events(run.folder)[0] == [event])
    found = []
    run.event("phase", phase="photos")
    assert found == [True]


def test_a_half_written_line_is_read_when_it_is_whole(run):
    run.event("phase", phase="photos")
    whole, offset = read_events(run.folder)
    with (run.folder / "events.jsonl").open("ab") as file:
        line = '{"event": "note", "time": 1, "message": "Grüße"}\n'.encode()
        for byte in line[:-1]:
            file.write(bytes([byte]))
            file.flush()
            assert read_events(run.folder) == (whole, offset)
        file.write(line[-1:])
    assert read_events(run.folder, offset) == ([json.loads(line)], offset + len(line))


def test_damaged_lines_are_passed_over(run):
    run.event("phase", phase="photos")
    with (run.folder / "events.jsonl").open("ab") as file:
        file.write(
            b'\n{"event": "no\n[1]\n7\nnull\n\xff\xfe\n{"time": 1}\n{"event": []}\n{"event": null}\n\0\0\0\n'
            + b"[" * 99_999
            + b"\n"
        )
    run.event("phase", phase="head")
    events, offset = read_events(run.folder)
    assert [event["phase"] for event in events] == ["photos", "head"]
    assert offset == (run.folder / "events.jsonl").stat().st_size


def test_threads_do_not_mix_their_lines(run):
    def write(name: str) -> None:
        for number in range(50):
            run.event("note", message=name * 500, number=number)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events, _ = read_events(run.folder)
    assert sorted((event["message"][0], event["number"]) for event in events) == [
        (name, number) for name in "abcd" for number in range(50)
    ]


def test_frequent_events_grow_with_time_and_the_last_is_never_dropped(run, monkeypatch):
    now, events = 1000.0, []
    run.listen = events.append
    monkeypatch.setattr(run_folder.time, "monotonic", lambda: now)
    for step in range(1, 101):
        run.frequent_event("step", last=step in (7, 100), step=step)
        run.frequent_event("progress", last=False, done=step)
        now += 0.01
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert steps[0] == 1
    assert {7, 100} <= {*steps}
    assert 18 <= len(steps) <= 23
    assert [event["done"] for event in events if event["event"] == "progress"] in ([1, 26, 51, 76], [1, 27, 53, 79])


# Working


def test_work_beats_while_it_runs_and_leaves_the_last_state(run, monkeypatch):
    monkeypatch.setattr(run_folder, "HEARTBEAT_SECONDS", 0.005)
    threads = threading.active_count()
    with run.working():
        assert read_status(run.folder)["state"] == "running"
        heartbeat_of(run)
        run.set_state("done", "All is well.")
        heartbeat_of(run)
    status = (run.folder / "status.json").read_bytes()
    assert threading.active_count() == threads
    assert (run.folder / "status.json").read_bytes() == status
    assert (read_status(run.folder)["state"], read_status(run.folder)["message"]) == ("done", "All is well.")
    assert not (run.folder / "log.txt").exists()


def test_the_heart_goes_on_after_a_beat_that_could_not_be_written(run, monkeypatch):
    monkeypatch.setattr(run_folder, "HEARTBEAT_SECONDS", 0.005)
    write, full = run_folder.write_json, threading.Event()

    def write_json(path: Path, content: dict) -> None:
        if threading.current_thread() is not threading.main_thread() and not full.is_set():
            full.set()
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(run_folder, "write_json", write_json)
    with run.working():
        assert full.wait(timeout=30)
        heartbeat_of(run)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Stopped("Stopped before the first epoch ended."), "stopped"),
        (Failed("The download broke off."), "failed"),
        (Refused("The photos have changed."), "failed"),
    ],
)
def test_what_was_foreseen_ends_with_its_own_sentence(error, state, run):
    with pytest.raises(type(error)) as raised, run.working():
        raise error
    assert raised.value is error
    status = read_status(run.folder)
    assert (status["state"], status["message"]) == (state, str(error))
    errors = [event["message"] for event in read_events(run.folder)[0]]
    assert errors == ([str(error)] if state == "failed" else [])
    assert not (run.folder / "log.txt").exists()


def test_what_was_not_foreseen_leaves_its_traceback_and_fails_with_a_sentence(run):
    error = ZeroDivisionError(f"a secret of {NOT_UNICODE}")
    with pytest.raises(Failed) as raised, run.working():
        raise error
    sentence = (
        f"It failed in a way that was not foreseen (ZeroDivisionError); {run.folder / 'log.txt'} has the details."
    )
    assert str(raised.value) == sentence
    assert raised.value.__cause__ is error
    log = (run.folder / "log.txt").read_text()
    assert log.startswith("Traceback (most recent call last):")
    assert "ZeroDivisionError: a secret of cats/b" in log
    status = read_status(run.folder)
    assert (status["state"], status["message"]) == ("failed", sentence)
    assert [event["message"] for event in read_events(run.folder)[0]] == [sentence]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            MemoryError(),
            "There was not enough memory: choose a smaller batch size or image size, or freeze more stages.",
        ),
        (
            OSError(28, "No space left on device", "runs/1/x.keras"),
            "There was no room left to write runs/1/x.keras (No space left on device): "
            "make some, and then resume the run.",
        ),
        (
            OSError(28, "No space left on device"),
            "There was no room left to write {} (No space left on device): make some, and then resume the run.",
        ),
        (
            OSError(13, "Permission denied", "runs/1/x.keras"),
            "A file could not be written or read (Permission denied: runs/1/x.keras).",
        ),
        (OSError(13, "Permission denied"), "A file could not be written or read (Permission denied: {})."),
    ],
)
def test_common_mishaps_are_told_in_plain_words(error, sentence, run):
    with pytest.raises(Failed) as raised, run.working():
        raise error
    assert str(raised.value) == sentence.format(run.folder)


def test_an_interrupt_stops_at_once(run):
    with pytest.raises(KeyboardInterrupt), run.working():
        raise KeyboardInterrupt
    status = read_status(run.folder)
    assert status["state"] == "stopped"
    assert status["message"] == "Stopped at once; it can be resumed from its last whole epoch."


def test_a_full_disk_and_a_broken_listener_do_not_hide_why_a_run_failed(run, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device", "status.json")

    run.listen = fail
    with pytest.raises(Failed, match=r"^The download broke off\.$"), run.working():
        raise Failed("The download broke off.")
    assert read_status(run.folder)["state"] == "failed"

    @contextmanager
    def full_disk():
        monkeypatch.setattr(Path, "open", fail)
        monkeypatch.setattr(run_folder, "write_json", fail)
        yield

    sentence = r"^There was no room left to write x \(No space left on device\): make some, and then resume the run\.$"
    with pytest.raises(Failed, match=sentence), run.working(), full_disk():
        raise OSError(28, "No space left on device", "x")


# Reading a state


def test_what_the_pages_stand_on_is_light():
    code = (
        "import sys, catdog.photos.reading, catdog.photos.photo_sets, catdog.settings, catdog.runs.run_folder\n"
        "print(sorted({'tensorflow', 'keras', 'streamlit', 'pandas', 'scipy', 'matplotlib'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
