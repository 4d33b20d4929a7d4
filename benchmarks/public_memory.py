"""What serving, classifying and training hold together where the app is open to the public, at that mode's limits."""

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from measuring import anonymous_bytes, backbone_file, descendants, print_machine, print_table, say, write_figures
from pages import served
from sessions import PageError, Session
from visits import shown_cards

PHOTOS_AT_ONCE = 200  # the default limit
SECONDS_BETWEEN_LOOKS = 0.2
GOAL_BYTES = 2_200_000_000
BACKBONE_WORDS = {"starter": "Starter (comes along)", "imagenet": "ImageNet (94 MB, fetched once)"}
LONGEST_TRAINING_SECONDS = 3_600


def parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    flags = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    flags.add_argument("--backbone", default="starter", help="starter, imagenet or a backbone file put in its place.")
    flags.add_argument("--photos", type=int, default=300, help="Drawings to train on. Default: %(default)s")
    flags.add_argument("--fine-tune-epochs", type=int, default=2, help="Of the large run. Default: %(default)s")
    flags.add_argument("--json", type=Path, metavar="FILE", help="Also write all figures to this file.")
    return flags


@dataclass
class Peaks:
    """The most memory that was held at one look, in bytes: by all processes together, by the server, by the others."""

    together: int = 0
    server: int = 0
    others: int = 0
    moments: dict[str, int] = field(default_factory=dict)  # the most of all together, by what went on
    moment: str = "start"

    def look(self, server: int) -> None:
        """Take the memory of the server and of what it started, as it is now."""
        own, others = anonymous_bytes(server), sum(map(anonymous_bytes, descendants(server)))
        self.together = max(self.together, own + others)
        self.server, self.others = max(self.server, own), max(self.others, others)
        self.moments[self.moment] = max(self.moments.get(self.moment, 0), own + others)


@contextmanager
def watched(server: int) -> Iterator[Peaks]:
    """The peaks of what goes on inside."""
    peaks, finished = Peaks(), threading.Event()

    def watch() -> None:
        while not finished.wait(SECONDS_BETWEEN_LOOKS):
            peaks.look(server)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        finished.set()
        thread.join()


def choose(session: Session, backbone: str, head_epochs: int, fine_tune_epochs: int, augmentation: str) -> None:
    """Fill the training form, at the public's largest image size and batch size."""
    session.open()
    session.set("selectbox", "Backbone", string_value=BACKBONE_WORDS[backbone])
    session.set("number_input", "Head epochs", double_value=float(head_epochs))
    session.set("number_input", "Fine-tuning epochs", double_value=float(fine_tune_epochs))
    session.set("number_input", "Image size", double_value=224.0)
    session.set("number_input", "Batch size", double_value=32.0)
    session.set("selectbox", "Augmentation", string_value=augmentation)


def classify_again_and_again(session: Session, files: list[tuple[str, bytes]], until: threading.Event) -> int:
    """Show the answers to these photos with the visitor's newest classifier until told to end; how many there were."""
    count = 0
    while not until.is_set():
        session.open("classify")
        session.upload("Photos", files)
        if not shown_cards(session):
            raise PageError(f"No photo was answered: {session.texts()[-500:]}")
        count += len(files)
        session.click("Remove all")
    return count


def measure(folder: Path, backbone: str, files: list[tuple[str, bytes]], arguments: argparse.Namespace) -> Peaks:
    """Let one visitor classify while another trains and a third waits in line; the peaks of memory."""
    with served(folder) as (address, server), watched(server) as peaks, Session(address) as one:
        peaks.moment = "a first, small training"
        say(peaks.moment)
        choose(one, backbone, 1, 0, "None")
        one.click("Train")
        one.until("badge[:material/check: done]", seconds=LONGEST_TRAINING_SECONDS, wait=2.0)

        with Session(address) as two, Session(address) as three, Session(address) as four:
            peaks.moment = "a large training, one more in line, and two visitors who classify"
            say(peaks.moment)
            choose(two, backbone, 3, arguments.fine_tune_epochs, "Mirror images")
            two.click("Train")
            choose(three, backbone, 3, arguments.fine_tune_epochs, "Mirror images")
            three.click("Train")
            finished = threading.Event()
            counts: list[int] = []
            visitors = [
                threading.Thread(
                    target=lambda each=each: counts.append(classify_again_and_again(each, files, finished)), daemon=True
                )
                for each in (one, four)
            ]
            for visitor in visitors:
                visitor.start()
            try:
                two.until("badge[:material/check: done]", seconds=LONGEST_TRAINING_SECONDS, wait=2.0)
            finally:
                finished.set()
                for visitor in visitors:
                    visitor.join()
        end_all(folder / "runs")
        if len(counts) < len(visitors):
            raise SystemExit("A visitor who classified met an error.")
        say(f"{sum(counts):,} answers meanwhile")
    return peaks


def end_all(runs: Path) -> None:
    """Stop what is still at work, and wait for its end."""
    from catdog.runs.jobs import stop
    from catdog.runs.run_folder import ACTIVE_STATES, read_statuses

    while at_work := [path for path, each in read_statuses(runs).items() if each["state"] in ACTIVE_STATES]:
        for path in at_work:
            stop(path)
        time.sleep(1.0)


def main() -> None:
    """Serve the app, let it work, and print what it held."""
    arguments = parser().parse_args()
    machine = print_machine()
    backbone = "starter" if arguments.backbone == "starter" else "imagenet"
    with tempfile.TemporaryDirectory(prefix="catdog-memory-") as name:
        folder = Path(name)
        kept = backbone_file(arguments.backbone)
        os.environ |= {"CATDOG_RUNS": str(folder / "runs"), "CATDOG_CACHE": str(folder / "cache")}
        os.environ |= {"CATDOG_PUBLIC": "1", "CATDOG_PUBLIC_SECONDS": str(LONGEST_TRAINING_SECONDS)}
        from catdog.network.backbone_files import imagenet_file
        from catdog.photos.drawings import draw_photo_set

        if backbone == "imagenet":
            imagenet_file().parent.mkdir(parents=True)
            shutil.copyfile(kept, imagenet_file())
        say("drawing photos")
        (folder / "cache" / "photos").mkdir(parents=True, exist_ok=True)
        draw_photo_set(
            folder / "cache" / "photos" / "drawings", train=arguments.photos, validation=arguments.photos // 3
        )
        draw_photo_set(folder / "drawn", train=PHOTOS_AT_ONCE // 2, validation=PHOTOS_AT_ONCE // 2, seed=7)
        drawn = sorted((folder / "drawn").rglob("*.*"))[:PHOTOS_AT_ONCE]
        files = [(f"{number}{path.suffix}", path.read_bytes()) for number, path in enumerate(drawn)]
        peaks = measure(folder, backbone, files, arguments)
    print_table(
        f"Anonymous memory in public mode, {Path(arguments.backbone).name}",
        ("what", "most at one look", "goal"),
        [
            ("all processes together", megabytes(peaks.together), f"below {megabytes(GOAL_BYTES)}"),
            *((f"  while: {what}", megabytes(most), "") for what, most in peaks.moments.items() if what != "start"),
            ("the server alone", megabytes(peaks.server), ""),
            ("what it started alone", megabytes(peaks.others), ""),
        ],
    )
    write_figures(arguments.json, {"machine": machine, "backbone": arguments.backbone, **vars(peaks)})


def megabytes(size_bytes: int) -> str:
    """A size in millions of bytes."""
    return f"{size_bytes / 1e6:,.0f} MB"


if __name__ == "__main__":
    main()
