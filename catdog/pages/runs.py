"""The runs page: all runs in a table, several compared, one renamed, deleted, or taken as the start of the next."""

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from catdog.charts.curves import learning_curves
from catdog.charts.run_charts import comparison_chart
from catdog.errors import CatdogError
from catdog.figures import decimal
from catdog.files.csv_files import disarmed
from catdog.pages.every_page.visitor import owner
from catdog.pages.every_page.words import name_of, plain, told_apart
from catdog.pages.run_files import add_run, offer_file
from catdog.pages.training.settings_form import fill_form
from catdog.places import PAGES
from catdog.plain_text import one_line
from catdog.runs import jobs
from catdog.runs.events import read_events
from catdog.runs.run_folder import read_config
from catdog.settings import OF_THE_PHOTOS, SETTINGS, TrainConfig

MOST_COMPARED = 6  # as many as there are colours
FEW = 6  # so many runs are seen at a glance; more can be filtered
COLUMNS = {
    "name": "Name",
    "state": "State",
    "accuracy": "Accuracy",
    "photos": "Photos",
    "backbone": "Backbone",
    "freeze_depth": "Freeze depth",
    "head_epochs": "Head epochs",
    "head_learning_rate": "Head rate",
    "fine_tune_epochs": "Tuning epochs",
    "fine_tune_learning_rate": "Tuning rate",
    "seconds": "Took",
    "size_bytes": "Size",
}
# Numbers stay numbers, so that a click on a column's head sorts them as such.
FORMATS = {
    "Accuracy": st.column_config.NumberColumn(format="%.1f %%"),
    "Photos": st.column_config.NumberColumn(format="localized"),
    "Head rate": st.column_config.NumberColumn(format="%g", help="Learning rate of the head."),
    "Tuning epochs": st.column_config.NumberColumn(help="Epochs of fine-tuning."),
    "Tuning rate": st.column_config.NumberColumn(format="%g", help="Learning rate of fine-tuning."),
    "Took": st.column_config.NumberColumn(format="%d s"),
    "Size": st.column_config.NumberColumn(format="bytes"),
}


def main() -> None:
    """Read from top to bottom: the table, then what can be done with the runs chosen in it."""
    st.subheader("Runs", anchor=False)
    found = jobs.list_jobs(owner())
    if not found:
        st.markdown("Every run will stand here with its settings and its accuracy, to compare and to come back to.")
        st.page_link(PAGES / "train.py", label="Train the first one", icon=":material/arrow_forward:")
    else:
        show_table(found)
    add_run()


def show_table(found: list[jobs.Job]) -> None:
    """The table of the runs, and what can be done with those that are chosen in it."""
    rows = {job.folder.name: table_row(job) for job in found}
    kept = filtered(found, rows)
    if not kept:
        st.caption("No run is like that.")
        return
    shown = st.dataframe(
        pd.DataFrame([rows[job.folder.name] for job in kept])[list(COLUMNS)].rename(columns=COLUMNS),
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        column_config=FORMATS,
        key=table_key(kept),
    )
    chosen = [kept[row] for row in shown.selection.rows if row < len(kept)]
    if not chosen:
        st.caption("Choose a run to rename it, repeat it, take it along or delete it; choose several to compare them.")
    elif len(chosen) == 1:
        manage(chosen[0])
    else:
        if len(chosen) > MOST_COMPARED:
            st.caption(f"The first {MOST_COMPARED} of the {len(chosen)} chosen are compared.")
        compare(chosen[:MOST_COMPARED])


def table_key(kept: list[jobs.Job]) -> str:
    """The table's key: with other rows it is another table, so that no choice slips from one run to the next."""
    names = " ".join(job.folder.name for job in kept)
    return f"runs_table_{hashlib.sha256(names.encode(errors='surrogateescape')).hexdigest()[:16]}"


def filtered(found: list[jobs.Job], rows: dict[str, dict[str, Any]]) -> list[jobs.Job]:
    """The runs that the visitor wants to see: all of a few, else those of a name, states and backbones."""
    if len(found) <= FEW:
        return found
    left, middle, right = st.columns([2, 2, 2])
    text = left.text_input("Name contains", key="runs_name", persist_state="session")
    wanted = {}
    for name, column in (("state", middle), ("backbone", right)):
        options = sorted({row[name] for row in rows.values()})
        # An option that was chosen may be gone with its last run.
        st.session_state[f"runs_{name}"] = [
            each for each in st.session_state.get(f"runs_{name}", []) if each in options
        ]
        wanted[name] = column.multiselect(
            COLUMNS[name], options, key=f"runs_{name}", persist_state="session", placeholder="All"
        )
    return [
        job
        for job in found
        if text.lower() in rows[job.folder.name]["name"].lower()
        and all(not chosen or rows[job.folder.name][name] in chosen for name, chosen in wanted.items())
    ]


