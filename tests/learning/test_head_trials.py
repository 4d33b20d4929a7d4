"""Trials of the head: that they are what training would do, what they find, and the rules behind their sentences."""

import json

import numpy as np
import pytest
from helpers.processes import one_json_object
from helpers.trained_runs import SMALL_FLAGS, small_config

from catdog.__main__ import main
from catdog.errors import Failed
from catdog.figures import decimal
from catdog.learning.head_trials import (
    DRAWS,
    HeadTrials,
    describe_rates,
    describe_shares,
    draw_rows,
    prepare_trials,
    still_falling,
    suggest_rate,
    summarize,
)
from catdog.learning.training import train
from catdog.learning.training_loop import Diverged
from catdog.runs import jobs, trials
from catdog.runs.events import read_events
from catdog.runs.run_folder import create_run, read_status
from catdog.settings import SETTINGS, rate_steps

MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working folder with runs of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CATDOG_RUNS", str(tmp_path / "runs"))
    return tmp_path


@pytest.fixture
def head_trials(drawings, place) -> HeadTrials:
    config = small_config(drawings, head_epochs=3, augment="mirror")
    return prepare_trials(config, create_run(config, place / "trial"))


def all_rows(head_trials: HeadTrials) -> np.ndarray:
    return np.arange(len(head_trials.labels))


def test_a_trial_with_a_runs_own_settings_gives_its_own_figures(head_trials, drawings, place):
    config = head_trials.setup.config
    head_trials.train(0.1, 1, all_rows(head_trials))  # leaves no trace
    figures = head_trials.train(config.head_learning_rate, config.head_epochs, all_rows(head_trials))
    train(config, place / "run")
    epochs = [event for event in read_events(place / "run")[0] if event["event"] == "epoch"]
    assert figures == [{name: epoch[name] for name in MEASURES} for epoch in epochs]
    assert len(figures) == 3


def test_another_rate_and_fewer_photos_give_other_figures(head_trials):
    rows = all_rows(head_trials)
    figures = [head_trials.train(*tried) for tried in ((0.001, 2, rows), (0.01, 2, rows), (0.001, 2, rows[::2]))]
    assert len({each[-1]["val_loss"] for each in figures}) == 3


def test_a_loss_that_is_no_number_ends_a_trial(head_trials, monkeypatch):
    monkeypatch.setattr(head_trials, "step", lambda batch, labels: (float("nan"), 0.0))
    with pytest.raises(Diverged, match="no longer a number in head epoch 1"):
        head_trials.train(0.001, 2, all_rows(head_trials))


def test_rates_are_tried_and_one_is_suggested(drawings, place, capfd):
    assert main(["rates", str(drawings), *SMALL_FLAGS, "--fine-tune-epochs", "2", "--json"]) == 0
    answer = one_json_object(capfd.readouterr().out)
    assert [each["learning_rate"] for each in answer["rates"]] == rate_steps(SETTINGS["head_learning_rate"])
    assert answer["epochs"] == 3
    losses = {each["learning_rate"]: each["val_loss"] for each in answer["rates"]}
    assert losses[answer["learning_rate"]] == min(losses.values())
    assert losses[1e-6] > losses[answer["learning_rate"]]
    (job,) = trials.found_trials()
    assert json.loads((job.folder / "trial.json").read_text()) == answer
    told = [event for event in read_events(job.folder)[0] if event["event"] == "rate"]
    assert [event["val_loss"] for event in told] == list(losses.values())
    assert job.status["state"] == "done"
    assert jobs.list_jobs() == []


def test_shares_of_the_photos_are_tried(drawings, capfd):
    assert main(["learning-curve", str(drawings), *SMALL_FLAGS]) == 0
    said = capfd.readouterr().out
    (job,) = trials.found_trials()
    answer = trials.answer_of(job.folder)
    assert said == f"{answer['sentence']}\n"
    assert [each["photos"] for each in answer["shares"]] == [12, 24, 36, 48]
    for each in answer["shares"]:
        assert each["lowest"] <= each["val_accuracy"] <= each["highest"]
    events = read_events(job.folder)[0]
    assert [event["share"] for event in events if event["event"] == "share"] == [0.25, 0.5, 0.75, 1.0]
    progress = [event for event in events if event["event"] == "progress"][-1]
    assert progress["done"] == progress["total"] == 3 * DRAWS + 1


def test_a_trial_that_is_asked_to_stop_stops_and_has_no_answer(drawings, place, capfd, monkeypatch):
    def stop_at_once(config, task):
        run = trials_create(config, task)
        (run.folder / "stop").touch()
        return run

    trials_create = trials.create_trial
    monkeypatch.setattr("catdog.commands.train.create_trial", stop_at_once)
    assert main(["rates", str(drawings), *SMALL_FLAGS]) == 130
    (job,) = trials.found_trials()
    assert job.status["state"] == "stopped"
    assert trials.answer_of(job.folder) == {}


