"""Which photos show the same picture: resized, encoded anew, mirrored or slightly cropped.

Hashes name candidates, quickly and generously; small grey pictures laid over one another decide.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from catdog.photos.fingerprints import FINGERPRINT, GREY_SIDE, Fingerprints

# Below this standard deviation of its grey levels a picture shows nothing that could be compared.
BLANK_CONTRAST = 3.0
# Of 64 bits; two photos that have nothing in common differ in 32, give or take 4.
HASH_DISTANCE = 20
# How well two pictures must agree on 8 x 8 pixels, then on 16 x 16 with the best of a few crops, to be looked at
# more closely; and at last on 32 x 32. 1 is the same but for brightness and contrast. Among 3,000 photos of cats and
# dogs no two came above 0.92 at last, and of 300 whose sides were cropped by up to a tenth few came below 0.95.
SIMILAR, CLOSE, SAME = 0.75, 0.85, 0.94
# How much of a side a crop may take away, tried at first in steps, then once more around the best in half of them.
CROPS = (0.0, 0.05, 0.1)
FINER = 0.025
BLOCK = 256  # photos compared with all others at once
PAIRS = 128  # laid over one another at once


def find_look_alikes(fingerprints: Fingerprints) -> list[list[Path]]:
    """Groups of two or more photos that show the same picture, each sorted, in the order of their first photos."""
    by_digest: dict[str, list[Path]] = {}
    for path, digest in fingerprints.digests.items():
        by_digest.setdefault(digest, []).append(path)
    digests = sorted(by_digest)
    rows = np.array([fingerprints.rows[digest] for digest in digests], FINGERPRINT)
    groups: dict[int, list[Path]] = {}
    for place, root in enumerate(roots_of(rows)):
        groups.setdefault(root, []).extend(by_digest[digests[place]])
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def roots_of(rows: np.ndarray) -> list[int]:
    """For each fingerprint (n FINGERPRINT) the place of the first of those that show the same picture."""
    roots = np.arange(len(rows))
    for pairs in candidates(rows):
        while pairs.size:
            first, second, mirrored = pairs[:, :PAIRS]
            same = agreement(rows["grey"][first], rows["grey"][second], mirrored.astype(bool)) >= SAME
            for one, other in sorted(zip(first[same], second[same], strict=True)):
                here, there = sorted((roots[one], roots[other]))
                roots[roots == there] = here
            # Of a scene that a camera took a thousand times not every pair has to be looked at.
            pairs = pairs[:, PAIRS:]
            pairs = pairs[:, roots[pairs[0]] != roots[pairs[1]]]
    return roots.tolist()


def candidates(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs that are worth a closer look: arrays (3, n) of two places, and whether the first is to be mirrored."""
    shown = np.flatnonzero(rows["contrast"] >= BLANK_CONTRAST)
    grey, hashes = rows["grey"][shown], rows["hash"][shown]
    small = normalized(pooled(grey, 8)).reshape(len(shown), 64)
    small_mirrored = normalized(pooled(grey[:, :, ::-1], 8)).reshape(len(shown), 64)
    views = (hashes, small), (rows["mirrored_hash"][shown], small_mirrored)
    for start in range(0, len(shown), BLOCK):
        found = []
        for mirrored, (own_hashes, own_small) in enumerate(views):
            block = slice(start, start + BLOCK)
            near = np.bitwise_count(own_hashes[block, None] ^ hashes[None, start:]) <= HASH_DISTANCE
            near &= own_small[block] @ small[start:].T >= SIMILAR
            first, second = np.nonzero(np.triu(near, 1))
            found.append(np.stack([shown[first + start], shown[second + start], np.full(len(first), mirrored)]))
        yield np.concatenate(found, axis=1)


def agreement(first: np.ndarray, second: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """How well each two grey pictures (n, side, side) agree, up to 1, where either may be a crop of the other.

    Those that are far apart get no exact figure.
    """
    first = np.where(mirrored[:, None, None], first[:, :, ::-1], first)
    found = correlation(pooled(first, GREY_SIDE), pooled(second, GREY_SIDE))
    for whole, crop in ((first, second), (second, first)):
        steps = np.array([(start, 1 - end) for start in CROPS for end in CROPS])
        best, kept = try_crops(pooled(whole, 16), pooled(crop, 16), np.broadcast_to(steps, (len(whole), 2, 9, 2)))
        close = np.flatnonzero(best >= CLOSE)
        finer = np.array([(start, end) for start in (-FINER, 0, FINER) for end in (-FINER, 0, FINER)])
        spans = np.clip(kept[close, :, None, :] + finer, 0, 1)
        best, _ = try_crops(pooled(whole[close], GREY_SIDE), pooled(crop[close], GREY_SIDE), spans)
        found[close] = np.maximum(found[close], best)
    return found


def pooled(grey: np.ndarray, side: int) -> np.ndarray:
    """Grey pictures (n, 32, 32) as float32 of fewer pixels, each the mean of those that it stands for."""
    each = GREY_SIDE // side
    return grey.reshape(len(grey), side, each, side, each).mean((2, 4), dtype=np.float32)


def try_crops(whole: np.ndarray, crop: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best agreement over all rows and columns to keep, spans (n, 2, tries, 2) from 0 to 1; and which were best."""
    side = whole.shape[-1]
    whole = whole - whole.mean((-2, -1), keepdims=True)
    rows, columns = resampling(spans[:, 0], side), resampling(spans[:, 1], side)
    in_columns = whole[:, None] @ columns.transpose(0, 1, 3, 2)
    tries = rows[:, :, None] @ in_columns[:, None]
    # Their correlation with the crop; the tries are many, and need not be copied to be normalized.
    spread = np.einsum("nabij,nabij->nab", tries, tries) - side**2 * tries.mean((-2, -1)) ** 2
    found = np.einsum("nabij,nij->nab", tries, normalized(crop)) / np.sqrt(np.maximum(spread, 1e-6))
    best = found.reshape(len(found), -1).argmax(1) if found.size else np.zeros(0, int)
    row, column = np.divmod(best, spans.shape[2])
    each = np.arange(len(found))
    kept = np.stack([spans[each, 0, row], spans[each, 1, column]], axis=1)
    return found[each, row, column], kept


def resampling(spans: np.ndarray, side: int) -> np.ndarray:
    """Matrices (..., side, side) that stretch a part of a line of pixels, from 0 to 1, over the whole line."""
    start, end = spans[..., :1], spans[..., 1:]
    places = (start + (np.arange(side) + 0.5) / side * (end - start)) * side - 0.5
    weights = 1 - np.abs(np.clip(places, 0, side - 1)[..., None] - np.arange(side))
    return np.clip(weights, 0, 1).astype(np.float32)


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The correlation of pictures (..., side, side), pixel by pixel; 0 where one is of a single grey."""
    return (normalized(first) * normalized(second)).sum((-2, -1))


def normalized(pictures: np.ndarray) -> np.ndarray:
    """Pictures (..., side, side) brought to a mean of 0 and a length of 1; all 0 where they are of a single grey."""
    pictures = pictures - pictures.mean((-2, -1), keepdims=True)
    return pictures / np.maximum(np.sqrt((pictures**2).sum((-2, -1), keepdims=True)), 1e-6)
