"""A real browser, where there is one: Debian's chromium without a window, driven by playwright."""

import contextlib
import importlib.util
import shutil

import pytest

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
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            message.type in ("error", "warning") and page.complaints.append(message.text)
        ),
    )
    try:
        page.goto(client.url)
        yield page
        assert page.complaints == []
    finally:
        context.close()
