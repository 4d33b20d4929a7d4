"""A run's folder: settings, events, state and files. One process writes it; any number read it."""

import errno
import json
import os
import secrets
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from catdog.errors import CatdogError, Failed, Refused, Stopped, ran_out_of_memory
from catdog.files.json_files import NUMBER, TEXT, found_in, read_json, write_json
from catdog.files.whole_files import remove_drafts
from catdog.runs.owners import fair_order, note_turn, owner_of, write_owner
from catdog.runs.versions import made_with
from catdog.settings import TrainConfig

FORMAT = 1
KERAS_FILE = "cat_dog_classifier.keras"
H5_FILE = "cat_dog_classifier.h5"
INFO_FILE = "classifier.json"
TRIALS_FOLDER = "trials"  # the folder below that of the runs for what is no run, but waits in line with them
STATES = ("queued", "running", "done", "stopped", "failed", "lost")
ACTIVE_STATES = ("queued", "running")
WAITING = "Waiting for another run to end."
TURN_SECONDS = 0.5  # how often a run that waits looks whether it is its turn
HEARTBEAT_SECONDS = 5
LOOK_SECONDS = 0.5
# A running process says so every HEARTBEAT_SECONDS; one that was silent for this long is lost.
LOST_AFTER_SECONDS = 60
# What a run holds in reserve on the disk, so that it can say why it ended where the disk is full.
RESERVE_FILE = ".reserve"
RESERVED_BYTES = 65_536
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# How long to wait between two events of a kind, so that they grow with time and not with photos.
FREQUENT_EVENT_SECONDS = {"step": 0.05, "progress": 0.25}


def runs_folder() -> Path:
    """Where runs are kept: the folder that CATDOG_RUNS names, else `runs` in the working folder."""
    return Path(os.environ.get("CATDOG_RUNS") or "runs")


