"""The report as one HTML file: it shows what report.json says, refers to nothing outside, and takes names as names."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reports import make_probabilities, make_report, report_of, save_report_run
from trained import one_json_object

from catdog import jobs
from catdog.__main__ import main
from catdog.curves import learning_curves
from catdog.errors import Refused
from catdog.figures import percent
from catdog.findings import describe_accuracy, describe_calibration, describe_wrong_labels
from catdog.html_report import MOST_MISTAKES, draw_charts, write_html
from catdog.html_report import report_of as report_of_run
from catdog.results import HEATMAPS_FILE, REPORT_FILE, read_report
from catdog.runs import create_run
from catdog.settings import TrainConfig

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>&{{ 7 * 7 }}'
VOID = {"meta", "img", "link", "br", "input"}
DATA = "data:image/jpeg;base64,"


class Page(HTMLParser):
    """A page's elements, each with its attributes, the ids around it, and the text in it."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attributes": dict(attrs), "around": list(self.open), "text": ""}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def find(self, tag: str, within: str = "") -> list[dict]:
        """The elements of a tag, perhaps only those within the element of an id, with their text in one line."""
        return [
            each | {"text": " ".join(each["text"].replace("\N{WORD JOINER}", "").split())}
            for each in self.elements
            if each["tag"] == tag
            and (not within or within in [around["attributes"].get("id") for around in each["around"]])
        ]

    def rows(self, table: str) -> list[list[str]]:
        """A table's cells, row by row."""
        rows = [each for each in self.elements if each["tag"] == "tr"]
        cells = [each for tag in ("th", "td") for each in self.find(tag, table)]
        return [
            [each["text"] for each in sorted(cells, key=self.position) if self.parent(each) is row]
            for row in rows
            if table in [around["attributes"].get("id") for around in row["around"]]
        ]

    def parent(self, element: dict) -> dict:
        """The innermost element around one."""
        return element["around"][-1]

    def position(self, element: dict) -> int:
        """Where on the page an element stands."""
        return next(index for index, each in enumerate(self.elements) if each["attributes"] is element["attributes"])


@pytest.fixture
def written(tmp_path):
    """A run with a report, and its page."""
    report = make_report()
    folder = save_report_run(tmp_path / "run", report, tmp_path)
    return report, folder, Page(write_html(folder, tmp_path / "page.html"))


def test_the_page_shows_the_figures_of_the_report(written):
    report, _, page = written
    values = [each["text"] for each in page.find("dd")]
    low, high = map(percent, report["interval"])
    calibration = report["calibration"]
    assert values == [
        f"{percent(report['accuracy'])}{low} to {high}",
        f"{percent(report['baseline']['accuracy'])}would be right",
        f"{report['loss']:.3f}on validation photos",
        f"{percent(calibration['after']['error'])}{percent(calibration['before']['error'])} before",
        f"{calibration['temperature']:.2f}1 changes nothing",
    ]


def test_the_page_shows_confusion_and_classes(written):
    report, _, page = written
    (_, *names), *rows = page.rows("confusion")
    assert names == report["class_names"]
    assert [[int(cell) for cell in row[1:]] for row in rows] == report["confusion"]
    assert [row[0] for row in rows] == report["class_names"]
    heading, *rows = page.rows("classes")
    assert heading == ["Class", "Photos", "Precision", "Recall"]
    assert rows == [
        [each["name"], str(each["photos"]), percent(each["precision"]), percent(each["recall"])]
        for each in report["classes"]
    ]


def test_the_page_says_every_sentence(written):
    report, _, page = written
    said = " ".join(each["text"] for each in page.find("p"))
    for describe in (describe_accuracy, describe_calibration, describe_wrong_labels):
        for sentence in describe(report):
            assert sentence in said.replace("\N{NO-BREAK SPACE}", " ")


