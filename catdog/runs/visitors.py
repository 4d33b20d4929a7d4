"""The visitors of an app that is open to the public: how each is known again, and how what they left is removed."""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from filelock import FileLock, Timeout

from catdog.files.folders import entries_of, models_folder, remove_folder, remove_leftovers, uploads_folder
from catdog.public_mode import limits
from catdog.runs import jobs
from catdog.runs.owners import TURN_ENDING, VISITORS_FOLDER, last_time, owner_of, visit_file
from catdog.runs.run_folder import runs_folder
from catdog.runs.trials import trials_folder

TOKEN_BYTES = 32
TOKEN = re.compile(r"[\w-]{43}", re.ASCII)  # what so many bytes are written as
OWNER = re.compile(r"[0-9a-f]{32}")


def new_token() -> str:
    """What one browser alone knows, and is known by."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def is_token(value: object) -> bool:
    """Whether something can be a visitor's token."""
    return isinstance(value, str) and bool(TOKEN.fullmatch(value))


def owner_with(token: str) -> str:
    """What stands in the folders of whoever has this token, from which nobody finds the token."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()[:32]


def work_of(owner: str) -> Iterator[jobs.Job]:
    """A visitor's runs, and what waits in line with them; links are passed over."""
    for parent in (runs_folder(), trials_folder()):
        for folder in entries_of(parent):
            if not folder.name.startswith(".") and not folder.is_symlink() and owner_of(folder) == owner:
                yield jobs.find_job(folder)


def forget(owner: str) -> None:
    """Remove all that a visitor left here and stop what is at work, which a later sweep removes once it has ended."""
    for job in work_of(owner):
        if job.is_active:
            with suppress(OSError):
                jobs.stop(job.folder)
    if not remove_ended(owner):
        with suppress(OSError):
            os.utime(visit_file(runs_folder(), owner), (0, 0))  # so that the next sweep counts them as long gone


def remove_ended(owner: str) -> bool:
    """Remove a visitor's photos and what is no longer at work; whether that was everything."""
    found = list(work_of(owner))
    gone = [job.folder for job in found if not job.is_active]
    for folder in [*gone, uploads_folder(owner)]:
        if folder.is_dir() and not folder.is_symlink():
            with suppress(OSError):
                remove_folder(folder)
    if len(gone) < len(found):
        return False
    for ending in ("", TURN_ENDING):
        with suppress(OSError):
            visit_file(runs_folder(), owner, ending).unlink()
    return True


def sweep(before: Callable[[str], object] | None = None) -> None:
    """Remove what visitors left who have long gone and have nothing at work; `before` is called with each of them.

    Of several servers that share these folders one does so at a time.
    """
    # What can't be removed now may be the next time.
    with suppress(OSError, Timeout):
        (runs_folder() / VISITORS_FOLDER).mkdir(parents=True, exist_ok=True)
        with FileLock(runs_folder() / VISITORS_FOLDER / ".sweep", timeout=0):
            for parent in (runs_folder(), trials_folder(), uploads_folder(), models_folder()):
                remove_leftovers(parent)
            remove_added_models()
            for owner in known_owners():
                if is_long_gone(owner) and not any(job.is_active for job in work_of(owner)):
                    if before:
                        before(owner)
                    remove_ended(owner)


def is_long_gone(owner: str) -> bool:
    """Whether a visitor was here last longer ago than things are kept."""
    return time.time() - last_time(runs_folder(), owner) > limits().hours * 3600


def known_owners() -> list[str]:
    """All who left something here."""
    names = {path.name for parent in (runs_folder() / VISITORS_FOLDER, uploads_folder()) for path in entries_of(parent)}
    found = {name for name in names if OWNER.fullmatch(name)}
    folders = [*entries_of(runs_folder()), *entries_of(trials_folder())]
    return sorted(found | {owner for folder in folders if (owner := owner_of(folder)) and OWNER.fullmatch(owner)})


def remove_added_models() -> None:
    """Remove classifiers that were added before the app was opened to the public, once they are as old."""
    for folder in entries_of(models_folder()):
        with suppress(OSError):
            if not folder.is_symlink() and time.time() - folder.stat().st_mtime > limits().hours * 3600:
                remove_folder(folder)
