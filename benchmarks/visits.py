"""Many visits of an app that is open to the public: is every answer the visitor's own, and does memory come back?"""

import argparse
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import anonymous_bytes, print_machine, print_table, say, write_figures
from pages import served
from sessions import PageError, Session

PHOTOS = 3  # of each visit
TRAIN_EVERY = 25  # visits
SECONDS_OF_A_GONE_SESSION = 10  # that Streamlit keeps what a visitor's session had in memory; its default is 120
MOST_GROWTH = 0.10  # the goal
CARD_SIDE = 320


def parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    flags = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    flags.add_argument("--visits", type=int, default=200, help="Visits in all. Default: %(default)s")
    flags.add_argument("--at-once", type=int, default=20, help="Visitors at the same time. Default: %(default)s")
    flags.add_argument("--warm-up", type=int, default=60, help="Visits before those. Default: %(default)s")
    flags.add_argument("--json", type=Path, metavar="FILE", help="Also write all figures to this file.")
    return flags


@dataclass
class Tally:
    """What came of visits so far."""

    seconds: list[float] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)  # the folders of the runs
    answers: list[int] = field(default_factory=list)  # of each upload
    errors: list[str] = field(default_factory=list)


@dataclass
class Package:
    """The package's own answers, to compare those of the pages with, and the photos that are asked about."""

    folder: Path
    photos: list[Path]
    lock: threading.Lock = field(default_factory=threading.Lock)
    starter: Any = None

    def files(self, number: int) -> list[tuple[str, bytes]]:
        """The photos of a visit, which no other has, under names that others have, too."""
        paths = self.photos[PHOTOS * number : PHOTOS * (number + 1)]
        return [(f"{place}{path.suffix}", path.read_bytes()) for place, path in enumerate(paths)]

    def cards(self, model: str, files: list[tuple[str, bytes]]) -> list[tuple[str, str, bytes]]:
        """Of each photo its name, what its card says, and its picture."""
        from catdog.classifier.loading import load_classifier
        from catdog.pages.answers.answer_view import probability_bars
        from catdog.photos.reading import small_jpeg

        with self.lock:
            if model != "starter":
                classifier = load_classifier(model)
            else:
                classifier = self.starter = self.starter or load_classifier(model)
            found = list(classifier.classify([content for _, content in files]))
        return [
            (name, probability_bars(each.label, each.probabilities), small_jpeg(content, CARD_SIDE))
            for (name, content), each in zip(files, found, strict=True)
        ]


def shown_cards(session: Session) -> list[tuple[str, str, bytes]]:
    """Of each card of the classify page the name, what it says, and its picture."""
    pictures = [each.imgs[0] for each in session.of_kind("imgs")]
    bars = [each.body for each in session.of_kind("html") if "justify-content:space-between" in each.body]
    names = [each.alt or each.caption for each in pictures]
    return [
        (name, words[words.index('<div style="font-size:0.95rem">') :], session.get(picture.url))
        for name, words, picture in zip(names, bars, pictures, strict=True)
    ]


def classify(session: Session, number: int, package: Package, model: str = "starter") -> int:
    """Classify photos and compare what the page shows with the package's answers; how many there were."""
    files = package.files(number)
    session.open("classify")
    session.upload("Photos", files)
    shown, expected = shown_cards(session), package.cards(model, files)
    if shown != expected:
        raise PageError(
            f"Visit {number} was shown {[card[:2] for card in shown]}, not {[card[:2] for card in expected]}"
        )
    session.click("Remove all")
    return len(files)


def train(session: Session, package: Package) -> str:
    """Train on the drawings with small settings, and give the folder of the run."""
    before = own_runs(session, package)
    session.open()
    session.set("selectbox", "Backbone", string_value="Starter (comes along)")
    session.set("number_input", "Head epochs", double_value=1.0)
    session.set("number_input", "Image size", double_value=32.0)
    session.click("Train")
    session.until("badge[:material/check: done]", wait=2.0)
    (folder,) = own_runs(session, package) - before
    return folder


def own_runs(session: Session, package: Package) -> set[str]:
    """The folders of this visitor's runs, as their files say."""
    from catdog.runs.owners import owner_of
    from catdog.runs.visitors import owner_with

    owner = owner_with(session.cookies["catdog"])
    return {str(path) for path in (package.folder / "runs").glob("2*") if owner_of(path) == owner}


