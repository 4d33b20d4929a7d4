"""Fingerprints: what they hold of a photo, and that each content is read once and kept."""

import numpy as np
import pytest
from helpers.pictures import altered, draw_noise, draw_scene, encoded, place, save_scene
from helpers.processes import run_python
from PIL import Image

from catdog.__main__ import main
from catdog.errors import Stopped
from catdog.files.shelves import list_shelves, shelves_folder
from catdog.photos import fingerprints
from catdog.photos.fingerprints import (
    FINGERPRINT,
    KEPT_TOGETHER,
    fingerprint_photos,
    fingerprint_shelf,
    take_fingerprint,
)
from catdog.photos.reading import UnreadablePhoto


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CATDOG_CACHE_GB", raising=False)


@pytest.fixture
def taken(monkeypatch) -> list[bytes]:
    """The contents whose pictures are read from now on."""
    contents = []

    def take(content):
        contents.append(content)
        return take_fingerprint(content)

    monkeypatch.setattr(fingerprints, "take_fingerprint", take)
    return contents


def bits_apart(first: np.ndarray, second: np.ndarray) -> int:
    """In how many of their 64 bits two hashes differ."""
    return int(np.bitwise_count(first ^ second)[0])


@pytest.mark.lowest
def test_a_fingerprint_holds_size_contrast_grey_and_hashes():
    picture = draw_scene(1)
    found = take_fingerprint(encoded(picture, "PNG"))
    assert (found.shape, found.dtype) == ((1,), FINGERPRINT)
    assert (found["width"][0], found["height"][0]) == (200, 150)
    grey = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.BOX), float)
    assert np.abs(found["grey"][0] - grey).max() < 20
    assert found["contrast"][0] == pytest.approx(grey.std(), rel=0.1)
    mirrored = take_fingerprint(encoded(altered(picture, "mirrored"), "PNG"))
    assert bits_apart(found["mirrored_hash"], mirrored["hash"]) <= 2
    assert bits_apart(found["hash"], mirrored["hash"]) > 15
    assert bits_apart(found["hash"], take_fingerprint(encoded(draw_scene(2), "PNG"))["hash"]) > 15


def test_the_size_is_the_files_own_though_a_jpeg_is_read_smaller():
    found = take_fingerprint(encoded(draw_scene(1, 1600, 1200), "JPEG"))
    assert (found["width"][0], found["height"][0]) == (1600, 1200)


def test_a_photo_is_judged_upright():
    picture = draw_scene(3)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(picture.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    upright, found = take_fingerprint(encoded(picture, "PNG")), take_fingerprint(turned)
    assert bits_apart(upright["hash"], found["hash"]) <= 2


def test_fine_noise_is_no_contrast():
    assert take_fingerprint(encoded(draw_noise(1200, 900), "PNG"))["contrast"][0] < 10
    assert take_fingerprint(encoded(Image.new("RGB", (90, 90), "navy"), "PNG"))["contrast"][0] == 0


def test_what_is_no_photo_raises():
    with pytest.raises(UnreadablePhoto, match="text file"):
        take_fingerprint(b"no photo")


def test_each_content_is_read_once_and_kept(tmp_path, taken):
    paths = [save_scene(tmp_path / f"{number}.png", number) for number in range(4)]
    copy = tmp_path / "copy.png"
    copy.write_bytes(paths[0].read_bytes())
    place(tmp_path, "broken.jpg", content=b"broken")
    progress = []
    wanted = [*paths, copy, tmp_path / "broken.jpg", tmp_path / "missing.jpg"]
    first = fingerprint_photos(wanted, lambda done, rate: progress.append(done))
    assert progress == list(range(1, 8))
    assert list(first.digests) == [*paths, copy]
    assert first.digests[copy] == first.digests[paths[0]]
    assert len(first.rows) == 4
    assert [(each.path.name, each.reason) for each in first.unreadable] == [
        ("broken.jpg", "it is a text file, not a photo"),
        ("missing.jpg", "there is no such file"),
    ]
    taken.clear()
    again = fingerprint_photos(wanted)
    assert taken == [b"broken"]
    assert again.digests == first.digests
    assert {digest: row.tobytes() for digest, row in again.rows.items()} == {
        digest: row.tobytes() for digest, row in first.rows.items()
    }
    assert again.unreadable == first.unreadable


def test_a_row_that_was_damaged_is_read_anew(tmp_path, taken):
    path = save_scene(tmp_path / "1.png", 1)
    before = fingerprint_photos([path])
    rows = fingerprint_shelf(shelves_folder()).folder / "rows.bin"
    rows.write_bytes(bytes(len(rows.read_bytes())))
    taken.clear()
    after = fingerprint_photos([path])
    assert len(taken) == 1
    assert next(iter(after.rows.values())) == next(iter(before.rows.values()))


@pytest.mark.parametrize("trouble", ["no room", "no folder"])
def test_without_a_cache_the_same_is_found(tmp_path, monkeypatch, trouble):
    path = save_scene(tmp_path / "1.png", 1)
    if trouble == "no room":
        monkeypatch.setenv("CATDOG_CACHE_GB", "0")
    else:
        (tmp_path / "file").touch()
        monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "file"))
    found = fingerprint_photos([path])
    assert list(found.digests) == [path]
    assert next(iter(found.rows.values()))["width"] == 200
    assert len(fingerprint_shelf(shelves_folder()).records()) == 0


def test_what_was_read_before_it_was_stopped_is_kept(tmp_path, taken):
    paths = [tmp_path / f"{number:04}.png" for number in range(KEPT_TOGETHER + 10)]
    for number, path in enumerate(paths):
        path.write_bytes(encoded(draw_noise(8, 8, 4, number), "PNG"))
    asked = iter(range(len(paths)))
    with pytest.raises(Stopped):
        fingerprint_photos(paths, should_stop=lambda: next(asked) == KEPT_TOGETHER + 5)
    taken.clear()
    fingerprint_photos(paths)
    assert len(taken) == 10


def test_those_of_some_photos_alone(tmp_path):
    paths = [save_scene(tmp_path / f"{number}.png", number) for number in range(3)]
    place(tmp_path, "broken.jpg", "broken too.jpg", content=b"broken")
    found = fingerprint_photos([*paths, tmp_path / "broken.jpg", tmp_path / "broken too.jpg"])
    some = found.only([paths[1], tmp_path / "broken.jpg"])
    assert list(some.digests) == [paths[1]]
    assert list(some.rows) == [found.digests[paths[1]]]
    assert [each.path.name for each in some.unreadable] == ["broken.jpg"]


def test_the_cache_command_names_them(tmp_path, capfd):
    fingerprint_photos([save_scene(tmp_path / "1.png", 1)])
    assert [shelf.what["kind"] for shelf in list_shelves(shelves_folder())] == ["fingerprints"]
    assert main(["cache"]) == 0
    line = capfd.readouterr().out.splitlines()[1]
    assert line.startswith("fingerprints, to find faults by")
    assert "1 photos" in line


def test_nothing_heavy_is_imported_before_a_photo_is_looked_at(tmp_path):
    code = "import sys, catdog.photos.problems; print({'imagehash', 'scipy', 'pywt', 'tensorflow'} & set(sys.modules))"
    assert run_python("-c", code, cwd=tmp_path).stdout.strip() == "set()"
