"""What the classify page costs in a browser: one photo from its upload to its answer, and very many in one upload."""

import argparse
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from measuring import REPOSITORY, anonymous_bytes, descendants, print_machine, print_table, say, write_figures
from pages import processor_seconds, served

WARM_UP = 256  # photos: TensorFlow takes more memory with each of the first five batches, and none after them
FEW = 100
LOOK_SECONDS = 0.2  # between two looks while many are classified
IDLE_SHARE, IDLE_LOOKS = 0.1, 10  # of a core, and for so many looks: then the server has nothing left to do
PATIENCE = 120_000  # milliseconds
# What the goals are.
MOST_SECONDS, MOST_GROWTH, LEAST_RATE = 0.5, 150e6, 0.85


def parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    flags = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    shared = os.environ.get("CATDOG_SHARED")
    flags.add_argument(
        "--photos",
        type=Path,
        default=Path(shared) / "photos" if shared else None,
        required=not shared,
        help="A folder of photos. Default: photos in the folder that CATDOG_SHARED names",
    )
    flags.add_argument("--model", default="starter", help="A run's folder, or starter. Default: %(default)s")
    flags.add_argument("--count", type=int, default=1000, help="Photos in one upload. Default: %(default)s")
    flags.add_argument("--repetitions", type=int, default=7, help="Single photos. Default: %(default)s")
    flags.add_argument("--chromium", default=shutil.which("chromium"), help="The browser's program. Default: chromium")
    flags.add_argument("--json", type=Path, metavar="FILE", help="Also write all figures to this file.")
    return flags


class Visitor:
    """A page in Chromium on which photos are classified."""

    def __init__(self, page: Any, address: str):
        self.page = page
        self.uploaded = 0.0
        page.set_default_timeout(PATIENCE)
        page.on("requestfinished", self.note_upload)
        page.goto(f"{address}/classify")
        page.get_by_text("Each photo will appear here").wait_for()

    def note_upload(self, request: Any) -> None:
        """Keep when the last upload ended."""
        if "upload_file" in request.url and request.method in ("PUT", "POST"):
            self.uploaded = time.perf_counter()

    def classify(self, paths: Sequence[Path]) -> float:
        """Upload these photos; the seconds from the end of the upload until all have their answers."""
        self.page.locator('input[type="file"]').first.set_input_files(paths)
        everything = self.page.get_by_role("radio", name=f"all {len(paths):,}", exact=True)
        # Playwright's own way to wait looks through the page sixty times a second, on the cores that are measured.
        while len(paths) > FEW and not everything.count():
            self.page.wait_for_timeout(1000 * LOOK_SECONDS)
        everything.wait_for()
        self.page.get_by_role("button", name="Why?").first.wait_for()
        return time.perf_counter() - self.uploaded

    def classify_unwatched(self, paths: Sequence[Path], server: int) -> float:
        """The same as far as the server goes: once it has begun, the browser stands still until the server is idle.

        A visitor's browser has a machine of its own; here it would take its share of the cores that are measured.
        """
        self.page.locator('input[type="file"]').first.set_input_files(paths)
        self.page.get_by_text("Classifying: ").wait_for()
        with standing_still():
            idle = idle_since(server)
        self.page.get_by_role("radio", name=f"all {len(paths):,}", exact=True).wait_for()
        return idle - self.uploaded

    def remove(self) -> None:
        """Remove all photos."""
        self.page.get_by_role("button", name="Remove all").click()
        self.page.get_by_text("Each photo will appear here").wait_for()


@contextmanager
def standing_still() -> Iterator[None]:
    """Let the browser's processes stand still meanwhile."""
    browser = [process for process in descendants(os.getpid()) if "chrom" in name_of(process)]
    for process in browser:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in browser:
            os.kill(process, signal.SIGCONT)


def name_of(process: int) -> str:
    """What the system calls a process; empty where it has ended."""
    try:
        return Path(f"/proc/{process}/comm").read_text()
    except OSError:
        return ""


def idle_since(process: int) -> float:
    """Wait until a process does nothing any more; the time since when."""
    since, looks, used = time.perf_counter(), 0, processor_seconds(process)
    while looks < IDLE_LOOKS:
        time.sleep(LOOK_SECONDS)
        now = processor_seconds(process)
        looks = looks + 1 if now - used < IDLE_SHARE * LOOK_SECONDS else 0
        since = since if looks else time.perf_counter()
        used = now
    return since


