"""A report as one HTML file: it shows what report.json says, names stay names, and nothing comes from elsewhere."""

import base64
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import draw_noise, save_scene
from helpers.processes import one_json_object, run_python
from helpers.reports import make_probabilities, make_report, report_of, save_report_run
from PIL import Image

from catdog import __version__
from catdog.__main__ import main
from catdog.figures import percent
from catdog.results.findings import describe_accuracy, describe_calibration, describe_wrong_labels
from catdog.results.html_report import LISTED_SIDE, MISTAKE_SIDE, MOST_MISTAKES, write_html
from catdog.results.report_files import HEATMAPS_FILE, HTML_FILE, REPORT_FILE
from catdog.runs import jobs
from catdog.runs.run_folder import create_run
from catdog.settings import TrainConfig

TAG, QUOTES = "<img src=x onerror=alert(1)>", "\"&'"
PICTURE = "data:image/jpeg;base64,"
VOID = ("meta", "img", "wbr")
# What may stand in a page that is nothing but text, tables, pictures and drawings.
HARMLESS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "h1", "h2", "p", "div", "bdi"),
    *("dl", "dt", "dd", "small", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("figure", "figcaption", "img", "wbr", "svg", "g", "path", "rect", "text", "line", "defs", "clippath"),
}


class Page(HTMLParser):
    """The tags of a page with their attributes, and the text of each section and kind of element in it."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.around: list[tuple[str, str]] = []
        self.found: dict[tuple[str, str], list[str]] = {}
        self.pictures: dict[str, list[str]] = {}
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.around == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        within = attributes.get("id") if tag in ("section", "table") else None
        within = within or (self.around[-1][1] if self.around else "")
        if tag == "img":
            self.pictures.setdefault(within, []).append(attributes["src"])
        if tag not in VOID:
            self.around.append((tag, within))
            self.found.setdefault((within, tag), []).append("")

    def handle_endtag(self, tag):
        # An element that nothing closed would show here.
        assert self.around.pop()[0] == tag

    def handle_data(self, data):
        for tag, within in self.around:
            self.found[within, tag][-1] += data

    def texts(self, within: str, tag: str) -> list[str]:
        """The texts of all elements of a kind in the section or table of that id, in words of one line."""
        return [" ".join(text.split()) for text in self.found.get((within, tag), [])]


def page_of(folder: Path) -> Page:
    """The page of a run, written anew."""
    return Page(write_html(folder, folder / HTML_FILE))


def is_harmless(page: Page) -> None:
    """Nothing on the page runs, nor can anything be fetched for it."""
    assert {tag for tag, _ in page.tags} <= HARMLESS
    assert page.tags[3] == (
        "meta",
        {
            "http-equiv": "Content-Security-Policy",
            "content": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        },
    )
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("href", "xlink:href", "srcset", "action", "data")
            # The names of SVG's own vocabulary are addresses that nobody asks for.
            assert name.startswith("xmlns") or "http" not in value
            assert "url(" not in value.replace("url(#", "")
    assert all(source.startswith(PICTURE) for sources in page.pictures.values() for source in sources)
    (style,) = page.texts("", "style")
    assert not [word for word in ("url(", "@import", "http") if word in style]


@pytest.fixture
def report():
    return make_report()


@pytest.fixture
def run(report, tmp_path):
    """A finished run with this report and drawn photos."""
    return save_report_run(tmp_path / "run", report, tmp_path / "data")


@pytest.mark.lowest
def test_figures_and_tables_are_those_of_the_report(report, run):
    page = page_of(run)
    accuracy, baseline, loss, error, temperature = page.texts("accuracy", "dd")
    assert accuracy == percent(report["accuracy"]) + " to ".join(map(percent, report["interval"]))
    assert baseline.startswith(percent(report["baseline"]["accuracy"]))
    assert loss.startswith(f"{report['loss']:.3f}")
    calibration = report["calibration"]
    assert error == f"{percent(calibration['after']['error'])}{percent(calibration['before']['error'])} before"
    assert temperature.startswith(f"{calibration['temperature']:.2f}")
    counts = list(map(int, page.texts("confusion", "td")))
    assert counts == [count for row in report["confusion"] for count in row]
    assert page.texts("confusion", "th") == ["", *report["class_names"], *report["class_names"]]
    assert page.texts("classes", "td") == [
        text
        for each in report["classes"]
        for text in (str(each["photos"]), percent(each["precision"]), percent(each["recall"]))
    ]


def test_every_sentence_is_there(report, run):
    page = page_of(run)
    for section, describe in (
        ("accuracy", describe_accuracy),
        ("probabilities", describe_calibration),
        ("wrong-labels", describe_wrong_labels),
    ):
        assert " ".join(describe(report)) in page.texts(section, "p")
    wrong = report["photos"] - sum(report["confusion"][place][place] for place in (0, 1))
    assert page.texts("mistakes", "p")[0].startswith(f"{wrong} photos were given another class than their own, those")


def test_every_listed_photo_is_there_with_its_picture_and_its_map(report, run, tmp_path):
    page = page_of(run)
    within = {
        each["path"]: str(Path(each["path"]).relative_to(tmp_path / "data"))
        for each in [*report["mistakes"], *report["border"], *report["wrong_labels"]["found"]]
    }
    assert page.texts("mistakes", "figcaption") == [
        f"{each['class']} taken for {each['label']}, {percent(each['probability'])}{within[each['path']]}"
        for each in report["mistakes"]
    ]
    assert page.texts("border", "figcaption") == [
        f"{each['label']}, {percent(each['probability'])}, rather than {each['against']}{within[each['path']]}"
        for each in report["border"]
    ]
    assert page.texts("wrong-labels", "figcaption") == [
        f"{each['class']}, or rather {each['label']}: {percent(each['probability'])}{within[each['path']]}"
        for each in report["wrong_labels"]["found"]
    ]
    counts = {section: len(sources) for section, sources in page.pictures.items()}
    assert counts == {
        "mistakes": 2 * len(report["mistakes"]),
        "border": 2 * len(report["border"]),
        "wrong-labels": len(report["wrong_labels"]["found"]),
    }
    for section, side in (("mistakes", MISTAKE_SIDE), ("border", MISTAKE_SIDE), ("wrong-labels", LISTED_SIDE)):
        for source in page.pictures[section]:
            with Image.open(io.BytesIO(base64.b64decode(source.removeprefix(PICTURE)))) as picture:
                assert (picture.format, picture.size) == ("JPEG", (side, side * 3 // 4))


def test_settings_photos_versions_and_the_name_are_there(run):
    jobs.rename(run, "With more photos")
    page = page_of(run)
    assert page.texts("", "h1") == page.texts("", "title") == ["With more photos"]
    cells = page.texts("settings", "th"), page.texts("settings", "td")
    settings = dict(zip(*cells, strict=True))
    assert (settings["Head epochs"], settings["Fine-tuning learning rate"]) == ("2", "0.00001")
    assert page.texts("photos", "td") == ["40 cats, 40 dogs"] * 2
    versions = json.loads((run / "config.json").read_text())["versions"]
    assert versions["catdog"] == __version__
    assert page.texts("versions", "th") == ["backbone", *versions]
    assert page.texts("versions", "td") == ["starter", *versions.values()]


@pytest.mark.lowest
def test_all_charts_are_drawn_and_described(run):
    page = page_of(run)
    charts = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert [chart["role"] for chart in charts] == ["img"] * 5
    assert all(chart["aria-label"].startswith(("Line chart: ", "Bar chart: ")) for chart in charts)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 5


def test_nothing_on_the_page_runs_or_comes_from_elsewhere(run):
    page = page_of(run)
    assert sum(map(len, page.pictures.values())) > 0
    is_harmless(page)


@pytest.mark.lowest
def test_hostile_names_are_shown_as_they_are_and_do_nothing(tmp_path):
    names = (TAG, QUOTES)
    report = report_of(*make_probabilities(20, names), names, folder="photos")
    for each, odd in zip(
        report["mistakes"], (TAG, QUOTES, "{{ 7 * 7 }}</figure>", "a\udc80\u202egpj.exe"), strict=False
    ):
        each["path"] = f"photos/{odd}.jpg"
    folder = save_report_run(tmp_path / "run", report)
    config = json.loads((folder / "config.json").read_text())
    config["versions"] = {TAG: QUOTES}
    config["backbone"]["name"] = TAG
    (folder / "config.json").write_text(json.dumps(config))
    jobs.rename(folder, f"</title>{TAG}")
    page = page_of(folder)
    is_harmless(page)
    assert page.pictures == {}
    assert page.texts("", "title") == page.texts("", "h1") == [f"</title>{TAG}"]
    assert page.texts("confusion", "th")[1:] == [TAG, QUOTES] * 2
    assert (page.texts("versions", "th"), page.texts("versions", "td")) == (["backbone", TAG], [TAG, QUOTES])
    captions = page.texts("mistakes", "figcaption")
    assert captions[0].endswith(f"{TAG}.jpg")
    assert captions[1].endswith(f"{QUOTES}.jpg")
    assert captions[2].endswith("{{ 7 * 7 }}</figure>.jpg")
    assert captions[3].endswith("a?\u202egpj.exe.jpg")
    # A legend has room for the beginning of a long name alone.
    assert QUOTES in page.texts("probabilities", "text")
    assert any(text.startswith(TAG[:12]) for text in page.texts("probabilities", "text"))


def test_photos_that_are_gone_or_broken_are_said_and_the_others_stay(report, run):
    gone, broken = (Path(each["path"]) for each in report["mistakes"][:2])
    gone.unlink()
    broken.write_text("no photo any more")
    page = page_of(run)
    said = [text for text in page.texts("mistakes", "p") if text.startswith("Not shown: ")]
    assert said[0] == "Not shown: there is no such file."
    assert len(said) == 2
    assert page.texts("mistakes", "figcaption")[0].endswith(gone.name)
    assert len(page.pictures["mistakes"]) == 2 * (len(report["mistakes"]) - 2)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and no more"])
def test_without_maps_the_photos_stand_alone_and_no_map_is_spoken_of(report, run, content):
    spoken = "in the colours of the classes"
    assert any(spoken in text for text in page_of(run).texts("mistakes", "p"))
    (run / HEATMAPS_FILE).unlink()
    if content is not None:
        (run / HEATMAPS_FILE).write_bytes(content)
    page = page_of(run)
    assert len(page.pictures["mistakes"]) == len(report["mistakes"])
    assert not any(spoken in text for text in page.texts("mistakes", "p"))


def test_nothing_to_list_is_said(tmp_path):
    report = report_of(np.array([[0.9, 0.1]], np.float32), np.array([0]), ("cats", "dogs"))
    page = page_of(save_report_run(tmp_path / "run", report | {"border": [], "wrong_labels": None}))
    assert page.texts("mistakes", "p") == ["There are none."]
    assert page.texts("wrong-labels", "p") == ["Possible wrong labels were not looked for."]
    assert page.texts("border", "h2") == []
    # No dog was there, so nothing is known of how many of them are found.
    assert page.texts("classes", "td") == ["1", "100 %", "100 %", "0", "–", "–"]


def test_a_page_of_all_that_may_be_listed_of_noise_is_below_5_megabytes(tmp_path):
    names = ("cats", "dogs")
    report = report_of(*make_probabilities(300, names, certainty=1.0), names, suspected=100)
    assert len(report["mistakes"]) > MOST_MISTAKES
    listed = [*report["mistakes"][:MOST_MISTAKES], *report["border"], *report["wrong_labels"]["found"]]
    for place, each in enumerate(report["border"]):
        each["heatmap"] = MOST_MISTAKES + place
    for number, each in enumerate(listed):
        save_scene(tmp_path / "data" / each["path"], draw_noise(200, 200, seed=number), quality=95)
    folder = save_report_run(tmp_path / "run", report, tmp_path / "data")
    page = page_of(folder)
    assert {section: len(sources) for section, sources in page.pictures.items()} == {
        "mistakes": 2 * MOST_MISTAKES,
        "border": 2 * 16,
        "wrong-labels": 100,
    }
    assert (folder / HTML_FILE).stat().st_size < 5_000_000
    assert f"; the worst {MOST_MISTAKES} follow" in page.texts("mistakes", "p")[0]


def test_the_command_prints_the_sentences_and_where_the_page_is(report, run, capsys):
    (run / HTML_FILE).unlink(missing_ok=True)
    assert main(["report", str(run)]) == 0
    printed = capsys.readouterr().out
    for describe in (describe_accuracy, describe_calibration, describe_wrong_labels):
        assert all(sentence in printed for sentence in describe(report))
    assert str(run / HTML_FILE) in printed.splitlines()[-1]
    is_harmless(Page(run / HTML_FILE))


def test_the_command_prints_one_object(run, tmp_path, capsys):
    out = tmp_path / "elsewhere.html"
    assert main(["report", str(run), "--json", "--out", str(out)]) == 0
    printed = one_json_object(capsys.readouterr().out)
    assert printed == json.loads((run / REPORT_FILE).read_text()) | {"html": str(out)}
    is_harmless(Page(out))
    assert not (run / HTML_FILE).exists()


def without_report(folder: Path, state: str, report: str | None = None) -> Path:
    """A run in this state whose report is this text, or missing."""
    run = create_run(TrainConfig(), folder)
    run.set_state(state)
    if report is not None:
        (folder / REPORT_FILE).write_text(report)
    return folder


@pytest.mark.parametrize(
    ("state", "content", "telling"),
    [
        ("running", None, "is not done yet"),
        ("failed", None, "ended without a result"),
        ("done", "{", "is damaged or of an older version"),
        (
            "done",
            json.dumps({"split": "validation", "accuracy": 0.9, "photos": 10}),
            "is damaged or of an older version",
        ),
    ],
)
def test_a_run_without_a_whole_report_is_refused_in_one_sentence(tmp_path, capfd, state, content, telling):
    folder = without_report(tmp_path / "run", state, content)
    assert main(["report", str(folder)]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    (sentence,) = printed.err.splitlines()
    assert telling in sentence
    assert not (folder / HTML_FILE).exists()


@pytest.mark.parametrize(("out", "telling"), [("", "is a folder"), ("nowhere/x.html", "can't be written")])
def test_a_page_that_can_not_be_written_is_refused_in_one_sentence(run, tmp_path, monkeypatch, capfd, out, telling):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(["report", str(run), "--out", out]) == 2
    (sentence,) = capfd.readouterr().err.splitlines()
    assert telling in sentence
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_needs_neither_tensorflow_nor_streamlit(run, tmp_path):
    code = (
        f"import sys; from catdog.__main__ import main; main(['report', {str(run)!r}]); "
        "print('tensorflow' in sys.modules, 'streamlit' in sys.modules)"
    )
    assert run_python("-c", code, cwd=tmp_path).stdout.splitlines()[-1] == "False False"
