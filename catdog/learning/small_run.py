"""A small run of the functions that training is made of, which tells what the whole of it would take.

What comes out is a measurement: plain numbers, from which expectation.py reckons time and memory.
"""

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from catdog.classifier.building import build_classifier
from catdog.classifier.prediction import Classifier
from catdog.errors import Refused, Stopped
from catdog.files.shelves import shelves_folder
from catdog.learning.engines import LocalEngine
from catdog.learning.evaluation import classify_photos
from catdog.learning.outcome import evaluate, find_wrong_labels, save, write_page
from catdog.learning.phases import find_reference, fine_tune_phase, head_phase
from catdog.learning.preparation import EXTRACTED_SPLITS, Setup, choose_backbone, digest_photos, make_deterministic
from catdog.learning.training import prepare_extraction
from catdog.learning.training_loop import Learning
from catdog.network.activations import ComputedActivations, Extracted, Extraction, KeptActivations, PhotoPixels
from catdog.network.backbone import Backbone, digest_weights, published_network
from catdog.network.backbone_files import imagenet_file
from catdog.photos.photo_sets import find_photo_set, labels_of
from catdog.runs.run_folder import Run
from catdog.settings import TrainConfig

# How long each part of the small run goes on, once it is warm.
FEATURES_SECONDS = 1.5
LEARNING_SECONDS = 1.5
# Photos of a split that go through the network at most, and those that the small run needs at least.
MOST_PHOTOS, FEWEST_PHOTOS = 960, 96
# Steps of each of its epochs, and batches of validation: the head's take no time.
STEPS = {"head": (32, 8), "fine-tune": (2, 2)}
# Too low to lead anywhere, which is as good as any for the time it takes.
LOW_RATE = 1e-6
LOOK_SECONDS = 0.01  # between two looks at the memory
NOT_DOWNLOADED = "The ImageNet backbone isn't here yet: its download of 94 MB comes on top of this, once."

Moments = list[tuple[float, dict[str, Any]]]


class Stopwatch(Run):
    """A run that notes when each event came instead of writing it, and asks to stop once a phase took long enough."""

    def __init__(self, folder: Path, should_stop: Callable[[], bool]):
        super().__init__(folder)
        self.should_stop = should_stop
        self.moments: Moments = []

    def event(self, kind: str, **fields: Any) -> None:
        """Note the event; those of a phase begin with its own."""
        if kind == "phase":
            self.moments = []
        self.moments.append((time.monotonic(), {"event": kind, **fields}))

    def frequent_event(self, kind: str, last: bool, **fields: Any) -> None:
        """Note the event, however soon it comes."""
        self.event(kind, **fields)

    def stop_requested(self) -> bool:
        """Whether somebody asked to stop, or a whole epoch was measured and the time is over."""
        ended = moments_of(self.moments, "epoch")
        enough = len(ended) > 1 and time.monotonic() - ended[0][0] > LEARNING_SECONDS
        return enough or self.should_stop()


class MemoryWatch:
    """Looks again and again at how much memory of its own this process has."""

    def __init__(self):
        self.largest_bytes = 0
        self.finished = threading.Event()

    def look(self) -> int:
        """The largest so far, in bytes; none where the system does not tell."""
        self.largest_bytes = max(self.largest_bytes, anonymous_bytes())
        return self.largest_bytes

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look for as long as the `with` block lasts."""

        def keep_looking() -> None:
            while not self.finished.wait(LOOK_SECONDS):
                self.look()

        thread = threading.Thread(target=keep_looking, daemon=True, name="memory-watch")
        thread.start()
        try:
            yield
        finally:
            self.finished.set()
            thread.join()


def anonymous_bytes() -> int:
    """The memory that is this process's own now; where only the largest so far is known, that; 0 if nothing is."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def moments_of(moments: Moments, kind: str) -> Moments:
    """Those of a kind of event."""
    return [moment for moment in moments if moment[1]["event"] == kind]


