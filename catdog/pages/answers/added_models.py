"""The classifiers that a visitor brought along: added, named and removed; each visitor sees only their own."""

import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import streamlit as st

from catdog.errors import CatdogError, Failed, Refused
from catdog.files.folders import models_folder
from catdog.inspection.model_files import MAX_BYTES
from catdog.inspection.model_trial import try_model
from catdog.pages.every_page.words import plain
from catdog.public_mode import is_public

TOKEN_BYTES = 16  # of the name of the folder that a file lies in, so that nobody guesses another's
MOST_MODELS = 3  # of one visitor at a time
KEPT_SECONDS = 24 * 3600.0  # after the page last showed it to its visitor
SHOWN_CLASSES = 4


def may_add() -> bool:
    """Whether visitors may bring classifiers along: not where the app is open to the public."""
    return not is_public()


def own_models() -> dict[str, dict[str, Any]]:
    """What this visitor added and is still there: the description of each file, by its path, the newest last."""
    kept: dict[str, dict[str, Any]] = st.session_state.setdefault("added_models", {})
    for path in [path for path in kept if not Path(path).is_file()]:
        del kept[path]
    return kept


def added_models() -> dict[str, str]:
    """The path of each classifier that this visitor added, with what to call it: file name, classes, image size."""
    if not may_add():
        return {}
    found = {}
    for path, about in own_models().items():
        with suppress(OSError):
            os.utime(Path(path).parent)  # it is in use
        found[path] = f"{Path(path).name}, {class_words(about['class_names'])}, {about['image_size']} pixels"
    return found


def class_words(names: list[str]) -> str:
    """The classes of a classifier, the first few where there are many."""
    if len(names) <= SHOWN_CLASSES:
        return " or ".join(names)
    return f"{', '.join(names[:SHOWN_CLASSES])} or {len(names) - SHOWN_CLASSES:,} more"


def add_model() -> None:
    """Let the visitor add a classifier's file, and remove those that they added."""
    if not may_add():
        return
    for path in added_models():
        show_added(path)
    refusal = st.session_state.get("model_refusal")
    if refusal:
        st.warning(plain(refusal), icon=":material/block:")
    if len(own_models()) >= MOST_MODELS:
        st.caption(f"You have added {MOST_MODELS}: remove one to add another.")
        return
    # A new key empties the uploader, so that what was judged isn't judged again, nor stays in memory.
    count = st.session_state.setdefault("model_count", 0)
    upload = st.file_uploader(
        "A classifier's file",
        type=["keras", "h5"],
        key=f"model_{count}",
        max_upload_size=MAX_BYTES // 1_000_000,
    )
    if not upload:
        st.caption(
            f"A `.keras` or `.h5` file that this program wrote, of at most {MAX_BYTES // 1_000_000} MB. It is opened "
            "first in a process of its own with little time and memory, and kept here until you remove it, "
            "or for a day after your last visit to this page."
        )
        return
    st.session_state["model_count"] = count + 1
    st.session_state["model_refusal"] = None
    with st.spinner(f"Opening {plain(upload.name)} in a process of its own, which takes some ten seconds"):
        try:
            path, about = keep_model(upload)
            own_models()[str(path)] = about
        except CatdogError as error:
            st.session_state["model_refusal"] = str(error)
    st.rerun()


def show_added(path: str) -> None:
    """A way to remove a file that was added."""
    name = f"Remove {plain(Path(path).name)}"
    if st.button(name, icon=":material/delete:", type="tertiary", key=f"remove_{path}", help="Deletes the file here."):
        shutil.rmtree(Path(path).parent, ignore_errors=True)
        st.rerun()


def keep_model(upload: Any) -> tuple[Path, dict[str, Any]]:
    """The path where an uploaded classifier is kept, and what it is.

    Raises `Refused` or `Failed`, and then keeps nothing.
    """
    if upload.size > MAX_BYTES:
        raise Refused(
            f"{upload.name} has {upload.size / 1e6:,.0f} MB, and a classifier may have {MAX_BYTES / 1e6:,.0f} MB: "
            "choose a file that this program wrote."
        )
    remove_unused()
    stem = Path(upload.name).stem[:60]
    safe = "".join(character if character.isalnum() or character in " -_" else "_" for character in stem).strip()
    folder = models_folder() / secrets.token_hex(TOKEN_BYTES)
    path = folder / f"{safe or 'classifier'}{Path(upload.name).suffix.lower()}"
    about = None
    try:
        folder.mkdir(parents=True)
        path.write_bytes(upload.getbuffer())
        about = try_model(path)
    except CatdogError as error:
        # The folder's name is nobody's business.
        raise type(error)(str(error).replace(str(path), upload.name)) from None
    except OSError as error:
        raise Failed(f"{upload.name} could not be kept here ({error.strerror or error}): try again later.") from None
    finally:
        if about is None:
            shutil.rmtree(folder, ignore_errors=True)
    return path, about


def remove_unused() -> None:
    """Remove the files of visitors who have long gone."""
    for folder in models_folder().glob("*/"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
