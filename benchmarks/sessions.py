"""A visitor of the app without a browser: what a page shows, what is clicked and uploaded, by Streamlit's protocol."""

import secrets
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileUploaderState, UploadedFileInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect

PATIENCE_SECONDS = 300.0
XSRF_COOKIE = "_streamlit_xsrf"


class PageError(Exception):
    """Raised where a page shows an exception, or doesn't show what it should."""


class Session:
    """One visitor's session; `cookies` are those that a browser would have kept, and are kept here, too."""

    def __init__(self, address: str, cookies: dict[str, str] | None = None):
        self.address = address
        self.cookies = dict(cookies or {})
        self.elements: dict[tuple[int, ...], Any] = {}
        self.widgets: dict[str, WidgetState] = {}
        self.page = ""
        self.pages: dict[str, str] = {}  # hashes by their paths in the address
        self.session_id = ""
        with urllib.request.urlopen(f"{address}/_stcore/health") as answer:
            for header in answer.headers.get_all("Set-Cookie") or []:
                name, _, value = header.partition(";")[0].partition("=")
                self.cookies[name] = value
        self.connected = ExitStack()
        connection = connect(
            f"ws://{urlsplit(address).netloc}/_stcore/stream",
            origin=address,
            subprotocols=["streamlit", self.cookies[XSRF_COOKIE]],
            additional_headers={"Cookie": self.cookie_header()},
            max_size=None,
            open_timeout=PATIENCE_SECONDS,
        )
        self.socket = self.connected.enter_context(connection)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self.connected.close()

    def cookie_header(self) -> str:
        """The cookies as a request has them."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def send(self, **fields: Any) -> None:
        """Send a message of one kind."""
        self.socket.send(BackMsg(**fields).SerializeToString())

    def receive(self) -> ForwardMsg:
        """The next message."""
        message = ForwardMsg()
        message.ParseFromString(self.socket.recv(timeout=PATIENCE_SECONDS))
        return message

    def open(self, page: str = "") -> None:
        """Open a page by its path in the address."""
        self.page = page
        self.widgets = {}
        self.rerun()

    def rerun(self) -> None:
        """Let the page run with the widgets as they are, to its end; raises `PageError` where it shows an exception."""
        state = BackMsg().rerun_script
        state.page_script_hash = self.pages.get(self.page, "")
        state.page_name = "" if state.page_script_hash else self.page
        state.widget_states.widgets.extend(self.widgets.values())
        self.send(rerun_script=state)
        finished = ForwardMsg.ScriptFinishedStatus
        while True:
            message = self.receive()
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.elements = {}
                self.session_id = message.new_session.initialize.session_id or self.session_id
            elif kind == "navigation":
                self.pages = {
                    "" if page.is_default else page.url_pathname: page.page_script_hash
                    for page in message.navigation.app_pages
                }
            elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                self.elements[tuple(message.metadata.delta_path)] = message.delta.new_element
            elif kind == "script_finished" and message.script_finished != finished.FINISHED_EARLY_FOR_RERUN:
                break
        # A click counts once.
        self.widgets = {key: state for key, state in self.widgets.items() if not state.trigger_value}
        exceptions = self.of_kind("exception")
        if exceptions:
            raise PageError(f"{exceptions[0].type}: {exceptions[0].message}")
        self.keep_cookie()

    def keep_cookie(self) -> None:
        """Keep what a script on the page sets as a cookie."""
        for element in self.of_kind("html"):
            _, found, rest = element.body.partition('document.cookie = "')
            if found:
                name, _, value = rest.partition(";")[0].partition("=")
                self.cookies[name] = value

    def of_kind(self, kind: str) -> list[Any]:
        """All elements of a kind, in the order in which they stand on the page."""
        found = ((path, each) for path, each in self.elements.items() if each.WhichOneof("type") == kind)
        return [getattr(each, kind) for _, each in sorted(found, key=lambda pair: pair[0])]

    def widget(self, kind: str, label: str) -> Any:
        """The widget of that label; raises `PageError` where there is none."""
        found = next((each for each in self.of_kind(kind) if each.label == label), None)
        if found is None:
            raise PageError(f"There is no {kind} {label} on the page {self.page or 'train'}.")
        return found

    def texts(self) -> str:
        """All that the page says in words."""
        found = [each.body for kind in ("markdown", "html", "alert", "heading") for each in self.of_kind(kind)]
        return "\n".join(found)

    def click(self, label: str) -> None:
        """Press a button."""
        identity = self.widget("button", label).id
        self.widgets[identity] = WidgetState(id=identity, trigger_value=True)
        self.rerun()

    def set(self, kind: str, label: str, **value: Any) -> None:
        """Give a widget a value, as in `double_value=3.0`."""
        identity = self.widget(kind, label).id
        self.widgets[identity] = WidgetState(id=identity, **value)
        self.rerun()

    def upload(self, label: str, files: Sequence[tuple[str, bytes]]) -> None:
        """Choose files for an uploader."""
        identity = self.widget("file_uploader", label).id
        infos = []
        for (name, content), urls in zip(files, self.file_urls([name for name, _ in files]), strict=True):
            self.put(urls.upload_url, name, content)
            infos.append(UploadedFileInfo(name=name, size=len(content), file_id=urls.file_id, file_urls=urls))
        value = FileUploaderState(uploaded_file_info=infos)
        self.widgets[identity] = WidgetState(id=identity, file_uploader_state_value=value)
        self.rerun()

    def file_urls(self, names: Sequence[str]) -> list[Any]:
        """Where files of these names are to be put."""
        request = BackMsg().file_urls_request
        request.request_id, request.session_id = secrets.token_hex(8), self.session_id
        request.file_names.extend(names)
        self.send(file_urls_request=request)
        while True:
            message = self.receive()
            if message.WhichOneof("type") == "file_urls_response":
                return list(message.file_urls_response.file_urls)

    def put(self, url: str, name: str, content: bytes) -> None:
        """Send a file as a browser's form does."""
        boundary = secrets.token_hex(16)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Cookie": self.cookie_header()}
        headers["X-Xsrftoken"] = self.cookies[XSRF_COOKIE]
        request = urllib.request.Request(self.address + url, body, headers, method="PUT")
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            answer.read()

    def get(self, url: str) -> bytes:
        """What lies at a path of the server."""
        with urllib.request.urlopen(self.address + url, timeout=PATIENCE_SECONDS) as answer:
            return answer.read()

    def until(self, words: str, seconds: float = PATIENCE_SECONDS, wait: float = 1.0) -> None:
        """Look at the page again and again until it says something; raises `PageError` where it never does."""
        deadline = time.monotonic() + seconds
        while words not in self.texts():
            if time.monotonic() > deadline:
                raise PageError(f"The page never said {words}; it said:\n{self.texts()[-1500:]}")
            time.sleep(wait)
            self.rerun()
