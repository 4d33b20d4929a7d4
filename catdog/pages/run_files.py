"""A run as one file: taken along from the runs page, and added there again, here or elsewhere."""

from tempfile import TemporaryFile

import streamlit as st

from catdog.errors import CatdogError
from catdog.exports.packed_runs import ENDING, WHAT_TRAVELS, file_name_of, pack_run, unpack_run
from catdog.pages.every_page.words import name_of, plain
from catdog.public_mode import is_public
from catdog.runs import jobs

MOST_MEGABYTES = 400  # a ResNet-50 has 95, and what else there is of a run seldom 20


def offer_file(job: jobs.Job) -> None:
    """The button that downloads a run as one file, where it has a classifier to take along."""
    if job.is_active or not job.has_classifier:
        return
    st.download_button(
        "Take along",
        data=lambda: content_of(job),  # made when somebody clicks, not before
        file_name=file_name_of(job.folder),
        mime="application/zip",
        on_click="ignore",
        icon=":material/download:",
        help=f"One file with {WHAT_TRAVELS.removesuffix('.')}. This page adds it again, here or elsewhere.",
        key=f"pack_{job.folder.name}",
    )


def content_of(job: jobs.Job) -> bytes:
    """A run's file."""
    with TemporaryFile() as file:
        pack_run(job.folder, file)
        file.seek(0)
        return file.read()


def add_run() -> None:
    """Let the visitor add a run from its file; not where the app is open to the public."""
    if is_public():
        return
    added = st.session_state.pop("added_run", None)
    if added:
        st.toast(f"{plain(added)} was added.", icon=":material/check:")
    with st.expander("Add a run from a file", icon=":material/upload:", expanded="run_refusal" in st.session_state):
        refusal = st.session_state.pop("run_refusal", None)
        if refusal:
            st.warning(plain(refusal), icon=":material/block:")
        # A new key empties the uploader, so that what was added isn't added again, nor stays in memory.
        count = st.session_state.setdefault("run_file_count", 0)
        upload = st.file_uploader("A run's file", type=["zip"], key=f"run_file_{count}", max_upload_size=MOST_MEGABYTES)
        if not upload:
            st.caption(
                f"A file that *Take along* or `python -m catdog pack` wrote, whose name ends in `{ENDING}`. The "
                "classifier in it is opened first in a process of its own with little time and memory. Photos are not "
                "in it: mistakes are shown without, unless the photos lie below the working folder as they did there."
            )
            return
        st.session_state["run_file_count"] = count + 1
        with st.spinner(f"Opening {plain(upload.name)}, which takes some ten seconds"):
            try:
                folder = unpack_run(upload, name=upload.name)
                st.session_state["added_run"] = name_of(jobs.find_job(folder))
            except CatdogError as error:
                st.session_state["run_refusal"] = str(error)
        st.rerun()
