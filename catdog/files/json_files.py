"""JSON files: written whole or not at all, and read without trust in what stands there."""

import json
from pathlib import Path
from typing import Any

from catdog.files.whole_files import draft_of

# A file name that isn't UTF-8 is written as JSON's own escapes, and read back as it was.
TEXT = {"encoding": "utf-8", "errors": "backslashreplace"}
NUMBER = (int, float)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    with draft_of(path) as draft:
        draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", **TEXT)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where the file is missing, damaged or something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def found_in(content: dict[str, Any], *keys: str, kind: type | tuple[type, ...]) -> Any:
    """What stands under nested keys of a file that anyone may have changed; None unless it is of that kind."""
    value: Any = content
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool) else None
