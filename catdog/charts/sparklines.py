"""A line as small as a word: how a figure went so far, as SVG.

Streamlit's own, in `st.metric`, is drawn anew by the browser each time the page is told anything; this one isn't.
"""

from collections.abc import Sequence
from html import escape

from catdog.charts.run_charts import CURVE_COLOUR

WIDTH, HEIGHT = 100, 24  # of its own units; it becomes as wide as its place
MARGIN = 2  # above and below, so that the line is seen whole


def sparkline(values: Sequence[float], description: str) -> str:
    """An SVG of these numbers from left to right, between their lowest and highest; an empty one of the same size.

    The description is what a screen reader says of it.
    """
    points = ""
    if len(values) > 1:
        lowest, highest = min(values), max(values)
        # From 0 to 1; a figure that never changed runs through the middle.
        shares = [(value - lowest) / (highest - lowest) if highest > lowest else 0.5 for value in values]
        points = " ".join(
            f"{WIDTH * place / (len(values) - 1):.1f},{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share:.1f}"
            for place, share in enumerate(shares)
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(description)}" '
        f'style="display: block; width: 100%; height: {HEIGHT}px">'
        f'<polyline points="{points}" fill="none" stroke="{CURVE_COLOUR}" stroke-width="1.5" '
        'style="vector-effect: non-scaling-stroke; stroke-linejoin: round"/></svg>'
    )
