"""The app's pages without a browser: opened in a folder of their own, and what they say."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from catdog.pages import leaving
from catdog.runs import jobs
from helpers.places import REPOSITORY

PAGES = ["train", "classify", "runs", "how_it_works"]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A working folder with runs and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CATDOG_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CATDOG_FOLDERS", raising=False)
    # The server's thread that cleans up would go on in the folders of the tests that follow.
    monkeypatch.setattr(leaving, "keep_clean", lambda: None)
    return tmp_path


def open_page(name: str) -> AppTest:
    """The page as a new visitor gets it; fails on an exception."""
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=120).run()
    if name != "train":
        app.switch_page(f"catdog/pages/{name}.py").run()
    assert not app.exception
    return app


def button(app: AppTest, label: str):
    """The button of that label."""
    (found,) = [each for each in app.button if each.label == label]
    return found


def texts(app: AppTest) -> str:
    """All that a page says in words."""
    parts = [*app.markdown, *app.caption, *app.subheader, *app.warning, *app.error, *app.info]
    return "\n".join(str(part.value) for part in parts)


def choose_rows(app: AppTest, *names: str) -> AppTest:
    """Choose the runs of these folders in the table of the runs page."""
    rows = [[job.folder.name for job in jobs.list_jobs()].index(name) for name in names]
    key = app.dataframe[0].proto.id.split("-", 2)[2]
    app.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    app.run()
    assert not app.exception
    return app


def opened(app: AppTest, key: str) -> AppTest:
    """The page after the visitor opened a fold of it."""
    app.session_state[key] = True
    app.run()
    assert not app.exception
    return app


def settings_of_the_run(launched: list[Path]) -> dict:
    """The settings of the run that was started last."""
    return json.loads((launched[-1] / "config.json").read_text())["settings"]


def table(app: AppTest) -> str:
    """The table of counts."""
    (found,) = [each.value for each in app.get("html") if "<table" in each.value]
    return found


def chosen_upload(app: AppTest) -> list:
    """The list of uploads, if there is one."""
    return [radio for radio in app.radio if radio.key == "chosen_upload"]


def uploads(app: AppTest) -> AppTest:
    """The page with the uploads chosen as the source of photos."""
    app.segmented_control(key="photo_source").set_value("upload").run()
    assert not app.exception
    return app
