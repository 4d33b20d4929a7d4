"""A run's result as one HTML file that needs nothing else: no network, no script, no other file."""

import base64
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from catdog.charts.advice import read_curves
from catdog.charts.chart_svg import draw_svg
from catdog.charts.curves import learning_curves
from catdog.charts.result_charts import answered_chart, histogram_chart, reliability_chart
from catdog.charts.run_charts import class_colours, learning_chart
from catdog.classifier.heatmaps import draw_map
from catdog.errors import Refused
from catdog.figures import counted, decimal, percent, short_loss
from catdog.files.folders import require_replaceable
from catdog.files.json_files import found_in, read_json
from catdog.files.storage import Place, as_place, is_address
from catdog.files.whole_files import draft_of
from catdog.photos.reading import UnreadablePhoto, encode_jpeg, read_bytes, small_picture, work_ahead
from catdog.results.findings import describe_accuracy, describe_calibration, describe_wrong_labels
from catdog.results.report_files import REPORT_FILE, count_right, read_maps, read_report
from catdog.runs.events import read_events
from catdog.runs.jobs import counts_of, label_of
from catdog.runs.run_folder import ACTIVE_STATES, read_config, read_status
from catdog.settings import SETTINGS, TrainConfig, backbone_title

TEMPLATE_FILE = "report_template.html"
CHART_WIDTH = 400  # units, of a little more than a pixel on a wide screen and a little less on a phone
# So that a page with all that may be listed stays below 5 MB even where no photo can be compressed.
MOST_MISTAKES = 48
MISTAKE_SIDE = 168  # pixels of a picture's longer side
LISTED_SIDE = 128
MAP_OPACITY = 0.75
ABOUT_MAPS = (
    "Beside a photo, in the colours of the classes: which places speak for the label it was given, and which for the "
    "other class."
)


def write_html(folder: Path, out: Path) -> Path:
    """Write the report of a run's folder as an HTML file, whole or not at all, and return its path.

    Raises `Refused` where the run has no whole report, or where the file can't be written.
    """
    folder, out = Path(folder), Path(out)
    report, config = report_of(folder), read_config(folder)
    require_replaceable(out)
    page = template().render(page_content(folder, config, report))
    try:
        with draft_of(out) as draft:
            # Half a character, as a damaged name may have, can't be written.
            draft.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise Refused(f"The file {out} can't be written ({error.strerror}).") from None
    return out


def report_of(folder: Path) -> dict[str, Any]:
    """The whole report of a run; raises `Refused` with the reason where there is none."""
    report = read_report(folder)
    if report:
        return report
    if not (folder / "config.json").exists():
        raise Refused(f"There is no run in {folder}.")
    if read_status(folder)["state"] in ACTIVE_STATES:
        raise Refused(f"The run in {folder} is not done yet: its report comes at its end.")
    if not (folder / REPORT_FILE).exists():
        raise Refused(f"The run in {folder} ended without a result: train it again.")
    raise Refused(f"The report of the run in {folder} is damaged or of an older version: train it again.")


@lru_cache(maxsize=1)
def template() -> jinja2.Template:
    """The page with its places to fill in; each text that is put there is escaped."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["prose"] = prose
    return environment.get_template(TEMPLATE_FILE)


def prose(sentences: Sequence[str]) -> str:
    """Sentences as one paragraph, in which no line begins with the sign of a percentage."""
    return " ".join(sentences).replace(" %", "\N{NO-BREAK SPACE}%")


def page_content(folder: Path, config: TrainConfig, report: dict[str, Any]) -> dict[str, Any]:
    """What the page shows, by the names of its places."""
    curves = learning_curves(read_events(folder)[0], config.head_epochs, config.fine_tune_epochs)
    names = report["class_names"]
    return {
        "title": label_of(folder) or name_of(folder),
        "subtitle": f"{' or '.join(names)}: what the run learned, judged on {counted(report['photos'], 'photo')}",
        "class_names": names,
        "colours": class_colours(names),
        "figures": figures_of(report),
        "confusion": [[f"{count:,}" for count in row] for row in report["confusion"]],
        "classes": [class_row(each) for each in report["classes"]],
        "charts": draw_charts(config, curves, report),
        "accuracy_sentences": describe_accuracy(report),
        "calibration_sentences": describe_calibration(report),
        "wrong_label_sentences": describe_wrong_labels(report),
        "curve_sentences": read_curves((each.event for each in curves.epochs), config, counts_of(folder)),
        **photos_of(folder, config, report),
        "settings": [
            (field.metadata["label"], written(name, getattr(config, name))) for name, field in SETTINGS.items()
        ],
        **origin_of(folder),
    }


def name_of(folder: Path) -> str:
    """A run without a name is called by when it began, else by its folder."""
    try:
        began = time.localtime(read_status(folder)["started"] or None)
        return f"Run of {began.tm_mday} {time.strftime('%B %Y, %H:%M', began)}"
    except (ValueError, OverflowError, OSError):
        return f"Run {folder.resolve().name}"


def figures_of(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The figures at the top: what each is called, its value, and what to read beside it."""
    low, high = (percent(round(share, 9)) for share in report["interval"])
    calibration = report["calibration"]
    before, after = (percent(calibration[state]["error"]) for state in ("before", "after"))
    return [
        ("Accuracy", percent(report["accuracy"]), f"{low} to {high}"),
        (f"Always {report['baseline']['class']}", percent(report["baseline"]["accuracy"]), "would be right"),
        ("Loss", short_loss(report["loss"]), f"on {report['split']} photos"),
        ("Calibration error", after, f"{before} before"),
        ("Temperature", f"{calibration['temperature']:.2f}", "1 changes nothing"),
    ]


