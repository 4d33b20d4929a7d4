"""Whatever is in a photo's file, an archive or a setting: it is read, or refused with a sentence.

By default a few hundred cases, the same each time; a few thousand with those that are `slow`.
`CATDOG_FUZZ_MINUTES=60 python -m pytest -m fuzz -s` looks for an hour among others, and says how many it tried.
"""

import os
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from catdog.photos import reading
from hostile import fuzzing
from hostile.reliability import peak_mebibytes

# What is tried, the test of it, and its share of the time.
KINDS = {
    "photos": (fuzzing.PHOTOS, fuzzing.check_photo, 0.6),
    "archives": (fuzzing.archives(), fuzzing.check_archive, 0.25),
    "settings": (fuzzing.SETTINGS_GIVEN, fuzzing.check_settings, 0.15),
}
# Pillow warns of what it passes over; the app lets it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore:Duplicate name:UserWarning")
very_few = settings(max_examples=100, suppress_health_check=list(HealthCheck))
quickly = settings(very_few, max_examples=500)
very_quickly = settings(quickly, max_examples=1_500)
A_ROUND = 2_000  # cases, between two looks at the clock


@pytest.fixture(autouse=True)
def small_limits(monkeypatch, tmp_path):
    """Less is read than usual, so that a case takes little, and whatever is left behind is found."""
    monkeypatch.setattr(reading, "MAX_PIXELS", 1_000_000)
    monkeypatch.setattr(reading, "MAX_JPEG_PIXELS", 2_500_000)
    monkeypatch.setattr(fuzzing.tempfile, "tempdir", str(tmp_path))
    fuzzing.BEFORE[0] = peak_mebibytes(start_anew=True)
    yield
    assert list(tmp_path.iterdir()) == []


@very_few
@given(fuzzing.PHOTOS)
def test_any_file_is_a_photo_or_refused(content):
    fuzzing.check_photo(content)


@pytest.mark.slow
@very_quickly
@given(fuzzing.PHOTOS)
def test_any_of_many_files_is_a_photo_or_refused(content):
    fuzzing.check_photo(content)


@pytest.mark.parametrize("content", fuzzing.FILES, ids=range(len(fuzzing.FILES)))
def test_the_files_that_are_damaged_are_photos_at_first(content):
    assert reading.read_photo(content, 16).shape == (16, 16, 3)
    assert fuzzing.damaged(content, [(5, 4, content[5:9])], None) == content
    if content.startswith(b"\x89PNG"):
        assert fuzzing.with_right_sums(content) == content


@very_few
@given(fuzzing.archives())
def test_any_archive_is_unpacked_or_refused(content):
    fuzzing.check_archive(content)


@pytest.mark.slow
@quickly
@given(fuzzing.archives())
def test_any_of_many_archives_is_unpacked_or_refused(content):
    fuzzing.check_archive(content)


@very_few
@given(fuzzing.SETTINGS_GIVEN)
def test_any_setting_is_in_its_range_or_refused(given):
    fuzzing.check_settings(given)


@pytest.mark.slow
@quickly
@given(fuzzing.SETTINGS_GIVEN)
def test_any_of_many_settings_is_in_its_range_or_refused(given):
    fuzzing.check_settings(given)


def look_for(seconds: float, strategy: st.SearchStrategy, check: Callable) -> int:
    """How many cases were tried in that time, each round others; raises what the first wrong one does."""
    tried, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:

        @seed(int.from_bytes(os.urandom(8), "big"))
        @settings(
            max_examples=A_ROUND,
            derandomize=False,
            print_blob=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def round_of_cases(case: object) -> None:
            nonlocal tried
            tried += 1
            check(case)

        round_of_cases()
    return tried


@pytest.mark.fuzz
@pytest.mark.parametrize("name", KINDS)
def test_for_as_long_as_was_asked_for(name):
    strategy, check, share = KINDS[name]
    minutes = share * float(os.environ.get("CATDOG_FUZZ_MINUTES", "3"))
    tried = look_for(60 * minutes, strategy, check)
    assert tried > 0
    print(f"\n{name}: {tried:,} cases in {minutes:.1f} minutes, nothing wrong.")


def test_the_search_finds_what_is_wrong():
    """A reader that fails at one file in some hundred."""

    def check(content: bytes) -> None:
        assert not (content.startswith(b"GIF8") and content.endswith(b"\0"))

    with pytest.raises(AssertionError):
        look_for(60, fuzzing.bytes_like_photos(), check)
