"""Files that are no photos, or are built to cost whoever reads them time and memory, and what is said of each."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from helpers.pictures import draw_noise, draw_quarters, encoded, png
from PIL import Image

from catdog.photos.decoding_limits import MAX_HEADER_BYTES, MAX_HEADER_PIECES, MAX_PIECES, MAX_SCANNED_PIXELS
from catdog.photos.reading import MAX_BYTES, MAX_JPEG_PIXELS, MAX_PIXELS, UnreadablePhoto, read_photo
from hostile.reliability import Case, try_all

READ = "read as it is"
CUT_OFF = "the file is cut off or damaged"
DAMAGED = "the picture in it is damaged"
IN_PIECES = f"more than {MAX_HEADER_PIECES:,} pieces stand before the picture in it"
MILLION = 1_000_000
PIXELS = f"{MAX_PIXELS // MILLION} million pixels"
JPEG_PIXELS = f"{MAX_JPEG_PIXELS // MILLION} million pixels"
HEADER = f"{MAX_HEADER_BYTES // MILLION} MB before the picture"
HEADER_PIECES = f"{MAX_HEADER_PIECES:,} pieces before the picture"
PIECES = f"{MAX_PIECES:,} pieces"
SCANS = f"{MAX_SCANNED_PIXELS // MILLION:,} million pixels drawn"
SMALL = 64  # MiB, for what is refused or small; the file itself comes on top
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF", "HEIF")


def too_large(size: str, limit: int) -> str:
    """What is said of too many pixels."""
    return f"{size} pixels are more than the {limit // MILLION} million that are read"


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg_with(*segments: bytes) -> bytes:
    """A small JPEG with segments before its picture."""
    return b"\xff\xd8" + b"".join(segments) + encoded(draw_quarters(), "JPEG")[2:]


def png_with(*chunks: tuple[bytes, bytes]) -> bytes:
    """A small PNG with chunks before its picture."""
    return png(np.asarray(draw_quarters()), *chunks)


def gif_with(extensions: bytes, frames: int = 1, side: int = 8) -> bytes:
    """A GIF of so many frames with extensions before the first."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x81, 0, 0) + bytes(range(12))
    data = bytes.fromhex("8c2d9987 2a1cdc33 a00275ec 95faa8de 608c0491 4c01")
    frame = b"," + struct.pack("<HHHHBB", 0, 0, side, side, 0, 2) + bytes([len(data)]) + data + b"\0"
    return screen + extensions + frame * frames + b";"


def webp_of(width: int, frames: int) -> bytes:
    """An animated WebP of a canvas width x width, with small frames."""
    image = encoded(Image.new("RGB", (64, 64)), "WEBP")[12:]

    def number(value: int) -> bytes:
        return struct.pack("<I", value)[:3]

    frame = number(0) * 2 + number(63) * 2 + number(100) + b"\0" + image
    chunks = [(b"VP8X", b"\x02\0\0\0" + number(width - 1) * 2), (b"ANIM", bytes(6)), *[(b"ANMF", frame)] * frames]
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def png_of(frames: int) -> bytes:
    """A PNG of so many small frames."""
    idat = zlib.compress(bytes(8 * 25))

    def control(number: int) -> tuple[bytes, bytes]:
        return b"fcTL", struct.pack(">IIIIIHHBB", number, 8, 8, 0, 0, 1, 10, 0, 0)

    still = png(np.zeros((8, 8, 3), np.uint8), (b"acTL", struct.pack(">II", frames, 0)), control(0))
    others = [(control(2 * n - 1), (b"fdAT", struct.pack(">I", 2 * n) + idat)) for n in range(1, frames)]
    chunks = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for pair in others
        for name, data in pair
    )
    return still[:-12] + chunks + still[-12:]


def claiming(kind: str, side: int, **options: bool) -> bytes:
    """A small file whose header claims a picture of side x side pixels."""
    if kind == "PNG":
        return png(np.zeros((8, 8, 3), np.uint8), size=(side, side))
    if kind == "GIF":
        return gif_with(b"", side=side)
    if kind == "WEBP":
        return webp_of(side, frames=1)
    content = bytearray(encoded(Image.new("RGB", (64, 64)), kind, **options))
    at, form = {
        "JPEG": (content.find(b"\xff\xc2" if options else b"\xff\xc0") + 5, ">HH"),
        "BMP": (18, "<ii"),
        "AVIF": (content.find(b"ispe") + 8, ">II"),
        "HEIF": (content.find(b"ispe") + 8, ">II"),
    }[kind]
    struct.pack_into(form, content, at, side, side)
    return bytes(content)


def drawn_over(side: int, times: int) -> bytes:
    """A progressive JPEG of side x side pixels with its last scan so many times more."""
    content = claiming("JPEG", side, progressive=True)
    last = content[content.rfind(b"\xff\xda") : -2]
    return content[:-2] + last * times + content[-2:]


