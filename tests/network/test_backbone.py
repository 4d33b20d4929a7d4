"""The backbone: its three sources, its form, and what is frozen where."""

import hashlib
import json

import h5py
import keras
import numpy as np
import pytest
from helpers.http_server import Server, clear_proxies, closed_port
from keras.src.legacy.saving import legacy_h5_format

from catdog.classifier.building import build_classifier
from catdog.errors import Failed, Refused
from catdog.network import backbone
from catdog.network.backbone import STARTER_FILE, load_backbone, set_trainable, stage_ends


@pytest.fixture(scope="module")
def starter():
    return load_backbone("starter").model


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A file of random weights in the format of the published ones, and the network they belong to."""
    keras.utils.set_random_seed(5)
    network = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(None, None, 3))
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # Fresh statistics would let a mixed-up layer pass.
            layer.set_weights([np.random.uniform(0.5, 1.0, value.shape) for value in layer.get_weights()])
    path = tmp_path_factory.mktemp("published") / "weights.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    return path, network


@pytest.fixture
def mirror(published, monkeypatch, tmp_path):
    """A server that has the stand-in, as the mirror to fetch from, and an empty cache."""
    content = published[0].read_bytes()
    clear_proxies(monkeypatch)
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(backbone, "IMAGENET_MD5", hashlib.md5(content).hexdigest())
    with Server(content) as server:
        monkeypatch.setenv("CATDOG_WEIGHTS_URL", server.url)
        yield server


def test_stages_end_where_the_design_says(starter):
    assert stage_ends(starter) == {
        "conv1": "pool1_pool",
        "conv2": "conv2_block3_out",
        "conv3": "conv3_block4_out",
        "conv4": "conv4_block6_out",
        "conv5": "conv5_block3_out",
    }


@pytest.mark.parametrize(
    ("freeze_depth", "learning"),
    [
        ("conv5", {"logits"}),
        ("conv4", {"conv5", "logits"}),
        ("conv2", {"conv3", "conv4", "conv5", "logits"}),
        ("none", {"conv1", "conv2", "conv3", "conv4", "conv5", "logits"}),
    ],
)
def test_what_learns_follows_from_the_freeze_depth(starter, freeze_depth, learning):
    model = build_classifier(starter, 2)
    set_trainable(model, freeze_depth)
    paths = [variable.path for variable in model.trainable_variables]
    assert {path.split("_")[0].split("/")[0] for path in paths} == learning
    assert not [path for path in paths if "_bn/" in path]


def test_trunk_and_tail_share_layers_and_make_the_whole(starter):
    model = build_classifier(starter, 2)
    boundary = model.get_layer(stage_ends(model)["conv4"]).output
    trunk, tail = keras.Model(model.inputs[0], boundary), keras.Model(boundary, model.output)
    photos = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    np.testing.assert_array_equal(tail(trunk(photos)), model(photos))
    assert tail.get_layer("logits") is model.get_layer("logits")


def test_imagenet_weights_give_what_keras_gives(mirror, published):
    found = load_backbone("imagenet")
    photos = np.random.default_rng(1).integers(0, 256, (2, 96, 80, 3)).astype(np.float32)
    theirs = published[1](keras.applications.resnet50.preprocess_input(photos.copy()))
    np.testing.assert_allclose(found.model(photos), theirs, rtol=1e-3, atol=1e-3 * float(np.abs(theirs).max()))
    assert found.name == "imagenet"
    assert found.model.input_shape == (None, None, None, 3)


def test_imagenet_weights_are_fetched_once(mirror):
    path = backbone.fetch_imagenet()
    assert backbone.fetch_imagenet() == path
    assert len(mirror.asked) == 1
    assert [each.name for each in path.parent.glob("*.h5")] == []


def test_download_that_breaks_off_goes_on(mirror):
    mirror.cuts, mirror.cut_after = 1, 1_000_000
    seen = []
    load_backbone("imagenet", on_progress=lambda done, total: seen.append((done, total)))
    assert mirror.asked[1].range == "bytes=1000000-"
    assert seen[-1] == (len(mirror.content), len(mirror.content))


def test_wrong_hash_is_refused_and_nothing_kept(mirror):
    mirror.content = b"something else" * 1000
    with pytest.raises(Failed, match="The ImageNet weights"):
        load_backbone("imagenet")
    assert not [path for path in backbone.imagenet_file().parent.iterdir() if path.suffix in (".h5", ".keras")]


def test_auto_takes_imagenet_where_it_can_be_had_and_says_why(mirror):
    first, second = load_backbone("auto"), load_backbone("auto")
    assert (first.name, second.name) == ("imagenet", "imagenet")
    assert first.note == "auto took the ImageNet backbone, which could be downloaded."
    assert second.note == "auto took the ImageNet backbone, which lies in the cache."


def test_a_damaged_file_in_the_cache_is_fetched_again_and_known_by_its_weights(mirror):
    digest = load_backbone("imagenet").digest
    backbone.imagenet_file().write_bytes(b"damaged")
    again = load_backbone("imagenet")
    assert len(mirror.asked) == 2
    assert again.digest == digest


def test_auto_falls_back_where_the_cache_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    found = load_backbone("auto")
    assert found.name == "starter"
    assert "can't be written" in found.note


def test_auto_falls_back_to_the_starter_and_says_why(monkeypatch, tmp_path):
    clear_proxies(monkeypatch)
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path))
    monkeypatch.setenv("CATDOG_WEIGHTS_URL", f"http://127.0.0.1:{closed_port()}/weights.h5")
    found = load_backbone("auto")
    assert found.name == "starter"
    assert found.digest == load_backbone("starter").digest
    assert found.note.startswith("auto took the starter backbone, since ImageNet's can't be had: The ImageNet weights")
    assert "127.0.0.1" in found.note


def test_without_a_network_the_ways_out_are_named(monkeypatch, tmp_path):
    clear_proxies(monkeypatch)
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path))
    monkeypatch.setenv("CATDOG_WEIGHTS_URL", f"http://127.0.0.1:{closed_port()}/weights.h5")
    with pytest.raises(Failed, match="CATDOG_WEIGHTS_URL, or choose the starter") as caught:
        load_backbone("imagenet")
    assert str(caught.value).endswith(".")
    assert not str(caught.value).endswith("..")


def test_a_path_is_a_backbone_too():
    found = load_backbone(str(STARTER_FILE))
    assert found.name == str(STARTER_FILE)
    assert found.model.output_shape[-1] == 1024


def not_a_network(path):
    path.write_text(json.dumps({"no": "model"}))


def with_a_top(path):
    image = keras.Input((None, None, 3))
    keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(image))).save(path)


def of_other_layers(path):
    image = keras.Input((None, None, 3))
    keras.Model(image, keras.layers.Conv2D(4, 3)(image)).save(path)


def of_grey_photos(path):
    image = keras.Input((None, None, 1))
    keras.Model(image, keras.layers.Conv2D(4, 3)(image)).save(path)


@pytest.mark.parametrize(
    ("write", "telling"),
    [
        (not_a_network, "is not a backbone file that Keras can load"),
        (with_a_top, "its output is not a feature map"),
        (of_other_layers, "it has no layer that ends conv1"),
        (of_grey_photos, "not \\(height, width, 3\\) per photo"),
    ],
)
def test_another_file_is_refused_in_a_sentence(tmp_path, write, telling):
    path = tmp_path / "model.keras"
    write(path)
    with pytest.raises(Refused, match=telling):
        load_backbone(str(path))


def test_a_missing_file_is_refused():
    with pytest.raises(Refused, match=r"There is no backbone nowhere\.keras"):
        load_backbone("nowhere.keras")
