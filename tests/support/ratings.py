"""Chances of games and pairs, and games, from known strengths."""

import math

import numpy as np

from selfplay.arena.result import PlayedGame, result_of
from selfplay.players import Player
from tests.support.pile_players import PILE

STRENGTHS = {"random": 0, "weak": 150, "fair": 300, "good": 450, "great": 900}
PLAYERS = [Player(name, PILE, None) for name in STRENGTHS]


def pair_outcomes(score, draws, independent):
    """Probabilities of a pair's five scores: its games are independent, or always end alike."""
    middle = draws * 2 * min(score, 1 - score)
    game = np.array([1 - score - middle / 2, middle, score - middle / 2])
    alike = np.zeros(5)
    alike[::2] = game
    return np.convolve(game, game) if independent else alike


def outcome(first, second, advantage, draws):
    """Chances that seat 0 wins, nobody does, seat 1 wins, from strengths 10 ** (Elo / 400)."""
    a, b = 10 ** ((first + advantage) / 400), 10 ** (second / 400)
    tie = draws * math.sqrt(a * b)
    return a / (a + b + tie), tie / (a + b + tie), b / (a + b + tie)


def drawn_match(first, second, games, seed):
    """Returns a match of two of `PLAYERS` whose results are drawn from their strengths."""
    rng = np.random.default_rng(seed)
    results = []
    for number in range(games):
        seats = (first, second) if number % 2 == 0 else (second, first)
        chances = outcome(*(STRENGTHS[player.name] for player in seats), 40, 0.5)
        value = 1.0 - rng.choice(3, p=chances)
        results.append(PlayedGame(tuple(rng.integers(0, 1000, 5).tolist()), (value, -value)))
    return result_of((first.name, second.name), results, games // 2)
