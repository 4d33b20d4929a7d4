"""What the pages cost the server: one page with many finished runs, and watching a run that is at work."""

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from measuring import REPOSITORY, print_machine, print_table, say, write_figures

PAGES = ("train", "runs")
STEPS = 63  # an epoch of 2,000 photos in batches of 32
HEAD_EPOCHS, FINE_TUNE_EPOCHS = 10, 5
# What the watched run has behind it: as many steps as half an hour leaves when a step is written each 0.05 s.
WATCHED_STEPS, WATCHED_EPOCHS = 600, 60
# What the goals are.
MOST_SECONDS, MOST_SHARE = 1.0, 0.05


def parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    flags = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    flags.add_argument("--runs", type=int, default=50, help="Finished runs in the folder. Default: %(default)s")
    flags.add_argument("--repetitions", type=int, default=7, help="Loads of each page. Default: %(default)s")
    flags.add_argument("--seconds", type=float, default=60.0, help="How long a run is watched. Default: %(default)s")
    flags.add_argument(
        "--chromium",
        default=shutil.which("chromium"),
        help="The browser's program. Default: chromium, else Playwright's own.",
    )
    flags.add_argument("--json", type=Path, metavar="FILE", help="Also write all figures to this file.")
    return flags


def learned(phase: str, epoch: int, epochs: int, when: float) -> list[dict[str, Any]]:
    """The events of one epoch as training writes them, from a time in seconds on."""
    at = epoch + (HEAD_EPOCHS if phase == "fine-tune" else 0)
    loss = 0.6 / at + 0.02
    steps = [
        {"event": "step", "time": when + 0.05 * step, "phase": phase, "epoch": epoch, "step": step, "steps": STEPS}
        | {"loss": loss * (1 + step % 7 / 10), "accuracy": 0.9}
        for step in range(1, STEPS + 1)
    ]
    whole = {"event": "epoch", "time": when + 0.05 * STEPS, "phase": phase, "epoch": epoch, "epochs": epochs}
    whole |= {"loss": loss, "accuracy": 0.95, "val_loss": loss + 0.01, "val_accuracy": 0.98 - 0.1 / at}
    return [*steps, whole | {"learning_rate": 0.001, "seconds": 0.05 * STEPS, "best": True}]


def make_finished_run(folder: Path, number: int) -> None:
    """A folder with the files of a finished run of both phases; the classifier is a stand-in, which no page opens."""
    from catdog.files.json_files import write_json
    from catdog.runs.run_folder import H5_FILE, INFO_FILE, KERAS_FILE, create_run
    from catdog.settings import TrainConfig

    config = TrainConfig(data="data", head_epochs=HEAD_EPOCHS, fine_tune_epochs=FINE_TUNE_EPOCHS, seed=number)
    run = create_run(config, folder)
    names = ["cats", "dogs"]
    counts = {split: dict.fromkeys(names, photos) for split, photos in (("train", 1000), ("validation", 500))}
    photos = {"digest": "0" * 64, "counts": counts, "left_out": []}
    run.write_config(config, class_names=names, backbone={"name": "starter", "digest": "0" * 64}, photos=photos)
    events: list[dict[str, Any]] = []
    for phase, epochs in (("head", HEAD_EPOCHS), ("fine-tune", FINE_TUNE_EPOCHS)):
        events.append({"event": "phase", "time": 0.0, "phase": phase})
        for epoch in range(1, epochs + 1):
            events += learned(phase, epoch, epochs, 3.0 * epoch)
    result = {"event": "result", "time": 50.0, "accuracy": 0.98, "loss": 0.05, "epochs": 15, "seconds": 50.0}
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in [*events, result]))
    report = {"split": "validation", "class_names": names, "accuracy": 0.98, "loss": 0.05, "photos": 1000}
    write_json(folder / "report.json", {**report, "confusion": [[490, 10], [10, 490]]})
    write_json(folder / INFO_FILE, {"format": 1, "class_names": names, "image_size": 224, "metrics": report})
    rows = "".join(f"validation/cats/cat.{row}.jpg,cats,cats,0.98,0.02\n" for row in range(1000))
    (folder / "predictions.csv").write_text(f"path,class,label,probability_cats,probability_dogs\n{rows}")
    for name in (KERAS_FILE, H5_FILE, "log.txt"):
        (folder / name).write_bytes(bytes(10_000))
    run.set_state("done")


