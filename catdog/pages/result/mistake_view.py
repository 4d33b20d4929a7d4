"""The photos behind a run's confusion: which were mistaken, where the network looked, and which nearly were."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from catdog.charts.run_charts import class_colours
from catdog.figures import percent
from catdog.pages.every_page.words import HASH_OF_NAMES, plain
from catdog.pages.result.result_pictures import Wanted, pictures_of, version_of
from catdog.plain_text import one_line
from catdog.results.report_files import Judgement, read_maps, read_predictions

SHOWN_WIDTH = 160
SHOWN_AT_ONCE = 12
# With more classes a table of buttons would be wider than the page.
MOST_CLASSES_IN_TABLE = 5
MOST_LISTED = 12
CELL_WIDTH = 92  # pixels
MISTAKES, BORDER = "All mistakes", "Nearly mistaken"


class Shown(NamedTuple):
    """A photo to look at, with the two classes that its map weighs against one another, if it has one."""

    judgement: Judgement
    given: str
    other: str
    heatmap: int | None


def show_mistakes(folder: Path, report: dict[str, Any], photos: Path | None) -> None:
    """A table of how often each class was taken for which, whose cells open their photos."""
    judgements = judgements_of(folder, tuple(report["class_names"]), version_of(folder))
    chosen = choose_cell(folder, report)
    shown = find_shown(report, judgements, chosen)
    if not shown:
        st.caption("There are none.")
        return
    if photos is None:
        st.caption("The photos of this run are no longer there, or not where this app may show them.")
        return
    with_maps = False
    if any(each.heatmap is not None for each in shown):
        with_maps = st.toggle(
            "Show what the network looked at",
            value=True,
            key="show_maps",
            persist_state="session",
            help="Exactly what each place of the photo added to one class over the other.",
        )
    if with_maps:
        st.markdown(legend(shown, report["class_names"]), unsafe_allow_html=True)
    pages = -(-len(shown) // SHOWN_AT_ONCE)
    page = st.pagination(pages, key=f"mistakes_page_{folder.name}_{chosen}") if pages > 1 else 1
    show_cards(folder, shown[(page - 1) * SHOWN_AT_ONCE : page * SHOWN_AT_ONCE], report, photos, with_maps)


@st.cache_data(ttl=300, max_entries=8, show_spinner=False, hash_funcs=HASH_OF_NAMES)
def judgements_of(folder: Path, class_names: tuple[str, ...], version: int) -> list[Judgement]:
    """The evaluated photos of a run, the least sure first."""
    return read_predictions(folder, class_names)


def choose_cell(folder: Path, report: dict[str, Any]) -> str:
    """The confusion as buttons; gives the key of what is to be shown: MISTAKES, BORDER, or a cell's."""
    key = f"shown_cell_{folder.name}"
    chosen = st.session_state.get(key, MISTAKES)
    names, table = report["class_names"], report["confusion"]

    def cell(label: str, value: str, **look: Any) -> None:
        st.button(
            label,
            key=f"cell_{folder.name}_{value}",
            type="primary" if chosen == value else "secondary",
            on_click=partial(st.session_state.__setitem__, key, value),
            **look,
        )

    if len(names) <= MOST_CLASSES_IN_TABLE:
        with st.container(gap="xsmall"):
            st.caption("Rows: what the photos are. Columns: what they were taken for. A number opens its photos.")
            with st.container(horizontal=True, gap="xsmall"):
                st.markdown("", width=CELL_WIDTH)
                for name in names:
                    st.markdown(f"**{plain(name)}**", width=CELL_WIDTH)
            for row, name in enumerate(names):
                with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
                    st.markdown(f"**{plain(name)}**", width=CELL_WIDTH)
                    for column, other in enumerate(names):
                        words = f"{name}, given {other}"
                        cell(f"{table[row][column]:,}", f"{row}-{column}", width=CELL_WIDTH, help=plain(words))
    with st.container(horizontal=True, gap="xsmall"):
        cell(MISTAKES, MISTAKES)
        cell(BORDER, BORDER, help="Given their own class, but only just.")
        if len(names) > MOST_CLASSES_IN_TABLE:
            for row, column in largest_confusions(table):
                cell(plain(f"{names[row]}, given {names[column]}: {table[row][column]:,}"), f"{row}-{column}")
    return chosen


