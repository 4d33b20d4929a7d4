"""The recipe: a pre-trained network gets a new head, the head learns, then perhaps the network's last stages."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from catdog import measures
from catdog.activations import Extracted, Extraction, PhotoPixels, Source
from catdog.arithmetic import processor_has_bfloat16
from catdog.backbone import Backbone, load_backbone, set_trainable, stage_ends
from catdog.calibration import calibrate, rescale
from catdog.classifier import Classifier, build_classifier, describe_classifier, save_h5, save_keras, scale_logits
from catdog.errors import CatdogError, Failed, Refused, Stopped
from catdog.evaluation import add_maps, classify_photos, describe_probabilities, describe_suspects, write_predictions
from catdog.fingerprints import fingerprint_photos
from catdog.html_report import write_html
from catdog.learning import Diverged, Learning, Phase, write_arrays
from catdog.look_alikes import find_look_alikes
from catdog.photo_sets import LeftOut, PhotoSet, find_photo_set, keep_together, labels_of
from catdog.photos import digest_files
from catdog.results import HEATMAPS_FILE, HTML_FILE, PREDICTIONS_FILE, REPORT_FILE
from catdog.runs import H5_FILE, INFO_FILE, KERAS_FILE, Run, create_run, found_in, read_json, versions, write_json
from catdog.settings import TrainConfig
from catdog.shelves import make_room, readable_size, shelves_folder
from catdog.wrong_labels import FOLDS, cross_validate

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

    @property
    def views(self) -> int:
        """How many pictures training makes of each photo."""
        return 2 if self.config.augment == "mirror" else 1


def train(config: TrainConfig, run: Run | Path | str | None = None) -> dict[str, Any]:
    """Train a classifier, leave all there is to know of it in the run's folder, and return the `result` event.

    A run that was asked to stop keeps its best epoch and returns that. Raises `Refused`, `Failed`, or `Stopped`
    where there was nothing to keep; a loss that is no longer finite raises `Failed` after the best epoch was kept.
    """
    run = run if isinstance(run, Run) else create_run(config, run)
    started = time.monotonic()
    with run.working():
        # Photos and backbone: the pre-trained network, its 1000 classes replaced by theirs.
        setup = prepare(config, run)
        model = setup.model
        require_as_before(setup)

        # Activations: what is frozen runs once.
        extracted = extract_splits(setup)
        require_every_class(setup, extracted)
        note_what_was_found(setup, extracted)

        # Head, then fine-tuning: from the checkpoint on, if there is one.
        learning, ended = learn(setup, extracted)

        # Evaluation: on test photos, or else the best epoch's on validation.
        run.event("phase", phase="evaluation")
        learning.put_back_best(model)
        report = evaluate(setup, extracted, learning)
        note_what_was_found(setup, extracted)

        # Files: the classifier in both formats, the result, and a page to read it.
        result = save(setup, extracted, report)
        write_page(run)
        result |= {"epochs": learning.epochs, "seconds": round(time.monotonic() - started, 1)}
        run.event("result", **result)
        if isinstance(ended, Diverged):
            raise Failed(f"{ended} The best epoch before that was kept in {run.folder}.")
        if ended:
            run.set_state("stopped", "Stopped; the best epoch was kept.")
        else:
            learning.discard()
            run.set_state("done")
    return result


def prepare(config: TrainConfig, run: Run) -> Setup:
    """Find the photos, load the backbone, and put a new head on it."""
    run.event("phase", phase="photos")
    photo_set = find_photos(config, run)
    digests = digest_photos(photo_set)
    backbone = choose_backbone(config.backbone, run)
    make_deterministic(config.seed)
    model = build_classifier(backbone.model, len(photo_set.class_names))
    return Setup(config, run, photo_set, digests, backbone, model)


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


def extract_splits(setup: Setup) -> dict[str, Extracted]:
    """The pooled features, and where kept the activations at the freeze boundary, of training and validation."""
    setup.run.event("phase", phase="features")
    try:
        return extract_into(shelves_folder(), setup)
    except OSError as error:
        setup.run.event(
            "note", message=f"The cache folder can't be written ({error.strerror}), so nothing is kept for later."
        )
        return extract_into(setup.run.checkpoint_folder / "activations", setup)


def extract_into(parent: Path, setup: Setup) -> dict[str, Extracted]:
    """Extract each split with the shelves in this folder; raises `OSError` where it can't be written."""
    extraction = prepare_extraction(parent, setup)
    total = sum(map(len, setup.digests.values()))
    before = 0

    def on_progress(done: int, per_second: float) -> None:
        done += before
        setup.run.frequent_event(
            "progress", last=done == total, done=done, total=total, per_second=round(per_second, 2)
        )

    extracted = {}
    for split in EXTRACTED_SPLITS:
        validating = split == "validation"
        extracted[split] = extraction.extract(
            setup.photo_set.splits[split],
            setup.digests[split],
            1 if validating else setup.views,
            precise=validating,
            on_progress=on_progress,
            should_stop=setup.run.stop_requested,
        )
        before += len(setup.digests[split])
    return extracted


