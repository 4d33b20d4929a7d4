"""Whether a visitor may start something now, where the app is open to the public."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from catdog.errors import Failed, Refused
from catdog.files.folders import may_see_photos
from catdog.photos.photo_sets import find_photo_set
from catdog.public_mode import NO_FOLDERS, limits, require_few_photos, require_within
from catdog.runs.owners import VISITORS_FOLDER, note_visit, owner_of
from catdog.runs.run_folder import ACTIVE_STATES, TRIALS_FOLDER, read_statuses, runs_folder
from catdog.settings import TrainConfig

SPARE_BYTES = 2_000_000_000  # of the disk, below which nothing is begun


def require_startable(config: TrainConfig, owner: str) -> None:
    """Raise `Refused` where settings or photos are not what this visitor may train on."""
    require_within(config)
    folder = Path(config.data)
    if not may_see_photos(folder, owner):
        raise Refused(NO_FOLDERS)
    require_few_photos(len(find_photo_set(folder, config.seed, config.leave_out, config.relabel).paths()))


@contextmanager
def admitted(owner: str | None, another_run: bool = False) -> Iterator[None]:
    """Hold a place in the line for what is made in the `with` block; raises `Refused` where there is none for them.

    Whoever isn't held to the limits of the public always has one.
    """
    if owner is None:
        yield
        return
    folder = runs_folder() / VISITORS_FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"The folder of the runs can't be written ({error.strerror}): try again later.") from None
    # Or two at once would take the last place.
    with FileLock(folder / ".admission"):
        require_place(owner, another_run)
        note_visit(runs_folder(), owner, stays=True)
        yield


def require_place(owner: str, another_run: bool) -> None:
    """Raise `Refused` where the line is full, or this visitor has all that one may have."""
    allowed = limits()
    statuses = read_statuses(runs_folder())
    own = [folder for folder in statuses if owner_of(folder) == owner]
    active = [folder for folder, status in statuses.items() if status["state"] in ACTIVE_STATES]
    if len(set(own) & set(active)) >= allowed.at_work:
        raise Refused(
            f"Of yours {allowed.at_work} are at work or waiting already, as many as one visitor may have: "
            "wait until one has ended, or stop one."
        )
    if len(active) >= allowed.line:
        raise Refused(f"The line is full: {len(active)} are at work or waiting. Try again in some minutes.")
    if another_run and sum(folder.parent.name != TRIALS_FOLDER for folder in own) >= allowed.runs:
        raise Refused(f"You have {allowed.runs} runs, as many as are kept of one visitor: delete one on the Runs page.")
    if shutil.disk_usage(runs_folder()).free < SPARE_BYTES:
        raise Refused("The disk of this server is almost full: try again later.")
