"""A classifier's file that comes from elsewhere, looked through before anything loads it, at a bounded cost.

A `.keras` file may hold four members of limited size and a network of the layers in `layer_costs`; an HDF5 file
may hold nothing but groups and plain arrays that lie in it whole. Nothing is loaded, no TensorFlow needed.

What this does not guard against: a fault in zlib, HDF5, Keras or TensorFlow themselves that a file of this form
triggers (`load_model` is no sandbox, and neither is this), and a classifier that is well formed and answers wrongly.
Whoever opens files of strangers opens them first as `model_trial` does. What lies in a run's folder isn't
looked through: it is taken for this program's own work.
"""

import io
import json
import math
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from catdog.errors import Refused
from catdog.files.json_files import found_in
from catdog.inspection.layer_costs import Unfit, shown
from catdog.inspection.network_plans import MOST_LAYERS, Cost, check_plan
from catdog.runs.run_folder import INFO_FILE
from catdog.settings import SETTINGS

# A classifier on ResNet-50 has 95 MB and a plan of 0.17 MB, one on ResNet-152 235 MB and 0.5 MB.
MAX_BYTES = 300_000_000
PLAN_BYTES = 2_000_000
INFO_BYTES = 1_000_000
PLAN_FILE, WEIGHTS_FILE = "config.json", "model.weights.h5"
MEMBERS = {"metadata.json": 10_000, PLAN_FILE: PLAN_BYTES, WEIGHTS_FILE: MAX_BYTES, INFO_FILE: INFO_BYTES}
PLAN_ATTRIBUTE = "model_config"
# Weights hardly shrink: those of ResNet-50 by a tenth.
MAX_RATIO = 20
FREE_BYTES = 1_000_000  # what any member may unpack to, however small it is
ENCRYPTED = 0x1 | 0x40 | 0x2000  # flag bits: encrypted, strongly encrypted, names encrypted
# What HDF5 may read at once, and in all, to tell what is in a file: for ResNet-50 that is 0.006 and 0.9 MB.
PIECE_BYTES = 1 << 16
HEADER_BYTES = 20_000_000
MOST_OBJECTS = 20_000  # groups and arrays, of which ResNet-50 has 690
MOST_DEPTH = 10
MOST_ATTRIBUTES = 16  # of one object
NAMES_BYTES = 4_000_000  # of all attributes that aren't the plan's and the description's
CHUNK_BYTES = 1 << 20
NUMBERS = "fiu"  # kinds of NumPy types
DAMAGED = "copy or download it again"


def check_model_file(path: Path) -> Cost:
    """What the classifier in a `.keras` or `.h5` file would cost to run.

    Raises `Refused`, with the name and a way out, where the file isn't one that this program could have written.
    """
    try:
        with damage("can't be read"):
            if not stat.S_ISREG(path.stat().st_mode):
                raise Unfit("is not a file")
            file = path.open("rb")
        with file:
            return check_content(file, path.suffix)
    except Unfit as error:
        raise Refused(f"{path} {error}: {error.way_out}.") from None


@contextmanager
def damage(problem: str) -> Iterator[None]:
    """Turns what zipfile, h5py and json raise on what isn't theirs, or not whole, into `Unfit` with these words."""
    try:
        yield
    except Unfit:
        raise
    except MemoryError:
        raise Unfit("takes more memory than there is to look it through", "close other programs first") from None
    except Exception as error:
        reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise Unfit(f"{problem}{reason}", DAMAGED) from error


def check_content(file: BinaryIO, ending: str) -> Cost:
    """The same for an open file, whose kind its content tells; raises `Unfit`."""
    size = file.seek(0, io.SEEK_END)
    if size > MAX_BYTES:
        raise Unfit(f"has {size / 1e6:,.0f} MB, and a classifier may have {MAX_BYTES / 1e6:,.0f} MB")
    file.seek(0)
    start = file.read(8)
    kind = ".keras" if start.startswith(b"PK\x03\x04") else ".h5" if start == b"\x89HDF\r\n\x1a\n" else None
    if kind is None:
        raise Unfit("is neither a .keras nor a .h5 file, whatever its name says")
    if kind != ending:
        raise Unfit(f"holds what belongs into a {kind} file", f"let its name end in {kind}")
    return check_keras(file) if kind == ".keras" else check_h5(file)


