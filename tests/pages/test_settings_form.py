"""The training page's settings: presets, the picture of the network, and what both say of what was chosen."""

import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from helpers.app_pages import button, open_page, texts
from helpers.places import REPOSITORY
from streamlit.testing.v1 import AppTest

from catdog.__main__ import main
from catdog.figures import duration
from catdog.learning.expectation import Expectation, expected
from catdog.network.backbone import STARTER_FILE
from catdog.network.backbone_files import IMAGENET_PARAMETERS, find_parameters
from catdog.pages.training.network_picture import describe, network_picture, say_what_learns
from catdog.presets import PRESETS
from catdog.runs import jobs, trials
from catdog.runs.run_folder import Run, read_config
from catdog.settings import FREEZE_DEPTHS


def picture(app: AppTest) -> ElementTree.Element:
    """The network that the page shows."""
    (found,) = [each.value for each in app.markdown if each.value.startswith("<svg")]
    return ElementTree.fromstring(found)


def words_of(svg: ElementTree.Element) -> list[str]:
    """The texts within a picture."""
    return [each.text for each in svg.iter("text")]


def shown(app: AppTest, name: str):
    """The value of a setting that the form shows."""
    (found,) = [each for each in [*app.number_input, *app.selectbox, *app.select_slider] if each.key == name]
    return found.value


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fills_the_form_and_is_left_as_soon_as_a_value_changes(place, name):
    app = open_page("train")
    assert app.radio(key="preset").value == "quick"
    app.number_input(key="seed").set_value(5).run()
    app.radio(key="preset").set_value(name).run()
    assert not app.exception
    for key, value in PRESETS[name].settings.items():
        assert shown(app, key) == value, key
    assert shown(app, "seed") == 5
    assert PRESETS[name].explanation in texts(app)
    app.number_input(key="head_epochs").set_value(77).run()
    assert app.radio(key="preset").value is None
    assert "Your own settings" in texts(app)
    app.radio(key="preset").set_value(name).run()
    assert shown(app, "head_epochs") == PRESETS[name].settings["head_epochs"]


def test_settings_that_are_a_presets_are_called_so(place):
    app = open_page("train")
    app.number_input(key="fine_tune_epochs").set_value(5).run()
    assert app.radio(key="preset").value == "recipe"
    app.switch_page("catdog/pages/how_it_works.py").run()
    app.switch_page("catdog/pages/train.py").run()
    assert app.radio(key="preset").value == "recipe"


def test_the_picture_follows_the_freeze_depth_and_the_epochs(place):
    app = open_page("train")
    app.selectbox(key="backbone").set_value("starter").run()
    # Nothing is fine-tuned, so the depth makes no difference.
    assert app.select_slider(key="freeze_depth").disabled
    assert words_of(picture(app)).count("frozen") == 5
    assert "No fine-tuning: 2,050 of 5.9 million parameters learn" in texts(app)
    assert "matters only where" in app.select_slider(key="freeze_depth").help
    app.number_input(key="fine_tune_epochs").set_value(1).run()
    for frozen, depth in enumerate(FREEZE_DEPTHS):
        app.select_slider(key="freeze_depth").set_value(depth).run()
        assert not app.exception
        states = [text for text in words_of(picture(app)) if text in ("frozen", "learns")]
        assert states == ["frozen"] * frozen + ["learns"] * (6 - frozen)
        assert "No fine-tuning" not in texts(app)
        assert "matters only where" not in app.select_slider(key="freeze_depth").help
    app.selectbox(key="backbone").set_value("imagenet")
    app.select_slider(key="freeze_depth").set_value("conv4").run()
    assert "15.0 million of 23.6 million parameters learn" in texts(app)


def test_a_damaged_backbone_file_leaves_the_page_as_it_is(place):
    damaged = place / "damaged.keras"
    damaged.write_bytes(STARTER_FILE.read_bytes()[:100_000])
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=120)
    app.session_state["kept_settings"] = {"backbone": str(damaged), "fine_tune_epochs": 1}
    app.run()
    assert not app.exception
    assert words_of(picture(app)).count("frozen") == 4
    assert "parameters" not in texts(app)


def test_the_picture_is_told_in_words_too():
    for frozen in range(6):
        svg = ElementTree.fromstring(network_picture(frozen, IMAGENET_PARAMETERS, 2))
        assert svg.get("role") == "img"
        assert svg.get("aria-label") == describe(frozen)
        # Frozen ones are filled, those that learn are not.
        fills = [float(each.get("fill-opacity")) > 0 for each in svg.iter("rect")]
        assert fills == [True] * frozen + [False] * (6 - frozen)
    assert "head alone" in describe(5)
    assert "conv1 to conv4 are frozen, conv5 learns" in describe(4)
    assert "conv1 is frozen, conv2 to conv5 learn" in describe(1)
    assert "nothing is frozen, conv1 to conv5 learn" in describe(0)


def test_each_block_says_how_much_there_is_to_learn():
    words = words_of(ElementTree.fromstring(network_picture(4, IMAGENET_PARAMETERS, 2)))
    assert words[1::3] == ["9,472", "214 k", "1.2 M", "7.1 M", "15.0 M", "4,098"]
    assert len(words_of(ElementTree.fromstring(network_picture(4, None, 2)))) == 12
    starter = find_parameters("starter")
    assert say_what_learns(4, 1, starter, 3) == "3.7 million of 5.9 million parameters learn."
    assert say_what_learns(4, 1, None, 3) == ""


def test_time_and_memory_are_shown_once_they_were_measured(place, drawings, monkeypatch):
    shutil.copytree(drawings, place / "data")
    launched = []
    monkeypatch.setattr(jobs, "launch", launched.append)
    app = open_page("train")
    for name, value in {"image_size": 32, "batch_size": 8}.items():
        app.number_input(key=name).set_value(value)
    app.selectbox(key="backbone").set_value("starter").run()
    button(app, "Estimate time and memory").click().run()
    assert not app.exception
    (folder,) = launched
    assert trials.task_of(folder) == "estimate"
    assert "Measuring" in texts(app) or "queued" in texts(app)
    assert main(["work", str(folder)]) == 0
    app.run()
    assert not app.exception
    assert f"About {duration(expected_now(folder, app).seconds)}" in texts(app)
    # Other epochs are reckoned from the same measurement; another image size has to be measured.
    app.number_input(key="head_epochs").set_value(1000).run()
    assert f"About {duration(expected_now(folder, app).seconds)}" in texts(app)
    app.number_input(key="image_size").set_value(64).run()
    assert "About" not in texts(app)
    assert button(app, "Estimate time and memory")


def expected_now(folder: Path, app: AppTest) -> Expectation:
    """What the measurement in a trial's folder says of the form's settings."""
    config = replace(read_config(folder), head_epochs=shown(app, "head_epochs"))
    return expected(trials.answer_of(folder)["measurement"], config)


def test_an_estimate_that_failed_says_why_and_can_be_asked_for_again(place, drawings, monkeypatch):
    shutil.copytree(drawings, place / "data")
    monkeypatch.setattr(
        jobs, "launch", lambda folder: Run(folder).set_state("failed", "There was *not* enough memory.")
    )
    app = open_page("train")
    button(app, "Estimate time and memory").click().run()
    assert r"There was \*not\* enough memory" in texts(app)
    assert button(app, "Estimate time and memory")
