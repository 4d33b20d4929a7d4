import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import PHOTO, QUARTERS, draw_noise, draw_quarters, encoded, png
from PIL import Image, ImageFile
from PIL.Image import Transpose

from catdog.photos import reading
from catdog.photos.reading import UnreadablePhoto, is_photo_name, open_picture, read_photo

CUT_OFF = "the file is cut off or damaged"
DAMAGED = "the picture in it is damaged"
OTHER = "it is not a photo in a format that is read (JPEG, PNG, GIF, BMP, WebP, AVIF, HEIC)"
TOO_LARGE = "60000 x 60000 pixels are more than the {} million that are read"
LOSSY = {"quality": 95}
# How a picture must be turned to be stored, for each EXIF orientation that brings it upright again.
STORED = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


def reason_of(source: Path | str | bytes) -> str:
    """Why a photo can't be read, after a look at whether it is a plain phrase that reads on behind a name."""
    with pytest.raises(UnreadablePhoto) as raised:
        read_photo(source, 32)
    reason = str(raised.value)
    assert reason.isprintable()
    assert not reason.endswith(".")
    return reason


def assert_quarters(pixels: np.ndarray, tolerance: int = 12) -> None:
    """The four quarters are where they were drawn."""
    assert pixels.dtype == np.uint8
    assert pixels.ndim == pixels.shape[2] == 3
    near, far = len(pixels) // 4, len(pixels) * 3 // 4
    seen = pixels[[near, near, far, far], [near, far, near, far]].astype(int)
    assert np.abs(seen - QUARTERS).max() <= tolerance, seen.tolist()


def assert_all(pixels: np.ndarray, colour: tuple[int, int, int], tolerance: int = 0) -> None:
    """The whole picture has this colour."""
    assert np.abs(pixels.astype(int) - colour).max() <= tolerance, pixels[0, 0].tolist()


def turned(orientation: int, kind: str, picture: Image.Image | None = None) -> bytes:
    """The file of a picture, by default the quarters, that is upright only when its orientation is heeded."""
    picture = picture or draw_quarters()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = picture.transpose(STORED[orientation]) if orientation in STORED else picture
    return encoded(stored, kind, exif=exif.tobytes(), **LOSSY)


@pytest.mark.lowest
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(kind, orientation, tmp_path):
    content = turned(orientation, kind)
    (tmp_path / "photo.jpg").write_bytes(content)
    pixels = read_photo(content, 48)
    assert_quarters(pixels)
    assert np.array_equal(read_photo(tmp_path / "photo.jpg", 48), pixels)
    assert open_picture(content).size == (96, 64)


def test_a_turned_heic_says_so_in_its_own_way():
    assert b"irot" in turned(6, "HEIF")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
