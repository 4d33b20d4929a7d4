"""The folders that Catdog keeps files in, and what must hold before files are put into one."""

import os
from pathlib import Path

import platformdirs

from catdog.errors import Refused


def cache_folder() -> Path:
    """The folder for what can be fetched or computed again; it may not exist yet."""
    return Path(os.environ.get("CATDOG_CACHE") or platformdirs.user_cache_path("catdog"))


def require_empty(folder: Path) -> None:
    """Raises `Refused` unless the folder is absent or empty."""
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return
    except OSError as error:
        raise Refused(
            f"The folder {folder} can't be looked into ({error.strerror or error}): choose another one."
        ) from error
    raise Refused(f"{folder} is there already and isn't an empty folder: choose a new or an empty one.")
