"""The command `app`: where it listens, what it says of that, and how it ends; and what the program calls itself."""

import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from helpers.app_command import make_foreign, started_app
from helpers.http_server import closed_port

from catdog import __version__
from catdog.__main__ import main
from catdog.commands import app
from catdog.commands.app import choose_port, welcome
from catdog.errors import Refused


@pytest.fixture
def taken():
    """A port at which somebody listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def can_connect(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as mine:
        mine.settimeout(5)
        return mine.connect_ex((host, port)) == 0


WRONG = {
    "no port": (["--port", "0"], "--port: 0 is not a whole number from 1 to 65535; see python -m catdog app --help."),
    "port too high": (["--port", "65536"], "--port: 65536 is not a whole number from 1 to 65535"),
    "port in words": (["--port", "any"], "--port: any is not a whole number from 1 to 65535"),
    "another's address": (["--address", "192.0.2.1"], "The app can't listen at 192.0.2.1, port 8"),
    "no address": (["--address", "x" * 100], f"The app can't listen at {'x' * 100}, port 8"),
    "unknown flag": (["--open"], "Unrecognized arguments: --open"),
}


@pytest.mark.parametrize(("flags", "telling"), WRONG.values(), ids=WRONG)
def test_wrong_flags_are_refused_in_one_sentence(flags, telling, capfd):
    assert main(["app", *flags]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(telling)
    assert err.count("\n") == 1
    assert err.endswith(".\n")


def test_a_port_that_is_taken_is_refused_in_one_sentence(taken, capfd, monkeypatch):
    sentence = f"Port {taken} is taken: name another one, or leave out --port for the next that is free.\n"
    assert main(["app", "--port", str(taken)]) == 2
    assert capfd.readouterr() == ("", sentence)
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", str(taken))
    assert main(["app"]) == 2
    assert capfd.readouterr() == ("", sentence)


def test_without_a_port_the_first_free_one_is_taken(taken, monkeypatch):
    monkeypatch.delenv("STREAMLIT_SERVER_PORT", raising=False)
    monkeypatch.setattr(app, "FIRST_PORT", taken)
    assert taken < choose_port("localhost", None) < taken + 100
    monkeypatch.setattr(app, "PORTS", 1)
    with pytest.raises(Refused, match=f"^The ports from {taken} to {taken} are taken: name another one with --port.$"):
        choose_port("localhost", None)


def test_streamlits_own_variable_names_the_port_where_no_flag_does(monkeypatch):
    free, other = closed_port(), closed_port()
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", str(free))
    assert choose_port("localhost", None) == free
    assert choose_port("localhost", other) == other
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", "http")
    with pytest.raises(Refused, match=r"^STREAMLIT_SERVER_PORT: http is not a whole number from 1 to 65535\.$"):
        choose_port("localhost", None)


@pytest.mark.parametrize(
    ("address", "public", "opened", "others"),
    [
        ("localhost", False, "localhost", "Only this computer can open it; to let others on your network do so: "),
        ("127.0.0.1", True, "127.0.0.1", "Only this computer can open it"),
        ("::1", False, "[::1]", "Only this computer can open it"),
        ("0.0.0.0", False, "localhost", "Others who reach this computer can open it, too, and see all photos and runs"),
        ("::", True, "localhost", "Others who reach this computer can open it, too; each sees their own"),
    ],
)
def test_it_says_what_to_open_and_who_else_can(address, public, opened, others):
    first, second, *_ = welcome(address, 8501, public)
    assert first == f"Open http://{opened}:8501 in your browser."
    assert second.startswith(others)


@pytest.fixture
def closed_terminals_end_programs():
    """Whoever started the tests may have had that ignored, as nohup does."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("closed_terminals_end_programs")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_listens_for_this_computer_alone_and_a_signal_ends_it_quietly(number, tmp_path):
    port = closed_port()
    with started_app(make_foreign(tmp_path / "other"), "--port", str(port)) as started:
        assert started.lines == [
            f"Open http://localhost:{port} in your browser.",
            "Only this computer can open it; to let others on your network do so: python -m catdog app "
            "--address 0.0.0.0",
            "Ctrl-C ends it; a training that has begun goes on.",
        ]
        assert can_connect("127.0.0.1", port)
        # Another address of this same machine, which stands for those of its network.
        assert not can_connect("127.0.0.2", port)
        assert started.end(number) == 0
    assert not can_connect("127.0.0.1", port)
    assert [line.strip() for line in started.lines[3:]] == ["Stopping..."]


def test_it_listens_for_the_network_when_told_to(tmp_path):
    port = closed_port()
    with started_app(tmp_path, "--port", str(port), "--address", "0.0.0.0", "--public") as started:
        assert started.lines[0] == f"Open http://localhost:{port} in your browser."
        assert can_connect("127.0.0.2", port)


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_ctrl_c_while_it_still_starts_prints_no_traceback(seconds, tmp_path):
    port = closed_port()
    with started_app(tmp_path, "--port", str(port), wait=False) as started:
        while not started.process.poll() and not child_of(started.process.pid):
            time.sleep(0.01)
        time.sleep(seconds)
        assert started.end(signal.SIGINT) == 0
    assert not [line for line in started.lines if "Traceback" in line]
    assert not can_connect("127.0.0.1", port)


def test_signals_that_whoever_started_it_ignores_end_it_except_that_of_a_closed_terminal(tmp_path):
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        with started_app(tmp_path, "--port", str(closed_port())) as started:
            started.process.send_signal(signal.SIGHUP)
            time.sleep(1)
            assert started.process.poll() is None
            assert started.end(signal.SIGINT) == 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def child_of(pid: int) -> str:
    """The processes that this one has started."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def test_the_version_is_printed_alone(capfd):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code
    assert capfd.readouterr() == (f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("started_as", "name"),
    [("/usr/local/bin/catdog", "catdog"), ("catdog.exe", "catdog"), ("/x/catdog/__main__.py", "python -m catdog")],
)
def test_help_names_the_command_as_it_was_typed(started_as, name, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", [started_as])
    with pytest.raises(SystemExit):
        main(["app", "--help"])
    assert capfd.readouterr().out.startswith(f"usage: {name} app [-h] [--port NUMBER]")
    assert main(["app", "--port", "x"]) == 2
    assert capfd.readouterr().err.endswith(f"see {name} app --help.\n")
