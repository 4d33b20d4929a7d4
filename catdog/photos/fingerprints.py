"""What photos are known by: hashes, size, contrast and a small grey picture, read once and kept by their content."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from catdog.errors import Stopped
from catdog.files.shelves import Shelf, make_room, open_shelf, shelves_folder
from catdog.photos.photo_sets import LeftOut
from catdog.photos.reading import UnreadablePhoto, decoded, read_bytes, upright, work_ahead

KIND = "fingerprints"  # of the shelf
# How many pixels on a side the kept grey picture has, and the one that hashes and contrast are taken from.
GREY_SIDE = 32
READ_SIDE = 64
FINGERPRINT = np.dtype(
    [
        ("hash", "<u8"),  # perceptual, 64 bits
        ("mirrored_hash", "<u8"),  # the same of the mirror image
        ("width", "<u4"),
        ("height", "<u4"),
        ("contrast", "<f4"),  # standard deviation of the grey levels, 0 to 127.5
        ("grey", "u1", (GREY_SIDE, GREY_SIDE)),
    ]
)
# How many new fingerprints are put on the shelf together: what a killed process loses at most.
KEPT_TOGETHER = 256


@dataclass
class Fingerprints:
    """The digest of each readable photo, the fingerprint of each digest, and the photos that can't be read."""

    digests: dict[Path, str] = field(default_factory=dict)
    rows: dict[str, np.void] = field(default_factory=dict)
    unreadable: list[LeftOut] = field(default_factory=list)

    def pixels(self, path: Path) -> int:
        """How many pixels a readable photo has."""
        row = self.rows[self.digests[path]]
        return int(row["width"]) * int(row["height"])

    def only(self, paths: Iterable[Path]) -> "Fingerprints":
        """Those of some of the photos alone."""
        wanted = set(paths)
        digests = {path: digest for path, digest in self.digests.items() if path in wanted}
        return Fingerprints(
            digests,
            {digest: self.rows[digest] for digest in digests.values()},
            [left_out for left_out in self.unreadable if left_out.path in wanted],
        )


def take_fingerprint(content: bytes) -> np.ndarray:
    """A photo's fingerprint, an array of one FINGERPRINT, from its file's bytes; raises `UnreadablePhoto`."""
    from imagehash import phash

    with decoded(content, reduced_to=2 * READ_SIDE) as (picture, box, orientation, full_size):
        small = upright(picture.resize((READ_SIDE, READ_SIDE), Image.Resampling.BILINEAR, box), orientation)
    small = small.convert("L")
    found = np.zeros(1, FINGERPRINT)
    found["hash"] = as_number(phash(small).hash)
    found["mirrored_hash"] = as_number(phash(small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).hash)
    found["width"], found["height"] = full_size
    found["contrast"] = np.asarray(small).std()
    found["grey"] = np.asarray(small.resize((GREY_SIDE, GREY_SIDE), Image.Resampling.BOX))
    return found


def as_number(bits: np.ndarray) -> np.uint64:
    """A hash of 8 x 8 bits as one number."""
    return np.packbits(bits).view(np.uint64)[0]


class Taken(NamedTuple):
    """What came of one file: its digest and its fingerprint, or the reason why there is none."""

    path: Path
    digest: str
    row: np.void | None
    reason: str | None


def fingerprint_photos(
    paths: Sequence[Path],
    on_progress: Callable[[int, float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Fingerprints:
    """The fingerprints of these photos; only of those of which none is kept is the picture read.

    `on_progress` gets the photos done and how many are done per second. Raises `Stopped` if asked to.
    """
    shelf = fingerprint_shelf(shelves_folder(next(iter(paths), None)))
    kept, places = known_rows(shelf)

    def take(path: Path) -> Taken:
        digest = ""
        try:
            content = read_bytes(path)
            digest = hashlib.sha256(content).hexdigest()
            row = kept[places[digest]].view(FINGERPRINT) if digest in places else take_fingerprint(content)
            return Taken(path, digest, row[0], None)
        except UnreadablePhoto as error:
            return Taken(path, digest, None, str(error))

    found, started = Fingerprints(), time.monotonic()
    new: dict[str, np.void] = {}
    can_keep = True
    for done, taken in enumerate(work_ahead(take, paths), 1):
        if should_stop and should_stop():
            raise Stopped("Stopped while it was looking through the photos.")
        if taken.row is None:
            found.unreadable.append(LeftOut(taken.path, taken.reason or ""))
        else:
            found.digests[taken.path] = taken.digest
            found.rows[taken.digest] = taken.row
            if taken.digest not in places:
                new[taken.digest] = taken.row
        if can_keep and (len(new) == KEPT_TOGETHER or (new and done == len(paths))):
            can_keep = keep(shelf, new)
            new = {}
        if on_progress:
            on_progress(done, done / max(time.monotonic() - started, 1e-9))
    return found


def fingerprint_shelf(parent: Path) -> Shelf:
    """The shelf of fingerprints in a folder of shelves; another version of what reads or hashes photos gets another."""
    made_by = {name: version(name) for name in ("pillow", "pillow-heif", "imagehash")}
    what = {"kind": KIND, "image_size": READ_SIDE, "fields": str(FINGERPRINT.descr), "versions": made_by}
    return open_shelf(what, (FINGERPRINT.itemsize,), np.uint8, parent)


def known_rows(shelf: Shelf) -> tuple[np.ndarray, dict[str, int]]:
    """All rows of the shelf and the place of each digest; none where it can't be looked at."""
    try:
        return shelf.take(shelf.places(shelf.records()))
    except OSError:
        return np.empty((0, FINGERPRINT.itemsize), np.uint8), {}


def keep(shelf: Shelf, rows: dict[str, np.void]) -> bool:
    """Put fingerprints on the shelf; whether that could be done, which nobody but the next to look must mind."""
    try:
        if not make_room(len(rows) * FINGERPRINT.itemsize, shelf.folder.parent):
            return False
        shelf.append(list(rows), np.array(list(rows.values()), FINGERPRINT).view(np.uint8))
    except OSError:
        return False
    return True
