"""The command line: which commands there are."""

import argparse
import sys
from collections.abc import Sequence
from typing import TextIO

from catdog.commands.app import app_command
from catdog.commands.arguments import build_parser, build_script_parser
from catdog.commands.classify import classify_command
from catdog.commands.console import guarded
from catdog.commands.evaluate import evaluate_command
from catdog.commands.export import export_command
from catdog.commands.side import (
    cache_command,
    check_command,
    pack_command,
    report_command,
    samples_command,
    unpack_command,
)
from catdog.commands.train import train_command, trial_command, work_command

COMMANDS = {
    "train": train_command,
    "work": work_command,
    "rates": trial_command,
    "learning-curve": trial_command,
    "estimate": trial_command,
    "classify": classify_command,
    "evaluate": evaluate_command,
    "report": report_command,
    "pack": pack_command,
    "unpack": unpack_command,
    "check": check_command,
    "export": export_command,
    "samples": samples_command,
    "cache": cache_command,
    "app": app_command,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    return guarded(lambda console: act_on(build_parser(), argv, console))


def train_script(argv: Sequence[str] | None = None) -> int:
    """The script of the original recipe: train on --data, and write ./cat_dog_classifier.h5 besides the run."""

    return guarded(lambda console: act_on(build_script_parser(), argv, console))


def act_on(parser: argparse.ArgumentParser, argv: Sequence[str] | None, console: TextIO) -> int:
    """Parse the arguments and do what they ask for."""
    arguments = parser.parse_args(argv)
    return COMMANDS[arguments.command](arguments, console)


if __name__ == "__main__":
    sys.exit(main())
