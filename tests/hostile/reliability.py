"""What is tried on Catdog, as rows: each is tested as it stands, and the table in docs/reliability.md is made of them.

`PYTHONPATH=tests python -m hostile.reliability` writes the table anew; a test says when it is no longer what the tests
check. For another kind of input there is a module with CASES, a line in `sections`, and a place between two marks in
the document.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from helpers.places import REPOSITORY, TESTS

DOCUMENT = REPOSITORY / "docs" / "reliability.md"
MARKS = "<!-- {} -->\n", "<!-- end -->"
COLUMNS = "| what comes | limit | what happens | memory, at most |\n|---|---|---|---|\n"


class Case(NamedTuple):
    """Something hostile or broken, the limit that it meets, and what Catdog says of it or does."""

    what: str
    limit: str
    outcome: str
    make: Callable[..., Any]
    mebibytes: int | None = None  # what it may take while it is judged, where that is measured

    def row(self) -> str:
        """The case as a row of the table."""
        memory = f"{self.mebibytes:,} MiB" if self.mebibytes else ""
        cells = (for_a_cell(each) for each in (self.what, self.limit, self.outcome, memory))
        return f"| {' | '.join(cells)} |\n".replace("  ", " ")


def for_a_cell(text: str) -> str:
    """A text for a cell of a Markdown table, in which what is repeated often stands three times."""
    return re.sub(r"(..?)\1{12,}", r"\1\1\1…", text).replace("|", "\\|")


def case_ids(cases: Iterable[Case]) -> list[str]:
    """What pytest calls the cases."""
    return [case.what for case in cases]


def peak_mebibytes(start_anew: bool = False) -> float:
    """The most memory that this process has held since the last start; 0 where the system doesn't say."""
    with contextlib.suppress(OSError):
        if start_anew:
            Path("/proc/self/clear_refs").write_text("5")
        return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    return 0.0


def try_all(cases: Iterable[Case], attempt: Callable[[Any], str]) -> None:
    """In a process of its own: print what came of each case and how much memory that took, one JSON object a line."""
    for case in cases:
        made = case.make()
        before = peak_mebibytes(start_anew=True)
        outcome = attempt(made)
        found = {"what": case.what, "outcome": outcome, "mebibytes": peak_mebibytes() - before}
        print(json.dumps(found), flush=True)


def tried(cases: str, folder: Path) -> dict[str, dict[str, Any]]:
    """What came of each case of one of the modules beside this, run in a folder in which it may leave nothing."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", f"hostile.{cases}"],
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{TESTS}", "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        # A watchdog: nothing is asserted of the time.
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return {found["what"]: found for found in map(json.loads, done.stdout.splitlines())}


def check(case: Case, found: dict[str, dict[str, Any]]) -> None:
    """A case came out as its row says, within the memory that it says."""
    assert found[case.what]["outcome"] == case.outcome
    assert found[case.what]["mebibytes"] <= case.mebibytes


def sections() -> dict[str, list[Case]]:
    """The cases by the heading under which they stand."""
    from hostile import (
        archive_cases,
        fault_cases,
        folder_cases,
        image_cases,
        model_cases,
        name_cases,
        run_cases,
        setting_cases,
    )

    return {
        "photos": image_cases.CASES,
        "archives": archive_cases.CASES,
        "models": model_cases.CASES,
        "runs": run_cases.CASES,
        "folders": folder_cases.CASES,
        "settings": setting_cases.CASES,
        "names": name_cases.CASES,
        "faults": fault_cases.CASES,
    }


def with_tables(text: str) -> str:
    """The document with each table between its marks made anew."""
    for name, cases in sections().items():
        begin, end = MARKS[0].format(name), MARKS[1]
        before, found, rest = text.partition(begin)
        assert found, f"{DOCUMENT.name} has no place for {name}"
        text = before + begin + COLUMNS + "".join(case.row() for case in cases) + rest[rest.index(end) :]
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
