"""Visitors of an app that is open to the public: each sees what is theirs, is told what is kept, and can remove it."""

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import streamlit as st
from helpers.app_pages import PAGES, button, chosen_upload, open_page, texts, uploads
from helpers.pictures import zip_of
from helpers.places import REPOSITORY
from helpers.trained_runs import small_config
from streamlit.testing.v1 import AppTest

from catdog.exports import export_jobs
from catdog.exports.export_jobs import Wanted
from catdog.files.folders import cache_folder, photo_folders_root, uploads_folder
from catdog.files.shelves import OF_A_VISITOR, limit_bytes, list_shelves, shelves_folder
from catdog.learning.expectation import TASK, find_estimate
from catdog.pages import leaving
from catdog.pages.every_page import visitor
from catdog.photos.fingerprints import fingerprint_photos
from catdog.photos.photo_sets import photos_below
from catdog.runs import jobs, trials
from catdog.runs.run_folder import WAITING, Run, create_run, runs_folder
from catdog.runs.visitors import new_token, owner_with
from catdog.settings import BUNDLED, TrainConfig

EVERYWHERE = "Nobody else sees your photos and runs."


@pytest.fixture(autouse=True)
def public(place, monkeypatch):
    """The app is open to the public, and no process is started."""
    monkeypatch.setenv("CATDOG_PUBLIC", "1")
    monkeypatch.setattr(jobs, "launch", lambda folder: None)


def owner_of_session(app: AppTest) -> str:
    """What stands in the folders of whoever looks at this page."""
    return owner_with(app.session_state[visitor.TOKEN])


def give_run(app: AppTest, trained: Path, state: str = "done") -> Path:
    """A copy of a finished run for the visitor of a page."""
    run = create_run(TrainConfig(), owner=owner_of_session(app))
    shutil.copytree(trained, run.folder, dirs_exist_ok=True)
    Run(run.folder).set_state(state, WAITING if state == "queued" else "")
    return run.folder


@pytest.mark.parametrize("name", PAGES)
def test_every_page_says_what_is_kept_and_for_how_long(monkeypatch, name):
    monkeypatch.setenv("CATDOG_PUBLIC_HOURS", "7")
    app = open_page(name)
    assert EVERYWHERE in texts(app)
    assert "until 7 hours after your last visit" in texts(app)
    assert button(app, "Remove everything of mine")


@pytest.mark.parametrize("name", PAGES)
def test_no_page_says_so_otherwise(monkeypatch, name):
    monkeypatch.delenv("CATDOG_PUBLIC")
    app = open_page(name)
    assert EVERYWHERE not in texts(app)
    assert visitor.TOKEN not in app.session_state
    assert not (runs_folder() / ".visitors").exists()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_is_only_looked_at_leaves_nothing(name):
    open_page(name)
    assert [path.name for path in (runs_folder() / ".visitors").glob("*") if not path.name.startswith(".")] == []


def test_each_visitor_is_another_one():
    assert len({owner_of_session(open_page("runs")) for _ in range(3)}) == 3


def test_a_run_is_listed_shown_and_used_by_its_own_visitor_alone(trained):
    mine, other = open_page("runs"), open_page("runs")
    folder = give_run(mine, trained)
    nobodys = create_run(TrainConfig()).folder
    assert len(mine.run().dataframe) == 1
    assert len(mine.dataframe[0].value) == 1
    assert not other.run().dataframe
    for app, count in ((mine, 2), (other, 1)):
        app.switch_page("catdog/pages/classify.py").run()
        assert len(app.selectbox[0].options) == count
        assert nobodys.name not in str(app.selectbox[0].options)
    # Also not for whoever knows what it is called.
    for name in (folder.name, nobodys.name):
        other.switch_page("catdog/pages/train.py")
        other.session_state["shown_run"] = name
        other.run()
        assert not other.exception
        assert "Nothing has been trained here yet" in texts(other)
    mine.switch_page("catdog/pages/train.py").run()
    assert [metric.label for metric in mine.metric][:2] == ["Accuracy", "Loss"]


