"""Photos a second of each part of the work: decoding, the network, both together, and one photo as a person waits."""

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measuring import (
    alternate,
    backbone_file,
    build_parser,
    count_flops,
    paired_ratio,
    print_machine,
    print_table,
    say,
    write_figures,
)

SEVERAL = 64  # photos that somebody classifies at once
COLUMNS = ("what", "median", "ratio", "of what")


def parser() -> ArgumentParser:
    """The parser of the flags."""
    flags = build_parser(__doc__, backbone="imagenet")
    flags.add_argument(
        "--count", type=int, default=256, help="Photos for decoding and extraction. Default: %(default)s"
    )
    flags.add_argument("--repetitions", type=int, default=5, help="Of each part, in turn. Default: %(default)s")
    flags.add_argument("--matrix-size", type=int, default=4096, help="Rows of the product. Default: %(default)s")
    return flags


@dataclass(frozen=True)
class Setup:
    """What is measured: the trunk, the whole classifier, and photos as paths, bytes and pixels."""

    trunk: Any
    classifier: Any
    backbone_digest: str
    photos: list[Any]
    contents: list[bytes]
    pixels: np.ndarray
    repetitions: int
    matrix_size: int


def prepare(arguments: Namespace) -> Setup:
    """Load the network and read the photos."""
    import keras

    from catdog.classifier.building import build_classifier
    from catdog.classifier.prediction import Classifier
    from catdog.network.backbone import load_backbone
    from catdog.photos.photo_sets import find_photo_set
    from catdog.photos.reading import read_ahead

    backbone = load_backbone(str(backbone_file(arguments.backbone)))
    model = build_classifier(backbone.model, 2)
    photo_set = find_photo_set(str(arguments.photos), 0)
    photos = [photo for split in photo_set.splits.values() for photo in split][: arguments.count]
    read = list(read_ahead((photo.path for photo in photos), arguments.image_size))
    pairs = [(photo, each.pixels) for photo, each in zip(photos, read, strict=True) if each.pixels is not None]
    return Setup(
        keras.Model(model.inputs[0], model.get_layer("pooled").output),
        Classifier(model, {"class_names": ("cats", "dogs"), "image_size": arguments.image_size}),
        backbone.digest,
        [photo for photo, _ in pairs],
        [photo.path.read_bytes() for photo, _ in pairs[:SEVERAL]],
        np.stack([pixels for _, pixels in pairs]),
        arguments.repetitions,
        arguments.matrix_size,
    )


def batches_of(pixels: np.ndarray) -> list[np.ndarray]:
    """The photos in the batches in which they go through the network."""
    from catdog.network.activations import NETWORK_BATCH

    return [pixels[start : start + NETWORK_BATCH] for start in range(0, len(pixels), NETWORK_BATCH)]


def run_through(run: Callable, pixels: np.ndarray) -> None:
    """Take photos through a compiled network, and wait for what it puts out."""
    for batch in batches_of(pixels):
        for output in run(batch):
            output.numpy()


def matrix_product(size: int, dtype: str) -> Callable[[], None]:
    """What multiplies two square matrices of that size once, on as many cores as the network runs on."""
    import tensorflow as tf

    left, right = (tf.cast(tf.random.stateless_uniform((size, size), (number, 0)), dtype) for number in (1, 2))
    # One number out, so that the copy of the product does not count.
    product = tf.function(lambda: tf.matmul(left, right)[0, 0])
    return lambda: product().numpy()


