"""The recipe: a pre-trained network gets a new head, the head learns, then perhaps the network's last stages."""

import time
from pathlib import Path
from typing import Any

import keras

from catdog.classifier.novelty import REFERENCE_FILE, write_reference
from catdog.errors import Failed, Refused, Stopped
from catdog.files.shelves import make_room, readable_size, shelves_folder
from catdog.learning.engines import open_engine
from catdog.learning.outcome import all_left_out, evaluate, save, write_page
from catdog.learning.phases import find_reference, fine_tune_phase, head_phase
from catdog.learning.preparation import EXTRACTED_SPLITS, Setup, photo_set_digest, prepare, require_as_before
from catdog.learning.training_loop import Diverged, Learning
from catdog.memory import let_networks_go
from catdog.network.activations import Extracted, Extraction
from catdog.network.arithmetic import processor_has_bfloat16
from catdog.network.backbone import stage_ends
from catdog.photos.photo_sets import labels_of
from catdog.runs.run_folder import Run, create_run
from catdog.settings import TrainConfig


def train(
    config: TrainConfig, run: Run | Path | str | None = None, engine: str = "local", workers: int | None = None
) -> dict[str, Any]:
    """Train a classifier, leave all there is to know of it in the run's folder, and return the `result` event.

    What goes through every photo is done in this process, or by so many workers of the engine "ray".

    A run that was asked to stop keeps its best epoch and returns that. Raises `Refused`, `Failed`, or `Stopped`
    where there was nothing to keep; a loss that is no longer finite raises `Failed` after the best epoch was kept.
    """
    run = run if isinstance(run, Run) else create_run(config, run)
    started = time.monotonic()
    with run.working():
        with open_engine(engine, workers) as at_work:
            # Photos and backbone: the pre-trained network, its 1000 classes replaced by theirs.
            setup = prepare(config, run, at_work)
            model = setup.model
            require_as_before(setup)

            # Activations: what is frozen runs once.
            extracted = extract_splits(setup)
        let_networks_go()
        require_every_class(setup, extracted)
        note_what_was_found(setup, extracted)

        # Head, then fine-tuning: from the checkpoint on, if there is one.
        learning, ended = learn(setup, extracted)
        let_networks_go()

        # Evaluation: on test photos, or else the best epoch's on validation.
        run.event("phase", phase="evaluation")
        learning.put_back_best(model)
        report = evaluate(setup, extracted, learning)
        let_networks_go()
        write_reference(run.folder / REFERENCE_FILE, find_reference(setup, extracted, learning))
        note_what_was_found(setup, extracted)
        let_networks_go()

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


def extract_splits(setup: Setup) -> dict[str, Extracted]:
    """The pooled features, and where kept the activations at the freeze boundary, of training and validation."""
    setup.run.event("phase", phase="features")
    try:
        return extract_into(shelves_folder(Path(setup.config.data)), setup)
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
    elsewhere = setup.engine.runner_of(network, config.image_size)
    extraction = Extraction(network, setup.backbone.digest, config.image_size, boundary, parent, bfloat16, elsewhere)

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


def learn(setup: Setup, extracted: dict[str, Extracted]) -> tuple[Learning, Stopped | Diverged | None]:
    """Go through the phases; what cut them short comes back once there is a best epoch, and is raised before that."""
    config, train, validation = setup.config, extracted["train"], extracted["validation"]
    labels = labels_of(train.photos), labels_of(validation.photos)
    learning = Learning(setup.run, *labels, config.batch_size, config.seed)
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
