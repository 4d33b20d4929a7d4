"""The photo sets that a visitor uploaded: added, listed, chosen and removed; each visitor sees only their own."""

import secrets
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import streamlit as st

from catdog.errors import CatdogError, Refused
from catdog.figures import counted
from catdog.files.folders import entries_of, remove_unfinished, uploads_folder
from catdog.pages.every_page.visitor import owner
from catdog.pages.every_page.words import HASH_OF_NAMES, plain
from catdog.photos.photo_sets import photos_below
from catdog.photos.reading import ENDINGS
from catdog.public_mode import is_public, limits
from catdog.runs.owners import note_visit
from catdog.runs.run_folder import runs_folder

LAYOUT_WORDS = "`train/cats`, `train/dogs`, `validation/cats`, `validation/dogs`, or just `cats` and `dogs`"
TOKEN_BYTES = 3  # before an upload's name, so that nobody guesses another's folder


def from_upload() -> Path | None:
    """The upload that the visitor chose among their own, if there is one; and the way to add another."""
    uploads = [folder for folder in own_uploads() if folder.is_dir()]
    st.session_state["uploads"] = uploads
    chosen = choose_upload(uploads) if uploads else None
    if is_public() and len(uploads) >= limits().uploads:
        st.caption(full_words())
    elif uploads:
        with st.expander("Upload more photos", icon=":material/upload:"):
            add_upload()
    else:
        add_upload()
    return chosen


def own_uploads() -> list[Path]:
    """The folders of what this visitor uploaded, the newest last."""
    if is_public():
        # Whoever comes back finds theirs again.
        found = (path for path in entries_of(uploads_folder(owner())) if not path.name.startswith("."))
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))
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
        # A browser may send what no list offers.
        chosen = chosen if chosen in uploads else uploads[-1]
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
    largest = limits().upload_megabytes if is_public() else None
    archive = left.file_uploader("A zip of photos", type="zip", key=f"zip_{count}", max_upload_size=largest)
    files = right.file_uploader(
        "A folder of photos",
        type=sorted(ending.removeprefix(".") for ending in ENDINGS),
        accept_multiple_files="directory",
        key=f"files_{count}",
        max_upload_size=largest,
    )
    refusal = st.session_state.pop("upload_refusal", None)
    if refusal:
        st.warning(plain(refusal), icon=":material/block:")
    if not archive and not files:
        st.caption(f"With {LAYOUT_WORDS} inside. Other class names work too.{limit_words()}")
        return
    name = Path(archive.name).stem if archive else next(iter(Path(files[0].name).parts), "")
    try:
        with st.spinner("Unpacking the photos"):
            folder = unpack_upload(name, archive, files)
    except CatdogError as error:
        if not is_public():
            raise
        # What is refused doesn't stay in the memory that all visitors share.
        st.session_state.update(upload_refusal=str(error), upload_count=count + 1)
        st.rerun()
    st.session_state["uploads"] = [*own_uploads(), folder]
    st.session_state.pop("chosen_upload", None)  # the new one then is
    st.session_state["upload_count"] = count + 1
    st.rerun()


def bounds_of(name: str, files: list[Any]) -> dict[str, int]:
    """What an upload may unpack to where the app is open to the public; raises `Refused` for one that is too large."""
    if not is_public():
        return {}
    allowed = limits()
    most_bytes, size = allowed.upload_megabytes * 1_000_000, sum(file.size for file in files)
    if size > most_bytes:
        raise Refused(
            f"{name} has {size / 1e6:,.0f} MB, and an upload may have {allowed.upload_megabytes:,} MB: "
            "choose fewer or smaller photos."
        )
    if len(own_uploads()) >= allowed.uploads:
        raise Refused(full_words())
    return {"max_bytes": most_bytes, "max_files": 2 * allowed.photos}


def full_words() -> str:
    """That a visitor has as many uploads as are kept."""
    return f"You have {counted(limits().uploads, 'upload')}, as many as are kept: remove one to add another."


def limit_words() -> str:
    """How much a visitor may upload where the app is open to the public, and how long that is kept."""
    if not is_public():
        return ""
    allowed = limits()
    return (
        f" At most {allowed.photos:,} photos of together {allowed.upload_megabytes:,} MB, which nobody else sees, and "
        f"which are removed {counted(allowed.hours, 'hour')} after your last visit."
    )


def unpack_upload(name: str, archive: Any, files: list[Any]) -> Path:
    """Unpack an uploaded zip, or the files of an uploaded folder, into a new folder; raises `Refused` or `Failed`."""
    from catdog.photos.archives import unpack_photos

    if is_public():
        note_visit(runs_folder(), owner(), stays=True)
    safe = "".join(character if character.isalnum() or character in " -_" else "_" for character in name)[:60]
    folder = uploads_folder(owner()) / f"{secrets.token_hex(TOKEN_BYTES)}-{safe.strip() or 'photos'}"
    bounds = bounds_of(name, [archive] if archive else files)
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(folder.parent)
    if archive:
        unpack_photos(archive, folder, name=archive.name, **bounds)
        return folder
    # A folder's files go the way of an archive, so that one piece of code judges names and sizes.
    with tempfile.TemporaryFile() as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as writer:
            for file in files:
                writer.writestr(file.name, file.getbuffer())
        unpack_photos(packed, folder, name=name, **bounds)
    return folder
