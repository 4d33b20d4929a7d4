"""No archive writes outside its folder, takes more than is stated, or leaves anything when it is refused."""

import pytest

from hostile.archive_cases import CASES
from hostile.reliability import case_ids, check, tried


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return tried("archive_cases", tmp_path_factory.mktemp("archives") / "empty")


@pytest.mark.parametrize("case", CASES, ids=case_ids(CASES))
def test_a_hostile_archive_is_refused_or_unpacked_within_its_memory(case, found):
    check(case, found)
