"""Perfect play in endings of Othello against plain search through the game's own rules."""

import random

import numpy as np

import games
from selfplay import positions
from selfplay.perfect import mistakes, othello, solver

GAME = games.load("othello:size=4")
KNOWN = {}


def random_game(rng, size, empty):
    """Returns random moves until so few cells are empty, and the discs; None if it is over."""
    own, other = othello.opening(size)
    moves = []
    while size**2 - (own | other).bit_count() > empty:
        legal = othello.legal(own, other, size)
        if not legal:
            return None
        moves.append(rng.choice(legal))
        own, other = othello.play(own, other, moves[-1], size)
    return (moves, own, other) if othello.legal(own, other, size) else None


def result_for_mover(state):
    """The result by searching all moves of the game's own `step`."""
    key = tuple(np.asarray(state.discs).reshape(-1).tolist()), int(state.to_play)
    if key not in KNOWN:
        if state.terminated:
            returns = positions.returns(GAME, positions.take(state, np.newaxis))
            KNOWN[key] = int(returns[0, int(state.to_play)])
        else:
            KNOWN[key] = max(-result_for_mover(after(state, a)) for a in legal_actions(state))
    return KNOWN[key]


def legal_actions(state):
    return np.flatnonzero(np.asarray(state.legal_action_mask)).tolist()


def after(state, action):
    return positions.step(GAME, state, np.int32(action))


def test_endings_have_the_outcomes_of_search_through_the_rules():
    rng, seen = random.Random(0), set()
    drawn = [random_game(rng, 4, 2 + i % 4) for i in range(40)]
    chosen = [game for game in drawn if game]
    states = positions.replay(GAME, [moves for moves, _, _ in chosen]).states
    for i, (moves, own, other) in enumerate(chosen):
        state = positions.take(states, i)
        expected = {a: -result_for_mover(after(state, a)) for a in legal_actions(state)}
        assert othello.outcomes(own, other, 4) == expected, moves
        seen |= set(expected.values())
    assert len(chosen) > 20
    assert seen == {1, 0, -1}


def test_the_shipped_endings_are_distinct_live_have_a_choice_and_few_empty_cells():
    states, outcomes, _ = mistakes.load_positions("othello:size=6")["endings"]
    empty = 36 - np.bitwise_count(states.discs).sum(axis=(1, 2))
    assert np.bincount(empty).tolist() == [0, 0] + [150] * 9
    assert len(np.unique(positions.fingerprints(states))) == len(outcomes)
    assert ((outcomes != solver.ILLEGAL).sum(axis=1) > 1).all()
    worst = np.where(outcomes == solver.ILLEGAL, 1, outcomes).min(axis=1)
    assert 0.2 < (worst < outcomes.max(axis=1)).mean() < 0.8, "a mistake is possible"
