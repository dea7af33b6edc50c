"""A real browser, where there is one: Debian's chromium without a window, driven by playwright."""

import contextlib
import importlib.util
import shutil

import pytest

from tests.support.web import serving

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
PATIENCE = 60_000  # milliseconds, for a worker that compiles on a busy machine

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="needs chromium-headless-shell (Debian) and playwright (pip): "
    "apt-get install chromium-headless-shell, pip install '.[dev-all]'",
)


@contextlib.contextmanager
def browsing():
    """Yields a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def page_of(browser, client, size=(1000, 900), dark=False):
    """Yields a page that has opened the printed address; it must have complained of nothing."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.complaints = []
    _listen(page, page.complaints)
    try:
        page.goto(client.url)
        yield page
        assert page.complaints == []
    finally:
        context.close()


class Session:
    """A browser on the pages of a server of its own; what their consoles complain of is kept."""

    def __init__(self, browser, client):
        self.browser, self.client = browser, client
        self.context = browser.new_context()
        self.complaints = []
        self.context.new_page().goto(client.url)  # which brings the cookie

    def open(self, hash_, width=1000):
        """Returns a page at `#hash_`."""
        page = self.context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.set_default_timeout(PATIENCE)
        _listen(page, self.complaints)
        page.goto(f"{self.client.url.partition('?')[0]}#{hash_}")
        return page


@contextlib.contextmanager
def session(*words, cwd=None):
    """Serves what `selfplay web WORDS` would to a browser; no page may have complained."""
    with serving(*words, cwd=cwd) as client, browsing() as browser:
        opened = Session(browser, client)
        yield opened
        assert opened.complaints == []


def settled(page):
    """Waits until a screen is at rest; returns its status line."""
    page.wait_for_selector('.screen[aria-busy="false"]', state="attached")
    return page.inner_text(".status")


def _listen(page, complaints):
    def hear(message):
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
