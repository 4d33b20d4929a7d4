"""The other side of the training page: how a run goes, live, and what came of it."""

from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import streamlit as st

from catdog.charts.advice import read_curves
from catdog.charts.curves import learning_curves
from catdog.charts.run_charts import learning_chart
from catdog.charts.sparklines import sparkline
from catdog.errors import CatdogError
from catdog.figures import duration, percent
from catdog.files.json_files import found_in, read_json
from catdog.pages.answers.classifiers import LINK
from catdog.pages.every_page.visitor import owner
from catdog.pages.every_page.words import name_of, plain, told_apart
from catdog.pages.result.export_view import show_export
from catdog.pages.result.result_view import show_result
from catdog.places import PAGES
from catdog.public_mode import is_public
from catdog.runs import jobs
from catdog.runs.course import Course
from catdog.runs.run_folder import H5_FILE, KERAS_FILE, read_config

POLL_SECONDS = 1.0
METRIC_WIDTH = 130  # pixels: four beside each other on a desk, two on a phone
STATE_BADGES = {
    "queued": (":material/schedule:", "gray"),
    "running": (":material/sprint:", "primary"),
    "done": (":material/check:", "green"),
    "stopped": (":material/stop_circle:", "orange"),
    "failed": (":material/error:", "red"),
    "lost": (":material/help:", "orange"),
}


def show_run() -> None:
    """Show the run that this visitor started or chose, else one that is at work, else the newest."""
    found = jobs.list_jobs(owner())
    active = jobs.at_work(found)
    chosen = [job for job in found if job.folder.name == st.session_state.get("shown_run")]
    shown = next(iter([*chosen, *active, *found]), None)
    if shown is None:
        show_nothing_yet()
        return
    if shown.is_active:
        # Whoever watches a run sees how it ends, also when the next one begins at once.
        st.session_state["shown_run"] = shown.folder.name
    choose_run(found, shown)
    # While anything is at work this fragment alone runs again and again; a single one, since each costs by itself.
    polled = bool(active)
    st.fragment(run_every=POLL_SECONDS if polled else None)(show_live)(shown.folder, shown.status["state"], polled)
    if not shown.is_active:
        st.fragment(show_result)(shown.folder)
    show_left_out(shown.folder)
    if shown.has_classifier and not shown.is_active:
        show_files(shown.folder)
        with st.expander("Hand it on", icon=":material/ios_share:"):
            st.fragment(show_export)(str(shown.folder))


def choose_run(found: list[jobs.Job], shown: jobs.Job) -> None:
    """Another run to look at, where there are several."""
    if len(found) < 2:
        return
    names = told_apart({job.folder.name: f"{name_of(job)}, {job.status['state']}" for job in found})
    st.session_state["run_choice"] = shown.folder.name
    st.selectbox(
        "Run to look at",
        list(names),
        format_func=lambda folder: names.get(folder, folder),
        key="run_choice",
        on_change=lambda: st.session_state.update(shown_run=st.session_state["run_choice"]),
        label_visibility="collapsed",
    )


def show_nothing_yet() -> None:
    """What will appear on this side."""
    st.subheader("Your run", anchor=False)
    st.markdown("Nothing has been trained here yet. Press **Train**, and this side shows how the network learns:")
    empty = learning_curves([], 10)
    for measure, column in zip(("loss", "accuracy"), st.columns(2), strict=True):
        column.vega_lite_chart(spec=learning_chart(empty, measure, 10), key=f"empty_{measure}")
    st.caption("Then the result, and the trained classifier to download and to use on the Classify page.")


def show_live(folder: Path, state: str, polled: bool) -> None:
    """Show how a run is now and what else is at work; once its state is another or all is over, draw the page anew."""
    job = jobs.find_job(folder)
    active = jobs.at_work(jobs.list_jobs(owner()))
    if job.status["state"] != state or (polled and not active):
        st.rerun()
    show_heading(job)
    try:
        course = course_of(folder)
    except CatdogError as error:
        st.warning(plain(str(error)), icon=":material/error:")
        return
    if state == "queued":
        show_place(job, active)
    elif state == "running":
        show_progress(job, course)
    else:
        show_ending(job, course)
    for note in course.notes:
        st.caption(plain(note))
    show_others(job, active)
    show_charts(course)


