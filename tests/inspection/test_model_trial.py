"""A classifier from elsewhere, opened in a process of its own: what comes of it, and what it may spend."""

import json
import shlex
import sys
from pathlib import Path

import h5py
import keras
import pytest
from helpers.made_models import INFO, small, small_network, temporary, with_weights
from helpers.opening import opened_here
from helpers.places import REPOSITORY
from helpers.processes import run_python

from catdog.__main__ import main
from catdog.classifier import loading
from catdog.classifier.loading import load_classifier
from catdog.classifier.saving import save_keras
from catdog.errors import Failed, Refused
from catdog.inspection.model_trial import ALLOWANCES, Allowance, look_through, try_model
from catdog.photos.drawings import draw_photo_set

__all__ = ["opened_here", "small", "temporary"]


def refused(path: Path) -> str:
    """The one sentence about a file that is refused when it is tried."""
    with pytest.raises(Refused) as raised:
        try_model(path)
    text = str(raised.value)
    assert text.startswith(f"{path} ")
    assert text.endswith(".")
    assert ". " not in text
    assert text.isprintable()
    return text


def stand_in(tmp_path: Path, monkeypatch, *commands: str) -> None:
    """Let these shell commands take the place of Python in the process that opens a file."""
    script = tmp_path / "python"
    script.write_text("\n".join(["#!/bin/sh", *commands]))
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


def says(answer: object) -> str:
    """The shell command that prints an answer."""
    return f"printf %s {shlex.quote(json.dumps(answer))}"


ANSWER = {"parameters": 5, "class_names": ["cats", "dogs"], "image_size": 64, "accuracy": 0.9}


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_classifier_of_this_program_is_described(trained, ending, request):
    if ending == "h5":  # one process will do
        request.getfixturevalue("opened_here")
    about = try_model(trained / f"cat_dog_classifier.{ending}")
    kept = load_classifier(trained)
    assert about["class_names"] == ["cats", "dogs"]
    assert about["image_size"] == 64
    assert about["parameters"] == kept.model.count_params()
    assert about["accuracy"] == kept.info["metrics"]["accuracy"]


def test_a_relative_path_is_read_from_the_working_folder(small, monkeypatch):
    monkeypatch.chdir(small["h5"].parent)
    assert look_through(Path("small.h5")) == {"parameters": small_network().count_params()}
    assert "nowhere.h5 can't be read" in refused(Path("nowhere.h5"))


def test_answers_that_are_no_probabilities_are_refused(opened_here, tmp_path):
    image = keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(pooled))
    model.save(tmp_path / "logits.keras")
    assert "are no probabilities" in refused(tmp_path / "logits.keras")
    model = small_network()
    head = model.get_layer("logits")
    head.set_weights([values * float("nan") for values in head.get_weights()])
    save_keras(model, INFO, tmp_path / "nan.keras")
    assert "are no probabilities" in refused(tmp_path / "nan.keras")


def test_what_keras_cant_load_is_refused(small, tmp_path):
    def cut(file: h5py.File) -> None:
        group = file["layers/conv2d/vars"]
        del group["0"]
        group["0"] = [1.0]

    assert "can't be loaded" in refused(with_weights(small, "keras", cut, tmp_path / "model.keras"))


def number_at(content: bytes, at: int, size: int) -> int:
    """The number in so many bytes of a file."""
    return int.from_bytes(content[at : at + size], "little")


