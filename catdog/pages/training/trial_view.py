"""Under the settings of the training page: questions that a trial of seconds answers before training."""

import math
from typing import Any

import streamlit as st

from catdog.charts.trial_charts import rates_chart, shares_chart
from catdog.errors import CatdogError
from catdog.figures import decimal
from catdog.files.json_files import found_in
from catdog.pages.every_page.visitor import owner
from catdog.pages.every_page.words import plain
from catdog.pages.training.settings_form import fill_form
from catdog.runs import jobs, trials
from catdog.runs.events import read_events
from catdog.runs.progress import PHASE_WORDS
from catdog.settings import SETTINGS, TrainConfig, rate_steps

POLL_SECONDS = 1.0
BUTTONS = {
    "rates": ("Find a rate", ":material/search:", "Trains the head with each rate for a few epochs."),
    "learning-curve": (
        "More photos or epochs?",
        ":material/stacked_line_chart:",
        "Trains the head on a quarter, a half, three quarters and all of the photos.",
    ),
}


def show_trials(config: TrainConfig | None) -> None:
    """Offer the trials for these settings, and show those that hold for them; none where something is missing."""
    with st.expander("Try before you train", icon=":material/experiment:"):
        with st.container(horizontal=True):
            for task, (label, icon, help_text) in BUTTONS.items():
                found = config and trials.newest(task, config, owner())
                busy = bool(found and found.is_active)
                if st.button(label, icon=icon, help=help_text, disabled=config is None or busy, key=f"start_{task}"):
                    start(task, config)
        if config is None:
            st.caption("Choose photos and valid settings first.")
            return
        for task in BUTTONS:
            job = trials.newest(task, config, owner())
            if job:
                st.fragment(run_every=POLL_SECONDS if job.is_active else None)(show_trial)(task, job, job.is_active)


def start(task: str, config: TrainConfig) -> None:
    """Start a trial, or say why that can't be."""
    try:
        trials.start(config, task, owner())
    except CatdogError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    st.rerun()


def show_trial(task: str, job: jobs.Job, was_active: bool) -> None:
    """Show how a trial goes, or what it found; once it has ended, let the whole page know."""
    job = jobs.find_job(job.folder)
    if was_active and not job.is_active:
        st.rerun()
    answer = trials.answer_of(job.folder)
    events = read_events(job.folder)[0]
    tried = [event for event in events if event["event"] == ("rate" if task == "rates" else "share") and is_sane(event)]
    if job.is_active:
        show_progress(job, events)
    elif job.status["state"] != "done" or "sentence" not in answer:
        st.warning(plain(job.status["message"]) or "Its answer is damaged: try again.", icon=":material/error:")
        return
    if len(tried) > 1:
        suggested = found_in(answer, "learning_rate", kind=float)
        st.altair_chart(rates_chart(tried, suggested) if task == "rates" else shares_chart(tried), key=f"chart_{task}")
    if "sentence" in answer:
        st.markdown(plain(str(answer["sentence"])))
    if task == "rates" and answer:
        offer(answer)


def is_sane(event: dict[str, Any]) -> bool:
    """Whether an event's numbers can be drawn: anyone may have changed the file."""
    return all(0 <= value < math.inf for value in event.values() if isinstance(value, float))


def show_progress(job: jobs.Job, events: list[dict[str, Any]]) -> None:
    """What a trial does now, and the way to stop it."""
    latest = next((event for event in reversed(events) if event["event"] in ("phase", "progress")), {})
    phase = next((event["phase"] for event in reversed(events) if event["event"] == "phase"), None)
    words = PHASE_WORDS.get(phase, "") or job.status["message"] or "Starting"
    done = 0.0
    if latest.get("event") == "progress" and latest.get("total"):
        done = latest["done"] / latest["total"]
        words = f"{words}: {latest['done']:,} of {latest['total']:,}"
    bar, button = st.columns([4, 1], vertical_alignment="bottom")
    bar.progress(min(done, 1.0), words)
    if button.button("Stop", icon=":material/stop:", key=f"stop_{job.folder.name}", width="stretch"):
        jobs.stop(job.folder)


def offer(answer: dict[str, Any]) -> None:
    """A button that puts the suggested rate into the form."""
    rate = found_in(answer, "learning_rate", kind=float)
    if rate not in rate_steps(SETTINGS["head_learning_rate"]):
        return  # Somebody changed the file.
    if st.session_state.get("head_learning_rate") == rate:
        st.caption("The form has this rate.")
    elif st.button(f"Use {decimal(rate)}", icon=":material/check:"):
        fill_form({"head_learning_rate": rate})
        st.rerun()
