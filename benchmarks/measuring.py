"""What the benchmarks share: the machine, processes measured from outside, alternated timing, and tables."""

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
POLL_SECONDS = 0.1
# How many polls of the memory go by before new child processes are looked for, which takes longer.
POLLS_BETWEEN_SEARCHES = 10
PACKAGES = ("keras", "tensorflow", "numpy", "pillow")

# A benchmark is started by its path, so that Python finds this folder by itself but not the package beside it.
sys.path.insert(0, str(REPOSITORY))


def build_parser(description: str, backbone: str, image_size: int = 224) -> argparse.ArgumentParser:
    """A parser with the flags that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    shared = os.environ.get("CATDOG_SHARED")
    photos = Path(shared) / "photos" if shared else None
    parser.add_argument(
        "--photos",
        type=Path,
        default=photos,
        required=photos is None,
        help="Folder of train/CLASS and validation/CLASS. Default: photos in the folder that CATDOG_SHARED names.",
    )
    parser.add_argument(
        "--backbone", default=backbone, help="starter, imagenet or a backbone file. Default: %(default)s"
    )
    parser.add_argument("--image-size", type=int, default=image_size, help="Pixels a side. Default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write all figures to this file.")
    return parser


def backbone_file(name: str) -> Path:
    """The file of a backbone that is named as the command line names it, downloaded where it has to be."""
    if name not in ("starter", "imagenet"):
        return Path(name).resolve()
    from catdog.network.backbone import STARTER_FILE, fetch_imagenet

    return STARTER_FILE if name == "starter" else fetch_imagenet()


@dataclass(frozen=True)
class Measured:
    """What a whole process took: wall time, processor time, and its peak of anonymous memory with its children's."""

    seconds: float
    processor_seconds: float
    peak_bytes: int
    output: str


def run_measured(command: Sequence[str | Path], environment: dict[str, str] | None = None) -> Measured:
    """Run a command to its end as a process of its own; raises `SystemExit` with its last words where it fails."""
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3"} | (
        environment or {}
    )
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    arguments = [str(each) for each in command]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        said: dict[str, str] = {}
        reader = Thread(target=lambda: said.update(zip(("output", "errors"), process.communicate(), strict=True)))
        reader.start()
        peak = watch_memory(process.pid, reader)
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed ({process.returncode}):\n{said['errors'][-3000:]}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(seconds, processor, peak, said["output"])


def watch_memory(process: int, reader: Thread) -> int:
    """The most anonymous memory in bytes that a process and those below it held until the reader ends."""
    family, peak, polls = [process], 0, 0
    while reader.is_alive():
        if polls % POLLS_BETWEEN_SEARCHES == 0:
            family = [process, *descendants(process)]
        peak = max(peak, sum(anonymous_bytes(each) for each in family))
        polls += 1
        reader.join(POLL_SECONDS)
    return peak


def anonymous_bytes(process: int) -> int:
    """The anonymous memory of a process now, without files that it maps; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)


def descendants(process: int) -> list[int]:
    """The processes that a process started, those that they started, and so on."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name in brackets may hold anything; the state and then the parent follow its last bracket.
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, waiting = [], [process]
    while waiting:
        children = [child for child, parent in parents.items() if parent in waiting]
        found += children
        waiting = children
    return found


def alternate(actions: dict[str, Callable[[], Any]], repetitions: int) -> dict[str, list[float]]:
    """The seconds of each action in each repetition: all of them in turn, once unmeasured and then so many times."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for repetition in range(repetitions + 1):
        for name, act in actions.items():
            started = time.perf_counter()
            act()
            if repetition:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the quotients of two actions' figures, each taken within one repetition."""
    return median(first / second for first, second in zip(above, below, strict=True))


def count_flops(network: Any, image_size: int) -> int:
    """Floating-point operations for one photo, two for each multiplication and addition of the layers with kernels."""
    import keras

    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)]
    shapes = keras.Model(network.inputs, [layer.output for layer in layers]).compute_output_shape(
        (1, image_size, image_size, 3)
    )
    return sum(
        2 * math.prod(layer.kernel.shape) * math.prod(shape[1:-1]) for layer, shape in zip(layers, shapes, strict=True)
    )


def processor_field(name: str) -> str:
    """What Linux says of the processor under this name, or nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


def describe_machine() -> dict[str, Any]:
    """The processor, its cores, the memory, whether there is bfloat16, how busy it is, and the versions."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": processor_field("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        # The same flags that catdog.network.arithmetic looks for, without its TensorFlow.
        "bfloat16": bool({"avx512_bf16", "amx_bf16"} & set(processor_field("flags").split())),
        "load_average": round(os.getloadavg()[0], 2),
        "versions": versions,
    }


def print_machine() -> dict[str, Any]:
    """Print the machine in one paragraph, and return it."""
    machine = describe_machine()
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB memory, bf16 "
        f"{'yes' if machine['bfloat16'] else 'no'}; {versions}; load average at the start {machine['load_average']}."
    )
    return machine


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its first column to the left and the others to the right."""
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    print(f"\n{title}")
    for number, line in enumerate(lines):
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
    sys.stdout.flush()


def say(text: str) -> None:
    """Tell on standard error what is being done now."""
    print(text, file=sys.stderr, flush=True)


def write_figures(path: Path | None, figures: dict[str, Any]) -> None:
    """Write the figures as JSON, where a file was asked for."""
    if path:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
