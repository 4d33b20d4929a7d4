"""The photo sets that a visitor uploaded: added, listed, chosen and removed; each visitor sees only their own."""

import secrets
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import streamlit as st

from catdog.errors import CatdogError
from catdog.folders import photo_folders_root
from catdog.pages.words import HASH_OF_NAMES, plain
from catdog.photo_sets import photos_below
from catdog.photos import ENDINGS

LAYOUT_WORDS = "`train/cats`, `train/dogs`, `validation/cats`, `validation/dogs`, or just `cats` and `dogs`"
TOKEN_BYTES = 3  # before an upload's name, so that nobody guesses another's folder


def from_upload() -> Path | None:
    """The upload that the visitor chose among their own, if there is one; and the way to add another."""
    uploads = [folder for folder in own_uploads() if folder.is_dir()]
    st.session_state["uploads"] = uploads
    chosen = choose_upload(uploads) if uploads else None
    if uploads:
        with st.expander("Upload more photos", icon=":material/upload:"):
            add_upload()
    else:
        add_upload()
    return chosen


def own_uploads() -> list[Path]:
    """The folders of what this visitor uploaded, the newest last."""
    return st.session_state.setdefault("uploads", [])


def choose_upload(uploads: list[Path]) -> Path:
    """Let the visitor choose one of their uploads, and remove it if they want to."""
    if st.session_state.get("chosen_upload") not in uploads:
        st.session_state["chosen_upload"] = uploads[-1]
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = st.radio(
            "Your uploads",
            uploads,
            format_func=upload_words,
            key="chosen_upload",
            persist_state="session",
            label_visibility="collapsed",
        )
        if st.button("Remove upload", icon=":material/delete:", type="tertiary", help="Deletes its photos here."):
            shutil.rmtree(chosen, ignore_errors=True)
            st.session_state["uploads"] = [folder for folder in uploads if folder != chosen]
            st.session_state.pop("chosen_upload")
            st.rerun()
    return chosen


def upload_words(folder: Path) -> str:
    """An upload's name and how many photos it has, as Markdown."""
    count = count_photos(folder, folder.stat().st_mtime if folder.exists() else 0.0)
    return f"{plain(folder.name[2 * TOKEN_BYTES + 1 :])} · {count:,} {'photo' if count == 1 else 'photos'}"


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=HASH_OF_NAMES)
def count_photos(folder: Path, changed: float) -> int:
    """How many photos a folder has."""
    try:
        return len(photos_below(folder))
    except CatdogError:
        return 0


def add_upload() -> None:
    """Take a zip or a folder, and unpack it to a place of its own; raises `Refused` or `Failed`."""
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
        return
    name = Path(archive.name).stem if archive else Path(files[0].name).parts[0]
    with st.spinner("Unpacking the photos"):
        folder = unpack_upload(name, archive, files)
    st.session_state["uploads"] = [*own_uploads(), folder]
    st.session_state.pop("chosen_upload", None)  # the new one then is
    st.session_state["upload_count"] = count + 1
    st.rerun()


def unpack_upload(name: str, archive: Any, files: list[Any]) -> Path:
    """Unpack an uploaded zip, or the files of an uploaded folder, into a new folder; raises `Refused` or `Failed`."""
    from catdog.archives import unpack_photos

    safe = "".join(character if character.isalnum() or character in " -_" else "_" for character in name)[:60]
    folder = photo_folders_root() / "uploads" / f"{secrets.token_hex(TOKEN_BYTES)}-{safe.strip() or 'photos'}"
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