def prepare_extraction(parent: Path, setup: Setup) -> Extraction:
    """The extraction up to the freeze boundary, if fine-tuning starts there; it keeps what there is room for.

    Pooled features for which there is no room go into the run's own folder.
    """
    config, model = setup.config, setup.model
    outputs = model.get_layer("pooled").output
    boundary = None
    if config.fine_tune_epochs and config.freeze_depth not in ("none", "conv5"):
        boundary = config.freeze_depth
        outputs = [model.get_layer(stage_ends(model)[boundary]).output, outputs]
    network = keras.Model(model.inputs[0], outputs)
    bfloat16 = config.bfloat16 == "auto" and processor_has_bfloat16()
    extraction = Extraction(network, setup.backbone.digest, config.image_size, boundary, parent, bfloat16)

    def has_room(what: str) -> bool:
        needed = sum(
            extraction.missing_bytes(setup.photo_set.splits[split], setup.digests[split], views, precise)
            for split, views, precise in (("train", setup.views, False), ("validation", 1, True))
        )
        if make_room(needed, extraction.parent):
            return True
        setup.run.event(
            "note", message=f"There is no room to keep {readable_size(needed)} of {what} computes them anew."
        )
        return False

    if boundary and not has_room("activations, so each epoch"):
        extraction.keeps_boundary = False
    if not has_room("features, so the next run"):
        extraction.parent = setup.run.checkpoint_folder / "activations"
    return extraction


def digest_photos(photo_set: PhotoSet) -> dict[str, list[str]]:
    """The digest of each training and validation photo's content; empty for a file that can't be read."""
    return {split: digest_files([photo.path for photo in photo_set.splits[split]]) for split in EXTRACTED_SPLITS}


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


def require_every_class(setup: Setup, extracted: dict[str, Extracted]) -> None:
    """Raise `Refused` unless each class has a photo that can be read in training and in validation."""
    for split, found in extracted.items():
        for label in set(range(len(setup.photo_set.class_names))) - {photo.label for photo in found.photos}:
            reason = f" ({found.left_out[0].sentence.rstrip('.')})" if found.left_out else ""
            name = setup.photo_set.class_names[label]
            raise Refused(f"No {split} photo of the class {name} can be read{reason}: mend or replace some.")


def note_what_was_found(setup: Setup, extracted: dict[str, Extracted]) -> None:
    """Complete `config.json` with what the run's photos and its backbone turned out to be."""
    photo_set, backbone = setup.photo_set, setup.backbone
    setup.run.write_config(
        setup.config,
        class_names=list(photo_set.class_names),
        backbone={"name": backbone.name, "digest": backbone.digest, "note": backbone.note},
        photos={
            "digest": photo_set_digest(setup),
            "counts": photo_set.counts(),
            "left_out": [left_out._asdict() | {"path": str(left_out.path)} for left_out in all_left_out(extracted)],
        },
    )


def all_left_out(extracted: dict[str, Extracted]) -> list[LeftOut]:
    """The photos of all splits that could not be read."""
    return [left_out for found in extracted.values() for left_out in found.left_out]


def learn(setup: Setup, extracted: dict[str, Extracted]) -> tuple[Learning, Stopped | Diverged | None]:
    """Go through the phases; what cut them short comes back once there is a best epoch, and is raised before that."""
    config, train, validation = setup.config, extracted["train"], extracted["validation"]
    dropout = setup.model.get_layer("dropout")
    labels = labels_of(train.photos), labels_of(validation.photos)
    learning = Learning(setup.run, *labels, config.batch_size, config.seed, dropout)
    learning.load()
    try:
        learning.learn(head_phase(setup, train, validation))
        if config.fine_tune_epochs:
            learning.learn(fine_tune_phase(setup, train, validation))
    except (Stopped, Diverged) as ended:
        if learning.best is None:
            raise
        return learning, ended
    return learning, None


def head_phase(setup: Setup, train: Extracted, validation: Extracted) -> Phase:
    """The head learns on pooled features, every convolution frozen."""
    config, model = setup.config, setup.model
    set_trainable(model, "conv5")
    network = keras.Model(model.get_layer("pooled").output, model.get_layer("logits").output)
    sources = train.pooled, validation.pooled
    return Phase("head", config.head_epochs, config.head_learning_rate, network, *sources, setup.views)


