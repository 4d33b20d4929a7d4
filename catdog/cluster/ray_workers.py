"""What a worker of a Ray cluster does: it loads a network once, then works on one part of the photos after another."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from catdog.classifier.answers import answer_of
from catdog.files.storage import Place, as_place
from catdog.memory import share_one_heap
from catdog.photos.photo_sets import Photo
from catdog.photos.reading import digest_files
from catdog.settings import BUNDLED


def use_processors(count: int) -> None:
    """Let TensorFlow compute on so many processors, before it computes anything."""
    share_one_heap()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(count)


class DigestWorker:
    """Reads the photos of a part, and tells their contents' digests."""

    def __init__(self, cpus: int):
        pass

    def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        """The SHA-256 of each photo's content, in order; empty where it can't be read."""
        return {"part": int(part["part"]), "digests": digest_files(places_of(part))}


class NetworkWorker:
    """Runs the photos of a part through a frozen network, the content of a `.keras` file, in each of so many views."""

    def __init__(self, network: bytes, image_size: int, arithmetic: str, views: int, types: Sequence[str], cpus: int):
        use_processors(cpus)
        import keras

        from catdog.network.activations import compiled

        self.image_size, self.arithmetic, self.views = image_size, arithmetic, views
        self.types = [np.dtype(name).type for name in types]
        with TemporaryDirectory(prefix="catdog-") as folder:
            path = Path(folder, "network.keras")
            path.write_bytes(network)
            self.run = compiled(keras.models.load_model(path, compile=False))

    def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        """Each photo's digest and reason (empty where it was read), and for each view the kept outputs' bytes."""
        from catdog.network.activations import run_photos

        photos = [Photo(place, 0) for place in places_of(part)]
        known = [()] * self.views
        (ran,) = run_photos(self.run, self.arithmetic, photos, self.image_size, known, self.types)
        rows = [rows.tobytes() for _, outputs in ran.views for rows in outputs]
        reasons = [reason or "" for reason in ran.reasons]
        return {"part": int(part["part"]), "digests": ran.digests, "reasons": reasons, "rows": rows}


def places_of(part: dict[str, Any]) -> list[Place]:
    """A part's photos."""
    return [as_place(os.fsdecode(path)) for path in part["paths"]]


class AnswerWorker:
    """Classifies the photos of a part with the classifier in these files (name to content; none for the bundled)."""

    def __init__(self, files: Mapping[str, bytes], unsure_below: float, cpus: int):
        use_processors(cpus)
        from catdog.classifier.loading import load_classifier

        self.unsure_below = unsure_below
        with TemporaryDirectory(prefix="catdog-") as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            self.classifier = load_classifier(folder if files else BUNDLED)

    def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        """The answers to a part's photos, whose paths are bytes, in order."""
        paths = [os.fsdecode(path) for path in part["paths"]]
        predictions = self.classifier.classify(paths, self.unsure_below)
        answers = [answer_of(path, found) for path, found in zip(paths, predictions, strict=True)]
        # Names may hold what is no character; JSON keeps them as they are.
        return {"part": int(part["part"]), "answers": json.dumps(answers)}
