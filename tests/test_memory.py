import ctypes
import os
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


def test_a_library_without_the_function_is_left_alone():
    assert memory.call("no_such_function_in_any_library", 1) is None
