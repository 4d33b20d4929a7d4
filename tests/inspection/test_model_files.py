"""A classifier's file from elsewhere: what is let through, what is refused, and what that costs."""

import json
import os
import struct
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from helpers.made_models import (
    INFO,
    PLAN,
    PLAN_ATTRIBUTE,
    WEIGHTS,
    layer_of,
    members,
    refused,
    small,
    small_network,
    temporary,
    with_plan,
    with_weights,
    write_members,
)

from catdog.inspection.model_files import PLAN_BYTES, check_model_file

__all__ = ["small", "temporary"]

BOTH = pytest.mark.parametrize("ending", ["keras", "h5"])


@pytest.mark.lowest
@BOTH
def test_what_this_program_wrote_is_let_through(trained, small, ending):
    assert check_model_file(small[ending]).parameters == small_network().count_params()
    cost = check_model_file(trained / f"cat_dog_classifier.{ending}")
    assert cost.parameters > 5_000_000


@BOTH
def test_a_foreign_classifier_of_plain_layers_is_let_through(tmp_path, ending):
    image = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2", use_bias=False)(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax", kernel_initializer="he_normal")(x))
    model.save(tmp_path / f"model.{ending}")
    assert check_model_file(tmp_path / f"model.{ending}").parameters >= model.count_params()


@BOTH
def test_a_lambda_is_refused(tmp_path, ending):
    image = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda x: x * 2)(image))
    keras.Model(image, keras.layers.Dense(2)(x)).save(tmp_path / f"model.{ending}")
    assert "a layer of the kind 'Lambda'" in refused(tmp_path / f"model.{ending}")


@BOTH
def test_a_class_of_somebody_elses_is_refused(tmp_path, ending):
    @keras.saving.register_keras_serializable(package="mine")
    class Twice(keras.layers.Layer):
        def call(self, x):
            return x * 2

    image = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(Twice()(image))
    keras.Model(image, keras.layers.Dense(2)(x)).save(tmp_path / f"model.{ending}")
    assert "a layer of the kind " in refused(tmp_path / f"model.{ending}")


@BOTH
def test_a_network_within_a_network_is_refused(tmp_path, ending):
    image = keras.Input((64, 64, 3))
    keras.Model(image, small_network()(image)).save(tmp_path / f"model.{ending}")
    assert "doesn't lead from one input to one output" in refused(tmp_path / f"model.{ending}")


@BOTH
@pytest.mark.parametrize(
    ("change", "telling"),
    [
        (lambda plan: layer_of(plan, "sum").update(module="os"), "not Keras's own but 'os'"),
        (lambda plan: layer_of(plan, "logits")["config"].update(units=10**9), "1000000000 for 'units'"),
        (lambda plan: layer_of(plan, "logits")["config"].update(units=60_000, kernel_size=[9] * 9), "kernel_size"),
        (lambda plan: layer_of(plan, "activation").update(class_name="\n<b>"), r"'\n<b>'"),
        (lambda plan: layer_of(plan, "activation").update(class_name="x" * 10_000), "xxx..."),
        (lambda plan: plan.update(config={}), "which layers"),
    ],
)
def test_a_plan_that_is_not_a_classifiers_is_refused(small, tmp_path, ending, change, telling):
    assert telling in refused(with_plan(small, ending, change, tmp_path / f"model.{ending}"))


def test_what_is_no_file_or_holds_something_else_is_refused(tmp_path):
    for name, content, telling in (
        ("empty.h5", b"", "neither a .keras nor a .h5"),
        ("text.keras", b"Not a model.", "neither a .keras nor a .h5"),
        ("zip_behind.keras", b"text" + zipped(), "neither a .keras nor a .h5"),
        ("hdf.h5", b"\x89HDF\r\n\x1a\n", "no .h5 file, or a damaged one"),
        ("zip.keras", b"PK\x03\x04" + bytes(100), "no .keras file, or a damaged one"),
    ):
        (tmp_path / name).write_bytes(content)
        assert telling in refused(tmp_path / name)
    (tmp_path / "folder.keras").mkdir()
    os.mkfifo(tmp_path / "pipe.h5")
    for name in ("folder.keras", "pipe.h5"):
        assert "is not a file" in refused(tmp_path / name)
    assert "No such file" in refused(tmp_path / "nowhere.h5")


