"""No archive writes outside its folder, takes more than is stated, or leaves anything when it is refused."""

import pytest
from hostile_archives import CASES
from reliability import case_ids, check, tried


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return tried("hostile_archives.py", tmp_path_factory.mktemp("archives") / "empty")


@pytest.mark.parametrize("case", CASES, ids=case_ids(CASES))
def test_a_hostile_archive_is_refused_or_unpacked_within_its_memory(case, found):
    check(case, found)