class Metered(io.RawIOBase):
    """A file of which no more than so many bytes are read at once, and so many in all; raises `Unfit` beyond that."""

    def __init__(self, file: BinaryIO, at_once: int, in_all: int):
        self.file = file
        self.at_once = at_once
        self.left = in_all

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def readinto(self, buffer: memoryview) -> int:
        self.left -= len(buffer)
        if len(buffer) > self.at_once or self.left < 0:
            raise Unfit("takes more reading to be understood than any file of this program")
        return self.file.readinto(buffer)


def check_keras(file: BinaryIO) -> Cost:
    """What the classifier in an open `.keras` file costs; raises `Unfit`."""
    with damage("is no .keras file, or a damaged one"):
        # The table of contents is read at once, and made into objects, whatever its length.
        metered = Metered(file, PIECE_BYTES, 4 * PIECE_BYTES)
        with zipfile.ZipFile(metered) as archive:
            metered.at_once = metered.left = 2 * MAX_BYTES
            check_members(archive.infolist())
            plan = json.loads(unpacked(archive, PLAN_FILE).getvalue())
            info = json.loads(unpacked(archive, INFO_FILE).getvalue()) if INFO_FILE in archive.namelist() else {}
            cost = check_plan(plan, image_size_of(info))
            weights = Metered(unpacked(archive, WEIGHTS_FILE), PIECE_BYTES, HEADER_BYTES)
        with h5py.File(weights, "r") as content:
            check_objects(content)
    return cost


