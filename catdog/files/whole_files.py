"""Files that are written whole or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DRAFT = ".draft-"


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A path with the same ending to write a file to, which then takes the file's place.

    What can't be written whole is removed, and the `OSError` of it names the file that was meant.
    """
    draft = path.with_name(f"{DRAFT}{os.getpid()}-{threading.get_ident()}-{path.name}")
    try:
        yield draft
        draft.replace(path)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(draft), draft):
            error.filename = str(path)
        raise


def remove_drafts(folder: Path) -> None:
    """Remove what writers left in a folder, and one level below, that were killed."""
    for draft in [*folder.glob(f"{DRAFT}*"), *folder.glob(f"*/{DRAFT}*")]:
        with suppress(OSError):
            draft.unlink()
