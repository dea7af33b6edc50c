"""The server's routes: static files, what lies in run folders, and questions to the worker."""

import json
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from scripts.web.crew import Crew
from scripts.web.query import Reader
from scripts.web.reading import READERS
from scripts.web.shelf import NotThereError, Shelf
from selfplay import player_spec, shipped
from training.storage.manifest import CheckpointError

STATIC = pathlib.Path(__file__).parent / "static"
# What a reader may raise because of what lies on the disk, or of what was asked.
EXPECTED = (ValueError, OSError, CheckpointError)
PLAYER_ARGS = ("player", "players")  # arguments of a question that name players


def make_app(shelf: Shelf, crew: Crew) -> Starlette:
    """Returns the application, without its guard."""

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def ask(request: Request) -> Response:
        args = await _object(request)
        await run_in_threadpool(_check_names, shelf, args)
        lines = crew.ask(request.path_params["op"], args)
        return StreamingResponse(_as_lines(lines), media_type="application/x-ndjson")

    async def allow(request: Request) -> Response:
        crew.allow(str((await _object(request)).get("name", "")))
        return Json({})

    async def restart(request: Request) -> Response:
        await crew.restart()
        return Json({})

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


class Json(JSONResponse):
    """JSON with whole characters: names of files, and texts of records, may hold halves of some."""

    def render(self, content: Any) -> bytes:
        """Returns the bytes of an answer. Raises ValueError for a number that JSON lacks."""
        return json.dumps(content, ensure_ascii=False, allow_nan=False).encode(errors="replace")


def _check_names(shelf: Shelf, args: Mapping[str, Any]) -> None:
    """Raises ValueError for a run, a match, or a player's run that is none of ours."""
    if args.get("run"):
        shelf.run(str(args["run"]))
    if args.get("match"):
        shelf.match(str(args["match"]))
    for name in PLAYER_ARGS:
        given = args.get(name)
        for player in given if isinstance(given, list) else [given]:
            if not isinstance(player, str) or shipped.is_name(player):
                continue
            if run := player_spec.run_of(player):
                shelf.run(run[0])


def _reading(reader: Reader, shelf: Shelf) -> Callable[[Request], Awaitable[Response]]:
    """Returns the route of a reader, which may wait for a disk: it works in a thread."""

    async def read(request: Request) -> Response:
        answer = await run_in_threadpool(reader, shelf, dict(request.query_params))
        return Json(answer)

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
    if isinstance(error, RecursionError):
        return Json({"error": "this is nested too deeply"}, 400)
    status = 404 if isinstance(error, NotThereError | FileNotFoundError) else 400
    if isinstance(error, EXPECTED):
        return Json({"error": str(error)}, status)
    return Json({"error": f"{type(error).__name__}: {error}"}, 500)
