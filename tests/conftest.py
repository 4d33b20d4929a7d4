"""What all tests may use."""

import pytest
from trained import drawings, trained

__all__ = ["drawings", "own_cache", "trained"]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or fills the cache of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATDOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
