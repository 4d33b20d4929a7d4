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


def find_link_out(folder: Path) -> Path | None:
    """The first link in a folder that leads out of the allowed roots, also one behind a link that doesn't."""
    known: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        for path in (Path(parent, name) for name in sorted(folders + names)):
            if path.is_symlink() and not is_allowed(path):
                return path
        # Each folder is looked into once, whatever links lead back to it.
        folders[:] = [name for name in folders if is_new(Path(parent, name), known)]
    return None


def is_new(folder: Path, known: set[tuple[int, int]]) -> bool:
    """Whether a folder is none of those that are known, of which it then is one."""
    try:
        found = folder.stat()
    except OSError:
        return False
    before = len(known)
    known.add((found.st_dev, found.st_ino))
    return len(known) > before


def require_replaceable(path: Path) -> None:
    """Raises `Refused` where something lies that a new file must not take the place of, such as a device."""
    if path.is_dir():
        raise Refused(f"{path} is a folder: name a file.")
    if path.exists() and not path.is_file():
        raise Refused(f"{path} is a device or a pipe, whose place no file may take: name another file.")


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
