"""The other side of the training page: how a run goes, live, and what came of it."""

from pathlib import Path
from typing import Any

import streamlit as st

from catdog import jobs
from catdog.charts import learning_chart, learning_curves
from catdog.errors import CatdogError
from catdog.figures import duration, percent
from catdog.pages.words import moment, plain
from catdog.progress import PHASE_WORDS
from catdog.runs import H5_FILE, KERAS_FILE, found_in, read_config, read_events, read_json
from catdog.settings import TrainConfig

POLL_SECONDS = 1.0
CHART_SECONDS = 2.0
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
    found = jobs.list_jobs()
    shown = next((job for job in found if job.folder.name == st.session_state.get("shown_run")), None)
    shown = shown or next((job for job in found if job.is_active), None) or next(iter(found), None)
    if shown is None:
        show_nothing_yet()
        return
    # While it is at work, these fragments alone run again and again; the charts seldom, since they cost the most.
    active = shown.is_active
    st.fragment(run_every=POLL_SECONDS if active else None)(show_state)(shown.folder, active)
    st.fragment(run_every=CHART_SECONDS if active else None)(show_charts)(shown.folder)
    show_left_out(shown.folder)
    if shown.has_classifier and not active:
        show_files(shown.folder)


def show_nothing_yet() -> None:
    """What will appear on this side."""
    st.subheader("Your run", anchor=False)
    st.markdown("Nothing has been trained here yet. Press **Train**, and this side shows how the network learns:")
    empty = learning_curves([], 10)
    for measure, column in zip(("loss", "accuracy"), st.columns(2), strict=True):
        column.altair_chart(learning_chart(empty, measure, 10), key=f"empty_{measure}")
    st.caption("Then the result, and the trained classifier to download and to use on the Classify page.")


def show_state(folder: Path, was_active: bool) -> None:
    """Show how a run is now; once it has ended, let the whole page know."""
    job = jobs.find_job(folder)
    if was_active and not job.is_active:
        st.rerun()
    show_heading(job)
    events = new_events(folder)
    try:
        config = read_config(folder)
    except CatdogError as error:
        st.warning(plain(str(error)), icon=":material/error:")
        return
    if job.is_active:
        show_progress(job, config, events)
    else:
        show_ending(job, events)
    for note in dict.fromkeys(event["message"] for event in events if event["event"] == "note"):
        st.caption(plain(note))


def show_charts(folder: Path) -> None:
    """Draw how loss and accuracy went so far."""
    try:
        config = read_config(folder)
    except CatdogError:
        return  # The state above says so.
    curves = learning_curves(new_events(folder), config.head_epochs, config.fine_tune_epochs)
    for measure, column in zip(("loss", "accuracy"), st.columns(2), strict=True):
        chart = learning_chart(curves, measure, config.head_epochs, config.fine_tune_epochs)
        column.altair_chart(chart, key=f"{folder.name}_{measure}")


def new_events(folder: Path) -> list[dict[str, Any]]:
    """All of a run's events, of which only those since the last look are read."""
    kept = st.session_state.get("kept_events")
    if kept is None or kept["folder"] != folder:
        kept = {"folder": folder, "offset": 0, "events": []}
    events, kept["offset"] = read_events(folder, kept["offset"])
    kept["events"] += events
    st.session_state["kept_events"] = kept
    return kept["events"]


def show_heading(job: jobs.Job) -> None:
    """Which run this is and in what state."""
    icon, colour = STATE_BADGES[job.status["state"]]
    started = job.status["started"]
    words = f"Run of {moment(started)}" if started else "Run"
    st.subheader(f"{words} :{colour}-badge[{icon} {job.status['state']}]", anchor=False)


def show_progress(job: jobs.Job, config: TrainConfig, events: list[dict]) -> None:
    """What the run does now, how long that will take, and the way to stop it."""
    epochs = [event for event in events if event["event"] == "epoch"]
    done, words, seconds_left, per_second = progress_now(job, config, events, epochs)
    latest = epochs[-1] if epochs else None
    with st.grid(min_column_width=METRIC_WIDTH):
        st.metric("Accuracy", percent(latest["val_accuracy"]) if latest else "–", help="On validation photos.")
        st.metric("Loss", f"{latest['val_loss']:.3f}" if latest else "–", help="On validation photos.")
        st.metric("Photos per second", f"{per_second:,.0f}" if per_second else "–")
        st.metric("Time left", duration(seconds_left) if seconds_left else "–", help="Of this part of the run.")
    bar, button = st.columns([4, 1], vertical_alignment="bottom")
    bar.progress(done, words)
    stopping = (job.folder / "stop").exists()
    if button.button(
        "Stopping" if stopping else "Stop",
        icon=":material/stop:",
        disabled=stopping,
        help="Ends after this step and keeps the best epoch so far.",
        width="stretch",
    ):
        jobs.stop(job.folder)
        st.rerun(scope="fragment")


def progress_now(
    job: jobs.Job, config: TrainConfig, events: list[dict], epochs: list[dict]
) -> tuple[float, str, float | None, float | None]:
    """The share done of the part that is under way, what it is, the seconds left of it, and photos per second."""
    phase = next((event["phase"] for event in reversed(events) if event["event"] == "phase"), None)
    latest = next((event for event in reversed(events) if event["event"] in ("progress", "step", "phase")), {})
    if job.status["state"] == "queued" or phase is None:
        return 0.0, job.status["message"] or "Starting", None, None
    words = PHASE_WORDS.get(phase, phase)
    if latest["event"] == "progress" and latest.get("total"):
        done, total, rate = latest["done"], latest["total"], latest["per_second"]
        unit = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if phase == "download" else f"{done:,} of {total:,}"
        left = (total - done) / rate if rate else None
        return done / total, f"{words}: {unit}", left, rate if phase == "features" else None
    if latest["event"] == "step":
        planned = config.head_epochs if phase == "head" else config.fine_tune_epochs
        done = latest["epoch"] - 1 + latest["step"] / latest["steps"]
        times = [event["seconds"] for event in epochs if event["phase"] == phase and event["epoch"] < latest["epoch"]]
        seconds = sum(times) / len(times) if times else 0.0
        left = (planned - done) * seconds or None
        # Close enough: an epoch's last batch may be a smaller one, and validation is in its seconds.
        rate = latest["steps"] * config.batch_size / seconds if seconds else None
        return done / planned, f"{words}: epoch {latest['epoch']} of {planned}", left, rate
    return 0.0, words, None, None


def show_ending(job: jobs.Job, events: list[dict]) -> None:
    """What came of a run that has ended."""
    state, message = job.status["state"], plain(job.status["message"])
    result = next((event for event in reversed(events) if event["event"] == "result"), None)
    report = read_json(job.folder / "report.json")
    photos = found_in(report, "photos", kind=int)
    split = found_in(report, "split", kind=str) or "validation"
    if state == "failed":
        st.error(message, icon=":material/error:")
    elif state in ("stopped", "lost"):
        with st.container(horizontal=True, vertical_alignment="center"):
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
        st.page_link("catdog/pages/classify.py", label="Classify photos with it", icon=":material/arrow_forward:")
