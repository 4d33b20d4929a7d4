"""Above the button that trains: how long that will take and how much memory it will need, measured when asked for."""

import streamlit as st

from catdog.errors import CatdogError
from catdog.figures import duration, gigabytes
from catdog.learning.expectation import TASK, Expectation, expected, find_estimate
from catdog.pages.every_page.visitor import owner
from catdog.pages.every_page.words import plain
from catdog.runs import jobs, trials
from catdog.settings import TrainConfig

POLL_SECONDS = 1.0


def show_estimate(config: TrainConfig | None) -> None:
    """What a run of these settings will take, or a button that finds it out."""
    job = find_estimate(config, owner()) if config else None
    if job and job.is_active:
        st.fragment(run_every=POLL_SECONDS)(show_measuring)(job)
        return
    answer = trials.answer_of(job.folder) if job else {}
    found = expected(answer.get("measurement", {}), config) if answer else None
    if found:
        st.markdown(f":material/timer: **{in_short(found)}**", help=in_detail(found, answer))
        return
    if job and job.status["state"] != "done":
        st.caption(plain(job.status["message"]))
    if st.button(
        "Estimate time and memory",
        icon=":material/timer:",
        help="Measures the first steps of a run with these settings, in some seconds. What the network makes of "
        "photos meanwhile is kept, so it is no work lost.",
        type="tertiary",
        disabled=config is None,
        key=f"start_{TASK}",
    ):
        try:
            trials.start(config, TASK, owner())
            st.rerun()
        except CatdogError as error:
            st.error(plain(str(error)), icon=":material/error:")


def show_measuring(job: jobs.Job) -> None:
    """That a measurement is under way; once it has ended, let the whole page know."""
    job = jobs.find_job(job.folder)
    if not job.is_active:
        st.rerun()
    words = job.status["message"] if job.status["state"] == "queued" else ""
    st.markdown(f":material/timer: {plain(words or 'Measuring a small run')} …")


def in_short(found: Expectation) -> str:
    """Time and memory."""
    memory = f", {gigabytes(found.size_bytes)}" if found.size_bytes else ""
    return f"About {duration(found.seconds)}{memory}"


def in_detail(found: Expectation, answer: dict) -> str:
    """What the time is made of, and what had to be left out of it."""
    parts = "\n".join(f"- {name}: {duration(seconds)}" for name, seconds in found.parts.items())
    note = answer["measurement"].get("note")
    return f"Measured on this machine with these photos:\n{parts}\n\n{plain(str(note)) if note else ''}"
