"""What becomes of memory that was freed: TensorFlow and glibc keep it, unless told otherwise."""

import ctypes
import gc
import os

ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
# Environment of a process that is to hold little: all its threads share one heap, and TensorFlow returns what a network
# held. Otherwise its pool for a processor only ever grows: a ResNet-50 leaves 10 MB there for each photo that went
# through it at once. Without the pool batches of 32 take up to 1.2 times as long, batches of 8 no longer than with it.
SPARING = {"TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1", "MALLOC_ARENA_MAX": "1"}


def share_one_heap() -> None:
    """Let all threads that begin from now on take memory from one place.

    Otherwise each thread has a place of its own, and keeps there what others could use: classifying a thousand photos
    held twice the memory.
    """
    call("mallopt", ARENA_MAX, 1)


def give_memory_back() -> None:
    """Let the system have what was freed: glibc keeps it, in pieces, for whatever comes next."""
    call("malloc_trim", 0)


def let_networks_go() -> None:
    """The same after networks were in use: circles of references hold them until Python looks for those."""
    gc.collect()
    give_memory_back()


def call(name: str, *arguments: int) -> None:
    """Call a function of the C library, where it has one of that name."""
    function = getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None
    if function:
        function(*arguments)