def measure_trunk(setup: Setup, dtype: str) -> tuple[list[list[str]], dict[str, float]]:
    """The trunk on one full batch in memory against the rate at which this machine multiplies matrices."""
    from catdog.network.activations import NETWORK_BATCH, compiled

    batch = batches_of(setup.pixels)[0]
    if len(batch) < NETWORK_BATCH:
        raise SystemExit(f"A full batch needs {NETWORK_BATCH} photos, and there are {len(batch)}.")
    image_size, size = batch.shape[1], setup.matrix_size
    run = compiled(setup.trunk)
    seconds = alternate(
        {"product": matrix_product(size, dtype), "trunk": lambda: run_through(run, batch)}, setup.repetitions
    )
    flops = count_flops(setup.trunk, image_size)
    matrix_rate = [2 * size**3 / each for each in seconds["product"]]
    network_rate = [len(batch) / each for each in seconds["trunk"]]
    limits = [each / flops for each in matrix_rate]
    share = paired_ratio(network_rate, limits)
    rows = [
        [f"matrix product, {dtype}, {size} rows", f"{median(matrix_rate) / 1e9:,.1f} GFLOP/s", "", ""],
        [f"the network's limit by it, {flops / 1e9:.2f} GFLOP a photo", per_second(limits), "", ""],
        [f"trunk alone, {dtype}, batches of {len(batch)}", per_second(network_rate), f"{share:.2f}", "its limit"],
    ]
    figures = {
        "flops_per_photo": flops,
        "matrix_gflops_per_second": median(matrix_rate) / 1e9,
        "photos_per_second": median(network_rate),
        "share_of_limit": share,
    }
    return rows, figures


def measure_files(setup: Setup) -> tuple[list[list[str]], dict[str, float]]:
    """Decoding alone, the trunk alone on the same photos in memory, and extraction from their files."""
    from catdog.network.activations import Extraction
    from catdog.photos.reading import digest_files, read_ahead

    paths = [photo.path for photo in setup.photos]
    image_size = setup.pixels.shape[1]
    with tempfile.TemporaryDirectory() as folder:
        extraction = Extraction(setup.trunk, setup.backbone_digest, image_size, None, Path(folder))

        def decode() -> None:
            for _ in read_ahead(paths, image_size):
                pass

        def extract() -> None:
            extraction.parent = Path(tempfile.mkdtemp(dir=folder))
            extraction.extract(setup.photos, digest_files(paths), 1, True, lambda *_: None, lambda: False)

        def run_trunk() -> None:
            run_through(extraction.runs["float32"], setup.pixels)

        seconds = alternate({"decode": decode, "trunk": run_trunk, "extract": extract}, setup.repetitions)
    rates = {name: [len(paths) / each for each in of_action] for name, of_action in seconds.items()}
    share = paired_ratio(rates["extract"], rates["trunk"])
    decoding = paired_ratio(rates["decode"], rates["trunk"])
    rows = [
        [f"decoding alone, {len(paths)} files", per_second(rates["decode"]), f"{decoding:.1f}", "trunk alone"],
        [f"trunk alone, the same {len(paths)} in memory", per_second(rates["trunk"]), "", ""],
        ["extraction from files, nothing kept", per_second(rates["extract"]), f"{share:.2f}", "trunk alone"],
    ]
    figures = {f"{name}_photos_per_second": median(of_action) for name, of_action in rates.items()}
    return rows, figures | {"extraction_share_of_trunk": share, "decoding_share_of_trunk": decoding}


def measure_one(setup: Setup) -> tuple[list[list[str]], dict[str, float]]:
    """One photo warm from bytes to probabilities, against the network on its array and against `model.predict`."""
    classifier = setup.classifier
    one, content = setup.pixels[:1], setup.contents[:1]
    as_float = one.astype(np.float32)
    seconds = alternate(
        {
            "network": lambda: classifier.probabilities(one),
            "from_bytes": lambda: list(classifier.classify(content)),
            "predict": lambda: classifier.model.predict(as_float, verbose=0),
        },
        3 * setup.repetitions,
    )
    slower = paired_ratio(seconds["from_bytes"], seconds["network"])
    faster = paired_ratio(seconds["predict"], seconds["from_bytes"])
    rows = [
        ["one photo, the network alone on its array", milliseconds(seconds["network"]), "", ""],
        [
            "one photo, from bytes to probabilities",
            milliseconds(seconds["from_bytes"]),
            f"{slower:.2f}",
            "network alone",
        ],
        ["one photo, model.predict on its array", milliseconds(seconds["predict"]), f"{faster:.2f}", "from bytes"],
    ]
    figures = {f"{name}_seconds": median(of_action) for name, of_action in seconds.items()}
    return rows, figures | {"from_bytes_over_network": slower, "predict_over_from_bytes": faster}


