import json
import math
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import numpy as np
import pytest

from catdog.errors import Refused
from catdog.settings import SETTINGS, TrainConfig, check_backbone_name, checked

# What the command line promises.
DEFAULTS = {
    "data": "data",
    "leave_out": [],
    "relabel": [],
    "backbone": "auto",
    "image_size": 224,
    "batch_size": 32,
    "head_epochs": 10,
    "head_learning_rate": 0.001,
    "fine_tune_epochs": 0,
    "fine_tune_learning_rate": 0.00001,
    "freeze_depth": "conv4",
    "augment": "none",
    "bfloat16": "auto",
    "seed": 0,
}
WHOLE = {
    "image_size": (32, 512),
    "batch_size": (1, 512),
    "head_epochs": (1, 1000),
    "fine_tune_epochs": (0, 1000),
    "seed": (0, 4294967295),
}
DECIMAL = {"head_learning_rate": (1e-6, 1.0), "fine_tune_learning_rate": (1e-8, 1.0)}
CHOICES = {"freeze_depth": ("none", "conv1", "conv2", "conv3", "conv4", "conv5"), "augment": ("none", "mirror")}
CHOICES["bfloat16"] = ("auto", "off")
TEXTS = ("data", "backbone", *CHOICES)


def refusal(name: str, value: object) -> str:
    """The sentence with which a value is refused, by the command line's way and by the program's alike."""
    with pytest.raises(Refused) as raised:
        checked(SETTINGS[name], value)
    with pytest.raises(Refused) as raised_too:
        TrainConfig(**{name: value})
    assert str(raised.value) == str(raised_too.value)
    return str(raised.value)


def test_the_defaults_are_those_of_the_command_line():
    assert TrainConfig().as_dict() == DEFAULTS
    kept_as = {tuple: list}
    assert {name: type(value) for name, value in DEFAULTS.items()} == {
        name: kept_as.get(each.type, each.type) for name, each in SETTINGS.items()
    }


def test_every_setting_has_a_label_a_help_and_bounds_and_is_tested_here():
    assert [*SETTINGS] == [each.name for each in fields(TrainConfig)] == [*DEFAULTS]
    assert {*WHOLE, *DECIMAL, *TEXTS, "leave_out", "relabel"} == {*SETTINGS}
    for each in SETTINGS.values():
        label, sentence = each.metadata["label"], each.metadata["help"]
        assert label[0].isupper()
        assert sentence.endswith(".")
    labels = [each.metadata["label"] for each in SETTINGS.values()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_are_taken_up_to_their_bounds(name):
    low, high = WHOLE[name]
    for number in (low, low + 1, high - 1, high):
        for value in (number, str(number), f" {number} ", float(number), np.int64(number)):
            taken = checked(SETTINGS[name], value)
            assert taken == number
            assert type(taken) is int
    sentence = f"{SETTINGS[name].metadata['label']} must be a whole number from {low} to {high}, not "
    for number in (low - 1, high + 1, -(10**30), 10**30):
        assert refusal(name, number) == f"{sentence}{number}."
        assert refusal(name, str(number)) == f"{sentence}'{number}'."


@pytest.mark.parametrize("name", DECIMAL)
def test_learning_rates_are_taken_up_to_their_bounds(name):
    low, high = DECIMAL[name]
    for number in (low, 0.0003, 0.5, high):
        for value in (number, str(number), f"{number:.12f}"):
            taken = checked(SETTINGS[name], value)
            assert taken == number
            assert type(taken) is float
    assert type(checked(SETTINGS[name], 1)) is float
    sentence = f"{SETTINGS[name].metadata['label']} must be a number from {low:g} to 1, not "
    for number in (math.nextafter(low, 0), math.nextafter(high, 2), 0.0, -0.001, 1e300):
        assert refusal(name, number) == f"{sentence}{number!r}."
        assert refusal(name, str(number)) == f"{sentence}'{number}'."


NO_NUMBERS = [math.nan, math.inf, -math.inf, True, None, "", " ", "nan", "inf", "1e400", "ten", "0x10", "1,5"]


@pytest.mark.parametrize("name", [*WHOLE, *DECIMAL])
@pytest.mark.parametrize("value", [*NO_NUMBERS, b"1", [1], {}, 1j], ids=lambda value: repr(value)[:12])
def test_what_is_no_number_is_refused(name, value):
    assert refusal(name, value).endswith(f", not {value!r}.")


@pytest.mark.parametrize("name", [*WHOLE, *DECIMAL])
@pytest.mark.parametrize(
    ("value", "telling"),
    [
        ("9" * 5000, "not '99999"),
        (10**5000, "not such a long int."),
        ("x" * 1_000_000, "xxx...xxx"),
        ([[]] * 999, "...]"),
    ],
    ids=["digits", "number", "text", "list"],
)
def test_of_what_is_long_the_refusal_repeats_a_little(name, value, telling):
    sentence = refusal(name, value)
    assert telling in sentence
    assert len(sentence) < 250


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", ["100.5", "100.0", "1e2", 100.5])
def test_a_whole_number_must_be_whole(name, value):
    sentence = refusal(name, value)
    assert "must be a whole number from" in sentence
    assert sentence.endswith(f"not {value!r}.")


def test_a_refusal_names_setting_range_and_value():
    assert refusal("image_size", "3.5") == "Image size must be a whole number from 32 to 512, not '3.5'."
    assert refusal("seed", -1) == "Seed must be a whole number from 0 to 4294967295, not -1."
    assert refusal("head_learning_rate", 2) == "Head learning rate must be a number from 1e-06 to 1, not 2."


@pytest.mark.parametrize("name", CHOICES)
def test_choices(name):
    for choice in CHOICES[name]:
        assert checked(SETTINGS[name], choice) == choice
    label, listed = SETTINGS[name].metadata["label"], ", ".join(CHOICES[name])
    for value in ("", "conv6", "None", f" {CHOICES[name][0]}"):
        assert refusal(name, value) == f"{label} must be one of {listed}, not {value!r}."


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [None, True, 4, b"none", ["none"]])
def test_what_is_no_text_is_refused(name, value):
    assert refusal(name, value) == f"{SETTINGS[name].metadata['label']} must be a text, not {value!r}."


