"""Settings and files out of range, on the command line, in a page's address and in a file; and what is said of each."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable

from helpers.places import REPOSITORY

from catdog.__main__ import main
from catdog.commands.arguments import MAX_LIST_LENGTH
from catdog.errors import Refused
from catdog.runs.run_folder import create_run, read_config
from catdog.settings import SETTINGS, TrainConfig
from hostile.reliability import Case, try_all

SMALL = 64  # MiB
# The app itself, and what Streamlit loads for it.
PAGE = 512
OUT_OF_RANGE = {
    "image_size": "100000",
    "batch_size": "0",
    "head_epochs": "1e9",
    "head_learning_rate": "nan",
    "fine_tune_epochs": "-1",
    "fine_tune_learning_rate": "1e-99",
    "seed": "-1",
}


def bounds(name: str) -> str:
    """The range of a setting."""
    limits = SETTINGS[name].metadata
    return f"{limits['low']:g} to {limits['high']:.10g}"


def flag(name: str) -> str:
    """The flag of a setting."""
    return f"--{name.replace('_', '-')}"


def out_of_range(name: str, value: str) -> str:
    """What is said of a flag with a value out of its range."""
    kind = "a whole number" if SETTINGS[name].type is int else "a number"
    sentence = f"{SETTINGS[name].metadata['label']} must be {kind} from {bounds(name)}"
    return f"{flag(name)}: {sentence}, not '{value}'; see python -m catdog train --help."


def command(*arguments: str) -> Callable[[], Callable[[], str]]:
    """What makes the call of a command that must be refused, which gives what it says on standard error."""

    def run() -> str:
        with tempfile.TemporaryFile() as said:
            before = os.dup(2)
            os.dup2(said.fileno(), 2)
            try:
                status = main(arguments)
            finally:
                os.dup2(before, 2)
                os.close(before)
            said.seek(0)
            assert status == 2
            return said.read().decode().removesuffix("\n")

    return lambda: run


def in_config(**settings: object) -> Callable[[], Callable[[], str]]:
    """What makes the call that reads these settings from a run's file, which somebody changed."""

    def run() -> str:
        folder = create_run(TrainConfig(), "run").folder
        content = json.loads((folder / "config.json").read_text())
        content["settings"] |= settings
        (folder / "config.json").write_text(json.dumps(content))
        try:
            return str(read_config(folder))
        except Refused as error:
            return str(error)
        finally:
            shutil.rmtree(folder)

    return lambda: run


def in_address() -> Callable[[], str]:
    """What makes a visit to the training page whose address names settings out of their range."""

    def run() -> str:
        from streamlit.testing.v1 import AppTest

        os.environ |= {"CATDOG_RUNS": "runs", "CATDOG_CACHE": "cache"}
        app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=120)
        app.query_params.update(OUT_OF_RANGE)
        app.query_params["data"] = "/etc"
        app.run()
        assert not app.exception
        shown = {name: app.session_state[name] for name in OUT_OF_RANGE}
        assert shown == {name: SETTINGS[name].default for name in OUT_OF_RANGE}
        for folder in ("runs", "cache"):
            shutil.rmtree(folder, ignore_errors=True)
        return "nothing: an address sets no setting"

    return run


CASES = [
    *(
        Case(
            f"`{flag(name)} {value}`",
            bounds(name),
            out_of_range(name, value),
            command("train", "x", flag(name), value),
            SMALL,
        )
        for name, value in OUT_OF_RANGE.items()
    ),
    Case(
        "`--seed` of 5,000 digits",
        bounds("seed"),
        out_of_range("seed", f"{'9' * 57}...{'9' * 58}"),
        command("train", "x", "--seed", "9" * 5_000),
        SMALL,
    ),
    Case(
        "`--freeze-depth ../..`",
        "its choices",
        "--freeze-depth: Freeze depth must be one of none, conv1, conv2, conv3, conv4, conv5, not '../..'; "
        "see python -m catdog train --help.",
        command("train", "x", "--freeze-depth", "../.."),
        SMALL,
    ),
    Case(
        "`--$(reboot)`",
        "",
        "Unrecognized arguments: --$(reboot); see python -m catdog --help.",
        command("train", "x", "--$(reboot)"),
        SMALL,
    ),
    Case(
        "`--backbone /dev/zero`",
        "files alone",
        "There is no backbone /dev/zero: choose auto, imagenet, starter, or the path of a .keras file.",
        command("train", "x", "--backbone", "/dev/zero"),
        SMALL,
    ),
    *(
        Case(
            f"`{name} /dev/zero`",
            f"{MAX_LIST_LENGTH // 1_000_000} million characters",
            f"{name}: the file /dev/zero is longer than {MAX_LIST_LENGTH:,} characters; "
            "see python -m catdog check --help.",
            command("check", "x", name, "/dev/zero"),
            256,
        )
        for name in ("--leave-out", "--relabel")
    ),
    Case(
        "`--csv /dev/null`, which a file would replace",
        "files alone",
        "/dev/null is a device or a pipe, whose place no file may take: name another file.",
        command("classify", "starter", str(REPOSITORY / "README.md"), "--csv", "/dev/null"),
        SMALL,
    ),
    Case("a folder whose name has a line break", "", "There is no folder x\\ny.", command("train", "x\ny"), SMALL),
    Case(
        "a folder with a name of a million letters",
        "1,000 characters of a sentence",
        f"The folder {'x' * 489} ... {'x' * 464} can't be read (File name too long).",
        command("train", "x" * 1_000_000),
        SMALL,
    ),
    Case(
        "settings out of range in the address of a page",
        "",
        "nothing: an address sets no setting",
        in_address,
        PAGE,
    ),
    *(
        Case(
            f"{what} in a run's config.json", "", "run/config.json is missing or damaged: start a new run.", made, SMALL
        )
        for what, made in (
            ("a size of photos of 10^300", in_config(image_size=1e300)),
            ("a path out among the photos left out", in_config(leave_out=["../../x.jpg"])),
            ("a setting that there isn't", in_config(shell="reboot")),
        )
    ),
]

if __name__ == "__main__":
    try_all(CASES, lambda made: made())
