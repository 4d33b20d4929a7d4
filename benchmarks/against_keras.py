"""The whole of training as the tutorials do it beside ours, each as a process of its own on the same photos."""

import json
import sys
import tempfile
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measuring import (
    Measured,
    backbone_file,
    build_parser,
    print_machine,
    print_table,
    run_measured,
    say,
    write_figures,
)

TUTORIAL = Path(__file__).with_name("keras_tutorial.py")
HEAD_ALONE_EPOCHS = 20
# The head's and fine-tuning's learning rates, first the recipe's own and then those of the second run.
LEARNING_RATES = {"new": (1e-3, 1e-5), "again": (5e-4, 2e-5)}


def parser() -> ArgumentParser:
    """The parser of the flags."""
    flags = build_parser(__doc__, backbone="imagenet")
    flags.add_argument("--head-epochs", type=int, default=10, help="Default: %(default)s")
    flags.add_argument("--fine-tune-epochs", type=int, default=5, help="Default: %(default)s")
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument(
        "--quick",
        action=BooleanOptionalAction,
        default=True,
        help="Time one epoch of each phase of the tutorials' way and scale it to all; ours is always run in full.",
    )
    flags.add_argument("--full", dest="quick", action="store_false", help="The same as --no-quick.")
    return flags


@dataclass(frozen=True)
class Way:
    """What one way of training took: the whole process, the training phases alone, and each part by itself."""

    seconds: float
    training_seconds: float
    part_seconds: dict[str, float]
    processor_seconds: float
    peak_bytes: int | None
    accuracy: float
    accuracy_after: str


def run_tutorial(
    arguments: Namespace, backbone: Path, head_epochs: int, fine_tune_epochs: int, rates: tuple[float, float]
) -> tuple[Measured, dict[str, Any]]:
    """Run the tutorials' way, with one timed epoch of each phase in quick mode; what it took and what it says."""
    command = [sys.executable, TUTORIAL, "--photos", arguments.photos, "--backbone", backbone]
    command += ["--image-size", arguments.image_size, "--seed", arguments.seed]
    command += ["--head-epochs", head_epochs, "--fine-tune-epochs", fine_tune_epochs]
    command += ["--head-learning-rate", rates[0], "--fine-tune-learning-rate", rates[1]]
    measured = run_measured([*command, *(["--warm-up"] if arguments.quick else [])])
    return measured, json.loads(measured.output)


def scale(measured: Measured, result: dict[str, Any], head_epochs: int, fine_tune_epochs: int) -> Way:
    """What the tutorials' way would have taken for so many epochs, from a process that took other numbers of them.

    All but the epochs is its start-up, less the photos of the warm-up batches, which training would not have had.
    """
    photos = sum(result["photos"].values())
    warm_up = sum(min(count, result["batch_size"]) for count in result["photos"].values()) / photos
    phases = {"head": head_epochs, "fine_tune": fine_tune_epochs}

    def scaled(kind: str, whole: float) -> float:
        """The seconds of this kind: those outside the epochs, and the epochs."""
        for phase, epochs in phases.items():
            each = result[phase][kind] / result[phase]["epochs"]
            # A process without this phase would not have made ready for it either.
            spared = warm_up * each if epochs else result[phase][f"preparing_{kind}"]
            whole += epochs * each - result[phase][kind] - spared
        return whole

    parts = {phase: epochs * result[phase]["seconds"] / result[phase]["epochs"] for phase, epochs in phases.items()}
    last = result["fine_tune" if fine_tune_epochs else "head"]
    return Way(
        scaled("seconds", measured.seconds),
        sum(parts.values()),
        parts,
        scaled("processor_seconds", measured.processor_seconds),
        # The peak may be of the phase that is left out.
        measured.peak_bytes if fine_tune_epochs else None,
        last["val_accuracy"],
        f"{result['head']['epochs']}+{result['fine_tune']['epochs'] if fine_tune_epochs else 0}",
    )


def whole(measured: Measured, result: dict[str, Any]) -> Way:
    """What the tutorials' way took where it was run in full."""
    phases = [result[phase] for phase in ("head", "fine_tune") if phase in result]
    after = "+".join(str(phase["epochs"]) for phase in phases)
    parts = {phase: result[phase]["seconds"] for phase in ("head", "fine_tune") if phase in result}
    return Way(
        measured.seconds,
        sum(parts.values()),
        parts,
        measured.processor_seconds,
        measured.peak_bytes,
        phases[-1]["val_accuracy"],
        after if len(phases) > 1 else f"{after}+0",
    )


def run_ours(
    arguments: Namespace,
    backbone: Path,
    head_epochs: int,
    fine_tune_epochs: int,
    rates: tuple[float, float],
    folder: Path,
) -> Way:
    """Run ours in full, with its cache in this folder."""
    run = Path(tempfile.mkdtemp(dir=folder)) / "run"
    command = [sys.executable, "-m", "catdog", "train", arguments.photos, "--out", run, "--backbone", backbone]
    command += ["--image-size", arguments.image_size, "--seed", arguments.seed, "--json"]
    command += ["--head-epochs", head_epochs, "--fine-tune-epochs", fine_tune_epochs, "--freeze-depth", "conv4"]
    command += ["--head-learning-rate", rates[0], "--fine-tune-learning-rate", rates[1]]
    measured = run_measured(command, {"CATDOG_CACHE": str(folder / "cache")})
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    best = [event for event in events if event["event"] == "epoch" and event["best"]][-1]
    return Way(
        measured.seconds,
        training_seconds(events),
        part_seconds(events),
        measured.processor_seconds,
        measured.peak_bytes,
        best["val_accuracy"],
        f"{head_epochs}+{fine_tune_epochs}",
    )


