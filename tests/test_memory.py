import ctypes
import os
import platform
import subprocess
import sys

import pytest

from catdog import memory

PROGRAM = """
import ctypes, sys, threading
from catdog import memory
if sys.argv[1] == "shared":
    memory.share_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
gate = threading.Barrier(9)
def take():
    libc.malloc(100_000)
    gate.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads:
    thread.start()
gate.wait()
libc.malloc_stats()
"""


def heaps(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return ran.stderr.count("Arena ")


@pytest.mark.skipif(os.name != "posix" or not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="needs glibc")
def test_threads_share_one_heap():
    assert heaps("shared") == 1
    assert heaps("each its own") > 2


POOL_PROGRAM = """
import tensorflow as tf
def held():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("RssAnon")]
    return int(line.split()[1]) / 1000
before = held()
for _ in range(3):
    product = tf.ones((5_000, 10_000))
    del product
print(held() - before)
"""


def megabytes_left(**environment: str) -> float:
    """What stays after 200 MB went through TensorFlow, with oneDNN, which it leaves out on older processors."""
    usual = {name: value for name, value in os.environ.items() if name not in memory.SPARING}
    usual["TF_ENABLE_ONEDNN_OPTS"] = "1"
    command = [sys.executable, "-c", POOL_PROGRAM]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env={**usual, **environment})
    return float(ran.stdout)


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="the pool is oneDNN's")
def test_without_its_pool_tensorflow_returns_what_it_held():
    assert megabytes_left() > 150
    assert megabytes_left(**memory.SPARING) < 50


def test_a_library_without_the_function_is_left_alone():
    assert memory.call("no_such_function_in_any_library", 1) is None