def measure(
    config: TrainConfig, folder: Path, began: float, should_stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """A measurement of these settings, made in a folder that may be removed afterwards.

    `began` is when the process did, as `time.monotonic` tells. What runs through the network is kept for the run
    itself. Raises `Refused` or `Failed` where training would, and `Stopped` if asked to.
    """
    memory = MemoryWatch()
    with memory.looking():
        # The start: photos and backbone, as in `train`.
        stopwatch = Stopwatch(folder, should_stop)
        setup, note = set_up(config, stopwatch)
        seconds: dict[str, Any] = {"start": time.monotonic() - began}

        # Activations, of a few photos.
        seconds["features"], shelves, extracted = measure_features(setup, kept_for_later=not note)

        # A few steps of each phase.
        learning, seconds["head"], extracted = measure_phase(setup, extracted, "head")
        head_bytes = memory.look()
        if config.fine_tune_epochs:
            learning, seconds["fine-tune"], extracted = measure_phase(setup, extracted, "fine-tune")

        # The end, on what there is.
        seconds["test_photo"], test_seconds = measure_test(setup)
        seconds["label"] = measure_labels(setup, extracted)
        ending = time.monotonic()
        learning.put_back_best(setup.model)
        setup.run.write_config(config)
        report = evaluate(replace_test(setup), extracted, learning)
        find_reference(setup, extracted, learning)
        save(setup, extracted, report)
        write_page(setup.run)
        seconds["end"] = test_seconds + time.monotonic() - ending
    pooled_bytes = 4 * setup.model.get_layer("pooled").output.shape[-1]
    return {
        "settings": config.as_dict(),
        "photos": {split: len(photos) for split, photos in setup.photo_set.splits.items()},
        "shelves": shelves,
        "seconds": seconds,
        "bytes": {
            "head": head_bytes,
            "all": memory.look(),
            "photo": {"train": pooled_bytes * setup.views, "validation": pooled_bytes},
        },
        "note": note,
    }


def set_up(config: TrainConfig, run: Run) -> tuple[Setup, str]:
    """What the run would start from, and a note where ImageNet's backbone isn't there and one like it stands in."""
    photo_set = find_photo_set(config.data, config.seed, config.leave_out, config.relabel)
    digests = digest_photos(photo_set, LocalEngine())
    if config.backbone in ("auto", "imagenet") and not imagenet_file().exists():
        network = published_network()
        digest_weights(network)  # for the time that it takes
        backbone, note = Backbone("imagenet", network, "not downloaded"), NOT_DOWNLOADED
    else:
        backbone, note = choose_backbone(config.backbone, run), ""
    make_deterministic(config.seed)
    model = build_classifier(backbone.model, len(photo_set.class_names))
    return Setup(config, run, photo_set, digests, backbone, model), note


def measure_features(
    setup: Setup, kept_for_later: bool
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]], dict[str, Extracted]]:
    """Seconds of feature extraction, what the shelves have and lack, and a few photos of each split, extracted."""
    own_folder = setup.run.checkpoint_folder / "activations"
    if not kept_for_later:
        return measure_features_in(own_folder, setup)
    try:
        return measure_features_in(shelves_folder(Path(setup.config.data)), setup)
    except OSError:  # as where training falls back too
        return measure_features_in(own_folder, setup)


def measure_features_in(
    parent: Path, setup: Setup
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]], dict[str, Extracted]]:
    """The same with the shelves in this folder."""
    # The first time chooses the arithmetic, which the run will find chosen.
    prepare_extraction(parent, setup)
    started = time.monotonic()
    extraction = prepare_extraction(parent, setup)
    seconds: dict[str, Any] = {"prepare": time.monotonic() - started}
    shelves, extracted = {}, {}
    for split in EXTRACTED_SPLITS:
        seconds[split], shelves[split], extracted[split] = measure_split(setup, extraction, split)
    return seconds, shelves, extracted