def training_seconds(events: list[dict[str, Any]]) -> float:
    """The seconds from the start of the head's phase to that of evaluation."""
    starts = {event["phase"]: event["time"] for event in events if event["event"] == "phase"}
    return starts["evaluation"] - starts["head"]


def part_seconds(events: list[dict[str, Any]]) -> dict[str, float]:
    """The seconds of each part of a run, from its event to the next part's or to the last of all."""
    starts = [(event["phase"], event["time"]) for event in events if event["event"] == "phase"]
    ends = [*(start for _, start in starts[1:]), events[-1]["time"]]
    return {phase: round(end - start, 3) for (phase, start), end in zip(starts, ends, strict=True)}


def compare(arguments: Namespace, folder: Path) -> dict[str, tuple[Way, Way]]:
    """The tutorials' way and ours in each scenario."""
    backbone = backbone_file(arguments.backbone)
    both = (arguments.head_epochs, arguments.fine_tune_epochs)
    scenarios = {
        "(a) nothing kept": (*both, LEARNING_RATES["new"]),
        "(b) again, other learning rates": (*both, LEARNING_RATES["again"]),
        f"(c) head alone, {HEAD_ALONE_EPOCHS} epochs": (HEAD_ALONE_EPOCHS, 0, LEARNING_RATES["new"]),
    }
    found: dict[str, tuple[Way, Way]] = {}
    once = None
    for name, (head_epochs, fine_tune_epochs, rates) in scenarios.items():
        if arguments.quick:
            # How long an epoch takes depends neither on the learning rates nor on how many there are.
            if once is None:
                say("The tutorials' way, one epoch of each phase ...")
                once = run_tutorial(arguments, backbone, 1, 1, rates)
            theirs = scale(*once, head_epochs, fine_tune_epochs)
        else:
            say(f"{name}: the tutorials' way ...")
            theirs = whole(*run_tutorial(arguments, backbone, head_epochs, fine_tune_epochs, rates))
        say(f"{name}: ours ...")
        found[name] = theirs, run_ours(arguments, backbone, head_epochs, fine_tune_epochs, rates, folder)
        say(f"    {theirs}\n    {found[name][1]}")
    return found


def rows_of(name: str, theirs: Way, ours: Way) -> list[list[str]]:
    """The lines of the table for one scenario."""
    rows = []
    for what, field in {
        "whole process": "seconds",
        "training phases alone": "training_seconds",
        "processor time": "processor_seconds",
    }.items():
        before, after = getattr(theirs, field), getattr(ours, field)
        rows.append([f"{name}: {what}", f"{before:,.1f} s", f"{after:,.1f} s", f"{before / after:.1f} x"])
    if theirs.peak_bytes:
        before, after = theirs.peak_bytes / 1e6, ours.peak_bytes / 1e6
        memory = [f"{before:,.0f} MB", f"{after:,.0f} MB", f"{before / after:.2f} x"]
    else:
        memory = ["not measured", f"{ours.peak_bytes / 1e6:,.0f} MB", ""]
    rows.append([f"{name}: peak anonymous memory", *memory])
    accuracies = [f"{way.accuracy:.2%} after {way.accuracy_after}" for way in (theirs, ours)]
    comparable = theirs.accuracy_after == ours.accuracy_after
    difference = f"{ours.accuracy - theirs.accuracy:+.2%}" if comparable else ""
    return [*rows, [f"{name}: validation accuracy", *accuracies, difference]]


def main() -> None:
    """Compare, and print the table."""
    arguments = parser().parse_args()
    machine = print_machine()
    print(
        f"The same photos, {arguments.image_size} pixels, seed {arguments.seed}, backbone {arguments.backbone}; "
        f"(a) and (b): {arguments.head_epochs} epochs of the head and {arguments.fine_tune_epochs} of conv5."
    )
    if arguments.quick:
        print(
            "The tutorials' way is scaled from one epoch of each phase and its start-up; its accuracy is after those."
        )
    with tempfile.TemporaryDirectory() as folder:
        found = compare(arguments, Path(folder))
    rows = [row for name, ways in found.items() for row in rows_of(name, *ways)]
    print_table("Tutorials' way against ours", ("what", "tutorials'", "ours", "ratio"), rows)
    ways = {name: {"tutorials": asdict(theirs), "ours": asdict(ours)} for name, (theirs, ours) in found.items()}
    settings = {name: value if isinstance(value, int) else str(value) for name, value in vars(arguments).items()}
    write_figures(arguments.json, {"machine": machine, "settings": settings, "scenarios": ways})


if __name__ == "__main__":
    main()
