"""Who does the work that goes through every photo of a training: this process, or the workers of a Ray cluster."""

import os
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np

from catdog.cluster.ray_engine import Share, cluster, each_part
from catdog.files.storage import Place
from catdog.network.activations import KEPT_TOGETHER, RanPhotos, RunPhotos
from catdog.photos.photo_sets import Photo
from catdog.photos.reading import digest_files

ENGINES = ("local", "ray")
DIGESTED_TOGETHER = 256


class Engine(Protocol):
    """What training asks of an engine."""

    def digest_files(self, paths: Sequence[Place]) -> list[str]:
        """The SHA-256 of each file's content, in order; empty where it can't be read."""

    def runner_of(self, network: keras.Model, image_size: int) -> RunPhotos | None:
        """What runs photos through a frozen network; None for this process itself."""


class LocalEngine:
    """This process."""

    def digest_files(self, paths: Sequence[Place]) -> list[str]:
        """The SHA-256 of each file's content, in order; empty where it can't be read."""
        return digest_files(paths)

    def runner_of(self, network: keras.Model, image_size: int) -> RunPhotos | None:
        """None: the photos run here."""
        return None


class RayEngine(NamedTuple):
    """The workers of a cluster."""

    share: Share

    def digest_files(self, paths: Sequence[Place]) -> list[str]:
        """The SHA-256 of each file's content, in order; empty where it can't be read."""
        parts = parts_of(paths, DIGESTED_TOGETHER)
        found = each_part("catdog.cluster.ray_workers:DigestWorker", (), parts, self.share)
        by_part = {each["part"]: each["digests"] for each in found}
        return [digest for part in range(len(parts)) for digest in by_part[part]]

    def runner_of(self, network: keras.Model, image_size: int) -> RunPhotos | None:
        """What has the workers run photos through the network, of which each has a copy."""
        return RayRunner(self.share, network, image_size)


class RayRunner:
    """Runs photos through a frozen network on the workers of a cluster; see `RunPhotos`."""

    def __init__(self, share: Share, network: keras.Model, image_size: int):
        self.share = share
        self.image_size = image_size
        self.shapes = [shape[1:] for shape in listed(network.compute_output_shape((1, image_size, image_size, 3)))]
        with TemporaryDirectory(prefix="catdog-") as folder:
            path = Path(folder, "network.keras")
            network.save(path)
            self.network = path.read_bytes()

    def __call__(
        self,
        photos: Sequence[Photo],
        known: Sequence[Container[str]],
        arithmetic: str,
        types: Sequence[type[np.floating]],
    ) -> Iterator[RanPhotos]:
        """What comes out for the photos, a part at a time, as the parts are done; all of them run in every view."""
        parts = parts_of([photo.path for photo in photos], KEPT_TOGETHER)
        if not parts:
            return
        names = [np.dtype(each).name for each in types]
        arguments = self.network, self.image_size, arithmetic, len(known), names
        shapes = self.shapes[-len(types) :]
        for found in each_part("catdog.cluster.ray_workers:NetworkWorker", arguments, parts, self.share):
            start = found["part"] * KEPT_TOGETHER
            digests, reasons = found["digests"], [reason or None for reason in found["reasons"]]
            of_rows = [digest for digest, reason in zip(digests, reasons, strict=True) if reason is None]
            arrays = iter(found["rows"])
            views = [
                (
                    of_rows,
                    [
                        np.frombuffer(next(arrays), dtype).reshape(len(of_rows), *shape)
                        for dtype, shape in zip(types, shapes, strict=True)
                    ],
                )
                for _ in known
            ]
            yield RanPhotos(list(photos[start : start + len(digests)]), digests, reasons, views)


def listed(shapes: Any) -> list[tuple[int, ...]]:
    """The shapes of a network's outputs as a list, also where there is one."""
    return list(shapes) if isinstance(shapes, list) else [shapes]


def parts_of(paths: Sequence[Place], size: int) -> list[dict[str, Any]]:
    """The paths as numbered parts of the work, in order; names may hold what is no character."""
    names = [os.fsencode(str(path)) for path in paths]
    return [{"part": start // size, "paths": names[start : start + size]} for start in range(0, len(names), size)]


@contextmanager
def open_engine(name: str = "local", workers: int | None = None) -> Iterator[Engine]:
    """The engine of that name; raises `Refused` or `Failed` where it can't be had."""
    if name == "local":
        yield LocalEngine()
        return
    with cluster(workers) as share:
        yield RayEngine(share)
