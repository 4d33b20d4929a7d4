"""What came of a run, under its curves: how good it is, its mistakes, doubtful labels, and how far to trust it."""

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from catdog.charts.result_charts import answered_chart, histogram_chart, reliability_chart
from catdog.figures import percent
from catdog.files.csv_files import disarmed
from catdog.files.folders import may_see_photos
from catdog.files.json_files import found_in, read_json
from catdog.pages.every_page.visitor import owner
from catdog.pages.every_page.words import plain
from catdog.pages.result.label_view import show_labels
from catdog.pages.result.mistake_view import show_mistakes
from catdog.results.findings import describe_accuracy, describe_calibration
from catdog.results.report_files import HTML_FILE, count_right, left_aside, read_report


def show_result(folder: Path) -> None:
    """The report of a run in tabs, of which only the open one is made; nothing where there is no whole report."""
    report = read_report(folder)
    if not report:
        return
    for sentence in left_aside(folder, report):
        st.caption(f":material/broken_image: {plain(sentence)}")
    wrong = report["photos"] - count_right(report)
    doubtful = len(report["wrong_labels"]["found"]) if report["wrong_labels"] else 0
    names = ["How good", f"Mistakes ({wrong:,})", f"Doubtful labels ({doubtful:,})", "How sure"]
    good, mistakes, labels, sure = st.tabs(names, key=f"result_{folder.name}", on_change="rerun")
    photos = photos_folder(folder)
    if good.open:
        with good:
            show_accuracy(folder, report, photos)
    if mistakes.open:
        with mistakes:
            show_mistakes(folder, report, photos)
    if labels.open:
        with labels:
            show_labels(folder, report, photos)
    if sure.open:
        with sure:
            show_calibration(report)


def photos_folder(folder: Path) -> Path | None:
    """The folder of a run's photos, if it is still there and a visitor may see what is in it."""
    named = found_in(read_json(folder / "config.json"), "settings", "data", kind=str)
    if named is None:
        return None
    photos = Path(named)
    return photos if may_see_photos(photos, owner()) and photos.is_dir() else None


def show_accuracy(folder: Path, report: dict[str, Any], photos: Path | None) -> None:
    """The figures in sentences, those of each class in a table, and the report to take along."""
    st.markdown(plain(" ".join(describe_accuracy(report))))
    rows = [
        {
            # Visitors take the table along as CSV.
            "Class": disarmed(each["name"]),
            "Photos": each["photos"],
            "Recall": None if each["recall"] is None else percent(each["recall"]),
            "Precision": None if each["precision"] is None else percent(each["precision"]),
        }
        for each in report["classes"]
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "Recall": st.column_config.TextColumn(help="Of the photos of this class, how many were given it."),
            "Precision": st.column_config.TextColumn(help="Of the photos that were given this class, how many are."),
        },
        key=f"classes_{folder.name}",
    )
    page = folder / HTML_FILE
    # Its pictures are those of the photos.
    if page.is_file() and photos:
        st.download_button(
            "Download report",
            data=page.read_bytes,  # called when somebody clicks, not before
            file_name=f"catdog report {folder.name}.html",
            mime="text/html",
            on_click="ignore",
            icon=":material/download:",
            help="One HTML file with charts, figures, settings and pictures, which opens with no network.",
            key=f"report_{folder.name}",
        )


def show_calibration(report: dict[str, Any]) -> None:
    """How far the probabilities can be taken at their word, and what leaving photos unanswered would gain."""
    st.markdown(plain(" ".join(describe_calibration(report))))
    left, right = st.columns(2)
    left.vega_lite_chart(spec=reliability_chart(report["calibration"]), key="reliability")
    right.vega_lite_chart(spec=answered_chart(report["answered"]), key="answered")
    st.vega_lite_chart(spec=histogram_chart(report["histogram"], report["class_names"]), key="histogram")
