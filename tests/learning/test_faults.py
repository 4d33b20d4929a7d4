"""Runs that are killed at any moment and resumed, and runs at once, all end as one that nothing disturbed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.places import REPOSITORY
from helpers.processes import run_python
from helpers.trained_runs import tiny_backbone

from catdog.files.shelves import list_shelves
from catdog.runs.events import read_events
from catdog.runs.run_folder import read_status

pytestmark = pytest.mark.slow

FLAGS = ["--image-size", "32", "--batch-size", "8", "--augment", "mirror"]
FLAGS += ["--head-epochs", "30", "--fine-tune-epochs", "3", "--fine-tune-learning-rate", "0.0005"]
# Runs of caches of their own each measure whether bfloat16 is faster, and so may choose differently.
FLAGS += ["--bfloat16", "off"]


def start(*arguments: str, cwd: Path, cache: Path) -> subprocess.Popen:
    """Start Python in a process of its own, with a cache of its own."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "CATDOG_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def train_flags(drawings: Path, run: Path) -> list[str]:
    """What trains on the drawings into a run's folder, or resumes the run that is in it."""
    return [
        "train",
        str(drawings),
        "--backbone",
        tiny_backbone(),
        *FLAGS,
        "--out",
        str(run),
        *(["--resume"] if run.exists() else []),
    ]


def ended(process: subprocess.Popen) -> int:
    """A process's exit status, once it has ended."""
    process.communicate(timeout=300)
    return process.returncode


def predictions_of(run: Path) -> bytes:
    """The predictions of a run that is done."""
    assert read_status(run)["state"] == "done"
    return (run / "predictions.csv").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(drawings, tmp_path_factory) -> bytes:
    """The predictions of a run that ran through."""
    folder = tmp_path_factory.mktemp("undisturbed")
    flags = train_flags(drawings, folder / "run")
    done = run_python("-m", "catdog", *flags, cwd=folder, CATDOG_CACHE=str(folder / "cache"))
    assert done.returncode == 0, done.stderr
    return predictions_of(folder / "run")


def is_progress(event: dict) -> bool:
    return event["event"] == "progress" and event["done"] > 0


def is_head_epoch(event: dict) -> bool:
    return event["event"] == "epoch" and event["phase"] == "head"


def is_fine_tune_epoch(event: dict) -> bool:
    return event["event"] == "epoch" and event["phase"] == "fine-tune"


def kill_at(process: subprocess.Popen, run: Path, offset: int, moment: Callable[[dict], bool]) -> None:
    """Kill a process as soon as its run has written such an event behind an offset."""
    while not any(moment(event) for event in read_events(run, offset)[0]):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.kill()
    assert ended(process) == -signal.SIGKILL


def test_killed_in_every_phase_and_resumed_it_ends_the_same(drawings, undisturbed, tmp_path):
    run = tmp_path / "run"
    for moment in (is_progress, is_head_epoch, is_fine_tune_epoch):
        offset = read_events(run)[1]
        process = start("-m", "catdog", *train_flags(drawings, run), cwd=tmp_path, cache=tmp_path / "cache")
        kill_at(process, run, offset, moment)
        assert read_status(run)["state"] == "lost"
    process = start("-m", "catdog", *train_flags(drawings, run), cwd=tmp_path, cache=tmp_path / "cache")
    assert ended(process) == 0
    assert predictions_of(run) == undisturbed
    assert not (run / "checkpoint").exists()


DIE = "os.kill(os.getpid(), signal.SIGKILL)"
# What makes a process kill itself at the worst moments: each is run before the command.
MOMENTS = {
    "in the middle of a row": f"""
def write(self, name, offset, content, write=Shelf.write):
    write(self, name, offset, [b"".join(content)[:-100]])
    {DIE}
Shelf.write = write
""",
    "between rows and records": f"""
def write(self, name, offset, content, write=Shelf.write):
    if name == "index.bin":
        {DIE}
    write(self, name, offset, content)
Shelf.write = write
""",
    "in the middle of a checkpoint": f"""
def write_arrays(path, arrays, write_arrays=training_loop.write_arrays, **notes):
    write_arrays(path, arrays, **notes)
    if path.name == "last.npz" and notes["epochs"] == 3:
        path.with_name(".best.npz").write_bytes(path.read_bytes()[:1000])
        {DIE}
training_loop.write_arrays = write_arrays
""",
    "between the best and the last": f"""
def write_arrays(path, arrays, write_arrays=training_loop.write_arrays, **notes):
    if path.name == "last.npz" and notes["done"].get("fine-tune") == 1:
        {DIE}
    write_arrays(path, arrays, **notes)
training_loop.write_arrays = write_arrays
""",
    "before the result is said": f"""
def event(self, kind, event=Run.event, **fields):
    if kind == "result":
        {DIE}
    event(self, kind, **fields)
Run.event = event
""",
}
COMMAND = """
import os, signal, sys
from catdog.learning import training_loop
from catdog.__main__ import main
from catdog.runs.run_folder import Run
from catdog.files.shelves import Shelf
{moment}
sys.exit(main(sys.argv[1:]))
"""


def test_killed_at_the_worst_moments_and_resumed_it_ends_the_same(drawings, undisturbed, tmp_path):
    run = tmp_path / "run"
    for name, moment in MOMENTS.items():
        code = COMMAND.format(moment=moment)
        process = start("-c", code, *train_flags(drawings, run), cwd=tmp_path, cache=tmp_path / "cache")
        assert ended(process) == -signal.SIGKILL, name
        assert read_status(run)["state"] == "lost"
    process = start("-m", "catdog", *train_flags(drawings, run), cwd=tmp_path, cache=tmp_path / "cache")
    assert ended(process) == 0
    assert predictions_of(run) == undisturbed
    epochs = [(event["phase"], event["epoch"]) for event in read_events(run)[0] if event["event"] == "epoch"]
    assert epochs == [*(("head", epoch) for epoch in range(1, 31)), *(("fine-tune", epoch) for epoch in range(1, 4))]


def test_two_runs_at_once_on_an_empty_cache_both_end_right(drawings, undisturbed, tmp_path):
    runs = [tmp_path / "a", tmp_path / "b"]
    processes = [
        start("-m", "catdog", *train_flags(drawings, run), cwd=tmp_path, cache=tmp_path / "cache") for run in runs
    ]
    assert [ended(process) for process in processes] == [0, 0]
    assert [predictions_of(run) for run in runs] == [undisturbed, undisturbed]
    # Nothing twice: at the boundary and pooled, one view of validation and two of training.
    kept = sum(shelf.photos for shelf in list_shelves(tmp_path / "cache" / "activations"))
    assert kept == 2 * (16 + 2 * 48)
