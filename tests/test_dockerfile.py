"""The image's steps, as far as they can be gone through without an image: what is copied is all that the app needs."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from helpers.http_server import closed_port
from PIL import Image

REPOSITORY = Path(__file__).parent.parent
DOCKERFILE = REPOSITORY / "Dockerfile"
PATIENCE_SECONDS = 60


def instructions(name: str) -> list[str]:
    """What stands behind each instruction of that name."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    return [line.partition(" ")[2].strip() for line in text.splitlines() if line.split(" ")[0] == name]


def copied() -> list[tuple[str, str]]:
    """What is copied, and to where."""
    return [(source, target) for *sources, target in map(str.split, instructions("COPY")) for source in sources]


def argument_list(text: str) -> list[str]:
    """A command as its arguments."""
    return json.loads(text.removeprefix("CMD "))


@pytest.fixture
def image(tmp_path):
    """A folder with what the image's working folder has."""
    ignored = shutil.ignore_patterns("__pycache__", "secrets.toml")
    for source, target in copied():
        if (REPOSITORY / source).is_dir():
            shutil.copytree(REPOSITORY / source, tmp_path / "app" / target, ignore=ignored)
        else:
            (tmp_path / "app").mkdir(exist_ok=True)
            shutil.copy(REPOSITORY / source, tmp_path / "app" / target)
    return tmp_path / "app"


def environment(folder: Path) -> dict[str, str]:
    """The image's variables, its folders moved into another one."""
    pairs = (pair.partition("=") for line in instructions("ENV") for pair in line.split())
    variables = {name: value.replace("/home/catdog", str(folder)) for name, _, value in pairs}
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables


@pytest.mark.skipif(not shutil.which("hadolint", path=Path(sys.executable).parent), reason="needs hadolint")
def test_the_file_is_as_such_files_should_be():
    command = [Path(sys.executable).with_name("hadolint"), "--no-color", DOCKERFILE]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""


def test_what_is_copied_is_not_ignored():
    kept = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {source for source, _ in copied()} == kept


def test_the_app_starts_from_what_is_copied(image, tmp_path):
    (start,), (check,) = (list(map(argument_list, instructions(name))) for name in ("CMD", "HEALTHCHECK"))
    port = str(closed_port())
    start = [sys.executable, "-m", *(argument.replace("8501", port) for argument in start)]
    check = [sys.executable, *(argument.replace("8501", port) for argument in check[1:])]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(start, cwd=image, env=environment(tmp_path), stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while subprocess.run(check, capture_output=True, check=False).returncode:
            assert server.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until, (tmp_path / "log").read_text()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert b"<title>" in answer.read()
    finally:
        server.terminate()
        server.wait()


def test_a_photo_is_classified_by_what_is_copied(image, tmp_path):
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), "orange").save(photo)
    command = [sys.executable, "-m", "catdog", "classify", "starter", str(photo), "--json"]
    found = subprocess.run(command, cwd=image, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["photos"][0]["error"] is None