def test_the_page_shows_the_listed_photos_with_their_pictures(written):
    report, _, page = written
    expected = {
        "mistakes": [
            f"{each['class']} taken for {each['label']}, {percent(each['probability'])}" for each in report["mistakes"]
        ],
        "border": [
            f"{each['label']}, {percent(each['probability'])}, rather than {each['against']}"
            for each in report["border"]
        ],
        "wrong-labels": [
            f"{each['class']}, or rather {each['label']}: {percent(each['probability'])}"
            for each in report["wrong_labels"]["found"]
        ],
    }
    for section, captions in expected.items():
        listed = report["wrong_labels"]["found"] if section == "wrong-labels" else report[section]
        names = [str(Path(each["path"]).relative_to(Path(each["path"]).parents[3])) for each in listed]
        shown = [each["text"] for each in page.find("figcaption", section)]
        assert shown == [caption + name for caption, name in zip(captions, names, strict=True)]
        pictures = [each["attributes"]["src"] for each in page.find("img", section)]
        assert len(pictures) == len(listed) * (1 if section == "wrong-labels" else 2)
        for source in pictures:
            assert source.startswith(DATA)
            with Image.open(io.BytesIO(base64.b64decode(source.removeprefix(DATA)))) as picture:
                assert (picture.format, max(picture.size)) == ("JPEG", 144 if section == "wrong-labels" else 200)


def test_the_page_shows_settings_photos_and_versions(written):
    _, folder, page = written
    config = json.loads((folder / "config.json").read_text())
    settings = dict(page.rows("settings")[: len(config["settings"])])
    assert settings["Head epochs"] == "2"
    assert settings["Fine-tuning learning rate"] == "0.00001"
    assert settings["Photos left out"] == "none"
    assert settings["Photos"] == config["settings"]["data"]
    assert page.rows("photos") == [["train", "40 cats, 40 dogs"], ["validation", "40 cats, 40 dogs"]]
    assert page.rows("versions") == [["backbone", "starter"], *map(list, config["versions"].items())]


def test_the_page_has_the_five_charts_with_their_descriptions(written):
    _, _, page = written
    charts = page.find("svg")
    assert [chart["attributes"]["role"] for chart in charts] == ["img"] * 5
    described = [chart["attributes"]["aria-label"] for chart in charts]
    assert all(described)
    assert described[0] == "Line chart: loss of training and validation by epoch"
    ids = [each["attributes"]["id"] for each in page.elements if "id" in each["attributes"]]
    assert len(ids) == len(set(ids))


def test_a_run_is_called_by_its_name_or_else_by_when_it_began(written, tmp_path):
    _, folder, page = written
    assert re.fullmatch(r"Run of \d+ \w+ \d{4}, \d\d:\d\d", page.find("h1")[0]["text"])
    jobs.rename(folder, "With more photos")
    page = Page(write_html(folder, tmp_path / "page.html"))
    assert page.find("h1")[0]["text"] == page.find("title")[0]["text"] == "With more photos"


def refers_to_nothing_outside(page: Page) -> None:
    """No element, attribute or style of the page can fetch anything or run anything."""
    policies = [each["attributes"]["content"] for each in page.find("meta") if "http-equiv" in each["attributes"]]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    # The policy holds for what follows it.
    assert [each["tag"] for each in page.elements[:4]] == ["html", "head", "meta", "meta"]
    for each in page.elements:
        assert each["tag"] not in ("script", "link", "iframe", "object", "embed", "base", "form", "a", "use", "image")
        for name, value in each["attributes"].items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action", "background"):
                assert value.startswith(DATA)
            elif not name.startswith("xmlns"):
                assert "url(" not in (value or "").replace("url(#", "")
    for style in page.find("style"):
        assert not re.search(r"url\(|@import|https?:", style["text"])


def test_the_page_refers_to_nothing_outside(written):
    refers_to_nothing_outside(written[2])


