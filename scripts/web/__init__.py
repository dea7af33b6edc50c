"""`selfplay web`: runs, games and players in the browser."""

from scripts.flags.web import Args


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    from scripts.web import serve  # the worker's process needs no server

    return serve.run(args)
