"""Names with what would command a terminal, or break a line: shown, and said, as one line of plain text."""

import io
import os
import unicodedata

import pytest
from helpers.pictures import place
from hypothesis import given
from hypothesis import strategies as st

from catdog.__main__ import main
from catdog.errors import LONGEST_SENTENCE, Refused
from catdog.photos.photo_sets import LeftOut
from catdog.plain_text import one_line, say

NAMES = [
    ("line\nbreak", "line\\nbreak"),
    ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
    ("back\rspace\b", "back\\rspace\\x08"),
    ("\x9b31mred", "\\x9b31mred"),
    ("a\u202egpj.exe", "a\\u202egpj.exe"),
    ("\u2028\u2029", "\\u2028\\u2029"),
    ("caf\udce9.jpg", "caf\\udce9.jpg"),
]


@pytest.mark.parametrize(("name", "shown"), NAMES)
def test_what_commands_a_terminal_is_shown_by_its_escape(name, shown):
    assert one_line(name) == str(Refused(name)) == shown
    assert LeftOut(name, "it is empty").sentence == f"{shown}: it is empty."


@pytest.mark.parametrize("name", ["Katze Nº 1 — am «Fenster».jpg", "貓.jpg", "👩‍🔬.png", "گربه‌ها", "\\n", ""])
def test_ordinary_names_stay_as_they_are(name):
    assert one_line(name) == str(Refused(name)) == name


@given(st.text())
def test_any_text_is_said_in_one_line_of_utf_8(text):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n")
    say(text, stream)
    written = stream.buffer.getvalue().decode()
    assert written.splitlines() == [one_line(text)]
    # Soft hyphens and the like are left: they belong to words of some languages.
    assert all(unicodedata.category(character) not in ("Cc", "Zl", "Zp", "Cs") for character in written[:-1])


def test_a_sentence_has_a_greatest_length():
    sentence = str(Refused(f"There is no folder {'x' * 1_000_000}: choose another."))
    assert len(sentence) < LONGEST_SENTENCE + 10
    assert sentence.startswith("There is no folder xx")
    assert sentence.endswith("xx: choose another.")


def test_the_command_line_says_hostile_names_in_single_lines(tmp_path, capfd):
    place(tmp_path, *(f"{folder}/{name}/1.png" for folder in ("train", "validation") for name in ("cats", "dogs")))
    for number, (name, _) in enumerate(NAMES):
        place(tmp_path, f"train/cats/{name}{number}.jpg", content=b"no photo")
    place(tmp_path, os.fsdecode(b"train/cats/\xff\xfe.jpg"), content=b"no photo")
    assert main(["check", str(tmp_path)]) == 0
    printed = capfd.readouterr()
    text = printed.out + printed.err
    assert all(line.isprintable() for line in text.splitlines())
    for number, (_, shown) in enumerate(NAMES):
        assert f"{shown}{number}.jpg: it is a text file, not a photo." in text
