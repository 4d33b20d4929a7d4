"""A classifier's file from elsewhere, opened for the first time in a process of its own that may spend little.

`look_through` and `try_model` start such a process (`catdog.classifier.trial_process`) and judge what came of it. Even
to look into an HDF5 file takes one: there are damaged files whose reading never ends.

The processes are limited in time, memory and the size of what they write, where the system knows such limits; their
own files go into a folder that goes with them, and of the environment they get what they need. They still run as the
same user, who can read files and reach the network: `load_model` is no sandbox, and neither is this. What keeps code
out is that `model_files` lets through nothing but plain layers of Keras.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catdog.errors import Failed, Refused
from catdog.files.json_files import found_in
from catdog.places import search_path
from catdog.settings import SETTINGS


@dataclass(frozen=True)
class Allowance:
    """What a process may spend."""

    seconds: int  # by the clock
    processor_seconds: int
    memory_bytes: int  # of what RLIMIT_DATA counts: private memory that can be written


# Measured with a classifier on ResNet-50, a file of 95 MB, on two free cores. To look it through took 0.6 seconds and
# 0.2 GB; to open it 7 seconds by the clock and of a processor, and 0.8 GB; with 8 open files. A file may be three
# times as large, and a machine slow or busy.
ALLOWANCES = {"look": Allowance(60, 10, 1_000_000_000), "open": Allowance(120, 60, 2_000_000_000)}
ANSWER_BYTES = 1_000_000
MOST_CLASSES = 1_000
LONGEST_NAME = 100
# What a process gets to know of its environment: where programs and libraries are.
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL", "VIRTUAL_ENV")

# Started as a program of its own; it alone loads what the file holds.
TRIAL_PROCESS = "catdog.classifier.trial_process"

one_at_a_time = threading.Lock()


def look_through(path: Path) -> dict[str, Any]:
    """What the classifier in a `.keras` or `.h5` file would cost: its `parameters`.

    Raises `Refused` unless it looks like one that this program could have written; `Failed` where no process can be
    started. Takes half a second, and no TensorFlow.
    """
    return run_trial("look", path)


def try_model(path: Path) -> dict[str, Any]:
    """What the classifier in a `.keras` or `.h5` file is: class names, image size, parameters, accuracy or None.

    Raises `Refused` where it is none, or can't be opened with what a classifier may spend; `Failed` where no process
    can be started. Takes some ten seconds; whoever comes second waits.
    """
    with one_at_a_time:
        answer = {**look_through(path), **run_trial("open", path)}
    return checked_answer(answer, path)


def run_trial(task: str, path: Path) -> dict[str, Any]:
    """What the process that does a task with a file printed; raises `Refused` with what is wrong, or `Failed`."""
    allowance = ALLOWANCES[task]
    with tempfile.TemporaryDirectory(prefix="catdog-trial-", ignore_cleanup_errors=True) as folder:
        output = Path(folder) / "answer.json"
        try:
            with output.open("wb") as file:
                process = start(task, path.absolute(), Path(folder), file.fileno())
        except OSError as error:
            raise Failed(f"The process that opens a classifier could not be started ({error.strerror}).") from None
        try:
            code = process.wait(allowance.seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end(process)
        answer = read_answer(output)
    refusal = found_in(answer, "refused", kind=str)
    if refusal is not None:
        raise Refused(refusal.replace(str(path.absolute()), str(path)))
    if code != 0 or not answer:
        raise Refused(
            f"{path} took more than {allowance.processor_seconds} seconds of computing, {allowance.seconds} seconds by "
            f"the clock, or {allowance.memory_bytes / 1e9:.0f} GB of memory to open, and a classifier of this program "
            "takes less: choose another file."
        )
    return answer


def start(task: str, path: Path, folder: Path, output: int) -> subprocess.Popen:
    """Start the process that does a task with a file, with a folder for what it writes; raises `OSError`."""
    passed = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    homes = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "KERAS_HOME"), str(folder))
    python = {"PYTHONPATH": search_path(), "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.Popen(
        [sys.executable, "-m", TRIAL_PROCESS, task, str(path)],
        cwd=folder,
        env={**passed, **homes, **python},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end(process: subprocess.Popen) -> None:
    """End a process, and whatever it has started itself."""
    if hasattr(os, "killpg"):  # not on Windows
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def read_answer(output: Path) -> dict[str, Any]:
    """The JSON object that a process printed; empty where it printed something else."""
    try:
        with output.open("rb") as file:
            answer = json.loads(file.read(ANSWER_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def checked_answer(answer: dict[str, Any], path: Path) -> dict[str, Any]:
    """A description with the values that it must have; raises `Refused` where the process said something else."""
    names = found_in(answer, "class_names", kind=list) or []
    well_named = all(isinstance(name, str) and name.isprintable() and 0 < len(name) <= LONGEST_NAME for name in names)
    if not well_named or not 2 <= len(names) <= MOST_CLASSES:
        raise Refused(
            f"{path} has class names that can't be shown: train with 2 to {MOST_CLASSES:,} classes "
            f"whose names have at most {LONGEST_NAME} characters."
        )
    size, accuracy = found_in(answer, "image_size", kind=int), found_in(answer, "accuracy", kind=(int, float))
    bounds = SETTINGS["image_size"].metadata
    if size is None or not bounds["low"] <= size <= bounds["high"]:
        raise Refused(f"{path} takes photos of an unknown size: choose a file that this program wrote.")
    return {
        "class_names": names,
        "image_size": size,
        "parameters": found_in(answer, "parameters", kind=int),
        "accuracy": accuracy if accuracy is not None and 0 <= accuracy <= 1 else None,
    }
