"""Folders and files that are not what they seem, or change while they are read, and what is said of each."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from helpers.pictures import PHOTO, draw_noise, encoded, place

from catdog.errors import Refused
from catdog.files.folders import allowed_folder, find_link_out
from catdog.photos import reading
from catdog.photos.photo_sets import MAX_DEPTH, find_photo_set
from catdog.photos.reading import UnreadablePhoto, read_photo
from hostile.reliability import Case

NO_LINK = "no link that leads out"
REGULAR = "files alone"
NO_FILE = "it is not a file"
NOBODY = 65534  # the user's number on all systems that have one


def said_of_photo(path: Path) -> str:
    """What is said of a photo's file."""
    try:
        read_photo(path, 32)
    except UnreadablePhoto as error:
        return str(error)
    return "read as it is"


def said_of_folder(folder: Path) -> str:
    """What is said of a folder of photos, with its place left out, or how many photos were found in it."""
    try:
        return f"{len(find_photo_set(folder).paths())} photos are found"
    except Refused as error:
        return str(error).replace(str(folder.parent), "...")


def photo_set(folder: Path) -> Path:
    """A folder of two classes of two photos each."""
    place(folder / "photos", "cats/1.png", "cats/2.png", "dogs/1.png", "dogs/2.png")
    return folder / "photos"


def with_link(name: str, target: str) -> Callable[[Path], str]:
    """What is said of a set of photos in which a link leads to a path."""

    def make(folder: Path) -> str:
        (photo_set(folder) / name).symlink_to(target)
        return said_of_folder(folder / "photos")

    return make


def link_out(*links: tuple[str, str], closed: str = "photos/a") -> Callable[[Path], str]:
    """What the page says of photos with such links, where it may read one folder alone, which has two sets in it.

    A folder is closed to all but root.
    """

    def make(folder: Path) -> str:
        allowed = photo_set(folder / "allowed")
        place(folder, "allowed/other/cats/1.png", "secret/cats/1.png")
        for name, target in links:
            (folder / "allowed" / name).symlink_to(target)
        (folder / "allowed" / closed).mkdir(mode=0)
        with mock.patch.dict(os.environ, {"CATDOG_FOLDERS": str(folder / "allowed")}):
            found = find_link_out(allowed)
        (folder / "allowed" / closed).chmod(0o700)
        return f"{found.name} is refused, as a link that leads out" if found else "its photos are found"

    return make


def path_out(text: str) -> Callable[[Path], str]:
    """What the page says of a folder that a visitor typed."""

    def make(folder: Path) -> str:
        with mock.patch.dict(os.environ, {"CATDOG_FOLDERS": str(folder)}):
            try:
                allowed_folder(text)
            except Refused as error:
                return str(error).replace(str(folder), "...")
        return "it is read"

    return make


def special(make_file: Callable[[Path], object]) -> Callable[[Path], str]:
    """What is said of something that isn't a file, under the name of a photo."""

    def make(folder: Path) -> str:
        make_file(folder / "x.jpg")
        return said_of_photo(folder / "x.jpg")

    return make


@contextlib.contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder, and as far as it can be had a user, for whom files can be closed: root reads everything."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def without_permission(name: str) -> Callable[[Path], str]:
    """What is said of a set of photos in which one file or folder is closed."""

    def make(_: Path) -> str:
        with as_nobody() as folder:
            closed = photo_set(folder) / name
            is_folder = closed.is_dir()
            mode = closed.stat().st_mode
            closed.chmod(0)
            try:
                with other_user():
                    return said_of_folder(folder / "photos") if is_folder else said_of_photo(closed)
            finally:
                closed.chmod(stat.S_IMODE(mode))

    return make


@contextlib.contextmanager
def other_user() -> Iterator[None]:
    """Be nobody for a while, if this is root."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def changed_meanwhile(moment: str, change: Callable[[Path], object]) -> Callable[[Path], str]:
    """What is said of a photo that becomes something else just before the reader's call of that name in `os`."""

    def make(folder: Path) -> str:
        path = folder / "x.png"
        path.write_bytes(encoded(draw_noise(64, 48), "PNG"))
        call = getattr(os, moment)

        def late(*arguments: object) -> object:
            found = call(*arguments) if moment == "fstat" else None
            change(path)
            return found if moment == "fstat" else call(*arguments)

        with mock.patch.object(reading.os, moment, late):
            return said_of_photo(path)

    return make


def become_pipe(path: Path) -> None:
    """Put a named pipe in a file's place."""
    path.unlink()
    os.mkfifo(path)


def grow(path: Path) -> None:
    """Make a file larger."""
    with path.open("ab") as file:
        file.write(bytes(10_000_000))