def test_names_are_shown_as_they_are_and_do_nothing(tmp_path):
    names = (HOSTILE, "'); } </style><svg onload=alert(3)>")
    report = report_of(*make_probabilities(20, names), names, folder="{% raw %}</title>")
    report["mistakes"][0]["path"] = f"photos/{HOSTILE}\u202egpj.exe\udc80.jpg"
    report["baseline"]["class"] = "<b>bold</b>"
    report["split"] = "<i>test</i>"
    for each in report["mistakes"][1:]:
        each["path"] = each["path"].replace("/0", "/<0").replace(names[1], "odd")
    folder = save_report_run(tmp_path / "run", report)
    config = json.loads((folder / "config.json").read_text())
    config["versions"] = {HOSTILE: HOSTILE}
    config["backbone"]["name"] = HOSTILE
    (folder / "config.json").write_text(json.dumps(config))
    jobs.rename(folder, "</title><script>alert(4)</script>")
    page = Page(write_html(folder, tmp_path / "page.html"))
    refers_to_nothing_outside(page)
    assert page.find("h1")[0]["text"] == page.find("title")[0]["text"] == "</title><script>alert(4)</script>"
    assert page.rows("confusion")[0][1:] == list(names)
    assert page.rows("versions") == [["backbone", HOSTILE], [HOSTILE, HOSTILE]]
    assert HOSTILE in page.find("figcaption", "mistakes")[0]["text"]
    assert [each["tag"] for each in page.elements if each["tag"] in ("b", "i")] == []
    assert len(page.find("svg")) == 5
    # A chart's legend cuts a long name short.
    assert [each["text"] for each in page.find("text") if each["text"].startswith(names[1][:10])]


def test_photos_that_have_gone_are_named_with_the_reason(tmp_path):
    report = make_report()
    folder = save_report_run(tmp_path / "run", report, tmp_path)
    gone, broken = (Path(report["mistakes"][number]["path"]) for number in (0, 1))
    gone.unlink()
    broken.write_text("no photo any more")
    page = Page(write_html(folder, tmp_path / "page.html"))
    reasons = [each["text"] for each in page.find("p", "mistakes") if each["attributes"].get("class") == "gone"]
    assert reasons == [
        "Not shown: there is no such file.",
        "Not shown: it is a text file, not a photo.",
    ]
    assert gone.name in page.find("figcaption", "mistakes")[0]["text"]
    assert len(page.find("img", "mistakes")) == 2 * (len(report["mistakes"]) - 2)


@pytest.mark.parametrize("damage", ["none", "empty", "garbled", "few"])
def test_without_heatmaps_the_photos_stand_alone(tmp_path, damage):
    report = make_report()
    folder = save_report_run(tmp_path / "run", report, tmp_path)
    path = folder / HEATMAPS_FILE
    if damage == "none":
        path.unlink()
    elif damage == "garbled":
        path.write_bytes(b"PK\x03\x04")
    else:
        shape = (0, 7, 7) if damage == "few" else (len(report["mistakes"]) + 16, 0, 7)
        np.savez_compressed(path, maps=np.zeros(shape, np.float32))
    page = Page(write_html(folder, tmp_path / "page.html"))
    assert len(page.find("img", "mistakes")) == len(report["mistakes"])
    assert not [each for each in page.find("p", "mistakes") if "in the colours of the classes" in each["text"]]


def test_a_report_without_mistakes_border_or_wrong_labels_says_so(tmp_path):
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9]], np.float32)
    report = report_of(probabilities, np.array([0, 1]), ("cats", "dogs"))
    report |= {"border": [], "wrong_labels": None}
    folder = save_report_run(tmp_path / "run", report, tmp_path)
    page = Page(write_html(folder, tmp_path / "page.html"))
    assert [each["text"] for each in page.find("p", "mistakes")] == ["There are none."]
    assert [each["text"] for each in page.find("p", "wrong-labels")] == ["Possible wrong labels were not looked for."]
    assert "border" not in [each["attributes"].get("id") for each in page.elements]
    assert page.find("img") == []


def test_a_class_that_no_photo_has_is_shown_with_dashes(tmp_path):
    report = report_of(np.array([[0.9, 0.1]], np.float32), np.array([0]), ("cats", "dogs"))
    folder = save_report_run(tmp_path / "run", report, tmp_path)
    assert Page(write_html(folder, tmp_path / "page.html")).rows("classes")[2] == ["dogs", "0", "–", "–"]


def test_the_page_of_a_large_run_stays_small(tmp_path):
    probabilities, labels = make_probabilities(1500, ("cats", "dogs"), certainty=2.0)
    report = report_of(probabilities, labels, ("cats", "dogs"), suspected=100)
    assert len(report["mistakes"]) > 3 * MOST_MISTAKES
    for part in ("mistakes", "border"):
        report[part] = report[part][: 2 * MOST_MISTAKES]
    folder = save_report_run(tmp_path / "run", report, tmp_path)
    path = write_html(folder, tmp_path / "page.html")
    page = Page(path)
    assert len(page.find("img")) == 2 * MOST_MISTAKES + 2 * 16 - 16 + 100
    assert path.stat().st_size < 5_000_000
    wrong = 3000 - report["confusion"][0][0] - report["confusion"][1][1]
    assert page.find("p", "mistakes")[0]["text"].startswith(
        f"{wrong} photos were given another class than their own; the worst 48 follow,"
    )