def measure_several(setup: Setup) -> tuple[list[list[str]], dict[str, float]]:
    """A number of photos from bytes to probabilities, against the network's rate on their arrays."""
    classifier, count = setup.classifier, len(setup.contents)
    seconds = alternate(
        {
            "network": lambda: run_through(classifier.run, setup.pixels[:count]),
            "from_bytes": lambda: list(classifier.classify(setup.contents)),
        },
        setup.repetitions,
    )
    rates = {name: [count / each for each in of_action] for name, of_action in seconds.items()}
    share = paired_ratio(rates["from_bytes"], rates["network"])
    rows = [
        [f"{count} photos, the network alone on their arrays", per_second(rates["network"]), "", ""],
        [
            f"{count} photos, from bytes to probabilities",
            per_second(rates["from_bytes"]),
            f"{share:.2f}",
            "network alone",
        ],
    ]
    figures = {f"{name}_photos_per_second": median(of_action) for name, of_action in rates.items()}
    return rows, figures | {"share_of_network": share}


def measure_openvino(setup: Setup) -> tuple[list[list[str]], dict[str, float]]:
    """OpenVINO's run of the same trunk in float32 beside ours, on one full batch in memory."""
    name = "trunk in OpenVINO, float32"
    if find_spec("openvino") is None:
        return [[name, "not installed", "", ""]], {}
    import openvino

    from catdog.network.activations import compiled

    batch = batches_of(setup.pixels)[0]
    as_float = batch.astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        setup.trunk.export(folder, verbose=False)
        converted = openvino.convert_model(folder)
        converted.reshape(batch.shape)
        # It would choose bfloat16 by itself where the processor has it.
        other = openvino.Core().compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        run = compiled(setup.trunk)
        seconds = alternate(
            {"ours": lambda: run_through(run, batch), "openvino": lambda: other(as_float)}, setup.repetitions
        )
    rate = [len(batch) / each for each in seconds["openvino"]]
    share = paired_ratio(seconds["ours"], seconds["openvino"])
    return [[name, per_second(rate), f"{share:.2f}", "trunk alone"]], {"photos_per_second": median(rate)}


def measure_bfloat16(setup: Setup) -> tuple[list[list[str]], dict[str, float]]:
    """The trunk and the matrix product once more in bfloat16, where the processor has it."""
    from catdog.network.arithmetic import bfloat16_switched_on, processor_has_bfloat16

    if not processor_has_bfloat16():
        return [["trunk alone, bfloat16", "not on this processor", "", ""]], {}
    with bfloat16_switched_on():
        return measure_trunk(setup, "bfloat16")


def per_second(rates: list[float]) -> str:
    """The median of rates, as it stands in the table."""
    return f"{median(rates):,.1f} photos/s"


def milliseconds(seconds: list[float]) -> str:
    """The median of times, as it stands in the table."""
    return f"{1000 * median(seconds):,.1f} ms"


def main() -> None:
    """Measure each part, and print the table."""
    arguments = parser().parse_args()
    machine = print_machine()
    say("Loading ...")
    setup = prepare(arguments)
    size = arguments.image_size
    print(
        f"Backbone {arguments.backbone}, {size} pixels, {len(setup.pixels)} photos; medians of alternated repetitions."
    )
    parts = {
        "trunk": lambda: measure_trunk(setup, "float32"),
        "files": lambda: measure_files(setup),
        "one": lambda: measure_one(setup),
        "several": lambda: measure_several(setup),
        "openvino": lambda: measure_openvino(setup),
        "bfloat16": lambda: measure_bfloat16(setup),
    }
    rows, figures = [], {}
    for name, measure in parts.items():
        say(f"Measuring: {name} ...")
        of_part, figures[name] = measure()
        rows += of_part
    print_table("Throughput", COLUMNS, rows)
    write_figures(arguments.json, {"machine": machine, "image_size": size, "photos": len(setup.pixels), **figures})


if __name__ == "__main__":
    main()
