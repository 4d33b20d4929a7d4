"""The first part of the training page: where the photos come from, and what is in them."""

import html
import os
import stat
from itertools import islice
from pathlib import Path

import streamlit as st

from catdog.errors import CatdogError, Refused
from catdog.files.folders import (
    allowed_folder,
    allowed_roots,
    find_link_out,
    is_allowed,
    photo_folders_root,
    remove_unfinished,
)
from catdog.pages.choose.corrections import left_out_of, relabelled_of, show_left_out
from catdog.pages.choose.photo_grid import example_pictures, show_grid
from catdog.pages.choose.photo_problems import judged, known_fingerprints, show_problems
from catdog.pages.choose.uploads import LAYOUT_WORDS, from_upload
from catdog.pages.every_page.words import HASH_OF_NAMES, plain
from catdog.photos.photo_sets import PhotoSet, find_photo_set, require_folder
from catdog.photos.problems import Problem
from catdog.photos.reading import is_photo_name
from catdog.photos.samples import TUTORIAL_BYTES, draw_photo_set, fetch_tutorial_photos
from catdog.plain_text import one_line
from catdog.public_mode import is_public, require_few_photos

SOURCES = {"folder": "Folder", "upload": "Upload", "tutorial": "Tutorial", "drawings": "Drawings"}
EXAMPLES = 8  # of all classes together: one row
# Where photos are looked for: folders in a folder, and files of one among which a photo must be.
MOST_FOLDERS, FIRST_FILES = 200, 20


def choose_photos(seed: int) -> PhotoSet | None:
    """Let the visitor choose photos and show what is in them; None until there are some to train on."""
    sources = [name for name in SOURCES if not is_public() or name != "folder"]
    default = "folder" if "folder" in sources and Path("data").is_dir() else "drawings"
    source = st.segmented_control(
        "Where from",
        sources,
        format_func=lambda name: SOURCES[name],
        default=default,
        required=True,
        key="photo_source",
        persist_state="session",
        label_visibility="collapsed",
        width="stretch",
    )
    chooser = {"folder": from_folder, "upload": from_upload, "tutorial": from_tutorial, "drawings": from_drawings}
    folder = None
    try:
        folder = chooser[source if source in sources else default]()
        if folder is None:
            return None
        version = folder_version(folder)
        link = link_out(folder, version) if source == "folder" else None
        if link:
            raise Refused(f"{link} is a link that leads out of the folders this app may read: remove it.")
        left_out, relabelled = left_out_of(folder), relabelled_of(folder)
        fingerprints = known_fingerprints(version)
        if fingerprints:
            photo_set, problems = judged(folder, seed, left_out, relabelled, version, fingerprints)
        else:
            photo_set, problems = read_photo_set(folder, seed, left_out, relabelled, version), None
        if is_public():
            require_few_photos(len(photo_set.paths()))
    except CatdogError as error:
        st.warning(plain(str(error)), icon=":material/folder_off:")
        if folder:
            show_left_out(folder)
        return None
    show_photo_set(photo_set, problems, version)
    return photo_set


def from_folder() -> Path | None:
    """A folder below the allowed roots."""
    options = suggested_folders(tuple(allowed_roots()), Path.cwd())
    folder = st.selectbox(
        "Folder on this computer",
        options,
        index=0 if options else None,
        accept_new_options=True,
        placeholder="data",
        help=f"A folder of {LAYOUT_WORDS}, below {' or '.join(map(str, allowed_roots()))}. Other class names work too.",
        key="photo_folder",
        persist_state="session",
    )
    if folder is None:
        st.info(
            f"No photos were found here. Put some into {LAYOUT_WORDS} below `{allowed_roots()[0]}`, "
            "or start with the practice drawings.",
            icon=":material/folder_open:",
        )
        return None
    chosen = allowed_folder(folder)
    require_folder(chosen)
    return chosen


@st.cache_data(ttl=10, max_entries=16, show_spinner=False)
def suggested_folders(roots: tuple[Path, ...], here: Path) -> list[str]:
    """Folders up to two levels below these roots that look like photo sets, `data` first; as seen from `here`."""
    found: set[Path] = set()
    for root in roots:
        level = [root]
        for _ in range(3):
            found |= {folder for folder in level if looks_like_photos(folder)}
            level = [inner for folder in level if folder not in found for inner in folders_in(folder)]
    names = [str(path.relative_to(here)) if path.is_relative_to(here) else str(path) for path in found]
    return sorted(names, key=lambda name: (name != "data", name))[:50]


def folders_in(folder: Path) -> list[Path]:
    """Folders in one that may be looked into; not hidden ones, nor those whose names can't be shown."""
    try:
        with os.scandir(folder) as entries:
            names = (each.name for each in entries if not each.name.startswith(".") and each.is_dir())
            showable = (folder / name for name in names if one_line(name) == name)
            return sorted(islice(filter(is_allowed, showable), MOST_FOLDERS))
    except OSError:
        return []


def looks_like_photos(folder: Path) -> bool:
    """Whether there is a folder `train` in it, or at least two in which the first files are photos."""
    inner = folders_in(folder)
    if any(path.name == "train" for path in inner):
        return True
    with_photos = filter(begins_with_photos, inner)
    return len(list(islice(with_photos, 2))) == 2


