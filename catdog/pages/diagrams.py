"""The drawings of the page that explains: one network, in five states, as inline SVG that follows the theme.

Coordinates are those of a drawing WIDTH wide, about what a phone shows one to one; texts take the page's colour.
"""

from collections.abc import Sequence
from html import escape

from catdog.charts.run_charts import CLASS_COLOURS, CURVE_COLOUR, NEUTRAL_COLOUR
from catdog.settings import STAGES

WIDTH = 360
# A wide screen shows a drawing somewhat larger, but not so large that its labels outgrow the text beside it.
LARGEST_WIDTH = 440
MIDDLE = 100  # the height on which everything that the photo goes through is centred
TOP = 12  # where a drawing begins
FONT_SIZE = 13

STILL, FROZEN, LEARNING = "still", "frozen", "learning"
FROZEN_COLOUR = "#7590ab"
COLOURS = {STILL: NEUTRAL_COLOUR, FROZEN: FROZEN_COLOUR, LEARNING: CURVE_COLOUR}
LEGEND = {FROZEN: "frozen", LEARNING: "learns"}

# The stages stand from left to right; what leaves them is smaller with each, and so are they.
STAGE_LABELS = ("stem", *(stage.removeprefix("conv") for stage in STAGES[1:]))
STAGE_LEFTS = (48, 88, 123, 158, 193)
STAGE_WIDTHS = (36, 31, 31, 31, 31)
STAGE_HEIGHTS = (104, 92, 80, 68, 56)
BACKBONE = (STAGE_LEFTS[0], STAGE_LEFTS[-1] + STAGE_WIDTHS[-1])
FEATURES_X = 242
HEAD = (262, 294)
HEAD_HEIGHT = 56
OUTPUTS_X = 312

# A cat's face and a dog's, each as its outline and as its eyes and nose.
FACES = (
    (
        "M8,17V5.5L14,10.5Q18,9.5 22,10.5L28,5.5V17C30,24 25,28.5 18,28.5C11,28.5 6,24 8,17z",
        "M14.4,17.2h0.01M21.6,17.2h0.01M16.9,22.2h2.2L18,23.4z",
    ),
    (
        "M12,8Q18,5 24,8C29,5.5 32,9 31,15L29.5,21Q27.5,23 25.5,20.5"
        "Q25,29.5 18,29.5Q11,29.5 10.5,20.5Q8.5,23 6.5,21L5,15C4,9 7,5.5 12,8z",
        "M14.6,14.8h0.01M21.4,14.8h0.01M16,21.6h4L18,24z",
    ),
)


def drawing(description: str, bottom: int, *parts: str) -> str:
    """An SVG of these parts from TOP to `bottom`, as wide as its place, with a text for those who don't see it."""
    return (
        f'<svg role="img" aria-label="{escape(description)}" viewBox="0 {TOP} {WIDTH} {bottom - TOP}" fill="none" '
        f'stroke-linecap="round" stroke-linejoin="round" font-family="inherit" '
        f'style="display:block;width:100%;max-width:{LARGEST_WIDTH}px;height:auto;margin:0 auto">{"".join(parts)}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = "middle", weight: int = 400) -> str:
    """Words on the base line `y`, in the page's own colour."""
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{FONT_SIZE}" font-weight="{weight}" '
        f'fill="currentColor">{escape(words)}</text>'
    )


def path(course: str, colour: str = NEUTRAL_COLOUR, width: float = 1.5, dashes: str = "none") -> str:
    """A line along an SVG path."""
    return f'<path d="{course}" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"/>'


def arrow(start: float, end: float, y: float = MIDDLE) -> str:
    """A short arrow to the right."""
    return path(f"M{start},{y}H{end}m-4,-3.5l4,3.5l-4,3.5")


def snowflake(x: float, y: float) -> str:
    """The mark of what is frozen: three lines through one point, each with two tips."""
    arm = "M0,-6.5V6.5M-2,-5.5L0,-3.5L2,-5.5M-2,5.5L0,3.5L2,5.5"
    arms = "".join(f'<path d="{arm}" transform="rotate({angle})"/>' for angle in (0, 60, 120))
    return f'<g transform="translate({x},{y})" stroke="{FROZEN_COLOUR}" stroke-width="1.3">{arms}</g>'


def loop(x: float, y: float) -> str:
    """The mark of what learns: an arrow that goes round."""
    return (
        f'<g transform="translate({x},{y})" stroke="{CURVE_COLOUR}" stroke-width="1.8">'
        '<path d="M5.2,-1.5A5.5,5.5,0,1,0,5.2,2.2"/><path d="M5.9,-5.2L5.4,-1.4L1.7,-2.2"/></g>'
    )


MARKS = {FROZEN: snowflake, LEARNING: loop}


