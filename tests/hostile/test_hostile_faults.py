"""Whatever happens to a run and its files: what was finished is kept, and what is said of it is true."""

import pytest

from catdog.__main__ import main
from hostile.fault_cases import CASES, FLAGS, RESERVED, TRAINING, Place, can_have_small_disks
from hostile.reliability import Case


def is_slow(case: Case) -> bool:
    """Whether a case trains, some of them twice."""
    return case in TRAINING


@pytest.fixture(scope="module")
def finished(drawings, tmp_path_factory):
    """The folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert main(["train", str(drawings), *FLAGS, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.what, marks=[pytest.mark.slow] if is_slow(case) else []) for case in CASES]
)
def test_a_fault_is_survived_and_told(case, drawings, trained, request, tmp_path):
    if case.limit == RESERVED and not can_have_small_disks():
        pytest.skip("no small disk can be had here")
    # What is resumed on a small disk is compared with a run of the same settings.
    finished = request.getfixturevalue("finished") if is_slow(case) else trained
    assert case.make(Place(tmp_path, drawings, finished)) == case.outcome
