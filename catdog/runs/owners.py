"""Whose a run or a trial is where strangers share a server, and in which order their work is done."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from catdog.public_mode import is_public

OWNER_FILE = "owner"  # in the folder of a run or a trial: a digest from which no visitor's token can be had
VISITORS_FOLDER = ".visitors"  # in the folder of the runs: an empty file for each visitor, and what follows here
TURN_ENDING = ".turn"  # of the file whose time is that at which a visitor's last turn began or ended
NOTED_SECONDS = 60.0  # how exactly the time of the last visit is kept


def write_owner(folder: Path, owner: str) -> None:
    """Note whose a new folder is; raises `OSError`."""
    (folder / OWNER_FILE).write_text(owner, encoding="ascii")


def owner_of(folder: Path) -> str | None:
    """Whose a folder is; None where it is nobody's, as where the app isn't open to the public."""
    try:
        return read_owner(folder / OWNER_FILE)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=1000)
def read_owner(path: Path) -> str:
    """What stands in that file, which is written once; raises `OSError` or `ValueError`."""
    return path.read_text(encoding="ascii")


def is_own(folder: Path, owner: str | None) -> bool:
    """Whether a folder is this visitor's: everybody's is everything unless the app is open to the public."""
    return not is_public() or (owner is not None and owner_of(folder) == owner)


def visit_file(queue: Path, owner: str, ending: str = "") -> Path:
    """The empty file in the folder of the runs whose time is that of a visitor's last visit, or of their last turn."""
    return queue / VISITORS_FOLDER / f"{owner}{ending}"


def last_time(queue: Path, owner: str, ending: str = "") -> float:
    """When a visitor was here last, or had a turn, in seconds since the epoch; 0 where that is not known."""
    try:
        return visit_file(queue, owner, ending).stat().st_mtime
    except OSError:
        return 0.0


def note_visit(queue: Path, owner: str, stays: bool = False) -> None:
    """Remember that a visitor is here who left something, or is about to: of others nothing is kept."""
    last = last_time(queue, owner)
    if (last or stays) and time.time() - last > NOTED_SECONDS:
        note(queue, owner)


def note_turn(queue: Path, owner: str) -> None:
    """Remember that a visitor's turn begins or ends now."""
    note(queue, owner, TURN_ENDING)


def note(queue: Path, owner: str, ending: str = "") -> None:
    """Let a visitor's file have this moment's time."""
    # Where that can't be written the line is a little less fair, and things go too early rather than too late.
    with suppress(OSError):
        visit_file(queue, owner, ending).parent.mkdir(parents=True, exist_ok=True)
        visit_file(queue, owner, ending).touch()


def fair_order(queue: Path, came: Mapping[Path, float], at_work: Iterable[Path] = ()) -> list[Path]:
    """Folders that wait, by the time at which they came, in the order in which it is their turn.

    Visitors take turns: of each the first goes before anybody's second, what is at work counts as the first, and
    whoever had a turn queues behind those who came before it ended. What nobody owns goes in the order in which it
    came. The folders alone decide, so that each process finds the same order.
    """
    ahead = Counter(map(owner_of, at_work))
    places = {}
    for folder in sorted(came, key=lambda folder: (came[folder], folder.name)):
        owner = owner_of(folder)
        before, turn = (ahead[owner], last_time(queue, owner, TURN_ENDING)) if owner else (0, 0.0)
        places[folder] = (before, max(came[folder], turn), came[folder], folder.name)
        ahead[owner] += 1
    return sorted(came, key=places.__getitem__)
