import zipfile

import keras
import pytest
from helpers.places import REPOSITORY
from helpers.processes import run_python

from catdog.classifier.building import build_classifier
from catdog.network import backbone_files
from catdog.network.backbone import STARTER_FILE, load_backbone_file, set_trainable
from catdog.network.backbone_files import IMAGENET_PARAMETERS, Parameters, find_parameters, frozen_stages
from catdog.settings import FREEZE_DEPTHS


@pytest.fixture(scope="module")
def imagenet() -> keras.Model:
    """A network of the published form, its weights drawn by chance."""
    return keras.applications.ResNet50(weights=None, include_top=False, input_shape=(None, None, 3))


def count(variables) -> int:
    """How many numbers there are in these variables."""
    return sum(variable.numpy().size for variable in variables)


def assert_counts_are_those_of(model: keras.Model, found: Parameters) -> None:
    """Fail unless the counts are what `set_trainable` lets learn, for each freeze depth, and what there is in all."""
    classifier = build_classifier(model, 3)
    for depth in FREEZE_DEPTHS:
        set_trainable(classifier, depth)
        assert found.learning(frozen_stages(depth, 1), 3) == count(classifier.trainable_variables), depth
    assert found.total(3) == count(classifier.weights)  # without the state of chance


def test_the_starters_counts_are_what_learns():
    assert_counts_are_those_of(load_backbone_file(STARTER_FILE), find_parameters("starter"))


def test_imagenets_counts_are_what_learns_before_it_is_there_and_after(imagenet, tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path))
    assert find_parameters("imagenet") == find_parameters("auto") == IMAGENET_PARAMETERS
    path = backbone_files.imagenet_file()
    path.parent.mkdir()
    imagenet.save(path)
    assert find_parameters("imagenet") == find_parameters(str(path)) == IMAGENET_PARAMETERS
    assert_counts_are_those_of(imagenet, IMAGENET_PARAMETERS)
    assert IMAGENET_PARAMETERS.learnable[-1] == 14_953_472
    assert IMAGENET_PARAMETERS.total(0) == 23_587_712


def test_where_nothing_is_fine_tuned_every_stage_is_frozen():
    assert [frozen_stages(depth, 0) for depth in FREEZE_DEPTHS] == [5] * 6
    assert [frozen_stages(depth, 3) for depth in FREEZE_DEPTHS] == [0, 1, 2, 3, 4, 5]


def test_what_is_no_backbone_has_no_counts(tmp_path):
    content = STARTER_FILE.read_bytes()
    damaged = {
        "cut.keras": content[: len(content) // 2],
        "empty.keras": b"",
        "text.keras": b"a text",
        "nulls.keras": bytes(1000),
    }
    for name, part in damaged.items():
        (tmp_path / name).write_bytes(part)
        assert find_parameters(str(tmp_path / name)) is None, name
    for name, config in {"list.keras": "[]", "other.keras": '{"config": {"layers": [{"name": "pool1_pool"}]}}'}.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive, zipfile.ZipFile(STARTER_FILE) as whole:
            archive.writestr("config.json", config)
            archive.writestr("model.weights.h5", whole.read("model.weights.h5"))
        assert find_parameters(str(tmp_path / name)) is None, name
    for source in (str(tmp_path), str(tmp_path / "nowhere.keras"), "a\0b"):
        assert find_parameters(source) is None


def test_a_changed_file_is_counted_anew(tmp_path):
    path = tmp_path / "backbone.keras"
    path.write_bytes(b"damaged")
    assert find_parameters(str(path)) is None
    path.write_bytes(STARTER_FILE.read_bytes())
    assert find_parameters(str(path)) == find_parameters("starter")


def test_counting_brings_no_tensorflow():
    code = (
        "import sys; from catdog.network.backbone_files import find_parameters; find_parameters('starter'); "
        "print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    assert run_python("-c", code, cwd=REPOSITORY).stdout.strip() == "False False"
