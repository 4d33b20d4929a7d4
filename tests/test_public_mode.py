"""What a visitor may have and ask for where the app is open to the public: in the form, at the start, at work."""

import json
import shutil
import threading
import time
from dataclasses import fields

import pytest
from helpers import trained_runs
from helpers.app_pages import button, open_page, texts
from helpers.places import REPOSITORY
from helpers.processes import run_python

from catdog.errors import Refused
from catdog.files.folders import allowed_folder, is_allowed, may_see_photos, photo_folders_root, uploads_folder
from catdog.public_mode import (
    Limits,
    freeze_depths,
    is_public,
    limits,
    most,
    require_few_photos,
    require_within,
    variable,
    within,
)
from catdog.runs import admission, jobs, trials
from catdog.runs.events import read_events
from catdog.runs.run_folder import Run, create_run, read_status
from catdog.runs.time_limits import in_time
from catdog.runs.visitors import new_token, owner_with
from catdog.settings import FREEZE_DEPTHS, SETTINGS, TrainConfig

OTHER = owner_with(new_token())


def small_config(data, **settings) -> TrainConfig:
    """The settings of a run of seconds that a visitor may ask for, too."""
    return trained_runs.small_config(data, **{"backbone": "starter", **settings})


@pytest.fixture
def public(place, monkeypatch) -> str:
    """The app is open to the public; who one visitor is."""
    monkeypatch.setenv("CATDOG_PUBLIC", "1")
    return owner_with(new_token())


@pytest.fixture
def launched(monkeypatch) -> list:
    """The folders whose processes would have been started."""
    folders: list = []
    monkeypatch.setattr(jobs, "launch", folders.append)
    return folders


def copied(drawings, place):
    """A copy of the drawings that may be moved."""
    return shutil.copytree(drawings, place / "copied")


@pytest.fixture
def photos(public, place, drawings):
    """The drawings where all visitors find them."""
    folder = photo_folders_root() / "drawings"
    folder.parent.mkdir(parents=True)
    copied(drawings, place).rename(folder)
    return folder


def drawings_of(drawings, owner: str):
    """Photos that a visitor uploaded."""
    folder = uploads_folder(owner) / "mine"
    folder.parent.mkdir(parents=True)
    folder.symlink_to(drawings, target_is_directory=True)
    return folder


@pytest.mark.parametrize("value", ["", "0", "yes", "2"])
def test_only_one_value_opens_the_app(monkeypatch, value):
    monkeypatch.setenv("CATDOG_PUBLIC", value)
    assert not is_public()
    assert freeze_depths() == FREEZE_DEPTHS
    assert most("head_epochs") == SETTINGS["head_epochs"].metadata["high"]
    assert within({"head_epochs": 1000, "freeze_depth": "none"}) == {"head_epochs": 1000, "freeze_depth": "none"}


def test_each_limit_is_set_by_a_variable_of_its_own(monkeypatch):
    for each in fields(Limits):
        monkeypatch.setenv(variable(each.name), "conv2" if each.type is str else "7")
    assert limits() == Limits(**{each.name: "conv2" if each.type is str else 7 for each in fields(Limits)})
    assert variable("photos") == "CATDOG_PUBLIC_PHOTOS"


@pytest.mark.parametrize("value", ["", "0", "-1", "many", "1.5", "²", "conv9"])
def test_what_is_no_limit_leaves_the_default(monkeypatch, value):
    for each in fields(Limits):
        monkeypatch.setenv(variable(each.name), value)
    assert limits() == Limits()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"head_epochs": 31}, "Head epochs may be at most 30 where the app is open to the public, not 31."),
        ({"fine_tune_epochs": 6}, "Fine-tuning epochs may be at most 5 where the app is open to the public, not 6."),
        ({"image_size": 256}, "Image size may be at most 224 where the app is open to the public, not 256."),
        ({"batch_size": 64}, "Batch size may be at most 32 where the app is open to the public, not 64."),
        (
            {"fine_tune_epochs": 1, "freeze_depth": "conv3"},
            "Freeze depth may be conv4 or conv5 where the app is open to the public, not conv3.",
        ),
        (
            {"backbone": "/etc/passwd"},
            "The backbone may be auto, imagenet, starter where the app is open to the public, not '/etc/passwd'.",
        ),
    ],
)
def test_settings_beyond_a_limit_are_refused_in_one_sentence(public, settings, sentence):
    with pytest.raises(Refused) as raised:
        require_within(TrainConfig(**settings))
    assert str(raised.value) == sentence


def test_the_default_settings_and_a_depth_that_does_not_matter_are_within_the_limits(public):
    require_within(TrainConfig())
    require_within(TrainConfig(freeze_depth="none", fine_tune_epochs=0))
    require_within(TrainConfig(**within({"head_epochs": 900, "fine_tune_epochs": 9, "freeze_depth": "none"})))
    require_few_photos(3000)
    with pytest.raises(Refused, match=r"^These are 3,001 photos, and a set may have 3,000 .*: choose fewer\.$"):
        require_few_photos(3001)


