"""The answers: how many of which kind, as cards or as a table, filtered and sorted, and to take along."""

import base64
import html
import io
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import streamlit as st

from catdog.charts.run_charts import class_colours
from catdog.classifier.heatmaps import draw_map
from catdog.classifier.verdicts import NEITHER, UNSURE
from catdog.figures import percent, percentage
from catdog.files.csv_files import answers_writer, disarmed
from catdog.pages.answers.kept_answers import PICTURE_SIDE, Answer, picture_of
from catdog.pages.every_page.words import plain
from catdog.photos.reading import small_jpeg, work_ahead

SHOWN_AT_ONCE = 24
TABLE_PICTURE_SIDE = 64  # pixels
ALL, WRONG, UNREADABLE = "all", "wrong", "can't be read"
ORDERS: dict[str, Callable[[Answer], Any] | None] = {
    "As they came": None,
    "Least probable first": lambda answer: answer.probability,
    "Most probable first": lambda answer: -answer.probability,
    "Strangest first": lambda answer: answer.similarity if answer.similarity is not None else 2.0,
    "By name": lambda answer: answer.name,
}


def show_answers(answers: Sequence[Answer], uploads: Mapping[str, Any], unsure_below: float) -> Answer | None:
    """All of it; returns the answer that the visitor asks to have explained, if there is one."""
    class_names = list(next((each.probabilities for each in answers if each.probabilities), {}))
    groups = group(answers, class_names, unsure_below)
    chosen = st.pills(
        "Show",
        list(groups),
        format_func=lambda name: f"{plain(name)} {len(groups[name]):,}",
        default=ALL,
        key="shown_answers",
        label_visibility="collapsed",
        wrap=True,
    )
    shown = groups.get(chosen or ALL, [])
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        order = st.selectbox("Order", list(ORDERS), key="answer_order", label_visibility="collapsed", width=220)
        as_table = st.toggle("Table", key="answers_as_table")
        with_maps = st.toggle(
            "Where it looked",
            key="answers_with_maps",
            help="What each place of the photo adds to its label over the class that comes next.",
            disabled=as_table,
        )
        with_maps = with_maps and not as_table
        opacity = st.slider("Opacity", 0, 100, 60, 5, "%d %%", key="map_opacity", width=140) if with_maps else 0
    if ORDERS[order]:
        shown = sorted(shown, key=ORDERS[order])
    if not shown:
        st.caption("There are none.")
        asked = None
    elif as_table:
        asked = show_table(shown, uploads, class_names, unsure_below)
    else:
        draw = partial(drawn, class_names=class_names, uploads=uploads, opacity=opacity / 100 if with_maps else None)
        asked = show_cards(shown, draw, unsure_below)
    offer_downloads(answers, uploads, class_names, unsure_below)
    return asked


def group(answers: Sequence[Answer], class_names: Sequence[str], unsure_below: float) -> dict[str, list[Answer]]:
    """The answers by what can be chosen to be shown: all of them, each verdict, what is wrong, what can't be read."""
    groups: dict[str, list[Answer]] = {ALL: list(answers)}
    for name in (*class_names, UNSURE, NEITHER):
        groups[name] = [answer for answer in answers if answer.verdict(unsure_below) == name]
    groups[WRONG] = [answer for answer in answers if answer.is_wrong]
    groups[UNREADABLE] = [answer for answer in answers if answer.reason]
    # Of the last two nobody needs to hear that there are none.
    return {name: found for name, found in groups.items() if found or name not in (WRONG, UNREADABLE)}


def drawn(
    answer: Answer, class_names: Sequence[str], uploads: Mapping[str, Any], opacity: float | None
) -> bytes | None:
    """A photo's small picture, with its map over it where one is wanted and there is one."""
    picture = picture_of(answer, uploads)
    if opacity is None or picture is None or answer.places is None:
        return picture
    colours = class_colours(class_names)
    pair = colours[answer.label], colours[answer.runner_up]
    return draw_map(picture, answer.places, pair, opacity, PICTURE_SIDE)


