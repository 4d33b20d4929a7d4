import io
import struct
import zipfile
from pathlib import Path
from random import Random

import pytest

from catdog.errors import Failed, Refused
from catdog.photos import archives
from catdog.photos.archives import unpack_photos

# Archives are about names and bytes: what the photos show doesn't matter here.
PHOTO = Random(1).randbytes(2_000)
SET = ["top/train/cats/1.jpg", "top/train/dogs/1.jpg", "top/validation/cats/2.jpg", "top/validation/dogs/2.jpg"]


def entry(path: str, kind: int = 0, compression: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    """An entry of any name: set afterwards, since ZipInfo makes names harmless."""
    made = zipfile.ZipInfo("harmless")
    made.filename = path
    made.external_attr = kind << 16
    made.compress_type = compression
    return made


def packed(*entries: str | zipfile.ZipInfo, content: bytes = PHOTO) -> bytes:
    """The bytes of a zip with these entries, all of the same content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for each in entries:
            archive.writestr(each if isinstance(each, zipfile.ZipInfo) else entry(each), content)
    return buffer.getvalue()


def unpack(archive: bytes, folder: Path, **limits) -> list[str]:
    """What is in the folder after unpacking, as sorted relative paths."""
    count = unpack_photos(io.BytesIO(archive), folder, name="pets.zip", **limits)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert count == len(files)
    return files


def assert_refused(archive: bytes, tmp_path: Path, sentence: str, **limits) -> None:
    """Refused in one sentence that names the archive and a way out, and nothing is left."""
    with pytest.raises(Refused, match=sentence) as raised:
        unpack(archive, tmp_path / "data" / "photos", **limits)
    text = str(raised.value)
    assert text.startswith("pets.zip ")
    assert ": " in text
    assert text.endswith(".")
    assert text.isprintable()
    assert list(tmp_path.iterdir()) == []


def test_photos_keep_their_folders_and_content(tmp_path):
    seen = []
    files = unpack(packed(*SET), tmp_path / "photos", on_progress=lambda *progress: seen.append(progress))
    assert files == ["train/cats/1.jpg", "train/dogs/1.jpg", "validation/cats/2.jpg", "validation/dogs/2.jpg"]
    assert (tmp_path / "photos/train/cats/1.jpg").read_bytes() == PHOTO
    assert seen[-1] == (4, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_an_archive_on_the_disk_goes_into_an_empty_folder(tmp_path):
    (tmp_path / "pets.zip").write_bytes(packed(*SET))
    (tmp_path / "photos").mkdir()
    assert unpack_photos(tmp_path / "pets.zip", tmp_path / "photos", name="pets.zip") == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pets.zip", "photos"]


def test_a_missing_archive_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"^pets.zip can't be opened \(.*choose"):
        unpack_photos(tmp_path / "pets.zip", tmp_path / "photos", name="pets.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_stays_as_it_is(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(Refused, match="choose a new or an empty one"):
            unpack(packed(*SET), folder)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_that_comes_open_stays_open(tmp_path):
    buffer = io.BytesIO(packed(*SET))
    unpack_photos(buffer, tmp_path / "photos", name="pets.zip")
    assert not buffer.closed


@pytest.mark.parametrize(
    ("paths", "files"),
    [
        (["cats/x.jpg"], ["cats/x.jpg"]),
        (["x.jpg", "y.jpg"], ["x.jpg", "y.jpg"]),
        (["a/b/cats/x.jpg", "a/b/dogs/x.jpg"], ["cats/x.jpg", "dogs/x.jpg"]),
        (["a/b/train/cats/x.jpg", "a/b/val/cats/x.jpg"], ["train/cats/x.jpg", "val/cats/x.jpg"]),
        (["top/x.jpg", "top/cats/x.jpg"], ["cats/x.jpg", "x.jpg"]),
        (["top/cats/x.jpg", "top/dogs/x.jpg", "y.jpg"], ["top/cats/x.jpg", "top/dogs/x.jpg", "y.jpg"]),
        (["./top//cats/x.jpg", "top/./dogs/x.jpg"], ["cats/x.jpg", "dogs/x.jpg"]),
        (["Top/cats/x.jpg", "top/dogs/x.jpg", "readme.txt"], ["cats/x.jpg", "dogs/x.jpg"]),
    ],
)
def test_top_folders_that_hold_all_are_stripped(tmp_path, paths, files):
    assert unpack(packed(*paths), tmp_path / "photos") == files


def test_only_photos_are_unpacked(tmp_path):
    endings = ["jpg", "JPEG", "png", "gif", "bmp", "webp", "avif", "heic", "HEIF"]
    others = ["a/", "notes.txt", "inner.zip", "a/.x.jpg", ".hidden/x.jpg", "__MACOSX/a/x.jpg", "jpg", "x.jpg/"]
    photos = [f"a/x.{ending}" for ending in endings]
    assert unpack(packed(*photos, *others), tmp_path / "photos") == sorted(photos)


def test_an_archive_without_photos_is_refused(tmp_path):
    assert_refused(packed("notes.txt", "inner.zip"), tmp_path, "holds no photos")
    assert_refused(packed(), tmp_path, "holds no photos")


@pytest.mark.parametrize(
    "path",
    ["/x.jpg", "//server/x.jpg", "../x.jpg", "a/../../x.jpg", "a/..", "C:/x.jpg", "a/c:x.jpg", "a\\x.jpg", "..\\x"],
)
def test_a_path_that_leads_out_refuses_the_whole(tmp_path, path):
    assert_refused(packed("cats/1.jpg", path), tmp_path, "leads out of the folder")


@pytest.mark.parametrize("path", ["a\0.jpg", "x.jpg\0.txt", "a\nb.jpg", "a/\x1b[31m.jpg", "\x7f.jpg", "\x85.txt"])
def test_control_characters_are_refused(tmp_path, path):
    assert_refused(packed("cats/1.jpg", path), tmp_path, "control characters")


@pytest.mark.parametrize(
    "path", ["a" * 300 + ".jpg", "ß" * 130 + ".jpg", "a" * 200 + "/" + "b/" * 33, "abcdefg/" * 150]
)
def test_over_long_names_are_refused(tmp_path, path):
    assert_refused(packed("cats/1.jpg", path), tmp_path, "too long a name")


def test_a_nameless_entry_is_refused(tmp_path):
    assert_refused(packed("cats/1.jpg", "."), tmp_path, "has no name")


@pytest.mark.parametrize("kind", [0o120777, 0o010644, 0o020644, 0o060644, 0o140644])
def test_links_and_devices_are_refused(tmp_path, kind):
    assert_refused(packed("cats/1.jpg", entry("cats/2.jpg", kind)), tmp_path, "link or a device")


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_locked_entries_are_refused(tmp_path, flag):
    archive = bytearray(packed("cats/1.jpg"))
    central = archive.index(b"PK\x01\x02")
    archive[central + 8 : central + 10] = struct.pack("<H", flag)
    assert_refused(bytes(archive), tmp_path, "locked with a password")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression_is_refused(tmp_path, compression):
    assert_refused(packed(entry("cats/1.jpg", compression=compression)), tmp_path, "unusual way")


@pytest.mark.parametrize("path", ["cats/{}.jpg", "{}.txt", "{}/"])
def test_too_many_entries_are_refused_before_zipfile_lists_them(tmp_path, monkeypatch, path):
    archive = packed(*[path.format(number) for number in range(11)])

    def listed(*_):
        raise AssertionError("zipfile made an object of an entry")

    monkeypatch.setattr(zipfile.ZipInfo, "_decodeExtra", listed)
    assert_refused(archive, tmp_path, "more than 10 files", max_files=10)


def test_the_allowed_number_of_entries_passes(tmp_path):
    assert len(unpack(packed(*[f"{number}.jpg" for number in range(10)]), tmp_path / "photos", max_files=10)) == 10


def test_a_huge_table_of_contents_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "FREE_DIRECTORY_BYTES", 0)
    monkeypatch.setattr(archives, "ENTRY_BYTES", 64)
    padded = entry("cats/1.jpg")
    padded.comment = b"-" * 60_000
    assert_refused(packed(padded), tmp_path, "more than 100 files", max_files=100)


def test_more_bytes_than_allowed_are_refused_while_unpacking(tmp_path):
    archive = packed(*[f"cats/{number}.jpg" for number in range(6)], content=PHOTO * 100)
    assert_refused(archive, tmp_path, "unpacks to more than 1 MB", max_bytes=1_000_000)
    assert len(unpack(archive, tmp_path / "photos", max_bytes=1_200_000)) == 6


def test_an_absurd_ratio_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 1_000_000)
    assert_refused(packed("bomb.bmp", content=bytes(20_000_000)), tmp_path, "unpacks to more than")


def announcing(size: int) -> bytes:
    """A zip with a photo of 1,000,000 bytes whose header says another size."""
    archive = bytearray(packed("cats/1.jpg", content=bytes(1_000_000)))
    central = archive.index(b"PK\x01\x02")
    archive[central + 24 : central + 28] = struct.pack("<I", size)
    return bytes(archive)


def test_a_header_that_announces_too_little_is_refused(tmp_path):
    assert_refused(announcing(1), tmp_path, "damaged at cats/1.jpg")


def test_bytes_are_counted_as_they_come_and_not_as_announced(tmp_path):
    assert unpack(announcing(10_000_000), tmp_path / "photos", max_bytes=1_000_000) == ["cats/1.jpg"]
    assert (tmp_path / "photos/cats/1.jpg").stat().st_size == 1_000_000


def test_a_wrong_checksum_is_refused(tmp_path):
    archive = packed(*(entry(path, compression=zipfile.ZIP_STORED) for path in SET))
    assert_refused(archive.replace(PHOTO[:50], bytes(50)), tmp_path, "damaged at top/train/cats/1.jpg: download it")


def test_no_zip_is_refused(tmp_path):
    for content in (b"", b"PK", PHOTO, b"Rar!\x1a\x07\x00" + PHOTO):
        assert_refused(content, tmp_path, "is no zip archive, or a damaged one")


def test_a_truncated_zip_is_refused(tmp_path):
    archive = packed(*SET)
    for kept in (30, len(archive) // 2, len(archive) - 1):
        assert_refused(archive[:kept], tmp_path, "is no zip archive, or a damaged one")


def test_damage_anywhere_is_refused_or_harmless(tmp_path):
    archive = packed(*SET, content=b"photo" * 5)
    random = Random(0)
    for number in range(500):
        broken = bytearray(archive)
        for _ in range(random.randint(1, 3)):
            broken[random.randrange(len(broken))] = random.randrange(256)
        folder = tmp_path / str(number)
        try:
            unpacked = unpack(bytes(broken), folder)
        except Refused:
            unpacked = []
        # Whole or not at all, and nothing under another name than it had.
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == unpacked


def test_files_whose_names_differ_by_case_are_told_apart(tmp_path):
    paths = ["cats/A.jpg", "cats/a.JPG", "cats/a (2).jpg", "cats/a.jpg", "cats/\u00e9.jpg", "cats/E\u0301.jpg"]
    files = unpack(packed(*paths), tmp_path / "photos")
    renamed = ["cats/A.jpg", "cats/a (2).JPG", "cats/a (2) (2).jpg", "cats/a (3).jpg", "cats/\u00e9.jpg"]
    assert files == sorted([*renamed, "cats/E\u0301 (2).jpg"])


def test_folders_whose_names_differ_by_case_become_one(tmp_path):
    paths = ["Cats/Old/1.jpg", "cats/old/2.jpg", "CATS/3.jpg", "dogs/4.jpg"]
    files = unpack(packed(*paths), tmp_path / "photos")
    assert files == ["Cats/3.jpg", "Cats/Old/1.jpg", "Cats/Old/2.jpg", "dogs/4.jpg"]


def test_a_file_with_the_name_of_a_folder_is_told_apart(tmp_path):
    assert unpack(packed("a.jpg", "A.JPG/b.jpg"), tmp_path / "photos") == ["A.JPG/b.jpg", "a (2).jpg"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_many_files_of_one_name_are_all_kept(tmp_path):
    files = unpack(packed(*["cats/a.jpg"] * 300), tmp_path / "photos")
    assert len(files) == 300
    assert "cats/a (300).jpg" in files


def test_a_full_disk_is_a_sentence_and_nothing_is_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(Failed, match=r"pets\.zip could not be written to .*\(No space left on device\): make room"):
        unpack(packed(*SET), tmp_path / "data" / "photos")
    assert list(tmp_path.iterdir()) == []
