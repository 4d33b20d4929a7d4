"""Answers to very many photos, kept in a folder part by part as they come, so that an end in the middle loses little.

`_parts.json` says what the parts are of; `part-00000012.csv` or `.parquet` holds the answers to the twelfth part of
the photos, whole or not at all. Of a Parquet table the parts are what remains; those of a CSV file are joined to one.
"""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from catdog.errors import Failed, Refused
from catdog.files.csv_files import answers_writer
from catdog.files.folders import remove_folder
from catdog.files.storage import Place, reason_of
from catdog.files.whole_files import draft_of, remove_drafts

FORMAT = 1
MANIFEST = "_parts.json"
# How a program reads a Parquet table that lies in several files: it passes over names that begin with an underscore.
KINDS = ("csv", "parquet")
# Of photos in a part: some hundred parts for few photos, not too many files for very many. Multiples of what goes
# through the network together, so that the photos are answered in the same company as without parts.
FEWEST, MOST = 64, 1024
PARTS_WANTED = 1000


def cut(paths: Sequence[str]) -> list[Sequence[str]]:
    """The paths in parts of the same size, but for the last."""
    size = min(MOST, max(FEWEST, len(paths) // PARTS_WANTED // FEWEST * FEWEST))
    return [paths[start : start + size] for start in range(0, len(paths), size)]


def describe(model: str, class_names: Sequence[str], unsure_below: float, paths: Sequence[str]) -> dict[str, Any]:
    """What a folder of parts was begun with, and must be for others to be added; `model` is a classifier's digest."""
    listing = hashlib.sha256()
    for path in paths:
        listing.update(path.encode(errors="surrogateescape") + b"\0")
    return {
        "format": FORMAT,
        "model": model,
        "class_names": list(class_names),
        "unsure_below": unsure_below,
        "photos": len(paths),
        "listing": listing.hexdigest(),
    }


class AnswerParts:
    """A folder of parts of one kind, `csv` or `parquet`."""

    def __init__(self, folder: Place, kind: str, class_names: Sequence[str]):
        self.folder = folder
        self.kind = kind
        self.class_names = tuple(class_names)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Work on the folder alone; raises `Refused` where another command does. Object storage has no locks."""
        if not isinstance(self.folder, Path):
            yield
            return
        lock = self.folder.with_name(f".{self.folder.name}.lock")
        try:
            with FileLock(lock, timeout=0):
                try:
                    remove_drafts(self.folder)
                    yield
                finally:
                    # Where the system keeps a locked file, it stays, and does no harm.
                    with suppress(OSError):
                        lock.unlink()
        except Timeout:
            raise Refused(f"Another command is writing to {self.folder}: wait for it, or name another file.") from None
        except OSError as error:
            raise Refused(f"The folder {self.folder.parent} can't be written ({error.strerror}).") from None

    def begin(self, description: dict[str, Any], resume: bool) -> set[int]:
        """Make the folder ready, and return the numbers of the parts that are there.

        Raises `Refused` where it holds something that was not asked for, or that is not of the same photos, classifier
        and threshold.
        """
        try:
            there = self.folder.iterdir() if self.folder.is_dir() else ()
            found = [path.name for path in there if not path.name.startswith(".")]
            if found:
                self.require_resumable(description, resume)
            else:
                self.folder.mkdir(parents=True, exist_ok=True)
                self.write_whole(self.folder / MANIFEST, json.dumps(description).encode())
        except Exception as error:  # Each kind of storage has errors of its own.
            if isinstance(error, Refused):
                raise
            raise Refused(f"The folder {self.folder} can't be used for answers ({reason_of(error)}).") from None
        numbers = (name.removeprefix("part-").partition(".") for name in found if name.startswith("part-"))
        return {int(number) for number, _, ending in numbers if ending == self.kind and number.isdecimal()}

    def require_resumable(self, description: dict[str, Any], resume: bool) -> None:
        """Raise `Refused` unless the parts that are there are to be added to, and can be."""
        manifest = self.folder / MANIFEST
        if not manifest.is_file():
            raise Refused(f"{self.folder} is there already and isn't an empty folder: choose a new or an empty one.")
        if not resume:
            raise Refused(
                f"{self.folder} holds answers of a command that was ended early: go on with --resume, or remove it."
            )
        try:
            before = json.loads(manifest.read_bytes())
        except ValueError:
            before = None
        if before != description:
            raise Refused(
                f"The answers in {self.folder} were begun with other photos, another classifier or another "
                "--unsure-below: remove that folder to start anew."
            )

    def path_of(self, number: int) -> Place:
        """The file of a part."""
        return self.folder / f"part-{number:08}.{self.kind}"

    def write(self, number: int, answers: Sequence[dict[str, Any]]) -> None:
        """Keep the answers to a part; raises `Failed` where they can't be."""
        path = self.path_of(number)
        try:
            self.write_whole(path, self.as_csv(answers) if self.kind == "csv" else self.as_parquet(answers))
        except Exception as error:
            raise Failed(f"{path} can't be written ({reason_of(error)}): make room, and go on with --resume.") from None

    def write_whole(self, path: Place, content: bytes) -> None:
        """Write a file whole or not at all; object storage never has half of one."""
        if isinstance(path, Path):
            with draft_of(path) as draft:
                draft.write_bytes(content)
        else:
            path.write_bytes(content)

    def as_csv(self, answers: Sequence[dict[str, Any]]) -> bytes:
        """The rows of the answers, without the head of the table."""
        text = io.StringIO()
        add = answers_writer(text, self.class_names)
        text.seek(0)
        text.truncate()
        for each in answers:
            add(each["path"], each["label"], each["verdict"], each["probabilities"], each["error"])
        return text.getvalue().encode(errors="surrogateescape")

    def as_parquet(self, answers: Sequence[dict[str, Any]]) -> bytes:
        """The answers as a Parquet file with the columns of the CSV file; what is missing is null."""
        import pyarrow
        import pyarrow.parquet

        columns = {}
        for name in ("path", "label", "verdict"):
            columns[name] = pyarrow.array([readable(each[name]) for each in answers], pyarrow.string())
        for name in self.class_names:
            rows = [each["probabilities"] and each["probabilities"][name] for each in answers]
            columns[f"probability_{name}"] = pyarrow.array(rows, pyarrow.float32())
        columns["error"] = pyarrow.array([readable(each["error"]) for each in answers], pyarrow.string())
        file = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns), file)
        return file.getvalue()

    def finish(self, count: int, csv_file: Path | None = None) -> Counter[str]:
        """Join the parts to the CSV file, or leave those of a Parquet table; how often each verdict was given.

        What has none is counted as the empty text.
        """
        paths = [self.path_of(number) for number in range(count)]
        if self.kind == "parquet":
            import pyarrow.parquet

            verdicts = Counter()
            for path in paths:
                with path.open("rb") as file:
                    column = pyarrow.parquet.read_table(file, columns=["verdict"])["verdict"]
                verdicts.update(verdict or "" for verdict in column.to_pylist())
            (self.folder / MANIFEST).unlink()
            return verdicts
        with draft_of(csv_file) as draft:
            with draft.open("w", newline="", encoding="utf-8") as file:
                answers_writer(file, self.class_names)
            with draft.open("ab") as file:
                for path in paths:
                    file.write(path.read_bytes())
            with draft.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
                verdicts = Counter(row["verdict"] for row in csv.DictReader(file))
        remove_folder(self.folder)
        return verdicts


def readable(text: str | None) -> str | None:
    """A text that Parquet can hold: what is no character in a name is written as its number."""
    return text and text.encode(errors="surrogateescape").decode(errors="backslashreplace")