def measure_split(
    setup: Setup, extraction: Extraction, split: str
) -> tuple[dict[str, float | None], list[dict[str, Any]], Extracted]:
    """Seconds to begin, and per photo that is missing or kept; the shelves; a few photos of the split, extracted."""
    photos, digests = setup.photo_set.splits[split], setup.digests[split]
    precise = split == "validation"
    views = 1 if precise else setup.views
    arithmetic = extraction.arithmetic(photos, precise)
    shelves = [shelf for view in range(views) for shelf in extraction.shelves(view, precise, arithmetic)]
    kept = set.intersection(*(set(shelf.places(shelf.records())) for shelf in shelves))
    chance = random.Random(0)
    new = [index for index, digest in enumerate(digests) if digest not in kept]
    old = [index for index, digest in enumerate(digests) if digest in kept]
    new = chance.sample(new, min(len(new), MOST_PHOTOS))
    old = chance.sample(old, min(len(old), max(0, FEWEST_PHOTOS - len(new))))

    moments: list[tuple[float, int]] = []

    def extract(indices: Sequence[int], should_stop: Callable[[], bool]) -> Extracted:
        some = [photos[index] for index in indices], [digests[index] for index in indices]
        moments.clear()
        return extraction.extract(*some, views, precise, on_progress, should_stop)

    def on_progress(done: int, per_second: float) -> None:
        if not moments or done > moments[-1][1]:
            moments.append((time.monotonic(), done))

    def is_enough() -> bool:
        return (len(moments) > 2 and time.monotonic() - moments[1][0] > FEATURES_SECONDS) or setup.run.should_stop()

    try:
        extract(new + old, is_enough)
    except Stopped:
        if setup.run.should_stop():
            raise
    begin, per_photo = pace(moments)
    if moments:
        new = new[: moments[-1][1] - moments[0][1]]
    started = time.monotonic()
    found = extract((new + old)[: max(FEWEST_PHOTOS, setup.config.batch_size)], setup.run.should_stop)
    if not found.photos:
        raise Refused(f"None of the {split} photos that were tried can be read: mend or replace some.")
    seconds = {"begin": begin, "photo": per_photo, "kept": (time.monotonic() - started) / len(found.photos)}
    return seconds, [describe_shelf(shelf, digests) for shelf in shelves], found


def pace(moments: Sequence[tuple[float, int]]) -> tuple[float, float | None]:
    """Seconds that the first batch takes more than others, and seconds per photo (None where there was none).

    From when how many photos were done: before the first batch, after it, and so on.
    """
    if len(moments) < 2:
        return 0.0, None
    (before, none_done), (first, some_done), (last, all_done) = moments[0], moments[1], moments[-1]
    if last == first:
        return 0.0, (first - before) / (some_done - none_done)
    per_photo = (last - first) / (all_done - some_done)
    return max(0.0, first - before - per_photo * (some_done - none_done)), per_photo


def describe_shelf(shelf: Any, digests: Sequence[str]) -> dict[str, Any]:
    """Where a shelf is, what it holds, how many rows it has now, and how many of these photos it lacks."""
    return {
        "folder": str(shelf.folder),
        "kind": shelf.description["kind"],
        "rows": len(shelf.records()),
        "missing": shelf.count_missing(digests),
    }


def repeated(found: Extracted, count: int, image_size: int) -> Extracted:
    """So many photos with their activations, the same ones over and over."""
    order = np.arange(count) % len(found.photos)
    photos = [found.photos[index] for index in order]
    boundary = found.boundary
    if isinstance(boundary, ComputedActivations):
        boundary = replace(boundary, photos=PhotoPixels(photos, image_size))
    elif boundary is not None:
        boundary = KeptActivations([(rows, places[order]) for rows, places in boundary.views])
    pooled = KeptActivations([(rows, places[order]) for rows, places in found.pooled.views])
    return Extracted(photos, [found.digests[index] for index in order], [], pooled, boundary)


