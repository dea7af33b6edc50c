"""A browser that a test drives, on pages of a `selfplay web` of its own."""

import contextlib
import os
import pathlib
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import processes

BROWSER = pathlib.Path("/usr/bin/chromium-headless-shell")  # Debian's; it takes no sandbox as root
SECONDS = 60  # for a page to come, when the worker compiles on a busy machine


class Session:
    """Pages of one server; what their consoles complain of is kept."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser, self.address = browser, address
        self.complaints: list[str] = []

    def open(self, hash_: str, width: int = 1000) -> Any:
        """Returns a page at `#hash_`."""
        page = self.browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self._hear("error", str(error)))
        page.set_default_timeout(1000 * SECONDS)
        page.goto(f"{self.address}#{hash_}")
        return page

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)


@contextlib.contextmanager
def session(folder: pathlib.Path, runs: pathlib.Path) -> Iterator[Session]:
    """Serves a folder of runs to a browser; skips the test where there is no browser.

    Args:
      folder: for the server's log.
    """
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not BROWSER.exists():
        pytest.skip(f"there is no {BROWSER}")
    log = folder / "web.log"
    server = processes.start(["web", str(runs), "--port", "0"], os.urandom(8).hex(), log)
    try:
        processes.wait_until(
            "no address", lambda: log.exists() and "token=" in log.read_text(), SECONDS
        )
        found = re.search(r"http://\S+", log.read_text())
        assert found is not None
        with api.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=str(BROWSER))
            yield Session(browser, found[0])
            browser.close()
    finally:
        server.terminate()
        server.wait(SECONDS)


def settled(page: Any) -> str:
    """Waits until a screen is at rest; returns its status line."""
    end = time.monotonic() + SECONDS
    while page.locator(".screen").get_attribute("aria-busy") != "false":
        assert time.monotonic() < end, f"still busy: {page.inner_text('.status')}"
        time.sleep(0.02)
    return str(page.inner_text(".status"))
