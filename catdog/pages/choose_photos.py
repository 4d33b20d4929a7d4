"""The first part of the training page: where the photos come from, and what is in them."""

import html
import os
import secrets
import shutil
import tempfile
import zipfile
from pathlib import Path

import streamlit as st
from PIL import Image

from catdog.errors import CatdogError, Refused
from catdog.folders import allowed_folder, allowed_roots, is_allowed, photo_folders_root
from catdog.pages.words import plain
from catdog.photo_sets import SPLIT_FOLDERS, LeftOut, PhotoSet, find_photo_set
from catdog.photos import ENDINGS, read_ahead
from catdog.samples import TUTORIAL_BYTES, draw_photo_set, fetch_tutorial_photos

SOURCES = {"folder": "Folder", "upload": "Upload", "tutorial": "Tutorial", "drawings": "Drawings"}
EXAMPLES = 8  # of all classes together: one row
EXAMPLE_SIZE = 96  # pixels
# At this size every photo is read once to find the broken ones; more would only take longer.
CHECK_SIZE = 32
LAYOUT_WORDS = "`train/cats`, `train/dogs`, `validation/cats`, `validation/dogs`, or just `cats` and `dogs`"


def choose_photos(seed: int) -> PhotoSet | None:
    """Let the visitor choose photos and show what is in them; None until there are some to train on."""
    default = "folder" if Path("data").is_dir() else "drawings"
    source = st.segmented_control(
        "Where from",
        list(SOURCES),
        format_func=lambda name: SOURCES[name],
        default=default,
        key="photo_source",
        persist_state="session",
        label_visibility="collapsed",
        width="stretch",
    )
    chooser = {"folder": from_folder, "upload": from_upload, "tutorial": from_tutorial, "drawings": from_drawings}
    try:
        folder = chooser[source or default]()
        if folder is None:
            return None
        version = folder_version(folder)
        link = find_link_out(folder, version) if source == "folder" else None
        if link:
            raise Refused(f"{link} is a link that leads out of the folders this app may read: remove it.")
        photo_set = read_photo_set(folder, seed, version)
    except CatdogError as error:
        st.warning(plain(str(error)), icon=":material/folder_off:")
        return None
    show_photo_set(photo_set, version)
    return photo_set


def from_folder() -> Path | None:
    """A folder below the allowed roots."""
    options = suggested_folders()
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
    return allowed_folder(folder)


def suggested_folders() -> list[str]:
    """Folders up to two levels below the allowed roots that look like photo sets, `data` first."""
    found = []
    for root in allowed_roots():
        for pattern in ("*/train", "*/*/train", "train"):
            found += [path.parent for path in root.glob(pattern) if path.is_dir() and is_allowed(path)]
    here = Path.cwd()
    names = [str(path.relative_to(here)) if path.is_relative_to(here) else str(path) for path in found]
    hidden = [name for name in names if any(part.startswith(".") and part != "." for part in Path(name).parts)]
    return sorted(set(names) - set(hidden), key=lambda name: (name != "data", name))[:50]


@st.cache_data(ttl=300, max_entries=16, show_spinner="Looking through the photos")
def find_link_out(folder: Path, version: str) -> Path | None:
    """The first link in a folder that leads out of the allowed roots, before anything behind it is read."""
    for parent, folders, names in os.walk(folder):
        for path in (Path(parent, name) for name in sorted(folders + names)):
            if path.is_symlink() and not is_allowed(path):
                return path
    return None


def from_upload() -> Path | None:
    """A zip or a folder that the visitor uploads, unpacked to a place of its own."""
    uploaded = st.session_state.get("uploaded_photos")
    if uploaded and uploaded.is_dir():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/check_circle: {plain(uploaded.name[7:])}")
            if st.button("Remove upload", icon=":material/delete:", type="tertiary"):
                shutil.rmtree(uploaded, ignore_errors=True)
                del st.session_state["uploaded_photos"]
                st.rerun()
        return uploaded
    # A new key empties the uploader, so that what was unpacked doesn't stay in memory as well.
    count = st.session_state.setdefault("upload_count", 0)
    left, right = st.columns(2)
    archive = left.file_uploader("A zip of photos", type="zip", key=f"zip_{count}")
    files = right.file_uploader(
        "A folder of photos",
        type=sorted(ending.removeprefix(".") for ending in ENDINGS),
        accept_multiple_files="directory",
        key=f"files_{count}",
    )
    if not archive and not files:
        st.caption(f"With {LAYOUT_WORDS} inside. Other class names work too.")
        return None
    name = Path(archive.name).stem if archive else Path(files[0].name).parts[0]
    with st.spinner("Unpacking the photos"):
        folder = unpack_upload(name, archive, files)
    st.session_state.update(uploaded_photos=folder, upload_count=count + 1)
    st.rerun()
    return None