def largest_confusions(table: list[list[int]]) -> list[tuple[int, int]]:
    """The cells off the diagonal with the most photos, the largest first."""
    cells = [
        (count, row, column)
        for row, counts in enumerate(table)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    return [(row, column) for _, row, column in sorted(cells, reverse=True)[:MOST_LISTED]]


def find_shown(report: dict[str, Any], judgements: Sequence[Judgement], chosen: str) -> list[Shown]:
    """The photos of what was chosen: mistakes the worst first, others the least sure first."""
    named = {each["path"]: each for each in (*report["mistakes"], *report["border"])}

    def shown(each: Judgement) -> Shown:
        entry = named.get(str(each.path), {})
        other = entry.get("against") or (each.class_name if each.class_name != each.label else "")
        return Shown(each, each.label, other, entry.get("heatmap"))

    if chosen == BORDER:
        near = {each["path"]: place for place, each in enumerate(report["border"])}
        found = [each for each in judgements if str(each.path) in near]
        return [shown(each) for each in sorted(found, key=lambda each: near[str(each.path)])]
    wrong = [each for each in judgements if each.class_name != each.label]
    if chosen == MISTAKES:
        worst = {each["path"]: place for place, each in enumerate(report["mistakes"])}
        return [shown(each) for each in sorted(wrong, key=lambda each: worst.get(str(each.path), len(worst)))]
    names = report["class_names"]
    row, column = (int(place) for place in chosen.split("-"))
    of_cell = [each for each in judgements if (each.class_name, each.label) == (names[row], names[column])]
    return [shown(each) for each in (of_cell if row == column else of_cell[::-1])]


def legend(shown: Sequence[Shown], class_names: Sequence[str]) -> str:
    """Which colour of a map speaks for which class."""
    names = sorted({name for each in shown if each.heatmap is not None for name in (each.given, each.other)})
    colours = class_colours(class_names)
    # Streamlit's Markdown has no colours of one's own, so the squares are an SVG each.
    squares = [
        f'<svg width="12" height="12" role="img" aria-label="{index}">'
        f'<rect width="12" height="12" fill="{colours[name]}"/></svg>'
        for index, name in enumerate(names)
    ]
    return " &emsp; ".join(f"{square} speaks for {plain(name)}" for square, name in zip(squares, names, strict=True))


def show_cards(folder: Path, shown: Sequence[Shown], report: dict[str, Any], photos: Path, with_maps: bool) -> None:
    """The photos side by side, each with what it was taken for."""
    maps = read_maps(folder) if with_maps else None
    colours = class_colours(report["class_names"])
    wanted = []
    for each in shown:
        has_map = maps is not None and each.heatmap is not None and 0 <= each.heatmap < len(maps) and each.other
        pair = (colours[each.given], colours[each.other]) if has_map else ("", "")
        wanted.append(Wanted(each.judgement.path, maps[each.heatmap] if has_map else None, pair))
    pictures = pictures_of(tuple(each.path for each in wanted), with_maps, version_of(folder), photos, wanted)
    with st.container(horizontal=True, gap="small"):
        for each, picture in zip(shown, pictures, strict=True):
            judgement = each.judgement
            with st.container(width=SHOWN_WIDTH, gap="xsmall"):
                if picture is None:
                    st.caption(f"{plain(judgement.path.name)} can't be shown any more")
                else:
                    st.image(picture, alt=one_line(judgement.path.name), width=SHOWN_WIDTH)
                right = judgement.label == judgement.class_name
                words = judgement.label if right else f"{judgement.class_name}, taken for {judgement.label}"
                st.markdown(plain(f"{words}: {percent(judgement.probability)}"))
                st.caption(plain(judgement.path.name))
