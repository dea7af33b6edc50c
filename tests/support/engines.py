"""Other programs that play: where they are, what they answer, whether a process still runs."""

import pathlib
import shutil

import jax

from selfplay import positions


def debian(name):
    """Returns the path of a game program of Debian, None if it is not installed."""
    return shutil.which(name) or shutil.which(name, path="/usr/games")


GNUGO = debian("gnugo")
FAIRY = debian("fairy-stockfish")
STOCKFISH = debian("stockfish")
RHINO = debian("gtp-rhino")

GNUGO_OPTIONS = (
    "--mode gtp --chinese-rules --positional-superko --capture-all-dead --play-out-aftermath"
    " --level 1"
)


def is_running(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def ask(player, *lines):
    """Returns the player's actions after some move lists, and its new faults."""
    before = len(player.faults)
    states = positions.replay(player.game, lines).states
    result = player(states, jax.random.key(0), positions.pad_moves(lines))
    assert result.action_weights.shape == (len(lines), player.game.num_actions)
    return result.action.tolist(), player.faults[before:]
