"""Photos whose label may be wrong, each with the ways to put that right for the next training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from catdog.figures import percent
from catdog.pages.choose import corrections
from catdog.pages.every_page.words import plain
from catdog.pages.result.result_pictures import Wanted, pictures_of, version_of
from catdog.plain_text import one_line
from catdog.results.findings import describe_wrong_labels

SHOWN_AT_ONCE = 12
CARD_WIDTH = 196  # pixels: three beside each other on a desk


def show_labels(folder: Path, report: dict[str, Any], photos: Path | None) -> None:
    """The doubtful photos, worst first, a page of them at a time."""
    st.markdown(plain(" ".join(describe_wrong_labels(report))))
    found = report["wrong_labels"]["found"] if report["wrong_labels"] else []
    if not found:
        return
    if photos is None:
        st.caption("The photos of this run are no longer there, or not where this app may show them.")
        return
    show_corrections(photos)
    pages = -(-len(found) // SHOWN_AT_ONCE)
    page = st.pagination(pages, key=f"labels_page_{folder.name}") if pages > 1 else 1
    shown = found[(page - 1) * SHOWN_AT_ONCE : page * SHOWN_AT_ONCE]
    wanted = [Wanted(Path(each["path"]), None, ("", "")) for each in shown]
    pictures = pictures_of(tuple(each.path for each in wanted), False, version_of(folder), photos, wanted)
    with st.container(horizontal=True, gap="small"):
        for each, picture in zip(shown, pictures, strict=True):
            with st.container(width=CARD_WIDTH, gap="xsmall"):
                show_card(each, picture, photos)


def show_corrections(photos: Path) -> None:
    """How many photos will count otherwise in the next training, and the way back; or why the last one will not."""
    refusal = corrections.take_refusal()
    if refusal:
        st.warning(plain(refusal), icon=":material/error:")
    count = len(corrections.left_out_of(photos)) + len(corrections.relabelled_of(photos))
    if not count:
        st.caption("What you change here holds for the next training; the files stay where they are.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        words = "1 correction" if count == 1 else f"{count:,} corrections"
        st.markdown(f":material/edit_note: {words} for the next training; the files stay where they are.")
        if st.button("Undo all", icon=":material/undo:", type="tertiary", key="undo_all_labels"):
            corrections.bring_back(photos)
            st.rerun()


def show_card(each: dict[str, Any], picture: bytes | None, photos: Path) -> None:
    """A doubtful photo, what it is said to be and what it looks like, and the buttons that put it right."""
    path = Path(each["path"])
    if picture is None:
        st.caption(f"{plain(path.name)} can't be shown any more")
        return
    st.image(picture, alt=one_line(path.name), width=CARD_WIDTH)
    st.markdown(plain(f"Is labelled {each['class']}; looks like {each['label']}, {percent(each['probability'])}"))
    st.caption(plain(f"{path.name}, {each['split']}"))
    name = next(iter(corrections.names_in(photos, [path])), each["path"])
    relabelled = dict(corrections.relabelled_of(photos)).get(name)
    left_out = name in corrections.left_out_of(photos)
    if relabelled or left_out:
        words = "will be left out" if left_out else f"will count as {relabelled}"
        st.markdown(f":material/check: {plain(words)}")
        if st.button("Undo", icon=":material/undo:", key=f"undo_{one_line(name)}"):
            change(lambda: corrections.undo(photos, path))
        return
    with st.container(horizontal=True, gap="xsmall"):
        if st.button(plain(f"Make it {each['label']}"), key=f"relabel_{one_line(name)}"):
            change(lambda: corrections.try_to(photos, lambda: corrections.relabel(photos, path, each["label"])))
        if st.button("Leave out", key=f"without_{one_line(name)}"):
            change(lambda: corrections.try_to(photos, lambda: corrections.leave_out(photos, [path])))


def change(correct: Callable[[], None]) -> None:
    """Make a change and draw the whole page anew, whose other side tells what will be trained on."""
    correct()
    st.rerun()
