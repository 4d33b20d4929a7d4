"""The photos of a zip archive that a stranger may have made: checked, and unpacked whole or not at all."""

import io
import re
import shutil
import stat
import struct
import time
import unicodedata
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from catdog.errors import Failed, Refused
from catdog.files.folders import require_empty
from catdog.photos.reading import is_photo_name

# Photos are compressed already, so that honest archives hardly shrink; drawings shrink more.
MAX_RATIO = 200
FREE_BYTES = 100_000_000  # what any archive may unpack to, however small it is
MAX_DEPTH = 32
MAX_PATH_BYTES = 1_000
MAX_NAME_BYTES = 240  # file systems allow 255; the rest is for telling equal names apart
ENTRY_BYTES = 512  # of the table of contents; names and notes seldom need a third of it
FREE_DIRECTORY_BYTES = 1 << 16  # what it may have anyway
ENTRY_MARK = b"PK\x01\x02"  # begins each entry of the table of contents
ENCRYPTED = 0x1 | 0x40 | 0x2000  # flag bits: encrypted, strongly encrypted, names encrypted
DRIVE = re.compile(r"[A-Za-z]:")
CHUNK_BYTES = 1 << 18
PROGRESS_SECONDS = 0.1
# What zipfile raises on bytes that are no zip or not a whole one.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
    IndexError,
    OverflowError,
    OSError,
)

# How sentences on an archive of photos go on behind its name.
TOO_MANY = "holds more than {:,} files: split it into smaller archives."
NO_ARCHIVE = "is no zip archive, or a damaged one: pack the photos into a .zip again."

Parts = tuple[str, ...]


def unpack_photos(
    archive: Path | BinaryIO,
    folder: Path,
    *,
    name: str,
    max_bytes: int = 4_000_000_000,
    max_files: int = 100_000,
    on_progress: Callable[[int, int], object] | None = None,
) -> int:
    """The number of photos unpacked from a zip into `folder`, which must be absent or empty.

    The folders inside are kept, but for a top folder that holds all. Folders whose names differ by case alone
    become one; of files whose names do, the first keeps its name and the next is called "name (2).jpg". Calls
    `on_progress(done_files, total_files)` at most ten times a second and once at the end. Raises `Refused`
    where the archive, called `name`, is unsafe, too large or damaged, `Failed` where the disk is full; then
    nothing is left behind.
    """
    folder = folder.resolve()
    require_empty(folder)
    with opened(archive, name) as file, read_contents(file, name, max_files) as contents:
        photos = _choose_photos(contents.infolist(), name)
        max_bytes = min(max_bytes, FREE_BYTES + MAX_RATIO * file.seek(0, io.SEEK_END))
        try:
            with staged(folder) as unfinished:
                _write_photos(contents, photos, unfinished, name, max_bytes, on_progress)
        except OSError as error:
            raise Failed(
                f"The photos of {name} could not be written to {folder} ({error.strerror or error}): "
                "make room there or choose another folder."
            ) from error
    return len(photos)


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `folder` in the end, or vanishes with all in it."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    # A sibling, so that putting it in place is a rename; hidden, so that nobody takes it for photos.
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        if folder.exists():
            folder.rmdir()  # Windows doesn't rename onto an empty folder
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):  # it isn't empty, when all went well
                parent.rmdir()


class _Contents:
    """An archive's file, which refuses to be read as a table of contents of more than `max_files` entries.

    zipfile reads that table at once and makes objects of all its entries, whatever their number.
    """

    def __init__(self, file: BinaryIO, max_files: int, refusal: Refused):
        self.file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self.refusal = refusal
        self.max_files = max_files
        self.opening = True

    def read(self, count: int = -1) -> bytes:
        if self.opening and count > self.max_files * ENTRY_BYTES + FREE_DIRECTORY_BYTES:
            raise self.refusal
        content = self.file.read(count)
        if self.opening and content.count(ENTRY_MARK) > self.max_files:
            raise self.refusal
        return content


def opened(archive: Path | BinaryIO, name: str):
    """A context with the archive's open file; one that came open stays open."""
    if not isinstance(archive, Path):
        return nullcontext(archive)
    try:
        return archive.open("rb")
    except OSError as error:
        raise Refused(f"{name} can't be opened ({error.strerror or error}): choose another file.") from error


@contextmanager
def read_contents(
    file: BinaryIO, name: str, max_files: int, too_many: str = TOO_MANY, damaged: str = NO_ARCHIVE
) -> Iterator[zipfile.ZipFile]:
    """The open archive with its table of contents read; raises `Refused` with its name and one of the two reasons."""
    guarded = _Contents(file, max_files, Refused(f"{name} {too_many.format(max_files)}"))
    with reading(f"{name} {damaged}"):
        contents = zipfile.ZipFile(guarded)
    guarded.opening = False
    with contents:
        yield contents


@contextmanager
def reading(sentence: str) -> Iterator[None]:
    """Turns what zipfile raises on damaged bytes into `Refused` with this sentence."""
    try:
        yield
    except DAMAGE as error:
        raise Refused(sentence) from error


