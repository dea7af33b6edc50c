"""The server's life: an address, a token, and an end at once on Ctrl-C."""

import asyncio
import contextlib
import errno
import secrets
import socket
from collections.abc import Iterator

import uvicorn

from games import consent
from scripts.flags.web import DEFAULT_PORT, Args
from scripts.terminal import signals
from scripts.terminal.console import print_text, say
from scripts.web.app import make_app
from scripts.web.crew import Crew
from scripts.web.guard import Guard
from scripts.web.shelf import Shelf

LOCAL = "127.0.0.1"


def run(args: Args) -> int:
    """Runs the command, until a signal ends it."""
    shelf = Shelf(args.runs)
    with _listen(args.port) as listening:
        port = listening.getsockname()[1]
        token = secrets.token_urlsafe(24)
        crew = Crew(consent.allowed(), args.accelerator)
        app = Guard(make_app(shelf, crew), token)
        print_text(f"http://{LOCAL}:{port}/?token={token}")
        say("open this address in a browser; Ctrl-C ends the server")
        signals.conclude(0)  # it has nothing to lose: whatever it writes is on disk at once
        asyncio.run(_serve(app, crew, listening))
    return 0


def _listen(port: int) -> socket.socket:
    """Returns a socket that takes connections from this machine.

    Raises:
      ValueError: another program has the port that was asked for.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOCAL, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or port != DEFAULT_PORT:
            listening.close()
            raise ValueError(f"--port {port}: {error.strerror}; name another one") from None
        listening.bind((LOCAL, 0))
        say(f"note: port {port} is taken, perhaps by another `selfplay web`: this is another one")
    listening.listen()
    return listening


async def _serve(app: Guard, crew: Crew, listening: socket.socket) -> None:
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", server_header=False, ws="none"
    )
    await crew.begin()
    try:
        await _Server(config).serve(sockets=[listening])
    finally:
        crew.close()


class _Server(uvicorn.Server):
    """A server that leaves signals to `scripts.terminal.signals`, which end the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield
