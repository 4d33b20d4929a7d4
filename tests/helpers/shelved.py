"""Shelves of rows that tests fill."""

import hashlib
from pathlib import Path

import numpy as np

from catdog.files.shelves import Shelf, open_shelf, shelves_folder

WHAT = {"kind": "conv4", "image_size": 224, "view": 0, "backbone": "b" * 64, "arithmetic": "float32"}
SHAPE = (2, 3)


def digest(number: int) -> str:
    """What stands for a photo."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def digests(*numbers: int) -> list[str]:
    return [digest(number) for number in numbers]


def rows_of(*numbers: int) -> np.ndarray:
    """Rows (n, 2, 3) that tell which photo they are of; every value is a whole one, so that float16 holds it."""
    return np.array([np.arange(6).reshape(SHAPE) + 10 * number for number in numbers], np.float32)


def shelf_of(dtype: type = np.float32, shape: tuple[int, ...] = SHAPE, parent: Path | None = None, **other) -> Shelf:
    """A shelf, by default the same at each call."""
    return open_shelf({**WHAT, **other}, shape, dtype, parent or shelves_folder())


def filled(*numbers: int, **other) -> Shelf:
    """A shelf with a row of each of these photos."""
    shelf = shelf_of(**other)
    shelf.append(digests(*numbers), rows_of(*numbers))
    return shelf


def assert_holds(shelf: Shelf, *numbers: int) -> None:
    """Fails unless these photos, and no others below 100, are found with the rows that are theirs."""
    found = shelf.find(digests(*range(100)))
    assert found.keys() == set(digests(*numbers))
    for number in numbers:
        np.testing.assert_array_equal(shelf.rows()[found[digest(number)]], rows_of(number)[0])
