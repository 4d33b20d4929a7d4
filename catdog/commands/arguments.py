"""What can be typed on the command line: the commands and their flags."""

import argparse
import csv
import io
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from catdog import __version__
from catdog.classifier.verdicts import UNSURE_BELOW
from catdog.errors import Refused
from catdog.exports.formats import FORMATS
from catdog.results.report_files import HTML_FILE
from catdog.runs.run_folder import H5_FILE
from catdog.runs.trials import QUESTIONS
from catdog.settings import OF_THE_PHOTOS, SETTINGS, checked

# Of a list of photos; that of 100,000 photos takes a tenth. A device such as /dev/zero never ends.
MAX_LIST_LENGTH = 50_000_000
HIGHEST_PORT = 65_535
# The settings that are given as files, as a sentence about another such file goes on.
LISTS = {"leave_out": "leave out than --leave-out", "relabel": "relabel than --relabel"}


class Parser(argparse.ArgumentParser):
    """Refuses wrong flags in one sentence, without the usage lines."""

    def error(self, message: str) -> NoReturn:
        """Raise `Refused` with argparse's own words."""
        message = message.removeprefix("argument ")
        raise Refused(f"{message[:1].upper()}{message[1:]}; see {self.prog} --help.")


def setting_parser(name: str) -> Callable[[str], Any]:
    """What argparse calls to turn a flag's text into a setting's value."""

    def parse(text: str) -> Any:
        try:
            return checked(SETTINGS[name], text)
        except Refused as error:
            raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None

    return parse


def parse_share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")
    return share


def listed_photos(name: str) -> tuple[str, ...]:
    """The paths in a text file, one a line, as a setting's value."""
    return checked_list("leave_out", [line for line in read_list(name).split("\n") if line.strip()])


def listed_labels(name: str) -> tuple[tuple[str, str], ...]:
    """The paths and classes in a CSV file without a header, as a setting's value."""
    try:
        lines = io.StringIO(read_list(name))
        rows = [row for row in csv.reader(lines, strict=True) if any(field.strip() for field in row)]
    except csv.Error as error:
        raise argparse.ArgumentTypeError(f"the file {name} can't be read as CSV ({error})") from None
    return checked_list("relabel", rows)


def read_list(name: str) -> str:
    """The text of a file that names photos, whose names may be in any encoding; a pipe will do."""
    try:
        with Path(name).open(encoding="utf-8-sig", errors="surrogateescape") as file:
            text = file.read(MAX_LIST_LENGTH + 1)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"the file {name} can't be read ({error.strerror})") from None
    if len(text) > MAX_LIST_LENGTH:
        raise argparse.ArgumentTypeError(f"the file {name} is longer than {MAX_LIST_LENGTH:,} characters")
    return text


def checked_list(name: str, value: list[Any]) -> tuple[Any, ...]:
    """A list as a setting's value, refused in the way that argparse understands."""
    try:
        return checked(SETTINGS[name], value)
    except Refused as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where the work is done."""
    help_text = "Where the photos are run through the network: in this process, or by the workers of a Ray cluster."
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help=f"{help_text} Default: local")
    help_text = "With ray: how many workers; default: one for each GPU, or for every two processors."
    parser.add_argument("--workers", metavar="NUMBER", type=parse_count, help=help_text)


def require_no_workers(arguments: argparse.Namespace) -> None:
    """Raise `Refused` where workers are asked for that nobody would be."""
    if arguments.engine == "local" and arguments.workers:
        raise Refused("--workers goes with --engine ray alone: add that, or leave it out.")


def parse_count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) == int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)


def parse_port(text: str) -> int:
    """A number that a port can have."""
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or not 1 <= int(text) <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 to {HIGHEST_PORT}")
    return int(text)


def add_corrections(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name photos not to use, and photos that are to count as another class."""
    help_text = "Text file with photos not to use, one a line, as paths in DATA. Default: none"
    parser.add_argument("--leave-out", metavar="FILE", type=listed_photos, default=argparse.SUPPRESS, help=help_text)
    help_text = "CSV file with photos that are to count as another class, path,class a row, no header. Default: none"
    parser.add_argument("--relabel", metavar="FILE", type=listed_labels, default=argparse.SUPPRESS, help=help_text)


