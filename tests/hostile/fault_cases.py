"""What happens to a run while it works, and to its files afterwards; and what is said and kept of it.

Each case gets a place: a folder, the drawings, and the folder of a finished run of FLAGS on them. Where the disk must
be full, it is a small one in memory, which a process may give itself where the system has name spaces for users.
"""

import contextlib
import csv
import io
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from helpers.places import REPOSITORY

from catdog.__main__ import main
from catdog.files.folders import remove_unfinished
from catdog.files.json_files import read_json, write_json
from catdog.runs.jobs import delete, jobs_in
from catdog.runs.run_folder import LOST_AFTER_SECONDS, create_run, read_status
from catdog.settings import TrainConfig
from hostile.reliability import Case

FLAGS = ["--backbone", "starter", "--image-size", "32", "--head-epochs", "2", "--bfloat16", "off"]
SAME = "resumed, it gives the predictions of a run that nothing disturbed"
RESERVED = "64 kB in reserve"
LAST_DIGITS = 1e-5
DAMAGE = {
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "of something else": lambda content: b'["of something else"]',
}


class Place(NamedTuple):
    """Where a case may do what it has to."""

    folder: Path
    drawings: Path
    finished: Path


def can_have_small_disks() -> bool:
    """Whether a process may give itself a small disk here."""
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=100k none /tmp"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def told(text: str, place: Place) -> str:
    """The last line of what a command said, without this machine's folders."""
    lines = text.strip().splitlines() or [""]
    return lines[-1].replace(str(place.folder), "...").replace(str(place.drawings), "photos")


def on_a_small_disk(place: Place, script: str, kilobytes: int) -> subprocess.CompletedProcess:
    """Run a shell script in which `disk` is a folder on a disk of that size, and PYTHON is this Python."""
    disk = place.folder / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={kilobytes}k none {shlex.quote(str(disk))} && cd {shlex.quote(str(disk))}"
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"{mount} && {script}"],
        check=False,
        cwd=place.folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=600,
    )


def full_disk(kilobytes: int) -> Callable[[Place], str]:
    """What a run says on a disk of that size, and what becomes of it once the disk has room."""

    def make(place: Place) -> str:
        train = shlex.join(["train", str(place.drawings), *FLAGS, "--out", "run"])
        script = f"""
        $PYTHON -m catdog {train} >/dev/null 2>said; tail -n 1 said >&2
        $PYTHON -c 'import pathlib, catdog.runs.run_folder as f; print(f.read_status(pathlib.Path("run"))["state"])'
        ls -A run run/checkpoint | grep draft
        mount -o remount,size=1g "$PWD" && $PYTHON -m catdog {train} --resume >/dev/null 2>&1
        cat run/predictions.csv
        """
        done = on_a_small_disk(place, script, kilobytes)
        state, _, predictions = done.stdout.partition("\n")
        # A draft that stayed behind would stand before the predictions.
        same = predictions == (place.finished / "predictions.csv").read_text()
        return f"{state}: {told(done.stderr, place)} {SAME.capitalize() if same else predictions[:1000]}"

    return make


def full_to_the_last_byte(place: Place) -> str:
    """The state of a run that fails on a disk which something else filled meanwhile."""
    program = """
from pathlib import Path
from catdog.runs.run_folder import create_run, read_status
from catdog.settings import TrainConfig
run = create_run(TrainConfig(data="photos"), "run")
try:
    with run.working():
        try:
            with open("filler", "wb", buffering=0) as filler:
                while filler.write(bytes(4096)):
                    pass
        except OSError:
            raise ValueError("as something failed") from None
except Exception:
    pass
print(read_status(Path("run"))["state"])
"""
    done = on_a_small_disk(place, f"$PYTHON -c {shlex.quote(program)}", 1_000)
    return f"its state is {done.stdout.strip()}{done.stderr.strip()}"


def command(*arguments: str) -> Callable[[Place], str]:
    """What a command says, in which PHOTOS, RUN and HERE stand for the case's own."""

    def make(place: Place) -> str:
        words = {"PHOTOS": str(place.drawings), "RUN": str(place.folder / "run"), "HERE": str(place.folder)}
        given = [words.get(each, each.replace("HERE", str(place.folder))) for each in arguments]
        with tempfile.TemporaryFile() as said, contextlib.redirect_stdout(io.StringIO()):
            before = os.dup(2)
            os.dup2(said.fileno(), 2)
            try:
                status = main(given)
            finally:
                os.dup2(before, 2)
                os.close(before)
            said.seek(0)
            sentences = said.read().decode()
        return f"{told(sentences, place)} (exit status {status})"

    return make


def damaged(name: str, how: str, *arguments: str) -> Callable[[Place], str]:
    """What a command says of a finished run one of whose files is damaged."""

    def make(place: Place) -> str:
        shutil.copytree(place.finished, place.folder / "run")
        file = place.folder / "run" / name
        file.write_bytes(DAMAGE[how](file.read_bytes()))
        return command(*arguments)(place)

    return make


