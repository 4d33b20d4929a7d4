"""The classifiers that visitors bring along: added, named, removed, and nobody else's business."""

import json
import os
import time
from pathlib import Path

import pytest
from helpers.app_pages import button, texts
from helpers.made_models import small
from helpers.opening import opened_here
from helpers.places import REPOSITORY
from helpers.processes import run_python
from streamlit.testing.v1 import AppTest

from catdog.errors import Failed
from catdog.pages.answers import added_models

PAGE = """
import streamlit as st
from catdog.pages.answers.added_models import add_model, added_models
add_model()
st.json(added_models())
"""


__all__ = ["opened_here", "small"]


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Path:
    """The folder in which added classifiers are kept."""
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path))
    monkeypatch.delenv("CATDOG_PUBLIC", raising=False)
    return tmp_path / "models"


@pytest.fixture
def trusting(monkeypatch) -> None:
    """Classifiers are taken for what they say, without a process of their own."""
    about = {"class_names": ["cats", "dogs"], "image_size": 64, "parameters": 138, "accuracy": 0.9}
    monkeypatch.setattr(added_models, "try_model", lambda path: about)


def visit() -> AppTest:
    """The page of a new visitor."""
    app = AppTest.from_string(PAGE, default_timeout=120).run()
    assert not app.exception
    return app


def add(app: AppTest, name: str, content: bytes) -> AppTest:
    """The page after the visitor chose a file."""
    app.file_uploader[0].set_value([(name, content, "application/octet-stream")]).run()
    assert not app.exception
    return app


def listed(app: AppTest) -> list[str]:
    """What the added classifiers are called."""
    return list(json.loads(app.json[0].value).values())


def test_a_classifier_is_added_named_and_removed(opened_here, kept, small):
    app = visit()
    assert "of at most 300 MB" in texts(app)
    assert listed(app) == []
    add(app, "my *best* one.keras", small["keras"].read_bytes())
    assert listed(app) == ["my _best_ one.keras, cats or dogs, 64 pixels"]
    (path,) = kept.glob("*/*")
    assert path.read_bytes() == small["keras"].read_bytes()
    assert len(path.parent.name) == 32
    # The uploader is empty again, and nothing is judged a second time.
    assert not app.file_uploader[0].value
    button(app, r"Remove my \_best\_ one\.keras").click().run()
    assert not app.exception
    assert listed(app) == []
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_what_is_none_gets_a_sentence_and_leaves_nothing(opened_here, kept, small, name):
    app = add(visit(), name, b"nothing")
    (warning,) = [warning.value for warning in app.warning]
    assert warning.startswith(name.replace(".", r"\.") + " is neither a ")
    assert str(kept) not in warning
    assert list(kept.iterdir()) == []
    assert listed(app) == []
    assert add(app, "good.h5", small["h5"].read_bytes()).warning.len == 0


def test_a_file_that_is_too_large_is_refused_unread(kept, monkeypatch):
    monkeypatch.setattr(added_models, "MAX_BYTES", 1_000_000)
    app = add(visit(), "large.keras", bytes(2_000_000))
    assert "has 2 MB, and a classifier may have 1 MB" in texts(app)
    assert not kept.exists()


def test_a_disk_that_is_full_is_said_and_leaves_nothing(kept, trusting, monkeypatch):
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    app = add(visit(), "model.keras", b"x")
    assert "could not be kept here (No space left on device)" in texts(app).replace("\\", "")
    assert list(kept.iterdir()) == []


def test_what_interrupts_the_trial_leaves_nothing(kept, monkeypatch):
    def fails(path: Path) -> dict:
        raise Failed(f"The process that opens {path} could not be started.")

    monkeypatch.setattr(added_models, "try_model", fails)
    app = add(visit(), "model.keras", b"x")
    assert "The process that opens model.keras could not be started." in texts(app).replace("\\", "")
    monkeypatch.setattr(added_models, "try_model", lambda path: 1 / 0)
    app.file_uploader[0].set_value([("model.keras", b"x", "x")]).run()
    assert app.exception
    assert list(kept.iterdir()) == []


def test_each_visitor_sees_their_own_and_no_more_than_a_few(kept, trusting):
    app = visit()
    for number in range(3):
        add(app, f"{number}.h5", b"x")
    assert [words.split(",")[0] for words in listed(app)] == ["0.h5", "1.h5", "2.h5"]
    assert not app.file_uploader
    assert "remove one to add another" in texts(app)
    assert listed(visit()) == []
    button(app, r"Remove 1\.h5").click().run()
    assert [words.split(",")[0] for words in listed(app)] == ["0.h5", "2.h5"]
    assert app.file_uploader


def test_a_file_that_somebody_removed_is_no_longer_listed(kept, trusting):
    app = add(visit(), "model.h5", b"x")
    (path,) = kept.glob("*/*")
    path.unlink()
    app.run()
    assert not app.exception
    assert listed(app) == []


def test_what_nobody_used_for_a_day_goes_when_something_is_added(kept, trusting):
    old, other = add(visit(), "old.h5", b"x"), add(visit(), "other.h5", b"x")
    yesterday = time.time() - 90_000
    for path in kept.iterdir():
        os.utime(path, (yesterday, yesterday))
    other.run()  # this one is in use
    add(visit(), "new.h5", b"x")
    assert sorted(path.name for path in kept.glob("*/*")) == ["new.h5", "other.h5"]
    assert listed(old.run()) == []


def test_many_classes_are_named_in_part():
    assert added_models.class_words(["cats", "dogs"]) == "cats or dogs"
    assert added_models.class_words([f"{number}" for number in range(1_004)]) == "0, 1, 2, 3 or 1,000 more"


def test_the_public_can_add_nothing(kept, trusting, monkeypatch):
    app = add(visit(), "model.h5", b"x")
    monkeypatch.setenv("CATDOG_PUBLIC", "1")
    app.run()
    assert not app.exception
    assert not app.file_uploader
    assert not app.button
    assert app.json[0].value == "{}"


def test_it_brings_no_tensorflow(tmp_path):
    code = "import sys, catdog.pages.answers.added_models; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    assert run_python("-c", code, cwd=REPOSITORY).stdout.splitlines()[-1] == "False False"
