"""A saved classifier: loaded with and without the package, and asked about photos."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest
from helpers.made_models import PLAIN_KERAS, write_foreign
from helpers.processes import run_python

from catdog.classifier.loading import load_classifier
from catdog.errors import Refused
from catdog.exports.bundling import write_bundled
from catdog.photos.photo_sets import photos_below
from catdog.photos.reading import read_photo


@pytest.mark.parametrize("name", ["cat_dog_classifier.keras", "cat_dog_classifier.h5"])
def test_plain_keras_without_the_package_gives_the_same(trained, drawings, tmp_path, name):
    paths = photos_below(drawings / "validation")
    np.save(tmp_path / "pixels.npy", np.stack([read_photo(path, 64) for path in paths]).astype(np.float32))
    shutil.copy(trained / name, tmp_path / name)
    done = run_python("-c", PLAIN_KERAS, name, "pixels.npy", cwd=tmp_path, PYTHONPATH="")
    theirs = np.array(json.loads(done.stdout))
    ours = [list(found.probabilities.values()) for found in load_classifier(trained).classify(paths)]
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_predictions_evaluation_and_classification_agree(trained, drawings):
    with (trained / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = list(load_classifier(trained).classify([row["path"] for row in rows]))
    for row, prediction in zip(rows, found, strict=True):
        assert row["label"] == prediction.label
        assert float(row["probability_cats"]) == pytest.approx(prediction.probabilities["cats"], abs=1e-4)


@pytest.mark.parametrize("name", ["cat_dog_classifier.keras", "cat_dog_classifier.h5"])
def test_a_file_carries_its_class_names_along(trained, tmp_path, name):
    shutil.copy(trained / name, tmp_path / name)
    classifier = load_classifier(tmp_path / name)
    assert classifier.class_names == ("cats", "dogs")
    assert classifier.image_size == 64
    assert classifier.info["metrics"]["split"] == "validation"


def test_bytes_and_files_and_batches_give_the_same(trained, drawings):
    classifier = load_classifier(trained)
    paths = photos_below(drawings / "train")
    together = [found.probabilities["cats"] for found in classifier.classify(paths)]
    alone = [next(classifier.classify([path.read_bytes()])).probabilities["cats"] for path in paths[:5]]
    assert len(together) == 48
    np.testing.assert_allclose(alone, together[:5], atol=1e-5)


def test_answers_come_before_all_photos_are_read(trained, drawings):
    asked = []

    def endless():
        path = photos_below(drawings / "train")[0]
        while True:
            asked.append(path)
            yield path

    first = next(load_classifier(trained).classify(endless()))
    assert first.label in ("cats", "dogs")
    assert len(asked) < 200


def test_a_broken_photo_gets_its_sentence_and_the_others_their_answers(trained, drawings, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_text("no photo")
    good = photos_below(drawings / "train")[0]
    answers = list(load_classifier(trained).classify([good, broken, b"", good]))
    assert [answer.error is None for answer in answers] == [True, False, False, True]
    assert answers[1].error == f"{broken}: it is a text file, not a photo."
    assert answers[2].error == "The photo: the file is empty."
    assert answers[0].probabilities == pytest.approx(answers[3].probabilities, abs=1e-5)
    assert answers[1].label is answers[1].probabilities is answers[1].verdict is None


@pytest.mark.lowest
def test_the_bundled_classifier_needs_nothing_trained(drawings):
    classifier = load_classifier("starter")
    assert classifier.class_names == ("cats", "dogs")
    assert classifier.image_size == 224
    (answer,) = classifier.classify(photos_below(drawings / "train")[:1])
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_only_a_head_on_the_starter_can_be_bundled(trained):
    with pytest.raises(Refused, match="not one of the starter's head alone"):
        write_bundled(trained)


def test_a_foreign_model_gets_numbered_classes(tmp_path, drawings):
    write_foreign(tmp_path / "model.keras", outputs=3)
    classifier = load_classifier(tmp_path / "model.keras")
    assert classifier.class_names == ("class 1", "class 2", "class 3")
    (answer,) = classifier.classify(photos_below(drawings / "train")[:1])
    assert set(answer.probabilities) == set(classifier.class_names)


def text(path):
    path.write_text("no model")


def grey(path):
    write_foreign(path, channels=1)


def one_output(path):
    write_foreign(path, outputs=1)


def with_lambda(path):
    image = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda x: x * 2)(image))
    keras.Model(image, keras.layers.Dense(2)(pooled)).save(path)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize(
    ("write", "telling"),
    [
        (text, "is neither a .keras nor a .h5 file"),
        (grey, "its input is not"),
        (one_output, "its output is not one probability per class"),
        (with_lambda, "has a layer of the kind 'Lambda'"),
    ],
)
def test_what_is_no_classifier_is_refused_in_a_sentence(tmp_path, ending, write, telling):
    path = tmp_path / f"model.{ending}"
    write(path)
    with pytest.raises(Refused, match=telling):
        load_classifier(path)


def test_names_that_contradict_the_model_are_refused(tmp_path):
    write_foreign(tmp_path / "model.keras", outputs=3)
    (tmp_path / "classifier.json").write_text(json.dumps({"class_names": ["cats", "dogs"]}))
    with pytest.raises(Refused, match=r"has 3 outputs, but its classifier\.json names 2 classes"):
        load_classifier(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("info", "telling"),
    [
        ({"class_names": 5}, "not a list of names"),
        ({"class_names": "ab"}, "not a list of names"),
        ({"class_names": ["cats", ""]}, "not a list of names"),
        ({"class_names": ["cats", "\x1b[2Jdogs"]}, "not a list of names"),
        ({"class_names": ["cats", "cats"]}, "names 1 classes"),
        ({"image_size": "x"}, "Image size must be"),
        ({"image_size": -5}, "Image size must be"),
        ({"image_size": 1_000_000}, "Image size must be"),
    ],
)
def test_a_damaged_description_is_refused(tmp_path, info, telling):
    write_foreign(tmp_path / "model.keras")
    (tmp_path / "classifier.json").write_text(json.dumps(info))
    with pytest.raises(Refused, match=telling):
        load_classifier(tmp_path / "model.keras")


def test_missing_ones_are_refused(tmp_path):
    with pytest.raises(Refused, match="There is no classifier in"):
        load_classifier(tmp_path)
    with pytest.raises(Refused, match="There is no classifier nowhere"):
        load_classifier("nowhere")