def deep(folder: Path) -> str:
    """What is said of folders far below one another."""
    place(photo_set(folder), f"cats/{'x/' * (MAX_DEPTH + 1)}3.png")
    return said_of_folder(folder / "photos")


def odd_class(name: bytes) -> Callable[[Path], str]:
    """What is said of a class of that name."""

    def make(folder: Path) -> str:
        place(photo_set(folder), os.fsdecode(b"%s/1.png" % name))
        return said_of_folder(folder / "photos")

    return make


def odd_photo(folder: Path) -> str:
    """What is said of a photo whose name is no UTF-8."""
    place(photo_set(folder), os.fsdecode(b"cats/\xff.png"))
    return said_of_folder(folder / "photos")


FOUR = "4 photos are found"
CASES = [
    Case("a link that leads back to its own folder", "not followed below a class", FOUR, with_link("cats/loop", "..")),
    Case("a class's folder that is a link to itself", "", FOUR, with_link("loop", "loop")),
    Case(
        "a link out of the folders that the page may read",
        NO_LINK,
        "x.png is refused, as a link that leads out",
        link_out(("photos/cats/x.png", "../../../secret/cats/1.png")),
    ),
    Case(
        "a class that is such a link",
        NO_LINK,
        "birds is refused, as a link that leads out",
        link_out(("photos/birds", "../../secret/cats")),
    ),
    Case(
        "such a link behind one that stays inside",
        NO_LINK,
        "x.png is refused, as a link that leads out",
        link_out(("photos/birds", "../other/cats"), ("other/cats/x.png", "../../../secret/cats/1.png")),
    ),
    Case(
        "links that lead round in a circle inside",
        "each folder once",
        "its photos are found",
        link_out(("photos/birds", "../other"), ("other/back", "../photos"), ("other/self", ".")),
    ),
    Case(
        "a link out, beside a folder without permission",
        NO_LINK,
        "x.png is refused, as a link that leads out",
        link_out(("photos/cats/x.png", "../../../secret/cats/1.png"), closed="photos/birds"),
    ),
    Case(
        "a path out, typed on the page",
        "the folders that CATDOG_FOLDERS names",
        "../../etc is not below ..., where this app may read: put the photos there.",
        path_out("../../etc"),
    ),
    Case(
        "a path with a zero in it, typed on the page",
        "",
        "cats\\x00 is not below ..., where this app may read: put the photos there.",
        path_out("cats\0"),
    ),
    Case("a named pipe, named .jpg", REGULAR, NO_FILE, special(os.mkfifo)),
    Case("a link to /dev/zero, named .jpg", REGULAR, NO_FILE, special(lambda path: path.symlink_to("/dev/zero"))),
    Case("a folder, named .jpg", REGULAR, NO_FILE, special(os.mkdir)),
    Case("a link to itself, named .jpg", "", "there is no such file", special(lambda path: path.symlink_to(path))),
    Case(
        "a photo without permission",
        "",
        "the file can't be opened (Permission denied)",
        without_permission("cats/1.png"),
    ),
    Case(
        "a folder without permission",
        "",
        "The folder .../photos/cats can't be read (Permission denied).",
        without_permission("cats"),
    ),
    Case(
        "a photo that vanishes before it is opened",
        "",
        "the file can't be opened (No such file or directory)",
        changed_meanwhile("open", Path.unlink),
    ),
    Case("a photo that is a pipe when it is opened", REGULAR, NO_FILE, changed_meanwhile("open", become_pipe)),
    Case(
        "a photo that shrinks while it is read",
        "",
        "the file is cut off or damaged",
        changed_meanwhile("fstat", lambda path: os.truncate(path, 1_000)),
    ),
    Case(
        "a photo that grows while it is read", "its size when opened", "read as it is", changed_meanwhile("fstat", grow)
    ),
    Case("a photo that vanishes while it is read", "", "read as it is", changed_meanwhile("fstat", Path.unlink)),
    Case(
        f"a photo {MAX_DEPTH + 2} folders deep",
        f"{MAX_DEPTH} folders",
        f"The folders in .../photos/cats are more than {MAX_DEPTH} deep: move the photos further up.",
        deep,
    ),
    Case(
        "a class whose name has a line break",
        "",
        "The folder bi\\nrds in .../photos has a name that can't be shown as it is: rename it.",
        odd_class(b"bi\nrds"),
    ),
    Case(
        "a class whose name is no UTF-8",
        "",
        "The folder caf\\udce9 in .../photos has a name that can't be shown as it is: rename it.",
        odd_class(b"caf\xe9"),
    ),
    Case("a photo whose name is no UTF-8", "", "5 photos are found", odd_photo),
    Case(
        "a file in the place of the folder",
        "",
        ".../photos is a file, not a folder of photos.",
        lambda folder: (place(folder, "photos", content=PHOTO), said_of_folder(folder / "photos"))[1],
    ),
]