def block(left: float, width: float, height: float, state: str, label: str = "", marked: bool = True) -> str:
    """A part of the network with its label, its state told by colour, line and mark."""
    marked = marked and state in MARKS
    colour = COLOURS[state]
    middle = left + width / 2
    parts = [
        f'<rect x="{left}" y="{MIDDLE - height / 2}" width="{width}" height="{height}" rx="5" fill="{colour}" '
        f'fill-opacity="0.2" stroke="{colour}" stroke-width="{2 if state == LEARNING else 1.2}"/>'
    ]
    if marked:
        parts.append(MARKS[state](middle, MIDDLE - 9 if label else MIDDLE))
    if label:
        parts.append(text(middle, MIDDLE + (14 if marked else 4), label))
    return "".join(parts)


def backbone(frozen: int = 0, state: str = STILL) -> str:
    """The stages, so many of them frozen and the others in another state, and the numbers that come out of them."""
    places = zip(STAGE_LEFTS, STAGE_WIDTHS, STAGE_HEIGHTS, STAGE_LABELS, strict=True)
    stages = "".join(
        block(left, width, height, FROZEN if index < frozen else state, label)
        for index, (left, width, height, label) in enumerate(places)
    )
    features = "".join(
        f'<rect x="{FEATURES_X - 3}" y="{MIDDLE + offset - 3}" width="6" height="6" rx="1.5" fill="{NEUTRAL_COLOUR}"/>'
        for offset in (-18, -9, 0, 9, 18)
    )
    return arrow(39, 46) + stages + arrow(227, 236) + features + arrow(249, 259)


def head(state: str, label: str = "", marked: bool = True) -> str:
    """The last layer."""
    return block(HEAD[0], HEAD[1] - HEAD[0], HEAD_HEIGHT, state, label, marked)


def bracket(ends: tuple[float, float], words: str, y: float = 162) -> str:
    """What a stretch of the network is called, under it."""
    return path(f"M{ends[0]},{y}v4H{ends[1]}v-4", width=1.2) + text(sum(ends) / 2, y + 20, words)


def photo_frame(x: float, y: float, colour: str) -> str:
    """An empty photo, 34 on each side."""
    return (
        f'<rect x="{x}" y="{y}" width="34" height="34" rx="5" fill="{colour}" fill-opacity="0.18" '
        f'stroke="{colour}" stroke-width="1.2"/>'
    )


def landscape_photo(y: float) -> str:
    """A photo of anything: hills and a sun, on a pile of others."""
    pile = path(f"M8,{y - 4}H29M12,{y - 8}H25")
    hills_and_sun = f"M5,{y + 28}l8,-12l6,8l4,-5l7,9zM23,{y + 9}a3,3,0,1,0,6,0a3,3,0,1,0,-6,0z"
    return pile + photo_frame(1, y, NEUTRAL_COLOUR) + f'<path d="{hills_and_sun}" fill="{NEUTRAL_COLOUR}"/>'


def pet_photo(y: float, index: int) -> str:
    """A photo of a cat (index 0) with pricked ears or of a dog (1) with hanging ones, in its class's colour."""
    colour = CLASS_COLOURS[index]
    silhouette, eyes_and_nose = FACES[index]
    return photo_frame(1, y, colour) + (
        f'<g transform="translate(0,{y})"><path d="{silhouette}" fill="{colour}"/>'
        f'<path d="{eyes_and_nose}" stroke="#ffffff" stroke-width="2"/></g>'
    )


def pet_photos() -> str:
    """A photo of each class, one above the other."""
    return pet_photo(MIDDLE - 37, 0) + pet_photo(MIDDLE + 3, 1)


def class_outputs(class_names: Sequence[str] = ("cats", "dogs")) -> str:
    """One output per class, in its colour."""
    outputs = [arrow(296, 305)]
    for y, name, colour in zip((MIDDLE - 12, MIDDLE + 12), class_names, CLASS_COLOURS, strict=False):
        outputs.append(f'<circle cx="{OUTPUTS_X + 3}" cy="{y}" r="5" fill="{colour}"/>')
        outputs.append(text(OUTPUTS_X + 12, y + 4, name, "start"))
    return "".join(outputs)


def thousand_outputs() -> str:
    """So many outputs that only a few have a place."""
    kinds = {-30: "teapot", -10: "beagle", 10: "tabby"}
    dots = "".join(
        f'<circle cx="{OUTPUTS_X}" cy="{MIDDLE + y}" r="3" fill="{NEUTRAL_COLOUR}"/>' for y in (*kinds, 22, 30, 38)
    )
    names = "".join(text(OUTPUTS_X + 8, MIDDLE + y + 4, kind, "start") for y, kind in kinds.items())
    return arrow(296, 305) + dots + names


def legend(y: float) -> str:
    """What the two marks mean."""
    marks = MARKS[FROZEN](BACKBONE[0] + 7, y) + MARKS[LEARNING](BACKBONE[0] + 87, y)
    words = text(BACKBONE[0] + 19, y + 4, LEGEND[FROZEN], "start")
    return marks + words + text(BACKBONE[0] + 99, y + 4, LEGEND[LEARNING], "start")


