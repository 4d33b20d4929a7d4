"""What people name, in the places where a name could become something else: a formula, markup, a command, a path."""

import csv
import html
import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

from helpers.pictures import PHOTO, place
from helpers.places import REPOSITORY

from catdog.__main__ import main
from catdog.files.csv_files import answers_writer
from catdog.runs import jobs
from catdog.runs.jobs import LONGEST_NAME
from catdog.runs.run_folder import create_run
from catdog.settings import TrainConfig
from hostile.reliability import Case

FORMULA = "=cmd|' /C calc'!A0"
TAG = "<img src=x onerror=alert(1)>"
AS_IT_IS = "shown as it is"
NO_FORMULA = "an apostrophe stands before it: `'{}`"


def answers(name: str, class_name: str = "cats") -> list[list[str]]:
    """What a program reads of a CSV file of answers about one photo."""
    file = io.StringIO(newline="")
    answers_writer(file, (class_name, "dogs"))(name, class_name, class_name, {class_name: 0.75, "dogs": 0.25}, None)
    return list(csv.reader(io.StringIO(file.getvalue(), newline="")))


def photo_in_answers(name: str) -> Callable[[Path], str]:
    """What becomes of a photo's name in the CSV file of answers."""

    def make(_: Path) -> str:
        written = answers(name)[1][0]
        return AS_IT_IS if written == name else f"an apostrophe stands before it: `{written}`"

    return make


def class_in_answers(name: str) -> Callable[[Path], str]:
    """What becomes of a class's name in the CSV file of answers."""

    def make(_: Path) -> str:
        head, row = answers("1.jpg", name)
        assert row[1] == row[2]
        return f"the column is `{head[3]}`, the label `{row[1]}`"

    return make


def checked_photos(folder: Path, name: str, *flags: str) -> str:
    """What the check of a folder prints, in which a broken photo has this name."""
    place(folder, *(f"photos/{each}/{number}.png" for each in ("cats", "dogs") for number in range(2)))
    place(folder, f"photos/cats/{name}", content=b"no photo")
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["check", str(folder / "photos"), *flags]) == 0
    return printed.getvalue()


def on_terminal(name: str) -> Callable[[Path], str]:
    """How the command line says a photo's name."""

    def make(folder: Path) -> str:
        (line,) = [each for each in checked_photos(folder, name).splitlines() if each.startswith("unreadable: ")]
        return f"`{re.search(r'photos/cats/(.*): it is', line)[1]}`"

    return make


def in_json(name: str) -> Callable[[Path], str]:
    """What becomes of a photo's name in the JSON that programs read."""

    def make(folder: Path) -> str:
        printed = json.loads(checked_photos(folder, name, "--json"))
        paths = [path for problem in printed["problems"] for path in problem["paths"]]
        return "read as it is" if str(folder / "photos/cats" / name) in paths else "read as another name"

    return make


def on_page(name: str) -> Callable[[Path], str]:
    """Whether a name, as the pages write it in Markdown, says the name and nothing else."""

    def make(_: Path) -> str:
        from catdog.pages.every_page.words import WORD_JOINER, plain

        written = plain(name)
        unescaped = re.sub(r"\\(.)", r"\1", written).replace(WORD_JOINER, "")
        # No sign of Markdown is left that isn't escaped.
        assert not re.search(r"(?<!\\)[*_`<>\[\]()#|~$:&!]", re.sub(r"\\\\", "", written))
        return AS_IT_IS if unescaped == name else "shown as something else"

    return make


def in_report(name: str) -> Callable[[Path], str]:
    """Whether a name in the HTML of a report says the name and nothing else."""

    def make(_: Path) -> str:
        from catdog.results.html_report import template

        written = template().environment.from_string('<p title="{{ name }}">{{ name }}</p>').render(name=name)
        (shown,) = {*re.fullmatch(r'<p title="([^"<>]*)">([^"<>]*)</p>', written).groups()}
        return AS_IT_IS if html.unescape(shown) == name else "shown as something else"

    return make


def named_run(name: str) -> Callable[[Path], str]:
    """What a run is called once somebody gave it this name."""

    def make(folder: Path) -> str:
        run = create_run(TrainConfig(), folder / "run").folder
        jobs.rename(run, name)
        return f"it is called `{jobs.label_of(run)}`"

    return make


