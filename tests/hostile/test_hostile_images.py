"""No file makes reading photos take more memory or pieces than is stated: it is refused with a reason, or read."""

import threading
from contextlib import ExitStack

import pytest
from helpers.pictures import draw_noise, draw_quarters, encoded
from PIL import Image, ImageFile

from catdog.errors import UnreadablePhoto
from catdog.photos import decoding_limits, reading
from catdog.photos.decoding_limits import Room, require_few_scans
from catdog.photos.reading import MAX_JPEG_PIXELS, MAX_PIXELS, decoded, read_ahead, read_photo, room_for
from hostile.image_cases import CASES, drawn_over, jpeg_with, png_with, segment
from hostile.reliability import case_ids, check, tried

PATIENCE = 60  # seconds, after which a thread counts as stuck


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return tried("image_cases", tmp_path_factory.mktemp("images") / "empty")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=case_ids(CASES))
def test_a_hostile_file_is_refused_or_read_within_its_memory(case, found):
    check(case, found)


def test_much_that_honest_files_have_before_their_picture_is_passed_over():
    assert read_photo(jpeg_with(segment(0xE1, bytes(60_000)) * 200), 32).shape == (32, 32, 3)
    assert read_photo(png_with(*[(b"abCd", bytes(1_000))] * 4_000), 32).shape == (32, 32, 3)


def test_a_picture_in_small_pieces_is_read(monkeypatch):
    content = encoded(draw_noise(200, 200), "PNG")
    monkeypatch.setattr(decoding_limits, "MAX_PIECES", 4)
    with pytest.raises(UnreadablePhoto, match="the picture in it is in more than 4 pieces"):
        read_photo(content, 32)
    monkeypatch.setattr(decoding_limits, "MAX_PIECES", 40)
    assert read_photo(content, 32).shape == (32, 32, 3)


@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_a_progressive_jpeg_of_the_largest_size_may_go_over_its_picture_twenty_times(kind):
    content = encoded(draw_noise(64, 64), kind, progressive=True)
    assert content.count(b"\xff\xda") == 10
    require_few_scans(content, MAX_JPEG_PIXELS)
    require_few_scans(content, 2 * MAX_JPEG_PIXELS)
    with pytest.raises(UnreadablePhoto, match="drawn over more often than is read"):
        require_few_scans(content, 3 * MAX_JPEG_PIXELS)


def test_what_only_looks_like_a_scan_is_none():
    scan = b"\xff\xda\0\x08" * 100
    content = jpeg_with(segment(0xE1, scan), segment(0xFE, scan)) + scan
    require_few_scans(content, MAX_JPEG_PIXELS)
    assert read_photo(content, 32).shape == (32, 32, 3)
    # Of a small picture it may go over more often.
    assert read_photo(drawn_over(64, 1_000), 32).shape == (32, 32, 3)
    with pytest.raises(UnreadablePhoto, match="drawn over more often"):
        read_photo(drawn_over(64, 30_000), 32)


def test_room_for_pixels_is_never_overdrawn_and_nobody_waits_forever():
    room, asked = Room(100), [70, 40, 40, 1_000, 10, 60, 30, 100] * 5
    inside, most, lock = [], [], threading.Lock()

    def take(pixels: int) -> None:
        with room.taken(pixels):
            with lock:
                inside.append(min(pixels, 100))
                most.append(sum(inside))
            with lock:
                inside.remove(min(pixels, 100))

    threads = [threading.Thread(target=take, args=(pixels,), daemon=True) for pixels in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert max(most) <= 100
    assert room.free == 100


def test_who_waits_for_much_room_is_not_overtaken_by_who_wants_little():
    room, order = Room(100), []

    def take(pixels: int) -> None:
        with room.taken(pixels):
            order.append(pixels)

    with room.taken(60):
        large = threading.Thread(target=take, args=(100,), daemon=True)
        large.start()
        while not room.turn.locked():
            assert large.is_alive()
        small = threading.Thread(target=take, args=(1,), daemon=True)
        small.start()
        assert order == []
    for thread in (large, small):
        thread.join(PATIENCE)
    assert order == [100, 1]


def test_a_photo_holds_its_room_until_it_has_been_made_small(monkeypatch):
    room = Room(96 * 64)
    monkeypatch.setattr(reading, "ROOM", room)
    content = encoded(draw_quarters(), "PNG")
    with decoded(content) as (picture, *_):
        assert picture.size == (96, 64)
        assert room.free == 0
    assert room.free == 96 * 64
    for broken in (content[:-30], b"", b"text"):
        with pytest.raises(UnreadablePhoto):
            read_photo(broken, 32)
        assert room.free == 96 * 64
    with pytest.raises(KeyError), decoded(content):
        raise KeyError
    assert room.free == 96 * 64


def test_a_reduced_jpeg_takes_room_for_a_part_of_its_full_size():
    assert room_for((15_000, 10_000), (1_875, 1_250)) == 60_000_000
    assert room_for((10_000, 10_000), (10_000, 10_000)) == MAX_PIXELS
    assert room_for((25_000, 10_000), (3_125, 1_250)) == MAX_PIXELS


def test_photos_are_read_ahead_where_there_is_room_for_one_alone(monkeypatch):
    monkeypatch.setattr(reading, "ROOM", Room(1))
    found = list(read_ahead([encoded(draw_quarters(), kind) for kind in ("PNG", "JPEG", "WEBP")] * 20, 32))
    assert [photo.reason for photo in found] == [None] * 60


@pytest.mark.parametrize("where", ["load", "resize"])
def test_a_photo_for_which_there_is_no_memory_is_left_out(where, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    content = encoded(draw_quarters(), "BMP")
    monkeypatch.setattr(ImageFile.ImageFile if where == "load" else Image.Image, where, fail)
    with pytest.raises(UnreadablePhoto, match="it needs more memory than there is"):
        read_photo(content, 32)


def test_nothing_is_decoded_while_there_is_no_room(monkeypatch):
    room = Room(96 * 64)
    monkeypatch.setattr(reading, "ROOM", room)
    content, loaded = encoded(draw_quarters(), "PNG"), threading.Event()
    reader = threading.Thread(target=lambda: (read_photo(content, 32), loaded.set()), daemon=True)
    with ExitStack() as held:
        held.enter_context(room.taken(1))
        reader.start()
        while not room.turn.locked():
            assert reader.is_alive()
        assert not loaded.is_set()
    assert loaded.wait(PATIENCE)