@contextlib.contextmanager
def growing_run(folder: Path) -> Iterator[None]:
    """A run that works during the `with` block, as far as its folder tells: a long past, then a step each 0.05 s."""
    from catdog.runs.run_folder import FREQUENT_EVENT_SECONDS, create_run
    from catdog.settings import TrainConfig

    run = create_run(TrainConfig(data="data", head_epochs=1000), folder)
    run.event("phase", phase="head")
    with (folder / "events.jsonl").open("a") as file:
        for epoch in range(1, WATCHED_EPOCHS + 1):
            before = time.time() - 0.05 * STEPS * (WATCHED_EPOCHS + 1 - epoch)
            *steps, whole = learned("head", epoch, 1000, before)
            for repeated in range(WATCHED_STEPS // STEPS):
                for step in steps:
                    place = {"step": step["step"] + repeated * STEPS, "steps": WATCHED_STEPS // STEPS * STEPS}
                    file.write(json.dumps(step | place) + "\n")
            file.write(json.dumps(whole) + "\n")
    finished = threading.Event()

    def write() -> None:
        for epoch in range(WATCHED_EPOCHS + 1, 1001):
            for event in learned("head", epoch, 1000, 0.0):
                fields = {name: value for name, value in event.items() if name not in ("event", "time")}
                run.event(event["event"], **fields)
                if finished.wait(FREQUENT_EVENT_SECONDS["step"]):
                    return

    with run.working():
        writer = threading.Thread(target=write)
        writer.start()
        try:
            yield
        finally:
            finished.set()
            writer.join()
    run.set_state("done")


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, int]]:
    """The app's server with a working folder of its own; gives its address and its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(REPOSITORY / "streamlit_app.py")]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
    paths = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            if server.poll() is not None:
                raise SystemExit(f"The server ended:\n{(folder / 'server.log').read_text()[-3000:]}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                break
            time.sleep(0.1)
        yield address, server.pid
    finally:
        server.terminate()
        server.wait(timeout=30)


def processor_seconds(process: int) -> float:
    """The processor time that a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def page_seconds(repetitions: int) -> dict[str, float]:
    """The median seconds in which the server runs each page's script, for a new visitor, once one has been there."""
    from streamlit.testing.v1 import AppTest

    seconds: dict[str, list[float]] = {name: [] for name in PAGES}
    for repetition in range(repetitions + 1):
        for name in PAGES:
            app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=600)
            if name != "train":
                app.switch_page(f"catdog/pages/{name}.py")
            started = time.perf_counter()
            app.run()
            if app.exception:
                raise SystemExit(f"The page {name} failed: {app.exception[0].message}")
            if repetition:
                seconds[name].append(time.perf_counter() - started)
    return {name: median(of_page) for name, of_page in seconds.items()}


def watched(open_page: Callable[[str], Any], process: int, address: str, seconds: float) -> float:
    """The share of a core that the server uses while a browser shows its training page."""
    page = open_page(address)
    page.locator('[data-testid="stVegaLiteChart"]').nth(1).wait_for(timeout=60_000)
    page.wait_for_timeout(5000)
    before, started = processor_seconds(process), time.monotonic()
    page.wait_for_timeout(1000 * seconds)
    share = (processor_seconds(process) - before) / (time.monotonic() - started)
    page.close()
    return share


def watch(folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """The share of a core of watching a finished run and of watching one at work, each in Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit("Watching a page needs Playwright: pip install playwright, and Chromium.") from None
    with served(folder) as (address, process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])

        def open_page(url: str) -> Any:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(url)
            return page

        shares = {"finished": watched(open_page, process, address, arguments.seconds)}
        say("watching a run at work")
        with growing_run(folder / "runs" / "29990101-000000-000000"):
            shares["at work"] = watched(open_page, process, address, arguments.seconds)
        browser.close()
    return shares


def main() -> None:
    """Make the folder, measure both, print both."""
    arguments = parser().parse_args()
    machine = print_machine()
    with tempfile.TemporaryDirectory(prefix="catdog-pages-") as name:
        folder = Path(name)
        os.environ |= {"CATDOG_RUNS": str(folder / "runs"), "CATDOG_CACHE": str(folder / "cache")}
        os.environ.pop("CATDOG_FOLDERS", None)
        os.chdir(folder)
        say("drawing photos and making runs")
        from catdog.photos.drawings import draw_photo_set

        (folder / "cache" / "photos").mkdir(parents=True)
        draw_photo_set(folder / "cache" / "photos" / "drawings")
        for number in range(arguments.runs):
            make_finished_run(folder / "runs" / f"20260101-{number:06}-000000", number)
        say("opening pages")
        seconds = page_seconds(arguments.repetitions)
        say("watching a finished run")
        shares = watch(folder, arguments)
        os.chdir(REPOSITORY)
    print_table(
        f"A page with {arguments.runs} finished runs",
        ("page", "seconds", f"under {MOST_SECONDS:g} s"),
        [(page, f"{value:.2f}", "yes" if value < MOST_SECONDS else "no") for page, value in seconds.items()],
    )
    print_table(
        "The server while a browser shows a run",
        ("run", "of a core", f"under {MOST_SHARE:.0%}"),
        [(run, f"{value:.1%}", "yes" if value < MOST_SHARE else "no") for run, value in shares.items()],
    )
    write_figures(arguments.json, {"machine": machine, "page_seconds": seconds, "shares_of_a_core": shares})


if __name__ == "__main__":
    main()
