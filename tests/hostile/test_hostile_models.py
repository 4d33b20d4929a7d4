"""No classifier's file from elsewhere does anything, or costs more than is stated, before it is refused."""

import sys

import pytest

from hostile.model_cases import CASES
from hostile.reliability import case_ids, check, tried

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into files in a process limited as on Linux")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return tried("model_cases", tmp_path_factory.mktemp("models") / "empty")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=case_ids(CASES))
def test_a_hostile_classifier_is_refused_within_its_memory(case, found):
    check(case, found)
