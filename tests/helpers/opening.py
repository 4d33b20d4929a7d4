"""Classifiers from elsewhere, opened without the process of their own that takes ten seconds to begin."""

from pathlib import Path
from typing import Any

import pytest

from catdog.classifier.trial_process import open_model
from catdog.inspection import model_trial


@pytest.fixture
def opened_here(monkeypatch) -> None:
    """They are looked through as always, and then opened in this process; for tests in which that is not the point."""
    run_trial = model_trial.run_trial

    def run_here(task: str, path: Path) -> dict[str, Any]:
        return open_model(path) if task == "open" else run_trial(task, path)

    monkeypatch.setattr(model_trial, "run_trial", run_here)
