"""A target of each kind, known at the ply or at the end, for tic-tac-toe; registered by a test."""

import jax.numpy as jnp

from selfplay import example
from selfplay.example import Column, Kind, Target
from training import targets
from training.targets import Learned


def stones(game, state, seat):
    """Returns int8[9]: 1 where the seat has a stone, -1 where the other has one."""
    seen = game.observe(state).reshape(9, 2).astype(jnp.int8)
    return (seen[:, 0] - seen[:, 1]) * jnp.where(state.to_play == seat, 1, -1).astype(jnp.int8)


def advance(game, before, result, action, after):
    return stones(game, before, before.to_play).sum() + 0.25 * action


def margin(game, final):
    return jnp.stack([stones(game, final, seat).sum() + 0.5 for seat in range(2)])


def answers(game, before, result, action, after):
    return after.legal_action_mask


def taken(game, final):
    return jnp.stack([stones(game, final, seat) == 1 for seat in range(2)])


def board(game, before, result, action, after):
    return stones(game, before, before.to_play).reshape(3, 3)


def ownership(game, final):
    return jnp.stack([stones(game, final, seat).reshape(3, 3) for seat in range(2)])


def squared(predicted, target, batch):
    del batch
    error = jnp.square(predicted - target)
    return error.mean(axis=tuple(range(1, error.ndim)))


TOYS = {
    "advance": (Target(Column(Kind.SCALAR, "float32"), at="ply"), advance),
    "margin": (Target(Column(Kind.SCALAR, "float32"), at="end"), margin),
    "answers": (Target(Column(Kind.PER_ACTION, "bool"), at="ply"), answers),
    "taken": (Target(Column(Kind.PER_ACTION, "float16"), at="end"), taken),
    "board": (Target(Column(Kind.PER_CELL, "int8"), at="ply"), board),
    "ownership": (Target(Column(Kind.PER_CELL, "int8"), at="end"), ownership),
}
SETTING = ",".join(f"{name}=0.{number + 1}" for number, name in enumerate(TOYS))


def register(monkeypatch):
    """Adds the toys for one test: an entry in each of the two tables, and nothing else."""
    for name, (target, compute) in TOYS.items():
        monkeypatch.setitem(example.TARGETS, name, target)
        monkeypatch.setitem(targets.LEARNED, name, Learned(compute, squared))
