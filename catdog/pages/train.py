"""The training page: choose photos and settings on one side, watch the run on the other."""

import streamlit as st

from catdog.errors import CatdogError
from catdog.pages.choose import corrections
from catdog.pages.choose.choose_photos import choose_photos, folder_version
from catdog.pages.choose.photo_problems import look_through
from catdog.pages.every_page.visitor import owner
from catdog.pages.every_page.words import plain
from catdog.pages.training.estimate_view import show_estimate
from catdog.pages.training.run_view import show_run
from catdog.pages.training.settings_form import choose_preset, learning_settings, more_settings, network_settings
from catdog.pages.training.trial_view import show_trials
from catdog.runs import jobs
from catdog.settings import SETTINGS, TrainConfig


def show_train_button(config: TrainConfig | None) -> None:
    """The button that starts a run of these settings; it can't be pressed where something is missing."""
    if st.button(
        "Train",
        type="primary",
        icon=":material/play_arrow:",
        disabled=config is None,
        help="Choose photos and valid settings first." if config is None else None,
        width="stretch",
    ):
        try:
            run_folder = jobs.start(config, owner())
            st.session_state["shown_run"] = run_folder.name
        except CatdogError as error:
            st.error(plain(str(error)), icon=":material/error:")


settings_side, run_side = st.columns([5, 7], gap="large")

with settings_side:
    st.subheader("1 Photos", anchor=False)
    photo_set = choose_photos(st.session_state.get("seed", SETTINGS["seed"].default))
    below_photos = st.container()
    config = None
    try:
        st.subheader("2 Settings", anchor=False)
        choose_preset()
        settings = network_settings(len(photo_set.class_names) if photo_set else 2)
        settings |= learning_settings()
        button_place = st.container()
        settings |= more_settings()
        if photo_set is not None:
            settings["leave_out"] = corrections.left_out_of(photo_set.folder)
            settings["relabel"] = corrections.relabelled_of(photo_set.folder)
            config = TrainConfig(data=str(photo_set.folder), **settings)
    except CatdogError as error:
        button_place = st.container()
        st.warning(plain(str(error)), icon=":material/error:")
    show_trials(config)
    with button_place:
        estimate_side, train_side = st.columns([3, 2], vertical_alignment="center")
        with estimate_side:
            show_estimate(config)
        with train_side:
            show_train_button(config)

with run_side:
    show_run()

if photo_set is not None:
    with below_photos:
        look_through(photo_set.folder, folder_version(photo_set.folder))
