"""What a run starts from: its photos, its backbone, and the model that is put on it."""

import hashlib
import time
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from catdog.classifier.building import build_classifier
from catdog.errors import Refused
from catdog.files.json_files import found_in, read_json
from catdog.learning.engines import Engine, LocalEngine
from catdog.network.backbone import Backbone, load_backbone
from catdog.photos.fingerprints import fingerprint_photos
from catdog.photos.look_alikes import find_look_alikes
from catdog.photos.photo_sets import PhotoSet, find_photo_set, keep_together
from catdog.runs.run_folder import Run
from catdog.settings import TrainConfig

EXTRACTED_SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Setup:
    """What a run starts from: settings, folder, photos and their files' digests, backbone, and the model on it."""

    config: TrainConfig
    run: Run
    photo_set: PhotoSet
    digests: dict[str, list[str]]
    backbone: Backbone
    model: keras.Model
    engine: Engine = field(default_factory=LocalEngine)

    @property
    def views(self) -> int:
        """How many pictures training makes of each photo."""
        return 2 if self.config.augment == "mirror" else 1


def prepare(config: TrainConfig, run: Run, engine: Engine | None = None) -> Setup:
    """Find the photos, load the backbone, and put a new head on it."""
    engine = engine or LocalEngine()
    run.event("phase", phase="photos")
    photo_set = find_photos(config, run)
    digests = digest_photos(photo_set, engine)
    backbone = choose_backbone(config.backbone, run)
    make_deterministic(config.seed)
    model = build_classifier(backbone.model, len(photo_set.class_names))
    return Setup(config, run, photo_set, digests, backbone, model, engine)


def find_photos(config: TrainConfig, run: Run) -> PhotoSet:
    """The photos by split; where the seed draws the validation photos, those that look alike are on one side."""
    photo_set = find_photo_set(config.data, config.seed, config.leave_out, config.relabel)
    if not photo_set.is_drawn:
        return photo_set
    total = len(photo_set.paths())

    def on_progress(done: int, per_second: float) -> None:
        run.frequent_event("progress", last=done == total, done=done, total=total, per_second=round(per_second, 2))

    fingerprints = fingerprint_photos(photo_set.paths(), on_progress, run.stop_requested)
    return keep_together(photo_set, find_look_alikes(fingerprints), config.seed)


def make_deterministic(seed: int) -> None:
    """Let the same seed give the same weights to the last bit, in this process and the next."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def choose_backbone(source: str, run: Run) -> Backbone:
    """Load the backbone, with the progress of its download and the reason of the choice as events."""
    started = time.monotonic()
    downloading = False

    def on_progress(done: int, total: int | None) -> None:
        nonlocal downloading
        if not downloading:
            run.event("phase", phase="download")
            downloading = True
        seconds = time.monotonic() - started
        run.frequent_event(
            "progress", last=done == total, done=done, total=total, per_second=done / seconds if seconds else 0.0
        )

    # A resumed run goes on from the backbone that it began with, whatever could be had now.
    before = found_in(read_json(run.folder / "config.json"), "backbone", "name", kind=str)
    backbone = load_backbone(before or source, on_progress, run.stop_requested)
    if backbone.note:
        run.event("note", message=backbone.note)
    return backbone


def digest_photos(photo_set: PhotoSet, engine: Engine) -> dict[str, list[str]]:
    """The digest of each training and validation photo's content; empty for a file that can't be read."""
    of_split = {split: [photo.path for photo in photo_set.splits[split]] for split in EXTRACTED_SPLITS}
    digests = iter(engine.digest_files([path for paths in of_split.values() for path in paths]))
    return {split: [next(digests) for _ in paths] for split, paths in of_split.items()}


def photo_set_digest(setup: Setup) -> str:
    """One digest of which photos, by content, are of which class and for what; wherever they lie."""
    rows = sorted(
        f"{split}/{setup.photo_set.class_names[photo.label]}/{digest}\n"
        for split in EXTRACTED_SPLITS
        for photo, digest in zip(setup.photo_set.splits[split], setup.digests[split], strict=True)
    )
    return hashlib.sha256("".join(rows).encode(errors="surrogateescape")).hexdigest()


def require_as_before(setup: Setup) -> None:
    """Raise `Refused` if a resumed run began with other photos or with another backbone."""
    before = read_json(setup.run.folder / "config.json")
    now = {"photos": photo_set_digest(setup), "backbone": setup.backbone.digest}
    for name, digest in now.items():
        if found_in(before, name, "digest", kind=str) not in (None, digest):
            are = "The photos are" if name == "photos" else "The backbone is"
            raise Refused(f"{are} not what the run began with: start a new run instead of resuming it.")
