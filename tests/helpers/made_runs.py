"""A new run to work with, and what a run's folder can be made to say."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from catdog.runs.run_folder import Run, create_run, read_status
from catdog.settings import TrainConfig

CONFIG = TrainConfig(data="my photos", seed=3)
LOST = "Its process ended without a word, as where memory runs out; it can be resumed."
DAMAGED = "Its status.json is missing or damaged."
NOT_UNICODE = os.fsdecode(b"cats/b\xff.jpg")


@pytest.fixture
def run(tmp_path) -> Run:
    """A new run in a folder of its own."""
    return create_run(CONFIG, tmp_path / "runs" / "first")


def wait_until(is_so: Callable[[], object]) -> None:
    """Return once it is so; fail if it does not come to be."""
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, "It did not come to be."
        time.sleep(0.002)


def dead_pid() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write_status(folder: Path, **changes) -> None:
    """The `status.json` of a run that works right now, but for these changes."""
    status = {"state": "running", "pid": os.getpid(), "host": socket.gethostname(), "message": ""}
    status |= {"started": time.time(), "updated": time.time()}
    folder.mkdir(exist_ok=True)
    (folder / "status.json").write_text(json.dumps(status | changes))


def everything_in(folder: Path) -> dict[str, bytes | None]:
    """All paths below a folder, with what the files hold."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def heartbeat_of(run: Run) -> None:
    """Wait until the run's `status.json` has been renewed."""
    before = read_status(run.folder)["updated"]
    wait_until(lambda: read_status(run.folder)["updated"] > before)
