"""The verdict on real photos: things that are neither cat nor dog against photos of both."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from catdog.classifier.loading import load_classifier
from catdog.classifier.prediction import Classifier
from catdog.learning.training import train
from catdog.photos.photo_sets import photos_below
from catdog.settings import TrainConfig

pytestmark = pytest.mark.photos


def similarities(classifier: Classifier, folder: Path) -> np.ndarray:
    """How similar each photo below a folder is to those that were learned from, (n,)."""
    return np.array([found.similarity for found in classifier.classify(photos_below(folder))])


def judge(classifier: Classifier) -> tuple[float, float, float, float]:
    """The area under the curve, and the shares of other things, of cats and dogs, and of larger ones, refused."""
    shared = Path(os.environ["CATDOG_SHARED"])
    folders = ("photos/validation", "photos_other", "photos_original")
    own, other, larger = (similarities(classifier, shared / name) for name in folders)
    area = roc_auc_score(np.r_[np.ones(len(own)), np.zeros(len(other))], np.r_[own, other])
    shares = [float((found < classifier.reference.limit).mean()) for found in (other, own, larger)]
    print(f"area {area:.4f}; refused: other {shares[0]:.3f}, own {shares[1]:.3f}, photos_original {shares[2]:.3f}")
    return area, *shares


def test_imagenet_run_knows_what_is_neither(tmp_path):
    shared = Path(os.environ["CATDOG_SHARED"])
    backbone = str(shared / "weights" / "resnet50_imagenet.keras")
    train(TrainConfig(data=str(shared / "photos"), backbone=backbone, head_epochs=3), tmp_path / "run")
    assert (tmp_path / "run" / "reference.npz").stat().st_size < 20_000_000
    area, other, own, larger = judge(load_classifier(tmp_path / "run"))
    assert area >= 0.99
    assert other >= 0.95
    assert own <= 0.03
    assert larger <= 0.06  # photos that no limit was set on: twelve of 198


def test_bundled_classifier_knows_what_is_neither():
    area, other, own, larger = judge(load_classifier("starter"))
    assert area >= 0.98
    assert other >= 0.88
    assert own <= 0.03
    assert larger <= 0.06