def test_the_charts_show_the_reports_numbers(monkeypatch):
    report = make_report()
    drawn = {}
    monkeypatch.setattr(
        "catdog.html_report.draw_svg", lambda chart, width, name: drawn.update({name: chart}) or f"<svg>{name}</svg>"
    )
    draw_charts(TrainConfig(head_epochs=2), learning_curves([], 2), report)
    assert list(drawn) == ["loss", "accuracy", "reliability", "histogram", "answered"]
    assert drawn["answered"]["datasets"]["answered"]["accuracy"].to_pylist() == [
        each["accuracy"] for each in report["answered"]
    ]
    assert sum(drawn["histogram"]["datasets"]["bars"]["photos"].to_pylist()) == report["photos"]


def test_the_command_writes_the_page_and_says_what_it_found(written, tmp_path, capsys):
    report, folder, _ = written
    assert main(["report", str(folder)]) == 0
    accuracy, calibration, wrong_labels, where = capsys.readouterr().out.strip().split("\n\n")
    assert accuracy == " ".join(describe_accuracy(report))
    assert calibration == " ".join(describe_calibration(report))
    assert wrong_labels == " ".join(describe_wrong_labels(report))
    assert where == f"The report is in {folder / 'report.html'}."
    assert (folder / "report.html").read_bytes() == (tmp_path / "page.html").read_bytes()


def test_the_command_prints_the_report_as_one_object(written, tmp_path, capsys):
    _, folder, _ = written
    out = tmp_path / "elsewhere.html"
    assert main(["report", str(folder), "--json", "--out", str(out)]) == 0
    printed = one_json_object(capsys.readouterr().out)
    assert printed == {**json.loads((folder / REPORT_FILE).read_text()), "html": str(out)}
    assert out.read_text().startswith("<!DOCTYPE html>")
    assert not (folder / "report.html").exists()


def unfinished(folder: Path, state: str) -> Path:
    """A run in this state without a report."""
    run = create_run(TrainConfig(), folder)
    run.set_state(state)
    return run.folder


def older(folder: Path) -> Path:
    """A run with the report that earlier versions wrote."""
    unfinished(folder, "done")
    kept = {name: make_report()[name] for name in ("split", "class_names", "accuracy", "loss", "photos", "confusion")}
    (folder / REPORT_FILE).write_text(json.dumps(kept))
    return folder


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: folder / "nowhere", "There is no run in "),
        (lambda folder: unfinished(folder, "running"), "is not done yet"),
        (lambda folder: unfinished(folder, "failed"), "ended without a result: train it again"),
        (older, "is damaged or of an older version: train it again"),
    ],
)
def test_a_run_without_a_whole_report_is_refused_in_one_sentence(make, sentence, tmp_path, capfd):
    folder = make(tmp_path / "run")
    with pytest.raises(Refused, match=sentence):
        report_of_run(folder)
    assert main(["report", str(folder)]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert sentence in printed.err
    assert printed.err.count("\n") == 1
    assert not list(tmp_path.rglob("*.html"))


@pytest.mark.parametrize(("out", "sentence"), [(".", "is a folder"), ("nowhere/x.html", "can't be written")])
def test_a_file_that_cannot_be_written_is_refused(written, tmp_path, capfd, out, sentence):
    _, folder, _ = written
    assert main(["report", str(folder), "--out", str(tmp_path / out)]) == 2
    assert sentence in capfd.readouterr().err
    assert [path.name for path in tmp_path.rglob("*html*")] == ["page.html"]


def test_the_report_that_was_made_up_for_tests_is_a_whole_one(written):
    report, folder, _ = written
    assert read_report(folder) == report
    assert report["calibration"]["temperature"] != 1
    assert len(report["mistakes"]) > 1
