"""What the frozen part of the network puts out for each photo, so that it needs to run but once."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from catdog.errors import Failed, Stopped
from catdog.photo_sets import LeftOut, Photo
from catdog.photos import ReadPhoto, read_ahead

# Photos that go through the network together; more gain nothing on a CPU and cost memory.
NETWORK_BATCH = 32
# What a run leaves free on the disk.
SPARE_BYTES = 1_000_000_000


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
    """Activations on disk or in memory: one array (photos, ...) per view."""

    arrays: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.arrays[0])

    def batch(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Copy the photos' rows out of their views."""
        rows = np.empty((len(indices), *self.arrays[0].shape[1:]), np.float32)
        for view, array in enumerate(self.arrays):
            rows[views == view] = array[indices[views == view]]
        return rows


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
    """The readable photos of one split, with the outputs of the network for each view."""

    photos: list[Photo] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    pooled: list[np.ndarray] = field(default_factory=list)  # per view float32 (photos, channels)
    boundary: list[np.ndarray] = field(default_factory=list)  # per view (photos, height, width, channels), or none


def compiled(network: keras.Model) -> Callable[[np.ndarray], list[tf.Tensor]]:
    """The network in inference mode as one compiled function of uint8 photos (n, height, width, 3)."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def run(photos: tf.Tensor) -> list[tf.Tensor]:
        return tf.nest.flatten(network(tf.cast(photos, tf.float32), training=False))

    return run


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


def extract(
    photos: Sequence[Photo],
    network: keras.Model,
    image_size: int,
    views: int,
    allocate: Callable[[int, tuple[int, ...]], np.ndarray] | None,
    on_progress: Callable[[int, int, float], None],
    should_stop: Callable[[], bool],
) -> Extracted:
    """Run the network over each photo, and with two views over its mirror image, leaving unreadable ones out.

    The network puts out the pooled features, preceded by the activations at the freeze boundary where `allocate`
    makes an array of a view and a shape for them. `on_progress` gets photos done, photos in all and photos per
    second. Raises `Stopped`.
    """
    run = compiled(network)
    *boundary, pooled = run(np.zeros((1, image_size, image_size, 3), np.uint8))
    found = Extracted()
    found.pooled = [np.empty((len(photos), pooled.shape[1]), np.float32) for _ in range(views)]
    if allocate:
        found.boundary = [allocate(view, (len(photos), *boundary[0].shape[1:])) for view in range(views)]
    started, done = time.monotonic(), 0
    on_progress(done, len(photos), 0.0)
    for batch in read_batches(photos, image_size):
        if should_stop():
            raise Stopped("Stopped before the first epoch ended: there is nothing to keep yet.")
        readable = [read.pixels for _, read in batch if read.pixels is not None]
        rows = slice(len(found.photos), len(found.photos) + len(readable))
        for photo, read in batch:
            if read.pixels is None:
                found.left_out.append(LeftOut(photo.path, read.reason or ""))
            else:
                found.photos.append(photo)
                found.digests.append(read.digest)
        if readable:
            pixels = np.stack(readable)
            for view in range(views):
                *boundary, pooled = run(pixels[:, :, ::-1] if view else pixels)
                found.pooled[view][rows] = pooled
                if allocate:
                    found.boundary[view][rows] = boundary[0]
        done += len(batch)
        on_progress(done, len(photos), done / (time.monotonic() - started))
    found.pooled = [array[: len(found.photos)] for array in found.pooled]
    found.boundary = [array[: len(found.photos)] for array in found.boundary]
    return found


def allocator(folder: Path, split: str, dtype: type[np.floating]) -> Callable[[int, tuple[int, ...]], np.ndarray]:
    """What makes an array on disk, in a file of the folder, for a view and a shape."""

    def allocate(view: int, shape: tuple[int, ...]) -> np.ndarray:
        folder.mkdir(parents=True, exist_ok=True)
        return np.lib.format.open_memmap(folder / f"{split}_{view}.npy", mode="w+", dtype=dtype, shape=shape)

    return allocate


def has_room(folder: Path, needed_bytes: int) -> bool:
    """Whether the folder's disk holds that much more and keeps some to spare."""
    return shutil.disk_usage(folder).free - needed_bytes > SPARE_BYTES


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
