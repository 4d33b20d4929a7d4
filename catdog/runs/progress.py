"""A run's events as progress on a terminal, or as plain lines where it is none."""

import time
from typing import TYPE_CHECKING, Any, TextIO

from catdog.plain_text import one_line, say

if TYPE_CHECKING:
    from rich.progress import TaskID

PHASE_WORDS = {
    "photos": "Looking through the photos",
    "classify": "Classifying the photos",
    "download": "Downloading the ImageNet weights",
    "features": "Running the photos through the frozen network",
    "head": "Training the head",
    "fine-tune": "Fine-tuning",
    "evaluation": "Evaluating",
    "rates": "Trying learning rates",
    "learning-curve": "Training on parts of the photos",
    "estimate": "Measuring a small run",
    "drawings": "Drawing cats and dogs",
    "tutorial": "Downloading the tutorials' photos",
}
# How often plain lines tell of progress inside a phase.
PLAIN_SECONDS = 10.0


def epoch_line(event: dict[str, Any]) -> str:
    """One line of text for an epoch's event."""
    phase = "Head" if event["phase"] == "head" else "Fine-tuning"
    best = ", best so far" if event["best"] else ""
    return (
        f"{phase} epoch {event['epoch']} of {event['epochs']}: "
        f"loss {event['loss']:.4f}, accuracy {event['accuracy']:.1%}; "
        f"validation loss {event['val_loss']:.4f}, accuracy {event['val_accuracy']:.1%}{best}"
    )


class PlainProgress:
    """Writes a line for each phase and epoch, and now and then one in between."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.said = 0.0

    def __call__(self, event: dict[str, Any]) -> None:
        """Tell of an event, if there is something to tell."""
        line = None
        if event["event"] == "phase":
            line = f"{PHASE_WORDS[event['phase']]} ..."
        elif event["event"] == "epoch":
            line = epoch_line(event)
        elif event["event"] == "note":
            line = event["message"]
        elif time.monotonic() - self.said > PLAIN_SECONDS:
            if event["event"] == "progress" and event["per_second"]:
                total = f" of {event['total']:,}" if event["total"] else ""
                line = f"  {event['done']:,}{total}, {event['per_second']:,.0f} a second"
            elif event["event"] == "step":
                line = (
                    f"  epoch {event['epoch']}, step {event['step']:,} of {event['steps']:,}, loss {event['loss']:.4f}"
                )
        if line is not None:
            self.said = time.monotonic()
            say(line, self.stream)

    def close(self) -> None:
        """Nothing is left open."""


class LiveProgress:
    """Shows a bar that moves, with a line above it for each epoch."""

    def __init__(self, stream: TextIO):
        # A fifth of what the commands take to load, and most of them show no bars.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeRemainingColumn(compact=True),
            console=Console(file=stream),
            transient=True,
            # What libraries print on standard error belongs into the log, not between the bars.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.bar: TaskID | None = None
        self.words = ""
        self.bars.start()

    def __call__(self, event: dict[str, Any]) -> None:
        """Move the bar, or write a line above it."""
        kind = event["event"]
        if kind == "phase":
            self.words = PHASE_WORDS[event["phase"]]
            if self.bar is not None:
                self.bars.remove_task(self.bar)
            self.bar = self.bars.add_task(self.words, total=None, count="")
        elif kind in ("epoch", "note"):
            line = epoch_line(event) if kind == "epoch" else event["message"]
            self.bars.console.print(one_line(line), markup=False, highlight=False)
        elif kind == "progress" and self.bar is not None:
            count = f"{event['done']:,} of {event['total']:,}" if event["total"] else f"{event['done']:,}"
            self.bars.update(self.bar, completed=event["done"], total=event["total"], count=count)
        elif kind == "step" and self.bar is not None:
            words = f"{self.words}, epoch {event['epoch']}"
            count = f"step {event['step']:,} of {event['steps']:,}"
            self.bars.update(self.bar, completed=event["step"], total=event["steps"], description=words, count=count)

    def close(self) -> None:
        """Take the bar away and leave the lines."""
        self.bars.stop()


def progress_on(stream: TextIO) -> PlainProgress | LiveProgress:
    """What shows events on this stream: bars on a terminal, plain lines elsewhere."""
    return LiveProgress(stream) if stream.isatty() else PlainProgress(stream)
