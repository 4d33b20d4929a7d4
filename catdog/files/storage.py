"""Where photos lie: on a disk of this machine, or in object storage, at an address such as s3://bucket/photos."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from catdog.errors import Refused
from catdog.places import how_to_install
from catdog.plain_text import one_line

# A file or folder of either kind. One in object storage has the methods of a path, but no descriptor and no links.
if TYPE_CHECKING:
    from upath import UPath

    Place: TypeAlias = Path | UPath
else:
    Place = Path


def is_address(source: object) -> bool:
    """Whether this names a place in object storage."""
    return "://" in str(source) and not isinstance(source, Path)


def as_place(source: Place | str) -> Place:
    """The path or the place in object storage that this names.

    Raises `Refused` for an address that can't be used here: it is of an unknown kind, or takes another package.
    """
    if not is_address(source):
        return Path(source)
    try:
        from upath import UPath
    except ImportError:
        raise Refused(f"{source} lies in object storage, which takes more packages: {how_to_install('ray')}.") from None
    try:
        place = UPath(source)
        place.fs  # noqa: B018 - what reads this kind of storage is looked for only now
    except Exception as error:  # What is wrong with an address is said by whichever package it is for.
        raise Refused(f"The address {source} can't be used ({reason_of(error)}).") from None
    return place


def reason_of(error: Exception) -> str:
    """Why something in storage can't be reached, as a sentence goes on in brackets."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(" ".join(text.split())).rstrip(".") or type(error).__name__


def walk(folder: Place) -> Iterator[tuple[Place, list[str], list[str]]]:
    """Each folder from this one on, with the names of the folders and of the files in it; links are not followed.

    Folders that are taken from the list of names are left out. Raises `OSError`.
    """
    if isinstance(folder, Path):
        for parent, folders, names in os.walk(folder, onerror=fail):
            yield Path(parent), folders, names
    else:
        yield from folder.walk(on_error=fail)


def fail(error: OSError) -> None:
    """Raise what a walk would pass over in silence."""
    raise error
