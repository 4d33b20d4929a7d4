"""What the frozen part of the network puts out for each photo: computed once, and kept on disk for other runs."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from catdog.arithmetic import bfloat16_switched_on, choose_arithmetic
from catdog.errors import Failed, Stopped
from catdog.folded import fold
from catdog.photo_sets import LeftOut, Photo
from catdog.photos import ReadPhoto, read_ahead
from catdog.shelves import Shelf, open_shelf

# Photos that go through the network together; more gain nothing on a CPU and cost memory.
NETWORK_BATCH = 32


class Source(Protocol):
    """Something that training draws batches from."""

    def __len__(self) -> int:
        """How many photos there are."""
        ...

    def batch(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """The float32 network input of these photos, each in the given view (0 as it is, 1 mirrored)."""
        ...


@dataclass
class KeptActivations:
    """Activations that were computed before: for each view an array of rows, and each photo's row in it."""

    views: list[tuple[np.ndarray, np.ndarray]]

    def __len__(self) -> int:
        return len(self.views[0][1])

    def batch(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Copy the photos' rows out of their views."""
        batch = np.empty((len(indices), *self.views[0][0].shape[1:]), np.float32)
        for view, (rows, places) in enumerate(self.views):
            batch[views == view] = rows[places[indices[views == view]]]
        return batch


@dataclass
class PhotoPixels:
    """The photos themselves, read anew for each batch, for a network that nothing was kept of."""

    photos: Sequence[Photo]
    image_size: int

    def __len__(self) -> int:
        return len(self.photos)

    def batch(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Read and, where asked, mirror the photos; raises `Failed` where one has gone since training began."""
        rows = np.empty((len(indices), self.image_size, self.image_size, 3), np.float32)
        paths = [self.photos[index].path for index in indices]
        for row, (photo, view) in enumerate(zip(read_ahead(paths, self.image_size), views, strict=True)):
            if photo.pixels is None:
                raise Failed(f"{photo.source} could be read when training began and can't be now: {photo.reason}.")
            rows[row] = photo.pixels[:, ::-1] if view else photo.pixels
        return rows


@dataclass
class Extracted:
    """The readable photos of one split, and what was kept of them: pooled features, and perhaps the boundary."""

    photos: list[Photo] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    pooled: KeptActivations | None = None
    boundary: KeptActivations | None = None


def compiled(network: keras.Model) -> Callable[[np.ndarray], list[tf.Tensor]]:
    """The network in inference mode as one compiled function of uint8 photos (n, height, width, 3)."""
    folded = fold(network)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def run(photos: tf.Tensor) -> list[tf.Tensor]:
        return folded(tf.cast(photos, tf.float32))

    return run


class Extraction:
    """Runs the frozen part of a network over photos, but only over those of which nothing is kept.

    `network` puts out the pooled features, preceded by the activations at the freeze boundary if that has a name.
    """

    def __init__(
        self,
        network: keras.Model,
        backbone_digest: str,
        image_size: int,
        boundary: str | None,
        parent: Path,
        bfloat16: bool = False,
    ):
        self.run = compiled(network)
        self.run_fast = compiled(network)
        self.bfloat16 = bfloat16
        self.image_size = image_size
        self.kinds = ["pooled"] if boundary is None else [boundary, "pooled"]
        self.parent = parent
        self.what = {"backbone": backbone_digest, "image_size": image_size}
        shapes = network.compute_output_shape((1, image_size, image_size, 3))
        self.shapes = [shape[1:] for shape in (shapes if len(self.kinds) > 1 else [shapes])]

    def arithmetic(self, photos: Sequence[Photo], precise: bool) -> str:
        """In which arithmetic to run photos: float32 where `precise`, else what is measured to be faster."""
        if precise or not self.bfloat16:
            return "float32"
        key = f"{self.what['backbone'][:16]} {self.image_size} {' '.join(self.kinds)}"
        return choose_arithmetic(key, self.run, self.run_fast, lambda: first_pixels(photos, self.image_size))

    def missing_bytes(self, photos: Sequence[Photo], digests: Sequence[str], views: int, precise: bool) -> int:
        """What the disk must take for photos with these digests, besides what is kept of them already."""
        arithmetic = self.arithmetic(photos, precise)
        shelves = [shelf for view in range(views) for shelf in self.shelves(view, precise, arithmetic)]
        return sum(shelf.row_bytes * shelf.count_missing(digests) for shelf in shelves)

    def shelves(self, view: int, precise: bool, arithmetic: str) -> list[Shelf]:
        """The shelf of each output for a view (0 as the photo is, 1 mirrored)."""
        types = [np.float32 if precise or kind == "pooled" else np.float16 for kind in self.kinds]
        return [
            open_shelf({**self.what, "arithmetic": arithmetic, "kind": kind, "view": view}, shape, dtype, self.parent)
            for kind, shape, dtype in zip(self.kinds, self.shapes, types, strict=True)
        ]

    def extract(
        self,
        photos: Sequence[Photo],
        digests: Sequence[str],
        views: int,
        precise: bool,
        on_progress: Callable[[int, float], None],
        should_stop: Callable[[], bool],
    ) -> Extracted:
        """What is kept of these photos, whose files have these digests, after running those that are missing.

        With `precise` the boundary is kept in float32, as it must be where figures come from it. `on_progress` gets
        the photos done and how many go through the network per second. Raises `Stopped`, or `OSError` where the disk
        can't take it.
        """
        arithmetic = self.arithmetic(photos, precise)
        shelves = [self.shelves(view, precise, arithmetic) for view in range(views)]
        kept = set.intersection(*(set(shelf.find(digests)) for of_view in shelves for shelf in of_view))
        missing = [photo for photo, digest in zip(photos, digests, strict=True) if digest not in kept]
        reasons: dict[Path, str] = {}
        read_digests = dict(zip((photo.path for photo in photos), digests, strict=True))
        done, ran, started = len(photos) - len(missing), 0, time.monotonic()
        on_progress(done, 0.0)
        fast = arithmetic == "bfloat16"
        run = self.run_fast if fast else self.run
        with bfloat16_switched_on() if fast else nullcontext():
            for batch in read_batches(missing, self.image_size):
                if should_stop():
                    raise Stopped("Stopped before the first epoch ended: there is nothing to keep yet.")
                reasons |= {photo.path: read.reason for photo, read in batch if read.reason is not None}
                readable = [(photo, read) for photo, read in batch if read.pixels is not None]
                read_digests |= {photo.path: read.digest for photo, read in readable}
                if readable:
                    pixels = np.stack([read.pixels for _, read in readable])
                    for view, of_view in enumerate(shelves):
                        outputs = run(pixels[:, :, ::-1] if view else pixels)
                        for shelf, rows in zip(of_view, outputs, strict=True):
                            shelf.append([read.digest for _, read in readable], rows.numpy())
                done, ran = done + len(batch), ran + len(readable)
                on_progress(done, ran / (time.monotonic() - started))
        found = Extracted(left_out=[LeftOut(path, reason) for path, reason in reasons.items()])
        found.photos = [photo for photo in photos if photo.path not in reasons]
        found.digests = [read_digests[photo.path] for photo in found.photos]
        by_kind = [KeptActivations([gather(of_view[kind], found.digests) for of_view in shelves]) for kind in (-1, 0)]
        found.pooled = in_memory(by_kind[0])
        found.boundary = by_kind[1] if len(self.kinds) > 1 else None
        return found


def first_pixels(photos: Sequence[Photo], image_size: int) -> np.ndarray:
    """The first NETWORK_BATCH photos that can be read, uint8 (n, image_size, image_size, 3)."""
    batch = next(read_batches(photos, image_size), [])
    pixels = [read.pixels for _, read in batch if read.pixels is not None]
    return np.array(pixels, np.uint8).reshape(-1, image_size, image_size, 3)


def gather(shelf: Shelf, digests: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """A shelf's rows, and the place of each photo's among them; raises `Failed` if some went missing meanwhile."""
    places = shelf.find(digests)
    if not places.keys() >= set(digests):
        raise Failed(f"Kept activations in {shelf.folder} disappeared while they were in use: train once more.")
    return shelf.rows(), np.array([places[digest] for digest in digests], np.int64)


def in_memory(kept: KeptActivations) -> KeptActivations:
    """The same, with a copy of just these photos' rows in memory: right for pooled features, which are small."""
    return KeptActivations([(rows[places], np.arange(len(places))) for rows, places in kept.views])


def read_batches(photos: Sequence[Photo], image_size: int) -> Iterator[list[tuple[Photo, ReadPhoto]]]:
    """The photos in order, in batches of which each but the last holds NETWORK_BATCH readable ones."""
    batch: list[tuple[Photo, ReadPhoto]] = []
    readable = 0
    for photo, read in zip(photos, read_ahead((photo.path for photo in photos), image_size), strict=True):
        batch.append((photo, read))
        readable += read.pixels is not None
        if readable == NETWORK_BATCH:
            yield batch
            batch, readable = [], 0
    if batch:
        yield batch


def in_batches(source: Source, order: np.ndarray, views: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """The source's batches in that order, each made ready while the one before is worked on."""
    starts = range(0, len(order), batch_size)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="next-batch") as pool:
        waiting = None
        for start in starts:
            rows = slice(start, start + batch_size)
            following = pool.submit(source.batch, order[rows], views[rows])
            if waiting:
                yield waiting.result()
            waiting = following
        if waiting:
            yield waiting.result()