def show_cards(shown: Sequence[Answer], draw: Callable[[Answer], bytes | None], unsure_below: float) -> Answer | None:
    """A page of photos with their answers; returns the one whose button was pressed."""
    pages = -(-len(shown) // SHOWN_AT_ONCE)
    page = st.pagination(pages, key=f"answers_page_{pages}") if pages > 1 else 1
    asked = None
    with st.grid(min_column_width=170, gap="small"):
        for answer in shown[(page - 1) * SHOWN_AT_ONCE : page * SHOWN_AT_ONCE]:
            with st.container(border=True, gap="xsmall"):
                if show_card(answer, draw, unsure_below):
                    asked = answer
    return asked


def show_card(answer: Answer, draw: Callable[[Answer], bytes | None], unsure_below: float) -> bool:
    """One photo with its verdict and probabilities, or with the reason why there are none; whether it is asked why."""
    if answer.reason:
        st.warning(f"{plain(answer.name)}: {plain(answer.reason)}.", icon=":material/broken_image:")
        return False
    picture = draw(answer)
    if picture:
        st.image(picture, width="stretch", alt=answer.name)
    st.html(verdict_line(answer, unsure_below) + probability_bars(answer.label, answer.probabilities))
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="xsmall"):
        st.caption(plain(PurePosixPath(answer.name).name))
        return st.button("Why?", key=f"why_{answer.photo_id}", type="tertiary", help=plain(f"Why {answer.name}?"))


def verdict_line(answer: Answer, unsure_below: float) -> str:
    """The verdict where it is no class, and the folder's class where that is another, as HTML."""
    verdict = answer.verdict(unsure_below)
    words = {UNSURE: "Unsure", NEITHER: "Neither: unlike what it learned from"}.get(verdict, "")
    if answer.is_wrong:
        words = ". ".join(filter(None, [words, f"Its folder says {html.escape(answer.class_name)}"]))
    return f'<div style="font-weight:600;font-size:0.9rem;margin-bottom:4px">{words}</div>' if words else ""


def probability_bars(label: str, probabilities: Mapping[str, float]) -> str:
    """The label, and a bar for each class's probability in the class's colour, as HTML."""
    rows = []
    colours = class_colours(list(probabilities))
    for name, probability in probabilities.items():
        weight = 600 if name == label else 400
        rows.append(
            f'<div style="display:flex;justify-content:space-between;font-weight:{weight}">'
            f"<span>{html.escape(name)}</span>"
            f'<span style="font-variant-numeric:tabular-nums">{percent(probability)}</span></div>'
            '<div style="height:8px;border-radius:4px;background:rgba(128,128,128,.2);margin:2px 0 8px">'
            f'<div style="height:8px;border-radius:4px;width:{probability * 100:.1f}%;background:{colours[name]}">'
            "</div></div>"
        )
    return f'<div style="font-size:0.95rem">{"".join(rows)}</div>'


def show_table(
    shown: Sequence[Answer], uploads: Mapping[str, Any], class_names: Sequence[str], unsure_below: float
) -> Answer | None:
    """A row for each photo; returns the one that was selected."""
    pictures = work_ahead(lambda answer: table_picture(answer, uploads), shown)
    rows = [
        table_row(answer, picture, class_names, unsure_below) for answer, picture in zip(shown, pictures, strict=True)
    ]
    columns = {
        f"probability_{name}": st.column_config.ProgressColumn(
            name, width=120, min_value=0, max_value=100, format="%.1f %%"
        )
        for name in class_names
    }
    columns["Photo"] = st.column_config.ImageColumn("", width="small")
    columns["Likeness"] = st.column_config.NumberColumn(
        format="%.2f", help="To the photos that were learned from; 1 is the same."
    )
    table = pd.DataFrame(rows)
    found = st.dataframe(
        # Nobody needs reasons where each photo can be read.
        table if table["Reason"].any() else table.drop(columns="Reason"),
        column_config=columns,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        placeholder="",
        key="answers_table",
    )
    places = found.selection.rows
    return shown[places[0]] if places and places[0] < len(shown) and not shown[places[0]].reason else None


