"""The training page's side that shows a run, and the runs page's filters, without a browser."""

import json
import shutil
import time
from pathlib import Path

import pytest
from helpers.app_pages import button, open_page, texts
from helpers.made_events import epoch, step

from catdog.runs import jobs
from catdog.runs.run_folder import WAITING, Run, create_run
from catdog.settings import TrainConfig


def make_run(place: Path, name: str, state: str, message: str = "", events=(), **settings) -> Run:
    """A run in a state, with events."""
    run = create_run(TrainConfig(data="photos", **settings), place / "runs" / name)
    write(run, *events)
    run.set_state(state, message)
    return run


def write(run: Run, *events: dict) -> None:
    """Let a run write events."""
    for event in events:
        run.event(event["event"], **{key: value for key, value in event.items() if key != "event"})


def label(run: Run, name: str) -> None:
    """Give a run a name."""
    jobs.rename(run.folder, name)


LEARNING = [
    {"event": "phase", "phase": "head"},
    *(step(epoch=1, step=number) for number in (1, 2, 3, 4)),
    *(epoch(epoch=number, loss=0.6 / number, val_loss=0.5 / number) for number in (1, 2, 3)),
]


def test_a_run_at_work_has_its_figures_a_sentence_and_small_lines(place):
    make_run(place, "20260101-000000-a", "running", events=LEARNING)
    app = open_page("train")
    metrics = {metric.label: metric.value for metric in app.metric}
    assert metrics["Accuracy"] == "98.0 %"
    assert metrics["Loss"] == "0.167"
    assert "Still improving" in texts(app)
    assert button(app, "Stop")
    descriptions = [html for html in (element.value for element in app.markdown) if "<svg" in html]
    assert any("Loss so far: from 0.500 to 0.167" in each for each in descriptions)


def test_the_small_lines_take_as_much_room_before_the_first_value(place):
    run = make_run(place, "20260101-000000-a", "running", events=LEARNING[:1])
    before = [each.value for each in open_page("train").markdown if "<svg" in each.value]
    write(run, *LEARNING[1:])
    after = [each.value for each in open_page("train").markdown if "<svg" in each.value]
    assert len(before) == len(after)
    assert sum("no value yet" in each for each in before) == 4


def test_the_run_at_work_is_shown_rather_than_the_newest_that_waits(place):
    label(make_run(place, "20260101-000000-a", "running", events=LEARNING), "working")
    label(make_run(place, "20260102-000000-b", "queued", WAITING), "first")
    label(make_run(place, "20260103-000000-c", "queued", WAITING), "second")
    app = open_page("train")
    assert app.subheader[-1].value.startswith("working ")
    lines = [each.value for each in app.markdown if "in line" in each.value]
    assert [line.split(" ")[0] for line in lines] == ["first", "second"]
    assert ["1 in line" in lines[0], "2 in line" in lines[1]] == [True, True]


def test_a_waiting_run_is_taken_out_and_says_so(place):
    make_run(place, "20260101-000000-a", "running", events=LEARNING)
    waiting = make_run(place, "20260102-000000-b", "queued", WAITING)
    app = open_page("train")
    button(app, "Take out").click().run()
    assert not app.exception
    assert (waiting.folder / "stop").exists()
    assert button(app, "Take out").disabled


def test_a_run_that_waits_says_for_what(place):
    label(make_run(place, "20260101-000000-a", "running", events=LEARNING), "*the first*")
    make_run(place, "20260102-000000-b", "queued", WAITING)
    app = open_page("train")
    app.session_state["shown_run"] = "20260102-000000-b"
    app.run()
    assert r"Waiting for \*the first\* to end" in texts(app)
    assert [each.label for each in app.button if each.label in ("Stop", "Take out")] == ["Take out"]


def test_an_earlier_run_is_chosen_without_another_page(place, trained):
    shutil.copytree(trained, place / "runs" / "20260101-000000-a")
    label(make_run(place, "20260102-000000-b", "stopped", "Stopped."), "newest")
    app = open_page("train")
    assert app.subheader[-1].value.startswith("newest ")
    app.selectbox(key="run_choice").set_value("20260101-000000-a").run()
    assert not app.exception
    assert "done" in app.subheader[-1].value
    assert app.session_state["shown_run"] == "20260101-000000-a"