def test_no_folder_of_the_server_is_read(public, place, monkeypatch):
    monkeypatch.setenv("CATDOG_FOLDERS", str(place))
    for text in (str(place), "data", ".", "/", str(uploads_folder(OTHER))):
        with pytest.raises(Refused, match="reads no folder of its server"):
            allowed_folder(text)
    assert not is_allowed(place)


def test_a_visitor_sees_the_photos_that_are_for_all_and_their_own(public, place):
    root = photo_folders_root()
    for name in ("tutorial", "drawings"):
        assert may_see_photos(root / name, public)
    assert may_see_photos(uploads_folder(public) / "mine", public)
    for folder in (
        uploads_folder(OTHER) / "mine",
        uploads_folder(),
        uploads_folder(public) / ".." / OTHER / "mine",
        place / "data",
        root.parent,
    ):
        assert not may_see_photos(folder, public), folder
    assert not may_see_photos(uploads_folder(public) / "mine", None)


def test_a_link_among_a_visitors_photos_leads_nowhere(public, place, drawings):
    link = drawings_of(drawings, public)
    assert not may_see_photos(link, public)


def test_form_and_start_keep_to_the_limits(photos, place, monkeypatch, launched):
    monkeypatch.setenv("CATDOG_PUBLIC_HEAD_EPOCHS", "4")
    monkeypatch.setenv("CATDOG_PUBLIC_IMAGE_SIZE", "96")
    (place / "data").mkdir()
    app = open_page("train")
    assert list(app.segmented_control(key="photo_source").options) == ["Upload", "Tutorial", "Drawings"]
    assert not [each for each in app.selectbox if each.key == "photo_folder"]
    assert app.number_input(key="head_epochs").max == 4
    # A preset that goes beyond them comes as close as it may.
    assert (app.number_input(key="head_epochs").value, app.number_input(key="image_size").value) == (4, 96)
    app.radio(key="preset").set_value("best").run()
    assert not app.exception
    assert app.number_input(key="head_epochs").value == 4
    assert "Here it is at most 4." in app.number_input(key="head_epochs").help
    assert list(app.select_slider(key="freeze_depth").options) == ["conv1 to conv4", "All convolutions"]
    app.selectbox(key="backbone").set_value("starter").run()
    button(app, "Train").click().run()
    assert not app.exception
    (folder,) = launched
    settings = json.loads((folder / "config.json").read_text())["settings"]
    assert (settings["head_epochs"], settings["image_size"]) == (4, 96)


def test_what_a_browser_made_up_is_refused_at_the_start(public, photos, place, drawings, launched):
    elsewhere = copied(drawings, place)
    for refused in (
        small_config(photos, head_epochs=1000),
        small_config(elsewhere),
        small_config(elsewhere, backbone=str(place / "x.keras")),
    ):
        with pytest.raises(Refused):
            jobs.start(refused, public)
        with pytest.raises(Refused):
            trials.start(refused, "rates", public)
    assert launched == []
    assert jobs.list_jobs(public) == trials.found_trials(public) == []


def test_too_many_photos_are_refused_on_the_page_and_at_the_start(public, photos, monkeypatch, launched):
    monkeypatch.setenv("CATDOG_PUBLIC_PHOTOS", "63")
    app = open_page("train")
    assert "These are 64 photos, and a set may have 63" in texts(app)
    assert button(app, "Train").disabled
    with pytest.raises(Refused, match="These are 64 photos"):
        jobs.start(small_config(photos), public)


def test_a_visitor_has_so_many_at_work_and_the_line_is_so_long(public, photos, monkeypatch, launched):
    monkeypatch.setenv("CATDOG_PUBLIC_AT_WORK", "2")
    monkeypatch.setenv("CATDOG_PUBLIC_LINE", "3")
    jobs.start(small_config(photos), public)
    trials.start(small_config(photos), "rates", public)
    for start in (lambda: jobs.start(small_config(photos), public), lambda: jobs.resume(launched[0])):
        with pytest.raises(Refused, match="Of yours 2 are at work or waiting already"):
            start()
    jobs.start(small_config(photos), OTHER)
    with pytest.raises(Refused, match="The line is full: 3 are at work or waiting"):
        jobs.start(small_config(photos), owner_with(new_token()))
    # Nobody's run, as the server's owner starts on the command line, waits with them.
    assert jobs.start(small_config(photos)) in launched


def test_so_many_runs_of_a_visitor_are_kept(public, photos, monkeypatch, launched):
    monkeypatch.setenv("CATDOG_PUBLIC_RUNS", "1")
    run = jobs.start(small_config(photos), public)
    Run(run).set_state("done")
    with pytest.raises(Refused, match="You have 1 runs, as many as are kept"):
        jobs.start(small_config(photos), public)
    trials.start(small_config(photos), "rates", public)
    jobs.delete(run)
    jobs.start(small_config(photos), public)


