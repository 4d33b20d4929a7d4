"""Photos in object storage: found, read and refused as those on a disk are. The storage is one in memory."""

import builtins
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import PHOTO

from catdog.__main__ import main
from catdog.errors import Refused, UnreadablePhoto
from catdog.files.storage import as_place, is_address
from catdog.photos.photo_sets import find_photo_set, photos_below
from catdog.photos.reading import MAX_BYTES, digest_files, read_ahead, read_bytes, read_photo
from catdog.results.html_report import name_within, place_within

ADDRESS = "memory://bucket/pets"


@pytest.fixture
def stored(drawings) -> Iterator[str]:
    """The address of a copy of the drawings, with some things beside them."""
    root = as_place(ADDRESS)
    for path in drawings.rglob("*"):
        if path.is_file():
            put(path.relative_to(drawings).as_posix(), path.read_bytes())
    put("train/cats/.hidden.jpg", PHOTO)
    put("train/cats/__MACOSX/other.jpg", PHOTO)
    put("train/cats/notes.txt", b"no photo")
    yield ADDRESS
    root.fs.rm("/bucket", recursive=True)


def put(name: str, content: bytes) -> None:
    """Store a file."""
    place = as_place(f"{ADDRESS}/{name}")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def test_an_address_is_told_from_a_path(tmp_path):
    assert is_address("s3://bucket/photos")
    assert not is_address("photos/s3")
    assert not is_address(Path("s3://bucket"))
    assert as_place("photos") == Path("photos")
    assert as_place(tmp_path) is tmp_path or as_place(tmp_path) == tmp_path


@pytest.mark.lowest
def test_a_photo_set_is_that_of_the_same_folder(drawings, stored):
    there, here = find_photo_set(stored), find_photo_set(drawings)
    assert there.counts() == here.counts()
    names = [str(path).removeprefix(f"{stored}/") for path in there.paths()]
    assert names == [path.relative_to(drawings).as_posix() for path in here.paths()]
    assert digest_files(there.paths()) == digest_files(here.paths())
    first = Path(names[0]).as_posix()
    fewer = find_photo_set(stored, leave_out=[first])
    assert len(fewer.paths()) == len(there.paths()) - 1
    # A set whose validation photos the seed draws has the same ones wherever it lies.
    drawn = [
        sorted(Path(str(photo.path)).name for photo in find_photo_set(folder, seed=3).splits["validation"])
        for folder in (f"{stored}/train", drawings / "train")
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.lowest
def test_photos_are_read_alike(drawings, stored):
    paths = find_photo_set(drawings).paths()[:5]
    places = [f"{stored}/{path.relative_to(drawings).as_posix()}" for path in paths]
    for path, read in zip(paths, read_ahead(places, 48), strict=True):
        np.testing.assert_array_equal(read.pixels, read_photo(path, 48))


@pytest.mark.lowest
def test_what_can_not_be_read_gets_a_reason(stored, monkeypatch):
    for name, reason in (("none.jpg", "there is no such file"), ("train/cats/notes.txt", "it is a text file")):
        (read,) = read_ahead([f"{stored}/{name}"], 48)
        assert read.reason.startswith(reason)
    monkeypatch.setattr("catdog.photos.reading.MAX_BYTES", 10)
    with pytest.raises(UnreadablePhoto, match="the file is larger than"):
        read_bytes(photos_below(as_place(stored))[0])
    assert MAX_BYTES > 10


def test_storage_that_fails_is_a_reason_and_no_traceback(stored, monkeypatch):
    class Fails:
        def open(self, mode):
            raise RuntimeError("no\ncredentials.")

    with pytest.raises(UnreadablePhoto, match=r"^the file can't be opened \(no credentials\)$"):
        read_bytes(Fails())


@pytest.mark.parametrize(
    ("address", "telling"),
    [
        ("memory://nothing/here", "There is no folder memory://nothing/here"),
        ("nonsense://bucket", r"The address nonsense://bucket can't be used \(Unsupported filesystem"),
        ("gs://bucket/x", r"The address gs://bucket/x can't be used \(Please install gcsfs"),
    ],
)
def test_what_is_not_there_is_refused(address, telling, capsys):
    with pytest.raises(Refused, match=telling):
        find_photo_set(address)
    assert main(["classify", "starter", address]) == 2


def test_without_the_packages_an_address_is_refused_with_the_way_out(monkeypatch):
    real = builtins.__import__

    def without(name, *others, **options):
        if name == "upath":
            raise ImportError(name)
        return real(name, *others, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Refused, match=r"takes more packages: pip install -r requirements-ray\.txt"):
        as_place(ADDRESS)


def test_a_stored_folder_is_classified_as_the_same_one_here(trained, drawings, stored, tmp_path):
    for name, folder in (("there", f"{stored}/validation"), ("here", str(drawings / "validation"))):
        assert main(["classify", str(trained), folder, "--csv", str(tmp_path / f"{name}.csv")]) == 0
    there, here = (list(csv.reader((tmp_path / f"{name}.csv").read_text().splitlines())) for name in ("there", "here"))
    assert [row[1:] for row in there] == [row[1:] for row in here]
    assert [Path(row[0]).name for row in there] == [Path(row[0]).name for row in here]
    assert main(["classify", str(trained), there[1][0]]) == 0


def test_a_report_looks_in_storage_for_photos_of_its_own_folder_alone():
    assert str(place_within(f"{ADDRESS}/a.jpg", ADDRESS)) == f"{ADDRESS}/a.jpg"
    assert isinstance(place_within("memory://other/a.jpg", ADDRESS), Path)
    assert isinstance(place_within(f"{ADDRESS}/a.jpg", "pets"), Path)
    assert name_within(f"{ADDRESS}/train/a.jpg", ADDRESS) == "train/a.jpg"
