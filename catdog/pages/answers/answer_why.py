"""Why a photo was given its label: where the network looked, and which photos that it learned from are most like it."""

from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from catdog.charts.run_charts import class_colours
from catdog.classifier.heatmaps import draw_map
from catdog.classifier.verdicts import NEITHER
from catdog.errors import CatdogError
from catdog.figures import percent
from catdog.pages.answers.answer_view import probability_bars, verdict_line
from catdog.pages.answers.classifiers import Source
from catdog.pages.answers.kept_answers import Answer
from catdog.pages.every_page.words import plain
from catdog.pages.result.result_pictures import Wanted, draw_one
from catdog.pages.result.result_view import photos_folder
from catdog.photos.reading import UnreadablePhoto, small_jpeg, work_ahead

PICTURE_SIDE = 640  # pixels of the longer side
SIMILAR_WIDTH = 96


@st.dialog("Why", width="large", on_dismiss="rerun")
def show_why(answer: Answer, upload: Any, source: Source, unsure_below: float) -> None:
    """A photo with its map, its probabilities, and the most similar photos that were learned from."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        opacity = 0.0
        if answer.places is not None:
            opacity = st.slider("Opacity of the map", 0, 100, 60, 5, "%d %%", key="why_opacity") / 100
        picture = with_map(answer, upload.getvalue(), opacity)
        if picture:
            st.image(picture, width="stretch", alt=answer.name)
    with right:
        st.markdown(f"**{plain(answer.name)}**")
        st.html(verdict_line(answer, unsure_below) + probability_bars(answer.label, answer.probabilities))
        for sentence in reasons(answer, unsure_below):
            st.markdown(plain(sentence))
        if answer.nearest:
            show_similar(answer, source)


def with_map(answer: Answer, content: bytes, opacity: float) -> bytes | None:
    """The photo, larger than on its card, with the map over it."""
    try:
        if answer.places is None or not opacity:
            return small_jpeg(content, PICTURE_SIDE)
        colours = class_colours(list(answer.probabilities))
        pair = colours[answer.label], colours[answer.runner_up]
        return draw_map(content, answer.places, pair, opacity, PICTURE_SIDE)
    except (UnreadablePhoto, CatdogError):
        return None


def reasons(answer: Answer, unsure_below: float) -> list[str]:
    """What stands behind a verdict, in sentences."""
    found = []
    if answer.places is not None:
        found.append(
            f"Coloured places speak for {answer.label} or for {answer.runner_up}, in the colour of each: exactly what "
            "they add to one over the other."
        )
    if answer.similarity is not None:
        is_strange = answer.verdict(unsure_below) == NEITHER
        found.append(
            f"Its likeness to the photos that were learned from is {answer.similarity:.2f}. Below {answer.limit:.2f} a "
            f"photo counts as neither{', so this one does' if is_strange else ''}: a rule of thumb."
        )
    if answer.probability < unsure_below:
        found.append(f"Its probability, {percent(answer.probability)}, is below {percent(unsure_below)}: unsure.")
    return found


def show_similar(answer: Answer, source: Source) -> None:
    """The most similar photos that were learned from, where they are still there and may be seen."""
    st.markdown("**Most similar among the photos that it learned from**")
    photos = photos_folder(source.folder) if source.folder else None
    if photos is None:
        st.caption("They are no longer there, or not where this app may show them.")
        return
    wanted = [Wanted(Path(each.path), None, ("", "")) for each in answer.nearest]
    pictures = work_ahead(partial(draw_one, photos), wanted)
    with st.container(horizontal=True, gap="small"):
        for each, picture in zip(answer.nearest, pictures, strict=True):
            with st.container(width=SIMILAR_WIDTH, gap="xsmall"):
                if picture:
                    st.image(picture, width=SIMILAR_WIDTH, alt=Path(each.path).name)
                else:
                    st.caption("Can't be shown any more")
                st.markdown(plain(f"{each.class_name}, {each.similarity:.2f}"))
