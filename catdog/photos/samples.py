"""Photo sets to start with: the tutorial's real photos, and drawings that need no network."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from catdog.files.downloads import fetch
from catdog.files.folders import cache_folder, require_empty
from catdog.photos.archives import unpack_photos
from catdog.photos.drawings import draw_photo_set

__all__ = ["TUTORIAL_BYTES", "TUTORIAL_URL", "draw_photo_set", "fetch_tutorial_photos"]

# 2,000 photos for training and 1,000 for validation, half of them cats: the set of TensorFlow's tutorials.
TUTORIAL_URL = "https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip"
TUTORIAL_BYTES = 68_606_236


def fetch_tutorial_photos(
    folder: Path,
    *,
    on_progress: Callable[[int, int | None], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Fills `folder`, which must be absent or empty, with the tutorial's train and validation photos.

    `CATDOG_TUTORIAL_URL` names a mirror. Calls `on_progress(done_bytes, total_bytes)` while it downloads.
    Raises `Refused` where the folder holds something, else `Failed` or `Stopped`, and then fills nothing.
    """
    require_empty(folder)
    archive = fetch(
        os.environ.get("CATDOG_TUTORIAL_URL") or TUTORIAL_URL,
        cache_folder() / "downloads" / "cats_and_dogs_filtered.zip",
        what="The tutorial's photos",
        way_out="check the network and try again, or start with the drawings.",
        size=TUTORIAL_BYTES,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    try:
        unpack_photos(archive, folder, name="The archive of the tutorial's photos")
    finally:
        # Also a damaged archive, or the next try would find it again; Windows keeps one that is being read.
        with suppress(OSError):
            archive.unlink()