def test_a_classifier_that_a_browser_made_up_is_not_loaded(trained, monkeypatch):
    folder = give_run(open_page("classify"), trained)
    for name in (str(folder), str(trained), "/etc/passwd", "../x"):
        # What Streamlit gives of a text that a browser sent and no option is.
        monkeypatch.setattr(st, "selectbox", lambda *given, name=name, **options: name)
        app = open_page("classify")
        assert r"98\.8 % right on 1,000 photos" in texts(app)


def test_trials_estimates_and_exports_are_each_visitors_own(trained):
    mine, other = (owner_with(new_token()) for _ in range(2))
    config = TrainConfig()
    wanted = Wanted(BUNDLED, "keras", False)
    trials.create_trial(config, "rates", mine)
    trials.create_trial(config, TASK, mine)
    trials.create_trial(config, trials.EXPORT, mine, **{trials.EXPORT: asdict(wanted)})
    for owner, found in ((mine, True), (other, False), (None, False)):
        assert bool(trials.newest("rates", config, owner)) is found
        assert bool(find_estimate(config, owner)) is found
        assert bool(export_jobs.newest_job(wanted, owner)) is found


def test_whoever_waits_is_told_how_many_are_before_and_not_who(trained):
    mine, other = open_page("train"), open_page("train")
    jobs.rename(give_run(other, trained, "running"), "a private name")
    jobs.rename(give_run(other, trained, "queued"), "another one")
    give_run(mine, trained, "queued")
    mine.run()
    assert not mine.exception
    assert "Waiting for what is before it to end. It begins by itself." in texts(mine)
    assert "a private name" not in texts(mine)
    give_run(open_page("runs"), trained, "queued")
    # While one of the other's works, their second is behind everybody's first.
    assert "3 in line" in texts(other.run())
    assert "another one" in texts(other)


def test_uploads_are_found_again_and_are_the_visitors_own(place, drawings):
    mine, other = uploads(open_page("train")), uploads(open_page("train"))
    mine.file_uploader[0].set_value([("mine.zip", zip_of(5), "application/zip")]).run()
    assert not mine.exception
    (folder,) = uploads_folder(owner_of_session(mine)).glob("[!.]*")
    assert chosen_upload(mine)[0].value == folder
    assert not chosen_upload(uploads(other))
    # As after a reload: the same visitor, of whom the session knows nothing else.
    again = open_page("runs")
    again.session_state[visitor.TOKEN] = mine.session_state[visitor.TOKEN]
    again.switch_page("catdog/pages/train.py").run()
    assert chosen_upload(uploads(again))[0].value == folder
    # What was found out about the photos lies beside them, and nowhere else.
    assert list_shelves(shelves_folder(folder))
    assert shelves_folder(folder) == uploads_folder(owner_of_session(mine)).resolve() / OF_A_VISITOR
    assert not (cache_folder() / "activations").exists()


def test_photos_for_all_share_what_is_found_out_about_them(place, drawings, monkeypatch):
    shared = photo_folders_root() / "drawings"
    shutil.copytree(drawings, shared)
    fingerprint_photos(photos_below(shared)[:3])
    assert list_shelves(cache_folder() / "activations")
    monkeypatch.setenv("CATDOG_PUBLIC_KEPT_MEGABYTES", "7")
    assert limit_bytes(cache_folder() / "activations") == limit_bytes()
    assert limit_bytes(uploads_folder("a") / OF_A_VISITOR) == 7_000_000


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("UPLOAD_MEGABYTES", "1", "and an upload may have 1 MB: choose fewer or smaller photos."),
        ("PHOTOS", "4", "holds more than 8 files"),
    ],
)
def test_an_upload_that_is_too_large_gets_a_sentence_and_leaves_nothing(monkeypatch, limit, value, words):
    monkeypatch.setenv(f"CATDOG_PUBLIC_{limit}", value)
    app = uploads(open_page("train"))
    content = zip_of(5) + (bytes(1_500_000) if limit == "UPLOAD_MEGABYTES" else b"")
    app.file_uploader[0].set_value([("mine.zip", content, "application/zip")]).run()
    assert not app.exception
    assert words in texts(app).replace("\\", "")
    assert not app.file_uploader[0].value
    assert not chosen_upload(app)
    assert [path for path in uploads_folder(owner_of_session(app)).glob("*") if path.name != OF_A_VISITOR] == []


