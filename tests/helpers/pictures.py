"""Pictures and photo files that tests draw."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from catdog.photos.photo_sets import Photo

# Top left, top right, bottom left, bottom right: no turn or flip leaves it as it was.
QUARTERS = ((200, 30, 30), (30, 160, 30), (30, 30, 200), (220, 200, 40))


def draw_quarters(width: int = 96, height: int = 64) -> Image.Image:
    """An RGB picture of four differently coloured quarters."""
    colours = np.array(QUARTERS, np.uint8).reshape(2, 2, 3)
    return Image.fromarray(colours).resize((width, height), Image.Resampling.NEAREST)


def draw_noise(width: int, height: int, grain: int = 1, seed: int = 0) -> Image.Image:
    """An RGB picture of random spots, `grain` pixels apart."""
    shape = (-(-height // grain), -(-width // grain), 3)
    spots = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Image.fromarray(spots).resize((width, height), Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    """The bytes of a picture's file, of one of the kinds that Pillow knows."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(levels: np.ndarray, *extra: tuple[bytes, bytes], size: tuple[int, int] | None = None) -> bytes:
    """A PNG of 8 or 16 bits, grey, grey with alpha, RGB or RGBA, of levels (height, width, channels).

    It may hold extra chunks, and claim another size (width, height) than it has.
    """
    height, width, channels = levels.shape
    rows = b"".join(b"\0" + row.astype(levels.dtype.newbyteorder(">")).tobytes() for row in levels)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", *(size or (width, height)), levels.itemsize * 8, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


PHOTO = encoded(draw_quarters(12, 8), "PNG")


def place(folder: Path, *names: str, content: bytes = PHOTO) -> None:
    """Write files of this content, by default a photo, at paths below a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def draw_photos(folder: Path, count: int, first: int = 0) -> list[Photo]:
    """Different photos in a folder, named by their numbers from the first on, of two classes in turn."""
    for number in range(first, first + count):
        place(folder, f"{number:03}.png", content=encoded(draw_noise(24, 20, 4, seed=number), "PNG"))
    return [Photo(folder / f"{number:03}.png", number % 2) for number in range(first, first + count)]


def draw_scene(seed: int, width: int = 200, height: int = 150) -> Image.Image:
    """A picture of large soft spots with a little detail, which looks like no other of another seed."""
    coarse, fine = (draw_noise(width, height, max(width // spots, 1), seed + 10_000 * spots) for spots in (6, 24))
    return Image.blend(coarse, fine, 0.2)


def save_scene(path: Path, picture: Image.Image | int, **options) -> Path:
    """Write a picture, or the scene of that seed, as a file in the format that its ending names; gives its path."""
    picture = draw_scene(picture) if isinstance(picture, int) else picture
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


def altered(picture: Image.Image, way: str, share: float = 0.05) -> Image.Image:
    """The picture resized, mirrored or slightly cropped, or as it was."""
    width, height = picture.size
    if way == "resized":
        return picture.resize((round(width * 0.6), round(height * 0.6)), Image.Resampling.LANCZOS)
    if way == "mirrored":
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if way == "cropped":
        box = (share * width, share / 2 * height, (1 - share / 2) * width, (1 - share) * height)
        return picture.crop(tuple(map(round, box)))
    return picture


def zip_of(count: int, *broken: str) -> bytes:
    """A zip of a flat photo set of drawn pictures, with some files that are no photos."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in ("cats", "dogs"):
            for number in range(count):
                picture = draw_scene(number + 1000 * (name == "dogs"), 96, 72)
                archive.writestr(f"mine/{name}/{number:02}.jpg", encoded(picture, "JPEG"))
        for path in broken:
            archive.writestr(path, "no photo")
    return content.getvalue()
