"""The classifier that ships with the package: the starter backbone, and a head of which only the numbers are stored.

It was made, in the folder of the repository, by these two lines on 2,000 + 1,000 photos of cats and dogs:

    python -m catdog train PHOTOS --backbone starter --out bundled_run
    python -m catdog.bundled bundled_run
"""

import sys
from pathlib import Path

import numpy as np

from catdog.backbone import STARTER_FILE, load_backbone_file
from catdog.classifier import Classifier, build_classifier, load_classifier
from catdog.errors import CatdogError, Refused
from catdog.json_files import read_json, write_json
from catdog.runs import INFO_FILE, read_config

HEAD_FILE = STARTER_FILE.with_name("starter_head.npz")
NOTICE_FILE = STARTER_FILE.with_name("NOTICE.md")
DESCRIPTION_FILE = STARTER_FILE.with_name("starter_classifier.json")


def load_bundled() -> Classifier:
    """The bundled classifier, put together from the starter and the stored head."""
    description = read_json(DESCRIPTION_FILE)
    model = build_classifier(load_backbone_file(STARTER_FILE), len(description["class_names"]))
    with np.load(HEAD_FILE) as head:
        model.get_layer("logits").set_weights([head["kernel"], head["bias"]])
    return Classifier(model, description)


def write_bundled(run_folder: Path) -> None:
    """Store the head of a run on the starter; raises `Refused` where more than the head has learned."""
    config = read_config(run_folder)
    if config.backbone != "starter" or config.fine_tune_epochs:
        raise Refused(f"The run in {run_folder} is not one of the starter's head alone.")
    kernel, bias = load_classifier(run_folder).model.get_layer("logits").get_weights()
    np.savez(HEAD_FILE, kernel=kernel, bias=bias)
    write_json(DESCRIPTION_FILE, read_json(run_folder / INFO_FILE))


if __name__ == "__main__":
    try:
        write_bundled(Path(sys.argv[1]))
    except (IndexError, CatdogError) as error:
        sys.exit(str(error) if isinstance(error, CatdogError) else "Name the folder of the run to bundle.")
