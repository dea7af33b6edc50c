"""PRNG seeds by purpose: one seed gives each use of randomness numbers of its own.

A purpose keeps its number for ever: another one would change every run, match and measurement.
"""

import enum


class MatchPurpose(enum.IntEnum):
    """Of a match's seed. Keys are `fold_in(key(seed), purpose)`."""

    OPENINGS = 0
    GAMES = 1  # by block of games, then as `BlockPurpose` says


class BlockPurpose(enum.IntEnum):
    """Of a block of a match's games. Keys are `fold_in(fold_in(block key, purpose), round)`."""

    FIRST = 1  # moves of the first player
    SECOND = 2


class RunPurpose(enum.IntEnum):
    """Of a run's seed. Keys are `fold_in(fold_in(key(seed), purpose), index)`."""

    INIT = 0  # first weights
    OPEN = 1  # first games
    PLAY = 2  # self-play, by call
    SAMPLE = 3  # minibatches and their symmetries, by training step
    RECORD = 4  # the sample of self-play games, by iteration
    WORKER_OPEN = 10  # first games of a worker, by its number
    WORKER_PLAY = 11  # its self-play, by its number and rollout
    WORKER_RECORD = 12  # the sample of its games, likewise
    FIT_INIT = 20  # first weights of an imitation
    FIT_SHUFFLE = 21  # order of its rows, by epoch
    GATE = 100  # matches of the gate, by training step
    PROBE = 200  # positions on which the gap is measured, the same for the whole run
    FRESH = 201  # positions of the network's own games, by iteration
    STRENGTH = 202  # matches of search against network, by iteration
    OWN = 203  # positions of games of the network against itself, by iteration
    NEAR = 300  # positions one random ply off those learned from
    FAR = 301  # positions of random games
    PICK = 302  # a sample of what was learned from
    CLIMB = 303  # positions sought where the network loses most
