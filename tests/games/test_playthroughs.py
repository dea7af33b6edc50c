"""Golden games: what a reviewer has read once must stay as it was."""

import difflib

import pytest

from games import registry
from scripts.developer.playthrough import path_of, recorded_moves, transcript

RECORDED = [name for name in registry.BUILT_IN if path_of(name).exists()]


def test_every_registered_game_has_a_playthrough():
    missing = sorted(set(registry.BUILT_IN) - set(RECORDED))
    assert not missing, f"python -m scripts.developer.playthrough {' '.join(missing)}, and read it"


@pytest.mark.parametrize("name", RECORDED)
def test_a_replay_shows_what_was_recorded(name):
    recorded = path_of(name).read_text()
    replayed = transcript(name, recorded_moves(recorded))
    lines = difflib.unified_diff(
        recorded.splitlines(), replayed.splitlines(), "recorded", "replayed", lineterm="", n=8
    )
    assert recorded == replayed, "\n".join(lines)


@pytest.mark.parametrize("name", RECORDED)
def test_a_playthrough_reaches_the_end(name):
    text = path_of(name).read_text()
    assert "\nthe end\n" in text
    assert "legal (0):" in text