def fine_tune_phase(setup: Setup, train: Extracted, validation: Extracted) -> Phase:
    """The stages above the freeze depth learn with the head, on activations at the boundary or else on photos."""
    config, model = setup.config, setup.model
    set_trainable(model, config.freeze_depth)
    sources: tuple[Source, Source]
    if train.boundary is not None:
        start = model.get_layer(stage_ends(model)[config.freeze_depth]).output
        sources = train.boundary, validation.boundary
    elif config.freeze_depth == "conv5":
        start = model.get_layer("pooled").output
        sources = train.pooled, validation.pooled
    else:
        start = model.inputs[0]
        sources = PhotoPixels(train.photos, config.image_size), PhotoPixels(validation.photos, config.image_size)
    network = keras.Model(start, model.get_layer("logits").output)
    rate = config.fine_tune_learning_rate
    return Phase("fine-tune", config.fine_tune_epochs, rate, network, *sources, setup.views)


def evaluate(setup: Setup, extracted: dict[str, Extracted], learning: Learning) -> dict[str, Any]:
    """Calibrate the model, and write what there is to know of it on test photos if there are any, else on validation.

    That is `predictions.csv`, `report.json` and `heatmaps.npz`.
    """
    folder, photo_set, validation = setup.run.folder, setup.photo_set, extracted["validation"]
    calibration = calibrate(learning.best.probabilities, labels_of(validation.photos), setup.config.seed)
    scale_logits(setup.model, calibration.temperature)
    info = {"class_names": photo_set.class_names, "image_size": setup.config.image_size}
    classifier = Classifier(setup.model, info)
    split = "test" if "test" in photo_set.splits else "validation"
    if split == "test":
        photos, after, left_out = classify_photos(classifier, photo_set.splits["test"])
        extracted["test"] = Extracted(photos=photos, left_out=left_out)
        before, judged = rescale(after, 1 / calibration.temperature), after
    else:
        photos, before, judged = validation.photos, learning.best.probabilities, calibration.cross_fitted
        after = rescale(before, calibration.temperature)
    write_predictions(folder / PREDICTIONS_FILE, photos, photo_set.class_names, after)
    report = {"split": split, **describe_probabilities(photos, after, photo_set.class_names)}
    report["calibration"] = {
        "temperature": calibration.temperature,
        "fitted_on": len(validation.photos),
        "judged_on": "test" if split == "test" else "cross-fitted",
        "before": measures.calibration(before, labels_of(photos)),
        "after": measures.calibration(judged, labels_of(photos)),
    }
    report["wrong_labels"] = find_wrong_labels(setup, extracted)
    write_arrays(folder / HEATMAPS_FILE, {"maps": add_maps(report, classifier)})
    write_json(folder / REPORT_FILE, report)
    return report


def write_page(run: Run) -> None:
    """Write the report as a web page; where that can't be, say so, since the run has its result all the same."""
    try:
        write_html(run.folder, run.folder / HTML_FILE)
    except Exception as error:  # Charts are drawn by a library of its own, with fonts of its own.
        reason = str(error) if isinstance(error, CatdogError) else f"{type(error).__name__}: {error}"
        run.event("note", message=f"The report could not be written as a page ({reason}).")


def as_they_are(source: Source) -> np.ndarray:
    """All photos' rows of a source, none mirrored."""
    return source.batch(np.arange(len(source)), np.zeros(len(source), int))


def find_wrong_labels(setup: Setup, extracted: dict[str, Extracted]) -> dict[str, Any] | None:
    """The photos whose label a head contradicts that never saw them; None where a class has too few to tell."""
    splits = [split for split in EXTRACTED_SPLITS for _ in extracted[split].photos]
    photos = [photo for split in EXTRACTED_SPLITS for photo in extracted[split].photos]
    features = np.concatenate([as_they_are(extracted[split].pooled) for split in EXTRACTED_SPLITS])
    found = cross_validate(features, labels_of(photos), setup.config.seed)
    if found is None:
        return None
    names = setup.photo_set.class_names
    return {"photos": len(photos), "folds": FOLDS, "found": describe_suspects(photos, splits, found, names)}


def save(setup: Setup, extracted: dict[str, Extracted], report: dict[str, Any]) -> dict[str, Any]:
    """Write the classifier's files, and return what `train --json` says of them."""
    config, folder, class_names = setup.config, setup.run.folder, list(setup.photo_set.class_names)
    backbone, freeze_depth = setup.backbone.name, config.freeze_depth
    metrics = {name: report[name] for name in ("split", "accuracy", "loss", "photos")}
    temperature = report["calibration"]["temperature"]
    info = describe_classifier(class_names, config.image_size, backbone, freeze_depth, temperature, metrics, versions())
    write_json(folder / INFO_FILE, info)
    save_keras(setup.model, info, folder / KERAS_FILE)
    save_h5(setup.model, info, folder / H5_FILE)
    return {
        "run": str(folder),
        "files": {"keras": str(folder / KERAS_FILE), "h5": str(folder / H5_FILE)},
        "backbone": backbone,
        "freeze_depth": freeze_depth,
        "class_names": class_names,
        "photos": {
            "train": len(extracted["train"].photos),
            "validation": len(extracted["validation"].photos),
            "left_out": len(all_left_out(extracted)),
        },
        "accuracy": report["accuracy"],
        "loss": report["loss"],
    }
