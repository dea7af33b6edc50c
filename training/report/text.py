"""Metrics in words: a line as it is written, and the state of runs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from training import metrics
from training.config import RunConfig
from training.evaluation import value_quality
from training.metrics import EvaluationLine, GateLine, History, IterationLine, WorkersLine
from training.report import curves, values
from training.storage.run_folder import RunFolder

CURVES = ("policy_loss", "value_loss", "kl", "entropy")
UNITS = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"))


def text_report(folders: Sequence[RunFolder]) -> str:
    """Returns the state of runs, in progress or ended, as text.

    Raises:
      ValueError: a folder is no run, or has no metrics yet.
    """
    return "\n\n".join(map(_run_in_words, folders))


def _run_in_words(folder: RunFolder) -> str:
    history, config = curves.read_history(folder), folder.read_config()
    rows = [f"{folder.path}: {summary(config, history)}"]
    for name in CURVES:
        known = [getattr(line, name) for line in history.iterations]
        if known := [value for value in known if value is not None]:
            curve = curves.smoothed(known)
            rows.append(f"  {name:12} {_spark(curve)}  {curve[0]:.3f} -> {curve[-1]:.3f}")
    for line in history.evaluations[-3:]:
        results = ", ".join(f"{name} {value}" for name, value in figures(line).items())
        rows.append(f"  step {line.step}: {results}")
    rows += [f"  {sentence}" for sentence in sentences(history.evaluations, config.amplify)]
    if quality := values.read(folder):
        rows.append(f"  {value_quality.in_words(quality)}")
    return "\n".join(rows)


def summary(config: RunConfig, history: History) -> str:
    """Returns what was trained, and how far it came, as a line."""
    learnt, network = history.iterations[-1:], config.network.name
    if config.network.is_ours():
        network = f"{network} {config.network.blocks}x{config.network.channels}"
    parts = [
        f"{config.game}, preset {config.preset}",
        f"network {network}",
        f"{config.search.simulations} simulations a move",
    ]
    for last in learnt:
        seconds = max([last.seconds, *(line.seconds for line in history.evaluations[-1:])])
        parts += [f"step {last.step:,}", f"{last.games:,} games", f"{seconds / 60:.1f} min"]
    computed = operations_so_far(history)
    if computed is not None:
        size, unit = unit_of(computed.learning)
        parts.append(
            f"{computed.learning / size:.3g} {unit} of self-play and training, "
            f"{computed.measuring / size:.3g} of measuring"
        )
    return ", ".join(parts)


class Computed(NamedTuple):
    """Operations of a run."""

    learning: int  # self-play and training
    measuring: int


def operations_so_far(history: History) -> Computed | None:
    """Returns the operations of a run so far; None before its first line."""
    newest: list[IterationLine | EvaluationLine] = [
        *history.iterations[-1:],
        *history.evaluations[-1:],
    ]
    if not newest:
        return None
    return Computed(max(line.flops for line in newest), max(line.flops_measured for line in newest))


def unit_of(operations: float) -> tuple[float, str]:
    """Returns the size and name of the unit in which people say so many operations."""
    fitting = (unit for unit in UNITS if operations >= unit[0])
    return next(fitting, UNITS[-1])


def figures(line: EvaluationLine) -> dict[str, str]:
    """An evaluation's results by name, for people: shares in percent."""
    shares = {"score against random": line.random.score} if line.random else {}
    for name, rates in (line.perfect or {}).items():
        shares[f"mistakes, {name}, raw"] = rates.raw
        shares[f"mistakes, {name}, search"] = rates.search
    shown = {name: f"{share:.1%}" for name, share in shares.items()}
    return shown | ({"Elo above random": f"{line.ladder.elo:+.0f}"} if line.ladder else {})


def sentences(evaluations: Sequence[EvaluationLine], amplify: str) -> list[str]:
    """Returns what the last match of Amplify(A) against A says, and why the run ended."""
    measured = [(line, line.fixed_point) for line in evaluations]
    matches = [(line, m.strongest) for line, m in measured if m is not None and m.strongest]
    verdicts = [m.verdict for _, m in measured[-1:] if m is not None and m.verdict is not None]
    return [
        f"step {line.step}: {match.in_words(amplify)}{_conditions(line)}"
        for line, match in matches[-1:]
    ] + verdicts


