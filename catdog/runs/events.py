"""What a run tells of itself, line by line in `events.jsonl`, read without trust in what stands there."""

import json
from pathlib import Path
from typing import Any

from catdog.files.json_files import NUMBER, found_in

# What each kind of event must hold to be believed, since anyone may have changed the file.
EVENT_FIELDS: dict[str, dict[str, Any]] = {
    "phase": {"phase": str},
    "progress": {"done": NUMBER, "per_second": NUMBER},
    "step": {"phase": str, "epoch": int, "step": int, "steps": int, "loss": NUMBER, "accuracy": NUMBER},
    "epoch": {"phase": str, "epoch": int, "epochs": int, "loss": NUMBER, "accuracy": NUMBER}
    | {"val_loss": NUMBER, "val_accuracy": NUMBER, "seconds": NUMBER},
    "result": {"accuracy": NUMBER, "loss": NUMBER, "epochs": int, "seconds": NUMBER},
    "rate": {"learning_rate": NUMBER, "loss": NUMBER, "val_loss": NUMBER, "val_accuracy": NUMBER},
    "share": {"share": NUMBER, "photos": int, "val_accuracy": NUMBER, "val_loss": NUMBER},
    "note": {"message": str},
    "error": {"message": str},
}


def is_whole(event: dict[str, Any]) -> bool:
    """Whether a line of `events.jsonl` is an event with all that its readers count on."""
    name = event.get("event")
    return isinstance(name, str) and all(
        found_in(event, field, kind=kind) is not None for field, kind in EVENT_FIELDS.get(name, {}).items()
    )


def read_events(folder: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The events from a byte offset on, and the offset after the last whole line; damaged lines are passed over."""
    try:
        with (folder / "events.jsonl").open("rb") as file:
            file.seek(offset)
            content = file.read()
    except OSError:
        return [], offset
    whole = content[: content.rfind(b"\n") + 1]
    events = []
    for line in whole.splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and is_whole(event):
            events.append(event)
    return events, offset + len(whole)
