"""The server's routes: static files, what lies in run folders, and questions to the worker."""

import json
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from scripts.web.crew import Crew
from scripts.web.reading import READERS, Reader
from scripts.web.shelf import NotThereError, Shelf
from training.storage.manifest import CheckpointError

STATIC = pathlib.Path(__file__).parent / "static"
# What a reader may raise because of what lies on the disk, or of what was asked.
EXPECTED = (ValueError, OSError, CheckpointError)
RUN_ARGS = ("run", "match")  # names of ours among the arguments of a question


def make_app(shelf: Shelf, crew: Crew) -> Starlette:
    """Returns the application, without its guard."""

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def ask(request: Request) -> Response:
        args = await _object(request)
        for name in RUN_ARGS:
            if args.get(name):
                args[name] = str(getattr(shelf, name)(str(args[name])))
        lines = crew.ask(request.path_params["op"], args)
        return StreamingResponse(_as_lines(lines), media_type="application/x-ndjson")

    async def allow(request: Request) -> Response:
        crew.allow(str((await _object(request)).get("name", "")))
        return JSONResponse({})

    async def restart(request: Request) -> Response:
        crew.restart()
        return JSONResponse({})

    reads = [Route(f"/api/{name}", _reading(reader, shelf)) for name, reader in READERS.items()]
    return Starlette(
        routes=[
            Route("/", page),
            *reads,
            Route("/api/ask/{op}", ask, methods=["POST"]),
            Route("/api/allow", allow, methods=["POST"]),
            Route("/api/restart", restart, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers=dict.fromkeys((*EXPECTED, Exception), _refusal),
    )


def _reading(reader: Reader, shelf: Shelf) -> Callable[[Request], Awaitable[Response]]:
    """Returns the route of a reader, which may wait for a disk: it works in a thread."""

    async def read(request: Request) -> Response:
        answer = await run_in_threadpool(reader, shelf, dict(request.query_params))
        return JSONResponse(answer)

    return read


async def _object(request: Request) -> dict[str, Any]:
    """Returns the JSON object of a request. Raises ValueError if it is none."""
    try:
        given = json.loads(await request.body())
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise ValueError("a request's body must be a JSON object")
    return given


async def _as_lines(lines: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    async for line in lines:
        yield json.dumps(line).encode() + b"\n"


async def _refusal(request: Request, error: Exception) -> Response:
    """Answers with the sentence of an error."""
    status = 404 if isinstance(error, NotThereError | FileNotFoundError) else 400
    if isinstance(error, EXPECTED):
        return JSONResponse({"error": str(error)}, status)
    return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 500)
