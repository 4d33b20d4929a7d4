"""Makes the classifier that ships with the package: of the starter, what a run has learned on it, as numbers alone.

It was made, in the folder of the repository, by these two lines on 2,000 + 1,000 photos of cats and dogs:

    python -m catdog train PHOTOS --backbone starter --out bundled_run
    python -m catdog.exports.bundling bundled_run
"""

import sys
from pathlib import Path

import numpy as np
from scipy.cluster.vq import kmeans2

from catdog.classifier.bundled_files import CENTRES_FILE, DESCRIPTION_FILE, HEAD_FILE
from catdog.classifier.loading import load_classifier
from catdog.classifier.novelty import REFERENCE_FILE, Reference, read_reference, unit, with_limit, write_reference
from catdog.errors import CatdogError, Refused
from catdog.files.json_files import read_json, write_json
from catdog.photos.photo_sets import find_photo_set
from catdog.results.report_files import answered_above, read_predictions
from catdog.runs.run_folder import INFO_FILE, read_config

# What stands for the photos that were learned from: enough to tell other things by, too few to tell of any photo.
CENTRES, NEAREST_CENTRES = 256, 3


def write_bundled(run_folder: Path) -> None:
    """Store what a run on the starter has learned; raises `Refused` where more than the head has learned."""
    config = read_config(run_folder)
    if config.backbone != "starter" or config.fine_tune_epochs:
        raise Refused(f"The run in {run_folder} is not one of the starter's head alone.")
    classifier = load_classifier(run_folder)
    kernel, bias = classifier.head()
    np.savez(HEAD_FILE, kernel=kernel, bias=bias)
    known = read_reference(run_folder / REFERENCE_FILE, len(kernel))
    if known is None:
        raise Refused(f"The {REFERENCE_FILE} of the run in {run_folder} is missing or damaged.")
    centres, _ = kmeans2(known.points, CENTRES, minit="++", seed=config.seed, iter=100)
    validation = find_photo_set(config.data, config.seed).splits["validation"]
    batches = classifier.answer_batches(photo.path for photo in validation)
    features = np.concatenate([outputs.features for _, outputs in batches if outputs])
    write_reference(CENTRES_FILE, with_limit(Reference(unit(centres), NEAREST_CENTRES, 0.0), features))
    answered = answered_above(read_predictions(run_folder, classifier.class_names))
    write_json(DESCRIPTION_FILE, read_json(run_folder / INFO_FILE) | {"answered": answered})


if __name__ == "__main__":
    try:
        write_bundled(Path(sys.argv[1]))
    except (IndexError, CatdogError) as error:
        sys.exit(str(error) if isinstance(error, CatdogError) else "Name the folder of the run to bundle.")
