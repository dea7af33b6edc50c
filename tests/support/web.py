"""A server of `selfplay web` as a process of its own, and a client that is no browser."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse

from tests.support import ROOT

START_SECONDS = 60.0  # on a busy machine


class Client:
    """Asks a server as its own pages do; any header can be given, or left out by None."""

    def __init__(self, process, url):
        self.process, self.url = process, url
        parts = urllib.parse.urlsplit(url)
        self.port, self.token = parts.port, urllib.parse.parse_qs(parts.query)["token"][0]
        self.cookie = ""
        _, headers, _ = self.send("GET", f"/?token={self.token}")
        self.cookie = headers["set-cookie"].partition(";")[0]

    def send(self, method, path, body=None, headers=None, read=True):
        """Returns status, headers by their small names, and the body."""
        wanted = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie}
        if body is not None:
            wanted["Origin"] = f"http://127.0.0.1:{self.port}"
            wanted["Content-Type"] = "application/json"
        wanted = {k: v for k, v in (wanted | (headers or {})).items() if v is not None}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, body, wanted)
            answer = connection.getresponse()
            given = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, given, answer.read() if read else b""

    def get(self, path, **params):
        """Returns status and JSON of a GET of /api/`path`."""
        query = urllib.parse.urlencode(params)
        status, _, body = self.send("GET", f"/api/{path}?{query}")
        return status, json.loads(body)

    def lines(self, op, **args):
        """Returns the lines of the worker's answer."""
        status, _, body = self.send("POST", f"/api/ask/{op}", json.dumps(args))
        return (
            [json.loads(line) for line in body.splitlines()]
            if status == 200
            else [{**json.loads(body), "status": status}]
        )

    def ask(self, op, **args):
        """Returns the worker's result. Fails the test if there is none."""
        last = self.lines(op, **args)[-1]
        assert "result" in last, last
        return last["result"]


@contextlib.contextmanager
def serving(*words, cwd=None):
    """Yields a client of `selfplay web WORDS` on a free port; the server ends with the block."""
    command = [sys.executable, "-m", "scripts.cli", "web", "--port", "0", *map(str, words)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=cwd
    )
    try:
        line = process.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+\n", line), (
            line,
            process.stderr.read(),
        )
        yield Client(process, line.strip())
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