def in_table_of_runs(folder: Path) -> str:
    """What a run's name is in the table of runs, which visitors can take along as CSV."""
    from streamlit.testing.v1 import AppTest

    with mock.patch.dict(os.environ, {"CATDOG_RUNS": str(folder / "runs"), "CATDOG_CACHE": str(folder / "cache")}):
        jobs.rename(create_run(TrainConfig()).folder, FORMULA)
        app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=120).run()
        app.switch_page("catdog/pages/runs.py").run()
    assert not app.exception
    return f"an apostrophe stands before it: `{app.dataframe[0].value['Name'][0]}`"


def uploaded(name: str) -> Callable[[Path], str]:
    """Which folder an upload of that name gets."""

    def make(folder: Path) -> str:
        from catdog.pages.choose.uploads import TOKEN_BYTES, unpack_upload

        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("cats/1.png", PHOTO)
        archive.name = name
        with mock.patch.dict(os.environ, {"CATDOG_CACHE": str(folder / "cache")}):
            unpacked = unpack_upload(name, archive, [])
        assert unpacked.parent == folder / "cache/photos/uploads"
        assert [path.name for path in folder.iterdir()] == ["cache"]
        return f"its photos lie in a folder of their own, which ends in `{unpacked.name[2 * TOKEN_BYTES :]}`"

    return make


CASES = [
    Case(
        f"a photo called `{FORMULA}.jpg` in the CSV of answers",
        "",
        NO_FORMULA.format(FORMULA + ".jpg"),
        photo_in_answers(FORMULA + ".jpg"),
    ),
    Case(
        "a photo called `@eaDir/1.jpg` in it", "", NO_FORMULA.format("@eaDir/1.jpg"), photo_in_answers("@eaDir/1.jpg")
    ),
    Case("a photo called `'=1.jpg` in it", "", NO_FORMULA.format("'=1.jpg"), photo_in_answers("'=1.jpg")),
    Case('a photo called `photos/a = b, "c".jpg` in it', "", AS_IT_IS, photo_in_answers('photos/a = b, "c".jpg')),
    Case("a class called `+1` in it", "", "the column is `probability_+1`, the label `'+1`", class_in_answers("+1")),
    Case(
        f"a run called `{FORMULA}` in the table of runs, taken along as CSV",
        "",
        NO_FORMULA.format(FORMULA),
        in_table_of_runs,
    ),
    Case("a photo whose name clears the screen, on a terminal", "", "`\\x1b[2J.jpg`", on_terminal("\x1b[2J.jpg")),
    Case("a photo whose name has a line break, on a terminal", "", "`1.jpg\\nok.jpg`", on_terminal("1.jpg\nok.jpg")),
    Case(
        "a photo whose name turns the text round, on a terminal", "", "`\\u202egpj.jpg`", on_terminal("\u202egpj.jpg")
    ),
    Case("a photo whose name is no UTF-8, on a terminal", "", "`\\udcff.jpg`", on_terminal("\udcff.jpg")),
    Case("all of these, as --json", "", "read as it is", in_json("\x1b[2J\n\u202e\udcff.jpg")),
    Case(
        "`**a** [b](//c) ![d](//e) $f$ :red[g] <b>h</b>` on a page",
        "",
        AS_IT_IS,
        on_page("**a** [b](//c) ![d](//e) $f$ :red[g] <b>h</b>"),
    ),
    Case(
        "`www.example.com me@example.com http://a.b` on a page",
        "",
        AS_IT_IS,
        on_page("www.example.com me@example.com http://a.b"),
    ),
    Case("`:material/home: a -> b -- c` on a page", "", AS_IT_IS, on_page(":material/home: a -> b -- c")),
    Case(f"`{TAG}` in a report", "", AS_IT_IS, in_report(TAG)),
    Case('`" onload="alert(1)` in a report', "", AS_IT_IS, in_report('" onload="alert(1)')),
    Case("`{{ 7 * 7 }}` in a report", "", AS_IT_IS, in_report("{{ 7 * 7 }}")),
    Case(
        "a run with a name of a million letters",
        f"{LONGEST_NAME} letters",
        f"it is called `{'x' * LONGEST_NAME}`",
        named_run("x" * 1_000_000),
    ),
    Case("a run whose name has line breaks", "one line", "it is called `a b c`", named_run("a\n\n b\r\nc")),
    Case("a run whose name commands a terminal", "", "it is called `\\x1b[2Ja`", named_run("\x1b[2Ja")),
    Case(
        "an upload called `../../../.ssh`",
        "letters, digits, blank, - and _",
        "its photos lie in a folder of their own, which ends in `-__________ssh`",
        uploaded("../../../.ssh"),
    ),
    Case(
        "an upload without a name", "", "its photos lie in a folder of their own, which ends in `-photos`", uploaded("")
    ),
]
