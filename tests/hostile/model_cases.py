"""Files of classifiers that are none, or that would do or cost more than one, and what is said of each."""

import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
from helpers.made_models import (
    PLAN,
    WEIGHTS,
    layer_of,
    members,
    small_network,
    unwritten_array,
    with_plan,
    with_weights,
    write_members,
    write_small,
)

from catdog.errors import Refused
from catdog.inspection.model_files import MAX_BYTES, check_model_file
from hostile.reliability import Case, try_all

Writer = Callable[[dict[str, Path], Path], object]
SMALL = 64  # MiB
OWN_LAYERS = "layers of Keras's own that classifiers have"
OWN_MEMBERS = "four members"
WAY_OUT = ": choose a .keras or .h5 file that this program wrote."


def made(write: Writer, ending: str = "keras") -> Callable[[], Path]:
    """What makes a file by changing one of a small classifier's, which are in both formats."""

    def make() -> Path:
        folder = Path(tempfile.mkdtemp(dir="."))
        path = folder / f"model.{ending}"
        write(write_small(folder), path)
        return path

    return make


def with_lambda(_: dict[str, Path], path: Path) -> None:
    """A layer that is a function of Python's."""
    image = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda x: x * 2)(image))
    keras.Model(image, keras.layers.Dense(2)(x)).save(path)


@keras.saving.register_keras_serializable(package="mine")
class Twice(keras.layers.Layer):
    """A layer that Keras doesn't have."""

    def call(self, x):
        """Twice what comes in."""
        return x * 2


def with_foreign_class(_: dict[str, Path], path: Path) -> None:
    """A layer of a class that somebody else wrote."""
    image = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(Twice()(image))
    keras.Model(image, keras.layers.Dense(2)(x)).save(path)


def nested(_: dict[str, Path], path: Path) -> None:
    """A network as a layer of a network."""
    image = keras.Input((64, 64, 3))
    keras.Model(image, small_network()(image)).save(path)


def changed_layer(name: str, **changes: str) -> Writer:
    """A small classifier with a layer that is said to be another."""
    return lambda small, path: with_plan(small, "keras", lambda plan: layer_of(plan, name).update(changes), path)


def many_outputs(small: dict[str, Path], path: Path) -> None:
    """A last layer that would take more memory than there is."""
    with_plan(small, "keras", lambda plan: layer_of(plan, "logits")["config"].update(units=10**9), path)


def added_member(name: str) -> Writer:
    """A small classifier with one more thing in the archive."""
    return lambda small, path: write_members(path, members(small["keras"]) | {name: b"x"})


def content(data: bytes) -> Writer:
    """A file of these bytes."""
    return lambda small, path: path.write_bytes(data)


def renamed_zip(_: dict[str, Path], path: Path) -> None:
    """A zip archive of photos."""
    write_members(path, {"cats/1.jpg": b"no photo"})


def cut_off(small: dict[str, Path], path: Path) -> None:
    """The first half of a classifier's file."""
    whole = small[path.suffix[1:]].read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def linked_outside(small: dict[str, Path], path: Path) -> None:
    """Weights that lie in another file of the computer."""

    def change(file: h5py.File) -> None:
        del file["model_weights"]["logits"]
        file["model_weights"]["logits"] = h5py.ExternalLink("/etc/passwd", "/")

    with_weights(small, "h5", change, path)


def too_large(small: dict[str, Path], path: Path) -> None:
    """More than a classifier may have, of which nothing was written."""
    with path.open("wb") as file:
        file.write(b"\x89HDF\r\n\x1a\n")
        file.truncate(MAX_BYTES + 1_000_000)


def weights_bomb(small: dict[str, Path], path: Path) -> None:
    """Weights of 290 MB of zeros, packed."""
    write_members(path, members(small["keras"]) | {WEIGHTS: bytes(290_000_000)}, zipfile.ZIP_DEFLATED)


def plan_bomb(small: dict[str, Path], path: Path) -> None:
    """A plan of 200 MB of spaces, packed."""
    write_members(path, members(small["keras"]) | {PLAN: b" " * 200_000_000}, zipfile.ZIP_DEFLATED)


def million_members(small: dict[str, Path], path: Path) -> None:
    """An archive that says it has a million members."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 4) + bytes(16) + b"name"
    table = entry * 1_000_000
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 65535, 65535, len(table), 4, 0)
    path.write_bytes(b"PK\x03\x04" + table + end)


def long_names(small: dict[str, Path], path: Path) -> None:
    """A thousand attributes' texts that are one text of a megabyte in the file, pointed at a thousand times."""
    name = b"n" * 1_000_000

    def change(file: h5py.File) -> None:
        group = file["model_weights"]
        del group.attrs["layer_names"]
        group.attrs["layer_names"] = np.array([name] + [b"short"] * 999, dtype=h5py.string_dtype())

    with_weights(small, "h5", change, path)
    content = path.read_bytes()
    # Where a text lies: its length, the address of its heap, its number there.
    heap = content.rindex(b"GCOL", 0, content.index(name))
    pointer = struct.pack("<IQ", len(name), heap)
    at = content.index(pointer)
    path.write_bytes(content[:at] + content[at : at + 16] * 1_000 + content[at + 16_000 :])


def unwritten(small: dict[str, Path], path: Path) -> None:
    """An array of 40 GB of which nothing was written."""
    with_weights(small, "h5", unwritten_array, path)