def new_run_folder(owner: str | None = None) -> Path:
    """A folder name for a new run, which sorts by time, to the microsecond; with an owner, one that nobody guesses."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(seconds))}-{nanoseconds // 1000:06}"
    return runs_folder() / (f"{name}-{secrets.token_hex(16)}" if owner else name)


class Run:
    """The writing side of a run's folder; `listen` is called with each event as it is written."""

    def __init__(self, folder: Path, listen: Callable[[dict[str, Any]], None] | None = None):
        self.folder = Path(folder)
        self.listen = listen
        self.asked_to_stop = threading.Event()
        self.status: dict[str, Any] = {}
        self.writing = threading.Lock()
        self.written: dict[str, float] = {}

    @property
    def checkpoint_folder(self) -> Path:
        """Where the run keeps what resuming needs."""
        return self.folder / "checkpoint"

    @property
    def queue_folder(self) -> Path:
        """The folder of the runs and trials of which one works at a time."""
        parent = self.folder.parent
        return parent.parent if parent.name == TRIALS_FOLDER else parent

    def set_state(self, state: str, message: str = "") -> None:
        """Write the run's state (queued, running, done, stopped or failed), with a sentence where there is one."""
        with self.writing:
            # Whoever made the folder wrote down when.
            before = self.status or read_json(self.folder / "status.json")
            started = found_in(before, "started", kind=NUMBER) or time.time()
            self.status = {"state": state, "pid": os.getpid(), "host": socket.gethostname(), "started": started}
            self.status |= {"updated": time.time(), "message": message}
            write_json(self.folder / "status.json", self.status)

    def write_config(self, config: TrainConfig, **found: Any) -> None:
        """Write `config.json`: the settings, and what was found out about photos and backbone so far."""
        content = {"format": FORMAT, "settings": config.as_dict(), "versions": made_with(), **found}
        write_json(self.folder / "config.json", content)

    def event(self, kind: str, **fields: Any) -> None:
        """Append an event to `events.jsonl` and hand it to the listener."""
        record = {"event": kind, "time": round(time.time(), 3), **fields}
        with self.writing, (self.folder / "events.jsonl").open("a", **TEXT) as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        if self.listen:
            self.listen(record)

    def frequent_event(self, kind: str, last: bool, **fields: Any) -> None:
        """Write an event of a kind that comes often, unless one came a moment ago and this isn't the last."""
        now = time.monotonic()
        if last or now - self.written.get(kind, 0.0) >= FREQUENT_EVENT_SECONDS[kind]:
            self.written[kind] = now
            self.event(kind, **fields)

    def stop_requested(self) -> bool:
        """Whether a signal or the `stop` file asked this run to stop."""
        return self.asked_to_stop.is_set() or (self.folder / "stop").exists()

    @contextmanager
    def working(self) -> Iterator[None]:
        """State `running` with a heartbeat; what is raised ends as state `stopped` or `failed` with its sentence.

        An error that nobody foresaw leaves its traceback in `log.txt` and is raised as `Failed`.
        """
        self.set_state("running")
        with suppress(OSError):
            (self.folder / RESERVE_FILE).write_bytes(bytes(RESERVED_BYTES))
        finished = threading.Event()
        heart = threading.Thread(target=self.beat, args=(finished,), daemon=True)
        heart.start()
        try:
            yield
        except Stopped as stop:
            self.end(finished, heart, "stopped", str(stop))
            raise
        except CatdogError as error:
            self.end(finished, heart, "failed", str(error))
            raise
        except KeyboardInterrupt:
            self.end(finished, heart, "stopped", "Stopped at once; it can be resumed from its last whole epoch.")
            raise
        except Exception as error:
            # A full disk must not hide what happened.
            with suppress(OSError), (self.folder / "log.txt").open("a", **TEXT) as log:
                traceback.print_exc(file=log)
            sentence = describe_failure(error, self.folder)
            self.end(finished, heart, "failed", sentence)
            raise Failed(sentence) from error
        finally:
            finished.set()
            heart.join()
            self.free_reserve()

    def free_reserve(self) -> None:
        """Make what was held in reserve free to be written to."""
        with suppress(OSError):
            (self.folder / RESERVE_FILE).unlink(missing_ok=True)

    def end(self, finished: threading.Event, heart: threading.Thread, state: str, message: str) -> None:
        """Write the last state after the heart has stopped, so that no beat overwrites it."""
        finished.set()
        heart.join()
        self.free_reserve()
        # Neither a full disk nor a listener may hide why the run ends.
        with suppress(Exception):
            if state == "failed":
                self.event("error", message=message)
        with suppress(OSError):
            self.set_state(state, message)

    def beat(self, finished: threading.Event) -> None:
        """Renew the time in `status.json` until finished."""
        while not finished.wait(HEARTBEAT_SECONDS):
            # What can't be written now may be at the next beat.
            with self.writing, suppress(OSError):
                self.status["updated"] = time.time()
                write_json(self.folder / "status.json", self.status)

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM ask the run to stop; the second SIGINT ends it at once."""

        def ask(number: int, frame: Any) -> None:
            if self.asked_to_stop.is_set() and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.asked_to_stop.set()

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other process work on this run meanwhile; raises `Refused` where one does."""
        with working_lock(self.folder):
            yield

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for all runs of the same folder that work or are before it; raises `Stopped` if asked to meanwhile."""
        lock = FileLock(self.queue_folder / ".lock")
        while True:
            if waiting_line(self.queue_folder)[:1] in ([], [self.folder]):
                with suppress(Timeout):
                    lock.acquire(timeout=0)
                    break
            if self.status.get("message") != WAITING:
                self.event("note", message=WAITING)
            if self.status.get("message") != WAITING or time.time() - self.status["updated"] > HEARTBEAT_SECONDS:
                self.set_state("queued", WAITING)
            if self.stop_requested():
                message = "Stopped while it was waiting for another run."
                self.set_state("stopped", message)
                raise Stopped(message)
            time.sleep(TURN_SECONDS)
        owner = owner_of(self.folder)
        if owner:
            note_turn(self.queue_folder, owner)
        try:
            yield
        finally:
            if owner:
                note_turn(self.queue_folder, owner)
            lock.release()


def waiting_line(folder: Path) -> list[Path]:
    """The runs and trials in a folder that wait for their turn, the one whose turn is next first."""
    statuses = read_statuses(folder)
    waiting = [path for path, status in statuses.items() if (status["state"], status["message"]) == ("queued", WAITING)]
    at_work = [path for path, status in statuses.items() if status["state"] == "running"]
    return fair_order(folder, {path: statuses[path]["started"] for path in waiting}, at_work)


def read_statuses(folder: Path) -> dict[Path, dict[str, Any]]:
    """The state now of each run and trial in a folder, whosever they are."""
    found = [*folder.glob("*/status.json"), *folder.glob(f"{TRIALS_FOLDER}/*/status.json")]
    # A run that was deleted isn't gone all at once.
    return {path.parent: read_status(path.parent) for path in found if not path.parent.name.startswith(".")}


@contextmanager
def working_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of whoever works on a run; raises `Refused` where somebody does, however silent they are."""
    (folder / "checkpoint").mkdir(exist_ok=True)
    lock = FileLock(folder / "checkpoint" / ".lock")
    try:
        # Whoever looks at a run's state may hold the lock for a moment.
        lock.acquire(timeout=LOOK_SECONDS)
    except Timeout:
        raise Refused(f"The run in {folder} is running already.") from None
    try:
        yield
    finally:
        lock.release()


