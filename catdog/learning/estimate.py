"""Measures a small run, and says what to expect of the whole one."""

import tempfile
import time
from pathlib import Path
from typing import Any

from catdog.errors import Failed
from catdog.files.json_files import write_json
from catdog.learning.expectation import expected, in_words
from catdog.runs.run_folder import Run
from catdog.runs.trials import ANSWER_FILE
from catdog.settings import TrainConfig


def estimate(config: TrainConfig, run: Run) -> dict[str, Any]:
    """Measure a small run of these settings, and write and return what to expect of the whole one.

    Raises `Refused` or `Failed` where training would, and `Stopped`.
    """
    # What this process did before is a part of starting, too; that it waited in line is not.
    began = time.monotonic() - time.process_time()
    with run.working(), tempfile.TemporaryDirectory(prefix="small-run-", dir=run.folder) as folder:
        run.event("phase", phase="estimate")
        # Imported only now, since loading TensorFlow is a part of what is measured.
        from catdog.learning.small_run import measure

        measurement = measure(config, Path(folder), began, run.stop_requested)
        found = expected(measurement, config)
        if found is None:
            raise Failed("What is kept of the photos was cleared while it was counted: try once more.")
        answer = {
            "sentence": in_words(found, measurement["note"]),
            "seconds": round(found.seconds, 1),
            "bytes": found.size_bytes,
            "parts": {name: round(seconds, 1) for name, seconds in found.parts.items()},
            "measurement": measurement,
        }
        write_json(run.folder / ANSWER_FILE, answer)
        run.set_state("done")
    return answer
