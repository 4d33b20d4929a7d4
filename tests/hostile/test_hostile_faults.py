"""Whatever happens to a run and its files: what was finished is kept, and what is said of it is true."""

import pytest

from catdog.__main__ import main
from hostile.fault_cases import CASES, FLAGS, RESERVED, Place, can_have_small_disks
from hostile.reliability import case_ids


@pytest.fixture(scope="module")
def finished(drawings, tmp_path_factory):
    """The folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert main(["train", str(drawings), *FLAGS, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("case", CASES, ids=case_ids(CASES))
def test_a_fault_is_survived_and_told(case, drawings, finished, tmp_path):
    if case.limit == RESERVED and not can_have_small_disks():
        pytest.skip("no small disk can be had here")
    assert case.make(Place(tmp_path, drawings, finished)) == case.outcome
