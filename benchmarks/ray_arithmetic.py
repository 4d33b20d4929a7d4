"""What 1, 10 and 100 million photos need on a Ray cluster, from rates that are measured here or given."""

import argparse
import os
import time
from pathlib import Path

import numpy as np
from measuring import anonymous_bytes, print_machine, print_table, say, write_figures

MILLION = 1_000_000
COUNTS = (1, 10, 100)  # million photos
PATH = "s3://photos-of-many-years/2024/03/17/IMG_{:012}.jpg"
READ_BYTES = (20_000, 3_000_000)  # of a photo 200 pixels wide, and of one as phones take them


def parser() -> argparse.ArgumentParser:
    """The parser of the flags."""
    flags = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    help_text = "Photos a second that one processor classifies: half of what ray_overhead.py finds on two."
    flags.add_argument("--rate", type=float, required=True, help=help_text)
    flags.add_argument("--processors", type=int, default=128, help="Of the cluster. Default: %(default)s")
    flags.add_argument("--parts", type=int, default=5_000, help="Empty parts to hand out. Default: %(default)s")
    flags.add_argument("--json", type=Path, metavar="FILE", help="Also write all figures to this file.")
    return flags


def seconds_of_a_part(count: int) -> float:
    """What it takes to hand a part to a worker and to have it back, where there is nothing to do in it."""
    from catdog.cluster.ray_engine import cluster, each_part

    parts = [{"part": number, "paths": []} for number in range(count)]
    with cluster(None) as share:
        received, started = 0, 0.0
        for _ in each_part("catdog.cluster.ray_workers:DigestWorker", (), parts, share):
            # Until the first is back, the worker starts.
            started = started or time.monotonic()
            received += 1
        return (time.monotonic() - started) / (received - 1)


def memory_of_a_photo() -> float:
    """The bytes that the command holds for each photo's name, as it lists the photos and cuts them into parts."""
    from catdog.cluster.answer_parts import cut

    before = anonymous_bytes(os.getpid())
    paths = [PATH.format(number) for number in range(MILLION)]
    parts = [{"part": number, "paths": [os.fsencode(path) for path in part]} for number, part in enumerate(cut(paths))]
    held = anonymous_bytes(os.getpid()) - before
    return held / sum(len(part["paths"]) for part in parts)


def bytes_of_an_answer(kind: str) -> float:
    """What the answer to a photo takes on the disk."""
    from catdog.cluster.answer_parts import MOST, AnswerParts

    chances = np.random.default_rng(0).beta(0.2, 0.2, MOST).astype(np.float32)
    answers = [
        {
            "path": PATH.format(number),
            "label": "cats" if chance > 0.5 else "dogs",
            "verdict": "cats" if chance > 0.5 else "dogs",
            "probabilities": {"cats": float(chance), "dogs": float(1 - chance)},
            "error": None,
        }
        for number, chance in enumerate(chances)
    ]
    parts = AnswerParts(Path("unused"), kind, ("cats", "dogs"))
    return len(parts.as_csv(answers) if kind == "csv" else parts.as_parquet(answers)) / MOST


def rows_of(rate: float, processors: int, part: float, name: float, answers: dict[str, float]) -> list[tuple[str, ...]]:
    """The table: a row for each need, a column for each of COUNTS."""
    from catdog.cluster.answer_parts import cut

    parts = [len(cut(range(count * MILLION))) for count in COUNTS]
    photos = [count * MILLION for count in COUNTS]
    hours = [count / rate / 3600 for count in photos]
    needs = {
        "processor hours": [f"{each:,.0f}" for each in hours],
        f"hours on {processors} processors": [f"{each / processors:,.1f}" for each in hours],
        "parts": [f"{each:,}" for each in parts],
        "minutes to hand the parts out, beside the work": [f"{each * part / 60:,.1f}" for each in parts],
        "memory for the names": [f"{each * name / 1e9:,.1f} GB" for each in photos],
        **{f"answers as {kind}": [f"{each * size / 1e9:,.1f} GB" for each in photos] for kind, size in answers.items()},
        **{
            f"to be read, at {size / 1e6:g} MB a photo": [f"{each * size / 1e12:,.2f} TB" for each in photos]
            for size in READ_BYTES
        },
    }
    return [(need, *values) for need, values in needs.items()]


def main() -> None:
    """Measure what can be, and print what follows."""
    arguments = parser().parse_args()
    machine = print_machine()
    name = memory_of_a_photo()
    answers = {kind: bytes_of_an_answer(kind) for kind in ("csv", "parquet")}
    say("handing out empty parts")
    part = seconds_of_a_part(arguments.parts)
    print_table(
        "Measured here",
        ("what", "found"),
        [
            ("a part handed out and back", f"{part * 1e3:.1f} ms"),
            ("memory for a photo's name", f"{name:.0f} bytes"),
            *((f"an answer as {kind}", f"{size:.0f} bytes") for kind, size in answers.items()),
        ],
    )
    rows = rows_of(arguments.rate, arguments.processors, part, name, answers)
    columns = ("what", *(f"{count} million" for count in COUNTS))
    print_table(f"At {arguments.rate:g} photos a second and processor", columns, rows)
    figures = {
        "rate": arguments.rate,
        "seconds_of_a_part": part,
        "bytes_of_a_name": name,
        "bytes_of_an_answer": answers,
    }
    write_figures(arguments.json, {"machine": machine, **figures, "table": rows})


if __name__ == "__main__":
    main()
