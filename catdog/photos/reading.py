"""A photo becomes an array of pixels: the one way that training, the pages and the command line read photos."""

import codecs
import hashlib
import io
import os
import stat
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pillow_heif
from PIL import Image, UnidentifiedImageError

from catdog.errors import UnreadablePhoto
from catdog.files.storage import Place, as_place, reason_of
from catdog.photos.decoding_limits import MeteredFile, Room, require_few_scans

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".avif", ".heic", ".heif"})
# What Pillow may try on a file of unknown content; JPEG includes MPO, the form that many phones and cameras write.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF", "HEIF")
MAX_PIXELS = 100_000_000  # of the decoded picture: a JPEG may have been reduced
# Before that: phones take 200 million, and a progressive JPEG needs 3 to 6 bytes of memory for each, however reduced.
MAX_JPEG_PIXELS = 250_000_000
MAX_BYTES = 200_000_000
# What all threads of a process decode at once: the largest picture alone, or several smaller ones. Each pixel takes up
# to 16 bytes while it is decoded.
ROOM = Room(MAX_PIXELS)
# How many photos are read ahead of the one that is being worked on: two batches of the network.
READ_AHEAD = 64
# What a HEIC or AVIF file names as its kind, where videos and raw files name others.
PHOTO_BRANDS = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 msf1 avif avis".split())
JPEG_QUALITY = 85
CUT_OFF = "the file is cut off or damaged"
NO_MEMORY = "it needs more memory than there is"
SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
# EXIF orientation (tag 0x0112) -> what brings the picture upright; 1 is upright already.
ORIENTATION_TAG = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Given = TypeVar("Given")
Found = TypeVar("Found")

pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
# There may be 65,000 of them about one EXIF block, and nobody can do anything about it.
warnings.filterwarnings("ignore", module=r"PIL\.")
# Pillow's own limit only warns at first; MAX_PIXELS is checked instead, before anything is decoded.
Image.MAX_IMAGE_PIXELS = None


def is_photo_name(name: str) -> bool:
    """Whether a file of this name counts as a photo: by its ending, and not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in ENDINGS  # noqa: PTH122


def read_bytes(path: Place) -> bytes:
    """The content of a photo's file; raises `UnreadablePhoto` where there is none or too much of it."""
    if not isinstance(path, Path):
        return read_stored(path)
    try:
        if not path.is_file():
            raise UnreadablePhoto("there is no such file" if not path.exists() else "it is not a file")
        with open(path, "rb", opener=open_at_once) as file:
            # Another one may lie there by now, and this one may grow while it is read.
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UnreadablePhoto("it is not a file")
            if found.st_size > MAX_BYTES:
                raise UnreadablePhoto(f"the file is larger than {MAX_BYTES // 1_000_000} MB")
            return file.read(found.st_size)
    except OSError as error:
        raise UnreadablePhoto(f"the file can't be opened ({error.strerror or error})") from None


def read_stored(place: Place) -> bytes:
    """The content of a photo in object storage; raises `UnreadablePhoto`."""
    try:
        with place.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UnreadablePhoto("there is no such file") from None
    except Exception as error:  # Each kind of storage has errors of its own.
        raise UnreadablePhoto(f"the file can't be opened ({reason_of(error)})") from None
    if len(content) > MAX_BYTES:
        raise UnreadablePhoto(f"the file is larger than {MAX_BYTES // 1_000_000} MB")
    return content


def open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for whoever is to write into it, as one would at a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_photo(source: Place | str | bytes, image_size: int) -> np.ndarray:
    """The whole photo, upright, as uint8 RGB of shape (image_size, image_size, 3), from a path or a file's bytes.

    Transparency is laid over white, 16 bits become 8, the first frame of an animation counts, and the aspect
    ratio is not kept. Raises `UnreadablePhoto`.
    """
    content = source if isinstance(source, bytes) else read_bytes(as_place(source))
    # Twice the target on both sides is what a reduced JPEG keeps at least.
    with decoded(content, reduced_to=2 * image_size) as (picture, box, orientation, _):
        resized = picture.resize((image_size, image_size), Image.Resampling.BILINEAR, box)
        return np.asarray(upright(resized, orientation))


