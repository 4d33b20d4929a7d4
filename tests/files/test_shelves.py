"""The shelves: rows in and out, several writers at once, writers that die at any byte, and damage."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.places import TESTS
from helpers.processes import run_python
from helpers.shelved import SHAPE, assert_holds, digests, filled, rows_of, shelf_of

from catdog.files.shelves import RECORD, Shelf, clear_shelves, list_shelves, shelves_folder


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CATDOG_CACHE_GB", raising=False)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rows_come_out_as_they_went_in(dtype):
    shelf = filled(1, 2, dtype=dtype)
    assert_holds(shelf, 1, 2)
    shelf.append(digests(3), rows_of(3))
    assert_holds(shelf, 1, 2, 3)
    assert_holds(shelf_of(dtype), 1, 2, 3)
    assert shelf.rows().dtype == dtype
    assert (shelf.folder / "rows.bin").stat().st_size == 3 * 6 * np.dtype(dtype).itemsize
    assert shelf.count_missing(digests(1, 2, 4, 4)) == 1


def test_float16_keeps_what_it_can_of_each_number():
    values = np.random.default_rng(0).normal(size=(1, *SHAPE)).astype(np.float32)
    shelf = shelf_of(np.float16)
    shelf.append(digests(1), values)
    np.testing.assert_array_equal(shelf.rows()[0], values[0].astype(np.float16))


def test_an_empty_shelf_has_nothing_and_makes_no_folder():
    shelf = shelf_of()
    assert shelf.find(digests(1)) == {}
    assert shelf.rows().shape == (0, *SHAPE)
    assert shelf.count_missing(digests(1, 2)) == 2
    assert not shelves_folder().exists()


def test_a_photo_that_is_there_is_not_added_again():
    shelf = filled(1)
    shelf.append(digests(1, 2, 2), rows_of(7, 2, 2))
    assert_holds(shelf, 1, 2)
    assert len(shelf.records()) == 2


def test_rows_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="reshape"):
        shelf_of().append(digests(1), np.zeros((1, 2, 4), np.float32))
    assert_holds(shelf_of())


@pytest.mark.parametrize(
    "other",
    [
        {"dtype": np.float16},
        {"shape": (3, 2)},
        {"kind": "conv3"},
        {"view": 1},
        {"image_size": 192},
        {"backbone": "c" * 64},
        {"arithmetic": "bfloat16"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_whatever_differs_is_another_shelf(other):
    first = filled(1)
    second = shelf_of(**other)
    assert second.folder != first.folder
    second.append(digests(2), rows_of(2).reshape(1, *second.shape))
    assert_holds(first, 1)
    assert len(list_shelves(shelves_folder())) == 2


def test_threads_at_once_lose_and_duplicate_nothing():
    # Each adds its own photos and those of the next, one at a time, through a shelf object of its own.
    def add(writer: int) -> None:
        shelf = shelf_of()
        for number in range(writer * 8, writer * 8 + 16):
            shelf.append(digests(number), rows_of(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert_holds(shelf_of(), *range(40))
    assert len(shelf_of().records()) == 40


def test_processes_at_once_lose_and_duplicate_nothing(tmp_path):
    code = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from helpers.shelved import digests, rows_of, shelf_of
shelf, start = shelf_of(), int(sys.argv[2])
for number in range(start, start + 60, 2):
    shelf.append(digests(number, number + 1), rows_of(number, number + 1))
"""
    with ThreadPoolExecutor(2) as pool:
        ended = pool.map(lambda start: run_python("-c", code, str(TESTS), start, cwd=tmp_path), ("0", "20"))
    assert [process.returncode for process in ended] == [0, 0]
    assert_holds(shelf_of(), *range(80))
    assert len(shelf_of().records()) == 80


def files_of(shelf: Shelf) -> tuple[Path, Path]:
    """The files of a shelf's rows and of its records."""
    return shelf.folder / "rows.bin", shelf.folder / "index.bin"


def cut(path: Path, size: int) -> None:
    """Leave a file as a writer leaves it that dies after so many bytes."""
    with path.open("r+b") as file:
        file.truncate(size)


ROW = 6 * 4  # bytes in float32
# How far a writer of the rows 3 and 4 behind the rows 1 and 2 got: bytes of rows, bytes of records, what is whole.
DEATHS = {
    "before anything": (2 * ROW, 2 * RECORD.itemsize, ()),
    "in the first row": (2 * ROW + 5, 2 * RECORD.itemsize, ()),
    "after one row": (3 * ROW, 2 * RECORD.itemsize, ()),
    "in the second row": (4 * ROW - 1, 2 * RECORD.itemsize, ()),
    "between rows and records": (4 * ROW, 2 * RECORD.itemsize, ()),
    "in the first record": (4 * ROW, 2 * RECORD.itemsize + 1, ()),
    "with a checksum half written": (4 * ROW, 3 * RECORD.itemsize - 2, ()),
    "after one record": (4 * ROW, 3 * RECORD.itemsize, (3,)),
    "in the second record": (4 * ROW, 4 * RECORD.itemsize - 1, (3,)),
    "at the end": (4 * ROW, 4 * RECORD.itemsize, (3, 4)),
    # Out of order, as only a machine that crashes can leave it.
    "with records before rows": (2 * ROW + 3, 4 * RECORD.itemsize, ()),
    "with one row and two records": (3 * ROW, 4 * RECORD.itemsize, (3,)),
}


