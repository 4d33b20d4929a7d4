"""Runs' files that are none, or that would do or cost more than one, and what is said of each."""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from helpers.made_models import INFO, members, small_network, write_members
from helpers.reports import make_report

from catdog.classifier.novelty import Reference, write_reference
from catdog.classifier.saving import save_keras
from catdog.errors import Refused
from catdog.exports.packed_runs import MOST_BYTES, pack_run, unpack_run
from catdog.files.array_files import write_arrays
from catdog.files.json_files import write_json
from catdog.results.report_files import HEATMAPS_FILE, PREDICTIONS_FILE, REPORT_FILE
from catdog.runs.run_folder import KERAS_FILE, create_run
from catdog.settings import TrainConfig
from hostile.model_cases import with_lambda
from hostile.reliability import Case, try_all

Content = dict[str, bytes]
SMALL = 64  # MiB, in the process that unpacks
OWN_FILES = "ten files of a run"
OUTSIDE = "run.zip names photos outside of its folder of photos: pack the run again."
NONE = "run.zip is no run's file, or a damaged one: choose one that Catdog packed."
OTHERWISE = "run.zip is not packed as Catdog packs a run: pack it there again."
DAMAGED = "run.zip is damaged, or was not packed by Catdog: its "


def make_run(folder: Path) -> Path:
    """A finished run with a small classifier, whose photos lie elsewhere."""
    run = create_run(TrainConfig(data="/home/ada/pets"), folder)
    run.write_config(TrainConfig(data="/home/ada/pets"), class_names=INFO["class_names"])
    run.event("note", message="It began.")
    run.event("result", accuracy=0.9, loss=0.3, epochs=2, seconds=3.0, run=str(folder), files={})
    write_json(folder / REPORT_FILE, report := make_report())
    paths = [each["path"] for each in report["mistakes"]]
    rows = "".join(f"/home/ada/pets/{Path(path).name},cats,dogs,0.4,0.6\n" for path in paths)
    (folder / PREDICTIONS_FILE).write_text("path,class,label,probability_cats,probability_dogs\n" + rows)
    write_arrays(folder / HEATMAPS_FILE, {"maps": np.zeros((2, 7, 7), np.float32)})
    points = np.eye(3, 4, dtype=np.float32)
    names = tuple(f"/home/ada/pets/train/cats/{number}.jpg" for number in range(3))
    write_reference(folder / "reference.npz", Reference(points, 2, 0.1, names, ("cats",) * 3))
    save_keras(small_network(), INFO, folder / KERAS_FILE)
    run.set_state("done")
    return folder


@cache
def whole() -> Content:
    """What is in the file of such a run; not to be changed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "run.zip")
        pack_run(make_run(Path(folder, "run")), file)
        return members(file)


def made(change: Callable[[Content], object], compression: int = zipfile.ZIP_STORED) -> Callable[[], Path]:
    """What makes a run's file with changed content."""

    def make() -> Path:
        content = dict(whole())
        change(content)
        return write_members(Path(tempfile.mkdtemp(dir=".")) / "run.zip", content, compression)

    return make


def with_json(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[], Path]:
    """The same with a change to one of the JSON files."""

    def in_file(content: Content) -> None:
        inside = json.loads(content[name])
        change(inside)
        content[name] = json.dumps(inside).encode()

    return made(in_file)


def with_settings(**changes: Any) -> Callable[[], Path]:
    """The same with other settings."""
    return with_json("config.json", lambda config: config["settings"].update(changes))


def changed_bytes(change: Callable[[bytes], bytes]) -> Callable[[], Path]:
    """What makes a run's file and then changes its bytes."""

    def make() -> Path:
        path = made(unchanged)()
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def unchanged(_: Content) -> None:
    """Leave all as it is."""


def doubled() -> Path:
    """A file that names its settings twice."""
    path = made(unchanged)()
    with zipfile.ZipFile(path, "a") as archive:
        entry = zipfile.ZipInfo("status.json")
        entry.filename = "config.json"
        archive.writestr(entry, b"{}")
    return path


def inflated_arrays(content: Content) -> None:
    """A `.npz` file that unpacks to a gigabyte."""
    file = io.BytesIO()
    np.savez_compressed(file, maps=np.zeros((250, 1000, 1000), np.float32))
    content[HEATMAPS_FILE] = file.getvalue()


def lambda_inside(content: Content) -> None:
    """A classifier with a function of Python's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lambda.keras")
        with_lambda({}, path)
        content[KERAS_FILE] = path.read_bytes()


def other_reference(content: Content) -> None:
    """Photos that were learned from and lie elsewhere on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reference.npz")
        write_reference(path, Reference(np.eye(1, 4, dtype=np.float32), 1, 0.1, ("/etc/cat.jpg",), ("cats",)))
        content["reference.npz"] = path.read_bytes()


def first_mistake(path: str) -> Callable[[], Path]:
    """A run whose worst mistake lies there."""
    return with_json(REPORT_FILE, lambda report: report["mistakes"][0].update(path=path))


def table_with(row: bytes) -> Callable[[], Path]:
    """A run whose predictions have one row more."""
    return made(lambda content: content.update({PREDICTIONS_FILE: content[PREDICTIONS_FILE] + row}))


