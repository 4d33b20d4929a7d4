"""A chart as an SVG that stands in a web page by itself: no script draws it, and its text takes the page's colour."""

import re
from typing import Any
from xml.sax.saxutils import quoteattr

import pyarrow as pa
import vl_convert

# Liberation Sans comes with the renderer, which measures text with it; Arial and Helvetica are as wide.
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
# As quiet as Streamlit's theme, on light as on dark.
THEME = {
    "background": None,
    "aria": False,  # the picture as a whole has a description; a name for each dot would only be in the way
    "font": FONT,
    "view": {"stroke": None},
    "title": {"color": "currentColor", "fontWeight": 600},
    "legend": {"labelColor": "currentColor"},
    "axis": {
        "labelColor": "currentColor",
        "labelOpacity": 0.8,
        "labelFontSize": 12,
        "gridColor": "currentColor",
        "gridOpacity": 0.14,
        "domain": False,
        "ticks": False,
    },
}


def draw_svg(chart: dict[str, Any], width: int, name: str) -> str:
    """The SVG element of a Vega-Lite specification, `width` units wide, to be scaled by the page.

    Datasets may be Arrow tables. `name` must be another for each chart of a page: it begins the ids in the SVG.
    """
    rows = {
        key: table.to_pylist() if isinstance(table, pa.Table) else table
        for key, table in chart.get("datasets", {}).items()
    }
    sized = chart | {"width": width, "autosize": {"type": "fit", "contains": "padding"}, "datasets": rows}
    svg = vl_convert.vegalite_to_svg(sized, config=THEME, allowed_base_urls=[])
    # The renderer counts its ids over all that it has drawn; counted anew, the same chart is the same text.
    places: dict[str, int] = {}
    svg = re.sub(
        r'(\bid="|url\(#)([\w-]+)',
        lambda found: f"{found[1]}{name}-{places.setdefault(found[2], len(places))}",
        svg,
    )
    return svg.replace("<svg ", f'<svg role="img" aria-label={quoteattr(chart.get("description", ""))} ', 1)
