"""Maps of what speaks for one class: exact, and drawn where they belong."""

import io

import numpy as np
import pytest
from PIL import Image

from catdog.classifier.heatmaps import difference_maps, draw_map
from catdog.photos.reading import UnreadablePhoto

ORANGE, BLUE = "#cc730c", "#2a7fc9"


def encoded(picture: Image.Image, **options) -> bytes:
    """A picture as the bytes of a PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def opened(content: bytes) -> np.ndarray:
    """A JPEG's pixels, signed so that they can be subtracted."""
    return np.asarray(Image.open(io.BytesIO(content)), np.int32)


def test_a_maps_sum_is_the_difference_of_the_logits_less_that_of_the_biases():
    chance = np.random.default_rng(0)
    features = chance.random((6, 7, 7, 64), np.float32)
    weights = chance.normal(size=(64, 3)).astype(np.float32)
    given, other = np.array([0, 1, 2, 0, 1, 2]), np.array([1, 2, 0, 2, 0, 1])
    maps = difference_maps(features, weights, given, other)
    logits = features.mean(axis=(1, 2)) @ weights
    rows = np.arange(6)
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), logits[rows, given] - logits[rows, other], rtol=1e-4, atol=1e-5)


def test_each_sign_has_its_colour_where_it_stands():
    photo = encoded(Image.new("RGB", (80, 40), "#808080"))
    places = np.zeros((2, 2), np.float32)
    places[0, 0], places[1, 1] = 3.0, -3.0
    drawn = opened(draw_map(photo, places, (ORANGE, BLUE), opacity=1.0, longer_side=80))
    assert drawn.shape == (40, 80, 3)
    np.testing.assert_allclose(drawn[2, 3], [0xCC, 0x73, 0x0C], atol=12)
    np.testing.assert_allclose(drawn[37, 76], [0x2A, 0x7F, 0xC9], atol=12)
    np.testing.assert_allclose(drawn[37, 3], [128, 128, 128], atol=12)


def test_opacity_lets_the_photo_through():
    photo = encoded(Image.new("RGB", (40, 40), "white"))
    full, half, none = (
        opened(draw_map(photo, np.ones((2, 2), np.float32), ("#000000", BLUE), opacity, 40)).mean()
        for opacity in (1.0, 0.5, 0.0)
    )
    assert (full, half, none) == (pytest.approx(0, abs=3), pytest.approx(127, abs=4), pytest.approx(255, abs=3))


def test_the_photo_is_made_smaller_and_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = encoded(Image.new("RGB", (200, 100), "white"), exif=exif)
    assert opened(draw_map(photo, np.zeros((7, 7), np.float32), (ORANGE, BLUE), 0.5, 50)).shape == (50, 25, 3)


def test_what_is_no_photo_is_refused():
    with pytest.raises(UnreadablePhoto):
        draw_map(b"no photo", np.zeros((7, 7), np.float32), (ORANGE, BLUE), 0.5, 50)
