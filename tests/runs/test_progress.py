"""What a run's events look like on a terminal and elsewhere."""

import io

import pytest

from catdog.runs.progress import LiveProgress, PlainProgress, progress_on

EPOCH = {
    "event": "epoch",
    "phase": "head",
    "epoch": 2,
    "epochs": 10,
    "loss": 0.25,
    "accuracy": 0.9,
    "val_loss": 0.125,
    "val_accuracy": 0.953,
    "best": True,
}
STEP = {"event": "step", "phase": "head", "epoch": 3, "step": 4, "steps": 63, "loss": 0.5, "accuracy": 0.8}
EVENTS = [
    {"event": "phase", "phase": "features"},
    {"event": "progress", "done": 320, "total": 3000, "per_second": 40.0},
    {"event": "note", "message": "auto took the [starter] backbone."},
    {"event": "phase", "phase": "head"},
    EPOCH,
    STEP,
    {"event": "result", "accuracy": 0.9},
]
EPOCH_LINE = "Head epoch 2 of 10: loss 0.2500, accuracy 90.0%; validation loss 0.1250, accuracy 95.3%, best so far"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def shown(stream) -> str:
    """What all events make on a stream."""
    progress = progress_on(stream)
    for event in EVENTS:
        progress(event)
    progress.close()
    return stream.getvalue()


@pytest.mark.lowest
def test_plain_lines_where_it_is_no_terminal():
    assert shown(io.StringIO()).splitlines() == [
        "Running the photos through the frozen network ...",
        "auto took the [starter] backbone.",
        "Training the head ...",
        EPOCH_LINE,
    ]


def test_plain_lines_tell_of_progress_now_and_then(monkeypatch):
    monkeypatch.setattr("catdog.runs.progress.PLAIN_SECONDS", -1.0)
    lines = shown(io.StringIO()).splitlines()
    assert "  320 of 3,000, 40 a second" in lines
    assert "  epoch 3, step 4 of 63, loss 0.5000" in lines


@pytest.mark.lowest
@pytest.mark.parametrize("words", ["auto took the [starter] backbone.", EPOCH_LINE, "320 of 3,000", "step 4 of 63"])
def test_a_terminal_gets_bars_and_lines(words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    progress = progress_on(terminal)
    assert isinstance(progress, LiveProgress)
    for event in EVENTS:
        progress(event)
        progress.bars.refresh()
    progress.close()
    assert words in terminal.getvalue()


def test_the_kind_follows_from_the_stream():
    assert isinstance(progress_on(io.StringIO()), PlainProgress)