def begins_with_photos(folder: Path) -> bool:
    """Whether there is a photo among the first files of a folder."""
    try:
        with os.scandir(folder) as entries:
            return any(is_photo_name(entry.name) for entry in islice(entries, FIRST_FILES))
    except OSError:
        return False


@st.cache_data(ttl=300, max_entries=16, show_spinner="Looking through the photos", hash_funcs=HASH_OF_NAMES)
def link_out(folder: Path, version: str) -> Path | None:
    """The first link in a folder that leads out of the allowed roots, before anything behind it is read."""
    return find_link_out(folder)


def from_tutorial() -> Path | None:
    """The 3,000 photos of TensorFlow's tutorials, downloaded once."""
    folder = photo_folders_root() / "tutorial"
    if folder.is_dir():
        return folder
    size = round(TUTORIAL_BYTES / 1e6)
    st.markdown(f"The 2,000 + 1,000 photos of cats and dogs that TensorFlow's tutorials use: {size} MB, fetched once.")
    if st.button(f"Download {size} MB", icon=":material/download:"):
        bar = st.progress(0.0, "Downloading the photos")

        def on_progress(done: int, total: int | None) -> None:
            total = total or TUTORIAL_BYTES
            bar.progress(min(done / total, 1.0), f"Downloading the photos: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

        try:
            fetch_tutorial_photos(folder, on_progress=on_progress)
        finally:
            bar.empty()
        st.rerun()
    return None


def from_drawings() -> Path | None:
    """Drawings of cats and dogs, made once."""
    folder = photo_folders_root() / "drawings"
    if folder.is_dir():
        return folder
    st.markdown(
        "Practice drawings: cats and dogs that the app draws itself, for when you have no photos. "
        "A classifier trained on them knows drawings, not photos."
    )
    if st.button("Draw 320 pictures", icon=":material/draw:"):
        bar = st.progress(0.0, "Drawing")
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder.parent)
        try:
            draw_photo_set(
                folder, on_progress=lambda done, total: bar.progress(done / total, f"Drawing {done} of {total}")
            )
        except Refused:
            # Another visitor may have drawn them at the same time.
            if not folder.is_dir():
                raise
        st.rerun()
    return None


def folder_version(folder: Path) -> str:
    """What is another text once a folder, or one of those two levels below, has gained or lost a file."""
    folders = [folder, *(path for pattern in ("*", "*/*") for path in folder.glob(pattern))]
    return f"{folder.resolve()} {sorted(filter(None, map(folder_changed, folders)))}"


def folder_changed(path: Path) -> int:
    """When a folder gained or lost a file; 0 for what is no folder, or can't be looked at."""
    try:
        found = path.stat()
    except OSError:
        return 0
    return found.st_mtime_ns if stat.S_ISDIR(found.st_mode) else 0


# Each is kept for as long as the version is the same, and for some minutes in case it did not tell.
@st.cache_data(ttl=300, max_entries=16, show_spinner="Looking through the photos", hash_funcs=HASH_OF_NAMES)
def read_photo_set(
    folder: Path, seed: int, left_out: tuple[str, ...], relabelled: tuple[tuple[str, str], ...], version: str
) -> PhotoSet:
    """The photo set of a folder."""
    return find_photo_set(folder, seed, left_out, relabelled)


def count_table(counts: dict[str, dict[str, int]]) -> str:
    """How many photos each split has of each class, as a small HTML table."""
    names = [html.escape(name) for name in next(iter(counts.values()))]
    right = 'style="text-align:right;padding:0 1.25rem 0 0;font-variant-numeric:tabular-nums;font-weight:'
    head = "".join(f'<th scope="col" {right}600">{name}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left;padding:0 1.5rem 0 0;font-weight:400">{split}</th>'
        + "".join(f'<td {right}400">{number:,}</td>' for number in of_class.values())
        + "</tr>"
        for split, of_class in counts.items()
    )
    return f'<table style="border-collapse:collapse;line-height:1.5"><tr><td></td>{head}</tr>{rows}</table>'


def show_photo_set(photo_set: PhotoSet, problems: list[Problem] | None, version: str) -> None:
    """Counts per class and split, a strip of examples, what is wrong if that is known, and all photos on demand."""
    st.html(count_table(photo_set.counts()))
    shown_classes = photo_set.class_names[:EXAMPLES]
    each = EXAMPLES // len(shown_classes)
    with st.container(horizontal=True, gap="xxsmall"):
        for label, name in enumerate(shown_classes):
            paths = tuple(photo.path for photo in photo_set.splits["train"] if photo.label == label)
            for picture in example_pictures(paths[: 4 * each], each, version):
                st.image(picture, width=48, alt=f"An example of {name}")
    if photo_set.is_drawn:
        st.caption("A fifth of each class is kept apart to validate with; photos that look alike stay together.")
    show_left_out(photo_set.folder)
    if problems is not None:
        show_problems(photo_set, problems, version)
    show_grid(photo_set, version)
