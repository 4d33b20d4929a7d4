"""The page that explains: its five steps, that what it says is what the app does, and that its pictures are seen."""

import re
import subprocess
import sys
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from helpers.places import REPOSITORY
from streamlit.testing.v1 import AppTest

from catdog.charts.run_charts import CLASS_COLOURS
from catdog.pages.diagrams import FROZEN_COLOUR
from catdog.photos.photo_sets import VALIDATION_SHARE
from catdog.settings import SETTINGS, TrainConfig

SCRIPT = str(REPOSITORY / "streamlit_app.py")
PAGE = "catdog/pages/how_it_works.py"
# What the drawings are told apart by, in their order, as a screen reader says it.
DESCRIPTIONS = ("1.2 million photos", "new head with 2 outputs: cats and dogs", "Only the head", "dashed line", "curve")


class Step(NamedTuple):
    """What a step shows: its heading, all its words, and its drawing."""

    heading: str
    words: str
    drawing: ElementTree.Element


def open_page() -> AppTest:
    """The page as the app runs it, with no other page run before."""
    app = AppTest.from_file(SCRIPT, default_timeout=60).switch_page(PAGE).run()
    assert not app.exception
    return app


def steps_of(app: AppTest) -> list[Step]:
    """The pairs of columns whose second one holds a drawing; raises ParseError for one that is not well formed."""
    columns = list(app.columns)
    return [
        Step(
            words.header[0].value,
            " ".join(each.value for each in words.markdown),
            ElementTree.fromstring(drawing.markdown[0].value),
        )
        for words, drawing in zip(columns[::2], columns[1::2], strict=True)
        if drawing.markdown[0].value.startswith("<svg")
    ]


def labels_of(drawing: ElementTree.Element) -> list[str]:
    """The texts within a drawing."""
    return [each.text for each in drawing.iter("text")]


def frozen_blocks(drawing: ElementTree.Element) -> int:
    """How many blocks of a drawing have the colour of what is frozen."""
    return sum(each.get("stroke") == FROZEN_COLOUR for each in drawing.iter("rect"))


@pytest.fixture(scope="module")
def app() -> AppTest:
    """The page, read only."""
    return open_page()


@pytest.fixture(scope="module")
def steps(app) -> list[Step]:
    """The page's steps, read only."""
    return steps_of(app)


def test_five_steps_in_order(app, steps):
    headings = [each.value for each in app.header]
    assert headings[:5] == [step.heading for step in steps]
    assert [heading[:2] for heading in headings] == ["1 ", "2 ", "3 ", "4 ", "5 ", "Wh", "Wh", "Ho"]
    explained = (
        ("ResNet-50", "ImageNet", "backbone", "starter"),
        ("head", "softmax"),
        ("feature extraction", "categorical cross-entropy", "learning rate", "epoch", "loss"),
        ("fine-tuning", "freeze depth", "Batch normalization"),
        ("validation", "accuracy", "test"),
    )
    for step, terms in zip(steps, explained, strict=True):
        assert [term for term in terms if term not in step.words] == [], step.heading


def test_every_step_says_what_happens_here(steps):
    assert [step.words.count("**In Catdog:**") for step in steps] == [1] * 5


def test_quoted_defaults_are_the_settings(steps):
    head, fine_tuning, judged = (step.words for step in steps[2:])
    defaults = TrainConfig()
    assert f"{defaults.head_epochs} epochs with the learning rate 0.001, " in head
    assert f"{defaults.image_size} x {defaults.image_size} pixels" in head
    assert f"*{SETTINGS['fine_tune_epochs'].metadata['label']}* starts at 0, so this step is left out" in fine_tuning
    assert "freeze depth conv4, conv5 and the head learn at 0.00001, 100 times lower" in fine_tuning
    assert f"{VALIDATION_SHARE * 100:.0f} % of each class are held back" in judged
    assert (defaults.head_learning_rate, defaults.fine_tune_learning_rate) == (0.001, 0.00001)
    assert (defaults.fine_tune_epochs, defaults.freeze_depth) == (0, "conv4")


