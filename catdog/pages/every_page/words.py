"""Names and times as the pages write them."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from catdog.plain_text import one_line
from catdog.runs import jobs

# What becomes a link, an icon or another sign once Markdown is done, so that no backslash keeps it as it is.
AFTER_MARKDOWN = re.compile(
    r"(?<=http)(?=s?:)|(?<=www)(?=\.)|(?<=@)(?=[\w-])|(?<=:)(?=material|streamlit)"
    r"|(?<!\S)(?=(?:<->|->|<-|--|>=|<=|~=)(?:\s|$))",
    re.IGNORECASE,
)
WORD_JOINER = "\u2060"  # has no width and belongs to no word
# For Streamlit's caches, which by themselves take no name that isn't UTF-8.
HASH_OF_NAMES = {str: lambda text: text.encode(errors="surrogatepass")}


def plain(text: str) -> str:
    """A name that somebody gave, so that Markdown shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:&\"^=])", r"\\\1", AFTER_MARKDOWN.sub(WORD_JOINER, one_line(text)))


def moment(timestamp: float) -> str:
    """A time in the visitor's time zone: 14:02:33 today, else 24 Nov 14:02."""
    try:
        zone = ZoneInfo(st.context.timezone) if st.context.timezone else None
    except (ZoneInfoNotFoundError, ValueError):
        zone = None
    try:
        then, now = datetime.fromtimestamp(timestamp, zone), datetime.now(zone)
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
    return f"{then:%H:%M:%S}" if then.date() == now.date() else f"{then.day} {then:%b %H:%M}"


def name_of(job: jobs.Job) -> str:
    """The name that a person gave a run, else when it was started."""
    started = job.status["started"]
    return jobs.label_of(job.folder) or (f"Run of {moment(started)}" if started else "Run")


def told_apart(names: dict[str, str]) -> dict[str, str]:
    """The same, where a name that came before has a number: a list of choices is sent back by its words."""
    taken: set[str] = set()
    found = {}
    for key, name in names.items():
        number, words = 2, name
        while words in taken:
            number, words = number + 1, f"{name} ({number})"
        taken.add(words)
        found[key] = words
    return found