def add_setting_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting but the photos, and --json."""
    for name, field in SETTINGS.items():
        if name in OF_THE_PHOTOS:
            continue
        choices = field.metadata.get("choices")
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=setting_parser(name),
            default=argparse.SUPPRESS,
            metavar="|".join(choices) if choices else field.type.__name__.upper().replace("STR", "NAME"),
            help=f"{field.metadata['help']} Default: {field.default}".replace("%", "%%"),
        )
    add_corrections(parser)
    parser.add_argument("--json", action="store_true", help="Print the result as one JSON object.")


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting but the photos, and those of the run's folder."""
    add_setting_arguments(parser)
    add_engine(parser)
    parser.add_argument("--out", metavar="RUN_DIR", help="Folder for the run, empty or absent; default: runs/<id>.")
    parser.add_argument("--resume", action="store_true", help="Continue the stopped or lost run in --out.")


def build_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(prog=program(), description="Train cat-or-dog classifiers, and use them.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__, help="print the version, and end")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    add_training_commands(commands)
    add_classifier_commands(commands)
    add_side_commands(commands)
    add_app_command(commands)
    return parser


def program() -> str:
    """What people type to get here: the installed command, or the module."""
    return "catdog" if Path(sys.argv[0]).stem == "catdog" else "python -m catdog"


def add_training_commands(commands: Any) -> None:
    """Add what trains, and what tells of training before it."""
    train = commands.add_parser("train", help="train a classifier on a folder of photos", allow_abbrev=False)
    train.add_argument("data", metavar="DATA", help=SETTINGS["data"].metadata["help"])
    add_train_arguments(train)

    for name, question in QUESTIONS.items():
        trial = commands.add_parser(name, help=question, allow_abbrev=False)
        trial.add_argument("data", metavar="DATA", help=SETTINGS["data"].metadata["help"])
        add_setting_arguments(trial)

    work = commands.add_parser("work", help="do the work of a run that a page has made", allow_abbrev=False)
    work.add_argument("run", metavar="RUN_DIR", help="The run's folder.")


def add_classifier_commands(commands: Any) -> None:
    """Add what uses a trained classifier: to classify, to judge it, to hand it on."""
    classify = commands.add_parser("classify", help="say what is on photos", allow_abbrev=False)
    classify.add_argument("model", metavar="MODEL", help="A run's folder, a .keras or .h5 file, or starter.")
    classify.add_argument(
        "photos", metavar="PHOTO_OR_FOLDER", nargs="+", help="Folders are read through; patterns such as '**/*.jpg'."
    )
    classify.add_argument(
        "--unsure-below",
        metavar="PROBABILITY",
        type=parse_share,
        default=UNSURE_BELOW,
        help="A label less probable than this gets the verdict unsure. Default: %(default)s",
    )
    classify.add_argument("--csv", metavar="FILE", help="Also write the answers to a CSV file.")
    classify.add_argument("--json", action="store_true", help="Print the answers as one JSON object.")
    add_engine(classify)
    help_text = "With ray: write the answers to Parquet files in this folder, or at an address in object storage."
    classify.add_argument("--parquet", metavar="FOLDER", help=help_text)
    help_text = "With ray: go on where a command was ended early, which wrote to the same file or folder."
    classify.add_argument("--resume", action="store_true", help=help_text)

    evaluate = commands.add_parser("evaluate", help="say how good a classifier is", allow_abbrev=False)
    evaluate.add_argument("model", metavar="MODEL", help="A run's folder, a .keras or .h5 file, or starter.")
    evaluate.add_argument("data", metavar="DATA", help="A folder of labelled photos.")
    evaluate.add_argument("--json", action="store_true", help="Print the figures as one JSON object.")

    report = commands.add_parser(
        "report", help="write what a run's evaluation found as one HTML file", allow_abbrev=False
    )
    report.add_argument("run", metavar="RUN_DIR", help="The run's folder.")
    report.add_argument("--out", metavar="FILE", help=f"The HTML file to write; default: {HTML_FILE} in RUN_DIR.")
    report.add_argument("--json", action="store_true", help="Print the report as one JSON object.")

    pack = commands.add_parser("pack", help="write a run as one file, to take along", allow_abbrev=False)
    pack.add_argument("run", metavar="RUN_DIR", help="The run's folder.")
    help_text = "The file to write; default: the run's name and .catdog.zip, in the working folder."
    pack.add_argument("--out", metavar="FILE", help=help_text)
    pack.add_argument("--json", action="store_true", help="Print what was written as one JSON object.")

    unpack = commands.add_parser("unpack", help="make a run of such a file again", allow_abbrev=False)
    unpack.add_argument("file", metavar="FILE", help="A file that pack or the page of a run wrote.")
    unpack.add_argument("--out", metavar="RUN_DIR", help="Folder for the run, empty or absent; default: runs/<id>.")
    unpack.add_argument("--json", action="store_true", help="Print where it is as one JSON object.")

    export = commands.add_parser("export", help="write a classifier in another format", allow_abbrev=False)
    export.add_argument("model", metavar="MODEL", help="A run's folder, a .keras or .h5 file, or starter.")
    kinds = ". ".join(f"{name}: {each.purpose}" for name, each in FORMATS.items())
    export.add_argument("--format", choices=tuple(FORMATS), required=True, help=f"{kinds}.")
    export.add_argument("--quantize", action="store_true", help="For litert: 8-bit weights, a third of the size.")
    names = ", ".join(each.file_name for each in FORMATS.values())
    help_text = f"What to write to; must be absent. Default, in the order of the formats: {names}"
    export.add_argument("--out", metavar="FILE", help=help_text)
    export.add_argument("--json", action="store_true", help="Print what was written as one JSON object.")


def add_side_commands(commands: Any) -> None:
    """Add what looks after photos, and after what is kept of them."""
    check = commands.add_parser(
        "check", help="say what is in a folder of photos and what is wrong with it", allow_abbrev=False
    )
    check.add_argument("data", metavar="DATA", help=SETTINGS["data"].metadata["help"])
    add_corrections(check)
    check.add_argument("--json", action="store_true", help="Print it as one JSON object.")

    samples = commands.add_parser("samples", help="make or fetch photos to start with", allow_abbrev=False)
    samples.add_argument("kind", choices=("drawings", "tutorial"), help="Practice drawings, or the tutorials' photos.")
    samples.add_argument("folder", metavar="FOLDER", help="Folder to put them in, empty or absent.")
    samples.add_argument("--seed", type=setting_parser("seed"), default=0, help="For drawings. Default: 0")

    cache = commands.add_parser(
        "cache", help="show or clear what was kept of photos for later runs", allow_abbrev=False
    )
    cache.add_argument("--clear", action="store_true", help="Remove all of it.")
    cache.add_argument("--json", action="store_true", help="Print it as one JSON object.")


def add_app_command(commands: Any) -> None:
    """Add what opens the pages."""
    app = commands.add_parser("app", help="open the pages in a browser", allow_abbrev=False)
    help_text = "Where to listen; default: the first free one from 8501 on."
    app.add_argument("--port", metavar="NUMBER", type=parse_port, help=help_text)
    help_text = "At which address to listen: 0.0.0.0 lets others on your network in. Default: localhost"
    app.add_argument("--address", metavar="ADDRESS", help=help_text)
    help_text = "For strangers: each visitor has photos and runs of their own, with limits, as with CATDOG_PUBLIC=1."
    app.add_argument("--public", action="store_true", help=help_text)


def build_script_parser() -> Parser:
    """The parser of the original recipe's script: the flags of train, and --data."""
    parser = Parser(prog="python cat_dog_classifier.py", allow_abbrev=False)
    parser.add_argument("--data", default="data", help=f"{SETTINGS['data'].metadata['help']} Default: data")
    add_train_arguments(parser)
    parser.set_defaults(command="train", also_write=Path(H5_FILE))
    return parser
