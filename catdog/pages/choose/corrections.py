"""What a visitor corrected in a folder of photos: some are left out, some count as another class. No file is touched.

It is kept for the visit, by folder, and holds for the next training.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from catdog.errors import CatdogError
from catdog.pages.every_page.words import plain
from catdog.photos.photo_sets import find_photo_set
from catdog.plain_text import one_line

KEPT, REFUSAL = "corrections", "correction_refusal"  # in the session's state
LISTED = 10  # at once


def corrections_of(folder: Path) -> dict[str, str | None]:
    """Paths in the folder, each with the class it is to count as, None to leave it out; less those that have gone."""
    kept = st.session_state.setdefault(KEPT, {}).get(key_of(folder), {})
    return {name: class_name for name, class_name in sorted(kept.items()) if (folder / name).exists()}


def left_out_of(folder: Path) -> tuple[str, ...]:
    """The photos of a folder that this visitor left out, as paths in it."""
    return tuple(name for name, class_name in corrections_of(folder).items() if class_name is None)


def relabelled_of(folder: Path) -> tuple[tuple[str, str], ...]:
    """The photos of a folder that count as another class for this visitor, as paths in it, each with that class."""
    return tuple((name, class_name) for name, class_name in corrections_of(folder).items() if class_name is not None)


def leave_out(folder: Path, paths: Sequence[Path]) -> None:
    """Leave more photos of a folder out of what is trained on; their files stay where they are."""
    keep(folder, corrections_of(folder) | dict.fromkeys(names_in(folder, paths)))


def relabel(folder: Path, path: Path, class_name: str) -> None:
    """Let a photo of a folder count as another class; its file stays where it is."""
    keep(folder, corrections_of(folder) | dict.fromkeys(names_in(folder, [path]), class_name))


def undo(folder: Path, path: Path) -> None:
    """Take back whichever correction a photo has."""
    names = names_in(folder, [path])
    keep(folder, {name: class_name for name, class_name in corrections_of(folder).items() if name not in names})


def bring_back(folder: Path) -> None:
    """Take back every correction of a folder's photos."""
    keep(folder, {})


def try_to(folder: Path, change: Callable[[], None]) -> None:
    """Make a change, or take it back and keep the reason why the photos can't be trained on with it, to be shown."""
    before = corrections_of(folder)
    change()
    try:
        find_photo_set(folder, leave_out=left_out_of(folder), relabel=relabelled_of(folder))
    except CatdogError as error:
        keep(folder, before)
        st.session_state[REFUSAL] = str(error)


def take_refusal() -> str | None:
    """Why the last change could not be made, told once."""
    return st.session_state.pop(REFUSAL, None)


def keep(folder: Path, corrections: dict[str, str | None]) -> None:
    """Let these be all of a folder's corrections."""
    st.session_state.setdefault(KEPT, {})[key_of(folder)] = corrections


def key_of(folder: Path) -> str:
    """What a folder's corrections are kept under, however it was named."""
    return str(folder.resolve())


def names_in(folder: Path, paths: Sequence[Path]) -> list[str]:
    """Photos as paths in their folder, however both were named; what lies elsewhere is passed over."""
    here, real_here = folder.absolute(), folder.resolve()
    names = []
    for path in paths:
        # A photo may itself be a link, and so may a folder on the way to it: the name that leads there is what counts.
        ways = ((path.absolute(), here), (path.absolute(), real_here), (path.parent.resolve() / path.name, real_here))
        found = [way.relative_to(start) for way, start in ways if way.is_relative_to(start)]
        names += [name.as_posix() for name in found if ".." not in name.parts][:1]
    return names


def show_left_out(folder: Path) -> None:
    """How many photos are left out and how many count as another class, which ones, and the ways back."""
    left_out, relabelled = left_out_of(folder), relabelled_of(folder)
    if not left_out and not relabelled:
        return
    words = []
    if left_out:
        words.append("1 photo is left out" if len(left_out) == 1 else f"{len(left_out):,} photos are left out")
    if relabelled:
        one = len(relabelled) == 1
        words.append("1 photo counts as another class" if one else f"{len(relabelled):,} photos count as another class")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/visibility_off: {', '.join(words)}")
        if st.button("Bring back", icon=":material/undo:", type="tertiary", key="bring_back"):
            bring_back(folder)
            st.rerun()
    # Its words stay the same, or another number in them would fold it up.
    icon = ":material/list:"
    fold = st.expander("Show corrections", icon=icon, key="show_corrections", type="compact", on_change="rerun")
    if fold.open:
        with fold:
            show_each(folder)


def show_each(folder: Path) -> None:
    """Each corrected photo with what becomes of it and the way back, a page of them at a time."""
    corrections = list(corrections_of(folder).items())
    pages = -(-len(corrections) // LISTED)
    page = st.pagination(pages, key=f"corrections_page_{pages}") if pages > 1 else 1
    for name, class_name in corrections[(page - 1) * LISTED : page * LISTED]:
        with st.container(horizontal=True, vertical_alignment="center"):
            fate = "left out" if class_name is None else f"counts as {class_name}"
            st.markdown(plain(f"{name}: {fate}"), width="stretch")
            st.button(
                "Undo",
                icon=":material/undo:",
                type="tertiary",
                key=f"undo_correction_{one_line(name)}",
                help=f"Lets {plain(name)} count as what it is.",
                on_click=undo,
                args=(folder, folder / name),
            )
