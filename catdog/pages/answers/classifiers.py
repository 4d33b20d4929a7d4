"""The classifiers that a visitor can choose from, loaded once for all visitors."""

import gc
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from catdog.classifier.bundled_files import DESCRIPTION_FILE
from catdog.errors import CatdogError
from catdog.figures import percent
from catdog.files.json_files import found_in, read_json
from catdog.memory import share_one_heap
from catdog.pages.answers.added_models import added_models, own_models
from catdog.pages.every_page.visitor import owner
from catdog.pages.every_page.words import name_of, plain, told_apart
from catdog.pages.result.result_pictures import version_of
from catdog.results.report_files import answered_above, read_predictions
from catdog.runs import jobs
from catdog.runs.owners import is_own
from catdog.runs.run_folder import INFO_FILE, KERAS_FILE, runs_folder
from catdog.settings import BUNDLED

LINK = "run"  # what a classifier is called by in the page's address
# In the session's state: the one that is used, whether somebody chose it, and the link that was followed last.
CHOICE, WAS_CHOSEN, FOLLOWED = "classifier", "classifier_was_chosen", "link_followed"
MOST_SHOWN = 60  # characters of an address that is wrong
MOST_CLASSIFIERS = 3  # loaded at a time, for all visitors together


class Source(NamedTuple):
    """A classifier that can be chosen: a run's folder, an added file or `starter`; and when it was written."""

    name: str
    changed: float

    @property
    def folder(self) -> Path | None:
        """The run's folder; None for another classifier."""
        return Path(self.name) if self.name != BUNDLED and Path(self.name).is_dir() else None


def choose_classifier() -> Source:
    """Let the visitor choose: what they added last first, then the newest run, those shown to all, the bundled one."""
    found = dict(reversed(added_models().items()))
    ended = (job for job in jobs.list_jobs(owner()) if job.has_classifier and not job.is_active)
    found |= {str(job.folder): name_of(job) for job in ended}
    found |= {name: words for name, words in shown_runs().items() if name not in found}
    found[BUNDLED] = "Bundled classifier"
    found = told_apart(found)
    options = list(found)
    follow_link(options)
    if not st.session_state.get(WAS_CHOSEN) or st.session_state.get(CHOICE) not in options:
        st.session_state[CHOICE] = options[0]
    name = st.selectbox(
        "Classifier",
        options,
        format_func=lambda name: found.get(name, name),
        key=CHOICE,
        persist_state="session",
        on_change=note_choice,
        help="The newest of your runs, unless you choose another; the bundled one needs no training. "
        "The page's address then leads to the one that you chose.",
    )
    # A browser may send what no list offers.
    source = source_of(name if name in found else BUNDLED)
    st.caption(plain(facts_of(source)))
    return source


def shown_runs() -> dict[str, str]:
    """The folders of the runs that are shown to every visitor, and their names; says which of them can't be."""
    jobs_shown = jobs.shown_jobs()
    for job in jobs_shown:
        if not job.has_classifier:
            message = f"{jobs.SHOWN_VARIABLE} lists {job.folder.name}, which is no run's folder with a classifier."
            st.warning(plain(message), icon=":material/folder_off:")
    with_one = [job.folder for job in jobs_shown if job.has_classifier]
    return {str(folder): jobs.label_of(folder) or folder.name for folder in with_one}


def is_only_shown(source: Source) -> bool:
    """Whether somebody else's run is shown here, with which a visitor classifies and does nothing else."""
    if source.folder is None:
        return False
    return source.folder.parent.resolve() != runs_folder().resolve() or not is_own(source.folder, owner())


def follow_link(options: list[str]) -> None:
    """Choose the classifier that the page's address names by its run's id, once, or say that it isn't among these."""
    named = st.query_params.get(LINK)
    if named is None or named == st.session_state.get(FOLLOWED):
        return
    # Looked up among what may be chosen, and never taken for a path.
    found = next((name for name in options if id_of(source_of(name)) == named), None)
    if found is None:
        st.warning(
            plain(f"There is no classifier of a run {named[:MOST_SHOWN]} here: choose one below."),
            icon=":material/link_off:",
        )
        return
    st.session_state.update({CHOICE: found, WAS_CHOSEN: True, FOLLOWED: named})


def note_choice() -> None:
    """Let the page's address lead to what the visitor chose."""
    named = id_of(source_of(st.session_state[CHOICE]))
    st.session_state.update({WAS_CHOSEN: True, FOLLOWED: named})
    if named:
        st.query_params[LINK] = named
    else:
        st.query_params.pop(LINK, None)


def id_of(source: Source) -> str | None:
    """What the page's address calls a classifier; None for one that a visitor added, which is nobody else's."""
    return source.folder.name if source.folder else BUNDLED if source.name == BUNDLED else None


def source_of(name: str) -> Source:
    """The classifier of that name as its file is now."""
    path = Path(name)
    try:
        file = path / KERAS_FILE if path.is_dir() else path
        return Source(name, file.stat().st_mtime if name != BUNDLED else 0.0)
    except OSError:
        return Source(name, 0.0)


def description_of(source: Source) -> dict[str, Any]:
    """What its `classifier.json` says."""
    if source.name == BUNDLED:
        return read_json(DESCRIPTION_FILE)
    return read_json(source.folder / INFO_FILE) if source.folder else own_models().get(source.name, {})


def facts_of(source: Source) -> str:
    """Its classes, how good it is, and what it is made from, in a line."""
    info = description_of(source)
    accuracy = found_in(info, "metrics", "accuracy", kind=float)
    photos = found_in(info, "metrics", "photos", kind=int)
    backbone = found_in(info, "backbone", kind=str)
    words = [" or ".join(map(str, found_in(info, "class_names", kind=list) or []))]
    if accuracy is not None and photos:
        words.append(f"{percent(accuracy)} right on {photos:,} photos")
    if backbone:
        words.append(f"backbone {Path(backbone).name}")
    return " · ".join(filter(None, words))


def answered_of(source: Source) -> list[dict[str, Any]]:
    """What each threshold would have left of the photos that the classifier was evaluated on; empty where unknown."""
    if source.name == BUNDLED:
        return description_of(source).get("answered", [])
    if source.folder is None:
        return []
    names = found_in(description_of(source), "class_names", kind=list) or []
    return answered_of_run(source.folder, tuple(map(str, names)), version_of(source.folder))


@st.cache_data(max_entries=16, show_spinner=False)
def answered_of_run(folder: Path, class_names: tuple[str, ...], version: int) -> list[dict[str, Any]]:
    """The same for a run, whose result was written at that time."""
    judgements = read_predictions(folder, class_names)
    return answered_above(judgements) if judgements else []


def load(source: Source) -> Any:
    """The classifier, ready to answer; shows what is wrong with it, and ends the page there, where there is none."""
    try:
        return load_once(source)
    except CatdogError as error:
        st.error(plain(str(error)), icon=":material/error:")
        st.stop()


@st.cache_resource(max_entries=MOST_CLASSIFIERS, show_spinner="Loading the classifier")
def load_once(source: Source) -> Any:
    """The classifier of a source; one whose file has changed is loaded anew."""
    share_one_heap()  # before TensorFlow starts its threads
    from catdog.classifier.loading import load_classifier

    gc.unfreeze()
    classifier = load_classifier(source.name)
    # After each run of a page Streamlit lets Keras look through all objects for garbage, which takes a quarter of a
    # second with all that TensorFlow brings. What is there now stays; what a later classifier replaces goes then.
    gc.collect()
    gc.freeze()
    return classifier
