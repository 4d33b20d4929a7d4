"""The folders that Catdog keeps files in, and what must hold before files are put into one."""

import os
import secrets
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path

import platformdirs

from catdog.errors import Refused
from catdog.public_mode import NO_FOLDERS, is_public

REMOVED = ".deleted-"  # how a folder is named that is about to be gone
UNFINISHED_SECONDS = 24 * 3600.0  # nobody unpacks or draws photos for that long


def cache_folder() -> Path:
    """The folder for what can be fetched or computed again; it may not exist yet."""
    return Path(os.environ.get("CATDOG_CACHE") or platformdirs.user_cache_path("catdog"))


def photo_folders_root() -> Path:
    """The folder of the photo sets that a page fetched, drew or was given."""
    return cache_folder() / "photos"


def uploads_folder(owner: str | None = None) -> Path:
    """The folder of the photo sets that visitors uploaded, or of those of one visitor where each has their own."""
    return photo_folders_root() / "uploads" / (owner or "")


def models_folder() -> Path:
    """Where the classifiers are that visitors added, each in a folder of its own."""
    return cache_folder() / "models"


def allowed_roots() -> list[Path]:
    """The folders below which a visitor may read: those that CATDOG_FOLDERS lists, else the working folder.

    None of them where the app is open to the public.
    """
    if is_public():
        return []
    listed = os.environ.get("CATDOG_FOLDERS", "").split(os.pathsep)
    return [Path(entry).resolve() for entry in listed if entry] or [Path.cwd().resolve()]


def allowed_folder(text: str) -> Path:
    """The folder that a visitor named; raises `Refused` unless it lies, links followed, below an allowed root."""
    if is_public():
        raise Refused(NO_FOLDERS)
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


def may_see_photos(folder: Path, owner: str | None) -> bool:
    """Whether a visitor may see what is in a folder of photos: it is allowed, or made here for all, or their own."""
    real, root, uploads = (path.resolve() for path in (folder, photo_folders_root(), uploads_folder()))
    if not is_public():
        return is_allowed(folder) or real.is_relative_to(root)
    if real.is_relative_to(uploads):
        return owner is not None and real.is_relative_to(uploads / owner)
    return real.is_relative_to(root)


def find_link_out(folder: Path) -> Path | None:
    """A link in a folder that leads out of the allowed roots, also one behind a link that doesn't; None without one."""
    waiting, known = [folder], set()
    while waiting:
        for path in entries_of(waiting.pop()):
            if os.path.islink(path) and not is_allowed(path):  # noqa: PTH114 - it never raises
                return path
            place = place_of(path)
            # Each folder is looked into once, whatever links lead back to it.
            if place and place not in known:
                known.add(place)
                waiting.append(path)
    return None


def entries_of(folder: Path) -> list[Path]:
    """What is in a folder, sorted; nothing where it can't be looked into, as whoever reads its photos will say."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def place_of(path: Path) -> tuple[int, int] | None:
    """What tells a folder from all others, by whichever path it was reached; None for what is no folder."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


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


def remove_folder(folder: Path) -> None:
    """Remove a folder with all in it, links but not what they lead to; raises `OSError` where it can't be."""
    # Gone as a whole first, so that nobody finds half of it, and of two that remove it one alone does.
    gone = folder.with_name(f"{REMOVED}{secrets.token_hex(4)}-{folder.name}")
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Remove what is left in a folder of those whose removal was interrupted."""
    for path in entries_of(parent):
        if path.name.startswith(REMOVED) and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def remove_unfinished(parent: Path) -> None:
    """Remove what somebody began to put into a folder of photo sets a day ago, and was ended before it was whole."""
    for path in entries_of(parent):
        with suppress(OSError):
            is_draft = path.name.startswith(".") and not path.is_symlink()
            if is_draft and time.time() - path.stat().st_mtime > UNFINISHED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
