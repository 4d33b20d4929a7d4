"""The process in which a classifier's file from elsewhere is opened for the first time, with little to spend.

`python -m catdog.classifier.trial_process look FILE` looks the file through; `... open FILE` loads it, asks it about
one black photo, and tells what it is. Each prints one JSON object, which `catdog.inspection.model_trial` judges.
"""

import json
import math
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from catdog.errors import CatdogError, Refused
from catdog.files.json_files import found_in
from catdog.inspection.model_files import MAX_BYTES, check_model_file
from catdog.inspection.model_trial import ALLOWANCES, Allowance

MOST_FILES = 128  # open at a time
PROCESSORS = 2  # more would take more memory: each thread of TensorFlow has a stack of 8 MB


def limit_process(allowance: Allowance) -> None:
    """Let this process be ended, or refused more, before it spends more than it may."""
    with suppress(AttributeError):  # not on Windows
        signal.alarm(allowance.seconds)
    with suppress(AttributeError):  # on Linux alone
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:PROCESSORS])
    try:
        import resource
    except ImportError:  # on Windows only the time is limited, by who started this
        return
    # Not RLIMIT_AS: TensorFlow reserves many times what it uses. macOS knows the others, and ignores RLIMIT_DATA.
    limits = {
        resource.RLIMIT_DATA: allowance.memory_bytes,
        resource.RLIMIT_CPU: allowance.processor_seconds,
        resource.RLIMIT_FSIZE: MAX_BYTES,  # Keras unpacks an archive to look for what a classifier doesn't have
        resource.RLIMIT_NOFILE: MOST_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def open_model(path: Path) -> dict[str, Any]:
    """A classifier's description after it was loaded and asked about a black photo; raises `Refused`."""
    import numpy as np

    # Only now, since to look a file through takes no TensorFlow.
    from catdog.classifier.loading import load_file

    classifier = load_file(path)
    size = classifier.image_size
    (row,) = classifier.probabilities(np.zeros((1, size, size, 3), np.uint8)).tolist()
    if not all(0 <= number <= 1 for number in row) or not math.isclose(sum(row), 1, abs_tol=1e-3):
        raise Refused(f"{path} gives numbers for a black photo that are no probabilities: choose another file.")
    return {
        "class_names": list(classifier.class_names),
        "image_size": size,
        "accuracy": found_in(classifier.info, "metrics", "accuracy", kind=(int, float)),
    }


def main(task: str, name: str) -> None:
    """Do a task with the file of that name, with little to spend, and print what it is, or why it is refused."""
    limit_process(ALLOWANCES[task])
    path = Path(name)
    # What libraries print must not get among the answer.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as console:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            answer = open_model(path) if task == "open" else {"parameters": check_model_file(path).parameters}
        except CatdogError as error:
            answer = {"refused": str(error)}
        except Exception as error:  # whatever a network does when it runs for the first time
            answer = {"refused": f"{path} can't be used as a classifier ({type(error).__name__}): choose another file."}
        print(json.dumps(answer), file=console)


if __name__ == "__main__":
    main(*sys.argv[1:])