def show_charts(course: Course) -> None:
    """Draw how loss and accuracy went so far, and say what that means."""
    config = course.config
    log = bool(st.session_state.get("log_loss"))
    columns = st.columns(2)
    for measure, column in zip(("loss", "accuracy"), columns, strict=True):
        chart = learning_chart(course.curves, measure, config.head_epochs, config.fine_tune_epochs, log)
        column.vega_lite_chart(spec=chart, key=f"{course.folder.name}_{measure}")
    columns[0].toggle(
        "Logarithmic loss", key="log_loss", persist_state="session", help="Tells small losses from each other."
    )
    events = (each.event for each in course.curves.epochs)
    sentences = read_curves(events, config, jobs.counts_of(course.folder))
    if sentences:
        st.markdown(f":material/insights: {plain(' '.join(sentences))}")


def course_of(folder: Path) -> Course:
    """How a run goes, of which only what is new since the last look is read; raises `Refused` without its settings."""
    course = st.session_state.get("course")
    if course is None or course.folder != folder:
        course = st.session_state["course"] = Course(folder, read_config(folder))
    course.read()
    return course


def show_heading(job: jobs.Job) -> None:
    """Which run this is and in what state."""
    icon, colour = STATE_BADGES[job.status["state"]]
    st.subheader(f"{plain(name_of(job))} :{colour}-badge[{icon} {job.status['state']}]", anchor=False)


def show_place(job: jobs.Job, active: list[jobs.Job]) -> None:
    """What a run waits for, and the way out of the line."""
    if is_public():
        # Whose they are and what they are called is nobody's business.
        count = jobs.place_in_line(job.folder)
        words = "what is before it" if count == 1 else f"the {count} before it"
    else:
        ahead = list(takewhile(lambda other: other.folder != job.folder, active))
        count = len(ahead)
        words = f"{plain(name_of(ahead[0]))}{f' and {count - 1} more' if count > 1 else ''}" if ahead else ""
    if not count:
        st.progress(0.0, "Starting")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Waiting for {words} to end. It begins by itself.")
        take_out(job)


def take_out(job: jobs.Job) -> None:
    """The button that takes a run that waits out of the line."""
    asked = (job.folder / "stop").exists()
    st.button(
        "Take out",
        icon=":material/playlist_remove:",
        disabled=asked,
        help="It can be put back in line with Resume.",
        on_click=jobs.stop,
        args=(job.folder,),
        key=f"take_out_{job.folder.name}",
    )


def show_others(shown: jobs.Job, active: list[jobs.Job]) -> None:
    """The other runs that work or wait, in the order in which they will go on."""
    others = [job for job in active if job.folder != shown.folder]
    if not others:
        return
    st.markdown("**Also at work**" if others[0].status["state"] == "running" else "**Waiting**")
    for job in others:
        waits = job.status["state"] == "queued"
        icon, colour = STATE_BADGES[job.status["state"]]
        with st.container(horizontal=True, vertical_alignment="center"):
            place = f"{place_among(active, job)} in line"
            st.markdown(f"{plain(name_of(job))} :{colour}-badge[{icon} {place if waits else 'running'}]")
            if waits:
                take_out(job)


def place_among(active: list[jobs.Job], job: jobs.Job) -> int:
    """The how manieth a run is that waits, from 1."""
    if is_public():
        return max(jobs.place_in_line(job.folder), 1)
    return sum(each.status["state"] == "queued" for each in active[: active.index(job) + 1])


