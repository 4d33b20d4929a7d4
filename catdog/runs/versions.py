"""Which versions a run was made with."""

from importlib.metadata import PackageNotFoundError, version

from catdog import __version__


def versions() -> dict[str, str]:
    """The versions of what decides a run's outcome."""
    found = {}
    for name in ("tensorflow", "keras", "numpy", "pillow", "pillow-heif"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def made_with() -> dict[str, str]:
    """The versions to name beside a result: this program's own, and those of what decided it."""
    return {"catdog": __version__, **versions()}
