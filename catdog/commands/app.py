"""What `app` does: Streamlit serves the pages with our own settings, whatever folder this is typed in."""

import argparse
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from catdog.commands.arguments import parse_port, program
from catdog.errors import Failed, Refused
from catdog.places import WORKING_FOLDER_VARIABLE, app_script, search_path
from catdog.plain_text import say
from catdog.public_mode import VARIABLE, is_public

ADDRESS_VARIABLE, PORT_VARIABLE = "STREAMLIT_SERVER_ADDRESS", "STREAMLIT_SERVER_PORT"
SECRETS_VARIABLE = "STREAMLIT_SECRETS_FILES"
HERE_ALONE = "localhost"
EVERYWHERE = ("0.0.0.0", "::")
# Where Streamlit begins to look for a free port, too, and so many others after it.
FIRST_PORT, PORTS = 8501, 100
LOOK_SECONDS = 0.1
# Streamlit waits for what its pages are at; nobody who pressed Ctrl-C waits for that.
GOODBYE_SECONDS = 10
ALWAYS_ENDING = (signal.SIGINT, signal.SIGTERM)


def app_command(arguments: argparse.Namespace, console: TextIO) -> int:
    """Serve the app until a signal ends it; say which address to open once it can be opened."""
    public = arguments.public or is_public()
    # A flag comes before Streamlit's own variable, which comes before what we would choose.
    address = arguments.address or os.environ.get(ADDRESS_VARIABLE) or HERE_ALONE
    port = choose_port(address, arguments.port)
    with ending_on_signals(), server_at(address, port, public, console) as server:
        while not answers(address, port):
            if server.poll() is not None:
                raise Failed(f"The app could not be started (exit status {server.returncode}).")
            time.sleep(LOOK_SECONDS)
        for line in welcome(address, port, public):
            say(line, sys.stdout)
        if server.wait():
            raise Failed(f"The app ended by itself (exit status {server.returncode}): start it anew.")
    return 0


def choose_port(address: str, wanted: int | None) -> int:
    """The port that was asked for, or else the first free one; raises `Refused` where it can't be had."""
    named = os.environ.get(PORT_VARIABLE)
    if named and not wanted:
        try:
            wanted = parse_port(named)
        except argparse.ArgumentTypeError as error:
            raise Refused(f"{PORT_VARIABLE}: {error}.") from None
    for port in [wanted] if wanted else range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            try_port(address, port)
        except (OSError, UnicodeError) as error:  # the latter for what no name of a machine can be
            if not isinstance(error, OSError) or error.errno != errno.EADDRINUSE:
                reason = getattr(error, "strerror", None) or "there is no such address"
                raise Refused(
                    f"The app can't listen at {address}, port {port} ({reason}): name another --address or --port, or "
                    "leave both out."
                ) from None
        else:
            return port
    if wanted:
        raise Refused(f"Port {wanted} is taken: name another one, or leave out --port for the next that is free.")
    raise Refused(f"The ports from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are taken: name another one with --port.")


def try_port(address: str, port: int) -> None:
    """Raise `OSError` where a server could not listen there, as Streamlit's would."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as tried:
        # What an ended server leaves behind for a minute is in nobody's way.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind((address, port))


@contextmanager
def server_at(address: str, port: int, public: bool, console: TextIO) -> Iterator[subprocess.Popen]:
    """Streamlit in a process of its own, which is ended afterwards."""
    script = app_script()
    # Streamlit's own words on where it listens would stand beside ours, and look like another address.
    flags = {"server.address": address, "server.port": port, "logger.hideWelcomeMessage": "true"}
    quiet = {"STREAMLIT_LOGGER_LEVEL": "warning"}
    if SECRETS_VARIABLE not in os.environ:
        # Streamlit looks for them again later, when its pages have gone to the working folder.
        flags["secrets.files"] = script.parent / ".streamlit" / "secrets.toml"
    paths = {WORKING_FOLDER_VARIABLE: str(Path.cwd()), "PYTHONPATH": search_path()}
    # -P: what lies in that folder, such as a random.py, is none of Python's modules.
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(script)]
    server = subprocess.Popen(
        [*command, *(f"--{name}={value}" for name, value in flags.items())],
        # In the working folder Streamlit would also read the settings and secrets of another project there.
        cwd=script.parent,
        env={**quiet, **os.environ, **({VARIABLE: "1"} if public else {}), **paths},
        stdin=subprocess.DEVNULL,
        stderr=console,
        # A session of its own: Ctrl-C while Python still loads Streamlit would end in a traceback there.
        start_new_session=True,
    )
    try:
        yield server
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(GOODBYE_SECONDS)
        server.kill()
        server.wait()


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Leave the block on Ctrl-C, on SIGTERM, and when the terminal is closed; that is how an app is meant to end."""

    def leave(number: int, frame: object) -> None:
        # One is enough; the next must not break off what ends the server.
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in names)}
    # nohup has the last one ignored, as is meant. A script ignores the first for what it starts with &, but that one
    # ends all the same, as Streamlit does.
    numbers = [each for each in before if each in ALWAYS_ENDING or before[each] != signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, leave)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def answers(address: str, port: int) -> bool:
    """Whether a server answers there by now: it listens earlier, but is not yet ready for a signal then."""
    with suppress(OSError), socket.create_connection((reached_at(address), port), timeout=1) as asked:
        asked.sendall(b"GET /_stcore/health HTTP/1.0\r\n\r\n")
        asked.recv(1)
        return True
    return False


def reached_at(address: str) -> str:
    """The name under which this machine itself reaches what listens at an address."""
    return HERE_ALONE if address in EVERYWHERE else address


def welcome(address: str, port: int, public: bool) -> Iterator[str]:
    """The lines that say where the app is, who can open it, and how it is ended."""
    host = reached_at(address)
    yield f"Open http://{f'[{host}]' if ':' in host else host}:{port} in your browser."
    if address == HERE_ALONE or address.startswith("127.") or address == "::1":
        others = f"{program()} app --address {EVERYWHERE[0]}"
        yield f"Only this computer can open it; to let others on your network do so: {others}"
    elif public:
        yield "Others who reach this computer can open it, too; each sees their own photos and runs alone."
    else:
        yield (
            "Others who reach this computer can open it, too, and see all photos and runs; with --public each sees "
            "their own alone."
        )
    yield "Ctrl-C ends it; a training that has begun goes on."
