"""A small photo set of drawings and classifiers trained on it, made once for all tests that need one."""

from pathlib import Path

import pytest

from catdog.__main__ import main
from catdog.photos.drawings import draw_photo_set
from catdog.settings import TrainConfig

SMALL_FLAGS = ["--backbone", "starter", "--image-size", "64", "--head-epochs", "3"]


class Tiny:
    """Where the file of the tiny backbone is to lie, once a test asks for it."""

    path: Path


def tiny_backbone() -> str:
    """The file of a backbone for runs in which the network is not the point."""
    if not Tiny.path.exists():
        from helpers.tiny_backbone import tiny_network

        tiny_network().save(Tiny.path)
    return str(Tiny.path)


def small_config(data: Path, **settings) -> TrainConfig:
    """The settings of a run of seconds."""
    defaults = {"backbone": tiny_backbone(), "image_size": 32, "head_epochs": 2, "batch_size": 8}
    return TrainConfig(data=str(data), **{**defaults, **settings})


@pytest.fixture(scope="session")
def drawings(tmp_path_factory) -> Path:
    """48 training and 16 validation drawings."""
    folder = tmp_path_factory.mktemp("drawings") / "photos"
    draw_photo_set(folder, train=48, validation=16, seed=1)
    return folder


@pytest.fixture(scope="session")
def trained(drawings, tmp_path_factory) -> Path:
    """The folder of a finished run of both phases on the drawings."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    flags = [*SMALL_FLAGS, "--fine-tune-epochs", "1", "--out", str(folder)]
    assert main(["train", str(drawings), *flags]) == 0
    return folder


@pytest.fixture(scope="session")
def tiny_run(drawings, tmp_path_factory) -> Path:
    """The same on the tiny backbone, for tests that need a run but not a network that has learned much."""
    folder = tmp_path_factory.mktemp("tiny") / "run"
    flags = ["--backbone", tiny_backbone(), *SMALL_FLAGS[2:], "--fine-tune-epochs", "1", "--out", str(folder)]
    assert main(["train", str(drawings), *flags]) == 0
    return folder