def test_words_and_drawings_follow_other_defaults(monkeypatch):
    other = TrainConfig(
        image_size=160,
        head_epochs=7,
        head_learning_rate=0.002,
        fine_tune_epochs=3,
        fine_tune_learning_rate=0.00004,
        freeze_depth="conv3",
    )
    monkeypatch.setattr("catdog.settings.TrainConfig", lambda: other)
    _, _, head, fine_tuning, _ = steps_of(open_page())
    assert "7 epochs with the learning rate 0.002, on photos of 160 x 160 pixels" in head.words
    assert "7 epochs" in labels_of(head.drawing)
    assert "starts at 3. With the freeze depth conv3, conv4, conv5 and the head learn at 0.00004, 50" in (
        fine_tuning.words
    )
    assert "freeze depth conv3" in labels_of(fine_tuning.drawing)
    assert frozen_blocks(fine_tuning.drawing) == 3


def test_drawings_have_a_text_alternative_each_of_its_own(steps):
    assert [step.drawing.get("role") for step in steps] == ["img"] * 5
    for step, description in zip(steps, DESCRIPTIONS, strict=True):
        assert description in step.drawing.get("aria-label")


def test_drawings_tell_frozen_from_learning(steps):
    assert [frozen_blocks(step.drawing) for step in steps] == [0, 0, 5, 4, 0]
    for step in steps:
        assert ("frozen" in labels_of(step.drawing)) == ("learns" in labels_of(step.drawing))
        assert ("frozen" in labels_of(step.drawing)) == (frozen_blocks(step.drawing) > 0)


def test_drawings_take_the_text_colour_of_the_theme_and_the_colours_of_the_classes(steps):
    for step in steps:
        assert {each.get("fill") for each in step.drawing.iter("text")} == {"currentColor"}
    for step in steps[1:]:
        circles = [each.get("fill") for each in step.drawing.iter("circle")]
        assert circles[:2] == list(CLASS_COLOURS[:2])


def test_measured_figures_stand_in_the_notice(app):
    notice = (REPOSITORY / "catdog/weights/NOTICE.md").read_text()
    table = next(each.value for each in app.markdown if each.value.startswith("| Photos"))
    figures = re.findall(r"\| ([\d,]+) \| ([\d.]+ %) \|", table)
    assert [photos for photos, _ in figures] == ["50", "100", "400", "2,000"]
    for photos, accuracy in figures:
        assert re.search(rf"{re.escape(accuracy)}[^%]* from {photos}\b", notice), photos


def test_the_way_on_leads_to_the_training_page(app):
    (link,) = app.get("page_link")
    assert link.proto.page == ""  # the path of the app's first page


def test_page_needs_no_tensorflow():
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        f"app = AppTest.from_file({SCRIPT!r}, default_timeout=60).switch_page({PAGE!r}).run(); "
        "print(len(app.header), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.split() == ["8", "False"]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of the app, served for this file's tests in a browser."""
    from helpers.browser import served

    with served(tmp_path_factory.mktemp("app")) as address:
        yield address


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_drawings_are_seen_in_full_width_and_theme(address, width, dark):
    from helpers import browser

    with browser.chromium() as chromium:
        page = browser.open_page(chromium, f"{address}/how_it_works", width=width, dark=dark)
        browser.expect(page.get_by_text("How many photos to bring")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page_colour = page.get_by_role("heading", name="How it works").evaluate("e => getComputedStyle(e).color")
        for description in DESCRIPTIONS:
            drawing = page.get_by_role("img", name=description)
            box = drawing.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            texts = drawing.locator("text")
            assert texts.first.evaluate("e => getComputedStyle(e).fill") == page_colour
            smallest = min(box["height"] for box in (text.bounding_box() for text in texts.all()))
            assert smallest >= 12