def test_a_logarithmic_axis_is_a_choice(place, trained):
    shutil.copytree(trained, place / "runs" / "20260101-000000-a")
    app = open_page("train")
    assert '"type": "log"' not in app.get("vega_lite_chart")[0].proto.spec
    app.toggle(key="log_loss").set_value(True).run()
    loss, accuracy = (chart.proto.spec for chart in app.get("vega_lite_chart"))
    assert '"type": "log"' in loss
    assert '"type": "log"' not in accuracy


def test_a_new_step_changes_the_data_of_a_chart_alone(place):
    run = make_run(place, "20260101-000000-a", "running", events=LEARNING)
    app = open_page("train")
    before = [chart.proto.spec for chart in app.get("vega_lite_chart")]
    write(run, step(epoch=4, loss=0.15))
    app.run()
    assert [chart.proto.spec for chart in app.get("vega_lite_chart")] == before


@pytest.fixture
def many_runs(place, trained) -> Path:
    """Eight runs of different states, names and backbones."""
    for number in range(4):
        shutil.copytree(trained, place / "runs" / f"2026010{number}-000000-done")
    for number in range(4):
        run = make_run(place, f"2026020{number}-000000-failed", "failed", "No memory.", backbone="imagenet")
        label(run, f"try {number}")
    return place


def table(app) -> list[str]:
    """The names in the table of runs."""
    return list(app.dataframe[0].value["Name"])


def test_many_runs_are_filtered_by_name_state_and_backbone(many_runs):
    app = open_page("runs")
    assert len(table(app)) == 8
    app.text_input(key="runs_name").set_value("TRY").run()
    assert table(app) == ["try 3", "try 2", "try 1", "try 0"]
    app.multiselect(key="runs_state").set_value(["done"]).run()
    assert "No run is like that." in texts(app)
    app.text_input(key="runs_name").set_value("").run()
    assert len(table(app)) == 4
    app.multiselect(key="runs_state").set_value([]).run()
    app.multiselect(key="runs_backbone").set_value(["imagenet"]).run()
    assert len(table(app)) == 4
    assert not app.exception


def test_a_filter_whose_last_run_is_gone_filters_no_more(many_runs):
    app = open_page("runs")
    app.multiselect(key="runs_state").set_value(["failed"]).run()
    for path in (many_runs / "runs").glob("*failed"):
        shutil.rmtree(path)
    for number in range(4, 8):
        make_run(many_runs, f"2026010{number}-000000-b", "stopped")
    app.run()
    assert not app.exception
    assert len(table(app)) == 8


def test_a_choice_does_not_slip_to_another_run_when_a_new_one_comes(many_runs):
    app = open_page("runs")
    key = app.dataframe[0].proto.id.split("-", 2)[2]
    app.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    assert app.text_input(key="name_20260203-000000-failed").value == "try 3"
    make_run(many_runs, "20260301-000000-new", "stopped")
    app.run()
    assert not [each for each in app.text_input if each.key != "runs_name"]


def test_numbers_of_the_table_are_numbers(many_runs):
    shown = open_page("runs").dataframe[0].value
    for name in ("Accuracy", "Photos", "Head epochs", "Head rate", "Tuning epochs", "Tuning rate", "Took", "Size"):
        assert shown[name].dtype.kind in "if", name


def test_what_was_read_of_a_run_is_read_again_once_it_has_changed(place, trained):
    folder = place / "runs" / "20260101-000000-a"
    shutil.copytree(trained, folder)
    (job,) = jobs.list_jobs()
    assert jobs.summarize(job)["name"] == ""
    jobs.rename(folder, "one")
    assert jobs.summarize(job)["name"] == "one"
    jobs.rename(folder, "two")
    assert jobs.summarize(job)["name"] == "two"
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"state": "stopped", "updated": time.time()}))
    assert jobs.find_job(folder).status["state"] == "stopped"
