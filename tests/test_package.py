"""What is built of a checkout in which photos and runs lie about: what is in it, and what it says of itself."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email import message_from_bytes
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest
from helpers.places import REPOSITORY
from packaging.requirements import Requirement

from catdog import __version__

MOST_BYTES = 20_000_000
# What a checkout has at its top; the rest that may lie there is made up below.
TOP = (
    *("catdog", "tests", "docs", "benchmarks", ".streamlit", "streamlit_app.py", "cat_dog_classifier.py"),
    *("pyproject.toml", "README.md", "LICENSE", ".gitignore"),
    *(path.name for path in REPOSITORY.glob("requirements*.txt")),
)
STRAY = ("runs/first/cat_dog_classifier.keras", "photos/cats/1.jpg", "data/train/cats/1.jpg", ".streamlit/secrets.toml")
# What the package holds besides Python, and where.
ELSE = {
    "catdog/app/.streamlit/config.toml",
    "catdog/results/report_template.html",
    *(f"catdog/exports/snippets/{name}.txt" for name in ("h5", "keras", "litert", "onnx", "savedmodel")),
    *(
        f"catdog/weights/{name}"
        for name in (
            *("NOTICE.md", "resnet50_half.keras"),
            *("starter_centres.npz", "starter_classifier.json", "starter_head.npz"),
        )
    ),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the source archive, built without fetching anything."""
    checkout, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    unneeded = shutil.ignore_patterns("__pycache__", "secrets.toml")
    for name in TOP:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, checkout / name, ignore=unneeded)
        else:
            shutil.copy(path, checkout / name)
    for name in STRAY:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("mine")
    before = set(checkout.rglob("*"))
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True, timeout=300)
    assert set(checkout.rglob("*")) == before
    return out


@pytest.fixture(scope="module")
def wheel(built) -> dict[str, bytes]:
    """The wheel's files by their names."""
    (path,) = built.glob("*.whl")
    assert path.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    """What the wheel says of itself."""
    return message_from_bytes(wheel[f"catdog-{__version__}.dist-info/METADATA"])


def listed(name: str) -> set[str]:
    """The packages of a requirements file, each written in one way."""
    return {written(line) for line in (REPOSITORY / name).read_text().splitlines() if line}


def written(line: str) -> str:
    """A requirement without its marker, in one way of writing it."""
    requirement = Requirement(line)
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name.lower()}{extras}{requirement.specifier}"


def test_the_wheel_holds_the_package_and_what_it_reads_and_nothing_else(wheel):
    modules = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "catdog").rglob("*.py")}
    own = {name for name in wheel if not name.startswith(f"catdog-{__version__}.dist-info/")}
    assert own == modules | ELSE | {"catdog/app/streamlit_app.py"}


def test_what_comes_along_for_the_server_is_what_hosts_read(wheel):
    for name in ("streamlit_app.py", ".streamlit/config.toml"):
        assert wheel[f"catdog/app/{name}"] == (REPOSITORY / name).read_bytes()


def test_the_source_archive_holds_what_a_wheel_is_built_from(built):
    (path,) = built.glob("*.tar.gz")
    assert path.stat().st_size < MOST_BYTES
    with tarfile.open(path) as archive:
        names = {str(PurePosixPath(name).relative_to(f"catdog-{__version__}")) for name in archive.getnames()}
    beside = {name for name in names if not name.startswith("catdog/")}
    assert beside == {
        *("streamlit_app.py", ".streamlit/config.toml", "pyproject.toml", "README.md", "LICENSE", ".gitignore"),
        *("PKG-INFO", "requirements.txt", "requirements-export.txt", "requirements-ray.txt"),
    }


def test_the_version_stands_in_one_place(metadata):
    assert metadata["Version"] == __version__
    assert not re.search(r"(?m)^version\s*=", (REPOSITORY / "pyproject.toml").read_text())


def test_the_packages_that_it_needs_are_those_of_the_requirements_files(metadata):
    required = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    assert {written(str(each)) for each in required if each.marker is None} == listed("requirements.txt")
    assert metadata.get_all("Provides-Extra") == ["export", "ray"]
    for extra in ("export", "ray"):
        of_extra = {written(str(each)) for each in required if each.marker and each.marker.evaluate({"extra": extra})}
        assert of_extra == listed(f"requirements-{extra}.txt")


def test_python_and_licences_are_named(wheel, metadata):
    assert {*metadata["Requires-Python"].split(",")} == {">=3.11", "<3.14"}
    assert metadata["License-Expression"] == "MIT"
    for name in ("LICENSE", "catdog/weights/NOTICE.md"):
        assert wheel[f"catdog-{__version__}.dist-info/licenses/{name}"] == (REPOSITORY / name).read_bytes()


def test_the_command_is_that_of_the_module(wheel):
    found = ConfigParser()
    found.read_string(wheel[f"catdog-{__version__}.dist-info/entry_points.txt"].decode())
    assert dict(found["console_scripts"]) == {"catdog": "catdog.__main__:main"}