def visit(address: str, number: int, package: Package, tally: Tally) -> None:
    """One visit from its beginning to its end; what goes wrong is kept in the tally."""
    started = time.monotonic()
    try:
        with Session(address) as session:
            session.open()
            if "Nothing has been trained here yet" not in session.texts():
                raise PageError(f"Visit {number} found somebody's run.")
            tally.answers.append(classify(session, number, package))
            trained = 0
            if number % TRAIN_EVERY == 0:
                folder = train(session, package)
                tally.answers.append(classify(session, number, package, folder))
                tally.trained.append(folder)
                trained = 1
            session.open("runs")
            tables = len(session.of_kind("dataframe"))
            if tables != trained:
                raise PageError(f"Visit {number} saw {tables} tables of runs instead of {trained}.")
    except Exception as error:
        tally.errors.append(f"{type(error).__name__}: {error}")
    tally.seconds.append(time.monotonic() - started)


def visit_all(address: str, numbers: Iterator[int], count: int, at_once: int, package: Package) -> Tally:
    """So many visits, of which so many go on at the same time."""
    tally = Tally()
    with ThreadPoolExecutor(at_once) as pool:
        for number in itertools.islice(numbers, count):
            pool.submit(visit, address, number, package, tally)
    return tally


def settled_bytes(process: int) -> int:
    """The anonymous memory of the server once the last sessions are forgotten."""
    # The server then gives memory back within 20 seconds.
    time.sleep(4 * SECONDS_OF_A_GONE_SESSION)
    return anonymous_bytes(process)


def main() -> None:
    """Serve the app, visit it, and print what came of that."""
    arguments = parser().parse_args()
    machine = print_machine()
    with tempfile.TemporaryDirectory(prefix="catdog-visits-") as name:
        folder = Path(name)
        os.environ |= {"CATDOG_RUNS": str(folder / "runs"), "CATDOG_CACHE": str(folder / "cache")}
        os.environ |= {"CATDOG_PUBLIC": "1", "CATDOG_PUBLIC_LINE": str(arguments.at_once)}
        os.environ["STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL"] = str(SECONDS_OF_A_GONE_SESSION)
        from catdog.photos.drawings import draw_photo_set

        (folder / "cache" / "photos").mkdir(parents=True)
        draw_photo_set(folder / "cache" / "photos" / "drawings")
        say("drawing photos")
        drawn = folder / "drawn"
        half = PHOTOS * (arguments.warm_up + arguments.visits + 2) // 2
        draw_photo_set(drawn, train=half, validation=half, seed=7)
        package, numbers = Package(folder, sorted(drawn.rglob("*.*"))), itertools.count()
        with served(folder) as (address, process):
            say(f"{arguments.warm_up} visits to warm up")
            warm = visit_all(address, numbers, arguments.warm_up, arguments.at_once, package)
            before = settled_bytes(process)
            say(f"{arguments.visits} visits")
            started = time.monotonic()
            tally = visit_all(address, numbers, arguments.visits, arguments.at_once, package)
            seconds = time.monotonic() - started
            at_end, after = anonymous_bytes(process), settled_bytes(process)
        log = (folder / "server.log").read_text(errors="replace")
    errors = [*warm.errors, *tally.errors] + ["a traceback in the server's log"] * log.count("Traceback")
    growth = after / before - 1 if before else 0.0
    print_table(
        f"{arguments.visits} visits, {arguments.at_once} at a time, in {seconds:.0f} s",
        ("what", "found", "goal"),
        [
            ("errors and mixed-up answers", str(len(errors)), "0"),
            ("answers compared", str(sum(tally.answers)), ""),
            ("trainings", str(len(tally.trained)), ""),
            ("seconds of the longest visit", f"{max(tally.seconds):.0f}", ""),
            ("memory before", f"{before / 1e6:.0f} MB", ""),
            ("memory as the last one left", f"{at_end / 1e6:.0f} MB", ""),
            ("memory afterwards", f"{after / 1e6:.0f} MB", ""),
            ("growth", f"{growth:+.1%}", f"at most {MOST_GROWTH:.0%}"),
        ],
    )
    for error in errors[:10]:
        say(error)
    figures = {"visits": arguments.visits, "seconds": seconds, "errors": errors, "answers": sum(tally.answers)}
    figures |= {"trainings": len(tally.trained), "before": before, "at_end": at_end, "after": after}
    write_figures(arguments.json, {"machine": machine, **figures})


if __name__ == "__main__":
    main()