def unpack_upload(name: str, archive, files) -> Path:
    """Unpack an uploaded zip, or the files of an uploaded folder, into a new folder; raises `Refused`."""
    from catdog.archives import unpack_photos

    safe = "".join(character if character.isalnum() or character in " -_" else "_" for character in name)[:60]
    folder = photo_folders_root() / "uploads" / f"{secrets.token_hex(3)}-{safe.strip() or 'photos'}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    if archive:
        unpack_photos(archive, folder, name=archive.name)
        return folder
    # A folder's files go the way of an archive, so that one piece of code judges names and sizes.
    with tempfile.TemporaryFile() as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as writer:
            for file in files:
                writer.writestr(file.name, file.getbuffer())
        unpack_photos(packed, folder, name=name)
    return folder


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
    folders = [folder, *(path for pattern in ("*", "*/*") for path in folder.glob(pattern) if path.is_dir())]
    return f"{folder.resolve()} {sorted(path.stat().st_mtime_ns for path in folders if path.exists())}"


# Each is kept for as long as the version is the same, and for some minutes in case it did not tell.
@st.cache_data(ttl=300, max_entries=16, show_spinner="Looking through the photos")
def read_photo_set(folder: Path, seed: int, version: str) -> PhotoSet:
    """The photo set of a folder."""
    return find_photo_set(folder, seed)


@st.cache_data(ttl=300, max_entries=16, show_spinner="Reading every photo once to find broken ones")
def find_unreadable(paths: tuple[Path, ...], version: str) -> list[LeftOut]:
    """The photos among these that can't be read."""
    return [LeftOut(photo.source, photo.reason) for photo in read_ahead(paths, CHECK_SIZE) if photo.reason]


@st.cache_data(ttl=300, max_entries=64, show_spinner=False)
def example_photos(paths: tuple[Path, ...], count: int, version: str) -> list[Image.Image]:
    """Small pictures of the first few of these photos that can be read."""
    examples = []
    for photo in read_ahead(paths, EXAMPLE_SIZE):
        if photo.pixels is not None:
            examples.append(Image.fromarray(photo.pixels))
        if len(examples) == count:
            break
    return examples


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


def show_photo_set(photo_set: PhotoSet, version: str) -> None:
    """Counts per class and split, a strip of examples, and what will be left out."""
    st.html(count_table(photo_set.counts()))
    shown_classes = photo_set.class_names[:EXAMPLES]
    each = EXAMPLES // len(shown_classes)
    with st.container(horizontal=True, gap="xxsmall"):
        for label, name in enumerate(shown_classes):
            paths = tuple(photo.path for photo in photo_set.splits["train"] if photo.label == label)
            for picture in example_photos(paths[: 4 * each], each, version):
                st.image(picture, width=48, alt=f"An example of {name}")
    if not any(child.name.lower() in SPLIT_FOLDERS for child in photo_set.folder.iterdir()):
        st.caption("A fifth of each class is kept apart to validate with.")
    paths = tuple(photo.path for photos in photo_set.splits.values() for photo in photos)
    unreadable = find_unreadable(paths, version)
    if unreadable:
        words = (
            "1 photo can't be read and is"
            if len(unreadable) == 1
            else f"{len(unreadable)} photos can't be read and are"
        )
        with st.expander(f"{words} left out", icon=":material/report:"):
            for left_out in unreadable[:100]:
                st.markdown(f"- {plain(str(left_out.path.relative_to(photo_set.folder)))}: {plain(left_out.reason)}")
            if len(unreadable) > 100:
                st.caption(f"And {len(unreadable) - 100:,} more.")