def test_nothing_begins_on_a_full_disk(public, photos, monkeypatch, launched):
    monkeypatch.setattr(admission, "SPARE_BYTES", 10**18)
    with pytest.raises(Refused, match="disk of this server is almost full"):
        jobs.start(small_config(photos), public)
    assert launched == []


def test_two_at_once_do_not_take_the_same_place(public, photos, monkeypatch, launched):
    monkeypatch.setenv("CATDOG_PUBLIC_LINE", "1")
    outcomes = []

    def start(owner: str) -> None:
        try:
            jobs.start(small_config(photos), owner)
            outcomes.append("began")
        except Refused:
            outcomes.append("refused")

    threads = [threading.Thread(target=start, args=(owner_with(new_token()),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(outcomes) == ["began", *["refused"] * 5]


def work(folder, **environment: str):
    """The process of a run, to its end."""
    return run_python("-m", "catdog", "work", str(folder), cwd=folder.parent, CATDOG_PUBLIC="1", **environment)


def test_the_process_itself_refuses_what_is_beyond_the_limits(public, photos, place):
    run = create_run(small_config(photos, head_epochs=5), owner=public)
    done = work(run.folder, CATDOG_PUBLIC_HEAD_EPOCHS="4")
    assert done.returncode == 2
    status = read_status(run.folder)
    assert (status["state"], status["message"]) == (
        "failed",
        "Head epochs may be at most 4 where the app is open to the public, not 5.",
    )
    elsewhere = copied(photos, place)
    run = create_run(small_config(elsewhere), owner=public)
    assert work(run.folder).returncode == 2
    assert "reads no folder of its server" in read_status(run.folder)["message"]


@pytest.mark.slow
def test_a_run_ends_when_its_time_is_over_and_keeps_its_best_epoch(public, photos):
    run = create_run(small_config(photos, head_epochs=1000, batch_size=1), owner=public)
    # Many times what an epoch takes, TensorFlow included, and a part of what all of them would.
    done = work(run.folder, CATDOG_PUBLIC_HEAD_EPOCHS="1000", CATDOG_PUBLIC_SECONDS="40")
    assert done.returncode == 130, done.stderr
    notes = [event["message"] for event in read_events(run.folder)[0] if event["event"] == "note"]
    assert notes == ["It may take 40 s where the app is open to the public, and has taken that."]
    assert read_status(run.folder)["message"] == "Stopped; the best epoch was kept."
    assert jobs.find_job(run.folder).has_classifier


def test_the_time_stops_a_run_as_a_person_would(tmp_path, monkeypatch):
    run = create_run(TrainConfig(), tmp_path / "run")
    monkeypatch.setattr("catdog.runs.time_limits.limits", lambda: Limits(seconds=0))
    with in_time(run):
        assert run.asked_to_stop.wait(timeout=60)
    (note,) = read_events(run.folder)[0]
    assert note["message"].startswith("It may take 1 s where")


def test_a_process_that_does_not_heed_the_time_ends_at_once(tmp_path):
    run = create_run(TrainConfig(), tmp_path / "run")
    code = (
        "import sys, threading; from pathlib import Path; from catdog.runs import time_limits\n"
        "from catdog.public_mode import Limits; from catdog.runs.run_folder import Run\n"
        "time_limits.limits, time_limits.GRACE_SECONDS = lambda: Limits(seconds=0), 0.1\n"
        "with time_limits.in_time(Run(Path(sys.argv[1]))): threading.Event().wait(600)\n"
    )
    assert run_python("-c", code, str(run.folder), cwd=tmp_path).returncode == 1
    assert read_status(run.folder)["state"] == "failed"
    assert "has taken that" in read_status(run.folder)["message"]


def test_whoever_ends_in_time_is_left_alone(tmp_path):
    run = create_run(TrainConfig(), tmp_path / "run")
    before = threading.active_count()
    with in_time(run):
        assert threading.active_count() == before + 2
    deadline = time.monotonic() + 30
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not run.stop_requested()


def test_an_owned_run_has_a_name_that_nobody_guesses(public, photos, launched):
    first, second = jobs.start(small_config(photos), public), jobs.start(small_config(photos), public)
    suffixes = {folder.name.split("-")[3] for folder in (first, second)}
    assert len(suffixes) == 2
    assert all(len(bytes.fromhex(suffix)) == 16 for suffix in suffixes)
    assert first.name < second.name


def test_the_document_lists_every_limit():
    document = (REPOSITORY / "docs" / "sharing.md").read_text(encoding="utf-8")
    table = document.partition("<!-- limits -->\n")[2].partition("<!-- end -->")[0].splitlines()[2:]
    limits = fields(Limits)
    assert table == [f"| `{variable(each.name)}` | {each.default} | {each.metadata['what']} |" for each in limits]
