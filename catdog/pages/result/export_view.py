"""A classifier to hand on: in which format, how the export compared with it, the file, and how to use it."""

from pathlib import Path

import streamlit as st

from catdog.errors import CatdogError
from catdog.exports import export_jobs
from catdog.exports.export_jobs import Wanted
from catdog.exports.formats import FORMATS, Export, check_choice, snippet
from catdog.files.shelves import readable_size
from catdog.pages.every_page.visitor import owner
from catdog.pages.every_page.words import plain
from catdog.runs import jobs

POLL_SECONDS = 1.0


def show_export(source: str) -> None:
    """Let the visitor export the classifier of a run's folder, or `starter`, and show what there is of it."""
    name = Path(source).name
    chosen = st.selectbox(
        "Format",
        list(FORMATS),
        format_func=lambda each: FORMATS[each].title,
        key=f"export_format_{name}",
    )
    st.caption(f"{FORMATS[chosen].title} is {FORMATS[chosen].purpose}.")
    quantize = chosen == "litert" and st.toggle(
        "Quantize",
        key=f"quantize_{name}",
        help="Weights of 8 bits: a third of the size, and faster on most devices. Probabilities may differ by 0.05.",
    )
    wanted = Wanted(source, chosen, quantize)
    job = export_jobs.newest_job(wanted, owner())
    active = bool(job and job.is_active)
    st.fragment(run_every=POLL_SECONDS if active else None)(show_state)(wanted, active)


def show_state(wanted: Wanted, was_active: bool) -> None:
    """Show an export, or how its making goes, or the button that makes it."""
    job = export_jobs.newest_job(wanted, owner())
    active = bool(job and job.is_active)
    if was_active and not active:
        st.rerun()
    export = export_jobs.find_export(wanted)
    if active:
        show_progress(job)
    elif export:
        show_file(export)
    else:
        if job and job.status["state"] != "done":
            st.warning(plain(job.status["message"]), icon=":material/error:")
        offer(wanted)


def show_progress(job: jobs.Job) -> None:
    """What is being done, and the way to stop it."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/hourglass_top: {plain(job.status['message'] or 'Starting ...')}")
        stopping = (job.folder / "stop").exists()
        st.button(
            "Stopping" if stopping else "Stop",
            icon=":material/stop:",
            disabled=stopping,
            on_click=jobs.stop,
            args=(job.folder,),
            key=f"stop_{job.folder.name}",
        )


def show_file(export: Export) -> None:
    """How an export compared, the file to download, and a program that uses it."""
    file = Path(export.file)
    st.markdown(plain(export.sentence))
    st.download_button(
        f"Download {file.name}",
        data=file.read_bytes,  # called when somebody clicks, not before
        file_name=file.name,
        on_click="ignore",
        icon=":material/download:",
        help=readable_size(export.bytes),
        key=f"download_export_{file}",
    )
    unpack = "unpack it and " if file.suffix == ".zip" else ""
    st.markdown(f"Where Catdog isn't installed, {unpack}`pip install {FORMATS[export.format].packages}`, and then:")
    st.code(snippet(export.format, file.name.removesuffix(".zip")), language="python")


def offer(wanted: Wanted) -> None:
    """The button that makes an export, or what is missing for it."""
    try:
        check_choice(wanted.format, wanted.quantize)
    except CatdogError as error:
        st.info(plain(str(error)), icon=":material/info:")
        return
    pressed = st.button(
        f"Write it as {FORMATS[wanted.format].title}",
        icon=":material/ios_share:",
        help="Writes the file, loads it again and compares its answers with the classifier's before it is offered.",
        key=f"export_{Path(wanted.source).name}_{wanted.format}_{wanted.quantize}",
    )
    if pressed:
        try:
            export_jobs.start(wanted, owner())
        except CatdogError as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
        st.rerun()
