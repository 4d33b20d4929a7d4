"""The command `app` in a process of its own, started in a folder that is another Streamlit project's."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from helpers.places import REPOSITORY

# What of another project would show, or move the pages elsewhere, or be refused in public mode.
FOREIGN_CONFIG = """
[theme]
base = "dark"
primaryColor = "#ff00ff"
font = "monospace"
[theme.light]
primaryColor = "#ff0000"
[server]
port = 9
baseUrlPath = "elsewhere"
enableStaticServing = true
"""
WAITING_SECONDS = 120


@dataclass
class Started:
    """A process and the lines that it has printed so far, on both streams."""

    process: subprocess.Popen
    lines: list[str] = field(default_factory=list)

    def end(self, number: int) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(WAITING_SECONDS)


def make_foreign(folder: Path) -> Path:
    """Make a folder that holds another project's settings, secrets, and modules named like Python's own."""
    (folder / ".streamlit").mkdir(parents=True)
    (folder / ".streamlit/config.toml").write_text(FOREIGN_CONFIG)
    (folder / ".streamlit/secrets.toml").write_text('CATDOG_PUBLIC = "1"\n')
    (folder / "random.py").write_text("raise SystemExit('This is not the random that was meant.')\n")
    return folder


@contextmanager
def started_app(folder: Path, *flags: str, wait: bool = True, **environment: str) -> Iterator[Started]:
    """Start the app in a folder, and wait until it has said where it is."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "catdog", "app", *flags],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "CATDOG_CACHE": str(folder / "cache"), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    started, said = Started(process), threading.Event()

    def read() -> None:
        for line in process.stdout:
            started.lines.append(line.rstrip("\n"))
            if line.startswith("Ctrl-C"):
                said.set()
        said.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        if wait:
            assert said.wait(WAITING_SECONDS)
            assert process.poll() is None, started.lines
        yield started
    finally:
        process.terminate()
        process.wait(WAITING_SECONDS)
        reader.join(WAITING_SECONDS)
        process.stdout.close()