def table_row(
    answer: Answer, picture: str | None, class_names: Sequence[str], unsure_below: float
) -> dict[str, str | float | None]:
    """What the table shows of a photo; visitors take it along as CSV as well, in which no name may be a formula."""
    probabilities = answer.probabilities or {}
    return {
        "Photo": picture,
        "Verdict": disarmed(answer.verdict(unsure_below) or UNREADABLE),
        # A class may have the name of another column.
        **{f"probability_{name}": percentage(probabilities[name]) if probabilities else None for name in class_names},
        "Name": disarmed(answer.name),
        "Likeness": answer.similarity,
        "Reason": answer.reason,
    }


def table_picture(answer: Answer, uploads: Mapping[str, Any]) -> str | None:
    """A photo as small as a row is high, as a data URL."""
    picture = None if answer.reason else small_jpeg(uploads[answer.photo_id].getvalue(), TABLE_PICTURE_SIDE)
    return picture and f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def offer_downloads(
    answers: Sequence[Answer], uploads: Mapping[str, Any], class_names: Sequence[str], unsure_below: float
) -> None:
    """The answers as a CSV file, and the photos sorted into folders; each made when it is asked for."""
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Download CSV",
            data=partial(as_csv, answers, class_names, unsure_below),
            file_name="answers.csv",
            mime="text/csv",
            icon=":material/table_view:",
            on_click="ignore",
            help="A row for each photo: name, label, verdict, the probability of each class.",
        )
        st.download_button(
            "Download sorted photos",
            data=partial(as_zip, answers, uploads, unsure_below),
            file_name="sorted photos.zip",
            mime="application/zip",
            icon=":material/folder_zip:",
            on_click="ignore",
            help="A zip of the photos in a folder for each verdict.",
        )


def as_csv(answers: Sequence[Answer], class_names: Sequence[str], unsure_below: float) -> bytes:
    """The CSV file that `classify --csv` writes, with the names of the photos as paths."""
    file = io.StringIO(newline="")
    add = answers_writer(file, class_names)
    for answer in answers:
        error = f"{answer.name}: {answer.reason}." if answer.reason else None
        add(answer.name, answer.label, answer.verdict(unsure_below), answer.probabilities, error)
    return file.getvalue().encode("utf-8", "surrogateescape")


def as_zip(answers: Sequence[Answer], uploads: Mapping[str, Any], unsure_below: float) -> bytes:
    """A zip archive with a folder for each verdict; photos of the same name get a number."""
    taken: set[str] = set()
    with tempfile.TemporaryFile() as file:
        # Photos hardly get smaller by being compressed.
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for answer in answers:
                folder = safe_name(answer.verdict(unsure_below) or UNREADABLE)
                archive.writestr(free_name(folder, answer.name, taken), uploads[answer.photo_id].getvalue())
        file.seek(0)
        return file.read()


def safe_name(name: str) -> str:
    """A name that is one part of a path and no other, on any system."""
    kept = "".join("_" if character in '<>:"/\\|?*' or character < " " else character for character in name)
    return kept.strip(". ") or "_"


def free_name(folder: str, name: str, taken: set[str]) -> str:
    """A path in the archive that no other photo has, upper and lower case alike."""
    path = PurePosixPath(safe_name(PurePosixPath(name.replace("\\", "/")).name))
    number, found = 1, f"{folder}/{path}"
    while found.casefold() in taken:
        number += 1
        found = f"{folder}/{path.stem} ({number}){path.suffix}"
    taken.add(found.casefold())
    return found
