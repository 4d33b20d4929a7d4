"""A run as one file, to be taken along and unpacked elsewhere, where it is a stranger's until it was looked through.

The file is a zip of what a run's page and its classifier need. The photos stay where they are, and of their places
nothing goes along but the path from the folder of photos on: `/home/ada/pets/train/cats/1.jpg` is
`pets/train/cats/1.jpg` in the file. Where a folder of that name lies in the working folder, the pages find them again.
"""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from catdog.classifier.novelty import REFERENCE_FILE
from catdog.errors import CatdogError, Failed, Refused
from catdog.files.array_files import pack_arrays, read_arrays
from catdog.files.csv_files import row_writer
from catdog.files.folders import require_empty, require_replaceable
from catdog.files.json_files import TEXT, found_in, read_json, write_json
from catdog.files.storage import is_address
from catdog.files.whole_files import draft_of
from catdog.inspection.model_files import MAX_BYTES
from catdog.inspection.model_trial import try_model
from catdog.photos.archives import CHUNK_BYTES, ENCRYPTED, opened, read_contents, reading, staged
from catdog.plain_text import one_line
from catdog.results.report_files import HEATMAPS_FILE, PREDICTIONS_FILE, REPORT_FILE, read_report
from catdog.runs.jobs import LABEL_FILE, LONGEST_NAME, label_of
from catdog.runs.owners import write_owner
from catdog.runs.run_folder import (
    ACTIVE_STATES,
    FORMAT,
    INFO_FILE,
    KERAS_FILE,
    judged,
    new_run_folder,
    read_config,
    read_status,
)
from catdog.settings import backbone_title, path_inside

ENDING = ".catdog.zip"
NO_RUN = "is no run's file, or a damaged one: choose one that Catdog packed."
WHAT_TRAVELS = "its settings, curves, result and classifier, and the names of its photos, but no photo."
# What is packed, and how many bytes of it are taken from elsewhere. Those of a run with 100,000 validation photos and
# 1,000 epochs are a quarter of that.
MOST_BYTES = {
    "config.json": 50_000_000,
    "status.json": 10_000,
    "events.jsonl": 100_000_000,
    LABEL_FILE: 10_000,
    INFO_FILE: 1_000_000,
    REPORT_FILE: 50_000_000,
    PREDICTIONS_FILE: 50_000_000,
    HEATMAPS_FILE: 50_000_000,
    REFERENCE_FILE: 100_000_000,
    KERAS_FILE: MAX_BYTES,
}
NEEDED = ("config.json", "status.json", KERAS_FILE)
COMPRESSED_ALREADY = (KERAS_FILE, HEATMAPS_FILE, REFERENCE_FILE)
ENDED_STATES = ("done", "stopped", "failed")
LONGEST_MESSAGE = 1_000
# Where the photos' paths stand in a report.
LISTS_OF_PHOTOS = (("mistakes",), ("border",), ("wrong_labels", "found"))

ChangePath = Callable[[str], str]


def pack_run(folder: Path, file: Path | BinaryIO) -> None:
    """Write a run's file, whole or not at all; raises `Refused` where there is no run to pack, or no place for it."""
    content = packed(folder)
    if not isinstance(file, Path):
        write_zip(content, file)
        return
    require_replaceable(file)
    try:
        with draft_of(file) as draft, draft.open("wb") as opened_draft:
            write_zip(content, opened_draft)
    except OSError as error:
        raise Refused(f"The file {file} can't be written ({error.strerror}): name another.") from None


def file_name_of(folder: Path) -> str:
    """What to call a run's file: by the name that somebody gave the run, else by its folder's."""
    named = "".join(each if each.isalnum() or each in " -_.," else "_" for each in label_of(folder)).strip(" .")
    return f"{named or folder.resolve().name}{ENDING}"


def packed(folder: Path) -> dict[str, bytes]:
    """Name and content of what goes into a run's file; raises `Refused` where there is no run that can be packed."""
    state = read_status(folder)["state"] if (folder / "config.json").is_file() else None
    if state is None:
        raise Refused(f"There is no run in {folder} to pack.")
    if state in ACTIVE_STATES:
        raise Refused(f"The run in {folder} is {state}: wait for its end, or stop it.")
    if not (folder / KERAS_FILE).is_file():
        raise Refused(f"The run in {folder} has no classifier to take along: train it, or resume it.")
    change = shortened_from(read_config(folder).data)
    files = {}
    for name in MOST_BYTES:
        try:
            found = content_of(folder / name, change)
        except OSError as error:
            raise Refused(f"{folder / name} can't be read ({error.strerror}).") from None
        if found is not None:
            files[name] = found
    status = judged(read_json(folder / "status.json"), folder)
    if status["state"] == "lost":
        # It has what it had at its last whole epoch.
        status |= {"state": "stopped", "message": "Its process ended without a word; the best epoch was kept."}
    files["status.json"] = as_json(status | {"pid": 0, "host": ""})
    return files


