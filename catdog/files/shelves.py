"""Rows of numbers kept on disk, each found by the digest of the photo that it came from; safe to kill at any moment.

A shelf is a folder with three files: `shelf.json` says what the rows are, `rows.bin` holds them one after the other,
and `index.bin` has a record of 36 bytes for each, in the same order: the photo's SHA-256 and the row's CRC-32. Rows
are written before their records, so that a record without its row can only come from a crash of the whole machine,
and then the CRC tells. A row is never changed.
"""

import hashlib
import json
import math
import os
import shutil
import time
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from catdog.files.folders import REMOVED, cache_folder, remove_folder, remove_leftovers, uploads_folder
from catdog.files.json_files import read_json, write_json
from catdog.public_mode import is_public, limits

FORMAT = 1
RECORD = np.dtype([("digest", "V32"), ("checksum", "<u4")])
DEFAULT_LIMIT_GB = 20.0
# What is always left free on the disk.
SPARE_BYTES = 1_000_000_000
# A shelf that was used so lately may be in use now, and is not evicted.
IN_USE_SECONDS = 600.0
OF_A_VISITOR = ".activations"  # the folder of shelves beside what a visitor of a public app uploaded


class Shelf:
    """One folder of rows of the same shape and type, which is made for the first of them."""

    def __init__(self, folder: Path, what: dict[str, Any], shape: Sequence[int], dtype: type[np.number]):
        self.folder = folder
        self.shape = tuple(int(side) for side in shape)
        self.dtype = np.dtype(dtype)
        self.row_bytes = int(np.prod(self.shape)) * self.dtype.itemsize
        self.description = {"format": FORMAT, "shape": list(self.shape), "dtype": self.dtype.name, **what}

    def touch(self) -> None:
        """Note that the shelf is in use, if it is there."""
        with suppress(FileNotFoundError):
            os.utime(self.folder)

    def records(self) -> np.ndarray:
        """The records of all whole rows there are now."""
        try:
            content = (self.folder / "index.bin").read_bytes()
            whole_rows = (self.folder / "rows.bin").stat().st_size // self.row_bytes
        except OSError:
            return np.empty(0, RECORD)
        count = min(len(content) // RECORD.itemsize, whole_rows)
        return np.frombuffer(content[: count * RECORD.itemsize], RECORD)

    def rows(self) -> np.ndarray:
        """All rows, mapped from the file and read only where they are looked at."""
        count = len(self.records())
        # Somebody may remove the shelf meanwhile; rows that are mapped already stay readable.
        with suppress(FileNotFoundError):
            if count:
                return np.memmap(self.folder / "rows.bin", self.dtype, "r", shape=(count, *self.shape))
        return np.empty((0, *self.shape), self.dtype)

    def places(self, records: np.ndarray) -> dict[str, int]:
        """Which row each photo's digest stands for, whole or not."""
        # Of several rows of one photo the last counts: it was written because an earlier one was damaged.
        return {digest.hex(): place for place, digest in enumerate(records["digest"].tolist())}

    def count_missing(self, digests: Iterable[str]) -> int:
        """How many of these photos have no row here, without a look at the rows; the shelf counts as in use."""
        self.touch()
        return len(set(digests) - self.places(self.records()).keys())

    def find(self, digests: Iterable[str]) -> dict[str, int]:
        """The row of each of these photos that is here whole; the others are left out of the answer."""
        return self.take(digests)[1]

    def take(self, digests: Iterable[str]) -> tuple[np.ndarray, dict[str, int]]:
        """All rows, and the place among them of each of these photos that is here whole."""
        self.touch()
        records, rows = self.records(), self.rows()
        places = self.places(records[: len(rows)])
        return rows, {
            digest: places[digest]
            for digest in set(digests) & places.keys()
            if zlib.crc32(rows[places[digest]].tobytes()) == records[places[digest]]["checksum"]
        }

    def append(self, digests: Sequence[str], rows: np.ndarray) -> None:
        """Add rows (n, *shape) for those of these photos that have none; raises `OSError` where the disk can't."""
        rows = np.ascontiguousarray(rows, self.dtype).reshape(len(digests), *self.shape)
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            if read_json(self.folder / "shelf.json") != self.description:
                write_json(self.folder / "shelf.json", self.description)
            # Somebody else may have added some meanwhile.
            here = self.find(digests)
            new = {digest: row.tobytes() for digest, row in zip(digests, rows, strict=True) if digest not in here}
            records = np.empty(len(new), RECORD)
            for record, (digest, row) in zip(records, new.items(), strict=True):
                record["digest"], record["checksum"] = np.void(bytes.fromhex(digest)), zlib.crc32(row)
            count = len(self.records())
            # What an interrupted writer left behind the last whole row and record is written over.
            self.write("rows.bin", count * self.row_bytes, new.values())
            self.write("index.bin", count * RECORD.itemsize, [records.tobytes()])

    def write(self, name: str, offset: int, content: Iterable[bytes]) -> None:
        """Write to a file of the shelf at an offset, over whatever comes after it."""
        with (self.folder / name).open("ab") as file:
            file.truncate(offset)
            file.writelines(content)


def shelves_folder(photos: Path | None = None) -> Path:
    """Where the shelves are for a photo or a folder of them.

    Of what somebody uploaded where the app is open to the public they are that visitor's own: they go when the photos
    go, and nobody who has the same photo can tell by the time it takes that another has it, too.
    """
    if photos is not None and is_public():
        real, uploads = photos.resolve(), uploads_folder().resolve()
        if real.is_relative_to(uploads) and real != uploads:
            return uploads / real.relative_to(uploads).parts[0] / OF_A_VISITOR
    return cache_folder() / "activations"


def open_shelf(what: dict[str, Any], shape: Sequence[int], dtype: type[np.number], parent: Path) -> Shelf:
    """The shelf for rows that this describes to the last detail, in the parent folder."""
    details = {"format": FORMAT, **what, "shape": list(map(int, shape)), "dtype": np.dtype(dtype).name}
    name = hashlib.sha256(json.dumps(details, sort_keys=True).encode()).hexdigest()[:24]
    return Shelf(parent / name, what, shape, dtype)


@dataclass(frozen=True)
class ShelfSummary:
    """What is known of a shelf from outside."""

    folder: Path
    what: dict[str, Any]
    photos: int
    size_bytes: int
    used: float  # seconds since the epoch

    def as_dict(self) -> dict[str, Any]:
        """The summary as plain values, None for what a damaged `shelf.json` does not say."""
        what = {name: self.what.get(name) for name in ("kind", "image_size", "view", "backbone")}
        return {**what, "photos": self.photos, "size_bytes": self.size_bytes, "used": self.used}


def list_shelves(parent: Path) -> list[ShelfSummary]:
    """All shelves in a folder, the least recently used first."""
    found = []
    for folder in parent.glob("*/"):
        if not folder.name.startswith(REMOVED):
            with suppress(FileNotFoundError):  # somebody may remove it meanwhile
                photos = size_of(folder / "index.bin") // RECORD.itemsize
                size_bytes = sum(size_of(path) for path in folder.iterdir())
                what = read_json(folder / "shelf.json")
                found.append(ShelfSummary(folder, what, photos, size_bytes, folder.stat().st_mtime))
    return sorted(found, key=lambda shelf: shelf.used)


def size_of(path: Path) -> int:
    """How many bytes a file has, none where it isn't there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def limit_bytes(parent: Path | None = None) -> int:
    """How much all shelves of a folder may take: CATDOG_CACHE_GB gigabytes, else 20; those of a visitor less."""
    if parent is not None and parent.name == OF_A_VISITOR:
        return min(limit_bytes(), limits().kept_megabytes * 1_000_000)
    try:
        gigabytes = float(os.environ.get("CATDOG_CACHE_GB", DEFAULT_LIMIT_GB))
    except ValueError:
        gigabytes = DEFAULT_LIMIT_GB
    return int(max(gigabytes if math.isfinite(gigabytes) else DEFAULT_LIMIT_GB, 0) * 1e9)


def make_room(needed_bytes: int, parent: Path) -> bool:
    """Whether so much more fits into a folder of shelves, after others had to go that were not used lately.

    Raises `OSError` where the folder can't be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(parent)
    shelves = list_shelves(parent)
    total = sum(shelf.size_bytes for shelf in shelves)
    idle = [shelf for shelf in shelves if time.time() - shelf.used > IN_USE_SECONDS]
    # None has to go for the sake of what would not fit even then.
    if needed_bytes <= room(parent, total) + sum(shelf.size_bytes for shelf in idle):
        for shelf in idle:
            if needed_bytes <= room(parent, total):
                break
            if remove_shelf(shelf.folder):
                total -= shelf.size_bytes
    return needed_bytes == 0 or needed_bytes <= room(parent, total)


def room(parent: Path, total_bytes: int) -> int:
    """How many bytes more the limit and the disk allow a folder whose shelves have so many; negative if too many."""
    return min(limit_bytes(parent) - total_bytes, shutil.disk_usage(parent).free - SPARE_BYTES)


def remove_shelf(folder: Path) -> bool:
    """Remove a shelf, as a whole before its files go one by one; whether that could be done."""
    try:
        remove_folder(folder)
    except OSError:
        return False  # It is open, on a system that minds; or somebody else was faster.
    return True


def clear_shelves(parent: Path) -> int:
    """Remove all shelves in a folder; gives how many bytes they had."""
    remove_leftovers(parent)
    return sum(shelf.size_bytes for shelf in list_shelves(parent) if remove_shelf(shelf.folder))


def readable_size(size_bytes: int) -> str:
    """A size in the unit that suits it."""
    unit, power = ("GB", 1e9) if size_bytes >= 1e9 else ("MB", 1e6)
    return f"{size_bytes / power:.1f} {unit}"
