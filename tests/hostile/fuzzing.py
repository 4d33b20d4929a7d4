"""Files, archives and settings made up by chance, and what must hold of each whatever is in it."""

import argparse
import contextlib
import io
import json
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from helpers.pictures import PHOTO, draw_noise, draw_quarters, encoded, png
from hypothesis import strategies as st

from catdog.commands.arguments import build_parser, listed_labels, listed_photos
from catdog.errors import LONGEST_SENTENCE, Failed, Refused, UnreadablePhoto
from catdog.photos.archives import unpack_photos
from catdog.photos.fingerprints import FINGERPRINT, take_fingerprint
from catdog.photos.reading import is_photo_name, read_photo, small_jpeg
from catdog.runs.run_folder import read_config
from catdog.settings import SETTINGS, TrainConfig
from hostile.reliability import peak_mebibytes

# What deciding on a case may take, where `photos.MAX_PIXELS` is a million.
MOST_MEBIBYTES = 128
MAX_FILES, MAX_BYTES = 12, 5_000
SMALL = draw_quarters(24, 16)
FRAMES = {"save_all": True, "append_images": [draw_noise(24, 16)]}
EXIF = {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"}
# One small file of each kind, and of each way to store a picture that the decoders tell apart.
FILES = (
    encoded(SMALL, "JPEG", **EXIF),
    encoded(SMALL, "JPEG", progressive=True, comment=b"a comment"),
    encoded(SMALL.convert("CMYK"), "JPEG"),
    encoded(SMALL.convert("L"), "JPEG", icc_profile=bytes(100)),
    encoded(SMALL, "MPO", **FRAMES),
    encoded(SMALL, "PNG", **EXIF),
    encoded(SMALL.quantize(4), "PNG", transparency=0),
    encoded(SMALL.convert("RGBA"), "PNG", icc_profile=bytes(100)),
    encoded(SMALL, "PNG", **FRAMES),
    png(np.full((8, 8, 1), 20_000, np.uint16), (b"tRNS", struct.pack(">H", 20_000)), (b"tEXt", b"a\0b")),
    encoded(SMALL, "GIF", comment=b"a comment", **FRAMES),
    encoded(SMALL, "BMP"),
    encoded(SMALL.quantize(4), "BMP"),
    encoded(SMALL, "WEBP", **EXIF),
    encoded(SMALL.convert("RGBA"), "WEBP", lossless=True),
    encoded(SMALL, "WEBP", **FRAMES),
    encoded(SMALL, "AVIF", **EXIF),
    encoded(SMALL.convert("RGBA"), "AVIF"),
    encoded(SMALL, "HEIF", **EXIF),
    encoded(SMALL.convert("RGBA"), "HEIF"),
)
# Numbers at which readers of lengths and sizes go wrong.
TELLING = [0, 1, 2, 7, 8, 255, 256, 1_000, 32_767, 32_768, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1]
NUMBERS = st.builds(
    lambda number, form: struct.pack(form, number % 2 ** (8 * struct.calcsize(form))),
    st.sampled_from(TELLING),
    st.sampled_from([">I", "<I", ">H", "<H", ">B"]),
)
# Where, how much of what is there goes, and what comes in its place; or a part of the file itself once more.
EDITS = st.lists(
    st.tuples(
        st.integers(0, 1 << 16),
        st.sampled_from([0, 1, 2, 4, 8, 50, 1_000]),
        st.binary(max_size=9) | NUMBERS | st.none(),
    ),
    min_size=1,
    max_size=8,
)


def seldom(rare: st.SearchStrategy, usual: st.SearchStrategy) -> st.SearchStrategy:
    """The rare one now and then."""
    return st.integers(0, 7).flatmap(lambda chance: rare if chance == 7 else usual)


def damaged(content: bytes, edits: list[tuple[int, int, bytes | None]], cut: int | None) -> bytes:
    """A file after some edits, cut off somewhere unless that is None."""
    found = bytearray(content)
    for where, length, new in edits:
        start = where % (len(found) + 1)
        part = bytes(found[start : start + length])
        found[start : start + (0 if new is None else length)] = part if new is None else new
    return bytes(found if cut is None else found[: cut % (len(found) + 1)])


def with_right_sums(content: bytes) -> bytes:
    """A PNG with the checksum of each of its chunks made right, so that what was changed is looked at."""
    found, start = bytearray(content), 8
    while start + 12 <= len(found):
        end = start + 8 + int.from_bytes(found[start : start + 4], "big")
        if end + 4 > len(found):
            break
        found[end : end + 4] = struct.pack(">I", zlib.crc32(found[start + 4 : end]))
        start = end + 4
    return bytes(found)


def damaged_photos() -> st.SearchStrategy[bytes]:
    """Photos of each kind after some edits."""
    cut = seldom(st.integers(0, 1 << 16), st.none())
    made = st.builds(damaged, st.sampled_from(FILES), EDITS, cut)
    return st.builds(
        lambda content, right: with_right_sums(content) if right and content.startswith(b"\x89PNG") else content,
        made,
        st.booleans(),
    )


def bytes_like_photos() -> st.SearchStrategy[bytes]:
    """Any bytes, some of them behind the beginning of a photo."""
    beginning = st.builds(lambda content, length: content[:length], st.sampled_from(FILES), st.integers(0, 40))
    return st.binary(max_size=400) | st.builds(bytes.__add__, beginning, st.binary(max_size=400))


PHOTOS = damaged_photos() | bytes_like_photos()


def is_one_sentence(text: str) -> None:
    """A refusal is one line of a sentence, and not longer than it has to be."""
    assert text.splitlines() == [text]
    assert text.endswith(".")
    assert len(text) < LONGEST_SENTENCE + 10


def check_photo(content: bytes) -> None:
    """A file is read as pixels of the right kind or refused with a phrase, whoever reads it."""
    try:
        pixels = read_photo(content, 16)
    except UnreadablePhoto as error:
        reason = str(error)
        assert reason.isprintable()
        assert not reason.endswith(".")
        assert len(reason) < 120
    else:
        assert (pixels.shape, pixels.dtype) == ((16, 16, 3), np.uint8)
    with contextlib.suppress(UnreadablePhoto):
        (row,) = take_fingerprint(content)
        assert row.dtype == FINGERPRINT
        assert np.isfinite(row["contrast"])
    picture = small_jpeg(content, 20)
    assert picture is None or picture.startswith(b"\xff\xd8")
    assert peak_mebibytes() - BEFORE[0] < MOST_MEBIBYTES


# How much memory there was before the first case.
BEFORE = [0.0]

PARTS = st.sampled_from(
    ["cats", "Cats", "dogs", "..", ".", "", "C:", "a\\b", "\n", ".hidden", "__MACOSX", "é", "e\u0301", "x" * 250]
) | st.text(max_size=5)
ODD_NAMES = st.sampled_from(["more.zip", "jpg", "", "con.jpg", "1.jpg\0.txt", " .jpg"])
PATHS = st.builds(
    lambda folders, name: "/".join([*folders, name]),
    st.lists(seldom(PARTS, st.sampled_from(["cats", "Cats", "dogs", "train"])), max_size=4),
    seldom(ODD_NAMES | PARTS, st.sampled_from(["1.jpg", "1.JPG", "2.png", "é.gif", "e\u0301.gif"])),
)
MODES = [0, stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFIFO, 0xFFFF]


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A zip of a few entries, of which some lie about themselves, perhaps damaged as a whole."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in draw(seldom(st.lists(PATHS, max_size=2 * MAX_FILES), st.lists(PATHS, max_size=5))):
            entry = zipfile.ZipInfo("harmless")
            entry.filename = path
            entry.compress_type = draw(seldom(st.sampled_from([12, 14]), st.sampled_from([0, 8])))
            entry.external_attr = draw(seldom(st.sampled_from(MODES), st.just(0))) << 16
            entry.comment = draw(st.sampled_from([b"", b"", b"PK\x01\x02"]))
            with contextlib.suppress(ValueError):  # zipfile refuses what is no UTF-8
                archive.writestr(entry, draw(st.sampled_from([PHOTO, b"", b"no photo", bytes(1_000), b"PK\3\4"])))
    content = packed.getvalue()
    return damaged(content, draw(EDITS), None) if draw(seldom(st.just(True), st.just(False))) else content


def check_archive(content: bytes) -> None:
    """An archive is unpacked whole or not at all, and nowhere but in its folder."""
    with tempfile.TemporaryDirectory() as outside:
        folder = Path(outside) / "photos"
        try:
            count = unpack_photos(io.BytesIO(content), folder, name="a.zip", max_bytes=MAX_BYTES, max_files=MAX_FILES)
        except (Refused, Failed) as error:
            is_one_sentence(str(error))
            assert list(Path(outside).iterdir()) == []
            return
        assert list(Path(outside).iterdir()) == [folder]
        found = list(folder.rglob("*"))
        files = [path for path in found if path.is_file()]
        assert 0 < count == len(files) <= MAX_FILES
        assert sum(path.stat().st_size for path in files) <= MAX_BYTES
        assert all(is_photo_name(path.name) for path in files)
        assert all(stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR) for path in found)


