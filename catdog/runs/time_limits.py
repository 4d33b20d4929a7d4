"""How long a visitor's run may take: it is held to that in its own process, whatever the page that started it does."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from catdog.figures import duration
from catdog.public_mode import limits
from catdog.runs.run_folder import Run

# What a run that doesn't heed the end of its time is given to write down what it has.
GRACE_SECONDS = 120.0


@contextmanager
def in_time(run: Run) -> Iterator[None]:
    """Let a run take its time and no more: then it stops as when it is asked to, and keeps its best epoch.

    A process that doesn't do so either ends at once, and says so in the run's folder.
    """
    allowed = limits().seconds
    words = f"It may take {duration(allowed)} where the app is open to the public, and has taken that."

    def stop() -> None:
        run.event("note", message=words)
        run.asked_to_stop.set()

    def end() -> None:
        run.event("error", message=words)
        run.set_state("failed", words)
        # Nothing else ends native code that doesn't return.
        os._exit(1)

    timers = [threading.Timer(allowed, stop), threading.Timer(allowed + GRACE_SECONDS, end)]
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