@pytest.mark.parametrize(
    "exif",
    [
        b"garbage",
        b"",
        b"II*\0\xff\xff\xff\x7f",
        b"II*\0\x08\0\0\0\x05\0",
        b"II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\xff\xff\xff\xff\0\0\0\0",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x03\0\0\0ab\0\0\0\0\0\0",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0",
    ],
    ids=["no header", "nothing", "far offset", "cut off", "endless", "orientation is text", "orientation is 99"],
)
def test_a_broken_exif_block_leaves_the_photo_as_it_is_stored(kind, exif):
    assert_quarters(read_photo(encoded(draw_quarters(), kind, exif=b"Exif\0\0" + exif, **LOSSY), 48))


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.heic"])
def test_the_content_counts_and_not_the_ending(kind, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(encoded(draw_quarters(), kind, **LOSSY))
    assert_quarters(read_photo(path, 48))
    assert_quarters(read_photo(str(path), 48))


@pytest.mark.lowest
@pytest.mark.parametrize("image_size", [1, 32, 224])
@pytest.mark.parametrize("size", [(1, 1), (96, 64), (64, 96), (2, 700), (700, 2)])
def test_the_whole_photo_is_resized_as_pillow_does_it(size, image_size):
    picture = draw_noise(*size)
    pixels = read_photo(encoded(picture, "PNG"), image_size)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (image_size, image_size, 3)
    assert np.array_equal(pixels, picture.resize((image_size, image_size), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("L", "PNG"), ("LA", "PNG"), ("L", "BMP"), ("L", "AVIF"), ("L", "HEIF")]
)
def test_grey_becomes_three_equal_channels(mode, kind):
    pixels = read_photo(encoded(Image.new("L", (40, 30), 77).convert(mode), kind), 32)
    assert_all(pixels, (77, 77, 77), tolerance=1)


def test_black_and_white_is_read():
    picture = Image.new("1", (40, 30), 1)
    assert_all(read_photo(encoded(picture, "PNG"), 32), (255, 255, 255))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_a_jpeg_of_other_colour_spaces_keeps_its_colours(mode):
    # Pillow writes CMYK as Adobe does, inverted.
    content = encoded(draw_quarters().convert(mode), "JPEG", **LOSSY)
    assert (b"Adobe" in content) == (mode == "CMYK")
    assert_quarters(read_photo(content, 48))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_a_palette_is_resolved(kind):
    content = encoded(draw_quarters().quantize(16), kind)
    assert Image.open(io.BytesIO(content)).mode == "P"
    assert_quarters(read_photo(content, 48))


def test_what_a_palette_leaves_transparent_turns_white():
    picture = draw_quarters().quantize(4)
    first = picture.getpixel((0, 0))
    for transparency in (first, bytes(0 if index == first else 255 for index in range(4))):
        pixels = read_photo(encoded(picture, "PNG", transparency=transparency), 48)
        assert pixels[0, 0].tolist() == [255, 255, 255]
        assert np.abs(pixels[-1, -1].astype(int) - QUARTERS[3]).max() <= 12


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize(("alpha", "level"), [(0, 255), (128, 127), (255, 0)])
def test_transparency_is_laid_over_white(kind, alpha, level):
    picture = Image.new("RGBA", (40, 30), (0, 0, 0, alpha))
    assert_all(read_photo(encoded(picture, kind), 32), (level, level, level), tolerance=2)


def test_half_transparent_grey_is_laid_over_white():
    picture = Image.new("LA", (40, 30), (0, 128))
    assert_all(read_photo(encoded(picture, "PNG"), 32), (127, 127, 127))


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    levels = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(64, 64, 1)
    expected = np.repeat((levels / 257).round().astype(np.uint8), 3, axis=2)
    assert np.array_equal(read_photo(png(levels), 64), expected)
    assert np.abs(read_photo(encoded(Image.fromarray(levels[..., 0]), "HEIF"), 64).astype(int) - expected).max() <= 2


def test_sixteen_bit_grey_that_counts_as_transparent_turns_white():
    levels = np.full((32, 32, 1), 20000, np.uint16)
    levels[:, 16:] = 10000
    pixels = read_photo(png(levels, (b"tRNS", struct.pack(">H", 20000))), 32)
    assert_all(pixels[:, :16], (255, 255, 255))
    assert_all(pixels[:, 16:], (39, 39, 39))


@pytest.mark.lowest
@pytest.mark.parametrize("alpha", [None, 65535])
def test_sixteen_bit_colours_are_scaled(alpha):
    levels = np.asarray(draw_quarters(48, 48)).astype(np.uint16) * 257
    if alpha:
        levels = np.dstack([levels, np.full((48, 48), alpha, np.uint16)])
    assert_quarters(read_photo(png(levels), 48), tolerance=1)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "MPO"])
def test_the_first_frame_of_an_animation_counts(kind):
    frames = [draw_quarters().rotate(180), Image.new("RGB", (96, 64), "black")]
    content = encoded(draw_quarters(), kind, save_all=True, append_images=frames, **LOSSY)
    assert Image.open(io.BytesIO(content)).n_frames == 3
    assert_quarters(read_photo(content, 48))


def test_a_first_frame_of_a_gif_that_is_transparent_is_laid_over_white():
    picture = draw_quarters().quantize(4)
    frames = {"save_all": True, "append_images": [Image.new("P", (96, 64))], "transparency": picture.getpixel((0, 0))}
    pixels = read_photo(encoded(picture, "GIF", **frames), 48)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert np.abs(pixels[-1, -1].astype(int) - QUARTERS[3]).max() <= 12


