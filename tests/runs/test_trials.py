"""Where trials are kept, which one holds for which settings, and how a page shows them."""

import json
import shutil

import pytest
from helpers.app_pages import button, open_page, texts
from streamlit.testing.v1 import AppTest

from catdog.charts.trial_charts import rates_chart, shares_chart
from catdog.runs import jobs, trials
from catdog.runs.run_folder import TRIALS_FOLDER, create_run
from catdog.settings import TrainConfig

RATES = [
    {"learning_rate": 0.001, "loss": 0.3, "accuracy": 0.9, "val_loss": 0.25, "val_accuracy": 0.92},
    {"learning_rate": 0.002, "loss": 0.2, "accuracy": 0.9, "val_loss": 0.15, "val_accuracy": 0.95},
    {"learning_rate": 0.005, "loss": 0.4, "accuracy": 0.9, "val_loss": 0.45, "val_accuracy": 0.9},
]
SHARES = [
    {"share": 0.5, "photos": 24, "val_accuracy": 0.85, "lowest": 0.8, "highest": 0.9, "val_loss": 0.3},
    {"share": 1.0, "photos": 48, "val_accuracy": 0.95, "lowest": 0.95, "highest": 0.95, "val_loss": 0.2},
]


def finished(config: TrainConfig, task: str, **answer):
    """A trial that is done, with its events and its answer."""
    run = trials.create_trial(config, task)
    run.event("phase", phase=task)
    for kind, rows in (("rate", answer.get("rates", [])), ("share", answer.get("shares", []))):
        for row in rows:
            run.event(kind, **row)
    (run.folder / trials.ANSWER_FILE).write_text(json.dumps(answer))
    run.set_state("done")
    return run.folder


def rates_trial(config: TrainConfig, rate=0.002):
    """A finished sweep over learning rates."""
    return finished(config, "rates", rates=RATES, learning_rate=rate, sentence=f"{rate} had the lowest loss.")


def test_a_trial_waits_in_line_with_the_runs(place):
    trial = trials.create_trial(TrainConfig(), "rates")
    run = create_run(TrainConfig())
    assert trial.folder.parent == run.folder.parent / TRIALS_FOLDER
    assert trial.queue_folder == run.queue_folder == run.folder.parent
    assert trials.task_of(trial.folder) == "rates"
    assert trials.task_of(run.folder) == "train"
    assert [job.folder for job in jobs.list_jobs()] == [run.folder]


def test_a_trial_holds_for_settings_that_it_depends_on_alone(place):
    folder = rates_trial(TrainConfig(head_epochs=4))
    for same in ({}, {"fine_tune_epochs": 3}, {"freeze_depth": "conv2"}, {"head_learning_rate": 0.5}):
        assert trials.newest("rates", TrainConfig(head_epochs=4, **same)).folder == folder
    for other in ({"head_epochs": 5}, {"seed": 1}, {"image_size": 64}, {"backbone": "starter"}, {"data": "other"}):
        assert trials.newest("rates", TrainConfig(**{"head_epochs": 4, **other})) is None
    assert trials.newest("learning-curve", TrainConfig(head_epochs=4)) is None
    curve = finished(TrainConfig(), "learning-curve", shares=SHARES, sentence="More photos should help.")
    assert trials.newest("learning-curve", TrainConfig()).folder == curve
    assert trials.newest("learning-curve", TrainConfig(head_learning_rate=0.5)) is None


def test_old_trials_go_but_none_that_is_at_work(place):
    first = trials.create_trial(TrainConfig(), "rates")
    first.set_state("running")
    others = [rates_trial(TrainConfig()) for _ in range(trials.MOST_KEPT + 2)]
    assert first.folder.exists()
    assert not others[0].exists()
    assert others[-1].exists()
    assert len(trials.found_trials()) <= trials.MOST_KEPT + 1


def open_with_photos(place, drawings) -> AppTest:
    """The training page with photos chosen."""
    shutil.copytree(drawings, place / "data")
    app = open_page("train")
    app.selectbox(key="backbone").set_value("starter")
    return app.run()