@pytest.mark.parametrize(("row_bytes", "record_bytes", "whole"), DEATHS.values(), ids=DEATHS)
def test_what_a_killed_writer_left_is_not_believed_and_not_in_the_way(row_bytes, record_bytes, whole):
    shelf = filled(1, 2, 3, 4)
    rows, index = files_of(shelf)
    cut(rows, row_bytes)
    cut(index, record_bytes)
    assert_holds(shelf_of(), 1, 2, *whole)
    shelf.append(digests(5, 6), rows_of(5, 6))
    assert_holds(shelf_of(), 1, 2, *whole, 5, 6)
    shelf.append(digests(3, 4), rows_of(3, 4))
    assert_holds(shelf_of(), 1, 2, 3, 4, 5, 6)
    assert len(shelf.records()) == 6


def test_a_writer_may_die_at_every_byte():
    whole = filled(1, 2, 3)
    contents = [path.read_bytes() for path in files_of(whole)]
    states = [(size, 0) for size in range(len(contents[0]) + 1)]
    states += [(len(contents[0]), size) for size in range(len(contents[1]) + 1)]
    for sizes in states:
        for path, content, size in zip(files_of(whole), contents, sizes, strict=True):
            path.write_bytes(content[:size])
        assert_holds(whole, *range(1, 1 + sizes[1] // RECORD.itemsize))
        whole.append(digests(9), rows_of(9))
        assert_holds(whole, *range(1, 1 + sizes[1] // RECORD.itemsize), 9)


@pytest.mark.parametrize("zeros_in", ["rows", "index"])
def test_zeros_that_a_crashed_machine_left_are_not_believed(zeros_in):
    shelf = filled(1, 2, 3)
    path, size = dict(zip(("rows", "index"), zip(files_of(shelf), (ROW, RECORD.itemsize), strict=True), strict=True))[
        zeros_in
    ]
    cut(path, 2 * size)
    cut(path, 3 * size)
    assert_holds(shelf, 1, 2)
    shelf.append(digests(3), rows_of(3))
    assert_holds(shelf, 1, 2, 3)


@pytest.mark.parametrize("at", [0, 1, ROW - 1])
def test_a_flipped_byte_is_not_believed_and_a_new_row_is(at):
    shelf = filled(1, 2, 3)
    rows, _ = files_of(shelf)
    content = bytearray(rows.read_bytes())
    content[ROW + at] ^= 0x10
    rows.write_bytes(content)
    assert_holds(shelf, 1, 3)
    shelf.append(digests(2), rows_of(2))
    assert_holds(shelf_of(), 1, 2, 3)
    assert len(shelf.records()) == 4


@pytest.mark.parametrize("at", [0, 31, 32, 35])
def test_a_flipped_byte_in_a_record_is_not_believed(at):
    shelf = filled(1, 2, 3)
    _, index = files_of(shelf)
    content = bytearray(index.read_bytes())
    content[RECORD.itemsize + at] ^= 0x10
    index.write_bytes(content)
    assert_holds(shelf, 1, 3)
    shelf.append(digests(2), rows_of(2))
    assert_holds(shelf, 1, 2, 3)


@pytest.mark.parametrize("name", ["rows.bin", "index.bin", "shelf.json", ".lock"])
@pytest.mark.parametrize("content", [None, b"", b"\xff not what belongs here"])
def test_a_missing_or_damaged_file_costs_its_rows_at_most(name, content):
    shelf = filled(1, 2)
    path = shelf.folder / name
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    assert_holds(shelf_of(), *(() if name.endswith(".bin") else (1, 2)))
    shelf.append(digests(1, 2, 3), rows_of(1, 2, 3))
    assert_holds(shelf_of(), 1, 2, 3)
    (summary,) = list_shelves(shelves_folder())
    assert summary.as_dict()["kind"] == "conv4"


def test_rows_that_are_mapped_survive_what_others_do():
    shelf = filled(1, 2)
    rows = shelf.rows()
    filled(3)
    np.testing.assert_array_equal(rows, rows_of(1, 2))
    assert clear_shelves(shelves_folder()) > 0
    np.testing.assert_array_equal(rows, rows_of(1, 2))
    assert_holds(shelf)
    shelf.append(digests(4), rows_of(4))
    assert_holds(shelf, 4)


def test_a_writer_that_the_disk_refuses_leaves_what_was_there(monkeypatch):
    shelf = filled(1, 2)
    write = Shelf.write

    def refuse(self, name, offset, content):
        if name == "index.bin":
            raise OSError(28, "No space left on device")
        write(self, name, offset, content)

    monkeypatch.setattr(Shelf, "write", refuse)
    with pytest.raises(OSError, match="No space left"):
        shelf.append(digests(3), rows_of(3))
    monkeypatch.setattr(Shelf, "write", write)
    assert_holds(shelf, 1, 2)
    shelf.append(digests(4), rows_of(4))
    assert_holds(shelf, 1, 2, 4)