def zipped() -> bytes:
    """A zip archive with a photo in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("cat.png", PHOTO)
    return buffer.getvalue()


@pytest.mark.lowest
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"Dear diary, today I saw a cat.\n", "it is a text file, not a photo"),
        ("Schöne Grüße, лет ми спик фром май харт. ".encode() * 30, "it is a text file, not a photo"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html></html>", "it holds markup such as HTML or SVG, not a photo"),
        (b"<html><body>Not found</body></html>", "it holds markup such as HTML or SVG, not a photo"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it holds markup such as HTML or SVG, not a photo"),
        (b"<?xml version='1.0'?><svg/>", "it holds markup such as HTML or SVG, not a photo"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "it is a PDF, not a photo"),
        (zipped(), "it is a zip archive, not a photo"),
        (encoded(draw_quarters(), "TIFF"), "it is a TIFF or raw file; save it as JPEG or PNG first"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99), "it is a video or raw file, not a photo"),
        (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0" + bytes(99), OTHER),
        (encoded(draw_quarters(), "ICO"), OTHER),
        (encoded(draw_quarters(), "PPM"), OTHER),
        (bytes(1000), OTHER),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_photo_is_said_in_plain_words(content, reason, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(content)
    assert reason_of(tmp_path / "photo.jpg") == reason
    assert reason_of(content) == reason


@pytest.mark.lowest
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("MPO", {}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {}),
        ("HEIF", {}),
    ],
)
@pytest.mark.parametrize("share", [0.002, 0.05, 0.3, 0.7, 0.98])
def test_a_photo_that_is_cut_off_is_not_read_by_half(kind, options, share):
    content = encoded(draw_noise(160, 120), kind, **LOSSY, **options)
    assert reason_of(content[: int(len(content) * share)]) == CUT_OFF


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF"])
def test_a_photo_with_wrong_bytes_in_it_is_read_or_left_out_with_a_reason(kind, monkeypatch):
    monkeypatch.setattr(reading, "MAX_PIXELS", 1_000_000)  # the wrong bytes may be those of the size
    content = encoded(draw_noise(64, 48), kind, **LOSSY)
    random = np.random.default_rng(0)
    reasons = set()
    for _ in range(100):
        start, length = random.integers(12, len(content)), random.integers(1, 9)
        try:
            pixels = read_photo(content[:start] + random.bytes(length) + content[start + length :], 32)
        except UnreadablePhoto as error:
            reasons.add(str(error))
        else:
            assert pixels.shape == (32, 32, 3)
    assert {reason for reason in reasons if "pixels are more than" not in reason} <= {CUT_OFF, DAMAGED}


def test_damage_that_is_no_cut_is_told_apart():
    content = bytearray(encoded(draw_noise(64, 48), "PNG"))
    content[200:220] = bytes(20)
    assert reason_of(bytes(content)) == DAMAGED


def test_files_that_cannot_be_opened(tmp_path, monkeypatch):
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason_of(tmp_path / "folder.jpg") == "it is not a file"
    assert reason_of(tmp_path / "pipe.jpg") == "it is not a file"
    assert reason_of(tmp_path / "missing.jpg") == "there is no such file"
    assert reason_of(tmp_path / "link.jpg") == "there is no such file"
    assert reason_of(str(tmp_path / "nul\0.jpg")) == "there is no such file"
    assert reason_of(tmp_path / f"{'long' * 100}.jpg") == "the file can't be opened (File name too long)"
    (tmp_path / "photo.png").write_bytes(PHOTO)
    assert_quarters(read_photo(tmp_path / "photo.png", 32))
    monkeypatch.setattr(reading, "MAX_BYTES", len(PHOTO) - 1)
    assert reason_of(tmp_path / "photo.png") == "the file is larger than 0 MB"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    (tmp_path / "photo.png").write_bytes(PHOTO)
    (tmp_path / "photo.png").chmod(0)
    assert reason_of(tmp_path / "photo.png") == "the file can't be opened (Permission denied)"


def claiming(kind: str, size: int, **options) -> bytes:
    """A small file whose header claims a picture of size x size pixels."""
    if kind == "PNG":
        return png(np.zeros((8, 8, 3), np.uint8), size=(size, size))
    content = bytearray(encoded(Image.new("L" if kind == "GIF" else "RGB", (64, 64)), kind, **options))
    at, form = {
        "JPEG": (content.find(b"\xff\xc2" if options else b"\xff\xc0") + 5, ">HH"),
        "GIF": (content.find(b",") + 5, "<HH"),
        "BMP": (18, "<ii"),
        "HEIF": (content.find(b"ispe") + 8, ">II"),
    }[kind]
    struct.pack_into(form, content, at, size, size)
    return bytes(content)


@pytest.mark.parametrize(
    ("kind", "options", "millions"),
    [
        ("PNG", {}, 100),
        ("GIF", {}, 100),
        ("BMP", {}, 100),
        ("HEIF", {}, 100),
        ("JPEG", {}, 250),
        ("JPEG", {"progressive": True}, 250),
    ],
)
def test_a_claim_of_countless_pixels_is_refused_without_decoding(kind, options, millions, monkeypatch):
    content = claiming(kind, 60000, **options)
    decoded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded.append)
    assert reason_of(content) == TOO_LARGE.format(millions)
    assert decoded == []


def test_how_many_pixels_are_read(monkeypatch):
    monkeypatch.setattr(reading, "MAX_PIXELS", 160 * 120)
    monkeypatch.setattr(reading, "MAX_JPEG_PIXELS", 640 * 480)
    for kind, largest in {"PNG": (160, 120), "JPEG": (640, 480)}.items():
        assert_quarters(read_photo(encoded(draw_quarters(*largest), kind), 32))
        larger = encoded(draw_quarters(largest[0] + 8, largest[1]), kind)
        assert reason_of(larger).startswith(f"{largest[0] + 8} x {largest[1]} pixels are more than")


@pytest.mark.parametrize("size", [(1600, 1200), (1201, 1603), (785, 790), (2003, 391), (391, 2003), (3001, 450)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_read_at_a_reduced_scale_that_hardly_shows(size, orientation, monkeypatch):
    picture = draw_noise(*size, grain=40)
    content = turned(orientation, "JPEG", picture)
    # The smallest scale that is still twice the 48 pixels asked for.
    scale = max(scale for scale in (1, 2, 4, 8) if min(size) // scale >= 96)
    reduced = tuple(-(-side // scale) for side in size)
    assert open_picture(content, reduced_to=96).size == reduced

    decoded, to_rgb = [], reading.to_rgb
    monkeypatch.setattr(reading, "to_rgb", lambda picture: decoded.append(picture.size) or to_rgb(picture))
    pixels = read_photo(content, 48)
    assert [sorted(size) for size in decoded] == [sorted(reduced)]
    whole = np.asarray(picture.resize((48, 48), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(pixels - whole).mean() < 1


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "HEIF"])
def test_only_jpegs_are_reduced_and_only_when_asked(kind):
    content = encoded(draw_quarters(800, 600), kind)
    assert open_picture(content).size == (800, 600)
    assert open_picture(content, reduced_to=100).size == ((200, 150) if kind in ("JPEG", "MPO") else (800, 600))
    assert open_picture(content, reduced_to=301).size == (800, 600)


@pytest.mark.parametrize(
    "name",
    ["a.jpg", "A.JPG", "a.Jpeg", "a.png", "a.gif", "a.bmp", "a.webp", "a.avif", "a.heic", "a.HEIF", "Katze Nº 1.jpg"],
)
def test_photo_names(name):
    assert is_photo_name(name)


@pytest.mark.parametrize(
    "name",
    ["a.txt", "a", "jpg", ".jpg", "._a.jpg", ".a.png", "a.jpg.txt", "a.tiff", "a.svg", "a.jpg~", ""],
)
def test_other_names(name):
    assert not is_photo_name(name)
