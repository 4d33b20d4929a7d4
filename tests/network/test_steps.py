"""Learning on several devices: the same steps as on one, and the same labels in the end."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.places import TESTS
from helpers.processes import run_python

from catdog.network import steps
from catdog.runs.events import read_events

PROGRAM = str(TESTS / "helpers" / "two_devices.py")


def predictions_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def fine_tuning_of(folder: Path) -> list[dict]:
    events = [event for event in read_events(folder)[0] if event["event"] == "epoch"]
    return [event for event in events if event["phase"] == "fine-tune"]


def test_one_gpu_or_none_is_no_reason_to_share():
    assert steps.several_gpus() == []
    assert steps.strategy_of_devices().num_replicas_in_sync == 1


def test_two_devices_go_the_steps_that_one_would_go(tmp_path):
    ran = run_python(PROGRAM, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    np.testing.assert_allclose(found["together"], found["alone"], rtol=1e-5)
    assert found["difference"] < 1e-5


@pytest.mark.slow
def test_a_run_on_two_devices_gives_the_labels_of_a_run_on_one(drawings, tmp_path):
    command = ["train", str(drawings), "--backbone", "starter", "--image-size", "64", "--head-epochs", "8"]
    command += ["--head-learning-rate", "0.01", "--fine-tune-epochs", "2", "--batch-size", "9"]
    for start, folder in (([PROGRAM], "both"), (["-m", "catdog"], "one")):
        ran = run_python(*start, *command, "--out", str(tmp_path / folder), cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
    both, one = predictions_of(tmp_path / "both"), predictions_of(tmp_path / "one")
    assert [(row["path"], row["label"]) for row in both] == [(row["path"], row["label"]) for row in one]
    report = json.loads((tmp_path / "both" / "report.json").read_text())
    assert report["accuracy"] > 0.8
    # Dropout leaves out other features, so that these were not the same steps.
    losses = [[event["loss"] for event in fine_tuning_of(tmp_path / name)] for name in ("both", "one")]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(*losses, rtol=0.5)
