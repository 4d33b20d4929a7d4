"""No setting goes beyond its range, from wherever it comes."""

import pytest

from hostile.reliability import case_ids, check, tried
from hostile.setting_cases import CASES


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return tried("setting_cases", tmp_path_factory.mktemp("settings") / "empty")


@pytest.mark.parametrize("case", CASES, ids=case_ids(CASES))
def test_a_setting_out_of_its_range_is_refused(case, found):
    check(case, found)