def zipped() -> bytes:
    """The content of some zip archive."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("cat.jpg", b"no photo")
        file.seek(0)
        return file.read()


@pytest.mark.parametrize(("holds", "called"), [("keras", "h5"), ("h5", "keras"), ("keras", "zip"), ("h5", "KERAS")])
def test_a_wrong_ending_is_refused_with_the_right_one(small, tmp_path, holds, called):
    path = tmp_path / f"model.{called}"
    path.write_bytes(small[holds].read_bytes())
    assert f"let its name end in .{holds}." in refused(path)


@BOTH
def test_a_file_that_is_cut_off_is_refused(small, tmp_path, ending):
    content = small[ending].read_bytes()
    for tenth in range(10):
        path = tmp_path / f"model.{ending}"
        path.write_bytes(content[: len(content) * tenth // 10])
        assert "damaged" in refused(path) or tenth == 0
    path.write_bytes(content[:-1])
    refused(path)


def test_a_zip_of_something_else_is_refused(tmp_path):
    path = tmp_path / "photos.keras"
    path.write_bytes(zipped())
    assert "holds 'cat.jpg', which no classifier of this program does" in refused(path)
    assert f"a zip archive without {PLAN}" in refused(write_members(path, {"metadata.json": b"{}"}))


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../config.json", "a/../../x", "assets/x", "config.json ", "CONFIG.JSON", "C:\\x", "x\x00y", ""],
)
def test_members_of_another_name_are_refused(small, tmp_path, name):
    path = write_members(tmp_path / "model.keras", members(small["keras"]) | {name: b"x"})
    assert "which no classifier of this program does" in refused(path)


def changed_entries(small: dict[str, Path], path: Path, **attributes) -> Path:
    """The small `.keras` file with other attributes of the plan's entry."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members(small["keras"]).items():
            entry = zipfile.ZipInfo(name)
            archive.writestr(entry, data)
            if name == PLAN:
                for key, value in attributes.items():
                    setattr(entry, key, value)
    return path


def test_links_passwords_and_unusual_ways_to_pack_are_refused(small, tmp_path):
    path = tmp_path / "model.keras"
    assert "link" in refused(changed_entries(small, path, external_attr=0o120777 << 16))
    assert "password" in refused(changed_entries(small, path, flag_bits=1))
    for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert "unusual" in refused(write_members(path, members(small["keras"]), compression))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(small, tmp_path):
    path = write_members(tmp_path / "model.keras", members(small["keras"]))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(PLAN, "{}")
    assert "two things of the same name" in refused(path)


def test_sizes_that_lie_are_refused(small, tmp_path):
    path = write_members(tmp_path / "model.keras", members(small["keras"]), zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(PLAN.encode()))
    for size, telling in ((1, "a damaged one"), (1_900_000, "unpacks to 2 MB")):
        content[at + 24 : at + 28] = struct.pack("<I", size)
        path.write_bytes(content)
        assert telling in refused(path)


@BOTH
def test_absurdly_nested_json_is_refused(small, tmp_path, ending):
    path = tmp_path / f"model.{ending}"
    for text in ("[" * 900_000, '{"config":' * 90_000, "[" * 900 + "]" * 900, "1" * 1_000_000, "NaN", "\ud800"):
        content = text.encode("utf-8", "surrogatepass")
        if ending == "keras":
            write_members(path, members(small["keras"]) | {PLAN: content})
        else:
            with_weights(small, "h5", lambda file, text=content: file.attrs.update({PLAN_ATTRIBUTE: text}), path)
        about = refused(path)
        assert any(telling in about for telling in ("a damaged one", "of the kind None", "in an unknown way"))


@BOTH
def test_a_plan_that_is_too_long_is_refused(small, tmp_path, ending):
    path = with_plan(small, ending, lambda plan: plan.update(more="x" * PLAN_BYTES), tmp_path / f"model.{ending}")
    assert ("too much" if ending == "keras" else "too long") in refused(path)


def test_a_description_that_is_no_object_says_no_size(small, tmp_path):
    for text in ("[1]", "5", '{"image_size": 100000}', '{"image_size": true}'):
        path = write_members(tmp_path / "model.keras", members(small["keras"]) | {"classifier.json": text.encode()})
        assert check_model_file(path).operations > check_model_file(small["keras"]).operations  # of the usual 224
    assert json.loads(members(small["keras"])["classifier.json"]) == INFO


@BOTH
def test_weights_without_a_network_are_refused(small, tmp_path, ending):
    path = tmp_path / f"model.{ending}"
    if ending == "keras":
        content = members(small["keras"])
        del content[PLAN]
        assert f"without {PLAN}" in refused(write_members(path, content))
        write_members(path, {PLAN: b"{}", "metadata.json": b"{}"})
        assert f"without {WEIGHTS}" in refused(path)
    else:
        with_weights(small, "h5", lambda file: file.attrs.pop(PLAN_ATTRIBUTE), path)
        assert "weights without the network" in refused(path)


@pytest.mark.parametrize("value", [["{}", "{}"], 5, np.void(b"{}")])
def test_a_plan_that_is_no_text_is_refused(small, tmp_path, value):
    def change(file: h5py.File) -> None:
        del file.attrs[PLAN_ATTRIBUTE]
        file.attrs[PLAN_ATTRIBUTE] = value

    assert "is no text" in refused(with_weights(small, "h5", change, tmp_path / "model.h5"))
