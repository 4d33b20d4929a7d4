"""Rows of numbers kept on disk, each found by the digest of the photo that it came from; safe to kill at any moment.

A shelf is a folder with three files: `shelf.json` says what the rows are, `rows.bin` holds them one after the other,
and `index.bin` has a record of 36 bytes for each, in the same order: the photo's SHA-256 and the row's CRC-32. Rows
are written before their records, so that a record without its row can only come from a crash of the whole machine,
and then the CRC tells. A row is never changed.
"""

import hashlib
import json
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from catdog.folders import cache_folder
from catdog.runs import read_json, write_json

FORMAT = 1
RECORD = np.dtype([("digest", "V32"), ("checksum", "<u4")])
DEFAULT_LIMIT_GB = 20.0
# What is always left free on the disk.
SPARE_BYTES = 1_000_000_000
# A shelf that was used so lately may be in use now, and is not evicted.
IN_USE_SECONDS = 600.0


class Shelf:
    """One folder of rows of the same shape and type."""

    def __init__(self, folder: Path, what: dict[str, Any], shape: Sequence[int], dtype: type[np.floating]):
        self.folder = folder
        self.shape = tuple(int(side) for side in shape)
        self.dtype = np.dtype(dtype)
        self.row_bytes = int(np.prod(self.shape)) * self.dtype.itemsize
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "shelf.json").exists():
            write_json(folder / "shelf.json", {"format": FORMAT, "shape": self.shape, "dtype": self.dtype.name, **what})
        self.touch()

    def touch(self) -> None:
        """Note that the shelf is in use."""
        (self.folder / "shelf.json").touch()

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
        if count == 0:
            return np.empty((0, *self.shape), self.dtype)
        return np.memmap(self.folder / "rows.bin", self.dtype, "r", shape=(count, *self.shape))

    def places(self, records: np.ndarray) -> dict[str, int]:
        """Which row each photo's digest stands for, whole or not."""
        # Of several rows of one photo the last counts: it was written because an earlier one was damaged.
        return {record["digest"].tobytes().hex(): place for place, record in enumerate(records)}

    def count_missing(self, digests: Iterable[str]) -> int:
        """How many of these photos have no row here, without a look at the rows."""
        return len(set(digests) - self.places(self.records()).keys())

    def find(self, digests: Iterable[str]) -> dict[str, int]:
        """The row of each of these photos that is here whole; the others are left out of the answer."""
        self.touch()
        records, rows = self.records(), self.rows()
        places = self.places(records)
        return {
            digest: places[digest]
            for digest in set(digests) & places.keys()
            if zlib.crc32(rows[places[digest]].tobytes()) == records[places[digest]]["checksum"]
        }

    def append(self, digests: Sequence[str], rows: np.ndarray) -> None:
        """Add rows (n, *shape) for these photos; raises `OSError` where the disk can't take them."""
        rows = np.ascontiguousarray(rows, self.dtype)
        records = np.empty(len(rows), RECORD)
        for record, digest, row in zip(records, digests, rows, strict=True):
            record["digest"], record["checksum"] = np.void(bytes.fromhex(digest)), zlib.crc32(row.tobytes())
        with FileLock(self.folder / ".lock"):
            count = len(self.records())
            # What an interrupted writer left behind the last whole row and record is written over.
            for name, content, size in (("rows.bin", rows, self.row_bytes), ("index.bin", records, RECORD.itemsize)):
                with (self.folder / name).open("ab") as file:
                    file.truncate(count * size)
                    file.write(content.tobytes())
        self.touch()


def shelves_folder() -> Path:
    """Where the shelves are."""
    return cache_folder() / "activations"


def open_shelf(what: dict[str, Any], shape: Sequence[int], dtype: type[np.floating], parent: Path) -> Shelf:
    """The shelf for rows that this describes to the last detail, in the parent folder."""
    described = json.dumps({**what, "shape": list(map(int, shape)), "dtype": np.dtype(dtype).name}, sort_keys=True)
    return Shelf(parent / hashlib.sha256(described.encode()).hexdigest()[:24], what, shape, dtype)


@dataclass(frozen=True)
class ShelfSummary:
    """What is known of a shelf from outside."""

    folder: Path
    what: dict[str, Any]
    photos: int
    size_bytes: int
    used: float  # seconds since the epoch


def list_shelves() -> list[ShelfSummary]:
    """All shelves, the least recently used first."""
    found = []
    for folder in shelves_folder().glob("*/"):
        try:
            sizes = [path.stat().st_size for path in folder.iterdir()]
            used = (folder / "shelf.json").stat().st_mtime
            photos = (folder / "index.bin").stat().st_size // RECORD.itemsize
        except OSError:
            continue
        found.append(ShelfSummary(folder, read_json(folder / "shelf.json"), photos, sum(sizes), used))
    return sorted(found, key=lambda shelf: shelf.used)


def limit_bytes() -> int:
    """How much all shelves together may take: CATDOG_CACHE_GB gigabytes, else 20."""
    try:
        gigabytes = float(os.environ.get("CATDOG_CACHE_GB", DEFAULT_LIMIT_GB))
    except ValueError:
        gigabytes = DEFAULT_LIMIT_GB
    return int(max(gigabytes, 0) * 1e9)


def make_room(needed_bytes: int, keep: Iterable[Path] = ()) -> bool:
    """Whether so much more fits under the limit and on the disk, after others had to go that were not used lately."""
    keep = set(keep)
    shelves = list_shelves()
    total = sum(shelf.size_bytes for shelf in shelves)
    for shelf in shelves:
        if fits(total, needed_bytes):
            break
        if shelf.folder not in keep and time.time() - shelf.used > IN_USE_SECONDS:
            remove_shelf(shelf.folder)
            total -= shelf.size_bytes
    return fits(total, needed_bytes)


def fits(total_bytes: int, needed_bytes: int) -> bool:
    """Whether so much more is within the limit, and leaves some room on the disk."""
    folder = shelves_folder()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    return total_bytes + needed_bytes <= limit_bytes() and needed_bytes + SPARE_BYTES <= free


def remove_shelf(folder: Path) -> None:
    """Remove a shelf; it is gone as a whole before its files go one by one."""
    gone = folder.with_name(f".gone-{secrets.token_hex(4)}")
    try:
        folder.rename(gone)
    except OSError:
        return  # It is open, on a system that minds; or somebody else was faster.
    shutil.rmtree(gone, ignore_errors=True)
