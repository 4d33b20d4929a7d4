"""What is wrong with the chosen photos, shown with the photos themselves, and the way to leave some of them out."""

import time
from pathlib import Path

import streamlit as st

from catdog.pages.choose import corrections
from catdog.pages.choose.photo_grid import show_pictures
from catdog.pages.every_page.words import HASH_OF_NAMES, plain
from catdog.photos.fingerprints import Fingerprints, fingerprint_photos
from catdog.photos.photo_sets import PhotoSet, find_photo_set
from catdog.photos.problems import KINDS, Problem, judge_photos

# Each kind of problem as a heading, for one of them and for several.
TITLES = {
    "across-splits": ("picture is learned from and tested with", "pictures are learned from and tested with"),
    "across-classes": ("picture is under different classes", "pictures are under different classes"),
    "unreadable": ("photo can't be read", "photos can't be read"),
    "duplicate": ("photo is there more than once", "photos are there more than once"),
    "near-duplicate": ("photo has a near copy", "photos have a near copy"),
    "blank": ("photo is blank", "photos are blank"),
    "tiny": ("photo is tiny", "photos are tiny"),
    "too-few": ("count of photos is too low", "counts of photos are too low"),
    "imbalance": ("class outweighs another", "classes outweigh others"),
}
# What leaving out means where it isn't plain: of copies one stays.
BUTTONS = {
    "across-splits": "Leave out all but one copy",
    "across-classes": "Leave these out",
    "duplicate": "Leave out all but one copy",
    "near-duplicate": "Leave out all but one copy",
    "blank": "Leave these out",
    "tiny": "Leave these out",
}
FOLD = "photo_problems"  # the key of what all of it is folded into
SHOWN_OF_A_KIND = 10
SHOWN_OF_A_GROUP = 4
# How many folders' fingerprints are remembered, and for how long in case the folder's version did not tell.
MOST_REMEMBERED = 8
REMEMBERED_SECONDS = 300.0
SHOW_EVERY = 20  # photos


@st.cache_resource(show_spinner=False)
def remembered() -> dict[str, tuple[float, Fingerprints]]:
    """The fingerprints of a few folders' photos by the folder's version, with the time they were taken."""
    return {}


def known_fingerprints(version: str) -> Fingerprints | None:
    """The fingerprints of a folder's photos, if they were taken lately."""
    taken, fingerprints = remembered().get(version, (0.0, None))
    return fingerprints if time.time() - taken < REMEMBERED_SECONDS else None


def look_through(folder: Path, version: str) -> None:
    """Read photos that aren't known yet, with a count of them, and then show the page anew.

    To be called where everything else was drawn, so that nothing waits for it.
    """
    if known_fingerprints(version):
        return
    # Also those that were left out, which may be brought back; relabelled, without which a class may have too few.
    paths = find_photo_set(folder, relabel=corrections.relabelled_of(folder)).paths()
    bar = st.progress(0.0, "Looking through the photos")

    def on_progress(done: int, per_second: float) -> None:
        if done % SHOW_EVERY == 0:
            bar.progress(done / len(paths), f"Looking through the photos: {done:,} of {len(paths):,}")

    fingerprints = fingerprint_photos(paths, on_progress)
    kept = remembered()
    kept[version] = time.time(), fingerprints
    by_age = sorted(kept.items(), key=lambda item: item[1][0])
    for oldest, _ in by_age[:-MOST_REMEMBERED]:
        kept.pop(oldest, None)
    st.rerun()


@st.cache_data(ttl=300, max_entries=16, show_spinner="Comparing the photos with one another", hash_funcs=HASH_OF_NAMES)
def judged(
    folder: Path,
    seed: int,
    left_out: tuple[str, ...],
    relabelled: tuple[tuple[str, str], ...],
    version: str,
    _fingerprints: Fingerprints,
) -> tuple[PhotoSet, list[Problem]]:
    """The photo set as training will part it, and what is wrong with it."""
    return judge_photos(find_photo_set(folder, seed, left_out, relabelled), seed, _fingerprints)


def show_problems(photo_set: PhotoSet, problems: list[Problem], version: str) -> None:
    """A fold with every problem, closed at first; a quiet line where there is none."""
    if not problems:
        st.caption(":material/check: Nothing wrong was found in these photos.")
        return
    words = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
    fold = st.expander(words, icon=":material/report:", key=FOLD, type="compact", on_change="rerun")
    if not fold.open:
        return
    with fold:
        refusal = st.session_state.pop("leave_out_refusal", None)
        if refusal:
            st.warning(plain(refusal), icon=":material/error:")
        for kind in KINDS:
            of_kind = [problem for problem in problems if problem.kind == kind]
            if of_kind:
                show_kind(kind, of_kind, photo_set, version)


def show_kind(kind: str, problems: list[Problem], photo_set: PhotoSet, version: str) -> None:
    """One kind of problem: why it matters, the photos, and the way out."""
    st.markdown(f"**{len(problems):,} {TITLES[kind][len(problems) > 1]}**  \n{KINDS[kind]}")
    if kind in ("unreadable", "too-few", "imbalance"):
        for problem in problems[:SHOWN_OF_A_KIND]:
            st.markdown(f"- {plain(short(problem.message, photo_set.folder))}")
    elif kind in ("blank", "tiny"):
        show_pictures([problem.paths[0] for problem in problems[:SHOWN_OF_A_KIND]], photo_set.folder, version)
    else:
        for problem in problems[:SHOWN_OF_A_KIND]:
            show_pictures(problem.paths[:SHOWN_OF_A_GROUP], photo_set.folder, version)
            if len(problem.paths) > SHOWN_OF_A_GROUP:
                st.caption(f"and {len(problem.paths) - SHOWN_OF_A_GROUP:,} more like these")
    if len(problems) > SHOWN_OF_A_KIND:
        st.caption(f"and {len(problems) - SHOWN_OF_A_KIND:,} more")
    unwanted = [path for problem in problems for path in problem.leave_out]
    if unwanted:
        st.button(
            BUTTONS[kind],
            icon=":material/visibility_off:",
            key=f"leave_out_{kind}",
            help="Training will not use them. The files stay where they are.",
            on_click=try_to_leave_out,
            args=(photo_set.folder, unwanted),
        )


def try_to_leave_out(folder: Path, unwanted: list[Path]) -> None:
    """Leave photos out before the page is drawn anew, or keep the reason why that can't be done for it to say."""
    corrections.try_to(folder, lambda: corrections.leave_out(folder, unwanted))
    # Taken at once, so that no side of the page says what was asked for on the other.
    st.session_state["leave_out_refusal"] = corrections.take_refusal()
    # Its heading will have another number, which would fold it up.
    st.session_state[FOLD] = True


def short(message: str, folder: Path) -> str:
    """A message without the folder that all its photos are in."""
    return message.replace(f"{folder}/", "")
