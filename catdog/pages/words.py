"""Names and times as the pages write them."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st


def plain(text: str) -> str:
    """A name that somebody gave, so that Markdown shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:&\"^=])", r"\\\1", text.replace("\n", " "))


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
