"""Small pictures of photos: one, a few as examples, or all of them page by page, read only when they are looked at."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import streamlit as st

from catdog.pages.every_page.words import HASH_OF_NAMES, plain
from catdog.photos.photo_sets import PhotoSet
from catdog.photos.reading import UnreadablePhoto, read_bytes, small_jpeg, work_ahead
from catdog.plain_text import one_line

PICTURE_SIDE = 144  # pixels of the longer side; shown at half of that on most screens
SHOWN_AT_ONCE = 24
SHOWN_WIDTH = 72


@st.cache_data(ttl=300, max_entries=64, show_spinner=False, hash_funcs=HASH_OF_NAMES)
def small_pictures(paths: tuple[Path, ...], version: str) -> list[bytes | None]:
    """A small JPEG of each of these photos, upright and in its own proportions; None for what can't be read."""
    return list(work_ahead(small_picture, paths))


def small_picture(path: Path) -> bytes | None:
    """The same for one photo."""
    try:
        return small_jpeg(read_bytes(path), PICTURE_SIDE)
    except UnreadablePhoto:
        return None


@st.cache_data(ttl=300, max_entries=64, show_spinner=False, hash_funcs=HASH_OF_NAMES)
def example_pictures(paths: tuple[Path, ...], count: int, version: str) -> list[bytes]:
    """Small pictures of the first few of these photos that can be read."""
    return list(first_readable(paths, count))


def first_readable(paths: Sequence[Path], count: int) -> Iterator[bytes]:
    """Small pictures until there are enough."""
    for path in paths:
        picture = small_picture(path)
        if picture:
            yield picture
            count -= 1
        if not count:
            return


def show_pictures(paths: Sequence[Path], folder: Path, version: str, captions: bool = True) -> None:
    """Photos side by side, with their names below them; a name alone where the photo can't be read."""
    with st.container(horizontal=True, gap="xsmall"):
        for path, picture in zip(paths, small_pictures(tuple(paths), version), strict=True):
            name = str(path.relative_to(folder))
            if picture:
                words = plain(name) if captions else None
                width = 2 * SHOWN_WIDTH if captions else SHOWN_WIDTH
                st.image(picture, caption=words, width=width, alt=one_line(name))
            else:
                st.caption(f"{plain(name)} can't be read")


def show_grid(photo_set: PhotoSet, version: str) -> None:
    """Every photo by split and class, a page of them at a time, once the visitor opens the fold."""
    icon = ":material/photo_library:"
    fold = st.expander("Show photos", icon=icon, key="show_photos", type="compact", on_change="rerun")
    if not fold.open:
        return
    with fold:
        left, right = st.columns(2)
        split = left.selectbox("Used for", list(photo_set.splits), key="shown_split")
        label = right.selectbox(
            "Class",
            range(len(photo_set.class_names)),
            format_func=lambda label: photo_set.class_names[label],
            key="shown_class",
        )
        paths = [photo.path for photo in photo_set.splits[split] if photo.label == label]
        if not paths:
            st.caption("There are none.")
            return
        pages = -(-len(paths) // SHOWN_AT_ONCE)
        # Of another split or class, the first page.
        page = st.pagination(pages, key=f"shown_page_{split}_{label}_{pages}") if pages > 1 else 1
        start = (page - 1) * SHOWN_AT_ONCE
        show_pictures(paths[start : start + SHOWN_AT_ONCE], photo_set.folder, version, captions=False)
        st.caption(f"{start + 1:,} to {min(start + SHOWN_AT_ONCE, len(paths)):,} of {len(paths):,}")
