"""What a run ends with: its report, its classifier's files, and a page to read."""

from typing import Any

import numpy as np

from catdog.classifier.building import scale_logits
from catdog.classifier.prediction import Classifier
from catdog.classifier.saving import describe_classifier, save_h5, save_keras
from catdog.errors import CatdogError
from catdog.files.array_files import write_arrays
from catdog.files.json_files import write_json
from catdog.learning.evaluation import (
    add_maps,
    classify_photos,
    describe_probabilities,
    describe_suspects,
    write_predictions,
)
from catdog.learning.preparation import EXTRACTED_SPLITS, Setup
from catdog.learning.training_loop import Learning
from catdog.network.activations import Extracted, Source
from catdog.photos.photo_sets import LeftOut, labels_of
from catdog.results import measures
from catdog.results.calibration import calibrate, rescale
from catdog.results.html_report import write_html
from catdog.results.report_files import HEATMAPS_FILE, HTML_FILE, PREDICTIONS_FILE, REPORT_FILE
from catdog.results.wrong_labels import FOLDS, cross_validate
from catdog.runs.run_folder import H5_FILE, INFO_FILE, KERAS_FILE, Run
from catdog.runs.versions import made_with
from catdog.settings import backbone_title


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


def as_they_are(source: Source) -> np.ndarray:
    """All photos' rows of a source, none mirrored."""
    return source.batch(np.arange(len(source)), np.zeros(len(source), int))


def save(setup: Setup, extracted: dict[str, Extracted], report: dict[str, Any]) -> dict[str, Any]:
    """Write the classifier's files, and return what `train --json` says of them."""
    config, folder, class_names = setup.config, setup.run.folder, list(setup.photo_set.class_names)
    backbone, freeze_depth = backbone_title(setup.backbone.name), config.freeze_depth
    metrics = {name: report[name] for name in ("split", "accuracy", "loss", "photos")}
    temperature = report["calibration"]["temperature"]
    info = describe_classifier(
        class_names, config.image_size, backbone, freeze_depth, temperature, metrics, made_with()
    )
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


def write_page(run: Run) -> None:
    """Write the report as a web page; where that can't be, say so, since the run has its result all the same."""
    try:
        write_html(run.folder, run.folder / HTML_FILE)
    except Exception as error:  # Charts are drawn by a library of its own, with fonts of its own.
        reason = str(error) if isinstance(error, CatdogError) else f"{type(error).__name__}: {error}"
        run.event("note", message=f"The report could not be written as a page ({reason}).")


def all_left_out(extracted: dict[str, Extracted]) -> list[LeftOut]:
    """The photos of all splits that could not be read."""
    return [left_out for found in extracted.values() for left_out in found.left_out]