def blank_png(side: int) -> bytes:
    """A PNG of side x side black pixels, which takes a thousandth of what it decodes to."""
    packer = zlib.compressobj(9)
    row = bytes(3 * side + 1)
    packed = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    whole = png(np.zeros((1, 1, 3), np.uint8), size=(side, side))
    idat = struct.pack(">I", len(packed)) + b"IDAT" + packed + struct.pack(">I", zlib.crc32(b"IDAT" + packed))
    return whole[: whole.index(b"IDAT") - 4] + idat + whole[-12:]


def exif_of(entries: int, size: int, room: int) -> bytes:
    """An EXIF block whose entries all claim the same bytes as theirs."""
    table = b"".join(struct.pack(">HHII", 0x1000 + number, 7, size, 0) for number in range(entries))
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", entries) + table + bytes(4 + room)


def upright_after_all() -> bytes:
    """A JPEG whose orientation is the 99th."""
    entry = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 99, 0) + bytes(4)
    return jpeg_with(segment(0xE1, b"Exif\0\0" + entry))


def endless_exif() -> bytes:
    """A JPEG whose EXIF block goes on at its own beginning."""
    return jpeg_with(segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HI", 0, 8)))


def tenths(kind: str) -> Callable[[], list[bytes]]:
    """What makes a file of a kind cut off at every tenth of it."""

    def make() -> list[bytes]:
        content = encoded(draw_noise(160, 120), kind, quality=95)
        return [content[: len(content) * tenth // 10] for tenth in range(1, 10)]

    return make


def packed(name: bytes, size: int) -> tuple[bytes, bytes]:
    """A PNG's chunk with so many zeros, compressed."""
    packer = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    return name, b"x\0\0" + b"".join([*(packer.compress(zeros) for _ in range(size >> 20)), packer.flush()])


def text(start: str) -> Callable[[], bytes]:
    """What makes a file that begins like this."""
    return lambda: start.encode() + b" and so on" * 100


def too_large_a_file() -> Path:
    """A file, which takes no room on most disks, that is larger than what is read."""
    path = Path("large.jpg")
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    return path


CASES = [
    *(
        Case(
            f"{kind}, header of 60,000 x 60,000",
            JPEG_PIXELS if kind == "JPEG" else PIXELS,
            # The library for AVIF has a limit of its own, and says no more than that it failed.
            CUT_OFF
            if kind == "AVIF"
            else too_large("60000 x 60000", MAX_JPEG_PIXELS if kind == "JPEG" else MAX_PIXELS),
            lambda kind=kind: claiming(kind, 60_000),
            SMALL,
        )
        for kind in FORMATS
    ),
    Case(
        "JPEG, progressive, header of 60,000 x 60,000",
        JPEG_PIXELS,
        too_large("60000 x 60000", MAX_JPEG_PIXELS),
        lambda: claiming("JPEG", 60_000, progressive=True),
        SMALL,
    ),
    Case(
        "AVIF, header of 16,384 x 16,384",
        PIXELS,
        too_large("16384 x 16384", MAX_PIXELS),
        lambda: claiming("AVIF", 16_384),
        SMALL,
    ),
    Case("PNG of 10,000 x 10,000 black pixels in 0.3 MB", PIXELS, READ, lambda: blank_png(10_000), 1_000),
    Case(
        "PNG of 10,001 x 10,001 black pixels in 0.3 MB",
        PIXELS,
        too_large("10001 x 10001", MAX_PIXELS),
        lambda: blank_png(10_001),
        SMALL,
    ),
    *(
        Case(f"{kind}, cut off at every tenth", "", CUT_OFF, tenths(kind), SMALL)
        for kind in (*FORMATS[:3], "MPO", *FORMATS[3:])
    ),
    *(
        Case(f"{kind} named .jpg or .heic", "", READ, lambda kind=kind: encoded(draw_quarters(), kind), SMALL)
        for kind in FORMATS
    ),
    Case("nothing, named .jpg", "", "the file is empty", lambda: b"", SMALL),
    Case(
        "a million zeros named .jpg",
        "",
        "it is not a photo in a format that is read (JPEG, PNG, GIF, BMP, WebP, AVIF, HEIC)",
        lambda: bytes(MILLION),
        SMALL,
    ),
    Case(
        "SVG named .jpg", "", "it holds markup such as HTML or SVG, not a photo", text("<svg onload='alert(1)'>"), SMALL
    ),
    Case(
        "HTML named .jpg", "", "it holds markup such as HTML or SVG, not a photo", text("\n<!DOCTYPE html><p>"), SMALL
    ),
    Case("a text named .jpg", "", "it is a text file, not a photo", text("Dear diary"), SMALL),
    Case("a PDF named .jpg", "", "it is a PDF, not a photo", text("%PDF-1.7"), SMALL),
    Case("a zip named .jpg", "", "it is a zip archive, not a photo", text("PK\3\4"), SMALL),
    Case(
        "a film named .heic",
        "",
        "it is a video or raw file, not a photo",
        lambda: b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99),
        SMALL,
    ),
    Case(
        "a TIFF named .jpg",
        "",
        "it is a TIFF or raw file; save it as JPEG or PNG first",
        lambda: encoded(draw_quarters(), "TIFF"),
        SMALL,
    ),
    Case("EXIF: an orientation of 99", "1 to 8", READ, upright_after_all, SMALL),
    Case("EXIF that goes on at its own beginning", "", READ, endless_exif, SMALL),
    Case(
        "EXIF of 60,000 entries that claim the same megabyte",
        "the block's own size",
        READ,
        lambda: png_with((b"eXIf", exif_of(60_000, MILLION, MILLION))),
        SMALL,
    ),
    Case(
        "EXIF in 100,000 segments of a JPEG",
        HEADER_PIECES,
        IN_PIECES,
        lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(94)) * 100_000),
        SMALL,
    ),
    Case(
        "EXIF of 20 MB in a JPEG",
        HEADER,
        f"more than {MAX_HEADER_BYTES // MILLION} MB stand before the picture in it",
        lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 300),
        SMALL,
    ),
    Case(
        "ICC junk in a JPEG",
        HEADER,
        READ,
        lambda: jpeg_with(segment(0xE2, b"ICC_PROFILE\0\x07\x03" + bytes(range(256))) * 9),
        SMALL,
    ),
    Case(
        "ICC junk in a PNG",
        HEADER,
        READ,
        lambda: png_with((b"iCCP", b"x\0\0" + zlib.compress(bytes(range(256)) * 9))),
        SMALL,
    ),
    Case(
        "ICC profile of 500 MB, compressed in a PNG",
        "1 MB",
        DAMAGED,
        lambda: png_with(packed(b"iCCP", 500 << 20)),
        SMALL,
    ),
    Case(
        "a comment of 500 MB, compressed in a PNG", "1 MB", DAMAGED, lambda: png_with(packed(b"zTXt", 500 << 20)), SMALL
    ),
    Case("GIF of 10,000 frames", "the first frame", READ, lambda: gif_with(b"", frames=10_000), SMALL),
    Case("WebP of 10,000 frames", "the first frame", READ, lambda: webp_of(64, frames=10_000), SMALL),
    Case("PNG of 10,000 frames", "the first frame", READ, lambda: png_of(frames=10_000), SMALL),
    Case(
        "GIF with a comment of 10 MB",
        HEADER_PIECES,
        IN_PIECES,
        lambda: gif_with(b"!\xfe" + (b"\xff" + bytes(255)) * 40_000 + b"\0"),
        SMALL,
    ),
    Case(
        "JPEG with 10 million bytes that only fill",
        HEADER_PIECES,
        IN_PIECES,
        lambda: jpeg_with(b"\xff" * 10 * MILLION),
        SMALL,
    ),
    Case(
        "PNG in 2 million pieces before its picture",
        HEADER_PIECES,
        IN_PIECES,
        lambda: png_with(*[(b"abCd", b"")] * 2 * MILLION),
        SMALL,
    ),
    Case(
        "PNG in 2 million pieces of its picture",
        PIECES,
        f"the picture in it is in more than {MAX_PIECES:,} pieces",
        lambda: png_with(*[(b"IDAT", b"")] * 2 * MILLION),
        SMALL,
    ),
    Case(
        "JPEG of 250 million pixels, drawn over 2,000 times",
        SCANS,
        "its picture is drawn over more often than is read",
        lambda: drawn_over(15_800, 2_000),
        SMALL,
    ),
    Case(
        f"a file of more than {MAX_BYTES // MILLION} MB",
        f"{MAX_BYTES // MILLION} MB",
        f"the file is larger than {MAX_BYTES // MILLION} MB",
        too_large_a_file,
        SMALL,
    ),
]


def outcome_of(source: Path | bytes) -> str:
    """What is said of a file, or that it was read."""
    try:
        pixels = read_photo(source, 32)
    except UnreadablePhoto as error:
        return str(error)
    assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)
    return READ


def attempt(made: Path | bytes | list[bytes]) -> str:
    """What is said of each file that a case has made; one answer where that is the same."""
    outcomes = sorted({outcome_of(each) for each in (made if isinstance(made, list) else [made])})
    if isinstance(made, Path):
        made.unlink()
    return "; ".join(outcomes)


if __name__ == "__main__":
    try_all(CASES, attempt)
