"""Learning: the order of what is best, the checkpoint, and losses that are no longer finite."""

import keras
import numpy as np
import pytest

from catdog.errors import Stopped
from catdog.files.array_files import read_arrays, write_arrays
from catdog.learning.training_loop import Best, Diverged, Learning, Phase
from catdog.network.activations import KeptActivations
from catdog.runs.events import read_events
from catdog.runs.run_folder import FREQUENT_EVENT_SECONDS, create_run
from catdog.settings import TrainConfig


def separable(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (count, 8) of two classes that a line tells apart, and their labels."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 2, count).astype(np.int32)
    features = chance.normal(size=(count, 8)).astype(np.float32)
    features[:, 0] += 4 * labels - 2
    return features, labels


def make_learning(folder, seed=0) -> tuple[Learning, Phase]:
    """A run's learning of a head on separable features, and its phase of six epochs."""
    keras.utils.set_random_seed(seed)
    features = keras.Input((8,))
    dropped = keras.layers.Dropout(0.2, name="dropout")(features)
    network = keras.Model(features, keras.layers.Dense(2, name="logits")(dropped))
    (train, train_labels), (validation, validation_labels) = separable(100, 1), separable(40, 2)
    run = create_run(TrainConfig(data="photos"), folder)
    learning = Learning(run, train_labels, validation_labels, 16, seed)
    sources = (KeptActivations([(rows, np.arange(len(rows)))]) for rows in (train, validation))
    return learning, Phase("head", 6, 0.03, network, *sources, 1)


def stop_at(learning: Learning, epoch: int, step: int) -> None:
    """Ask the run to stop once it has written this step."""

    def listen(event):
        if event["event"] == "step" and (event["epoch"], event["step"]) == (epoch, step):
            learning.run.asked_to_stop.set()

    learning.run.listen = listen


def epochs_of(learning: Learning) -> list[dict]:
    """The epoch events without what depends on the clock."""
    events, _ = read_events(learning.run.folder)
    clockless = [{key: event[key] for key in event if key not in ("time", "seconds")} for event in events]
    return [event for event in clockless if event["event"] == "epoch"]


@pytest.mark.parametrize(
    ("accuracy", "loss", "beaten"),
    [(0.91, 0.9, True), (0.9, 0.19, True), (0.9, 0.2, False), (0.9, 0.3, False), (0.89, 0.01, False)],
)
def test_best_is_highest_accuracy_then_lowest_loss_then_earliest(accuracy, loss, beaten):
    best = Best({"val_accuracy": 0.9, "val_loss": 0.2}, np.empty((0, 2)), {})
    assert best.is_beaten_by({"val_accuracy": accuracy, "val_loss": loss}) is beaten


def test_the_head_learns_what_can_be_learned(tmp_path):
    learning, phase = make_learning(tmp_path / "run")
    learning.learn(phase)
    epochs = epochs_of(learning)
    assert [event["epoch"] for event in epochs] == [1, 2, 3, 4, 5, 6]
    assert learning.best.event["val_accuracy"] > 0.9
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    assert [event for event in epochs if event["best"]][-1]["epoch"] == learning.best.event["epoch"]


@pytest.mark.parametrize(("step", "whole_epochs"), [(1, 2), (7, 3)])
def test_a_stopped_and_resumed_run_takes_the_same_path(tmp_path, monkeypatch, step, whole_epochs):
    monkeypatch.setitem(FREQUENT_EVENT_SECONDS, "step", 0.0)
    undisturbed, phase = make_learning(tmp_path / "undisturbed")
    undisturbed.learn(phase)

    stopped, phase = make_learning(tmp_path / "stopped")
    stop_at(stopped, epoch=3, step=step)
    with pytest.raises(Stopped):
        stopped.learn(phase)
    assert stopped.epochs == whole_epochs

    resumed, phase = make_learning(tmp_path / "unused", seed=7)  # other first weights, to be overwritten
    resumed.seed, resumed.run = 0, stopped.run
    resumed.run.listen = None
    resumed.run.asked_to_stop.clear()
    resumed.load()
    resumed.learn(phase)
    assert epochs_of(resumed) == epochs_of(undisturbed)
    for name, value in undisturbed.best.variables.items():
        np.testing.assert_array_equal(resumed.best.variables[name], value)
    np.testing.assert_array_equal(resumed.best.probabilities, undisturbed.best.probabilities)


def test_a_loss_that_is_no_number_ends_the_phase_and_keeps_the_best(tmp_path):
    learning, phase = make_learning(tmp_path / "run")
    rows = phase.training.views[0][0]

    def poison(event):
        if event["event"] == "epoch" and event["epoch"] == 2:
            rows[:] = np.nan

    learning.run.listen = poison
    with pytest.raises(Diverged, match="no longer a number in head epoch 3: choose a lower head learning rate"):
        learning.learn(phase)
    assert learning.best.event["epoch"] <= 2
    assert all(np.isfinite(value).all() for value in learning.best.variables.values())


def test_best_is_put_back_and_what_learned_later_is_undone(tmp_path):
    learning, phase = make_learning(tmp_path / "run")
    learning.learn(phase)
    network = phase.network
    best = learning.best.variables["logits/kernel"]
    network.get_layer("logits").kernel.assign(best + 1)
    extra = keras.Variable(np.ones(3, np.float32), name="later")
    learning.originals[extra.path] = np.zeros(3, np.float32)

    class Model:
        variables = [*network.variables, extra]  # noqa: RUF012

    learning.put_back_best(Model)
    np.testing.assert_array_equal(network.get_layer("logits").kernel, best)
    np.testing.assert_array_equal(extra, np.zeros(3))


@pytest.mark.parametrize("name", ["last", "best"])
@pytest.mark.parametrize("damage", ["cut", "gone", "text"])
def test_a_damaged_checkpoint_is_not_believed(tmp_path, name, damage):
    learning, phase = make_learning(tmp_path / "run")
    learning.learn(phase)
    path = learning.file(name)
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_text("not an archive")
    again, _ = make_learning(tmp_path / "other")
    again.run = learning.run
    again.load()
    assert (again.best, again.done, again.epochs) == (None, {}, 0)


def test_arrays_and_notes_go_through_a_file(tmp_path):
    write_arrays(tmp_path / "file.npz", {"a/b": np.arange(3)}, done={"head": 2})
    arrays, notes = read_arrays(tmp_path / "file.npz")
    np.testing.assert_array_equal(arrays["a/b"], [0, 1, 2])
    assert notes == {"done": {"head": 2}}
