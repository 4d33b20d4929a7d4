"""Keras files for older readers: what stands in them, that nothing is lost, and what is left as Keras writes it."""

import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from helpers.made_models import INFO, small_network

from catdog.classifier.loading import load_file
from catdog.classifier.saving import save_h5, save_keras
from catdog.inspection.model_files import check_model_file
from catdog.network.backbone_files import STARTER_FILE
from catdog.network.plain_plans import DECISIVE, keras_2_plan, plain_plan

# Each made some version of Keras refuse the files of a later one.
UNKNOWN_TO_SOME = ("input_axes", "output_axes", "renorm", "quantization_config", "optional", "DTypePolicy")


def plan_of(path: Path) -> dict:
    """The plan in a file of either format."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return json.loads(file.attrs["model_config"])
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


@pytest.fixture(params=["keras", "h5"])
def written(request, tmp_path) -> tuple[keras.Model, Path]:
    """A network with a layer of each kind, and its file."""
    model, path = small_network(), tmp_path / f"small.{request.param}"
    {"keras": save_keras, "h5": save_h5}[request.param](model, INFO, path)
    return model, path


def test_a_file_says_what_decides_its_numbers_and_no_more(written):
    _, path = written
    plan = plan_of(path)
    assert [word for word in UNKNOWN_TO_SOME if word in json.dumps(plan)] == []
    for layer in plan["config"]["layers"]:
        known = {"name", "trainable", "dtype", "batch_input_shape", *DECISIVE[layer["class_name"]]}
        assert layer["config"].keys() <= known
    ends = [plan["config"][key] for key in ("input_layers", "output_layers")]
    # Keras 2 knows lists of ends alone; a list of one would be a list in Keras 3 as well.
    ends = [end[0] for end in ends] if path.suffix == ".h5" else ends
    assert ends == [["image", 0, 0], ["probabilities", 0, 0]]


def test_the_same_network_comes_out_and_the_model_saves_as_before(written, tmp_path):
    model, path = written
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    again = load_file(path).model
    assert not isinstance(again.input, list)
    assert not isinstance(again.output, list)
    np.testing.assert_array_equal(again.predict(pixels, verbose=0), model.predict(pixels, verbose=0))
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert check_model_file(path).parameters == model.count_params()
    model.save(tmp_path / "as keras does.keras")
    assert "GlorotUniform" in json.dumps(plan_of(tmp_path / "as keras does.keras"))


def test_an_h5_file_is_in_the_form_of_keras_2(tmp_path):
    save_h5(small_network(), INFO, tmp_path / "small.h5")
    layers = {layer["name"]: layer for layer in plan_of(tmp_path / "small.h5")["config"]["layers"]}
    assert layers["image"]["config"]["batch_input_shape"] == [None, None, None, 3]
    assert layers["image"]["inbound_nodes"] == []
    assert layers["margin"]["inbound_nodes"] == [[["subtract_mean", 0, 0, {}]]]
    assert layers["sum"]["inbound_nodes"] == [[["normalization", 0, 0, {}], ["activation", 0, 0, {}]]]
    assert layers["margin"].keys() == {"class_name", "config", "name", "inbound_nodes"}


def test_files_that_keras_wrote_itself_are_still_let_through(tmp_path):
    for ending in ("keras", "h5"):
        small_network().save(tmp_path / f"small.{ending}")
        assert check_model_file(tmp_path / f"small.{ending}").parameters == 138


def test_the_starter_is_in_this_form():
    plan = plan_of(STARTER_FILE)
    assert plan == plain_plan(plan)
    assert [word for word in UNKNOWN_TO_SOME if word in json.dumps(plan)] == []


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Conv2D(4, 1, kernel_regularizer="l2"),
        lambda: keras.layers.Conv2D(4, 1, bias_constraint="non_neg"),
        lambda: keras.layers.SeparableConv2D(4, 1),
        lambda: keras.layers.Conv2D(4, 1, dtype="float16"),
    ],
)
def test_what_is_not_plain_stays_as_keras_writes_it(layer):
    image = keras.Input((8, 8, 3))
    plan = json.loads(keras.Model(image, layer()(image)).to_json())
    assert plain_plan(plan) is plan
    assert keras_2_plan(plan) is plan
