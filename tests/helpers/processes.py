"""Python in a process of its own, and what it printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

from helpers.places import REPOSITORY


def run_python(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run Python in a process of its own, with the package in reach and no network."""
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


def one_json_object(text: str) -> dict:
    """The one object that a command printed; fails if there is anything else."""
    assert text.count("\n") == 1
    return json.loads(text)