def measure_phase(
    setup: Setup, found: dict[str, Extracted], name: str
) -> tuple[Learning, dict[str, float], dict[str, Extracted]]:
    """A few short epochs of a phase; what was learned, the seconds of its parts, and on which photos."""
    config = setup.config
    counts = dict(zip(EXTRACTED_SPLITS, (batches * config.batch_size for batches in STEPS[name]), strict=True))
    few = {split: repeated(found[split], count, config.image_size) for split, count in counts.items()}
    endless = {"head_epochs": 1000, "fine_tune_epochs": 1000}
    slow = {"head_learning_rate": LOW_RATE, "fine_tune_learning_rate": LOW_RATE}
    small = replace(setup, config=replace(config, **endless, **slow))
    phase = (head_phase if name == "head" else fine_tune_phase)(small, few["train"], few["validation"])
    labels = (labels_of(few[split].photos) for split in EXTRACTED_SPLITS)
    learning = Learning(setup.run, *labels, config.batch_size, config.seed)
    try:
        learning.learn(phase)
    except Stopped:
        if setup.run.should_stop():
            raise
    return learning, phase_seconds(setup.run.moments, counts), few


def phase_seconds(moments: Moments, counts: dict[str, int]) -> dict[str, float]:
    """What a phase takes to begin, per photo learned from and validated on, and per epoch besides.

    From when its events came, where each epoch had so many photos. The first epoch is the one that compiles.
    """
    began = moments[0][0]
    ended = [moment for moment, _ in moments_of(moments, "epoch")]
    within = [event["seconds"] for _, event in moments_of(moments, "epoch")]
    steps = [[at for at, event in moments_of(moments, "step") if event["epoch"] == n + 1] for n in range(len(ended))]
    warm = range(1, len(ended))
    between = sum(steps[n][-1] - steps[n][0] for n in warm)
    per_step = between / sum(len(steps[n]) - 1 for n in warm)
    learned = sum(steps[n][-1] - ended[n - 1] for n in warm) / len(warm)
    validated = sum(within[n] for n in warm) / len(warm) - learned
    epoch = sum(ended[n] - ended[n - 1] for n in warm) / len(warm)
    rest = epoch - per_step * len(steps[1]) - validated
    return {
        "begin": max(0.0, ended[0] - began - epoch),
        "train_photo": per_step * len(steps[1]) / counts["train"],
        "validation_photo": max(0.0, validated) / counts["validation"],
        "epoch": max(0.0, rest),
    }


def measure_test(setup: Setup) -> tuple[float, float]:
    """Seconds per photo of `test`, and those of the few that were tried besides; none where there is no such split."""
    photos = setup.photo_set.splits.get("test", [])
    if not photos:
        return 0.0, 0.0
    info = {"class_names": setup.photo_set.class_names, "image_size": setup.config.image_size}
    classifier = Classifier(setup.model, info)
    some = random.Random(0).sample(photos, min(len(photos), FEWEST_PHOTOS))
    started = time.monotonic()
    classify_photos(classifier, some[:1])
    warm = time.monotonic()
    classify_photos(classifier, some)
    return (time.monotonic() - warm) / len(some), warm - started


def measure_labels(setup: Setup, found: dict[str, Extracted]) -> float:
    """The seconds for each photo that looking for wrong labels takes."""
    started = time.monotonic()
    find_wrong_labels(setup, found)
    return (time.monotonic() - started) / sum(len(of_split.photos) for of_split in found.values())


def replace_test(setup: Setup) -> Setup:
    """The same without test photos, which were measured by themselves."""
    splits = {split: photos for split, photos in setup.photo_set.splits.items() if split != "test"}
    return replace(setup, photo_set=replace(setup.photo_set, splits=splits))
