"""What the frozen part of the network puts out for each photo: computed once, and kept on disk for other runs."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from catdog.errors import Failed, Stopped
from catdog.files.shelves import Shelf, open_shelf
from catdog.network.arithmetic import ARITHMETICS, choose_arithmetic, switched_to
from catdog.network.folded import fold
from catdog.photos.photo_sets import LeftOut, Photo
from catdog.photos.reading import ReadPhoto, read_ahead
from catdog.public_mode import is_public
from catdog.runs.versions import versions

# Photos that go through the network together; more gain nothing on a CPU. Where the app is open to the public the
# host is small: a ResNet-50 holds 250 MB less for 8, and takes 1.06 times as long.
NETWORK_BATCH = 8 if is_public() else 32
# Photos that are read, and whose rows are kept, together.
KEPT_TOGETHER = 32
# How often to look for what is missing: somebody may clear the shelves while they are being filled.
ATTEMPTS = 3


class Source(ABC):
    """Something that training draws batches from."""

    @abstractmethod
    def __len__(self) -> int:
        """How many photos there are."""

    @abstractmethod
    def load(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """What a batch of these photos is made from, each in the given view (0 as it is, 1 mirrored).

        It runs beside the learning, on a thread of its own.
        """

    def finish(self, loaded: np.ndarray) -> np.ndarray:
        """The float32 network input, out of what was loaded; it never runs beside the learning."""
        return loaded

    def batch(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """The float32 network input of these photos."""
        return self.finish(self.load(indices, views))


@dataclass
class KeptActivations(Source):
    """Activations that were computed before: for each view an array of rows, and each photo's row in it."""

    views: list[tuple[np.ndarray, np.ndarray]]

    def __len__(self) -> int:
        return len(self.views[0][1])

    def load(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Copy the photos' rows out of their views."""
        batch = np.empty((len(indices), *self.views[0][0].shape[1:]), np.float32)
        for view, (rows, places) in enumerate(self.views):
            batch[views == view] = rows[places[indices[views == view]]]
        return batch


@dataclass
class PhotoPixels(Source):
    """The photos themselves, read anew for each batch, for a network of which nothing is frozen."""

    photos: Sequence[Photo]
    image_size: int

    def __len__(self) -> int:
        return len(self.photos)

    def load(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Read and, where asked, mirror the photos, uint8 (n, image_size, image_size, 3).

        Raises `Failed` where one has gone since training began.
        """
        rows = np.empty((len(indices), self.image_size, self.image_size, 3), np.uint8)
        paths = [self.photos[index].path for index in indices]
        for row, (photo, view) in enumerate(zip(read_ahead(paths, self.image_size), views, strict=True)):
            if photo.pixels is None:
                raise Failed(f"{photo.source} could be read when training began and can't be now: {photo.reason}.")
            rows[row] = photo.pixels[:, ::-1] if view else photo.pixels
        return rows

    def finish(self, loaded: np.ndarray) -> np.ndarray:
        """The same as float32."""
        return loaded.astype(np.float32)


@dataclass
class ComputedActivations(Source):
    """Activations computed anew for each batch, in the arithmetic and the digits in which they would have been kept."""

    photos: PhotoPixels
    run: Callable[[np.ndarray], list[tf.Tensor]]
    dtype: type[np.floating]
    arithmetic: str = "float32"

    def __len__(self) -> int:
        return len(self.photos)

    def load(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Read the photos; raises `Failed` where one has gone since training began."""
        return self.photos.load(indices, views)

    def finish(self, loaded: np.ndarray) -> np.ndarray:
        """Run the photos through the frozen network."""
        with switched_to(self.arithmetic):
            rows, *_ = run_in_parts(self.run, loaded)
        return rows.astype(self.dtype).astype(np.float32)


@dataclass
class Extracted:
    """The readable photos of one split, their pooled features, and perhaps their activations at the boundary."""

    photos: list[Photo] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    pooled: KeptActivations | None = None
    boundary: KeptActivations | ComputedActivations | None = None


def compiled(network: keras.Model) -> Callable[[np.ndarray], list[tf.Tensor]]:
    """The network in inference mode as one compiled function of uint8 photos (n, height, width, 3)."""
    # Some GPUs round what they multiply unless told not to; whatever is reported is computed in float32.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    folded = fold(network)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def run(photos: tf.Tensor) -> list[tf.Tensor]:
        return folded(tf.cast(photos, tf.float32))

    return run


class RanPhotos(NamedTuple):
    """Photos that went through the frozen network together, and what came out of it."""

    photos: list[Photo]
    digests: list[str]  # of each photo's content; empty where it could not be opened
    reasons: list[str | None]  # why a photo could not be read
    # For each view the digests of the photos that were run in it, and of each output kept an array with their rows.
    views: list[tuple[list[str], list[np.ndarray]]]


# Runs photos through the frozen network: the photos, the digests of those that need not be run in each view, the
# arithmetic, and the types of the last outputs, which are those to be kept.
RunPhotos = Callable[[Sequence[Photo], Sequence[Container[str]], str, Sequence[type[np.floating]]], Iterator[RanPhotos]]


def run_in_parts(run: Callable[[np.ndarray], list[tf.Tensor]], pixels: np.ndarray) -> list[np.ndarray]:
    """Each output of a network for these photos, NETWORK_BATCH of which go through it together."""
    parts = [run(pixels[start : start + NETWORK_BATCH]) for start in range(0, len(pixels), NETWORK_BATCH)]
    return [np.concatenate(rows) for rows in zip(*parts, strict=True)]


class Extraction:
    """Runs the frozen part of a network over photos, but only over those of which nothing is kept.

    `network` puts out the pooled features, preceded by the activations at the freeze boundary if that has a name.
    With `keeps_boundary` off, the latter are not kept but computed for each batch. `run_elsewhere` runs the photos
    instead of this process.
    """

    def __init__(
        self,
        network: keras.Model,
        backbone_digest: str,
        image_size: int,
        boundary: str | None,
        parent: Path,
        bfloat16: bool = False,
        run_elsewhere: RunPhotos | None = None,
    ):
        # A network of its own for each, since TensorFlow makes one ready for the arithmetic that it first runs in.
        self.runs = {name: compiled(network) for name in (ARITHMETICS if bfloat16 else ARITHMETICS[:1])}
        self.image_size = image_size
        self.boundary = boundary
        self.keeps_boundary = boundary is not None
        self.parent = parent
        self.run_photos = run_elsewhere or self.run_here
        # Another version of what decodes photos or runs networks may give other numbers.
        self.what = {"backbone": backbone_digest, "image_size": image_size, "versions": versions()}
        shapes = network.compute_output_shape((1, image_size, image_size, 3))
        by_kind = {boundary: shapes[0], "pooled": shapes[1]} if boundary else {"pooled": shapes}
        self.shapes = {kind: shape[1:] for kind, shape in by_kind.items()}

    def arithmetic(self, photos: Sequence[Photo], precise: bool) -> str:
        """In which arithmetic to run photos: float32 where `precise`, else what is measured to be faster."""
        if precise or "bfloat16" not in self.runs:
            return "float32"
        # Whatever the freeze depth: the same network runs, so that what one run kept of it serves the other.
        key = f"{self.what['backbone'][:16]} {self.image_size}"
        return choose_arithmetic(
            key, self.runs["float32"], self.runs["bfloat16"], lambda: full_batch(photos, self.image_size)
        )

    def missing_bytes(self, photos: Sequence[Photo], digests: Sequence[str], views: int, precise: bool) -> int:
        """What the disk must take for photos with these digests, besides what is kept of them already."""
        arithmetic = self.arithmetic(photos, precise)
        shelves = [shelf for view in range(views) for shelf in self.shelves(view, precise, arithmetic)]
        return sum(shelf.row_bytes * shelf.count_missing(digests) for shelf in shelves)

    def shelves(self, view: int, precise: bool, arithmetic: str) -> list[Shelf]:
        """The shelf of each output that is kept, for a view (0 as the photo is, 1 mirrored); that of pooled is last."""
        what = {**self.what, "arithmetic": arithmetic, "view": view}
        pooled = open_shelf({**what, "kind": "pooled"}, self.shapes["pooled"], np.float32, self.parent)
        if not self.keeps_boundary:
            return [pooled]
        dtype = boundary_type(precise)
        return [open_shelf({**what, "kind": self.boundary}, self.shapes[self.boundary], dtype, self.parent), pooled]

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
        # What a photo is known by: its content, or its path where that can't be read.
        keys = {photo.path: digest or str(photo.path) for photo, digest in zip(photos, digests, strict=True)}
        reasons: dict[str, str] = {}
        ran, per_second, started = 0, 0.0, time.monotonic()
        for _ in range(ATTEMPTS):
            taken = [[shelf.take(keys.values()) for shelf in of_view] for of_view in shelves]
            known = [set.intersection(*(set(places) for _, places in of_view)) for of_view in taken]
            done_with = set.intersection(*known) | reasons.keys()
            # Of photos with the same content, one runs.
            missing = {keys[photo.path]: photo for photo in photos if keys[photo.path] not in done_with}
            done = len(photos) - len(missing)
            on_progress(done, per_second)
            if not missing:
                found = self.collect(photos, keys, reasons, taken)
                if self.boundary and not self.keeps_boundary:
                    source = PhotoPixels(found.photos, self.image_size)
                    run = self.runs[arithmetic]
                    found.boundary = ComputedActivations(source, run, boundary_type(precise), arithmetic)
                return found
            types = [shelf.dtype.type for shelf in shelves[0]]
            for batch in self.run_photos(list(missing.values()), known, arithmetic, types):
                # A file may have changed since its digest was taken.
                named = {photo.path: digest or str(photo.path) for photo, digest in zip(*batch[:2], strict=True)}
                keys |= named
                unreadable = {key: reason for key, reason in zip(named.values(), batch.reasons, strict=True) if reason}
                reasons |= unreadable
                for of_view, (of_photos, outputs) in zip(shelves, batch.views, strict=True):
                    for shelf, rows in zip(of_view, outputs, strict=True):
                        if of_photos:
                            shelf.append(of_photos, rows)
                done, ran = done + len(named), ran + len(named) - len(unreadable)
                per_second = ran / (time.monotonic() - started)
                on_progress(done, per_second)
                if should_stop():
                    raise Stopped("Stopped before the first epoch ended: there is nothing to keep yet.")
        raise Failed(f"Kept activations in {self.parent} disappeared while they were in use: train once more.")

    def run_here(
        self,
        photos: Sequence[Photo],
        known: Sequence[Container[str]],
        arithmetic: str,
        types: Sequence[type[np.floating]],
    ) -> Iterator[RanPhotos]:
        """Run photos through the network in this process; see `RunPhotos`."""
        return run_photos(self.runs[arithmetic], arithmetic, photos, self.image_size, known, types)

    def collect(
        self,
        photos: Sequence[Photo],
        keys: dict[Path, str],
        reasons: dict[str, str],
        taken: list[list[tuple[np.ndarray, dict[str, int]]]],
    ) -> Extracted:
        """The photos that could be read and their rows, out of what was taken from each view's shelves."""
        found = Extracted()
        for photo in photos:
            key = keys[photo.path]
            if key in reasons:
                found.left_out.append(LeftOut(photo.path, reasons[key]))
            else:
                found.photos.append(photo)
                found.digests.append(key)
        by_kind = [
            KeptActivations(
                [(rows, np.array([places[key] for key in found.digests], np.int64)) for rows, places in views]
            )
            for views in zip(*taken, strict=True)
        ]
        found.pooled = in_memory(by_kind[-1])
        found.boundary = by_kind[0] if len(by_kind) > 1 else None
        return found


def run_photos(
    run: Callable[[np.ndarray], list[tf.Tensor]],
    arithmetic: str,
    photos: Sequence[Photo],
    image_size: int,
    known: Sequence[Container[str]],
    types: Sequence[type[np.floating]],
) -> Iterator[RanPhotos]:
    """Read photos and run them through a network a batch at a time, in each view those whose digest isn't known."""
    for batch in read_batches(photos, image_size):
        readable = [read for _, read in batch if read.pixels is not None]
        views = []
        for view, known_of_view in enumerate(known):
            unknown = [read for read in readable if read.digest not in known_of_view]
            outputs = [np.empty((0,), dtype) for dtype in types]
            if unknown:
                pixels = np.stack([read.pixels for read in unknown])
                with switched_to(arithmetic):
                    found = run_in_parts(run, pixels[:, :, ::-1] if view else pixels)[-len(types) :]
                outputs = [rows.astype(dtype, copy=False) for rows, dtype in zip(found, types, strict=True)]
            views.append(([read.digest for read in unknown], outputs))
        photos, reads = map(list, zip(*batch, strict=True))
        yield RanPhotos(photos, [read.digest for read in reads], [read.reason for read in reads], views)


def boundary_type(precise: bool) -> type[np.floating]:
    """In how many bits a boundary is kept; the training photos' in half, since twice as many then fit."""
    return np.float32 if precise else np.float16


def full_batch(photos: Sequence[Photo], image_size: int) -> np.ndarray:
    """The first NETWORK_BATCH photos that can be read, again and again if there are fewer; empty if there are none.

    uint8 (n, image_size, image_size, 3): a few photos make the same choice of arithmetic as many.
    """
    batch = next(read_batches(photos, image_size), [])
    pixels = [read.pixels for _, read in batch if read.pixels is not None]
    return np.array(list(islice(cycle(pixels), NETWORK_BATCH)), np.uint8).reshape(-1, image_size, image_size, 3)


def in_memory(kept: KeptActivations) -> KeptActivations:
    """The same, with a copy of just these photos' rows in memory: right for pooled features, which are small."""
    return KeptActivations([(rows[places], np.arange(len(places))) for rows, places in kept.views])


def read_batches(photos: Sequence[Photo], image_size: int) -> Iterator[list[tuple[Photo, ReadPhoto]]]:
    """The photos in order, in batches of which each but the last holds KEPT_TOGETHER readable ones."""
    batch: list[tuple[Photo, ReadPhoto]] = []
    readable = 0
    for photo, read in zip(photos, read_ahead((photo.path for photo in photos), image_size), strict=True):
        batch.append((photo, read))
        readable += read.pixels is not None
        if readable == KEPT_TOGETHER:
            yield batch
            batch, readable = [], 0
    if batch:
        yield batch


def in_batches(source: Source, order: np.ndarray, views: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """The source's batches in that order, each loaded while the one before is worked on."""
    starts = range(0, len(order), batch_size)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="next-batch") as pool:
        waiting = None
        for start in starts:
            rows = slice(start, start + batch_size)
            following = pool.submit(source.load, order[rows], views[rows])
            if waiting:
                yield source.finish(waiting.result())
            waiting = following
        if waiting:
            yield source.finish(waiting.result())