def open_picture(content: bytes, reduced_to: int | None = None) -> Image.Image:
    """The upright RGB picture in a file's bytes; a JPEG may come smaller, but not below `reduced_to` on a side.

    Raises `UnreadablePhoto` with the reason.
    """
    with decoded(content, reduced_to) as (picture, _, orientation, _):
        return upright(picture, orientation)


def small_jpeg(content: bytes, side: int) -> bytes | None:
    """A JPEG of a photo, upright and in its own proportions, at most `side` pixels wide and high; None for no photo."""
    try:
        return encode_jpeg(small_picture(content, side))
    except UnreadablePhoto:
        return None


def small_picture(content: bytes, side: int) -> Image.Image:
    """The same as an RGB picture; raises `UnreadablePhoto` with the reason."""
    with decoded(content, reduced_to=side) as (picture, _, orientation, _):
        picture = upright(picture, orientation)
        picture.thumbnail((side, side))
        return picture


def encode_jpeg(picture: Image.Image) -> bytes:
    """The bytes of a JPEG file, for looking at."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


class Decoded(NamedTuple):
    """An RGB picture as its file stores it, not upright yet."""

    picture: Image.Image
    # Left, top, right and bottom of the photo in it, where a reduced JPEG's last pixels reach beyond; else all of it.
    box: tuple[float, float, float, float] | None
    orientation: int
    # Width and height in the file, before a JPEG was reduced.
    full_size: tuple[int, int]


@contextmanager
def decoded(content: bytes, reduced_to: int | None = None) -> Iterator[Decoded]:
    """The picture in a file's bytes; a JPEG may come smaller, but not below `reduced_to` on a side.

    Its memory counts as taken until the block ends. Raises `UnreadablePhoto` with the reason.
    """
    with ExitStack() as held:
        found = decode(content, reduced_to, held)
        try:
            yield found
        except MemoryError:
            raise UnreadablePhoto(NO_MEMORY) from None


def decode(content: bytes, reduced_to: int | None, held: ExitStack) -> Decoded:
    """The same, for whoever holds the room that it takes."""
    if not content:
        raise UnreadablePhoto("the file is empty")
    file = MeteredFile(content)
    try:
        with Image.open(file, formats=FORMATS) as picture:
            full_size = picture.size
            drafted = picture.draft(None, (reduced_to, reduced_to)) if reduced_to else None
            check_size(full_size, picture.size)
            if picture.format in ("JPEG", "MPO"):
                require_few_scans(content, full_size[0] * full_size[1])
            held.enter_context(ROOM.taken(room_for(full_size, picture.size)))
            file.end_header()
            picture.load()
            return Decoded(to_rgb(picture), drafted and drafted[1], orientation_of(picture), full_size)
    except UnreadablePhoto:
        raise
    except UnidentifiedImageError:
        raise UnreadablePhoto(describe_content(content)) from None
    except MemoryError:
        raise UnreadablePhoto(NO_MEMORY) from None
    except Exception as error:  # Decoders raise whatever they like on broken input.
        raise UnreadablePhoto(describe_damage(error)) from None


def check_size(full: tuple[int, int], decoded: tuple[int, int]) -> None:
    """Raise `UnreadablePhoto` for a picture of more pixels than memory should be given to."""
    for (width, height), limit in ((decoded, MAX_PIXELS), (full, MAX_JPEG_PIXELS)):
        if width * height > limit:
            raise UnreadablePhoto(
                f"{full[0]} x {full[1]} pixels are more than the {limit // 1_000_000} million that are read"
            )


def room_for(full: tuple[int, int], decoded: tuple[int, int]) -> int:
    """What a picture takes while it is decoded, in pixels: of a reduced JPEG also a part of its full size."""
    return max(decoded[0] * decoded[1], full[0] * full[1] * MAX_PIXELS // MAX_JPEG_PIXELS)


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """The picture as its EXIF orientation wants it shown."""
    return picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture


def orientation_of(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or the EXIF block is broken."""
    try:
        return int(picture.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # A broken EXIF block says nothing about the picture.
        return 1


def to_rgb(picture: Image.Image) -> Image.Image:
    """The picture as 8-bit RGB: 16 bits scaled, transparency laid over white."""
    if picture.mode in SIXTEEN_BIT_MODES:
        levels = np.asarray(picture).clip(0, 65535).astype(np.uint32)
        if "transparency" in picture.info:
            levels[levels == picture.info["transparency"]] = 65535
        # In place, for a large picture's sake.
        levels += 128
        levels //= 257
        picture = Image.fromarray(levels.astype(np.uint8))
    if picture.has_transparency_data:
        if picture.mode != "RGBA":
            picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    return picture.convert("RGB")


def describe_damage(error: Exception) -> str:
    """A reason in plain words for what a decoder raised."""
    text = str(error).lower()
    # The last is all that Pillow says of a WebP that is cut off.
    words = ("truncat", "end of file", "unexpected end", "eof", "could not create decoder object")
    if isinstance(error, EOFError) or any(word in text for word in words):
        return CUT_OFF
    return "the picture in it is damaged"


def describe_content(content: bytes) -> str:
    """What a file holds that no decoder knows, in plain words."""
    start = content[:512]
    lowered = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if lowered.startswith((b"<svg", b"<?xml", b"<!doctype", b"<html")):
        return "it holds markup such as HTML or SVG, not a photo"
    if start.startswith(b"%PDF"):
        return "it is a PDF, not a photo"
    if start.startswith((b"II*\x00", b"MM\x00*")):
        return "it is a TIFF or raw file; save it as JPEG or PNG first"
    if start.startswith(b"PK\x03\x04"):
        return "it is a zip archive, not a photo"
    if is_text(start):
        return "it is a text file, not a photo"
    if start[4:8] == b"ftyp":
        return CUT_OFF if start[8:12] in PHOTO_BRANDS or len(start) < 12 else "it is a video or raw file, not a photo"
    if start.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")) or start[8:12] == b"WEBP":
        return CUT_OFF
    return "it is not a photo in a format that is read (JPEG, PNG, GIF, BMP, WebP, AVIF, HEIC)"


def is_text(start: bytes) -> bool:
    """Whether a file that starts like this holds text, in UTF-8."""
    try:
        # The start may end in the middle of a character.
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(character >= " " or character in "\t\r\n\f" for character in text)


class ReadPhoto(NamedTuple):
    """A photo that was read ahead: its source and either pixels or the reason why there are none."""

    source: Place | str | bytes
    pixels: np.ndarray | None  # uint8 (image_size, image_size, 3)
    digest: str  # SHA-256 of the file's content; empty where it could not be opened
    reason: str | None


def read_ahead(sources: Iterable[Place | str | bytes], image_size: int) -> Iterator[ReadPhoto]:
    """Each photo in order, read on threads while the caller works on the ones before it."""
    return work_ahead(lambda source: try_photo(source, image_size), sources)


def work_ahead(work: Callable[[Given], Found], sources: Iterable[Given]) -> Iterator[Found]:
    """What the work makes of each source, in order, done on threads while the caller is busy with those before it."""
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1), thread_name_prefix="read-photo")
    waiting: deque[Future[Found]] = deque()
    try:
        for source in sources:
            waiting.append(pool.submit(work, source))
            if len(waiting) > READ_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def try_photo(source: Place | str | bytes, image_size: int) -> ReadPhoto:
    """Read one photo; what is wrong with it comes back as the reason instead of being raised."""
    digest = ""
    try:
        content = source if isinstance(source, bytes) else read_bytes(as_place(source))
        digest = hashlib.sha256(content).hexdigest()
        return ReadPhoto(source, read_photo(content, image_size), digest, None)
    except UnreadablePhoto as error:
        return ReadPhoto(source, None, digest, str(error))


def digest_files(paths: Iterable[Place]) -> list[str]:
    """The SHA-256 of each file's content, in order; empty where it can't be read."""

    def digest(path: Path) -> str:
        try:
            return hashlib.sha256(read_bytes(path)).hexdigest()
        except UnreadablePhoto:
            return ""

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1), thread_name_prefix="digest") as pool:
        return list(pool.map(digest, paths))
