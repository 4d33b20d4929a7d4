"""Files of arrays: written whole or not at all, and read without trust in what stands there."""

import io
import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from catdog.files.whole_files import draft_of


def pack_arrays(arrays: dict[str, np.ndarray], **notes: Any) -> bytes:
    """The content of an `.npz` file with arrays and JSON notes."""
    file = io.BytesIO()
    save_arrays(file, arrays, notes)
    return file.getvalue()


def save_arrays(file: BinaryIO, arrays: dict[str, np.ndarray], notes: dict[str, Any]) -> None:
    """Write arrays and JSON notes into an open file, as `.npz`."""
    np.savez(file, **arrays, notes=np.array(json.dumps(notes)))


def write_arrays(path: Path, arrays: dict[str, np.ndarray], **notes: Any) -> None:
    """Write arrays and JSON notes into one `.npz` file, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    # Not by way of memory: a checkpoint takes as much as the network that learns, three times over.
    with draft_of(path) as draft, draft.open("wb") as file:
        save_arrays(file, arrays, notes)


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """The arrays and the notes of such a file, or None where it is missing or damaged."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = dict(file)
        return arrays, json.loads(str(arrays.pop("notes")))
    except Exception:  # A damaged archive raises whatever its damage leads to.
        return None