def table_row(job: jobs.Job) -> dict[str, Any]:
    """A run's summary as the table shows it."""
    summary = jobs.summarize(job)
    accuracy, tuned = summary["accuracy"], summary["fine_tune_epochs"]
    return summary | {
        # Visitors take the table along as CSV.
        "name": disarmed(name_of(job)),
        "accuracy": None if accuracy is None else accuracy * 100,
        # Of a backbone file the name is enough here.
        "backbone": disarmed(one_line(Path(summary["backbone"] or "").name)),
        "freeze_depth": summary["freeze_depth"] if tuned else "head only",
        "fine_tune_learning_rate": summary["fine_tune_learning_rate"] if tuned else None,
    }


def config_of(job: jobs.Job) -> TrainConfig | None:
    """A run's settings, or None with a warning on the page where its file is damaged."""
    try:
        return read_config(job.folder)
    except CatdogError as error:
        st.warning(plain(str(error)), icon=":material/error:")
        return None


def manage(job: jobs.Job) -> None:
    """Rename one run, open it, take its settings, or delete it."""
    name = st.text_input("Name", jobs.label_of(job.folder), max_chars=jobs.LONGEST_NAME, key=f"name_{job.folder.name}")
    with st.container(horizontal=True):
        if st.button("Save name", icon=":material/edit:"):
            act(lambda: jobs.rename(job.folder, name))
        if st.button("Open", icon=":material/open_in_full:", help="Shows its curves and its result."):
            st.session_state["shown_run"] = job.folder.name
            st.switch_page(PAGES / "train.py")
        if st.button("Use its settings", icon=":material/tune:", help="Fills the training form with them."):
            config = config_of(job)
            if config:
                # What was corrected belongs to that run's photos, not to those that are chosen now.
                fill_form({key: each for key, each in config.as_dict().items() if key not in OF_THE_PHOTOS})
                st.switch_page(PAGES / "train.py")
        offer_file(job)
        if st.button("Delete", icon=":material/delete:", disabled=job.is_active):
            ask_to_delete(job)


def act(change) -> None:
    """Make a change and show the table anew, or say why it could not be made."""
    try:
        change()
    except CatdogError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    st.rerun()


@st.dialog("Delete this run?")
def ask_to_delete(job: jobs.Job) -> None:
    """Delete a run once that was confirmed."""
    st.markdown(f"{plain(name_of(job))}, its curves and its classifier will be gone for good.")
    with st.container(horizontal=True):
        if st.button("Delete for good", type="primary", icon=":material/delete:"):
            act(lambda: jobs.delete(job.folder))
        if st.button("Keep"):
            st.rerun()


def compare(chosen: list[jobs.Job]) -> None:
    """Lay the curves of several runs over one another, and show the settings in which they differ."""
    configs = {name: config for name, job in unique_names(chosen).items() if (config := config_of(job))}
    curves = {
        name: learning_curves(read_events(job.folder)[0], configs[name].head_epochs, configs[name].fine_tune_epochs)
        for name, job in unique_names(chosen).items()
        if name in configs
    }
    for measure, column in zip(("loss", "accuracy"), st.columns(2), strict=True):
        column.altair_chart(comparison_chart(curves, measure), key=f"compare_{measure}")
    different = {
        # Cells and heads are Markdown.
        SETTINGS[key].metadata["label"]: {
            plain(name): plain(written(getattr(config, key))) for name, config in configs.items()
        }
        for key in SETTINGS
        if len({getattr(config, key) for config in configs.values()}) > 1
    }
    if different:
        st.markdown("Where their settings differ")
        st.table(pd.DataFrame(different).T)
    else:
        st.caption("Their settings are the same.")


def written(value: Any) -> str:
    """A setting's value as people read it; of a list, how long it is and how it begins."""
    if isinstance(value, float):
        return decimal(value)
    if not isinstance(value, tuple):
        return str(value)
    first = ", ".join(each if isinstance(each, str) else " as ".join(each) for each in value[:3])
    return f"{len(value):,}: {first}{', ...' if len(value) > 3 else ''}" if value else "none"


def unique_names(chosen: list[jobs.Job]) -> dict[str, jobs.Job]:
    """The runs by their names; where two have the same, the later ones get a number."""
    names = told_apart({job.folder.name: name_of(job) for job in chosen})
    return {names[job.folder.name]: job for job in chosen}


main()
