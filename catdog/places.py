"""Where this package lies, what comes along in it, and how what does not is installed."""

import os
import shlex
import sysconfig
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parent
WEIGHTS = PACKAGE / "weights"
PAGES = PACKAGE / "pages"
# The folder that `catdog app` was started in, for the server, which it starts elsewhere.
WORKING_FOLDER_VARIABLE = "CATDOG_WORKING_FOLDER"


def app_script() -> Path:
    """The script that Streamlit runs: what came along with an installed package, or that of the checkout."""
    installed = PACKAGE / "app" / "streamlit_app.py"
    return installed if installed.is_file() else PACKAGE.parent / installed.name


def go_to_working_folder() -> None:
    """Let paths count from the folder that `catdog app` was started in, if it was, and not from the script's."""
    folder = os.environ.get(WORKING_FOLDER_VARIABLE)
    if folder:
        os.chdir(folder)


def how_to_install(extra: str) -> str:
    """The command that installs the packages of an extra, `export` or `ray`.

    In a checkout it names the file that lists them; an installed package has no such file and names them itself.
    """
    file = f"requirements-{extra}.txt"
    listed = [] if (PACKAGE.parent / file).is_file() else packages_of(extra)
    return f"pip install {shlex.join(listed) or f'-r {file}'}"


def packages_of(extra: str) -> list[str]:
    """The packages of an extra with their versions, as the installed package says; none where it is not installed."""
    try:
        lines = metadata.requires("catdog") or []
    except metadata.PackageNotFoundError:
        return []
    required = (line.partition(";") for line in lines)
    return [name.strip() for name, _, marker in required if marker.replace("'", '"').strip() == f'extra == "{extra}"']


def search_path() -> str:
    """The PYTHONPATH with which Python finds this package from any folder, as when it lies in a checkout.

    Where Python looks anyway is not named: it would come before Python's own modules then.
    """
    found_anyway = str(PACKAGE.parent) in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    named = [str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return os.pathsep.join(named if found_anyway else [str(PACKAGE.parent), *named])
