"""Other programs that play: where GNU Go is, and whether a process still runs."""

import pathlib
import shutil

GNUGO = shutil.which("gnugo") or shutil.which("gnugo", path="/usr/games")


GNUGO_OPTIONS = (
    "--mode gtp --chinese-rules --positional-superko --capture-all-dead --play-out-aftermath"
    " --level 1"
)


def is_running(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