def trained_network() -> str:
    """Step 1: photos of everything go in, one of 1000 kinds of things comes out."""
    return drawing(
        "A row of blocks: 1.2 million photos go into the stem, through the stages 2, 3, 4 and 5, which together are "
        "the backbone and see first edges and at last ears and faces, and through the head to 1000 outputs, such as "
        "teapot, beagle and tabby.",
        216,
        text(0, 24, "1.2 million photos", "start"),
        text(WIDTH, 24, "1000 outputs", "end"),
        landscape_photo(MIDDLE - 17),
        backbone(),
        head(STILL),
        thousand_outputs(),
        bracket(BACKBONE, "backbone"),
        bracket(HEAD, "head"),
        text(BACKBONE[0], 210, "edges", "start"),
        arrow(90, 152, 206),
        text(BACKBONE[1], 210, "ears, faces", "end"),
    )


def replaced_head(class_names: Sequence[str]) -> str:
    """Step 2: the head with 1000 outputs leaves, one with an output per class takes its place."""
    left, right = HEAD
    old = (
        f'<rect x="{left}" y="13" width="{right - left}" height="28" rx="5" stroke="{NEUTRAL_COLOUR}" '
        f'stroke-width="1.2" stroke-dasharray="3 3"/>'
    )
    away = path(f"M{(left + right) / 2},66V48m-3.5,4l3.5,-4l3.5,4")
    return drawing(
        "The same row of blocks. The old head with 1000 outputs is taken out; in its place stands a new head with "
        f"{len(class_names)} outputs: {' and '.join(class_names)}.",
        188,
        text(left - 8, 31, "old head, 1000 outputs", "end"),
        old,
        away,
        pet_photos(),
        backbone(),
        head(LEARNING, "new", marked=False),
        class_outputs(class_names),
        bracket(BACKBONE, "backbone"),
        bracket(HEAD, "head"),
    )


def frozen_backbone(epochs: int) -> str:
    """Step 3: every photo goes through the frozen backbone once, and the head learns from what comes out."""
    return drawing(
        "The stem and all stages are frozen. Each photo goes through them once, and what comes out is kept. Only the "
        f"head learns from it, in {epochs} epochs.",
        214,
        text(BACKBONE[0], 24, "each photo once", "start"),
        text(FEATURES_X, 66, "kept", "middle"),
        text(HEAD[0], 24, f"{epochs} epochs", "start"),
        pet_photos(),
        backbone(len(STAGES)),
        head(LEARNING),
        class_outputs(),
        bracket(BACKBONE, "backbone"),
        bracket(HEAD, "head"),
        legend(206),
    )


def opened_backbone(frozen: int, freeze_depth: str) -> str:
    """Step 4: the first stages stay frozen, the others learn together with the head."""
    x = STAGE_LEFTS[frozen] - 2 if frozen < len(STAGES) else 232
    return drawing(
        f"A dashed line behind the stage {freeze_depth} is the freeze depth: the {frozen} stages before it stay "
        f"frozen, the {len(STAGES) - frozen} behind it and the head learn.",
        214,
        text(x, 24, f"freeze depth {freeze_depth}", "middle", 600),
        path(f"M{x},36V156", "currentColor", 1.5, "4 4"),
        pet_photos(),
        backbone(frozen, LEARNING),
        head(LEARNING),
        class_outputs(),
        bracket(BACKBONE, "backbone"),
        bracket(HEAD, "head"),
        legend(206),
    )


def judged_network() -> str:
    """Step 5: new photos go through, and their accuracy after each epoch tells which epoch to keep."""
    course = ((48, 262), (76, 226), (104, 212), (132, 216), (160, 203), (188, 208), (216, 206), (244, 211))
    best = min(course, key=lambda point: point[1])
    line = path("M" + "L".join(f"{x},{y}" for x, y in course), CURVE_COLOUR, 2, "5 4")
    ring = f'<circle cx="{best[0]}" cy="{best[1]}" r="6" stroke="{CURVE_COLOUR}" stroke-width="1.8"/>'
    return drawing(
        "Nothing learns now: photos that the network has never seen go through the backbone and the head to their "
        "class. Under it a curve of the validation accuracy by epoch, which rises steeply, then stays about level; a "
        "ring marks its highest point, the epoch that is kept.",
        292,
        text(0, 24, "photos it has never seen", "start"),
        pet_photos(),
        backbone(),
        head(STILL),
        class_outputs(),
        path("M36,186V270H256", width=1.2),
        line,
        ring,
        text(best[0], best[1] - 12, "the best epoch is kept"),
        text(256, 286, "epoch", "end"),
        text(262, 206, "validation", "start"),
        text(262, 222, "accuracy", "start"),
    )
