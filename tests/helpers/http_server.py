"""A web server on 127.0.0.1 that stands in for the internet, and misbehaves as a test wishes."""

import http.server
import re
import threading
from typing import NamedTuple

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Asked(NamedTuple):
    """One request as it came in: `target` is a path, or a whole URL where the server was used as a proxy."""

    method: str
    target: str
    range: str | None


class Server:
    """Serves `content` under every address while its `with` block lasts; what it was asked is in `asked`.

    As a proxy it answers for every host by itself (so any made-up name works), and refuses CONNECT. All
    settings may be changed between two requests: `ranges` (whether Range is obeyed), `skipped_bytes` (how far
    behind the asked start a partial reply begins), `with_length` (whether Content-Length is sent), `status`
    (answer this instead), `cuts` (how many replies still break off, after `cut_after` bytes), `stall_after`
    (send no more than so many bytes of a reply, and keep silent), `piece_bytes` and `pause_seconds` (how
    slowly).
    """

    def __init__(self, content: bytes = b"", **settings):
        self.content = content
        self.ranges = True
        self.skipped_bytes = 0
        self.with_length = True
        self.status = None
        self.cuts = 0
        self.cut_after = 0
        self.stall_after = None
        self.piece_bytes = 1 << 16
        self.pause_seconds = 0.0
        for name, value in settings.items():
            if not hasattr(self, name):
                raise TypeError(f"there is no setting {name}")
            setattr(self, name, value)
        self.asked: list[Asked] = []
        self.closing = threading.Event()

    def __enter__(self):
        self.listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.listener.daemon_threads = False  # so that closing waits for the replies' threads
        self.listener.stand_in = self
        self.root = f"http://127.0.0.1:{self.listener.server_port}"
        self.url = self.root + "/file.bin"
        self.thread = threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.closing.set()
        self.listener.shutdown()
        self.thread.join()
        self.listener.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        stand_in = self.server.stand_in
        stand_in.asked.append(Asked(self.command, self.path, self.headers["Range"]))
        if stand_in.status:
            self.send_error(stand_in.status)
            return
        start = 0
        if stand_in.ranges and self.headers["Range"]:
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"]).group(1)) + stand_in.skipped_bytes
        size = len(stand_in.content)
        if start and start >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if stand_in.with_length:
            self.send_header("Content-Length", str(size - start))
        self.end_headers()
        self.send_body(memoryview(stand_in.content)[start:])

    def send_body(self, body):
        stand_in = self.server.stand_in
        if stand_in.cuts:
            stand_in.cuts -= 1
            body = body[: stand_in.cut_after]
        stalls = stand_in.stall_after is not None
        if stalls:
            body = body[: stand_in.stall_after]
        try:
            for begin in range(0, len(body), stand_in.piece_bytes):
                self.wfile.write(body[begin : begin + stand_in.piece_bytes])
                if stand_in.pause_seconds and stand_in.closing.wait(stand_in.pause_seconds):
                    return
        except OSError:
            return  # the client has gone, which some tests are about
        if stalls:
            stand_in.closing.wait()

    def do_CONNECT(self):
        self.server.stand_in.asked.append(Asked(self.command, self.path, None))
        self.send_error(403)

    def log_message(self, *_):
        """Nothing is printed."""


def clear_proxies(monkeypatch) -> None:
    """Takes this machine's own proxies out of the environment, so that 127.0.0.1 is asked directly."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def closed_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with Server() as server:
        return server.listener.server_port