def test_the_suggested_rate_fills_the_form(place, drawings):
    rates_trial(TrainConfig(data="data", backbone="starter"))
    app = open_with_photos(place, drawings)
    assert r"0\.002 had the lowest loss" in texts(app)
    button(app, "Use 0.002").click().run()
    assert not app.exception
    assert app.select_slider(key="head_learning_rate").value == 0.002
    assert "The form has this rate." in texts(app)
    assert "Use 0.002" not in [each.label for each in app.button]


@pytest.mark.parametrize("rate", [0.0021, "0.002", None, [0.002], -1.0])
def test_a_suggestion_that_was_changed_by_hand_is_not_offered(place, drawings, rate):
    rates_trial(TrainConfig(data="data", backbone="starter"), rate)
    app = open_with_photos(place, drawings)
    assert not app.exception
    assert not [each.label for each in app.button if each.label.startswith("Use ")]


def test_numbers_that_were_changed_by_hand_are_not_drawn(place, drawings):
    folder = rates_trial(TrainConfig(data="data", backbone="starter"))
    with (folder / "events.jsonl").open("a") as file:
        for loss in ("NaN", "Infinity", "-0.5"):
            file.write(f'{{"event": "rate", "learning_rate": 0.1, "loss": {loss}, "val_loss": 1, "val_accuracy": 1}}\n')
    app = open_with_photos(place, drawings)
    assert not app.exception
    assert "had the lowest loss" in texts(app)


def test_a_damaged_or_failed_trial_gets_a_sentence(place, drawings):
    folder = rates_trial(TrainConfig(data="data", backbone="starter"))
    (folder / trials.ANSWER_FILE).write_text('{"sentence"')
    curve = trials.create_trial(TrainConfig(data="data", backbone="starter"), "learning-curve")
    curve.set_state("failed", "There was *not* enough memory.")
    app = open_with_photos(place, drawings)
    assert not app.exception
    assert "Its answer is damaged: try again." in texts(app)
    assert r"There was \*not\* enough memory" in texts(app)


@pytest.mark.parametrize("task", ["rates", "learning-curve"])
def test_a_button_starts_a_trial_with_what_the_form_says(place, drawings, monkeypatch, task):
    launched = []
    monkeypatch.setattr(jobs, "launch", launched.append)
    app = open_with_photos(place, drawings)
    app.number_input(key="head_epochs").set_value(7).run()
    app.button(key=f"start_{task}").click().run()
    assert not app.exception
    (folder,) = launched
    written = json.loads((folder / "config.json").read_text())
    assert written["task"] == task
    assert written["settings"] == TrainConfig(data="data", backbone="starter", head_epochs=7).as_dict()
    # It waits for its process, and another can't be started meanwhile.
    assert app.button(key=f"start_{task}").disabled
    assert [each.label for each in app.button if each.label == "Stop"] == ["Stop"]
    button(app, "Stop").click().run()
    assert (folder / "stop").exists()


def test_without_photos_nothing_can_be_tried(place):
    (place / "data").mkdir()
    app = open_page("train")
    assert all(app.button(key=f"start_{task}").disabled for task in trials.QUESTIONS)


def test_the_rates_chart_rings_the_suggested_rate():
    spec = rates_chart(RATES, 0.002).to_dict()
    lines, _, ring = [spec["datasets"][layer["data"]["name"]] for layer in spec["layer"]]
    assert [(row["rate"], row["loss"]) for row in lines if row["split"] == "validation"] == [
        (0.001, 0.25),
        (0.002, 0.15),
        (0.005, 0.45),
    ]
    assert [(row["rate"], row["loss"], row["written"]) for row in ring] == [(0.002, 0.15, "0.002")]
    assert rates_chart(RATES[:2]).to_dict()["layer"][2]["data"]


def test_the_shares_chart_has_accuracy_and_range():
    spec = shares_chart(SHARES).to_dict()
    (rows,) = spec["datasets"].values()
    assert [(row["photos"], row["accuracy"], row["draws"]) for row in rows] == [
        (24, "85.0 %", "80.0 % to 90.0 %"),
        (48, "95.0 %", "95.0 %"),
    ]
