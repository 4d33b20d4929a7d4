"""The classify page: photos in; what is on them, why, how sure, and whether it is any of that at all."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from catdog.charts.result_charts import threshold_chart
from catdog.classifier.verdicts import UNSURE_BELOW
from catdog.figures import percent
from catdog.pages.answers.added_models import add_model, may_add
from catdog.pages.answers.answer_view import show_answers
from catdog.pages.answers.answer_why import show_why
from catdog.pages.answers.classifiers import Source, answered_of, choose_classifier, is_only_shown, load
from catdog.pages.answers.kept_answers import classify_part, forget_removed, kept_answers, missing_answers
from catdog.pages.every_page.words import plain
from catdog.pages.result.export_view import show_export
from catdog.photos.reading import ENDINGS, MAX_BYTES
from catdog.public_mode import is_public, limits
from catdog.settings import BUNDLED

TYPES = sorted(ending.removeprefix(".") for ending in ENDINGS)
# Where there is room for one column only, the answers come right below the photos, and what else there is after them.
ONE_COLUMN = """<style>
@media (max-width: 640px) {
  .st-key-classify > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"] { gap: 1rem }
  .st-key-classify > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"],
  .st-key-classify > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]
    > [data-testid="stVerticalBlock"] { display: contents }
  .st-key-classify [data-testid="stLayoutWrapper"]:has(> .st-key-after_answers) { order: 1 }
}
</style>"""


def main() -> None:
    """Read from top to bottom: which classifier, which photos, how sure it must be, what they show."""
    st.subheader("Classify photos", anchor=False)
    st.html(ONE_COLUMN)
    left, right = st.container(key="classify").columns([4, 8], gap="large")
    with left:
        source = choose_classifier()
        uploads = choose_uploads()
        with st.container(key="after_answers"):
            unsure_below = choose_threshold(source)
            show_more(source)
    forget_removed(uploads)
    with right:
        if not uploads:
            st.markdown(
                "Each photo will appear here with its label and the probability of every class, with what the network "
                "looked at, and with a word of caution where it is unsure or where it is neither."
            )
            return
        show_photos(source, uploads, unsure_below)


def choose_uploads() -> dict[str, Any]:
    """The photos that the visitor uploaded or took, by what Streamlit knows them by."""
    # New keys empty the uploaders: nobody wants to remove a thousand photos one by one.
    emptied = st.session_state.setdefault("uploads_emptied", 0)
    largest = MAX_BYTES // 1_000_000
    uploads = st.file_uploader(
        "Photos",
        key=f"photos_{emptied}",
        type=TYPES,
        accept_multiple_files=True,
        max_upload_size=min(largest, limits().megabytes_at_once) if is_public() else largest,
        help="JPEG, PNG, GIF, BMP, WebP, AVIF or HEIC. They stay in this server's memory until you remove them. With "
        "the field in focus (Tab), Ctrl+V adds a copied picture.",
    )
    # Each of the other ways is asked for only when somebody wants it.
    with st.container(horizontal=True, gap="small"):
        by_folder = st.toggle("Add a folder", key="use_folder")
        by_camera = st.toggle("Use the camera", key="use_camera")
    if by_folder:
        folder = st.file_uploader(
            "A folder of photos",
            key=f"folder_{emptied}",
            type=TYPES,
            accept_multiple_files="directory",
            help="Where folders in it are named as the classes, you see which photos are given another.",
        )
        uploads = [*uploads, *folder]
    if by_camera:
        taken = st.camera_input("Take a photo", label_visibility="collapsed")
        if taken:
            uploads = [taken, *uploads]
    require_few(uploads)
    if uploads:
        st.button(
            "Remove all",
            icon=":material/delete:",
            type="tertiary",
            on_click=partial(st.session_state.__setitem__, "uploads_emptied", emptied + 1),
        )
    return {upload.file_id: upload for upload in uploads}


def require_few(uploads: list[Any]) -> None:
    """Let go of photos that are more than one visitor may have here at once, and say so where they were chosen."""
    if not is_public():
        return
    allowed = limits()
    if len(uploads) > allowed.photos_at_once or sum(each.size for each in uploads) > 1e6 * allowed.megabytes_at_once:
        # They don't stay in the memory that all visitors share.
        st.session_state["uploads_emptied"] += 1
        st.session_state["too_many"] = True
        st.rerun()
    words = f"At most {allowed.photos_at_once:,} photos at once, of together {allowed.megabytes_at_once:,} MB"
    if uploads:
        st.session_state["too_many"] = False
    if st.session_state.get("too_many"):
        st.warning(f"{words}: choose fewer.", icon=":material/block:")
    elif not uploads:
        st.caption(f"{words}. They stay in this server's memory, unseen by others, until you remove them or leave.")


def choose_threshold(source: Source) -> float:
    """How probable a label must be, and what that would have meant for the photos that the classifier was judged on."""
    chosen = st.slider(
        "Unsure below",
        min_value=50,
        max_value=99,
        value=round(100 * UNSURE_BELOW),
        format="%d %%",
        key="unsure_below",
        persist_state="session",
        help="A label that is less probable gets the verdict unsure.",
    )
    answered = answered_of(source)
    row = next((each for each in answered if round(100 * each["threshold"]) == chosen), None)
    if row:
        rest = "" if row["accuracy"] is None else f"; of the rest {percent(row['accuracy'])} would be right"
        words = f"{percent(1 - row['share'])} of its validation photos would be left unanswered{rest}."
        st.caption(words)
        st.vega_lite_chart(spec=threshold_spec(answered, chosen / 100), key="threshold")
    return chosen / 100


def show_more(source: Source) -> None:
    """What is wanted now and then: a classifier from elsewhere, and one for elsewhere."""
    if may_add():
        fold = st.expander("Add a classifier", icon=":material/upload:", type="compact", on_change="rerun", key="add")
        if fold.open:
            with fold:
                add_model()
    if source.name == BUNDLED or (source.folder and not is_only_shown(source)):
        fold = st.expander("Hand it on", icon=":material/ios_share:", type="compact", on_change="rerun", key="hand_on")
        if fold.open:
            with fold:
                st.fragment(show_export)(source.name)


@st.cache_data(max_entries=200, show_spinner=False)
def threshold_spec(answered: list[dict[str, Any]], threshold: float) -> dict[str, Any]:
    """The chart of what each threshold would have meant, made once."""
    return threshold_chart(answered, threshold)


def show_photos(source: Source, uploads: Mapping[str, Any], unsure_below: float) -> None:
    """What is known of the photos so far; where some are missing, the page goes on by itself, a part at a time."""
    place = st.empty()

    def tell(done: int) -> None:
        place.progress(done / len(uploads), f"Classifying: {done:,} of {len(uploads):,}")

    missing = missing_answers(source, uploads)
    if missing:
        tell(len(uploads) - len(missing))
        classify_part(source, uploads, tell)
    missing = missing_answers(source, uploads)
    if not missing:
        place.empty()
    note = load(source).note
    if note:
        st.caption(f":material/broken_image: {plain(note)}")
    kept = kept_answers()
    answers = [kept[source, photo_id] for photo_id in uploads if (source, photo_id) in kept]
    asked = show_answers(answers, uploads, unsure_below)
    if asked:
        # A page that goes on by itself would close it; the rest is classified once the visitor does.
        show_why(asked, uploads[asked.photo_id], source, unsure_below)
    elif missing:
        st.rerun()


main()