def flat_json(small: dict[str, Path], path: Path) -> None:
    """A plan that is a list of 660,000 lists."""
    write_members(path, members(small["keras"]) | {PLAN: b"[" + b"[]," * 660_000 + b"1]"})


def attempt(path: Path) -> str:
    """What is said of a file, without its name and the usual way out; it and what is beside it are gone afterwards."""
    beside = sorted(path.parent.iterdir())
    try:
        check_model_file(path)
    except Refused as error:
        return str(error).replace(str(path), "...").removeprefix("... ").removesuffix(WAY_OUT).removesuffix(WAY_OUT)
    finally:
        assert sorted(path.parent.iterdir()) == beside
        shutil.rmtree(path.parent)
    return "it is let through"


CASES = [
    Case(
        "a .keras with a Lambda",
        OWN_LAYERS,
        "has a layer of the kind 'Lambda', which no classifier of this program has",
        made(with_lambda),
        SMALL,
    ),
    Case(
        "a .h5 with a Lambda",
        OWN_LAYERS,
        "has a layer of the kind 'Lambda', which no classifier of this program has",
        made(with_lambda, "h5"),
        SMALL,
    ),
    Case(
        "a .keras with a class of somebody else's",
        OWN_LAYERS,
        "has a layer of the kind 'Twice', which no classifier of this program has",
        made(with_foreign_class),
        SMALL,
    ),
    Case(
        "a .h5 with a class of somebody else's",
        OWN_LAYERS,
        "has a layer of the kind 'mine>Twice', which no classifier of this program has",
        made(with_foreign_class, "h5"),
        SMALL,
    ),
    Case(
        "a layer out of Python's module os",
        OWN_LAYERS,
        "has a layer of the kind Add that is not Keras's own but 'os'",
        made(changed_layer("sum", module="os")),
        SMALL,
    ),
    Case(
        "a layer with a billion outputs",
        "",
        "has a layer logits with 1000000000 for 'units', which is not allowed",
        made(many_outputs),
        SMALL,
    ),
    Case(
        "a layer whose kind is markup",
        OWN_LAYERS,
        "has a layer of the kind '\\n<b>', which no classifier of this program has",
        made(changed_layer("activation", class_name="\n<b>")),
        SMALL,
    ),
    Case(
        "a network within a network",
        "",
        "has a network that doesn't lead from one input to one output",
        made(nested),
        SMALL,
    ),
    Case(
        "a zip of something else, named .keras",
        OWN_MEMBERS,
        "holds 'cats/1.jpg', which no classifier of this program does",
        made(renamed_zip),
        SMALL,
    ),
    Case(
        "a member ../config.json in a .keras",
        OWN_MEMBERS,
        "holds '../config.json', which no classifier of this program does",
        made(added_member("../config.json")),
        SMALL,
    ),
    Case(
        "a member /etc/passwd in a .keras",
        OWN_MEMBERS,
        "holds '/etc/passwd', which no classifier of this program does",
        made(added_member("/etc/passwd")),
        SMALL,
    ),
    Case(
        "a text, named .keras",
        "",
        "is neither a .keras nor a .h5 file, whatever its name says",
        made(content(b"Not a model.")),
        SMALL,
    ),
    Case(
        "nothing, named .h5",
        "",
        "is neither a .keras nor a .h5 file, whatever its name says",
        made(content(b""), "h5"),
        SMALL,
    ),
    Case(
        "a .keras that is cut off",
        "",
        "is no .keras file, or a damaged one: copy or download it again.",
        made(cut_off),
        SMALL,
    ),
    Case(
        "a .h5 that is cut off",
        "",
        "is no .h5 file, or a damaged one: copy or download it again.",
        made(cut_off, "h5"),
        SMALL,
    ),
    Case(
        "a .h5 whose weights are a link to /etc/passwd",
        "",
        "holds a link that leads elsewhere, 'logits'",
        made(linked_outside, "h5"),
        SMALL,
    ),
    Case(
        "a .h5 of more than 300 MB",
        "300 MB",
        "has 301 MB, and a classifier may have 300 MB",
        made(too_large, "h5"),
        SMALL,
    ),
    Case(
        "a .keras with weights of 290 MB of zeros",
        "",
        "holds a model.weights.h5 that unpacks to 290 MB, which is too much",
        made(weights_bomb),
        SMALL,
    ),
    Case(
        "a .keras with a plan of 200 MB of spaces",
        "",
        "holds a config.json that unpacks to 200 MB, which is too much",
        made(plan_bomb),
        SMALL,
    ),
    Case(
        "a .keras with a plan of 660,000 lists",
        "",
        "holds a network of the kind None, which no classifier of this program is",
        made(flat_json),
        SMALL,
    ),
    Case(
        "a .keras that says it has a million members",
        OWN_MEMBERS,
        "takes more reading to be understood than any file of this program",
        made(million_members),
        SMALL,
    ),
    Case(
        "a .h5 with a thousand texts that are one text of a megabyte",
        "",
        "takes more reading to be understood than any file of this program",
        made(long_names, "h5"),
        SMALL,
    ),
    Case(
        "a .h5 with an array of 40 GB, of which nothing was written",
        "",
        "declares an array of 40,000 MB that isn't in it, '/other'",
        made(unwritten, "h5"),
        SMALL,
    ),
]

if __name__ == "__main__":
    try_all(CASES, attempt)
