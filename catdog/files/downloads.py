"""A file from the internet, whole and checked or not at all; what broke off goes on where it was."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
import urllib3
from filelock import FileLock, Timeout

from catdog.errors import Failed, Stopped

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0  # the longest silence that is waited for; a slow download may take any time
RETRIES = 4
RETRY_WAIT_SECONDS = 1.0  # before the first retry; each further one waits that much longer
POLL_SECONDS = 0.1  # how often a wait looks whether to stop
PROGRESS_SECONDS = 0.1
MAX_BYTES = 1_000_000_000  # of a file whose size the caller doesn't know
CHUNK_BYTES = 1 << 17

Progress = Callable[[int, int | None], object]


class _Unusable(Failed):
    """What arrived is not what was asked for, so that keeping a part of it helps nobody."""


class _Broken(Exception):
    """The network failed; the text is the reason, as it stands in brackets in a sentence."""


def fetch(
    url: str,
    destination: Path,
    *,
    what: str,
    way_out: str,
    size: int | None = None,
    md5: str | None = None,
    on_progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """The path of a file downloaded once: it appears whole, and checked by size (bytes) and MD5 where given.

    `what` begins each sentence ("The ImageNet weights") and `way_out` ends it, full stop included. Calls
    `on_progress(done_bytes, total_bytes or None)` at most ten times a second and once at the end. Raises
    `Failed`, or `Stopped` once `should_stop()` is true; the part that came is kept for the next call in
    `destination` + ".part", unless it is wrong.
    """
    if destination.is_file():
        return destination
    download = _Download(url, destination, what, way_out, size, md5, on_progress, should_stop)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with download.alone():
            # Another process may have finished it while this one waited for the lock.
            if not destination.is_file():
                download.run()
    except OSError as error:
        raise Failed(
            f"{what} could not be written to {destination.parent} ({error.strerror or error}): "
            "make room there or make it writable, and try again."
        ) from error
    return destination


@dataclass
class _Download:
    """One download: what was asked for, and how far it has come."""

    url: str
    destination: Path
    what: str
    way_out: str
    size: int | None
    md5: str | None
    on_progress: Progress | None
    should_stop: Callable[[], bool] | None

    def __post_init__(self):
        self.host = self.checked_host()
        self.part = self.destination.with_name(self.destination.name + ".part")
        self.limit = self.size or MAX_BYTES
        self.total = self.size
        self.received = 0  # by this call, where `done` counts what an earlier one left as well
        self.reported = 0.0
        self.start_over()

    def start_over(self) -> None:
        """Forgets what is done; the file itself is overwritten when something new comes."""
        self.done = 0
        self.hash = hashlib.md5(usedforsecurity=False)

    def checked_host(self) -> str:
        """The host as people are told it, without a password; raises `Failed` for what isn't http or https."""
        self.host = self.url
        try:
            address = urlsplit(self.url)
        except ValueError as error:
            raise self.failure("that is no web address") from error
        if address.scheme not in ("http", "https") or not address.hostname:
            raise self.failure("only http and https addresses can be downloaded from")
        return address.netloc.rpartition("@")[2]

    def failure(self, reason: str, kind: type[Failed] = Failed) -> Failed:
        """The error to raise, in one sentence."""
        return kind(f"{self.what} could not be downloaded from {self.host} ({reason}): {self.way_out}")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other process downloads to the same place; raises `Stopped`."""
        lock = FileLock(self.destination.with_name(self.destination.name + ".lock"))
        while not lock.is_locked:
            self.look_whether_to_stop()
            try:
                lock.acquire(timeout=POLL_SECONDS, poll_interval=POLL_SECONDS / 2)
            except Timeout:
                continue
        try:
            yield
        finally:
            lock.release()

    def run(self) -> None:
        """Downloads what is missing, checks the whole and puts it in place."""
        try:
            self.take_up_part()
            if self.done != self.size:
                self.receive_all()
            self.check()
        except _Unusable:
            self.part.unlink(missing_ok=True)
            raise
        self.part.replace(self.destination)
        self.total = self.done
        self.report(last=True)

    def take_up_part(self) -> None:
        """Counts and hashes what an earlier call left, and drops it where it can't become the file."""
        if not self.part.is_file():
            return
        with self.part.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                self.done += len(chunk)
                self.hash.update(chunk)
        wrong = self.done == self.size and self.md5 is not None and self.hash.hexdigest() != self.md5.lower()
        if wrong or self.done > (self.limit):
            self.part.unlink()
            self.start_over()

    def receive_all(self) -> None:
        """Receives up to the end; tries again after a break as long as each try brings something."""
        retries = 0
        with requests.Session() as session:
            while True:
                before = self.received
                try:
                    self.receive(session)
                    return
                except _Broken as error:
                    if self.received == before or retries == RETRIES:
                        raise self.failure(str(error)) from error
                retries += 1
                self.wait(retries * RETRY_WAIT_SECONDS)

    def receive(self, session: requests.Session) -> None:
        """Asks once for what is missing and appends what comes to the part; raises `_Broken`, `Failed`."""
        self.look_whether_to_stop()
        headers = {"Accept-Encoding": "identity"}
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
        with _network():
            response = session.get(self.url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS))
        with response:
            start, total = _offer(response)
            resumed = response.status_code == 206 and start == self.done > 0
            if response.status_code == 200 or resumed:
                self.require_size(total)
                self.total = total or self.size
                if not resumed:
                    self.start_over()
                with self.part.open("ab" if resumed else "wb") as file:
                    self.receive_body(response, file)
                if total is not None and self.done < total:
                    raise _Broken("the connection broke off")
                return
            if response.status_code == 416 and total == self.done > 0:
                return  # nothing is missing
            if not (self.done and response.status_code in (206, 416)):
                raise self.failure(f"it answered {response.status_code} {response.reason}".rstrip())
        # The part doesn't fit what is there today.
        self.start_over()
        self.receive(session)

    def receive_body(self, response: requests.Response, file: BinaryIO) -> None:
        """Appends a reply's bytes to the open part, never more of them than expected."""
        while True:
            self.look_whether_to_stop()
            # read1 hands over whatever has come: on a slow line, waiting for a full chunk would
            # let nobody see progress or stop, and lose what has come when the line breaks.
            with _network():
                chunk = response.raw.read1(CHUNK_BYTES, decode_content=False)
            if not chunk:
                return
            if self.done + len(chunk) > (self.limit):
                raise self.failure(f"it sent more than the {self.limit:,} bytes expected", _Unusable)
            file.write(chunk)
            self.hash.update(chunk)
            self.done += len(chunk)
            self.received += len(chunk)
            self.report()

    def require_size(self, total: int | None) -> None:
        """Raises `Failed` where the server announces another size than expected; nothing has come yet."""
        if total is None:
            return
        if self.size is not None and total != self.size:
            raise self.failure(f"it offers {total:,} bytes instead of the {self.size:,} expected")
        if total > MAX_BYTES and self.size is None:
            raise self.failure(f"it offers {total:,} bytes, more than the {MAX_BYTES:,} allowed")

    def check(self) -> None:
        """Raises `_Unusable` where the size or the MD5 of the whole is not the expected one."""
        if self.size is not None and self.done != self.size:
            raise self.failure(f"it sent {self.done:,} bytes instead of the {self.size:,} expected", _Unusable)
        if self.md5 is not None and self.hash.hexdigest() != self.md5.lower():
            raise self.failure(
                f"it sent a file with the MD5 {self.hash.hexdigest()} instead of the {self.md5.lower()} expected",
                _Unusable,
            )

    def report(self, *, last: bool = False) -> None:
        """Passes the progress on, unless it did so a moment ago."""
        now = time.monotonic()
        if self.on_progress and (last or now - self.reported >= PROGRESS_SECONDS):
            self.reported = now
            self.on_progress(self.done, self.total)

    def wait(self, seconds: float) -> None:
        """Waits, and raises `Stopped` soon after that is asked for."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.look_whether_to_stop()
            time.sleep(min(left, POLL_SECONDS))

    def look_whether_to_stop(self) -> None:
        """Raises `Stopped` where that is asked for."""
        if self.should_stop and self.should_stop():
            raise Stopped(
                f"{self.what} did not arrive whole, because the download was stopped: "
                "what has come is kept, and the next try goes on from there."
            )


def _offer(response: requests.Response) -> tuple[int | None, int | None]:
    """Where the bytes of a reply start, and how many the whole file has; None where the server doesn't say."""
    if match := re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "")):
        start, total = match.groups()
        return start and int(start), None if total == "*" else int(total)
    length = response.headers.get("Content-Length", "")
    return None, int(length) if response.status_code == 200 and length.isdecimal() else None


@contextmanager
def _network() -> Iterator[None]:
    """Tells the network's failures from those of the disk: raises `_Broken` with the reason."""
    try:
        yield
    # The exceptions of requests are OSErrors; urllib3 has its own while a body is read.
    except (OSError, urllib3.exceptions.HTTPError) as error:
        raise _Broken(_reason(error)) from error


def _reason(error: Exception) -> str:
    """What went wrong on the way, in a few words."""
    known = (requests.RequestException, urllib3.exceptions.HTTPError)
    # requests raises a bare OSError where the certificates that the environment names are missing.
    if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError) or not isinstance(error, known):
        return "its certificate could not be verified"
    if isinstance(error, requests.exceptions.ProxyError | requests.exceptions.InvalidProxyURL):
        return "the proxy gave no connection"
    if isinstance(error, requests.ConnectionError):  # ConnectTimeout is one as well
        return "no connection"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"nothing came for {READ_SECONDS:g} seconds"
    if isinstance(error, requests.TooManyRedirects):
        return "it sends from one address to the next"
    if isinstance(error, ValueError):
        return "that is no web address"
    return "the connection broke off"