def describe_failure(error: Exception, folder: Path) -> str:
    """A sentence for an error that nobody foresaw."""
    kind = type(error).__name__
    if ran_out_of_memory(error):
        return "There was not enough memory: choose a smaller batch size or image size, or freeze more stages."
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return (
            f"There was no room left to write {error.filename or folder} ({error.strerror}): "
            "make some, and then resume the run."
        )
    if isinstance(error, OSError) and error.strerror:
        return f"A file could not be written or read ({error.strerror}: {error.filename or folder})."
    return f"It failed in a way that was not foreseen ({kind}); {folder / 'log.txt'} has the details."


def create_run(config: TrainConfig, folder: Path | str | None = None, owner: str | None = None) -> Run:
    """A new run's folder with its settings, state `queued`; raises `Refused` unless the folder is empty or absent."""
    folder = Path(folder) if folder is not None else new_run_folder(owner)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Refused(f"The folder {folder} is not empty: name another, or continue its run with --resume.")
        # Before all else, so that nobody ever finds it without its owner.
        if owner:
            write_owner(folder, owner)
        run = Run(folder)
        run.write_config(config)
        run.set_state("queued")
    except OSError as error:
        raise Refused(f"The folder {folder} can't be used for a run ({error.strerror}): name another.") from None
    return run


def reopen_run(folder: Path | str) -> tuple[Run, TrainConfig]:
    """The stopped or lost run in a folder and its settings, to be resumed; raises `Refused` where there is none."""
    folder = Path(folder)
    status = read_status(folder)
    if not (folder / "config.json").exists():
        raise Refused(f"There is no run in {folder} to resume: leave out --resume to start one.")
    if status["state"] in ACTIVE_STATES:
        raise Refused(f"The run in {folder} is {status['state']} already.")
    if status["state"] == "done":
        raise Refused(f"The run in {folder} is done: there is nothing to resume.")
    config = read_config(folder)
    run = Run(folder)
    run.status = {"started": time.time()}
    try:
        with working_lock(folder):
            (folder / "stop").unlink(missing_ok=True)
            remove_drafts(folder)
            end_last_line(folder / "events.jsonl")
            run.set_state("queued")
    except OSError as error:
        raise Refused(f"The run in {folder} can't be continued ({error.strerror}).") from None
    return run, config


def end_last_line(path: Path) -> None:
    """End the line that a killed process left half-written, or the next event would be lost with it."""
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")


def read_config(folder: Path) -> TrainConfig:
    """A run's settings; raises `Refused` where `config.json` is missing or damaged."""
    try:
        return TrainConfig(**read_json(folder / "config.json")["settings"])
    except (KeyError, TypeError, CatdogError):
        raise Refused(f"{folder / 'config.json'} is missing or damaged: start a new run.") from None


def read_status(folder: Path) -> dict[str, Any]:
    """A run's state now; `lost` where its process is gone or has been silent for too long."""
    return judged(read_json(folder / "status.json"), folder)


def judged(written: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the `status.json` of a run's folder said, as far as it is to be believed now."""
    status = {"state": "lost", "pid": 0, "host": "", "started": 0.0, "updated": 0.0, "message": ""}
    # A file that was damaged by hand is believed only where it has the right shape.
    status |= {name: written[name] for name, missing in status.items() if is_like(written.get(name), missing)}
    if written.get("state") not in STATES:
        status |= {"state": "lost", "message": "Its status.json is missing or damaged."}
    if status["state"] in ACTIVE_STATES and not is_alive(status) and not is_worked_on(folder):
        status["state"] = "lost"
        status["message"] = "Its process ended without a word, as where memory runs out; it can be resumed."
    return status


def is_like(value: Any, example: float | str) -> bool:
    """Whether a value is a text as the example is, or else a number that a time or a process id can be."""
    if isinstance(example, str):
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53


def is_alive(status: dict[str, Any]) -> bool:
    """Whether the process that wrote a state still runs, as far as can be told from here."""
    if abs(time.time() - status["updated"]) > LOST_AFTER_SECONDS:
        return False
    # Elsewhere than on POSIX, signal 0 ends the process instead of asking for it.
    if os.name != "posix" or status["host"] != socket.gethostname():
        return True
    pid = int(status["pid"])
    if pid == 0:  # to signal 0 stands for all of one's own group
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def is_worked_on(folder: Path) -> bool:
    """Whether a process holds a run's lock, which tells the truth whatever the clock was set to meanwhile."""
    if not (folder / "checkpoint" / ".lock").exists():
        return False
    try:
        FileLock(folder / "checkpoint" / ".lock", timeout=0).acquire().lock.release()
    except Timeout:
        return True
    except OSError:
        pass
    return False
