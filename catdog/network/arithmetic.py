"""Whether the frozen network may run in bfloat16: only for training photos, where the processor gains by it.

TensorFlow's switch is global. So it is on only inside `bfloat16_switched_on`: what may run in bfloat16 is called there
and nowhere else, and what needs float32 is never called there.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from filelock import FileLock

from catdog.files.folders import cache_folder
from catdog.files.json_files import read_json, write_json

# Flags of /proc/cpuinfo. On a processor without them TensorFlow ignores the switch.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
SWITCH = "auto_mixed_precision_onednn_bfloat16"
ARITHMETICS = ("float32", "bfloat16")
# What bfloat16 must gain to be worth its rounding, and the error of the features that rounding may bring. On the
# processors tried it gains 1.6 and more on photos of 160 pixels or larger, and 1.0 to 1.35 on smaller ones, where there
# is little time to gain: a limit between the two is not crossed by a chance of timing.
WORTHWHILE_SPEEDUP = 1.45
TOLERATED_ERROR = 0.05  # of the largest feature
REPETITIONS = 7


def processor_line(name: str) -> str:
    """What Linux says of this processor under a name such as `flags`; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name) and ":" in line), "")


def processor_flags() -> set[str]:
    """What this processor can do."""
    return set(processor_line("flags").split())


def processor_has_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16."""
    return bool(processor_flags() & BFLOAT16_FLAGS)


@contextmanager
def bfloat16_switched_on() -> Iterator[None]:
    """Let what is called inside run in bfloat16."""
    before = tf.config.optimizer.get_experimental_options().get(SWITCH, False)
    tf.config.optimizer.set_experimental_options({SWITCH: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({SWITCH: before})


@contextmanager
def switched_to(arithmetic: str) -> Iterator[None]:
    """Let what is called inside run in one of ARITHMETICS."""
    with bfloat16_switched_on() if arithmetic == "bfloat16" else nullcontext():
        yield


def choose_arithmetic(key: str, exact: Callable, fast: Callable, read_photos: Callable[[], np.ndarray]) -> str:
    """Choose "bfloat16" where it is measured to be faster on some photos, and close enough, else "float32".

    `exact` and `fast` are the same network, to be called outside and inside the switch; `read_photos` gives uint8
    photos (n, height, width, 3). The choice is kept in the cache under the key, this processor's name and its cores,
    so that the next run with the same settings makes the same.
    """
    kept_file = cache_folder() / "arithmetic.json"
    key = f"{processor_line('model name')} {os.cpu_count()} cores {key}"
    with one_at_a_time(kept_file.with_suffix(".lock")):
        kept = read_json(kept_file)
        if kept.get(key) in ARITHMETICS:
            return kept[key]
        photos = read_photos()
        if not len(photos):
            return "float32"
        expected, exact_seconds = measure(exact, photos)
        with bfloat16_switched_on():
            found, fast_seconds = measure(fast, photos)
        close = np.abs(found - expected).max() <= TOLERATED_ERROR * np.abs(expected).max()
        chosen = "bfloat16" if close and fast_seconds * WORTHWHILE_SPEEDUP < exact_seconds else "float32"
        remember(kept_file, {**kept, key: chosen})
    return chosen


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Let no other run measure meanwhile: two that did would disturb one another, and might choose differently."""
    lock = FileLock(path)
    with suppress(OSError):  # Where nothing can be written, each measures by itself.
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def measure(network: Callable, photos: np.ndarray) -> tuple[np.ndarray, float]:
    """A compiled network's last output for the photos, and the seconds that it takes at best once it is warm."""
    output = network(photos)[-1].numpy()
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        network(photos)[-1].numpy()
        seconds.append(time.perf_counter() - started)
    return output, min(seconds)


def remember(path: Path, content: dict[str, Any]) -> None:
    """Write the choices down; where that can't be, the next run measures again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content)
    except OSError:
        return