def show_progress(job: jobs.Job, course: Course) -> None:
    """What the run does now, how long that will take, and the way to stop it."""
    with st.grid(min_column_width=METRIC_WIDTH):
        figure("Accuracy", course.validation("accuracy"), percent, "On validation photos.")
        figure("Loss", course.validation("loss"), lambda loss: f"{loss:.3f}", "On validation photos.")
        figure("Photos per second", course.photos_per_second(), lambda rate: f"{rate:,.0f}", "In this part of the run.")
        figure("Time left", course.seconds_left(), duration, "Of this part of the run.")
    done, words = course.progress()
    bar, button = st.columns([4, 1], vertical_alignment="bottom")
    bar.progress(done, words)
    stopping = (job.folder / "stop").exists()
    button.button(
        "Stopping" if stopping else "Stop",
        icon=":material/stop:",
        disabled=stopping,
        help="Ends after this step and keeps the best epoch so far.",
        on_click=jobs.stop,
        args=(job.folder,),
        width="stretch",
    )


def figure(label: str, values: list[float], write: Callable[[float], str], help_text: str) -> None:
    """A figure with a small line of how it went, of the same height before the first value as after."""
    with st.container(gap=None):
        st.metric(label, write(values[-1]) if values else "–", help=help_text)
        so_far = (
            f"{label} so far: from {write(values[0])} to {write(values[-1])}" if values else f"{label}: no value yet"
        )
        # Not st.html, which leaves SVG out.
        st.markdown(sparkline(values, so_far), unsafe_allow_html=True)


def show_ending(job: jobs.Job, course: Course) -> None:
    """What came of a run that has ended."""
    state, message, result = job.status["state"], plain(job.status["message"]), course.result
    report = read_json(job.folder / "report.json")
    photos = found_in(report, "photos", kind=int)
    split = found_in(report, "split", kind=str) or "validation"
    if state == "failed":
        st.error(message, icon=":material/error:")
    if state in ("failed", "stopped", "lost"):
        with st.container(horizontal=True, vertical_alignment="center"):
            if state != "failed":
                st.markdown(message)
            if st.button("Resume", icon=":material/resume:", help="Goes on where the run was."):
                try:
                    jobs.resume(job.folder)
                    st.session_state["shown_run"] = job.folder.name
                    st.rerun()
                except CatdogError as error:
                    st.warning(plain(str(error)))
    if result and photos:
        with st.grid(min_column_width=METRIC_WIDTH):
            st.metric("Accuracy", percent(result["accuracy"]), help=f"Of {photos:,} {split} photos.")
            st.metric("Loss", f"{result['loss']:.3f}", help=f"On {split} photos.")
            st.metric("Epochs", result["epochs"])
            st.metric("Took", duration(result["seconds"]))
        right = round(result["accuracy"] * photos)
        st.caption(plain(f"{right:,} of {photos:,} {split} photos were given their own class."))


def show_left_out(folder: Path) -> None:
    """The photos that could not be read, with the reasons."""
    written = found_in(read_json(folder / "config.json"), "photos", "left_out", kind=list) or []
    left_out = [each for each in written if isinstance(each, dict)]
    if left_out:
        words = "1 photo was left out" if len(left_out) == 1 else f"{len(left_out)} photos were left out"
        with st.expander(words, icon=":material/report:"):
            for each in left_out[:100]:
                st.markdown(f"- {plain(str(each.get('path')))}: {plain(str(each.get('reason')))}")


def show_files(folder: Path) -> None:
    """The trained classifier to download, and the way to use it."""
    with st.container(horizontal=True, vertical_alignment="center"):
        for name, words in ((KERAS_FILE, "Download .keras"), (H5_FILE, "Download .h5")):
            path = folder / name
            if path.is_file():
                size = path.stat().st_size / 1e6
                st.download_button(
                    words,
                    data=path.read_bytes,  # called when somebody clicks, not before
                    file_name=name,
                    on_click="ignore",
                    icon=":material/download:",
                    help=f"{size:.0f} MB, a plain Keras model: RGB pixels from 0 to 255 in, probabilities out.",
                    key=f"download_{name}",
                )
        st.page_link(
            PAGES / "classify.py",
            label="Classify photos with it",
            icon=":material/arrow_forward:",
            query_params={LINK: folder.name},
        )
