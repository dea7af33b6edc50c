"""Presets: batches that fill an H100's waves, and memory that the cards they are meant for have."""

import math

import pytest

import games
from games.catalogue import GAMES
from training import presets
from training.preflight import estimate
from training.preflight.machine import Machine

TILE, PROCESSORS = 128, 132  # rows and columns of a tile, of an H100
SPECS = (*GAMES, "go:size=19")
H100 = Machine(1, 1, False, int(0.75 * 80e9), int(64e9), int(200e9))
CARD_OF_8_GB = Machine(1, 1, False, int(0.75 * 8e9), int(16e9), int(100e9))


def cells_of(spec):
    examples, cols = (19, 19) if spec.endswith("=19") else GAMES[spec].board
    return examples * cols


@pytest.mark.parametrize("spec", SPECS)
def test_the_batch_of_a_large_card_leaves_next_to_nothing_of_its_last_wave_empty(spec):
    config = presets.preset("gpu", spec)
    channels = config.network.channels
    assert channels % 64 == 0
    tiles = config.self_play.batch * cells_of(spec) / TILE * math.ceil(channels / TILE)
    waves = tiles / PROCESSORS
    assert waves / math.ceil(waves) > 0.95


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(("name", "card"), [("gpu", H100), ("gpu-small", CARD_OF_8_GB)])
def test_a_preset_fits_the_card_that_it_is_meant_for(spec, name, card):
    config = presets.preset(name, spec)
    assert not config.problems()
    assert estimate.problems(config, games.load(spec), card) == []


def test_a_size_has_its_preset_whatever_the_games_other_options_are():
    for spec in ("go:size=19", "go:komi=6.5,size=19"):
        assert presets.preset("gpu", spec).network.blocks == 10
    assert presets.preset("gpu", "go:komi=6.5").network.blocks == 6
