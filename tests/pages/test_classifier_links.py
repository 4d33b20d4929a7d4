"""A link that leads to a classifier: it names a run, and nothing else."""

import os
import shutil

import pytest
from helpers.app_pages import open_page, texts
from helpers.pictures import draw_noise, encoded
from helpers.places import REPOSITORY
from streamlit.testing.v1 import AppTest

from catdog.pages.every_page.words import plain

OLDER, NEWER = "20260101-000000-older", "20260102-000000-newer"


@pytest.fixture
def two_runs(place, trained):
    """Two finished runs."""
    for name in (OLDER, NEWER):
        shutil.copytree(trained, place / "runs" / name)
    return place / "runs"


def chosen(app: AppTest) -> str:
    """The classifier that the page uses."""
    return app.selectbox[0].value


def follow(link: str) -> AppTest:
    """The classify page, opened by an address that ends like this."""
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=60).switch_page(
        "catdog/pages/classify.py"
    )
    app.query_params["run"] = link
    app.run()
    assert not app.exception
    return app


def test_a_link_leads_to_its_run(two_runs):
    assert chosen(open_page("classify")).endswith(NEWER)
    for name in (OLDER, NEWER):
        app = follow(name)
        assert chosen(app).endswith(name)
        assert app.query_params["run"] == name
        assert not app.warning
    assert chosen(follow("starter")) == "starter"


def test_the_address_leads_to_what_was_chosen(two_runs):
    app = open_page("classify")
    assert "run" not in app.query_params
    app.selectbox[0].set_value(str(two_runs / OLDER)).run()
    assert app.query_params["run"] == OLDER
    assert chosen(app.run()).endswith(OLDER)
    app.selectbox[0].set_value("starter").run()
    assert app.query_params["run"] == "starter"
    app.selectbox[0].set_value(str(two_runs / NEWER)).run()
    assert chosen(app.run()).endswith(NEWER)


@pytest.mark.parametrize("link", ["gone", "../runs", "/etc", f"../runs/{OLDER}", "", "<b>", "x" * 10_000, "\x00"])
def test_a_link_to_no_run_says_so_and_the_page_works(two_runs, link):
    app = follow(link)
    assert "There is no classifier of a run" in texts(app)
    assert "<b>" not in texts(app)
    assert chosen(app).endswith(NEWER)


def test_runs_of_the_same_name_are_told_apart(two_runs):
    first, second, bundled = open_page("classify").selectbox[0].options
    assert second == f"{first} (2)"
    assert bundled == "Bundled classifier"


def test_from_a_run_the_way_leads_to_its_classifier(two_runs):
    links = [element.proto for element in open_page("train").get("page_link")]
    assert [link.query_string for link in links if link.label == "Classify photos with it"] == [f"run={NEWER}"]


@pytest.fixture
def shown(trained, tmp_path, monkeypatch):
    """A run that lies elsewhere and is shown to every visitor of an app that is open to the public."""
    folder = tmp_path / "shown" / "pets"
    shutil.copytree(trained, folder)
    monkeypatch.setenv("CATDOG_SHOW", str(folder))
    monkeypatch.setenv("CATDOG_PUBLIC", "1")
    return folder


def test_what_is_shown_to_all_is_for_everybody_to_classify_with_and_no_more(place, shown, tmp_path):
    app = open_page("classify")
    assert app.selectbox[0].options == ["pets", "Bundled classifier"]
    assert chosen(app) == str(shown)
    assert chosen(follow("pets")) == str(shown)
    app.file_uploader[0].set_value([("cat.png", encoded(draw_noise(40, 30), "PNG"), "image/png")]).run()
    assert not app.exception
    assert [answer.label in ("cats", "dogs") for answer in app.session_state["answers"].values()] == [True]
    assert "Hand it on" not in [each.label for each in app.expander]
    assert "Hand it on" in [each.label for each in follow("starter").expander]
    for page in ("train", "runs"):
        assert "pets" not in texts(open_page(page))


def test_what_is_shown_to_all_in_the_runs_folder_is_nobody_s_to_hand_on(two_runs, monkeypatch):
    monkeypatch.setenv("CATDOG_SHOW", f"{two_runs / OLDER}{os.pathsep}{two_runs / NEWER}")
    monkeypatch.setenv("CATDOG_PUBLIC", "1")
    app = follow(OLDER)
    assert len(app.selectbox[0].options) == 3
    assert chosen(app).endswith(OLDER)
    assert "Hand it on" not in [each.label for each in app.expander]


def test_a_folder_without_a_classifier_that_is_to_be_shown_is_named(place, shown, tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_SHOW", f"{tmp_path / 'gone'}{os.pathsep}{shown}")
    app = open_page("classify")
    (warning,) = app.warning
    assert warning.value == plain("CATDOG_SHOW lists gone, which is no run's folder with a classifier.")
    assert app.selectbox[0].options == ["pets", "Bundled classifier"]