def content_of(path: Path, change: ChangePath) -> bytes | None:
    """A file of a run with its photos' paths changed; None where it isn't there or is damaged."""
    if not path.is_file():
        return None
    if path.name == PREDICTIONS_FILE:
        return changed_table(path, change)
    if path.name == REFERENCE_FILE:
        return changed_reference(path, change)
    if path.name == "events.jsonl":
        return changed_events(path)
    if path.name in ("config.json", INFO_FILE, REPORT_FILE):
        content = read_json(path)
        change_paths(content, change)
        return as_json(content)
    return path.read_bytes()


def as_json(content: dict[str, Any]) -> bytes:
    """An object as `write_json` writes it."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode(**TEXT)


def shortened_from(data: str) -> ChangePath:
    """What makes of a photo's path in a folder of photos the part that begins with that folder's own name."""
    root = data.rstrip("/\\")
    name = folder_name(data)

    def shorten(path: str) -> str:
        within = path.removeprefix(root).lstrip("/\\") if path.startswith(root) else ""
        return f"{name}/{within or path.replace(chr(92), '/').rpartition('/')[2]}"

    return shorten


def folder_name(data: str) -> str:
    """The last part of the path or address of a folder of photos."""
    name = data.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return name if name not in ("", ".", "..") else "photos"


def change_paths(content: dict[str, Any], change: ChangePath) -> None:
    """Change the photos' paths in a `config.json` or a `report.json`, where it has any."""
    settings = content.get("settings")
    if isinstance(settings, dict) and isinstance(settings.get("data"), str):
        settings["data"] = folder_name(settings["data"])
    # A backbone file lies on this machine's disk.
    for holder, key in ((settings, "backbone"), (content.get("backbone"), "name"), (content, "backbone")):
        if isinstance(holder, dict) and isinstance(holder.get(key), str):
            holder[key] = backbone_title(holder[key])
    for keys in (*LISTS_OF_PHOTOS, ("photos", "left_out")):
        for entry in found_in(content, *keys, kind=list) or []:
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                entry["path"] = change(entry["path"])


def changed_table(path: Path, change: ChangePath) -> bytes | None:
    """A `predictions.csv` with its paths changed."""
    text = io.StringIO(newline="")
    write_row = row_writer(text)
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            for number, row in enumerate(csv.reader(file)):
                write_row([change(row[0]), *row[1:]] if number and row else row)
    except csv.Error:
        return None
    return text.getvalue().encode(errors="surrogateescape")


def changed_reference(path: Path, change: ChangePath) -> bytes | None:
    """A `reference.npz` with its paths changed."""
    found = read_arrays(path)
    if found is None:
        return None
    arrays, notes = found
    if not isinstance(notes, dict) or not isinstance(notes.get("paths"), list):
        return None
    notes["paths"] = [change(str(each)) for each in notes["paths"]]
    return pack_arrays(arrays, **notes)


def changed_events(path: Path) -> bytes:
    """An `events.jsonl` without the places of the run's files."""
    lines = []
    for line in path.read_bytes().splitlines():
        with suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict):
                event.pop("run", None)
                event.pop("files", None)
                lines.append(json.dumps(event, ensure_ascii=False) + "\n")
    return "".join(lines).encode(**TEXT)


def write_zip(content: dict[str, bytes], file: BinaryIO) -> None:
    """Write the files into a zip archive."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, each in content.items():
            stored = zipfile.ZIP_STORED if name in COMPRESSED_ALREADY else zipfile.ZIP_DEFLATED
            archive.writestr(name, each, compress_type=stored)


def unpack_run(
    file: Path | BinaryIO, folder: Path | None = None, *, name: str | None = None, owner: str | None = None
) -> Path:
    """Unpack a run's file, called `name`, into a folder that is absent or empty, else into a new one; gives the folder.

    The classifier is looked through and opened in a limited process, which takes some ten seconds. Raises `Refused`
    with what is wrong with the file, `Failed` where it can't be kept here; then nothing is left behind.
    """
    name = name or str(file)
    folder = (folder or new_run_folder(owner)).absolute()
    require_empty(folder)
    with opened(file, name) as stream, read_contents(stream, name, len(MOST_BYTES), NO_RUN, NO_RUN) as contents:
        entries = checked_entries(contents, name)
        try:
            with staged(folder) as unfinished:
                for entry in entries:
                    unpack_entry(contents, entry, unfinished / entry.filename, name)
                look_through_run(unfinished, name)
                if owner:
                    write_owner(unfinished, owner)
        except OSError as error:
            raise Failed(
                f"The run in {name} could not be kept in {folder.parent} ({error.strerror or error}): make room there."
            ) from None
    return folder


def checked_entries(contents: zipfile.ZipFile, name: str) -> list[zipfile.ZipInfo]:
    """The entries of a run's file; raises `Refused` unless they are what such a file has."""
    entries = contents.infolist()
    names = [entry.orig_filename for entry in entries]
    strange = next((each for each in names if each not in MOST_BYTES), None)
    if strange is not None:
        raise Refused(f"{name} is no run's file, since it has {strange[:80]!a} in it: choose one that Catdog packed.")
    missing = [each for each in NEEDED if each not in names]
    if missing:
        raise Refused(f"{name} is no run's file, since it has no {missing[0]} in it: choose one that Catdog packed.")
    usual = all(
        entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and not entry.flag_bits & ENCRYPTED
        for entry in entries
    )
    if len(set(names)) < len(names) or len({entry.header_offset for entry in entries}) < len(names) or not usual:
        raise Refused(f"{name} is not packed as Catdog packs a run: pack it there again.")
    return entries


