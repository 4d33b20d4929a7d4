"""What is kept of a visitor where the app is open to the public: it is said on every page, and removed in time."""

import threading
import time

import streamlit as st

from catdog.figures import counted
from catdog.memory import give_memory_back
from catdog.pages.answers.classifiers import load_once, source_of
from catdog.pages.choose.photo_problems import remembered
from catdog.pages.every_page import visitor
from catdog.public_mode import limits
from catdog.runs import visitors

SWEEP_SECONDS, TRIM_SECONDS = 300.0, 20.0


def kept_words() -> str:
    """What is kept of a visitor, where, and for how long."""
    return (
        "Nobody else sees your photos and runs. Photos to train on, and what was made of them, lie on this server "
        f"until you remove them or until {counted(limits().hours, 'hour')} after your last visit; photos to classify "
        "stay in its memory until you remove them or leave. A cookie tells what is yours."
    )


def show_notice() -> None:
    """What is kept, and the way to remove all of it; at the end of each page."""
    keep_clean()
    st.divider()
    words, button = st.columns([9, 3], vertical_alignment="center", gap="large")
    words.caption(kept_words())
    if button.button("Remove everything of mine", icon=":material/delete:", type="tertiary"):
        ask_to_forget()
    visitor.set_cookie()


@st.dialog("Remove everything of yours?")
def ask_to_forget() -> None:
    """Remove all that the visitor left here once that was confirmed."""
    st.markdown(
        "Your photos, your runs and their classifiers will be gone for good. What is at work is stopped, and goes some "
        "minutes later."
    )
    with st.container(horizontal=True):
        if st.button("Remove for good", type="primary", icon=":material/delete:"):
            begin_anew()
        if st.button("Keep"):
            st.rerun()


def begin_anew() -> None:
    """Remove all that the visitor left here, and take them for a new one."""
    owner = visitor.owner()
    let_go(owner)
    visitors.forget(owner)
    # New keys, or the browser would offer the same photos again.
    emptied = {name: st.session_state.get(name, 0) + 1 for name in ("uploads_emptied", "upload_count")}
    st.session_state.clear()
    st.session_state.update(emptied | {visitor.TOKEN: visitors.new_token()})
    st.rerun()


def let_go(owner: str) -> None:
    """Let the server's memory forget what a visitor left here: pictures, what photos are known by, classifiers."""
    st.cache_data.clear()
    remembered().clear()
    for job in visitors.work_of(owner):
        load_once.clear(source_of(str(job.folder)))


@st.cache_resource(show_spinner=False)
def keep_clean() -> threading.Thread:
    """The server's thread that now and then gives memory back, and removes what visitors left who have long gone."""

    def work() -> None:
        while True:
            visitors.sweep(let_go)
            for _ in range(round(SWEEP_SECONDS / TRIM_SECONDS)):
                time.sleep(TRIM_SECONDS)
                # What the sessions had that ended meanwhile.
                give_memory_back()

    thread = threading.Thread(target=work, daemon=True, name="sweep")
    thread.start()
    return thread
