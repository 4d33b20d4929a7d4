"""What follows from where the package lies: how more packages are got, and how a new Python finds this one."""

import os
import sys
from importlib import metadata
from pathlib import Path

import pytest
from helpers.places import REPOSITORY

from catdog import places
from catdog.errors import Refused
from catdog.exports.formats import check_choice
from catdog.files.storage import as_place
from catdog.places import how_to_install, search_path

# As the metadata of an installed package has it; builders differ in the quotes.
REQUIRES = ["pillow<14,>=13", "onnx<2,>=1.19; extra == 'export'", 'ray[data]<2.64,>=2.50; extra == "ray"']


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """The package as if it lay among the packages of Python, without the files of the checkout."""
    monkeypatch.setattr(places, "PACKAGE", tmp_path / "catdog")
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIRES)
    return tmp_path


@pytest.mark.parametrize("extra", ["export", "ray"])
def test_a_checkout_names_the_file_that_lists_the_packages(extra):
    assert how_to_install(extra) == f"pip install -r requirements-{extra}.txt"
    assert (REPOSITORY / f"requirements-{extra}.txt").is_file()


def test_an_installed_package_names_the_packages_themselves_as_a_shell_takes_them(installed, monkeypatch):
    assert how_to_install("export") == "pip install 'onnx<2,>=1.19'"
    assert how_to_install("ray") == "pip install 'ray[data]<2.64,>=2.50'"
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(Refused, match=r"takes more packages: pip install 'ray\[data\]<2\.64,>=2\.50'\.$"):
        as_place("s3://bucket/photos")
    monkeypatch.setattr("catdog.exports.formats.find_spec", lambda name: None)
    with pytest.raises(Refused, match=r"needs onnx, which is not installed: pip install 'onnx<2,>=1\.19' gets it\.$"):
        check_choice("onnx", quantize=False)


def test_where_the_packages_are_listed_nowhere_the_file_of_the_repository_is_named(installed, monkeypatch):
    def unknown(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", unknown)
    assert how_to_install("ray") == "pip install -r requirements-ray.txt"


def test_a_checkout_is_on_the_search_path_of_a_new_python_and_an_installed_package_is_not(installed, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "mine")
    assert search_path() == os.pathsep.join([str(installed), str(Path.cwd() / "mine")])
    monkeypatch.setattr(places.sysconfig, "get_path", lambda name: str(installed))
    assert search_path() == str(Path.cwd() / "mine")
    monkeypatch.delenv("PYTHONPATH")
    assert search_path() == ""
