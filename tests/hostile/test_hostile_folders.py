"""No folder makes the reader of photos wait, go round in circles, or read what it may not."""

import os

import pytest

from hostile.folder_cases import CASES
from hostile.reliability import case_ids

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and permissions are those of POSIX")


@pytest.mark.parametrize("case", CASES, ids=case_ids(CASES))
def test_a_hostile_folder_is_read_or_refused(case, tmp_path):
    assert case.make(tmp_path) == case.outcome