def unpack_entry(contents: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, name: str) -> None:
    """Write an entry, counting what really comes; raises `Refused` or `OSError`."""
    most = left = MOST_BYTES[entry.filename]
    damage = f"{name} is damaged at {entry.filename}: pack the run again."
    with reading(damage):
        source = contents.open(entry)
    with source, target.open("xb") as file:
        while True:
            with reading(damage):
                chunk = source.read(CHUNK_BYTES)
            if not chunk:
                return
            left -= len(chunk)
            if left < 0:
                raise Refused(
                    f"{entry.filename} in {name} has more than {most / 1e6:,.2f} MB, and that of a run has less: "
                    "choose another file."
                )
            file.write(chunk)


def look_through_run(folder: Path, name: str) -> None:
    """Raise `Refused` unless an unpacked run can be shown and used, and leads to no other file of this machine."""
    damaged = f"{name} is damaged, or was not packed by Catdog"
    config = read_json(folder / "config.json")
    if config.get("format") != FORMAT:
        raise Refused(f"{damaged}: its config.json is of another format.")
    try:
        data = read_config(folder).data
    except CatdogError:
        raise Refused(f"{damaged}: its config.json has no settings that a run can have.") from None
    report = read_json(folder / REPORT_FILE)
    if (folder / REPORT_FILE).exists() and not read_report(folder):
        raise Refused(f"{damaged}: its report.json is none.")
    elsewhere = path_inside(data) is None or is_address(data)
    if elsewhere or any(not lies_in(path, data) for path in photo_paths(folder, config, report)):
        raise Refused(f"{name} names photos outside of its folder of photos: pack the run again.")
    for each in (HEATMAPS_FILE, REFERENCE_FILE):
        require_plain_arrays(folder / each, f"{damaged}: its {each} is none.")
    tidy_status(folder, damaged)
    model = folder / KERAS_FILE
    try:
        about = try_model(model)
    except CatdogError as error:
        raise type(error)(str(error).replace(str(model), f"{KERAS_FILE} in {name}")) from None
    if config.get("class_names") != about["class_names"]:
        raise Refused(f"{damaged}: its classifier knows other classes than its config.json.")


def photo_paths(folder: Path, config: dict[str, Any], report: dict[str, Any]) -> list[str]:
    """Every path of a photo that an unpacked run names."""
    found: list[str] = []
    for content in (config, report):
        change_paths(content, lambda path: found.append(path) or path)
    with suppress(OSError, csv.Error), (folder / PREDICTIONS_FILE).open(newline="", errors="surrogateescape") as file:
        found += [row[0] for number, row in enumerate(csv.reader(file)) if number and row]
    reference = read_arrays(folder / REFERENCE_FILE)
    if reference and isinstance(reference[1], dict) and isinstance(reference[1].get("paths"), list):
        found += [str(each) for each in reference[1]["paths"]]
    return found


def lies_in(path: str, folder: str) -> bool:
    """Whether a photo's path is a relative one that leads into the folder of photos of that name."""
    inside = path_inside(path)
    return inside is not None and "\\" not in path and PurePosixPath(inside).is_relative_to(folder)


def require_plain_arrays(path: Path, sentence: str) -> None:
    """Raise `Refused` with the sentence where an `.npz` file would unpack to more than it has itself."""
    if not path.exists():
        return
    with reading(sentence), zipfile.ZipFile(path) as archive:
        stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        sizes = sum(entry.file_size for entry in archive.infolist())
    if not stored or sizes > path.stat().st_size:
        raise Refused(sentence)


def tidy_status(folder: Path, damaged: str) -> None:
    """Write an unpacked run's state and name anew, from what can be believed of them."""
    status = judged(read_json(folder / "status.json"), folder)
    if status["state"] not in ENDED_STATES:
        raise Refused(f"{damaged}: its status.json tells of no run that has ended.")
    message = one_line(status["message"])[:LONGEST_MESSAGE]
    write_json(folder / "status.json", status | {"pid": 0, "host": "", "message": message})
    label = folder / LABEL_FILE
    if label.exists():
        write_json(label, {"name": " ".join(label_of(folder).split())[:LONGEST_NAME]})