def check_members(entries: list[zipfile.ZipInfo]) -> None:
    """Raises `Unfit` unless a `.keras` file's members are those that it must have, and of a size that they may have."""
    names = [entry.orig_filename for entry in entries]
    for entry, name in zip(entries, names, strict=True):
        if name not in MEMBERS:
            raise Unfit(f"holds {shown(name)}, which no classifier of this program does")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            raise Unfit(f"holds a link in the place of {name}")
        if entry.flag_bits & ENCRYPTED:
            raise Unfit("is locked with a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Unfit("is compressed in an unusual way")  # and zipfile unpacks the others without bounds
        too_dense = entry.file_size > max(FREE_BYTES, MAX_RATIO * entry.compress_size)
        if entry.file_size > MEMBERS[name] or too_dense:
            raise Unfit(f"holds a {name} that unpacks to {entry.file_size / 1e6:,.0f} MB, which is too much")
    if len(set(names)) < len(names):
        raise Unfit("holds two things of the same name")
    missing = [name for name in (PLAN_FILE, WEIGHTS_FILE) if name not in names]
    if missing:
        raise Unfit(f"is a zip archive without {missing[0]}, and so no classifier")


def unpacked(archive: zipfile.ZipFile, name: str) -> io.BytesIO:
    """A member's content, read no further than its limit."""
    content = io.BytesIO()
    with archive.open(name) as member:
        while chunk := member.read(CHUNK_BYTES):
            content.write(chunk)
            if content.tell() > MEMBERS[name]:
                raise Unfit(f"holds a {name} that unpacks to more than it says")
    return content


def image_size_of(info: Any) -> int | None:
    """The image size that a classifier's description tells; None where it tells none that is possible."""
    size = found_in(info, "image_size", kind=int) if isinstance(info, dict) else None
    bounds = SETTINGS["image_size"].metadata
    return size if size is not None and bounds["low"] <= size <= bounds["high"] else None


def check_h5(file: BinaryIO) -> Cost:
    """What the classifier in an open `.h5` file costs; raises `Unfit`."""
    with damage("is no .h5 file, or a damaged one"):
        metered = Metered(file, PIECE_BYTES, HEADER_BYTES)
        with h5py.File(metered, "r") as content:
            check_objects(content, apart=(PLAN_ATTRIBUTE, INFO_FILE))
            # Last, for a long text that had been read before would be at hand for a thousand attributes to share.
            metered.at_once = 2 * PLAN_BYTES
            if PLAN_ATTRIBUTE not in content.attrs:
                raise Unfit("holds weights without the network that they belong to")
            plan = json.loads(read_text(content, PLAN_ATTRIBUTE, PLAN_BYTES))
            if not isinstance(plan, dict) or plan.keys() != {"class_name", "config"}:
                raise Unfit("describes its network in an unknown way")
            info = json.loads(read_text(content, INFO_FILE, INFO_BYTES)) if INFO_FILE in content.attrs else {}
            return check_plan(plan, image_size_of(info))


def check_objects(root: h5py.Group, apart: tuple[str, ...] = ()) -> None:
    """Raises `Unfit` unless an HDF5 file holds only groups and plain arrays that lie in it, of a bounded size in all.

    The root's attributes that are to be looked at apart are left out.
    """
    waiting: list[tuple[Any, int]] = [(root, 0)]
    seen = set()
    weights = names = 0
    while waiting:
        thing, depth = waiting.pop()
        address = h5py.h5o.get_info(thing.id).addr
        if address in seen:
            raise Unfit("holds a group or an array that goes by two names")
        seen.add(address)
        names += attribute_bytes(thing, () if depth else apart)
        if isinstance(thing, h5py.Dataset):
            weights += array_bytes(thing)
        elif isinstance(thing, h5py.Group):
            if depth > MOST_DEPTH or len(seen) + len(waiting) + len(thing) > MOST_OBJECTS:
                raise Unfit(f"holds more than {MOST_OBJECTS:,} groups and arrays, or groups too deep in each other")
            for name in thing:
                if thing.get(name, getclass=True, getlink=True) is not h5py.HardLink:
                    raise Unfit(f"holds a link that leads elsewhere, {shown(name)}")
                waiting.append((thing[name], depth + 1))
        else:
            raise Unfit("holds something that is neither a group nor an array")
        if weights > MAX_BYTES:
            raise Unfit(f"holds arrays of more than {MAX_BYTES / 1e6:,.0f} MB")
        if names > NAMES_BYTES:
            raise Unfit(f"holds names of more than {NAMES_BYTES / 1e6:,.0f} MB")


def array_bytes(array: h5py.Dataset) -> int:
    """What an array takes in memory; raises `Unfit` where it isn't made of numbers that lie in the file as they are."""
    name = shown(array.name)
    if array.is_virtual or array.external:
        raise Unfit(f"holds an array whose numbers lie in another file, {name}")
    if array.shape is None or array.dtype.kind not in NUMBERS:
        raise Unfit(f"holds something else than numbers, {name}")
    if array.chunks is not None or array.id.get_create_plist().get_nfilters():
        raise Unfit(f"holds a compressed array, {name}")
    # One that was declared but never written takes no room in the file, and all that it declares in memory.
    # (`nbytes` would be reckoned in 64 bits.)
    size = math.prod(array.shape) * array.dtype.itemsize
    if array.id.get_storage_size() != size:
        raise Unfit(f"declares an array of {size / 1e6:,.0f} MB that isn't in it, {name}")
    return size


def attribute_bytes(thing: Any, apart: tuple[str, ...]) -> int:
    """What the attributes of an object take in memory, but for those apart; raises `Unfit` where they are too many."""
    if h5py.h5a.get_num_attrs(thing.id) > MOST_ATTRIBUTES:
        raise Unfit(f"holds an object with more than {MOST_ATTRIBUTES} attributes, {shown(thing.name)}")
    total = 0
    for key in thing.attrs:
        if key in apart:
            continue
        about = thing.attrs.get_id(key)
        length = math.prod(about.shape)
        if len(about.shape) > 1 or length > MOST_LAYERS or length * about.dtype.itemsize > PIECE_BYTES:
            raise Unfit(f"holds an attribute that is too large, {shown(key)}")
        text = h5py.check_string_dtype(about.dtype)
        if text is None and about.dtype.kind not in NUMBERS:
            raise Unfit(f"holds an attribute that is neither text nor numbers, {shown(key)}")
        value = thing.attrs[key]
        # Each of a thousand texts may be the same long one in the file, but is another in memory.
        texts = [value] if about.shape == () else value
        total += sum(map(len, texts)) if text else length * about.dtype.itemsize
    return total


def read_text(content: h5py.File, key: str, most: int) -> str:
    """A text that an HDF5 file has as an attribute; raises `Unfit` where it is something else or too long."""
    about = content.attrs.get_id(key)
    text = h5py.check_string_dtype(about.dtype)
    if text is None or about.shape != () or about.dtype.itemsize > most:
        raise Unfit(f"has a {key} that is no text, or too long a one")
    value = content.attrs[key]
    if len(value) > most:
        raise Unfit(f"has a {key} of {len(value) / 1e6:,.0f} MB, which is too long")
    return value if isinstance(value, str) else value.decode("utf-8")
