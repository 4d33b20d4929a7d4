"""What a command prints, and how it ends: in one sentence, with an exit status, and no native messages between."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from catdog.errors import CatdogError, Refused, Stopped
from catdog.plain_text import say

EXIT_FAILED, EXIT_REFUSED, EXIT_STOPPED = 1, 2, 130


def guarded(act: Callable[[TextIO], int]) -> int:
    """Call with a console that still reaches people while native libraries' own messages do not.

    Whatever goes wrong becomes one sentence on it and an exit status.
    """
    with console_apart() as console:
        try:
            return act(console)
        except CatdogError as error:
            say(str(error), console)
            return {Refused: EXIT_REFUSED, Stopped: EXIT_STOPPED}.get(type(error), EXIT_FAILED)
        except KeyboardInterrupt:
            say("Stopped.", console)
            return EXIT_STOPPED
        except BrokenPipeError:
            # Whoever read the output has gone; Python must not try to flush it again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_FAILED
        except OSError as error:
            say(f"A file could not be read or written ({error.strerror}: {error.filename}).", console)
            return EXIT_FAILED
        except Exception as error:
            say(f"It failed in a way that was not foreseen ({type(error).__name__}: {error}).", console)
            return EXIT_FAILED


@contextmanager
def console_apart() -> Iterator[TextIO]:
    """A text stream to standard error, whose own descriptor is silenced meanwhile.

    TensorFlow writes to the descriptor from C++, which no Python setting quiets.
    """
    sys.stderr.flush()
    before = os.dup(2)
    with open(before, "w", encoding="utf-8", errors="replace", closefd=False) as console:
        try:
            send_native_output_to(Path(os.devnull))
            yield console
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
    os.close(before)


def send_native_output_to(path: Path) -> None:
    """Let what is written to standard error's descriptor, other than through the console, go to this file."""
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 2)
    os.close(target)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(content, ensure_ascii=True))