def status_damaged(place: Place) -> str:
    """The state of a finished run whose status.json is cut off."""
    shutil.copytree(place.finished, place.folder / "run")
    file = place.folder / "run" / "status.json"
    file.write_bytes(DAMAGE["cut off"](file.read_bytes()))
    status = read_status(place.folder / "run")
    return f"its run is {status['state']}: {status['message']}"


def upload_cut_short(place: Place) -> str:
    """What is left of an upload while which the server is killed, at once and the next day."""
    program = """
import io, os, signal, zipfile
from pathlib import Path
from catdog.photos.archives import unpack_photos
content = io.BytesIO()
with zipfile.ZipFile(content, "w") as archive:
    for name in ("cats/1.gif", "dogs/1.gif"):
        archive.writestr(name, b"GIF89a" + bytes(1000))
unpack_photos(content, Path("uploads/set"), name="x.zip", on_progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))
"""
    (place.folder / "uploads").mkdir()
    with process(program, place) as server:
        server.wait()
    left = list((place.folder / "uploads").iterdir())
    offered = [path for path in left if not path.name.startswith(".")]
    for path in left:
        os.utime(path, (0, 0))
    remove_unfinished(place.folder / "uploads")
    later = len(list((place.folder / "uploads").iterdir()))
    return f"{len(offered)} sets are offered, {len(left)} lies there unfinished, and {later} once it is a day old"


def deletion_cut_short(place: Place) -> str:
    """What is left of a run while whose deletion the server is killed, and after the next deletion."""
    program = """
import os, shutil, signal
from pathlib import Path
from catdog.files import folders
shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
folders.remove_folder(Path("runs/first"))
"""
    for name in ("first", "second"):
        shutil.copytree(place.finished, place.folder / "runs" / name)
    with process(program, place) as server:
        server.wait()
    shown = [job.folder.name for job in jobs_in(place.folder / "runs")]
    delete(place.folder / "runs" / "second")
    return f"{' and '.join(shown)} is shown, and {len(list((place.folder / 'runs').iterdir()))} folders stay in the end"


