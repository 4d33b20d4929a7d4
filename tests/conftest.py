"""What all tests may use."""

import gc
import sys

import pytest
from helpers.app_pages import place
from helpers.trained_runs import Tiny, drawings, tiny_run, trained
from hypothesis import settings
from streamlit.runtime.scriptrunner import script_runner

__all__ = ["drawings", "little_to_look_through", "own_cache", "pages_leave_keras_alone", "place", "tiny_run", "trained"]

# The same cases on every machine, however slow it is.
settings.register_profile("quick", deadline=None, derandomize=True, database=None)
settings.load_profile("quick")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or fills the cache of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATDOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        Tiny.path = tmp_path_factory.mktemp("backbone") / "tiny.keras"
        yield


@pytest.fixture(scope="session", autouse=True)
def pages_leave_keras_alone():
    """Pages opened without a browser leave what Keras holds as it is: to clear it takes a second after each look."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script_runner, "_clean_problem_modules", lambda: None)
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The tests of a file run in one process, in which what they share is made once."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


@pytest.fixture(scope="module", autouse=True)
def little_to_look_through():
    """What a module's tests have left is not looked through for garbage again: runs do that, and it takes a second."""
    yield
    if "keras" in sys.modules:
        gc.collect()
        gc.freeze()
