"""A classifier as its files' contents, to be taken to other machines."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from catdog.classifier.novelty import REFERENCE_FILE
from catdog.runs.run_folder import H5_FILE, INFO_FILE, KERAS_FILE
from catdog.settings import BUNDLED


def files_of(source: Path | str) -> dict[str, bytes]:
    """Name and content of what `load_classifier` reads of this source, as a run's folder would have them.

    There are none of the bundled classifier, which every machine has. The source is one that was loaded before.
    """
    path = Path(source)
    if str(source) == BUNDLED and not path.exists():
        return {}
    if path.is_dir():
        path = next(path / name for name in (KERAS_FILE, H5_FILE) if (path / name).is_file())
    files = {H5_FILE if path.suffix.lower() == ".h5" else KERAS_FILE: path.read_bytes()}
    # What was learned from lies beside a run's files; what lies beside another file is another's.
    beside = (INFO_FILE, REFERENCE_FILE) if path.name in (KERAS_FILE, H5_FILE) else (INFO_FILE,)
    return files | {name: path.with_name(name).read_bytes() for name in beside if path.with_name(name).is_file()}


def digest_of(files: Mapping[str, bytes]) -> str:
    """One SHA-256 of all names and contents."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
