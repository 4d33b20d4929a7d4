"""The classify page: photos in, cat or dog out, and how sure."""

import html
from pathlib import Path
from typing import Any

import streamlit as st

from catdog import jobs
from catdog.charts import class_colours
from catdog.errors import CatdogError
from catdog.figures import percent
from catdog.json_files import found_in, read_json
from catdog.pages.words import moment, plain
from catdog.photos import ENDINGS, MAX_BYTES, small_jpeg
from catdog.runs import INFO_FILE, KERAS_FILE
from catdog.settings import BUNDLED

CARD_WIDTH = 320  # pixels of a card's picture
MOST_CLASSIFIERS = 3  # loaded at a time, for all visitors together


def main() -> None:
    """Read from top to bottom: which classifier, which photos, what they show."""
    st.subheader("Classify photos", anchor=False)
    classifiers = available_classifiers()
    left, right = st.columns([5, 7], gap="large")
    with left:
        chosen = st.selectbox(
            "Classifier",
            list(classifiers),
            format_func=lambda source: classifiers.get(source, source),
            help="The newest of your runs, unless you choose another; the bundled one needs no training.",
        )
        uploads = choose_uploads()
    forget_removed(uploads)
    with right:
        if not uploads:
            st.markdown("Each photo will appear here with its label and with the probability of every class.")
            return
        answers = classify_new(chosen or BUNDLED, uploads)
        show_summary(answers)
        with st.grid(min_column_width=180, gap="small"):
            for answer in answers:
                show_card(answer)


def available_classifiers() -> dict[str, str]:
    """The classifiers of the runs, the newest first, and the bundled one, each with what to call it."""
    found = {}
    for job in jobs.list_jobs():
        if job.has_classifier and not job.is_active:
            info = read_json(job.folder / INFO_FILE)
            words = [f"Run of {moment(job.status['started'])}"]
            words.append(" or ".join(map(str, found_in(info, "class_names", kind=list) or [])))
            accuracy = found_in(info, "metrics", "accuracy", kind=float)
            words.append("" if accuracy is None else f"{percent(accuracy)} right")
            found[str(job.folder)] = ", ".join(filter(None, words))
    return found | {BUNDLED: "Bundled classifier, cats or dogs"}


def choose_uploads() -> list[Any]:
    """The photos that the visitor uploaded or took."""
    uploads = st.file_uploader(
        "Photos",
        type=sorted(ending.removeprefix(".") for ending in ENDINGS),
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES // 1_000_000,
        help="JPEG, PNG, GIF, BMP, WebP, AVIF or HEIC. They stay in this server's memory until you remove them.",
    )
    # The camera is asked for only when somebody wants it.
    if st.toggle("Use the camera", key="use_camera"):
        taken = st.camera_input("Take a photo", label_visibility="collapsed")
        if taken:
            uploads = [taken, *uploads]
    return uploads


@st.cache_resource(max_entries=MOST_CLASSIFIERS, show_spinner="Loading the classifier")
def load_once(source: str, changed: float):
    """The classifier of a source, loaded once for all visitors; a changed file is loaded anew."""
    from catdog.classifier import load_classifier

    return load_classifier(source)


def forget_removed(uploads: list[Any]) -> None:
    """Forget the answers and thumbnails of photos that the visitor removed."""
    kept: dict = st.session_state.setdefault("answers", {})
    ids = {upload.file_id for upload in uploads}
    for key in [key for key in kept if key[2] not in ids]:
        del kept[key]


def classify_new(source: str, uploads: list[Any]) -> list[dict[str, Any]]:
    """An answer for each upload, of which only those that this classifier hasn't seen go through the network."""
    path = Path(source) / KERAS_FILE
    changed = path.stat().st_mtime if path.is_file() else 0.0
    kept: dict = st.session_state["answers"]
    missing = [upload for upload in uploads if (source, changed, upload.file_id) not in kept]
    if missing:
        try:
            classifier = load_once(source, changed)
        except CatdogError as error:
            st.error(plain(str(error)), icon=":material/error:")
            st.stop()
        bar = st.progress(0.0, "Classifying") if len(missing) > 1 else None
        contents = (upload.getvalue() for upload in missing)
        for number, (upload, found) in enumerate(zip(missing, classifier.classify(contents), strict=True), 1):
            answer = {"name": upload.name, "label": found.label, "probabilities": found.probabilities}
            answer |= {
                "reason": found.reason,
                "picture": None if found.reason else small_jpeg(upload.getvalue(), CARD_WIDTH),
            }
            kept[source, changed, upload.file_id] = answer
            if bar:
                bar.progress(number / len(missing), f"Classifying: {number:,} of {len(missing):,}")
        if bar:
            bar.empty()
    return [kept[source, changed, upload.file_id] for upload in uploads]


def show_summary(answers: list[dict[str, Any]]) -> None:
    """How many photos got which label."""
    counts: dict[str, int] = {}
    for answer in answers:
        if answer["label"]:
            counts[answer["label"]] = counts.get(answer["label"], 0) + 1
    unreadable = sum(1 for answer in answers if answer["reason"])
    words = [f"{plain(label)}: {count:,}" for label, count in sorted(counts.items())]
    if unreadable:
        words.append(f"can't be read: {unreadable:,}")
    st.markdown(" · ".join(words))


def show_card(answer: dict[str, Any]) -> None:
    """One photo with its label and probabilities, or with the reason why there are none."""
    with st.container(border=True):
        if answer["reason"]:
            st.warning(f"{plain(answer['name'])}: {plain(answer['reason'])}.", icon=":material/broken_image:")
            return
        if answer["picture"]:
            st.image(answer["picture"], width="stretch", alt=answer["name"])
        st.html(probability_bars(answer["label"], answer["probabilities"]))
        st.caption(plain(answer["name"]))


def probability_bars(label: str, probabilities: dict[str, float]) -> str:
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


main()
