"""Numbers, times and names as the pages write them."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

MINUTE, HOUR = 60, 3600


def plain(text: str) -> str:
    """A name that somebody gave, so that Markdown shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:&\"^=])", r"\\\1", text.replace("\n", " "))


def percent(share: float) -> str:
    """A share from 0 to 1 as a percentage; 98.4 %, and neither 100 % nor 0 % unless it is exactly that."""
    if share in (0, 1):
        return f"{share * 100:.0f} %"
    return f"{min(max(share * 100, 0.1), 99.9):.1f} %"


def decimal(number: float) -> str:
    """A small number without an exponent: 0.00001."""
    return f"{number:.10f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """How long, in the unit that suits: 8 s, 3 min, 2 h 5 min."""
    if seconds < MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < HOUR:
        return f"{round(seconds / MINUTE)} min"
    hours, minutes = divmod(round(seconds / MINUTE), 60)
    return f"{hours} h {minutes} min"


def moment(timestamp: float) -> str:
    """A time in the visitor's time zone: 14:02 today, else 24 Nov 14:02."""
    try:
        zone = ZoneInfo(st.context.timezone) if st.context.timezone else None
    except (ZoneInfoNotFoundError, ValueError):
        zone = None
    try:
        then, now = datetime.fromtimestamp(timestamp, zone), datetime.now(zone)
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then.day} {then:%b %H:%M}"
