"""Zip archives that a stranger might send, and what is said of each."""

import io
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from helpers.pictures import PHOTO

from catdog.errors import Refused
from catdog.photos.archives import FREE_BYTES, MAX_DEPTH, MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_RATIO, unpack_photos
from catdog.photos.photo_sets import photos_below
from catdog.photos.reading import MAX_PIXELS, UnreadablePhoto, read_photo
from hostile.image_cases import blank_png, too_large
from hostile.reliability import Case, try_all

NAME = "pets.zip"
MAX_FILES = 100_000  # as `unpack_photos` has it where nobody says otherwise
SMALL = 64  # MiB
RATIO = f"{FREE_BYTES // 1_000_000} MB, and {MAX_RATIO} times the archive's size"
MANY = 1_000_000


def zipped(*entries: str | zipfile.ZipInfo, content: bytes = PHOTO) -> bytes:
    """The bytes of a zip with a harmless photo and these entries, whose names are written as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cats/1.png", PHOTO)
        for entry in entries:
            made = entry if isinstance(entry, zipfile.ZipInfo) else zipfile.ZipInfo("harmless")
            made.compress_type = zipfile.ZIP_DEFLATED
            if made is not entry:
                made.filename = entry
            archive.writestr(made, content)
    return buffer.getvalue()


def of_kind(kind: int) -> zipfile.ZipInfo:
    """An entry that unpacks to a link or a device."""
    entry = zipfile.ZipInfo("cats/2.png")
    entry.external_attr = (kind | 0o644) << 16
    return entry


def locked() -> bytes:
    """A zip that says that its photo needs a password."""
    archive = bytearray(zipped())
    archive[archive.index(b"PK\x01\x02") + 8] |= 1  # a flag in the table of contents
    return bytes(archive)


def with_table(local: bytes, entries: Iterable[bytes], claimed: int | None = None) -> bytes:
    """A zip of these local headers and these entries of its table of contents, of which it claims another number."""
    table = list(entries)
    count, size = len(table) if claimed is None else claimed, sum(map(len, table))
    end = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, size, len(local))
    end += struct.pack("<IIQI", 0x07064B50, 0, len(local) + size, 1)
    short = min(count, 65_535)
    end += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, short, short, size, len(local), 0)
    return b"".join([local, *table, end])


def photo_header(mark: int, name: bytes, packed: bytes, content: bytes) -> bytes:
    """A local header or, without its name, an entry of the table of contents for deflated content."""
    sizes = (zlib.crc32(content), len(packed), len(content), len(name))
    if mark == 0x04034B50:
        return struct.pack("<IHHHHHIIIHH", mark, 20, 0, 8, 0, 0, *sizes, 0) + name + packed
    return struct.pack("<IHHHHHHIIIHHHHHII", mark, 20, 20, 0, 8, 0, 0, *sizes, 0, 0, 0, 0, 0, 0) + name


def crowded(claimed: int | None = None) -> bytes:
    """A zip with a million entries."""
    local = photo_header(0x04034B50, b"1.png", zlib.compress(PHOTO)[2:-4], PHOTO)
    entry = photo_header(0x02014B50, b"0000000.png", b"", b"")
    return with_table(local, (entry.replace(b"0000000", b"%07d" % number) for number in range(MANY)), claimed)


def overlapping() -> bytes:
    """A zip whose thousand entries all mean the same 50 MB of zeros, packed into 50 KB."""
    content = bytes(50_000_000)
    packed = zlib.compress(content, 9)[2:-4]
    local = photo_header(0x04034B50, b"1.bmp", packed, content)
    return with_table(local, [photo_header(0x02014B50, b"1.bmp", packed, content)] * 1_000)


def cut_off() -> list[bytes]:
    """A zip cut off at every tenth of it."""
    archive = zipped(*(f"cats/{number}.png" for number in range(20)))
    return [archive[: len(archive) * tenth // 10] for tenth in range(1, 10)]


def refused(reason: str, way_out: str = "pack the photos again as a plain zip") -> str:
    """The sentence with which an archive is refused."""
    return f"{NAME} {reason}: {way_out}."


def not_unpacked(path: str, danger: str) -> str:
    """The sentence for an entry that must not be unpacked."""
    return refused(f"was not unpacked, because {path!a} in it {danger}")


LEADS_OUT = "leads out of the folder it belongs in"
NO_ZIP = refused("is no zip archive, or a damaged one", "pack the photos into a .zip again")
TOO_MANY = refused(f"holds more than {MAX_FILES:,} files", "split it into smaller archives")
WHOLE = "its 1 photo is unpacked, and nothing else"
LONG = "x" * 300 + ".png"

CASES = [
    *(
        Case(
            f"a path that leads out, `{path}`", "", not_unpacked(path, LEADS_OUT), lambda path=path: zipped(path), SMALL
        )
        for path in ("/etc/x.png", "../x.png", "a/../../x.png", "C:/x.png", "..\\x.png")
    ),
    *(
        Case(
            what,
            "files and folders alone",
            not_unpacked("cats/2.png", "is a link or a device"),
            lambda kind=kind: zipped(of_kind(kind), content=b"/etc/passwd"),
            SMALL,
        )
        for what, kind in (
            ("a symbolic link", stat.S_IFLNK),
            ("a device", stat.S_IFCHR),
            ("a named pipe", stat.S_IFIFO),
        )
    ),
    Case(
        "200 MB of zeros, packed into 0.2 MB",
        RATIO,
        refused("unpacks to more than 139 MB, which is too much", "split it into smaller archives"),
        lambda: zipped("bomb.bmp", content=bytes(200_000_000)),
        SMALL,
    ),
    Case(
        "1,000 entries that all mean the same 50 MB",
        "each in a place of its own",
        refused("has several photos in the same place"),
        overlapping,
        SMALL,
    ),
    Case("a million entries", f"{MAX_FILES:,} files", TOO_MANY, crowded, SMALL),
    Case("a million entries that claim to be one", f"{MAX_FILES:,} files", TOO_MANY, lambda: crowded(1), SMALL),
    Case("an archive in the archive", "photos alone", WHOLE, lambda: zipped("more.zip", content=zipped()), SMALL),
    Case(
        "an archive in the archive, named .png",
        "",
        "its 2 photos are unpacked; 2.png: it is a zip archive, not a photo",
        lambda: zipped("cats/2.png", content=zipped()),
        SMALL,
    ),
    Case(
        "a photo of 10,001 x 10,001 black pixels",
        f"{MAX_PIXELS // 1_000_000} million pixels",
        f"its 2 photos are unpacked; 2.png: {too_large('10001 x 10001', MAX_PIXELS)}",
        lambda: zipped("cats/2.png", content=blank_png(10_001)),
        SMALL,
    ),
    Case("a photo under a password", "", not_unpacked("cats/1.png", "is locked with a password"), locked, SMALL),
    Case(
        "files whose names differ by case alone",
        "",
        "its 3 photos are unpacked, as 1 (2).png, 1 (3).PNG, 1.png",
        lambda: zipped("Cats/1.png", "CATS/1.PNG"),
        SMALL,
    ),
    Case(
        "a name with a line break",
        "",
        not_unpacked("cats/\n.png", "has control characters in its name"),
        lambda: zipped("cats/\n.png"),
        SMALL,
    ),
    Case(
        "a name of 304 bytes",
        f"{MAX_NAME_BYTES} bytes, {MAX_PATH_BYTES:,} with its folders",
        not_unpacked(LONG[:77] + "...", "has too long a name"),
        lambda: zipped(LONG),
        SMALL,
    ),
    Case(
        "a file 40 folders deep",
        f"{MAX_DEPTH} folders",
        not_unpacked("a/" * 38 + "a...", "has too long a name"),
        lambda: zipped("a/" * 40 + "x.png"),
        SMALL,
    ),
    Case("cut off at every tenth", "", NO_ZIP, cut_off, SMALL),
    Case("nothing, named .zip", "", NO_ZIP, lambda: b"", SMALL),
    Case("a photo named .zip", "", NO_ZIP, lambda: PHOTO, SMALL),
]


def outcome_of(archive: bytes) -> str:
    """What is said of an archive, or how many of its photos were unpacked and which of them can't be read."""
    folder = Path("photos")
    try:
        unpack_photos(io.BytesIO(archive), folder, name=NAME)
    except Refused as error:
        assert not folder.exists()
        return str(error)
    photos = photos_below(folder)
    words = "its 1 photo is unpacked" if len(photos) == 1 else f"its {len(photos)} photos are unpacked"
    reasons = []
    for path in photos:
        try:
            read_photo(path, 32)
        except UnreadablePhoto as error:
            reasons.append(f"{path.name}: {error}")
    if len(photos) > 2:
        words += f", as {', '.join(path.name for path in photos)}"
    others = [path for path in folder.rglob("*") if path.is_file() and path not in photos]
    shutil.rmtree(folder)
    assert not others
    return "; ".join([words, *reasons]) if len(photos) > 1 else f"{words}, and nothing else"


def attempt(made: bytes | list[bytes]) -> str:
    """What is said of each archive that a case has made; one answer where that is the same."""
    return "; ".join(sorted({outcome_of(each) for each in (made if isinstance(made, list) else [made])}))


if __name__ == "__main__":
    try_all(CASES, attempt)
