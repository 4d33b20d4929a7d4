"""What `evaluate` does: a classifier's figures on labelled photos."""

import argparse
from pathlib import Path
from typing import TextIO

from catdog.commands.console import print_json
from catdog.errors import Refused
from catdog.photos.photo_sets import find_evaluation_photos, labels_of
from catdog.plain_text import say

EVALUATE_KEYS = ("accuracy", "loss", "photos", "confusion")


def evaluate_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Evaluate a classifier on labelled photos, and print the figures."""
    if not Path(arguments.data).is_dir():
        raise Refused(f"There is no folder {arguments.data}.")
    from catdog.classifier.loading import load_classifier
    from catdog.learning.evaluation import classify_photos, evaluate_probabilities

    classifier = load_classifier(arguments.model)
    photos = find_evaluation_photos(arguments.data, classifier.class_names)
    photos, probabilities, left_out = classify_photos(classifier, photos)
    figures = evaluate_probabilities(probabilities, labels_of(photos), classifier.class_names)
    for each in left_out:
        say(f"Left out {each.sentence}", console)
    if arguments.json:
        # Other programs read this object: it has these keys and no others.
        print_json({"model": arguments.model, **{key: figures[key] for key in EVALUATE_KEYS}})
        return 0
    say(f"Accuracy {figures['accuracy']:.2%}, loss {figures['loss']:.4f}, on {figures['photos']:,} photos.")
    width = max(map(len, classifier.class_names))
    say(f"{'':{width}}  " + "  ".join(f"{name:>{width}}" for name in classifier.class_names) + "  <- label given")
    for name, row in zip(classifier.class_names, figures["confusion"], strict=True):
        say(f"{name:>{width}}  " + "  ".join(f"{count:>{width}}" for count in row))
    return 0
