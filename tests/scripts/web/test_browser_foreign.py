"""A page of somebody else's, on another port of this machine, with our cookie in the browser."""

import contextlib
import functools
import http.server
import threading

import pytest

from tests.support.browser import browsing, needs_browser
from tests.support.web import serving

pytestmark = needs_browser

# What such a page may try. Each returns what it got, and none may get anything.
TRIES = {
    "read": "fetch(at + '/api/runs', {credentials: 'include'}).then(a => a.text())",
    "read without cors": "fetch(at + '/api/runs', {credentials: 'include', mode: 'no-cors'})"
    ".then(a => a.text())",
    "write": "fetch(at + '/api/allow', {method: 'POST', credentials: 'include', body: BODY, "
    "headers: {'Content-Type': 'application/json'}}).then(a => a.text())",
    "simple write": "fetch(at + '/api/allow', {method: 'POST', credentials: 'include', "
    "mode: 'no-cors', body: BODY}).then(a => a.text())",
    "beacon": "new Promise(done => { navigator.sendBeacon(at + '/api/allow', "
    "new Blob([BODY], {type: 'text/plain'})); setTimeout(() => done(''), 300) })",
    "script": "new Promise(done => { const s = document.createElement('script'); "
    "s.src = at + '/static/app.js'; s.onload = () => done('loaded'); s.onerror = () => done(''); "
    "document.head.append(s) })",
    "image": "new Promise(done => { const i = new Image(); i.src = at + '/static/icon.svg'; "
    "i.onload = () => done('loaded'); i.onerror = () => done('') })",
    "frame": "new Promise(done => { const f = document.createElement('iframe'); f.src = at; "
    "document.body.append(f); setTimeout(() => { try { "
    "done(f.contentDocument.body.textContent) } catch { done('') } }, 500) })",
}
BODY = '{"name": "planted.by.another:Page"}'


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextlib.contextmanager
def elsewhere(folder):
    """Yields the address of another server of this machine."""
    (folder / "index.html").write_text("<!doctype html><title>other</title><body>other</body>")
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{other.server_port}/"
        other.shutdown()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("runs")) as client:
        yield client


@pytest.fixture(scope="module")
def foreign(ours, tmp_path_factory):
    """A page of the other server, in a browser that is logged in at ours."""
    with browsing() as browser, elsewhere(tmp_path_factory.mktemp("other")) as address:
        context = browser.new_context()
        own = context.new_page()
        own.goto(ours.url)
        assert own.evaluate("fetch('/api/runs').then(a => a.status)") == 200
        page = context.new_page()
        page.goto(address)
        yield page


@pytest.mark.parametrize("name", TRIES)
def test_another_page_gets_nothing(ours, foreign, name):
    at = ours.url.partition("/?")[0]
    code = f"at => {{ const BODY = '{BODY}'; return {TRIES[name]}.catch(() => '') }}"
    assert foreign.evaluate(code, at) in ("", "other")


def test_another_page_has_let_no_code_run(ours, foreign):
    at = ours.url.partition("/?")[0]
    for name in ("write", "simple write", "beacon"):
        foreign.evaluate(
            f"at => {{ const BODY = '{BODY}'; return {TRIES[name]}.catch(() => '') }}", at
        )
    [answer] = ours.lines("position", game="planted.by.another:Page", moves=[])[-1:]
    assert answer["consent"] == "planted.by.another:Page", answer