@pytest.mark.parametrize("command", ["rates", "learning-curve"])
def test_what_cannot_be_tried_is_refused_and_leaves_nothing(command, drawings, capfd):
    assert main([command, "nowhere"]) == 2
    assert main([command, str(drawings), "--backbone", "nofile"]) == 2
    said = capfd.readouterr().err.splitlines()
    assert said[0].startswith("There is no folder nowhere")
    assert said[1].startswith("There is no backbone nofile")
    assert trials.found_trials() == []


def test_the_process_of_a_page_works_on_a_trial(drawings):
    run = trials.create_trial(small_config(drawings), "rates")
    assert main(["work", str(run.folder)]) == 0
    assert trials.answer_of(run.folder)["learning_rate"] in rate_steps(SETTINGS["head_learning_rate"])
    assert read_status(run.folder)["state"] == "done"


# The rules


def test_a_draw_takes_its_share_of_each_class_and_a_larger_one_holds_the_smaller():
    labels = np.array([0] * 40 + [1] * 10 + [2])
    quarter, half, whole = (set(draw_rows(labels, share, [0, 0])) for share in (0.25, 0.5, 1.0))
    assert quarter < half < whole == set(range(51))
    assert np.bincount(labels[sorted(quarter)]).tolist() == [10, 2, 1]
    assert quarter != set(draw_rows(labels, 0.25, [0, 1]))
    assert quarter == set(draw_rows(labels, 0.25, [0, 0]))


def test_the_lowest_loss_decides_and_then_the_lowest_rate():
    tried = [{"learning_rate": rate, "val_loss": loss} for rate, loss in ((1, 0.3), (0.1, 0.2), (0.01, 0.2))]
    assert suggest_rate(tried)["learning_rate"] == 0.01
    with pytest.raises(Failed, match="With no learning rate"):
        suggest_rate([])


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ([0.5, 0.23, 0.2, 0.219, 0.21, 0.3], " From 0.01 to 1 the rate made little difference."),
        ([0.5, 0.23, 0.2, 0.221, 0.2, 0.3], ""),
        ([0.2, 0.5], ""),
        ([0.2, 0.2], " From 0.0001 to 0.001 the rate made little difference."),
    ],
)
def test_rates_between_which_it_makes_little_difference_are_named(losses, words):
    tried = [
        {"learning_rate": 10.0 ** (place - 4), "val_loss": loss, "val_accuracy": 0.9}
        for place, loss in enumerate(losses)
    ]
    suggested = suggest_rate(tried)
    sentence = describe_rates(tried, suggested, 1)
    start = f"{decimal(suggested['learning_rate'])} had the lowest validation loss within 1 epoch: 0.2000, "
    assert sentence == f"{start}accuracy 90.0 %.{words}"


def test_a_share_is_judged_by_its_best_epochs():
    courses = [
        [{"val_accuracy": 0.9, "val_loss": 0.3}, {"val_accuracy": 0.8, "val_loss": 0.2}],
        [{"val_accuracy": 0.7, "val_loss": 0.4}, {"val_accuracy": 0.8, "val_loss": 0.6}],
    ]
    assert summarize(courses) == pytest.approx({"val_accuracy": 0.85, "lowest": 0.8, "highest": 0.9, "val_loss": 0.3})


@pytest.mark.parametrize(
    ("losses", "falling"),
    [([0.5], False), ([0.5, 0.48], True), ([0.5, 0.495], False), ([0.4, 0.6, 0.5], False), ([0.6, 0.5, 0.4], True)],
)
def test_when_a_loss_is_still_falling(losses, falling):
    assert still_falling([{"val_loss": loss} for loss in losses]) is falling


@pytest.mark.parametrize(
    ("loss", "falling", "words"),
    [
        (0.179, False, ["more photos should still help", "more epochs would change little"]),
        (0.181, False, ["more photos of the same kind would change little", "more epochs would change little"]),
        (0.181, True, ["more epochs, or a higher rate, should help"]),
    ],
)
def test_what_a_learning_curve_says(loss, falling, words):
    shares = [
        {"share": 0.5, "photos": 1000, "val_accuracy": 0.95, "val_loss": 0.2},
        {"share": 1.0, "photos": 2000, "val_accuracy": 0.97, "val_loss": loss},
    ]
    sentence = describe_shares(shares, falling)
    assert sentence.startswith("From 1,000 to 2,000 photos, accuracy went from 95.0 % to 97.0 %")
    for each in words:
        assert each in sentence