def describe_iteration(
    line: IterationLine, previous: IterationLine | None, simulations: int, peak: float | None = None
) -> str:
    """Returns an iteration and the speed since the one before it as a line.

    Args:
      simulations: of a move.
      peak: what all devices can do at most, FLOP/s; None where that is not known.
    """
    seconds, games, positions = (
        getattr(line, name) - (getattr(previous, name) if previous else 0)
        for name in ("seconds", "games", "positions")
    )
    seconds = max(seconds, 1e-3)  # as lines are rounded: a worker's rollout may take less to learn
    parts = [
        f"iteration {line.iteration} step {line.step}",
        f"kl {line.kl:.3f}",
    ]
    # What is learned comes first, for a narrow terminal cuts off the end.
    if line.policy_loss is not None:
        parts.append(f"policy loss {line.policy_loss:.3f}, value loss {line.value_loss:.3f}")
    parts += [
        f"{games / seconds:.1f} games/s",
        f"{positions * simulations / seconds:,.0f} simulations/s",
    ]
    if peak:
        done = line.flops - (previous.flops if previous else 0)
        parts.append(f"{done / seconds / peak:.1%} of the peak")
    parts.append(f"replay {line.examples:,}")
    return " | ".join(parts)


def describe_evaluation(line: EvaluationLine, amplify: str) -> str:
    """Returns an evaluation as a sentence.

    Args:
      amplify: the run's setting: what Amplify(A) is.
    """
    head = f"step {line.step}, {line.seconds:.0f} s:"
    tail = _rating(line) + _gap(line, amplify) + _conditions(line)
    said = []
    if line.random is not None:
        low, high = line.random.interval
        said.append(f"score against random {line.random.score:.1%} [{low:.1%}, {high:.1%}]")
    if line.perfect is not None:
        rates = [
            f"{rates.raw:.1%} and {rates.search:.1%} ({name} positions)"
            for name, rates in line.perfect.items()
        ]
        said.append(f"mistakes of the bare network and with search {', '.join(rates)}")
    return f"{head} {'; '.join(said)}{tail}"


def describe_gate(line: GateLine) -> str:
    """Returns a match of new weights against those that play as a sentence."""
    taken = "now plays" if line.promoted else f"does not pass: step {line.actor_step} plays on"
    return (
        f"gate: step {line.step} scored {line.score:.1%} in {line.games} games against "
        f"step {line.actor_step} and {taken}{_conditions(line)}"
    )


def _conditions(line: EvaluationLine | GateLine) -> str:
    """Returns what was searched, and how games began if any were played."""
    said = [f"{line.simulations} simulations"]
    if line.opening_plies is not None:
        said.append(f"games from {line.opening_plies} random {_plies(line.opening_plies)}")
    return f" ({', '.join(said)})"


def _plies(count: int) -> str:
    return "ply" if count == 1 else "plies"


def _rating(line: EvaluationLine) -> str:
    if line.ladder is None:
        return ""
    rating = line.ladder
    low, high = rating.interval
    said = f"; Elo above random {rating.elo:+.0f} [{low:+.0f}, {high:+.0f}]"
    if rating.over_best is not None and rating.over_best_error is not None:
        said += (
            f", {rating.over_best:+.0f} (standard error {rating.over_best_error:.0f}) above step "
            f"{rating.best_step}, the best before"
        )
    return said


def _gap(line: EvaluationLine, amplify: str) -> str:
    if line.fixed_point is None:
        return ""
    gap, match = line.fixed_point.fresh, line.fixed_point.strongest
    won = f"; {match.in_words(amplify)}" if match else ""
    who = metrics.amplified(amplify)
    return f"; {who} changes {gap.changed:.1%} of the network's moves, by {gap.kl:.3f} nats{won}"


def _spark(values: Sequence[float], width: int = 40) -> str:
    marks = "▁▂▃▄▅▆▇█"
    places = np.linspace(0, len(values) - 1, min(width, len(values))).astype(int)
    chosen: Any = np.asarray(values)[places]
    low, high = chosen.min(), chosen.max()
    scaled = (chosen - low) / max(high - low, 1e-12) * (len(marks) - 1)
    return "".join(marks[round(float(level))] for level in scaled)


def describe_workers(line: WorkersLine) -> str:
    """Returns a line about workers as a clause."""
    parts = [
        f"{len(line.workers)} worker{'s' * (len(line.workers) != 1)}",
        f"{line.rate:,.0f} examples/s",
    ]
    if line.workers:
        parts.append(f"lag {max(worker.lag for worker in line.workers)} steps")
    if line.lost:
        parts.append(f"lost {line.lost}")
    if line.is_learner_bound:
        parts.append(f"learner-bound: reuse {line.reuse:.1f} of {line.wanted_reuse:g}")
    return ", ".join(parts)
