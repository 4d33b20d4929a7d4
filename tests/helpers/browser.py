"""The app in a real browser: a server of its own in a folder of its own, and Debian's Chromium."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from helpers.places import REPOSITORY

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What shared machines may take for a page; nothing is asserted of how long it took.
PATIENCE = 120_000  # milliseconds

expect.set_options(timeout=PATIENCE)


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def served(folder: Path, port: int | None = None, **environment: str) -> Iterator[str]:
    """Start the app with its runs and cache in this folder, and no network; gives its address."""
    port = port or free_port()
    settings = {
        "CATDOG_RUNS": str(folder / "runs"),
        "CATDOG_CACHE": str(folder / "cache"),
        # Where nobody listens: whatever wants the internet is refused at once.
        "CATDOG_WEIGHTS_URL": "http://127.0.0.1:9/weights.h5",
        "CATDOG_TUTORIAL_URL": "http://127.0.0.1:9/photos.zip",
    }
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "streamlit", "run", "streamlit_app.py"),
                *("--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"),
            ],
            cwd=REPOSITORY,
            env={**os.environ, **settings, **environment},
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for_server(address, server)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for_server(address: str, server: subprocess.Popen) -> None:
    """Wait until the server answers; fails if it has ended."""
    for _ in range(600):
        assert server.poll() is None, "the server ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
            return
        time.sleep(0.1)
    raise AssertionError("the server does not answer")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, started for the `with` block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """The folder with the server's runs and cache."""
    return tmp_path_factory.mktemp("app")


@pytest.fixture(scope="module")
def address(place):
    with served(place) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def open_page(browser: Browser, address: str, width: int = 1280, height: int = 800, dark: bool = False) -> Page:
    """A new visitor's page at an address."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", accept_downloads=True
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(address)
    settle(page)
    return page


def settle(page: Page) -> None:
    """Wait until the page has shown everything that its last run made."""
    page.locator('[data-testid="stMainBlockContainer"] [data-testid="stVerticalBlock"]').first.wait_for()
    quiet = 0
    for _ in range(400):
        busy = page.locator(
            '[data-testid="stStatusWidget"], [data-stale="true"], [data-testid="stSkeleton"], [data-testid="stSpinner"]'
        )
        quiet = 0 if busy.count() else quiet + 1
        if quiet == 4:
            return
        page.wait_for_timeout(150)


def fill(page: Page, label: str, value: str) -> None:
    """Type a number into a field and leave it."""
    field = page.get_by_role("spinbutton", name=label)
    field.fill(value)
    field.press("Enter")
    settle(page)


def choose(page: Page, label: str, option: str) -> None:
    """Choose an option of a select box by the beginning of its words."""
    wanted = page.get_by_role("option", name=option).first
    for _ in range(10):
        page.get_by_role("combobox", name=label).click()
        try:
            wanted.click(timeout=5_000)
            break
        except PlaywrightTimeoutError:
            # A page that is made anew, as when a check of the photos ends, folds its lists up.
            settle(page)
    settle(page)


def draw(page: Page) -> None:
    """Choose the drawings, and draw them unless that was done."""
    page.get_by_role("radio", name="Drawings").or_(page.get_by_role("button", name="Drawings")).first.click()
    settle(page)
    button = page.get_by_role("button", name=re.compile("Draw .* pictures"))
    if button.count():
        button.click()
    expect(page.get_by_role("img", name="An example of cats").first).to_be_visible()
    settle(page)


def start(page: Page, head_epochs: int, fine_tune_epochs: int = 0, batch_size: int = 32) -> None:
    """Train on the drawings with the starter at a small image size."""
    draw(page)
    choose(page, "Backbone", "Starter")
    fill(page, "Head epochs", str(head_epochs))
    fill(page, "Fine-tuning epochs", str(fine_tune_epochs))
    page.get_by_text("More settings").click()
    fill(page, "Image size", "64")
    fill(page, "Batch size", str(batch_size))
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_role("button", name=re.compile("^(Stop|Take out)$")).first).to_be_visible()


def newest_run(place: Path) -> Path:
    """The folder of the run that was started last."""
    return max(path for path in (place / "runs").iterdir() if (path / "status.json").exists())


def no_error(page: Page) -> None:
    """No page shows an exception."""
    assert page.locator('[data-testid="stException"]').count() == 0
