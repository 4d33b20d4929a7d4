"""Where a network saw one class rather than another: an exact map of the difference between two logits.

The head is linear on pooled features, which are means over places; so each place has a share of the logits of its
own, and nothing is estimated. Zhou et al., Learning Deep Features for Discriminative Localization, 2016.
"""

import numpy as np
from PIL import Image, ImageColor

from catdog.photos.reading import encode_jpeg, small_picture


def difference_maps(feature_maps: np.ndarray, weights: np.ndarray, given: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What each place adds to the logit of one class less that of another: float32 (n, rows, columns).

    `feature_maps` (n, rows, columns, channels) are what is pooled, `weights` (channels, classes) the head's, `given`
    and `other` (n,) class indices. A map's sum and the difference of the two biases is the difference of the logits.
    """
    rows, columns = feature_maps.shape[1:3]
    directions = (weights[:, given] - weights[:, other]).T / (rows * columns)
    return np.einsum("nrcf,nf->nrc", feature_maps, directions, dtype=np.float32)


def draw_map(photo: bytes, places: np.ndarray, colours: tuple[str, str], opacity: float, longer_side: int) -> bytes:
    """A JPEG of a photo, upright and in its proportions, with a map (rows, columns) over it.

    Where the map is positive it has the first colour, where negative the second, the stronger the further from zero;
    the strongest place lets 1 - opacity of the photo through. Raises `UnreadablePhoto`.
    """
    picture = np.asarray(small_picture(photo, longer_side), np.float32)
    height, width = picture.shape[:2]
    strongest = float(np.abs(places).max()) or 1.0
    smooth = Image.fromarray((places / strongest).astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(smooth), -1.0, 1.0)[..., None]
    first, second = (np.array(ImageColor.getrgb(colour), np.float32) for colour in colours)
    alpha = opacity * np.abs(strength)
    mixed = picture * (1 - alpha) + np.where(strength > 0, first, second) * alpha
    return encode_jpeg(Image.fromarray(mixed.round().astype(np.uint8)))