@pytest.mark.parametrize("name", ["data", "backbone"])
def test_paths_are_taken_as_text_and_empty_ones_refused(name):
    assert checked(SETTINGS[name], Path("my photos") / "Kätzchen") == str(Path("my photos") / "Kätzchen")
    for value in ("", " ", "\n"):
        assert refusal(name, value) == f"{SETTINGS[name].metadata['label']} must not be empty."


def test_photos_to_leave_out_are_sorted_paths_each_once():
    given = ["train/dogs/2.jpg", "./train/cats//1.jpg", "train/cats/1.jpg", "Кот 1.jpg", " ..jpg"]
    taken = (" ..jpg", "train/cats/1.jpg", "train/dogs/2.jpg", "Кот 1.jpg")
    assert checked(SETTINGS["leave_out"], given) == taken
    assert TrainConfig(leave_out=iter(given)).leave_out == taken
    assert TrainConfig(leave_out=given).as_dict()["leave_out"] == list(taken)
    assert checked(SETTINGS["leave_out"], []) == ()


@pytest.mark.parametrize("value", [None, 4, True, "cats/1.jpg", b"cats", {"cats/1.jpg": 1}])
def test_what_is_no_list_of_paths_is_refused(value):
    assert refusal("leave_out", value) == f"Photos left out must be a list of paths, not {value!r}."


@pytest.mark.parametrize("path", ["", ".", "/etc/passwd", "../secret.jpg", "cats/../../secret.jpg", "a\0b", 4, None])
def test_what_is_no_path_in_the_folder_is_refused(path):
    sentence = f"Photos left out must be paths in the folder of photos, not {path!r}."
    assert refusal("leave_out", ["cats/1.jpg", path]) == sentence


def test_corrected_labels_are_sorted_pairs_each_once():
    given = [["./train//cats/2.jpg", "dogs"], ("train/cats/1.jpg", "dogs"), ["train/cats/2.jpg", "dogs"]]
    taken = (("train/cats/1.jpg", "dogs"), ("train/cats/2.jpg", "dogs"))
    assert checked(SETTINGS["relabel"], given) == taken
    assert TrainConfig(relabel=iter(given)).relabel == taken
    assert TrainConfig(relabel=given).as_dict()["relabel"] == [list(pair) for pair in taken]
    assert checked(SETTINGS["relabel"], []) == ()


@pytest.mark.parametrize("value", [None, 4, True, "cats/1.jpg", b"cats", {"cats/1.jpg": "dogs"}])
def test_what_is_no_list_of_labels_is_refused(value):
    assert refusal("relabel", value) == f"Corrected labels must be a list of paths and classes, not {value!r}."


@pytest.mark.parametrize(
    "pair", ["ab", ["a"], ["a", "b", "c"], [], None, ["../a", "b"], ["/a", "b"], ["a", ""], ["a", 1], [1, "b"]]
)
def test_what_is_no_path_with_a_class_is_refused(pair):
    sentence = f"Corrected labels must be paths in the folder of photos, each with a class, not {pair!r}."
    assert refusal("relabel", [["cats/1.jpg", "dogs"], pair]) == sentence


def test_settings_stay_as_they_were_made():
    config = TrainConfig(image_size="64")
    assert config.image_size == 64
    with pytest.raises(FrozenInstanceError):
        config.image_size = 128
    with pytest.raises(TypeError):
        TrainConfig("data")
    with pytest.raises(TypeError):
        TrainConfig(image_sise=64)


def test_settings_survive_json():
    config = TrainConfig(
        data=Path("my photos"),
        seed=2**32 - 1,
        head_learning_rate=1e-6,
        freeze_depth="none",
        leave_out=["b", "a"],
        relabel=[["d", "cats"], ["c", "dogs"]],
    )
    assert TrainConfig(**json.loads(json.dumps(config.as_dict()))) == config
    assert TrainConfig(**{**DEFAULTS, "seed": 1}) != TrainConfig()


@pytest.mark.parametrize("name", ["auto", "imagenet", "starter"])
def test_known_backbones(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_backbone_name(name)


def test_a_backbone_may_be_a_file(tmp_path):
    (tmp_path / "mine.keras").write_bytes(b"a model")
    check_backbone_name(str(tmp_path / "mine.keras"))
    for source in (str(tmp_path), str(tmp_path / "other.keras"), "Imagenet", "resnet", "nul\0", "long" * 100):
        with pytest.raises(Refused) as raised:
            check_backbone_name(source)
        shown = source.replace("\0", "\\x00")
        assert str(raised.value) == (
            f"There is no backbone {shown}: choose auto, imagenet, starter, or the path of a .keras file."
        )
