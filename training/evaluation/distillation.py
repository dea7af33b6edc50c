"""The losses of distillation: where A disagrees with the overseer that taught it.

The overseer is Amplify(A), as the run's settings say, without noise. For checkpoints of a run, its
disagreement with A is measured (`selfplay.amplify.gap`) on positions that A was trained on, near
them (one random ply off), and far from them: in random games, and where A is found to lose most.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

import games
from games.game import Game
from selfplay import positions
from selfplay.amplify import gap
from selfplay.amplify.gap import Moved, Positions
from selfplay.arena import play_match
from selfplay.information import kl_divergence
from selfplay.oversight import decisions
from selfplay.players import Player, policy_player, random_player
from selfplay.randomness import RunPurpose
from selfplay.records.game_record import scan_records
from training import replay
from training.evaluation import strength
from training.players import checkpoint_steps, load_amplifier, load_weights, network_of, playable
from training.storage.run_folder import RunFolder

PER_POSITION = ("kl", "value", "changed", "regret")  # columns of a `Moved`
MOST_ROWS = 10**9  # all that there are
SETS = ("trained", "near", "far", "worst")
ROUNDS = 3  # of the climb to the worst positions
KEPT = 4  # the worst 1 / KEPT of the candidates are climbed on from
MATCH_GAMES = 32  # of Amplify(A) against A
CERTAIN = 3.0  # standard errors by which a mean must be higher to count as grown


class Seen(NamedTuple):
    """A position that the run has trained on."""

    moves: tuple[int, ...]
    weights_step: int  # of the weights that its row was searched with


class Audit:
    """What is the same for all checkpoints of a run.

    Args:
      count: positions in each set, where there are so many.
      decided: a file of decisions; empty for the one that the run learns from, if any.

    Raises:
      ValueError: no decision in that file is right.
    """

    def __init__(self, folder: RunFolder, count: int, seed: int, decided: str = "") -> None:
        self.folder, self.count, self.seed = folder, count, seed
        self.config = folder.read_config()
        if self.config.amplify == "human":
            raise ValueError(
                f"{folder.path} was taught by a person, who would be asked about every position "
                "that is measured"
            )
        self.game: Game[Any] = games.load(self.config.game)
        self.network = network_of(self.config, self.game)
        self.amplifier = load_amplifier(self.config, self.game, noise=False)
        self.seen = seen_positions(folder, self.config.game)
        file = decided or self.config.overseer.decisions
        self.decided = decisions.scan(file, self.config.game, self.game) if file else None
        if self.decided is not None and self.decided.states is None:
            raise ValueError(f"no decision in {file} is right")

    @functools.cached_property
    def far(self) -> Positions:
        """Positions of random games."""
        act = random_player(self.game).act
        return gap.reach(self.game, act, (), self._seed(RunPurpose.FAR), self.count)

    def measure(self, step: int) -> tuple[dict[str, Any], Positions]:
        """Returns a checkpoint's measurements by set, and the positions where A loses most."""
        weights = load_weights(self.folder, step, self.network)
        variables = playable(self.network, weights)
        amplified = self.amplifier.as_player(self.game, variables)
        measured: dict[str, Any] = {"step": step}
        trained = self._trained(step)
        if trained is not None:
            measured["trained"] = self._summary(amplified, trained)
            near = one_ply_off(self.game, trained, self._rng(RunPurpose.NEAR, step))
            if len(near.ply):
                measured["near"] = self._summary(amplified, near)
        measured["far"] = self._summary(amplified, self.far)
        alone = policy_player("A", self.game, self.network.evaluate, variables)
        if self.decided is not None:
            measured["decided"] = follows(alone, self.decided)
        match = play_match(amplified, alone, self.game, MATCH_GAMES, self.seed)
        measured["strength"] = strength.of(match)
        worst = self._worst(amplified, step)
        measured["worst"] = self._summary(amplified, worst)
        return measured, worst

    def _trained(self, step: int) -> Positions | None:
        """Returns positions that the network had been trained on by then; None if none is left."""
        known = [seen.moves for seen in self.seen if seen.weights_step < step]
        known = list(dict.fromkeys(known))
        if not known:
            return None
        drawn = self._rng(RunPurpose.PICK, step).permutation(len(known))[: self.count]
        moves = [known[i] for i in drawn]
        replayed = positions.replay(self.game, moves + [()] * (self.count - len(moves)))
        ply = np.array([len(row) for row in moves], np.int32)
        return Positions(
            positions.take(replayed.states, slice(len(moves))), positions.pad_moves(moves), ply
        )

    def _worst(self, amplified: Player, step: int) -> Positions:
        """Climbs from random positions to those where A loses most, in the overseer's eyes."""
        worst, rng = self.far, self._rng(RunPurpose.CLIMB, step)
        for _ in range(ROUNDS):
            order = np.argsort(-self._moved(amplified, worst).regret, kind="stable")
            kept = _take(worst, order[: max(1, self.count // KEPT)])
            starts = _take(kept, rng.integers(0, len(kept.ply), self.count - len(kept.ply)))
            worst = _distinct(_join(kept, one_ply_off(self.game, starts, rng)))
        order = np.argsort(-self._moved(amplified, worst).regret, kind="stable")
        return _take(worst, order[: max(1, self.count // KEPT)])

    def _summary(self, amplified: Player, where: Positions) -> dict[str, Any]:
        return summary(self._moved(amplified, where))

    def _moved(self, amplified: Player, where: Positions) -> Moved:
        """Returns what the overseer changes; asks about `count` positions, so it compiles once."""
        number = len(where.ply)
        filled = _take(where, np.minimum(np.arange(max(number, self.count)), number - 1))
        moved, _ = gap.measure(amplified, filled, jax.random.key(self.seed))
        columns = {name: getattr(moved, name)[:number] for name in PER_POSITION}
        return moved._replace(**columns)

    def _seed(self, purpose: RunPurpose, index: int = 0) -> np.random.SeedSequence:
        return np.random.SeedSequence([self.seed, purpose, index])

    def _rng(self, purpose: RunPurpose, index: int) -> np.random.Generator:
        return np.random.default_rng(self._seed(purpose, index))


def audit(
    folder: RunFolder,
    most: int,
    count: int,
    seed: int,
    decided: str = "",
    watch: Callable[[int, int], None] = lambda done, step: None,
) -> tuple[dict[str, Any], list[tuple[int, ...]]]:
    """Measures up to `most` checkpoints of a run, evenly spread, the newest one among them.

    Returns:
      What `evaluate --against overseer --json` prints, and the moves to the newest one's worst
        positions.

    Raises:
      ValueError: the run has no checkpoint.
    """
    steps = checkpoint_steps(folder.path)
    if not steps:
        raise ValueError(f"{folder.path} has no checkpoint yet: let `selfplay train` save one")
    chosen = np.unique(np.linspace(len(steps) - 1, 0, most).round().astype(int))
    known, rows = Audit(folder, count, seed, decided), []
    for done, i in enumerate(chosen):
        watch(done, steps[i])
        row, worst = known.measure(steps[i])
        rows.append(row)
    result = {
        "run": str(folder.path),
        "amplify": known.config.amplify,
        "checkpoints": rows,
        "grows": {name: grown(rows, name) for name in SETS},
    }
    return result, positions.move_lists(worst.history)


def seen_positions(folder: RunFolder, spec: str) -> list[Seen]:
    """Returns the positions of the recorded self-play games whose rows are still in the replay."""
    trained_on: dict[int, list[tuple[int, int]]] = {}
    names = ("game_id", "ply", "weights_step")
    for _, rows in replay.newest_parts(folder.path / "replay", names, MOST_ROWS, folder.run_id()):
        for game_id, ply, step in zip(*(rows[name].tolist() for name in names), strict=True):
            trained_on.setdefault(game_id, []).append((ply, step))
    records = [
        record
        for path in folder.logs["self_play"].parts()
        for record in scan_records(path, spec).records  # one may be being written
        if record.extra.get("game_id") in trained_on
    ]
    return [
        Seen(record.moves[:ply], step)
        for record in records
        for ply, step in trained_on[record.extra["game_id"]]
    ]


def one_ply_off(game: Game[Any], where: Positions, rng: np.random.Generator) -> Positions:
    """Returns the positions after a random move in each, without those that are over."""
    legal = np.asarray(where.states.legal_action_mask)
    action = np.where(legal, rng.random(legal.shape), -1.0).argmax(axis=1).astype(np.int32)
    after = jax.device_get(positions.step_all(game, where.states, action))
    history = np.pad(where.history, ((0, 0), (0, 1)), constant_values=positions.NO_ACTION)
    history[np.arange(len(action)), where.ply] = action
    moved = Positions(after, history, where.ply + 1)
    return _take(moved, np.flatnonzero(~np.asarray(after.terminated)))


def summary(moved: Moved) -> dict[str, Any]:
    """Returns means over positions; `_error` is the standard error of a mean."""
    number = len(moved.kl)
    means: dict[str, Any] = {"positions": number}
    for name in PER_POSITION:
        column = getattr(moved, name).astype(float)
        means[name] = float(column.mean())
        means[f"{name}_error"] = float(column.std() / np.sqrt(number))
    return means | {"most_regret": float(moved.regret.max())}


def follows(alone: Player, decided: decisions.Scan) -> dict[str, Any]:
    """Returns how far A without search does what an overseer decided.

    `follows` is the share of decisions in which no move weighs more than A's best. `kl` is the mean
    of KL(decision || A), nats.
    """
    assert decided.states is not None  # there are decisions
    result = jax.device_get(alone(decided.states, jax.random.key(0)))
    weights = np.zeros(result.prior.shape)
    for row, decision in zip(weights, decided.decisions, strict=True):
        row[list(decision.weights)] = list(decision.weights.values())
    envs = np.arange(len(weights))
    same = weights[envs, result.action] == weights.max(axis=1)
    kl = kl_divergence(weights, result.prior, np.finfo(np.float32).tiny)
    return {"positions": len(weights), "follows": float(same.mean()), "kl": float(kl.mean())}


def grown(rows: list[dict[str, Any]], name: str) -> bool | None:
    """Whether A loses more on a set than it once did, beyond noise; None for too few checkpoints.

    Compared are the newest checkpoint's mean regret and the least one before it.
    """
    means = [(row[name]["regret"], row[name]["regret_error"]) for row in rows if name in row]
    if len(means) < 2:
        return None
    (last, error), (least, its_error) = means[-1], min(means[:-1])
    return bool(last - least > CERTAIN * np.hypot(error, its_error))


def _take(where: Positions, indices: np.ndarray) -> Positions:
    states = positions.take(where.states, indices)
    return Positions(states, where.history[indices], where.ply[indices])


def _join(one: Positions, other: Positions) -> Positions:
    width = max(one.history.shape[1], other.history.shape[1])
    histories = [
        np.pad(
            part.history,
            ((0, 0), (0, width - part.history.shape[1])),
            constant_values=positions.NO_ACTION,
        )
        for part in (one, other)
    ]
    return Positions(
        positions.concatenate([one.states, other.states]),
        np.concatenate(histories),
        np.concatenate([one.ply, other.ply]),
    )


def _distinct(where: Positions) -> Positions:
    _, first = np.unique(positions.fingerprints(where.states), return_index=True)
    return _take(where, np.sort(first))
