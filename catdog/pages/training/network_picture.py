"""The network of the training form as a picture: which stages are frozen, which learn, and how much there is to learn.

Inline SVG that follows the theme, WIDTH wide, about what a phone shows one to one.
"""

from html import escape

from catdog.figures import magnitude
from catdog.network.backbone_files import Parameters
from catdog.pages.diagrams import COLOURS, FROZEN, LEARNING, LEGEND, WIDTH
from catdog.settings import STAGES

GAP = 6
BLOCK_WIDTH = (WIDTH - GAP * len(STAGES)) / (len(STAGES) + 1)
# Each stage makes what goes through it smaller.
HEIGHTS = (86, 82, 78, 74, 70, 62)
HEIGHT = HEIGHTS[0] + 4
LARGEST_WIDTH = 520
FILLS = {FROZEN: 0.3, LEARNING: 0.0}
BORDERS = {FROZEN: 1.0, LEARNING: 2.5}
SHORT_UNITS = {" thousand": " k", " million": " M"}


def network_picture(frozen: int, parameters: Parameters | None, class_count: int) -> str:
    """The stages, the first so many of them frozen, and the head, each with its parameters where they are known."""
    counts = [*parameters.learnable, parameters.head(class_count)] if parameters else [None] * (len(STAGES) + 1)
    blocks = "".join(
        block(index, name, count, FROZEN if index < frozen else LEARNING)
        for index, (name, count) in enumerate(zip((*STAGES, "head"), counts, strict=True))
    )
    return (
        f'<svg role="img" aria-label="{escape(describe(frozen))}" viewBox="0 0 {WIDTH} {HEIGHT}" fill="none" '
        f'font-family="inherit" style="display:block;width:100%;max-width:{LARGEST_WIDTH}px;height:auto">{blocks}</svg>'
    )


def block(index: int, name: str, count: int | None, state: str) -> str:
    """A stage or the head: its name, how many parameters it has, and whether it learns, as fill, line and word."""
    left, height = index * (BLOCK_WIDTH + GAP), HEIGHTS[index]
    middle = HEIGHT / 2
    border = BORDERS[state]
    lines = [(name, 600, 12.5), (short(count), 400, 11.5), (LEGEND[state], 600 if state == LEARNING else 400, 11.5)]
    words = "".join(
        f'<text x="{left + BLOCK_WIDTH / 2:.1f}" y="{middle + offset}" text-anchor="middle" font-size="{size}" '
        f'font-weight="{weight}" fill="currentColor">{text}</text>'
        for (text, weight, size), offset in zip(lines, (-14, 4, 22), strict=True)
        if text
    )
    return (
        f'<rect x="{left + border / 2:.2f}" y="{middle - height / 2 + border / 2:.2f}" '
        f'width="{BLOCK_WIDTH - border:.2f}" height="{height - border:.2f}" rx="6" fill="{COLOURS[state]}" '
        f'fill-opacity="{FILLS[state]}" stroke="{COLOURS[state]}" stroke-width="{border}"/>{words}'
    )


def short(count: int | None) -> str:
    """A number of parameters in few letters: 7.1 M; nothing where it is not known."""
    if count is None:
        return ""
    words = magnitude(count)
    for unit, letter in SHORT_UNITS.items():
        words = words.replace(unit, letter)
    return words


def describe(frozen: int) -> str:
    """The picture in words."""
    if frozen == len(STAGES):
        return "The network as a row of blocks: the five stages conv1 to conv5 are frozen, and the head alone learns."
    learning = f"{STAGES[frozen]} to {STAGES[-1]} learn" if frozen < len(STAGES) - 1 else f"{STAGES[-1]} learns"
    start = f"{STAGES[0]} to {STAGES[frozen - 1]} are frozen, " if frozen > 1 else ""
    start = f"{STAGES[0]} is frozen, " if frozen == 1 else start or "nothing is frozen, "
    return f"The network as a row of blocks: {start}{learning} together with the head."


def say_what_learns(frozen: int, fine_tune_epochs: int, parameters: Parameters | None, class_count: int) -> str:
    """How many parameters learn, and that nothing is fine-tuned where it isn't."""
    when = "" if fine_tune_epochs else "No fine-tuning: "
    if parameters is None:
        return f"{when}the head alone learns." if when else ""
    learning, total = parameters.learning(frozen, class_count), parameters.total(class_count)
    return f"{when}{magnitude(learning)} of {magnitude(total)} parameters learn."
