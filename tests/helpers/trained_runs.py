"""A small photo set of drawings and classifiers trained on it, made once for all tests that need one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

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
    defaults = {"image_size": 32, "head_epochs": 2, "batch_size": 8}
    if "backbone" not in settings:
        defaults["backbone"] = tiny_backbone()
    return TrainConfig(data=str(data), **{**defaults, **settings})


def small_flags() -> list[str]:
    """The same as `SMALL_FLAGS`, where the network is not the point."""
    return ["--backbone", tiny_backbone(), *SMALL_FLAGS[2:]]


def made_once(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], object]) -> Path:
    """A folder that is made by the first of the processes that run the tests, for all of them."""
    above = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        above = above.parent
    folder, whole = above / name, above / f"{name} is whole"
    with FileLock(above / f"{name}.lock"):
        if not whole.exists():
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


@pytest.fixture(scope="session")
def drawings(tmp_path_factory) -> Path:
    """48 training and 16 validation drawings."""

    def draw(folder: Path) -> None:
        draw_photo_set(folder / "photos", train=48, validation=16, seed=1)

    return made_once("drawings", tmp_path_factory, draw) / "photos"


@pytest.fixture(scope="session")
def trained(drawings, tmp_path_factory) -> Path:
    """The folder of a finished run of both phases on the drawings."""

    def train(folder: Path) -> None:
        flags = [*SMALL_FLAGS, "--fine-tune-epochs", "1", "--out", str(folder / "run")]
        assert main(["train", str(drawings), *flags]) == 0

    return made_once("trained", tmp_path_factory, train) / "run"


@pytest.fixture(scope="session")
def tiny_run(drawings, tmp_path_factory) -> Path:
    """The same on the tiny backbone, for tests that need a run but not a network that has learned much."""

    def train(folder: Path) -> None:
        flags = [*small_flags(), "--fine-tune-epochs", "1", "--out"]
        assert main(["train", str(drawings), *flags, str(folder / "run")]) == 0

    return made_once("tiny", tmp_path_factory, train) / "run"
