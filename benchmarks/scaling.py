"""How training grows with the number of photos: wall time, peak anonymous memory, and the disk taken in the cache."""

import io
import json
import shutil
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from measuring import (
    Measured,
    backbone_file,
    build_parser,
    print_machine,
    print_table,
    run_measured,
    say,
    write_figures,
)

# The quality at which a first altered copy is encoded, and by how much each further one's is lower.
FIRST_QUALITY, QUALITY_STEP, LOWEST_QUALITY = 92, 2, 30
SIZES = (500, 2000, 8000)


def parser() -> ArgumentParser:
    """The parser of the flags."""
    flags = build_parser(__doc__, backbone="starter", image_size=96)
    flags.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="Numbers of photos. Default: 500 2000 8000")
    flags.add_argument("--head-epochs", type=int, default=10, help="Of the head alone. Default: %(default)s")
    return flags


@dataclass(frozen=True)
class Grown:
    """What training on so many photos took."""

    photos: int
    seconds: float
    processor_seconds: float
    peak_bytes: int
    disk_bytes: int


def altered_copy(content: bytes, copy: int) -> bytes:
    """The photo as another JPEG file: a lower quality for each further copy, and one row of pixels a little lighter."""
    import numpy as np
    from PIL import Image

    from catdog.photos.reading import open_picture

    pixels = np.array(open_picture(content))
    row = pixels[(copy - 1) % len(pixels)]
    row[:] = np.minimum(row.astype(int) + 8, 255)
    quality = max(FIRST_QUALITY - QUALITY_STEP * (copy - 1), LOWEST_QUALITY)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def make_photo_set(photos: Path, folder: Path, size: int) -> None:
    """Fill a folder with so many photos, half or so of each class: the photos there are, then altered copies."""
    from catdog.photos.photo_sets import find_photo_set

    photo_set = find_photo_set(photos, 0)
    everything = [photo for split in photo_set.splits.values() for photo in split]
    class_count = len(photo_set.class_names)
    for label, name in enumerate(photo_set.class_names):
        (folder / name).mkdir(parents=True)
        originals = [photo.path for photo in everything if photo.label == label]
        for number in range(size // class_count + (label < size % class_count)):
            copy, place = divmod(number, len(originals))
            original = originals[place]
            target = folder / name / f"{number:06}{'.jpg' if copy else original.suffix}"
            if copy:
                target.write_bytes(altered_copy(original.read_bytes(), copy))
            else:
                shutil.copyfile(original, target)


def folder_bytes(folder: Path) -> int:
    """What the files below a folder hold."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def train(arguments: Namespace, photos: Path, epochs: tuple[int, int], folder: Path) -> tuple[Measured, int]:
    """Train with so many epochs of the head and of fine-tuning at conv4; what it took and kept in an empty cache."""
    cache = folder / "cache"
    command = [sys.executable, "-m", "catdog", "train", photos, "--out", folder / "run", "--json"]
    command += ["--backbone", backbone_file(arguments.backbone), "--image-size", arguments.image_size]
    command += ["--head-epochs", epochs[0], "--fine-tune-epochs", epochs[1], "--freeze-depth", "conv4"]
    measured = run_measured(command, {"CATDOG_CACHE": str(cache)})
    used = json.loads(measured.output)["photos"]
    if used["left_out"]:
        say(f"    {used['left_out']} photos could not be read and were left out.")
    return measured, folder_bytes(cache)


def measure(arguments: Namespace) -> dict[str, list[Grown]]:
    """Each kind of training at each number of photos."""
    kinds = {"head alone": (arguments.head_epochs, 0), "fine-tuning at conv4": (1, 1)}
    found: dict[str, list[Grown]] = {kind: [] for kind in kinds}
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            say(f"{size:,} photos: making them ...")
            photos = Path(folder) / "photos"
            make_photo_set(arguments.photos, photos, size)
            for number, (kind, epochs) in enumerate(kinds.items()):
                say(f"{size:,} photos: {kind} ...")
                own = Path(folder) / f"run-{number}"
                own.mkdir()
                measured, disk = train(arguments, photos, epochs, own)
                found[kind].append(Grown(size, measured.seconds, measured.processor_seconds, measured.peak_bytes, disk))
                shutil.rmtree(own)
    return found


def rows_of(kind: str, grown: Sequence[Grown]) -> list[list[str]]:
    """The lines of the table for one kind of training, each with its ratio to the smallest number of photos."""
    first = grown[0]
    return [
        [
            f"{kind}: {each.photos:,} photos",
            f"{each.seconds:,.1f} s",
            f"{each.seconds / first.seconds:.2f} x",
            f"{each.peak_bytes / 1e6:,.0f} MB",
            f"{each.peak_bytes / first.peak_bytes:.2f} x",
            f"{each.disk_bytes / 1e6:,.1f} MB",
            f"{each.disk_bytes / first.disk_bytes:.2f} x",
        ]
        for each in grown
    ]


def main() -> None:
    """Measure each number of photos, and print the table."""
    arguments = parser().parse_args()
    arguments.sizes = sorted(arguments.sizes)
    machine = print_machine()
    print(
        f"Backbone {arguments.backbone}, {arguments.image_size} pixels; the head alone for {arguments.head_epochs} "
        f"epochs, or 1 and then 1 of fine-tuning; nothing kept before; ratios to {arguments.sizes[0]:,} photos."
    )
    found = measure(arguments)
    rows = [row for kind, grown in found.items() for row in rows_of(kind, grown)]
    columns = ("what", "wall time", "ratio", "peak anonymous memory", "ratio", "disk in the cache", "ratio")
    print_table("How training grows with the photos", columns, rows)
    kinds = {kind: [asdict(each) for each in grown] for kind, grown in found.items()}
    settings = {
        "backbone": arguments.backbone,
        "image_size": arguments.image_size,
        "head_epochs": arguments.head_epochs,
    }
    write_figures(arguments.json, {"machine": machine, "settings": settings, "kinds": kinds})


if __name__ == "__main__":
    main()
