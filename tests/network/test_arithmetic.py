"""Which arithmetic the frozen network runs in, on made-up networks and processors."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.trained_runs import small_config

from catdog.files.folders import cache_folder
from catdog.files.json_files import read_json
from catdog.learning import training
from catdog.learning.training import train
from catdog.network import activations, arithmetic
from catdog.network.arithmetic import SWITCH, bfloat16_switched_on, choose_arithmetic, processor_has_bfloat16


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that only networks move, so that no test depends on how fast the machine is."""
    monkeypatch.setattr(Network, "now", 0.0)
    monkeypatch.setattr(arithmetic.time, "perf_counter", lambda: Network.now)


class Network:
    """Stands for a compiled network: how long it takes, by how much its output is off, and how the switch stood."""

    now = 0.0

    def __init__(self, seconds: float, error: float = 0.0):
        self.seconds, self.error, self.switched = seconds, error, []

    def __call__(self, photos):
        self.switched.append(switch())
        Network.now += self.seconds
        return [tf.constant(photos.mean(axis=(1, 2, 3)) * (1 + self.error))]


def switch() -> bool:
    """How TensorFlow's switch stands now."""
    return bool(tf.config.optimizer.get_experimental_options().get(SWITCH, False))


def some_photos() -> np.ndarray:
    return np.full((4, 8, 8, 3), 100, np.uint8)


@pytest.mark.parametrize(
    ("exact", "fast", "chosen"),
    [
        (Network(0.03), Network(0.0), "bfloat16"),
        (Network(0.0), Network(0.03), "float32"),
        (Network(0.03), Network(0.0, error=0.2), "float32"),
    ],
)
def test_the_faster_one_is_chosen_if_it_is_close(exact, fast, chosen):
    assert choose_arithmetic("key", exact, fast, some_photos) == chosen
    assert set(exact.switched) == {False}
    assert set(fast.switched) == {True}
    assert not switch()


def test_the_choice_is_kept_and_not_measured_again():
    assert choose_arithmetic("key", Network(0.03), Network(0.0), some_photos) == "bfloat16"
    never = None
    assert choose_arithmetic("key", never, never, never) == "bfloat16"
    assert choose_arithmetic("other key", Network(0.0), Network(0.03), some_photos) == "float32"
    assert sorted(read_json(cache_folder() / "arithmetic.json").values()) == ["bfloat16", "float32"]


def test_the_switch_is_put_back_even_after_an_error():
    def fail():
        with bfloat16_switched_on():
            seen.append(switch())
            raise ValueError

    seen = []
    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert seen == [True]
    assert not switch()


@pytest.mark.parametrize(("flags", "has"), [({"avx2", "avx512_bf16"}, True), ({"amx_bf16"}, True), ({"avx2"}, False)])
def test_processors_are_told_apart_by_their_flags(monkeypatch, flags, has):
    monkeypatch.setattr(arithmetic, "processor_flags", lambda: flags)
    assert processor_has_bfloat16() is has


def test_another_processor_measures_for_itself(monkeypatch):
    monkeypatch.setattr(arithmetic, "processor_line", lambda name: "one processor")
    assert choose_arithmetic("key", Network(0.03), Network(0.0), some_photos) == "bfloat16"
    monkeypatch.setattr(arithmetic, "processor_line", lambda name: "another processor")
    assert choose_arithmetic("key", Network(0.0), Network(0.03), some_photos) == "float32"


def test_only_training_photos_ever_run_in_bfloat16(drawings, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "processor_has_bfloat16", lambda: True)
    monkeypatch.setattr(activations, "choose_arithmetic", lambda *arguments: "bfloat16")
    opened = []
    open_shelf = activations.open_shelf

    def watch(what, shape, dtype, parent):
        opened.append((what["kind"], what["arithmetic"], np.dtype(dtype).name, switch()))
        return open_shelf(what, shape, dtype, parent)

    monkeypatch.setattr(activations, "open_shelf", watch)
    train(small_config(drawings, fine_tune_epochs=1), tmp_path / "run")
    assert {each for each in opened if each[1] == "float32"} == {
        ("conv4", "float32", "float32", False),
        ("pooled", "float32", "float32", False),
    }
    assert {each[:3] for each in opened if each[1] == "bfloat16"} == {
        ("conv4", "bfloat16", "float16"),
        ("pooled", "bfloat16", "float32"),
    }
    opened.clear()
    train(small_config(drawings, fine_tune_epochs=1, bfloat16="off"), tmp_path / "off")
    assert {each[1] for each in opened} == {"float32"}
