"""Chances of games and pairs, from known strengths."""

import math

import numpy as np


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
