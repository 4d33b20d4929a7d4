"""The settings of the training page: presets, and a form of every setting, built from their own descriptions."""

import math
from pathlib import Path
from typing import Any

import streamlit as st

from catdog.errors import Refused
from catdog.figures import decimal
from catdog.files.folders import is_allowed
from catdog.network.backbone_files import find_parameters, frozen_stages
from catdog.pages.training.network_picture import network_picture, say_what_learns
from catdog.presets import PRESETS, find_preset
from catdog.public_mode import freeze_depths, is_public, most, within
from catdog.settings import BACKBONES, SETTINGS, check_backbone_name, rate_steps

FREEZE_WORDS = {
    "none": "Nothing frozen",
    "conv1": "conv1",
    "conv2": "conv1 to conv2",
    "conv3": "conv1 to conv3",
    "conv4": "conv1 to conv4",
    "conv5": "All convolutions",
}
BACKBONE_WORDS = {
    "auto": "Automatic",
    "imagenet": "ImageNet (94 MB, fetched once)",
    "starter": "Starter (comes along)",
}
BFLOAT16_WORDS = {"auto": "Where it is faster", "off": "Never"}
AUGMENT_WORDS = {"none": "None", "mirror": "Mirror images"}


def choose_preset() -> None:
    """A row of presets, of which one fills the form; none is chosen where the settings are the visitor's own."""
    st.session_state["preset"] = find_preset(settings_now())
    st.radio(
        "Start from",
        list(PRESETS),
        format_func=lambda name: PRESETS[name].label,
        captions=[preset.summary for preset in PRESETS.values()],
        index=None,
        horizontal=True,
        key="preset",
        label_visibility="collapsed",
        on_change=lambda: fill_form(PRESETS[st.session_state["preset"]].settings),
    )
    chosen = PRESETS.get(st.session_state["preset"])
    st.caption(chosen.explanation if chosen else "Your own settings.")


def settings_now() -> dict[str, Any]:
    """What the form is about to show, before it is drawn."""
    shown = {name: st.session_state.get(name) for name in SETTINGS}
    kept = {name: kept_values().get(name, field.default) for name, field in SETTINGS.items()}
    return {name: kept[name] if value is None else value for name, value in shown.items()}


def network_settings(class_count: int) -> dict[str, Any]:
    """Where to start from and what is frozen, with a picture of it."""
    picture = st.container(gap="xxsmall")
    left, right = st.columns(2)
    fine_tune_epochs = settings_now()["fine_tune_epochs"]
    with left:
        depth = choose_depth(matters=fine_tune_epochs > 0)
    with right:
        backbone = choose("backbone", BACKBONE_WORDS, accept_new_options=not is_public())
    if backbone not in BACKBONES and not is_allowed(Path(backbone)):
        raise Refused(f"{backbone} is not in a folder that this app may read: choose one of {', '.join(BACKBONES)}.")
    check_backbone_name(backbone)
    frozen, parameters = frozen_stages(depth, fine_tune_epochs), find_parameters(backbone)
    # Not st.html, which leaves SVG out.
    picture.markdown(network_picture(frozen, parameters, class_count), unsafe_allow_html=True)
    words = say_what_learns(frozen, fine_tune_epochs, parameters, class_count)
    if words:
        picture.caption(words)
    return {"backbone": backbone, "freeze_depth": depth}


def learning_settings() -> dict[str, Any]:
    """Epochs and learning rates of the two phases."""
    values = {}
    for phase in ("head", "fine_tune"):
        left, right = st.columns(2, vertical_alignment="bottom")
        with left:
            values[f"{phase}_epochs"] = whole_number(f"{phase}_epochs")
        with right:
            values[f"{phase}_learning_rate"] = learning_rate(f"{phase}_learning_rate")
    return values


def more_settings() -> dict[str, Any]:
    """What is seldom changed, under a fold."""
    values = {}
    with st.expander("More settings", icon=":material/tune:"):
        left, right = st.columns(2)
        with left:
            values["image_size"] = whole_number("image_size", step=32)
            values["augment"] = choose("augment", AUGMENT_WORDS)
        with right:
            values["batch_size"] = whole_number("batch_size")
            values["seed"] = whole_number("seed")
        values["bfloat16"] = choose("bfloat16", BFLOAT16_WORDS)
    return values


def fill_form(settings: dict[str, Any]) -> None:
    """Let the form show these settings when it is drawn next; those of its own that are missing stay as they are."""
    for name, value in within(settings).items():
        kept_values()[name] = value
        st.session_state.pop(name, None)


def kept_values() -> dict[str, Any]:
    """What the visitor chose, which Streamlit forgets of a form that isn't drawn, as while another page is open."""
    return st.session_state.setdefault("kept_settings", {})


def choose(name: str, words: dict[str, str], **options: Any) -> str:
    """A choice among a setting's values, each in words."""
    field = SETTINGS[name]
    st.session_state.setdefault(name, kept_values().get(name, field.default))
    chosen = st.selectbox(
        field.metadata["label"],
        list(words),
        format_func=lambda value: words.get(value, value),
        help=field.metadata["help"],
        key=name,
        **options,
    )
    kept_values()[name] = chosen or field.default
    return kept_values()[name]


def choose_depth(matters: bool) -> str:
    """The freeze depth, from nothing to everything; where nothing is fine-tuned, it says that it doesn't matter."""
    field = SETTINGS["freeze_depth"]
    keep_within("freeze_depth")
    kept_values()["freeze_depth"] = st.select_slider(
        field.metadata["label"],
        freeze_depths(),
        format_func=lambda depth: FREEZE_WORDS[depth],
        help=field.metadata["help"] + ("" if matters else " **It matters only where there are fine-tuning epochs.**"),
        disabled=not matters,
        key="freeze_depth",
    )
    return kept_values()["freeze_depth"]


def whole_number(name: str, step: int = 1) -> int:
    """A whole number within a setting's bounds."""
    field, highest = SETTINGS[name], most(name)
    keep_within(name)
    limited = f" Here it is at most {highest:,}." if highest < field.metadata["high"] else ""
    kept_values()[name] = st.number_input(
        field.metadata["label"],
        field.metadata["low"],
        highest,
        step=step,
        help=field.metadata["help"] + limited,
        key=name,
    )
    return kept_values()[name]


def keep_within(name: str) -> None:
    """Let a setting's field show what was chosen, as far as that may be chosen here."""
    wanted = settings_now()[name]
    allowed = within({name: wanted})[name]
    if name not in st.session_state or allowed != wanted:
        st.session_state[name] = allowed


def learning_rate(name: str) -> float:
    """A learning rate on a logarithmic scale."""
    field = SETTINGS[name]
    rates = rate_steps(field)
    wanted = kept_values().get(name, field.default)
    # A run of the command line may have had any rate: the form takes the one that is nearest.
    st.session_state.setdefault(name, min(rates, key=lambda rate: abs(math.log(rate / wanted))))
    kept_values()[name] = st.select_slider(
        field.metadata["label"], rates, format_func=decimal, help=field.metadata["help"], key=name
    )
    return kept_values()[name]
