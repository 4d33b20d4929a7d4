"""Which photos show the same picture: resized, encoded anew, mirrored or slightly cropped.

Hashes name candidates, quickly and generously; small grey pictures laid over one another decide.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from catdog.fingerprints import FINGERPRINT, GREY_SIDE, Fingerprints

# Below this standard deviation of its grey levels a picture shows nothing that could be compared.
BLANK_CONTRAST = 3.0
# Of 64 bits; two photos that have nothing in common differ in 32, give or take 4.
HASH_DISTANCE = 20
# How well one picture's best crop must agree with the other picture: 1 is the same but for brightness and contrast.
SAME = 0.97
# What is worth a closer look at all, before crops are tried.
PROMISING = 0.5
# How much of a side a crop may take away, tried at first in steps, then once more around the best in half of them.
CROPS = (0.0, 0.05, 0.1)
FINER = 0.025
BLOCK = 256  # photos compared with all others at once
PAIRS = 64  # laid over one another at once


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
    """For each fingerprint (n FINGERPRINT) the place of one that stands for all that show the same picture."""
    parents = list(range(len(rows)))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = place = parents[parents[place]]
        return place

    for first, second, mirrored in candidates(rows):
        # Of a scene that a camera took a thousand times not every pair has to be looked at.
        apart = np.array([root(one) != root(other) for one, other in zip(first, second, strict=True)], bool)
        first, second, mirrored = first[apart], second[apart], mirrored[apart]
        same = agreement(rows["grey"][first], rows["grey"][second], mirrored) >= SAME
        for one, other in zip(first[same], second[same], strict=True):
            parents[max(root(one), root(other))] = min(root(one), root(other))
    return [root(place) for place in range(len(rows))]


def candidates(rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs of places, and whether the first is to be mirrored, whose hashes are near; PAIRS at a time."""
    shown = np.flatnonzero(rows["contrast"] >= BLANK_CONTRAST)
    hashes, mirrored_hashes = rows["hash"][shown], rows["mirrored_hash"][shown]
    for start in range(0, len(shown), BLOCK):
        found = []
        for mirrored, of_block in enumerate((hashes, mirrored_hashes)):
            distances = np.bitwise_count(of_block[start : start + BLOCK, None] ^ hashes[None, start:])
            first, second = np.nonzero(np.triu(distances <= HASH_DISTANCE, 1))
            found.append((first + start, second + start, np.full(len(first), mirrored, bool)))
        first, second, mirrored = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.lexsort((mirrored, second, first))
        for part in np.array_split(order, max(1, -(-len(order) // PAIRS))):
            yield shown[first[part]], shown[second[part]], mirrored[part]


def agreement(first: np.ndarray, second: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """How well each two grey pictures (n, side, side) agree, up to 1, where either may be a crop of the other."""
    first, second = first.astype(np.float32), second.astype(np.float32)
    first = np.where(mirrored[:, None, None], first[:, :, ::-1], first)
    found = correlation(first, second)
    promising = np.flatnonzero(found >= PROMISING)
    for whole, crop in ((first, second), (second, first)):
        best = best_crop(whole[promising], crop[promising])
        found[promising] = np.maximum(found[promising], best)
    return found


def best_crop(whole: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """How well the best crop of each whole picture agrees with the other picture, both (n, side, side)."""
    steps = np.array([(start, 1 - end) for start in CROPS for end in CROPS])
    spans = np.broadcast_to(steps, (len(whole), 2, len(steps), 2))
    _, best = try_crops(whole, crop, spans)
    finer = np.array([(start, end) for start in (-FINER, 0, FINER) for end in (-FINER, 0, FINER)])
    spans = np.clip(best[:, :, None, :] + finer, 0, 1)
    return try_crops(whole, crop, spans)[0]


def try_crops(whole: np.ndarray, crop: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best agreement over all rows and columns to keep, spans (n, 2, tries, 2) from 0 to 1; and which were best."""
    rows, columns = resampling(spans[:, 0]), resampling(spans[:, 1])
    in_columns = whole[:, None] @ columns.transpose(0, 1, 3, 2)
    tries = rows[:, :, None] @ in_columns[:, None]
    found = correlation(tries, crop[:, None, None])
    best = found.reshape(len(found), -1).argmax(1) if found.size else np.zeros(0, int)
    row, column = np.divmod(best, spans.shape[2])
    each = np.arange(len(found))
    kept = np.stack([spans[each, 0, row], spans[each, 1, column]], axis=1)
    return found[each, row, column], kept


def resampling(spans: np.ndarray) -> np.ndarray:
    """Matrices (..., side, side) that stretch a part of a line of pixels, from 0 to 1, over the whole line."""
    start, end = spans[..., :1], spans[..., 1:]
    places = (start + (np.arange(GREY_SIDE) + 0.5) / GREY_SIDE * (end - start)) * GREY_SIDE - 0.5
    weights = 1 - np.abs(np.clip(places, 0, GREY_SIDE - 1)[..., None] - np.arange(GREY_SIDE))
    return np.clip(weights, 0, 1).astype(np.float32)


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The correlation of pictures (..., side, side) pixel by pixel; 0 where one is of a single grey."""
    first = first - first.mean((-2, -1), keepdims=True)
    second = second - second.mean((-2, -1), keepdims=True)
    together = (first * second).sum((-2, -1))
    apart = np.sqrt((first**2).sum((-2, -1)) * (second**2).sum((-2, -1)))
    return together / np.maximum(apart, 1e-6)