def attempt(path: Path) -> str:
    """What is said of a run's file, of which nothing stays."""
    target = path.parent / "run"
    try:
        unpack_run(path, target, name=path.name)
    except Refused as error:
        assert [each.name for each in path.parent.iterdir()] == [path.name]
        return str(error)
    else:
        return "unpacked"
    finally:
        for each in sorted(path.parent.rglob("*"), reverse=True):
            each.rmdir() if each.is_dir() else each.unlink()
        path.parent.rmdir()


def case(what: str, limit: str, outcome: str, make: Callable[[], Path], mebibytes: int = SMALL) -> Case:
    """A row of the table."""
    return Case(what, limit, outcome, make, mebibytes)


CASES = [
    case("a run's file as it was packed", "", "unpacked", made(unchanged)),
    case("a text", "", NONE, changed_bytes(lambda _: b"no zip")),
    case(
        "a run's file, cut in half",
        OWN_FILES,
        "run.zip is no run's file, since it has 'points.npy' in it: choose one that Catdog packed.",
        changed_bytes(lambda content: content[: len(content) // 2]),
    ),
    case(
        "one whose classifier has other bytes in the middle",
        "",
        f"run.zip is damaged at {KERAS_FILE}: pack the run again.",
        changed_bytes(lambda content: content.replace(b"model.weights.h5", b"model.weights.x5", 1)),
    ),
    case(
        "a photo in it",
        OWN_FILES,
        "run.zip is no run's file, since it has 'cat.jpg' in it: choose one that Catdog packed.",
        made(lambda content: content.update({"cat.jpg": b"x"})),
    ),
    case(
        "a path that leads out",
        OWN_FILES,
        "run.zip is no run's file, since it has '../config.json' in it: choose one that Catdog packed.",
        made(lambda content: content.update({"../config.json": content.pop("config.json")})),
    ),
    case(
        "no classifier",
        OWN_FILES,
        f"run.zip is no run's file, since it has no {KERAS_FILE} in it: choose one that Catdog packed.",
        made(lambda content: content.pop(KERAS_FILE)),
    ),
    case(
        "a hundred thousand entries", OWN_FILES, NONE, made(lambda c: c.update({f"{n}": b"" for n in range(100_000)}))
    ),
    case("settings that are in it twice", OWN_FILES, OTHERWISE, doubled),
    case("packed with another method", "stored or deflated", OTHERWISE, made(unchanged, zipfile.ZIP_BZIP2)),
    case(
        "events of 200 MB in 0.2 MB",
        "100 MB",
        "events.jsonl in run.zip has more than 100.00 MB, and that of a run has less: choose another file.",
        made(
            lambda content: content.update({"events.jsonl": bytes(2 * MOST_BYTES["events.jsonl"])}),
            zipfile.ZIP_DEFLATED,
        ),
    ),
    case(
        "maps of a gigabyte in a megabyte",
        "as large as they are",
        f"{DAMAGED}heatmaps.npz is none.",
        made(inflated_arrays),
    ),
    case(
        "a reference that is no array",
        "",
        f"{DAMAGED}reference.npz is none.",
        made(lambda c: c.update({"reference.npz": b"x"})),
    ),
    case(
        "a classifier with a Lambda",
        "layers of Keras's own that classifiers have",
        f"{KERAS_FILE} in run.zip has a layer of the kind 'Lambda', which no classifier of this program has"
        ": choose a .keras or .h5 file that this program wrote.",
        made(lambda_inside),
    ),
    case(
        "a classifier of other classes",
        "",
        f"{DAMAGED}classifier knows other classes than its config.json.",
        with_json("config.json", lambda config: config.update(class_names=["a", "b"])),
    ),
    case(
        "settings of another version",
        "",
        f"{DAMAGED}config.json is of another format.",
        with_json("config.json", lambda config: config.update(format=2)),
    ),
    case(
        "settings beyond their bounds",
        "those of training",
        f"{DAMAGED}config.json has no settings that a run can have.",
        with_settings(image_size=100_000),
    ),
    case("a report of other things", "", f"{DAMAGED}report.json is none.", with_json(REPORT_FILE, dict.clear)),
    case(
        "a run that is at work",
        "",
        f"{DAMAGED}status.json tells of no run that has ended.",
        with_json("status.json", lambda status: status.update(state="running")),
    ),
    case("a mistake that lies at /etc/cat.jpg", "the folder of photos", OUTSIDE, first_mistake("/etc/cat.jpg")),
    case("a mistake that lies at pets/../cat.jpg", "the folder of photos", OUTSIDE, first_mistake("pets/../cat.jpg")),
    case(
        "a prediction for s3://bucket/cat.jpg",
        "the folder of photos",
        OUTSIDE,
        table_with(b"s3://bucket/cat.jpg,cats,cats,1,0\n"),
    ),
    case("photos that were learned from at /etc", "the folder of photos", OUTSIDE, made(other_reference)),
    case("photos in object storage", "the folder of photos", OUTSIDE, with_settings(data="s3://bucket")),
    case("photos in the folder above", "the folder of photos", OUTSIDE, with_settings(data="..")),
]

if __name__ == "__main__":
    try_all(CASES, attempt)
