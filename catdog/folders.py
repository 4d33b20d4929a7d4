"""The folders that Catdog keeps files in, and what must hold before files are put into one."""

import os
from pathlib import Path

import platformdirs

from catdog.errors import Refused


def cache_folder() -> Path:
    """The folder for what can be fetched or computed again; it may not exist yet."""
    return Path(os.environ.get("CATDOG_CACHE") or platformdirs.user_cache_path("catdog"))


def photo_folders_root() -> Path:
    """The folder of the photo sets that a page fetched, drew or was given."""
    return cache_folder() / "photos"


def allowed_roots() -> list[Path]:
    """The folders below which a visitor may read: those that CATDOG_FOLDERS lists, else the working folder."""
    listed = os.environ.get("CATDOG_FOLDERS", "").split(os.pathsep)
    return [Path(entry).resolve() for entry in listed if entry] or [Path.cwd().resolve()]


def allowed_folder(text: str) -> Path:
    """The folder that a visitor named; raises `Refused` unless it lies, links followed, below an allowed root."""
    folder = Path(text.strip() or ".")
    if not is_allowed(folder):
        roots = " or ".join(map(str, allowed_roots()))
        raise Refused(f"{text} is not below {roots}, where this app may read: put the photos there.")
    return folder


def is_allowed(path: Path) -> bool:
    """Whether a path, links followed, lies below an allowed root."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):
        return False
    return any(real.is_relative_to(root) for root in allowed_roots())


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
