"""What `export` does: a classifier as a file for other programs, and how to use it there."""

import argparse
import functools
from dataclasses import asdict
from typing import TextIO

from catdog.commands.console import print_json
from catdog.exports.formats import FORMATS, snippet
from catdog.exports.making import export_classifier
from catdog.files.shelves import readable_size


def export_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Write a classifier in another format, and print how it compared and how to use it."""
    tell = functools.partial(print, file=console, flush=True)
    export = export_classifier(arguments.model, arguments.format, arguments.out, arguments.quantize, tell)
    if arguments.json:
        print_json({"model": arguments.model, **asdict(export)})
        return 0
    print(f"Wrote {export.file} ({readable_size(export.bytes)}). {export.sentence}")
    print(f"\nWhere Catdog isn't installed, after pip install {FORMATS[export.format].packages}:\n")
    print(snippet(export.format, export.file), end="")
    return 0