def peak_while(process: int, act: Callable[[], float]) -> tuple[float, int]:
    """What the action returns, and the most anonymous memory in bytes that the process held meanwhile."""
    finished, peak = threading.Event(), [0]

    def watch() -> None:
        while not finished.wait(LOOK_SECONDS):
            peak[0] = max(peak[0], anonymous_bytes(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return act(), peak[0]
    finally:
        finished.set()
        watcher.join()


def part_seconds(model: str, path: Path, repetitions: int) -> dict[str, float]:
    """The median seconds of each part of an answer, in this process: all that is not the server's and the browser's."""
    import numpy as np

    from catdog.classifier.loading import load_classifier
    from catdog.photos.reading import read_photo, small_jpeg

    classifier, content = load_classifier(model), path.read_bytes()
    pixels = read_photo(content, classifier.image_size)[np.newaxis]
    parts = {
        "reading the photo": lambda: read_photo(content, classifier.image_size),
        "the network": lambda: classifier.outputs(pixels),
        "all of classify": lambda: list(classifier.classify([content])),
        "the card's picture": lambda: small_jpeg(content, 320),
    }
    seconds = {}
    for name, act in parts.items():
        act()
        taken = []
        for _ in range(repetitions):
            started = time.perf_counter()
            act()
            taken.append(time.perf_counter() - started)
        seconds[name] = median(taken)
    return seconds


def classify_alone(model: str, paths: Sequence[Path]) -> tuple[float, float]:
    """Photos a second of `classify` on files that are in memory, as uploads are; and the processor's seconds."""
    from catdog.classifier.loading import load_classifier

    classifier, contents = load_classifier(model), [path.read_bytes() for path in paths]
    list(classifier.classify(contents[:WARM_UP]))
    started, busy = time.perf_counter(), time.process_time()
    list(classifier.classify(contents))
    return len(contents) / (time.perf_counter() - started), time.process_time() - busy


def measure(folder: Path, arguments: argparse.Namespace, paths: Sequence[Path]) -> dict[str, float]:
    """Figures of the page: seconds of one photo, seconds and bytes of many."""
    from playwright.sync_api import sync_playwright

    with served(folder) as (address, process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        visitor = Visitor(browser.new_page(viewport={"width": 1280, "height": 800}), address)
        say("warming up")
        visitor.classify(paths[:WARM_UP])
        visitor.remove()
        singles = []
        for path in paths[: arguments.repetitions]:
            singles.append(visitor.classify([path]))
            visitor.remove()
        say(f"{len(paths):,} photos")
        visitor.page.wait_for_timeout(2000)
        before, busy = anonymous_bytes(process), processor_seconds(process)
        seconds, peak = peak_while(process, lambda: visitor.classify(paths))
        busy = processor_seconds(process) - busy
        visitor.remove()
        visitor.page.wait_for_timeout(10_000)
        after = anonymous_bytes(process)
        say(f"{len(paths):,} photos, the browser standing still")
        unwatched = visitor.classify_unwatched(paths, process)
        browser.close()
    uploaded = sum(path.stat().st_size for path in paths)
    return {
        "one photo": median(singles),
        "photos a second": len(paths) / seconds,
        "photos a second, unwatched": len(paths) / unwatched,
        "processor seconds": busy,
        "uploads": uploaded,
        "growth": peak - before - uploaded,
        "left": after - before,
    }


def main() -> None:
    """Measure the page and its parts, and print both."""
    arguments = parser().parse_args()
    machine = print_machine()
    paths = sorted(path.resolve() for path in arguments.photos.rglob("*.jpg"))[: arguments.count]
    with tempfile.TemporaryDirectory(prefix="catdog-classify-") as name:
        folder = Path(name)
        os.environ |= {"CATDOG_RUNS": str(folder / "runs"), "CATDOG_CACHE": str(folder / "cache")}
        if arguments.model != "starter":
            shutil.copytree(arguments.model, folder / "runs" / "20260101-000000-000000")
        page = measure(folder, arguments, paths)
    say("the parts alone")
    parts = part_seconds(arguments.model, paths[0], arguments.repetitions)
    alone, busy = classify_alone(arguments.model, paths)
    rest = page["one photo"] - parts["all of classify"] - parts["the card's picture"]
    rows = [(part, f"{1000 * seconds:.0f} ms") for part, seconds in parts.items()]
    rows += [
        ("server and browser, the rest", f"{1000 * rest:.0f} ms"),
        ("together", f"{1000 * page['one photo']:.0f} ms"),
    ]
    print_table(f"One photo, warm, {arguments.model}: under {MOST_SECONDS:g} s", ("part", "time"), rows)
    beside, unwatched = page["photos a second"] / alone, page["photos a second, unwatched"] / alone
    print_table(
        f"{len(paths):,} photos in one upload of {page['uploads'] / 1e6:.0f} MB",
        ("what", "found", "goal"),
        [
            ("photos a second, classify alone", f"{alone:.1f}", ""),
            ("photos a second, page", f"{page['photos a second, unwatched']:.1f}", ""),
            ("ratio", f"{unwatched:.2f} x", f"at least {LEAST_RATE:.2f} x"),
            ("ratio with the browser at work on the same cores", f"{beside:.2f} x", ""),
            ("processor time of server to classify alone", f"{page['processor seconds'] / busy:.2f} x", ""),
            ("memory beyond the uploads", f"{page['growth'] / 1e6:.0f} MB", f"under {MOST_GROWTH / 1e6:.0f} MB"),
            ("memory left once removed", f"{page['left'] / 1e6:.0f} MB", ""),
        ],
    )
    write_figures(
        arguments.json,
        {"machine": machine, "page": page, "parts": parts, "alone": alone, "alone_processor_seconds": busy},
    )


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    main()
