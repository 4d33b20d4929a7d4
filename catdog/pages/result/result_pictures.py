"""Small pictures of the photos that a run's report names, with their maps; made once while the report stands."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import streamlit as st

from catdog.classifier.heatmaps import draw_map
from catdog.pages.every_page.words import HASH_OF_NAMES
from catdog.photos.reading import UnreadablePhoto, read_bytes, small_jpeg, work_ahead
from catdog.results.report_files import REPORT_FILE

PICTURE_SIDE = 320  # pixels of the longer side; shown at half of that on most screens
OPACITY = 0.65


class Wanted(NamedTuple):
    """A picture to make: a photo's file, and the map to lay over it with the colours of its two classes."""

    path: Path
    places: np.ndarray | None
    colours: tuple[str, str]


def version_of(folder: Path) -> int:
    """When a run's result was written: what was read before that is another one's."""
    try:
        return (folder / REPORT_FILE).stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_data(ttl=300, max_entries=16, show_spinner=False, hash_funcs=HASH_OF_NAMES)
def pictures_of(
    paths: tuple[Path, ...], with_maps: bool, version: int, photos: Path, _wanted: Sequence[Wanted]
) -> list[bytes | None]:
    """A small picture of each photo, with its map if it has one; None for what can't be read or lies elsewhere."""
    return list(work_ahead(partial(draw_one, photos), _wanted))


def draw_one(photos: Path, wanted: Wanted) -> bytes | None:
    """The same for one photo, which must lie in the folder of photos."""
    try:
        if not wanted.path.resolve().is_relative_to(photos.resolve()):
            return None
        content = read_bytes(wanted.path)
        if wanted.places is None:
            return small_jpeg(content, PICTURE_SIDE)
        return draw_map(content, wanted.places, wanted.colours, OPACITY, PICTURE_SIDE)
    except (UnreadablePhoto, OSError):
        return None