TEXTS = st.text(st.characters() | st.sampled_from(["\udcff", "\n", "\0", "/", ".", "-", "٣"]), max_size=12)
LITTLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1, 32, 224, 512, 513, 2**32])
    | st.builds(lambda: 10**5_000)
    | st.floats()
    | TEXTS
    | st.binary(max_size=9)
    | st.sampled_from(["conv4", "none", "mirror", "auto", "1e-3", "9" * 5_000, "nan", "../a", "a/./b", "cats/1.jpg"])
)
VALUES = st.recursive(
    LITTLE, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
FLAGS = st.sampled_from(
    ["train", "check", "classify", "samples", "--json", "--resume", "--out", "--leave-out", "--relabel", "--", "-h"]
    + [f"--{name.replace('_', '-')}" for name in SETTINGS]
)
SETTINGS_GIVEN = st.fixed_dictionaries(
    {
        "values": st.dictionaries(st.sampled_from([*SETTINGS, "other"]), VALUES, max_size=3),
        "words": st.lists(FLAGS | TEXTS | st.sampled_from(["1", "0.5", "x", "cats"]), max_size=7),
        "edits": EDITS,
    }
)


def check_settings(given: dict[str, Any]) -> None:
    """Settings are within their bounds or refused, from a program, a run's file, the command line and lists alike."""
    try:
        config = TrainConfig(**{name: value for name, value in given["values"].items() if name in SETTINGS})
    except Refused as error:
        is_one_sentence(str(error))
        config = TrainConfig()
    assert TrainConfig(**json.loads(json.dumps(config.as_dict()))) == config
    for name, setting in SETTINGS.items():
        if "low" in setting.metadata:
            assert setting.metadata["low"] <= getattr(config, name) <= setting.metadata["high"]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        try:
            build_parser().parse_args(given["words"])
        except Refused as error:
            is_one_sentence(str(error))
    folder = Path(tempfile.mkdtemp())
    try:
        check_files(folder, config, given)
    finally:
        shutil.rmtree(folder)


def check_files(folder: Path, config: TrainConfig, given: dict[str, Any]) -> None:
    """The same of files with these settings, or with anything: a run's config.json, and the lists of photos."""
    content = json.dumps({"format": 1, "settings": config.as_dict()}).encode()
    for written in (content, damaged(content, given["edits"], None), as_json({"settings": given["values"]})):
        (folder / "config.json").write_bytes(written)
        try:
            assert isinstance(read_config(folder), TrainConfig)
        except Refused as error:
            is_one_sentence(str(error))
    path = folder / "list.csv"
    path.write_bytes("\n".join(given["words"]).encode(errors="surrogatepass") + written)
    for read in (listed_photos, listed_labels):
        try:
            assert isinstance(read(str(path)), tuple)
        except argparse.ArgumentTypeError as error:
            is_one_sentence(str(Refused(f"{error}.")))


def as_json(content: dict[str, Any]) -> bytes:
    """What JSON can hold of some values; nothing where a number is too long for it."""
    try:
        return json.dumps(content, default=repr, skipkeys=True).encode()
    except ValueError:
        return b""