def _choose_photos(entries: list[zipfile.ZipInfo], name: str) -> list[tuple[zipfile.ZipInfo, Parts]]:
    """The photos among an archive's entries, each with the path it gets; raises `Refused`."""
    chosen = []
    for entry in entries:
        path = entry.orig_filename  # `filename` ends at a NUL and was made to look harmless on Windows
        parts = tuple(part for part in path.split("/") if part not in ("", "."))
        if danger := _danger(entry, parts):
            shown = path if len(path) <= 80 else path[:77] + "..."
            raise Refused(
                f"{name} was not unpacked, because {shown!a} in it {danger}: pack the photos again as a plain zip."
            )
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
        if not path.endswith("/") and not hidden and is_photo_name(parts[-1]):
            chosen.append((entry, parts))
    if not chosen:
        raise Refused(f"{name} holds no photos: choose a zip of JPEG, PNG or other photos.")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry, _ in chosen):
        # The others decompress without bounds in zipfile, or not at all.
        raise Refused(f"{name} is compressed in an unusual way: pack the photos again as a plain zip.")
    if len({entry.header_offset for entry, _ in chosen}) < len(chosen):
        # Newer versions of zipfile say so, too, once they come to it.
        raise Refused(f"{name} has several photos in the same place: pack the photos again as a plain zip.")
    paths = _tell_apart(_strip_top([parts for _, parts in chosen]))
    return [(entry, path) for (entry, _), path in zip(chosen, paths, strict=True)]


def _danger(entry: zipfile.ZipInfo, parts: Parts) -> str | None:
    """Why an entry must not be unpacked, to read on behind its name; None for a harmless one."""
    path = entry.orig_filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if path.startswith("/") or "\\" in path or ".." in parts or any(DRIVE.match(part) for part in parts):
        return "leads out of the folder it belongs in"
    if any(unicodedata.category(character) == "Cc" for character in path):
        return "has control characters in its name"
    names_fit = all(len(part.encode()) <= MAX_NAME_BYTES for part in parts)
    if not names_fit or len(path.encode()) > MAX_PATH_BYTES or len(parts) > MAX_DEPTH:
        return "has too long a name"
    if not parts and not path.endswith("/"):
        return "has no name"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if entry.flag_bits & ENCRYPTED:
        return "is locked with a password"
    return None


def _fold(parts: Parts) -> Parts:
    """The path as a file system sees it that ignores case and ways to write an accent."""
    return tuple(unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold()) for part in parts)


def _strip_top(paths: list[Parts]) -> list[Parts]:
    """The paths without the folders that all have in common, as long as there are folders below."""
    while (
        all(len(path) > 1 for path in paths)
        and any(len(path) > 2 for path in paths)
        and len({_fold(path[:1]) for path in paths}) == 1
    ):
        paths = [path[1:] for path in paths]
    return paths


def _tell_apart(paths: list[Parts]) -> list[Parts]:
    """The paths with each folder in its first spelling, and files renamed that would share one on some disk."""
    spellings = {}
    for path in paths:
        folded = _fold(path)
        for depth in range(1, len(path)):
            spellings.setdefault(folded[:depth], path[depth - 1])
    taken = set(spellings)
    numbers = {}
    distinct = []
    for path in paths:
        folded = _fold(path)
        folders = tuple(spellings[folded[:depth]] for depth in range(1, len(path)))
        stem, _, ending = path[-1].rpartition(".")
        key, file_name = folded, path[-1]
        while key in taken:
            # The count goes on from the last file of this name, or 100,000 equal names would take hours.
            numbers[folded] = numbers.get(folded, 1) + 1
            file_name = f"{stem} ({numbers[folded]}).{ending}"
            key = folded[:-1] + _fold((file_name,))
        taken.add(key)
        distinct.append((*folders, file_name))
    return distinct


def _write_photos(
    contents: zipfile.ZipFile,
    photos: list[tuple[zipfile.ZipInfo, Parts]],
    folder: Path,
    name: str,
    max_bytes: int,
    on_progress: Callable[[int, int], object] | None,
) -> None:
    """Writes the photos into `folder`, counting what really comes; raises `Refused`, `OSError`."""
    done_bytes = 0
    reported = 0.0
    for number, (entry, parts) in enumerate(photos, 1):
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        damage = f"{name} is damaged at {entry.filename}: download it or pack it again."
        with reading(damage):
            photo = contents.open(entry)
        with photo, target.open("xb") as file:
            while True:
                with reading(damage):
                    chunk = photo.read(CHUNK_BYTES)
                if not chunk:
                    break
                done_bytes += len(chunk)
                if done_bytes > max_bytes:
                    raise Refused(
                        f"{name} unpacks to more than {max_bytes / 1e6:,.0f} MB, which is too much: "
                        "split it into smaller archives."
                    )
                file.write(chunk)
        now = time.monotonic()
        if on_progress and (number == len(photos) or now - reported >= PROGRESS_SECONDS):
            reported = now
            on_progress(number, len(photos))