def class_row(of_class: dict[str, Any]) -> dict[str, str]:
    """A class's precision and recall as they are shown."""
    shares = {name: of_class[name] for name in ("precision", "recall")}
    return {"name": of_class["name"], "photos": f"{of_class['photos']:,}"} | {
        name: "–" if share is None else percent(share) for name, share in shares.items()
    }


def draw_charts(config: TrainConfig, curves: Any, report: dict[str, Any]) -> dict[str, Markup]:
    """Every chart of the page as SVG, whose texts the renderer has escaped."""
    epochs = config.head_epochs, config.fine_tune_epochs
    charts = {
        "loss": learning_chart(curves, "loss", *epochs),
        "accuracy": learning_chart(curves, "accuracy", *epochs),
        "reliability": reliability_chart(report["calibration"]),
        "histogram": histogram_chart(report["histogram"], report["class_names"]),
        "answered": answered_chart(report["answered"]),
    }
    return {name: Markup(draw_svg(chart, CHART_WIDTH, name)) for name, chart in charts.items()}


def photos_of(folder: Path, config: TrainConfig, report: dict[str, Any]) -> dict[str, Any]:
    """The listed photos with their pictures, and what is said about them."""
    maps = read_maps(folder)
    colours = class_colours(report["class_names"])
    listed = {
        "mistakes": [(each, each["class"], MISTAKE_SIDE) for each in report["mistakes"][:MOST_MISTAKES]],
        "border": [(each, each["against"], MISTAKE_SIDE) for each in report["border"]],
        "wrong_labels": [
            (each, each["class"], LISTED_SIDE) for each in (report["wrong_labels"] or {"found": []})["found"]
        ],
    }
    drawn = work_ahead(
        lambda asked: photo_entry(*asked, maps, colours, config.data),
        [asked for asked_of in listed.values() for asked in asked_of],
    )
    entries = {name: [next(drawn) for _ in asked_of] for name, asked_of in listed.items()}
    with_maps = any(each["map"] for each in entries["mistakes"] + entries["border"])
    return entries | {
        "mistakes_sentence": describe_mistakes(report),
        "maps_sentence": ABOUT_MAPS if with_maps else "",
    }


def describe_mistakes(report: dict[str, Any]) -> str:
    """How many mistakes there are, and which of them follow."""
    wrong = report["photos"] - count_right(report)
    if wrong <= 0:
        return "There are none."
    order = f"{counted(wrong, 'photo')} {'was' if wrong == 1 else 'were'} given another class than their own"
    if wrong == 1:
        return "One photo was given another class than its own."
    shown = min(len(report["mistakes"]), MOST_MISTAKES)
    first = f"; the worst {shown} follow" if shown < wrong else ""
    return f"{order}{first}, those first whose own class was thought least probable."


def photo_entry(
    listed: dict[str, Any],
    other: str,
    side: int,
    maps: np.ndarray | None,
    colours: dict[str, str],
    data: str,
) -> dict[str, Any]:
    """A photo of the report with its picture and its map as addresses, or with the reason why they are missing."""
    place = listed.get("heatmap")
    entry = {"name": name_within(listed["path"], data), "class_name": listed["class"], "label": listed["label"]}
    entry |= {"other": other, "probability": percent(listed["probability"]), "picture": None, "map": None, "reason": ""}
    try:
        content = read_bytes(place_within(listed["path"], data))
        entry["picture"] = data_address(encode_jpeg(small_picture(content, side)))
        if maps is not None and place is not None and 0 <= place < len(maps) and maps[place].size:
            pair = colours[listed["label"]], colours[other]
            entry["map"] = data_address(draw_map(content, maps[place], pair, MAP_OPACITY, side))
    except (UnreadablePhoto, Refused) as error:
        entry["reason"] = str(error).rstrip(".")
    return entry


def place_within(path: str, folder: str) -> Place:
    """Where a photo of a report lies; only one of a folder in object storage is looked for there."""
    in_storage = is_address(folder) and path.startswith(folder.rstrip("/") + "/")
    return as_place(path) if in_storage else Path(path)


def name_within(path: str, folder: str) -> str:
    """A photo's path within the folder of photos, where it lies in there."""
    try:
        return str(Path(path).relative_to(folder))
    except ValueError:
        return path


def data_address(jpeg: bytes) -> str:
    """The address that holds the whole picture."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def origin_of(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """How many photos there were for what, the backbone that was used, and the versions of what did the work."""
    content = read_json(folder / "config.json")
    counts = [
        (split, ", ".join(f"{number:,} {name}" for name, number in of_class.items()))
        for split, of_class in counts_of(folder).items()
    ]
    left_out = found_in(content, "photos", "left_out", kind=list)
    if left_out:
        counts.append(("could not be read", counted(len(left_out), "photo")))
    backbone = found_in(content, "backbone", "name", kind=str)
    versions = found_in(content, "versions", kind=dict) or {}
    rows = [("backbone", backbone_title(backbone))] if backbone else []
    return {"counts": counts, "versions": rows + [(name, str(version)) for name, version in versions.items()]}


def written(name: str, value: Any) -> str:
    """A setting's value as people read it; of a list of photos, how many there are."""
    if isinstance(value, float):
        return decimal(value)
    if isinstance(value, tuple):
        return counted(len(value), "photo") if value else "none"
    return backbone_title(value) if name == "backbone" else str(value)