def test_a_file_whose_reading_never_ends_is_given_up(small, tmp_path, monkeypatch):
    content = bytearray(small["h5"].read_bytes())
    # Of what HDF5 keeps texts in, the free room at the end becomes none: it is looked for again and again.
    at = content.index(b"GCOL") + 16
    while number_at(content, at, 2):
        at += 16 + -(-number_at(content, at + 8, 8) // 8) * 8
    content[at + 8 : at + 16] = bytes(8)
    path = tmp_path / "endless.h5"
    path.write_bytes(content)
    monkeypatch.setitem(ALLOWANCES, "look", Allowance(4, 2, 1_000_000_000))
    assert "takes less" in refused(path)


@pytest.mark.parametrize(
    ("commands", "telling"),
    [
        (["kill -9 $$"], "takes less"),
        (["exit 3"], "takes less"),
        (["sleep 600"], "takes less"),
        (["sleep 600 & exit 0"], "takes less"),
        (["echo nonsense"], "takes less"),
        (["echo '[1]'"], "takes less"),
        (["yes '[' | head -c 3000000"], "takes less"),
        ([says(ANSWER), "exit 1"], "takes less"),
        ([says({**ANSWER, "class_names": ["cats"]})], "class names"),
        ([says({**ANSWER, "class_names": 5})], "class names"),
        ([says({**ANSWER, "class_names": ["cats", 5]})], "class names"),
        ([says({**ANSWER, "class_names": ["cats", "do\ngs"]})], "class names"),
        ([says({**ANSWER, "class_names": ["cats", "d" * 101]})], "class names"),
        ([says({**ANSWER, "class_names": [str(number) for number in range(1001)]})], "class names"),
        ([says({**ANSWER, "image_size": 10**9})], "unknown size"),
        ([says({**ANSWER, "image_size": "64"})], "unknown size"),
    ],
)
def test_a_process_that_fails_or_says_something_else_is_refused(tmp_path, monkeypatch, commands, telling):
    stand_in(tmp_path, monkeypatch, *commands)
    monkeypatch.setitem(ALLOWANCES, "look", Allowance(2, 10, 1_000_000_000))
    assert telling in refused(tmp_path / "model.keras")


def test_what_a_process_says_is_taken_with_care(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, says({**ANSWER, "accuracy": 7, "parameters": "many", "more": 1}))
    about = try_model(tmp_path / "model.keras")
    assert about == {"class_names": ["cats", "dogs"], "image_size": 64, "parameters": None, "accuracy": None}


def test_where_no_process_can_be_started_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    with pytest.raises(Failed, match=r"could not be started \(No such file or directory\)"):
        look_through(tmp_path / "model.keras")


def test_a_process_gets_little_of_the_environment_and_a_folder_that_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "do not tell")
    seen = tmp_path / "seen"
    stand_in(tmp_path, monkeypatch, f"env > {seen}", f"pwd >> {seen}", "touch left_behind", says(ANSWER))
    assert look_through(tmp_path / "model.keras") == ANSWER
    environment = seen.read_text().splitlines()
    assert not [line for line in environment if "SECRET" in line]
    home = Path(environment[-1])
    assert f"HOME={home}" in environment
    assert f"TMPDIR={home}" in environment
    assert not home.exists()


LIMITED = """
import sys
from catdog.classifier.trial_process import limit_process
from catdog.inspection.model_trial import Allowance
limit_process(Allowance(60, 1, 300_000_000))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="not every system knows all limits")
@pytest.mark.parametrize(
    ("code", "telling"),
    [
        ("bytearray(10**9)", "MemoryError"),
        ("[open('/dev/null') for _ in range(1000)]", "Too many open files"),
        ("open('large', 'wb').truncate(10**9)", "File too large"),
    ],
)
def test_a_limited_process_is_refused_what_is_too_much(tmp_path, code, telling):
    done = run_python("-c", LIMITED + code, cwd=tmp_path)
    assert telling in done.stderr.splitlines()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="not every system knows all limits")
def test_a_limited_process_that_works_on_and_on_is_ended(tmp_path):
    assert run_python("-c", LIMITED + "while True: pass", cwd=tmp_path).returncode < 0


def test_a_file_that_isnt_a_runs_own_is_looked_through_before_it_is_loaded(trained, small, monkeypatch):
    looked = []
    monkeypatch.setattr(loading, "look_through", looked.append)
    load_classifier(trained)
    assert looked == []
    load_classifier(small["h5"])
    assert looked == [small["h5"]]


def test_the_command_line_refuses_a_hostile_file_in_a_sentence(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    draw_photo_set(tmp_path / "photos", train=4, validation=4, seed=1)
    image = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda x: x * 2)(image))
    keras.Model(image, keras.layers.Dense(2)(pooled)).save(tmp_path / "hostile.keras")
    before = sorted(tmp_path.rglob("*"))
    capfd.readouterr()
    assert main(["classify", "hostile.keras", "photos"]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == (
        "hostile.keras has a layer of the kind 'Lambda', which no classifier of this program has: "
        "choose a .keras or .h5 file that this program wrote.\n"
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_the_process_prints_one_object_whatever_else_is_printed(small, tmp_path):
    done = run_python("-m", "catdog.classifier.trial_process", "look", str(small["h5"]), cwd=tmp_path)
    assert json.loads(done.stdout) == {"parameters": 138}
    done = run_python("-m", "catdog.classifier.trial_process", "open", str(small["h5"]), cwd=tmp_path)
    assert json.loads(done.stdout)["class_names"] == ["cats", "dogs"]
    code = (
        "import sys; from catdog.classifier.trial_process import main; main('look', sys.argv[1]); "
        "print('tensorflow' in sys.modules)"
    )
    done = run_python("-c", code, str(small["keras"]), cwd=REPOSITORY)
    assert json.loads(done.stdout.splitlines()[0]) == {"parameters": 138}