def shelf_damaged(place: Place) -> str:
    """Whether a run on a damaged cache gives what it gave before."""
    with mock.patch.dict(os.environ, {"CATDOG_CACHE": str(place.folder / "cache")}):
        flags = [str(place.drawings), *FLAGS, "--out"]
        command("train", *flags, "HERE/first")(place)
        for path in (place.folder / "cache" / "activations").rglob("*.bin"):
            content = bytearray(path.read_bytes())
            content[len(content) // 3] ^= 255
            path.write_bytes(content[: -len(content) // 5])
        command("train", *flags, "HERE/second")(place)
    first, second = (probabilities_of(place.folder / name) for name in ("first", "second"))
    difference = max(abs(first[path] - second[path]) for path in first)
    # Other photos go through the network together, which moves the last digits.
    return "computed again" if difference < LAST_DIGITS else f"the probabilities differ by {difference}"


def probabilities_of(run: Path) -> dict[str, float]:
    """What a run's predictions.csv says of each photo, as the probability of a cat."""
    with (run / "predictions.csv").open(newline="") as file:
        return {row["path"]: float(row["probability_cats"]) for row in csv.DictReader(file)}


def state_of_the_living(updated: float) -> Callable[[Place], str]:
    """The state of a run whose process lives and wrote so many seconds from now, by the clock, that it does."""

    def make(place: Place) -> str:
        program = f"""
import json, time
from pathlib import Path
from catdog.runs.run_folder import create_run
from catdog.settings import TrainConfig
time_of_the_clock = time.time
time.time = lambda: time_of_the_clock() + {updated}
run = create_run(TrainConfig(data="photos"), "run")
with run.alone():
    run.set_state("running")
    print(flush=True)
    input()
"""
        with process(program, place) as writer:
            writer.stdout.readline()
            return f"its run is {read_status(place.folder / 'run')['state']}"

    return make


def state_of_the_dead(updated: float) -> Callable[[Place], str]:
    """The state of a run whose process wrote so many seconds from now, while another process has its number."""

    def make(place: Place) -> str:
        run = create_run(TrainConfig(data="photos"), place.folder / "run")
        run.set_state("running")
        status = read_json(run.folder / "status.json")
        write_json(run.folder / "status.json", status | {"updated": status["updated"] + updated})
        return f"its run is {read_status(run.folder)['state']}"

    return make


def killed(place: Place) -> str:
    """What is said of a run whose process was killed, as the system does where memory runs out."""
    program = """
import os, signal
from catdog.runs.run_folder import create_run
from catdog.settings import TrainConfig
with create_run(TrainConfig(data="photos"), "run").working():
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with process(program, place) as writer:
        writer.wait()
    status = read_status(place.folder / "run")
    return f"its run is {status['state']}: {status['message']}"


@contextlib.contextmanager
def process(program: str, place: Place) -> Iterator[subprocess.Popen]:
    """A process of Python's that runs a program in the case's folder, and goes on when it is written to."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", program], cwd=place.folder, env=environment, **pipes) as started:
        yield started
        started.communicate("\n")


CASES = [
    Case(
        "a disk of 100 kB, full in the first epoch",
        RESERVED,
        "failed: There was no room left to write run/checkpoint/last.npz (No space left on device): make some, and "
        f"then resume the run. {SAME.capitalize()}",
        full_disk(100),
    ),
    Case(
        "a disk of 10 MB, full when the classifier is written",
        RESERVED,
        "failed: There was no room left to write run/cat_dog_classifier.keras (No space left on device): make some, "
        f"and then resume the run. {SAME.capitalize()}",
        full_disk(10_000),
    ),
    Case(
        "a disk of 40 MB, full when the classifier is written as `.h5`",
        RESERVED,
        "failed: There was no room left to write run/cat_dog_classifier.h5 (No space left on device): make some, "
        f"and then resume the run. {SAME.capitalize()}",
        full_disk(40_000),
    ),
    Case("a disk that something else fills, to the last byte", RESERVED, "its state is failed", full_to_the_last_byte),
    Case(
        "`train --out` on a disk that is read-only",
        "",
        "The folder /proc/run can't be used for a run (No such file or directory): name another. (exit status 2)",
        command("train", "PHOTOS", "--out", "/proc/run"),
    ),
    Case(
        "`classify --csv` on a disk that is read-only",
        "",
        "The file /proc/x.csv can't be written (No such file or directory). (exit status 2)",
        command("classify", "starter", "PHOTOS", "--csv", "/proc/x.csv"),
    ),
    Case(
        "a run's config.json cut off, then `train --resume`",
        "",
        ".../run/config.json is missing or damaged: start a new run. (exit status 2)",
        damaged("config.json", "cut off", "train", "PHOTOS", "--out", "RUN", "--resume"),
    ),
    Case(
        "its status.json cut off",
        "",
        "its run is lost: Its status.json is missing or damaged.",
        status_damaged,
    ),
    Case(
        "its report.json of something else, then `report`",
        "",
        "The report of the run in .../run is damaged or of an older version: train it again. (exit status 2)",
        damaged("report.json", "of something else", "report", "RUN"),
    ),
    Case(
        "its predictions.csv cut off, then `report`",
        "as many rows as photos",
        ".../run/predictions.csv is missing or damaged: not all photos can be shown. (exit status 0)",
        damaged("predictions.csv", "cut off", "report", "RUN"),
    ),
    Case(
        "its heatmaps.npz cut off, then `report`",
        "",
        ".../run/heatmaps.npz is missing or damaged: there are no maps of where it looked. (exit status 0)",
        damaged("heatmaps.npz", "cut off", "report", "RUN"),
    ),
    Case(
        "its reference.npz empty, then `classify`",
        "",
        ".../run/reference.npz is damaged: no photo is found to be neither. (exit status 0)",
        damaged("reference.npz", "empty", "classify", "RUN", "PHOTOS"),
    ),
    Case(
        "its classifier cut off, then `classify`",
        "",
        ".../run/cat_dog_classifier.keras can't be loaded as a Keras model (BadZipFile). (exit status 2)",
        damaged("cat_dog_classifier.keras", "cut off", "classify", "RUN", "PHOTOS"),
    ),
    Case(
        "a process that lives, and a clock set back by an hour",
        "",
        "its run is running",
        state_of_the_living(updated=3600.0),
    ),
    Case(
        "a process that lives, and a clock set forward by an hour",
        "",
        "its run is running",
        state_of_the_living(updated=-3600.0),
    ),
    Case(
        "a process that is gone, and another that has its number by now",
        "60 seconds without a word",
        "its run is lost",
        state_of_the_dead(updated=-LOST_AFTER_SECONDS - 1),
    ),
    Case(
        "a process that was killed a moment ago",
        "",
        "its run is lost: Its process ended without a word, as where memory runs out; it can be resumed.",
        killed,
    ),
    Case(
        "a server that is killed while it unpacks an upload",
        "a day",
        "0 sets are offered, 1 lies there unfinished, and 0 once it is a day old",
        upload_cut_short,
    ),
    Case(
        "a server that is killed while it deletes the first of two runs",
        "the next deletion",
        "second is shown, and 0 folders stay in the end",
        deletion_cut_short,
    ),
    Case("kept activations changed and cut off by hand", "CRC-32 of each", "computed again", shelf_damaged),
]

TRAINING = [case for case in CASES if case.what.startswith(("a disk of ", "kept activations"))]