def test_so_many_uploads_are_kept(monkeypatch):
    monkeypatch.setenv("CATDOG_PUBLIC_UPLOADS", "1")
    app = uploads(open_page("train"))
    app.file_uploader[0].set_value([("mine.zip", zip_of(5), "application/zip")]).run()
    assert not app.file_uploader
    assert "You have 1 upload, as many as are kept: remove one to add another." in texts(app)
    button(app, "Remove upload").click().run()
    assert app.file_uploader


@pytest.mark.parametrize(("limit", "value"), [("PHOTOS_AT_ONCE", "2"), ("MEGABYTES_AT_ONCE", "1")])
def test_too_many_photos_to_classify_are_let_go(monkeypatch, limit, value):
    monkeypatch.setenv(f"CATDOG_PUBLIC_{limit}", value)
    app = open_page("classify")
    content = bytes(400_000)
    app.file_uploader[0].set_value([(f"{number}.jpg", content, "image/jpeg") for number in range(3)]).run()
    assert not app.exception
    assert not app.file_uploader[0].value
    (warning,) = app.warning
    assert warning.value.startswith("At most ")
    assert warning.value.endswith(": choose fewer.")


def test_a_visitor_removes_everything_and_is_a_new_one(trained, monkeypatch):
    # AppTest has no dialogs that stay open; a browser test goes through this one.
    monkeypatch.setattr(leaving, "ask_to_forget", leaving.begin_anew)
    mine, other = open_page("runs"), open_page("runs")
    folders = [give_run(app, trained) for app in (mine, other)]
    uploads(mine.switch_page("catdog/pages/train.py").run())
    mine.file_uploader[0].set_value([("mine.zip", zip_of(5), "application/zip")]).run()
    before = owner_of_session(mine)
    assert uploads_folder(before).is_dir()
    button(mine, "Remove everything of mine").click().run()
    assert not mine.exception
    assert owner_of_session(mine) != before
    assert [folder.exists() for folder in folders] == [False, True]
    assert not uploads_folder(before).exists()
    assert "Nothing has been trained here yet" in texts(mine)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("server.enableCORS", False),
        ("server.enableXsrfProtection", False),
        ("server.enableStaticServing", True),
        ("server.enableAgentApi", True),
    ],
)
def test_the_app_does_not_open_where_streamlits_protection_is_off(monkeypatch, option, value):
    ask = st.get_option
    monkeypatch.setattr(st, "get_option", lambda name: value if name == option else ask(name))
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=120).run()
    assert not app.exception
    (error,) = app.error
    assert f"{option}={str(not value).lower()}" in error.value.replace("\\", "")
    assert not app.subheader


def test_work_of_a_visitor_is_started_in_their_name(drawings, monkeypatch):
    shutil.copytree(drawings, photo_folders_root() / "drawings")
    app = open_page("train")
    app.selectbox(key="backbone").set_value("starter").run()
    button(app, "Train").click().run()
    button(app, "Find a rate").click().run()
    assert not app.exception
    owner = owner_of_session(app)
    assert [len(jobs.list_jobs(owner)), len(trials.found_trials(owner))] == [1, 1]
    # A third is one too many.
    button(app, "Estimate time and memory").click().run()
    assert "Of yours 2 are at work or waiting already" in texts(app)


def test_a_run_of_photos_that_are_anothers_is_not_started(drawings):
    other = uploads_folder(owner_with(new_token())) / "x-photos"
    shutil.copytree(drawings, other)
    with pytest.raises(Exception, match="reads no folder of its server"):
        jobs.start(small_config(other, backbone="starter"), owner_with(new_token()))
