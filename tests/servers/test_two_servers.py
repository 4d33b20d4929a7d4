"""Two copies of the app on one folder: each run is worked on once and in turn, and both tell of it what is true."""

import io
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow
import pytest
from helpers.browser import served
from helpers.places import REPOSITORY
from helpers.trained_runs import small_config

from catdog.files.json_files import write_json
from catdog.runs import visitors
from catdog.runs.events import read_events
from catdog.runs.run_folder import Run, create_run, read_status, read_statuses, working_lock
from catdog.runs.visitors import owner_with

# The benchmarks' way to visit a page without a browser.
sys.path.append(str(REPOSITORY / "benchmarks"))
from sessions import Session

PATIENCE_SECONDS = 240
MANY_EPOCHS = {"head": 30.0, "fine-tune": 5.0}  # as many as the public may ask for


class Servers:
    """Two servers on one folder, and one visitor who comes to both with the same cookie."""

    def __init__(self, folder: Path, stack: ExitStack):
        self.folder = folder
        self.stacks = [stack.enter_context(ExitStack()) for _ in range(2)]
        environment = {"CATDOG_PUBLIC": "1", "CATDOG_RUNS": str(folder / "runs"), "CATDOG_CACHE": str(folder / "cache")}
        self.addresses = []
        for number, own in enumerate(self.stacks):
            (folder / f"server {number}").mkdir()
            self.addresses.append(own.enter_context(served(folder / f"server {number}", **environment)))
        with Session(self.addresses[0]) as session:
            session.open()
            self.cookie = {"catdog": session.cookies["catdog"]}

    @property
    def owner(self) -> str:
        """What stands in the visitor's folders."""
        return owner_with(self.cookie["catdog"])

    def session(self, number: int) -> Session:
        """The visitor at one of the servers."""
        return Session(self.addresses[number], self.cookie)

    def runs(self) -> set[Path]:
        """The folders of all runs."""
        return {path.parent for path in (self.folder / "runs").glob("2*/status.json")}

    def start(self, number: int, epochs: dict[str, float]) -> None:
        """Start a run at one of the servers."""
        with self.session(number) as session:
            session.open()
            session.set("selectbox", "Backbone", string_value="Starter (comes along)")
            session.set("number_input", "Head epochs", double_value=epochs["head"])
            session.set("number_input", "Fine-tuning epochs", double_value=epochs["fine-tune"])
            session.set("number_input", "Image size", double_value=32.0)
            session.click("Train")

    def shown_states(self, number: int) -> dict[str, str]:
        """The state of each run by what the table of one server's runs page says of it."""
        with self.session(number) as session:
            session.open("runs")
            tables = session.of_kind("dataframe")
            if not tables:
                return {}
            with pyarrow.ipc.open_stream(io.BytesIO(tables[0].arrow_data.data)) as stream:
                table = stream.read_all().to_pydict()
        return dict(zip(table["Name"], table["State"], strict=True))


@pytest.fixture(scope="module")
def servers(tmp_path_factory, drawings) -> Iterator[Servers]:
    """Two servers with drawings for all."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(drawings, folder / "cache" / "photos" / "drawings")
    with ExitStack() as stack:
        yield Servers(folder, stack)
    for log in folder.glob("*/server.log"):
        assert "Traceback" not in log.read_text()


def until(true: Callable[[], bool], look: Callable[[], object] = lambda: None) -> None:
    """Look again and again until something is true; fails where it never is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        look()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def states(servers: Servers) -> dict[Path, str]:
    """The state of each run, as its files tell."""
    return {path: status["state"] for path, status in read_statuses(servers.folder / "runs").items()}


@pytest.mark.slow
def test_runs_of_both_are_worked_on_once_in_turn_and_told_alike(servers):
    starters = [
        threading.Thread(target=servers.start, args=(number, {"head": 2.0, "fine-tune": 0.0})) for number in (0, 1)
    ]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(servers.runs()) == 2
    seen: list[dict[Path, str]] = []
    compared = 0

    def look() -> None:
        nonlocal compared
        before = states(servers)
        seen.append(before)
        shown = [sorted(servers.shown_states(number).values()) for number in (0, 1)]
        if states(servers) == before:
            assert shown == [sorted(before.values())] * 2
            compared += 1

    until(lambda: set(states(servers).values()) == {"done"}, look)
    look()
    assert compared
    assert all(list(each.values()).count("running") <= 1 for each in seen)
    for folder in servers.runs():
        events = [event["event"] for event in read_events(folder)[0]]
        assert events.count("result") == 1
        assert [event["epoch"] for event in read_events(folder)[0] if event["event"] == "epoch"] == [1, 2]


@pytest.mark.slow
def test_a_run_is_stopped_from_the_other_server(servers):
    before = servers.runs()
    servers.start(0, MANY_EPOCHS)
    (folder,) = servers.runs() - before
    with servers.session(1) as session:
        session.open()
        until(lambda: any(button.label == "Stop" for button in session.of_kind("button")), session.rerun)
        session.click("Stop")
    until(lambda: read_status(folder)["state"] not in ("queued", "running"))
    assert read_status(folder)["state"] == "stopped"


@pytest.mark.slow
def test_a_server_that_ends_takes_no_run_along(servers):
    before = servers.runs()
    servers.start(0, {"head": 30.0, "fine-tune": 1.0})
    (folder,) = servers.runs() - before
    servers.stacks[0].close()
    until(lambda: read_status(folder)["state"] == "done")
    assert "done" in servers.shown_states(1).values()
    assert [event["event"] for event in read_events(folder)[0]].count("result") == 1


def test_a_run_of_another_machine_is_told_by_its_lock_or_its_heart(tmp_path, monkeypatch):
    run = create_run(small_config(tmp_path, backbone="starter"), tmp_path / "runs" / "20260101-000000-a")
    folder = run.folder
    elsewhere = {"state": "running", "pid": 2**22, "host": "elsewhere", "started": time.time(), "message": ""}
    # Its process number says nothing here: its heart beats, so it lives.
    write_json(folder / "status.json", elsewhere | {"updated": time.time()})
    assert read_status(folder)["state"] == "running"
    # It has been silent, or its clock is another: its lock is held, so it lives.
    write_json(folder / "status.json", elsewhere | {"updated": time.time() - 1_000})
    with working_lock(folder):
        assert read_status(folder)["state"] == "running"
    assert read_status(folder)["state"] == "lost"


def test_two_sweeps_at_once_remove_what_has_gone_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CATDOG_PUBLIC", "1")
    monkeypatch.setenv("CATDOG_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("CATDOG_CACHE", str(tmp_path / "cache"))
    owners = [owner_with(f"{number:043}") for number in range(5)]
    for owner in owners:
        run = create_run(small_config(tmp_path, backbone="starter"), owner=owner)
        Run(run.folder).set_state("done")
        visitors.visit_file(tmp_path / "runs", owner).parent.mkdir(exist_ok=True)
        visitors.visit_file(tmp_path / "runs", owner).touch()
        visitors.os.utime(visitors.visit_file(tmp_path / "runs", owner), (0, 0))
    gone: list[str] = []
    together = threading.Barrier(2)
    errors: list[BaseException] = []

    def sweep() -> None:
        together.wait()
        try:
            visitors.sweep(gone.append)
        except BaseException as error:
            errors.append(error)

    sweeps = [threading.Thread(target=sweep) for _ in range(2)]
    for each in sweeps:
        each.start()
    for each in sweeps:
        each.join()
    assert not errors
    assert sorted(gone) == sorted(owners)
    assert not list((tmp_path / "runs").glob("2*"))
