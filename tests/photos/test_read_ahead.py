"""Photos that are read ahead of whoever uses them, by several threads."""

import hashlib
import threading

import numpy as np
import pytest
from helpers.pictures import PHOTO, place

from catdog.photos import reading
from catdog.photos.reading import READ_AHEAD, read_ahead, read_photo


def test_read_ahead_keeps_the_order_and_goes_on_after_a_broken_photo(tmp_path):
    place(tmp_path, "first.png", "last.png")
    sources = [tmp_path / "first.png", b"text", str(tmp_path / "none.jpg"), PHOTO, tmp_path / "last.png"]
    found = list(read_ahead(sources, 32))
    assert [photo.source for photo in found] == sources
    assert [photo.reason for photo in found] == [
        None,
        "it is a text file, not a photo",
        "there is no such file",
        None,
        None,
    ]
    digest = hashlib.sha256(PHOTO).hexdigest()
    assert [photo.digest for photo in found] == [digest, hashlib.sha256(b"text").hexdigest(), "", digest, digest]
    for photo in found:
        if photo.reason:
            assert photo.pixels is None
        else:
            assert np.array_equal(photo.pixels, read_photo(PHOTO, 32))


def test_read_ahead_keeps_the_order_where_a_later_photo_is_ready_sooner(monkeypatch):
    later_is_ready = threading.Event()

    def read(source: bytes, image_size: int) -> np.ndarray:
        if source == b"first":
            assert later_is_ready.wait(timeout=30)
        else:
            later_is_ready.set()
        return np.frombuffer(source, np.uint8)

    monkeypatch.setattr(reading.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(reading, "read_photo", read)
    assert [photo.pixels.tobytes() for photo in read_ahead([b"first", b"later"], 32)] == [b"first", b"later"]


def test_read_ahead_of_nothing_and_of_a_single_photo():
    assert list(read_ahead([], 32)) == []
    assert [photo.source for photo in read_ahead([PHOTO], 32)] == [PHOTO]


def test_read_ahead_does_not_run_far_ahead_of_whoever_uses_the_photos():
    taken = 0

    def sources():
        nonlocal taken
        for _ in range(4 * READ_AHEAD):
            taken += 1
            yield PHOTO

    ahead = [taken - done for done, _ in enumerate(read_ahead(sources(), 8), start=1)]
    assert max(ahead) == READ_AHEAD
    assert len(ahead) == 4 * READ_AHEAD


def reading_threads() -> list[str]:
    """The threads that read photos now."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-photo")]


def test_the_threads_of_read_ahead_end_when_nobody_wants_more():
    taken = []
    for photo in read_ahead((taken.append(1) or PHOTO for _ in range(10_000)), 32):
        assert photo.pixels is not None
        assert reading_threads()
        break
    assert reading_threads() == []
    assert len(taken) == READ_AHEAD + 1


def test_the_threads_of_read_ahead_end_when_something_else_fails():
    def sources():
        yield PHOTO
        raise KeyError("the list of photos is broken")

    with pytest.raises(KeyError):
        list(read_ahead(sources(), 32))
    assert reading_threads() == []
