"""The lines of a run's metrics.jsonl, as types.

An entry that was not measured has its default; one that no type names is passed over. Nothing that
computes is imported: a page reads a run beside the job that trains it. `docs/metrics.md` shows
these types: the comment of an entry is its documentation.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

from selfplay.files import json_lines, json_objects

TARGET_LOSS = "loss_"  # begins the names of targets' losses in a line
Interval: TypeAlias = tuple[float, float]  # of 95%: low, high


@dataclasses.dataclass(frozen=True, kw_only=True)
class IterationLine:
    """One self-play call and the training steps after it."""

    kind: ClassVar[str] = "iteration"
    iteration: int  # self-play calls so far
    step: int  # training steps so far
    seconds: float  # of the run so far, over all its processes
    games: int  # finished so far
    positions: int  # plies played so far
    kl: float | None = None  # nats, mean KL(Amplify(A) || A) at the plies of this call
    entropy: float | None = None  # nats, mean of A's policy
    new_games: int | None = None  # finished in this call
    new_examples: int | None = None  # of these games
    game_plies: float | None = None  # mean length of these games; 0 without any
    value_error: float | None = None  # mean squared error of A's value at these examples
    examples: int  # that the replay has taken so far
    window: int | None = None  # examples that training draws from
    gradient_norm: float | None = None  # mean over its training steps, as all below
    learning_rate: float | None = None  # of the optimizer
    policy_loss: float | None = None  # nats, or what the loss slot counts in
    value_loss: float | None = None  # squared error of the value; with network.value wdl, nats
    flops: int  # operations of self-play and training so far
    flops_measured: int  # of measuring so far, which are not among these
    seconds_measured: float = 0.0  # of `seconds`, in evaluations
    target_losses: dict[str, float] = dataclasses.field(default_factory=dict)  # by target


@dataclasses.dataclass(frozen=True, kw_only=True)
class MistakesAtPly:
    """Mistake rates at positions of one ply."""

    ply: int  # moves played before
    positions: int | None = None  # of that ply
    raw: float  # fraction, of A alone
    budgets: dict[str, float]  # fraction, of searches by their simulations


@dataclasses.dataclass(frozen=True, kw_only=True)
class MistakeRates:
    """How often moves are worse than perfect play, on one set of solved positions."""

    positions: int | None = None  # in the set
    possible: float | None = None  # fraction of the positions in which some move is a mistake
    raw: float  # fraction, of A alone
    budgets: dict[str, float] | None = None  # fraction, of searches by their simulations
    search: float  # fraction, of the search at the first budget
    by_ply: tuple[MistakesAtPly, ...] = ()  # rising


@dataclasses.dataclass(frozen=True, kw_only=True)
class AgainstRandom:
    """A match of the search against random moves."""

    games: int | None = None  # of the match
    score: float  # fraction of the games won, draws counting half
    interval: Interval  # of the score


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rating:
    """A rating among weights of the run and the random player, which is rated 0."""

    elo: float  # above the random player
    interval: Interval  # of that
    games: int  # distinct ones that it rests on
    best_step: int | None = None  # of the best weights before these
    over_best: float | None = None  # Elo of these above those
    over_best_error: float | None = None  # standard error of that


@dataclasses.dataclass(frozen=True, kw_only=True)
class GapAtPlies:
    """The amplification gap in one part of the game."""

    plies: tuple[int, int]  # first and last
    kl: float  # nats
    positions: int  # in that part


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gap:
    """How far Amplify(A) moves A, as means over positions."""

    kl: float  # nats, KL(Amplify(A) || A)
    value: float | None = None  # |value of Amplify(A) - value of A|
    changed: float  # fraction of the best moves
    regret: float  # value that A's best move loses, by a search of what follows it
    blunders: float  # fraction of the best moves whose regret is above 0.5
    by_ply: tuple[GapAtPlies, ...] = ()  # in parts of the game


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
    """A match between A with and without amplification, from one side.

    In `strength` that is Amplify(A), against A alone; in `distilled` A alone, against an Amplify(A)
    measured before.
    """

    amplified_step: int | None = None  # of Amplify(A), in `distilled` only
    games: int | None = None  # of the match
    score: float  # fraction of the games won, draws counting half
    interval: Interval  # of the score
    elo: float  # as the score says
    elo_interval: Interval  # of that

    @property
    def is_weaker(self) -> bool:
        """Whether Amplify(A) certainly loses to A alone."""
        return self.interval[1] < 0.5

    def in_words(self, amplify: str) -> str:
        """Returns the result as a clause.

        Args:
          amplify: the run's setting: what Amplify(A) is.
        """
        low, high = self.elo_interval
        who = amplified(amplify)
        clause = f"{who} is {self.elo:+.0f} Elo ({low:+.0f} to {high:+.0f}) over the bare network"
        return f"{clause}, weaker than that alone" if self.is_weaker else clause


def amplified(amplify: str) -> str:
    """Amplify(A) in words."""
    return "search" if amplify == "search" else f"Amplify(A), {amplify},"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedPoint:
    """How near the run is to the fixed point of amplification and distillation."""

    own: Gap  # on positions of A against A, moves drawn from its policy
    fresh: Gap  # on positions of A's best moves against random ones
    probe: Gap  # on the random positions that stay the same for the whole run
    stage: str | None = None  # moving, flat, settled or stuck
    strength: dict[str, Match] = dataclasses.field(default_factory=dict)  # by budget, rising
    distilled: Match | None = None  # A alone against the Amplify(A) measured before
    verdict: str | None = None  # why the run ended here

    @property
    def blunders(self) -> float:
        """Share of blunders in A's games, against itself or random moves, whichever is more."""
        return max(self.fresh.blunders, self.own.blunders)

    @property
    def strongest(self) -> Match | None:
        """The match of Amplify(A) at its largest budget, if there was one."""
        return list(self.strength.values())[-1] if self.strength else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationLine:
    """What a run measured of itself; it has `perfect` or `random`, or of endings both."""

    kind: ClassVar[str] = "evaluation"
    iteration: int  # as in an iteration's line
    step: int  # of the weights that are measured
    seconds: float  # of the run so far
    games: int  # finished so far
    positions: int  # plies played so far
    perfect: dict[str, MistakeRates] | None = None  # by set of positions
    random: AgainstRandom | None = None  # where perfect play of whole games is not known
    loss: float  # fraction: the search's mean mistake rate, or 1 - its score
    simulations: int  # of a move by search
    opening_plies: int | None = None  # random ones, with which the games of its matches begin
    ladder: Rating | None = None  # among the run's own past
    fixed_point: FixedPoint | None = None  # how near the run is to it
    share: float | None = None  # fraction of network evaluations so far that measuring took
    seconds_per_move: dict[str, float] | None = None  # that `amplified` and `policy` take
    flops: int  # operations of self-play and training so far
    flops_measured: int  # of measuring so far, this included
    seconds_measured: float = 0.0  # of `seconds`, in evaluations

    def __post_init__(self) -> None:
        if self.perfect is None and self.random is None:
            raise ValueError("'perfect' or 'random' must be an object")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateLine:
    """A match of new weights against those that play, for their place."""

    kind: ClassVar[str] = "gate"
    iteration: int  # as in an iteration's line
    step: int  # of the new weights
    seconds: float  # of the run so far
    actor_step: int  # of the weights that play
    games: int  # of the match
    simulations: int  # of a move
    opening_plies: int  # random ones, with which its games begin
    score: float  # fraction, of the new weights, draws counting half
    interval: Interval  # of the score
    promoted: bool  # whether the new weights now play


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImitationLine:
    """A network fitted to recorded games, with which a run begins; fractions on held-out games."""

    kind: ClassVar[str] = "imitation"
    iteration: int  # 0
    step: int  # 0
    seconds: float  # of fitting
    games: int | None = None  # that were recorded
    held_out_games: int | None = None  # of these, kept for measuring
    positions: int | None = None  # examples that were fitted
    skipped: int | None = None  # records that could not be used
    epoch: int | None = None  # whose weights were kept
    top1: float | None = None  # fraction of the moves that are A's best one
    top5: float | None = None  # fraction of the moves among A's best five
    policy_loss: float | None = None  # nats, cross-entropy
    value_error: float | None = None  # mean squared error of the value


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerFigures:
    """What one worker did since the line before."""

    worker: int  # its number in the run; no two have the same
    host: str  # where it runs
    device: str  # number and kind of its devices
    rate: float  # examples a second since the line before
    silent: float  # seconds since its last rollout
    lag: int  # training steps that the weights of its rollouts were behind, at most


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkersLine:
    """What the workers of a run did, every 10 seconds (docs/distributed.md)."""

    kind: ClassVar[str] = "workers"
    iteration: int  # as in an iteration's line
    step: int  # training steps so far
    seconds: float  # of the run so far
    rate: float  # examples a second, of all workers
    reuse: float | None = None  # times that a new example is trained on, since the line before
    wanted_reuse: float  # the setting replay.samples_per_example
    is_learner_bound: bool  # whether rollouts wait for the learner, and reuse is below that
    lost: int  # workers that died, were frozen or failed, so far in this process
    workers: tuple[WorkerFigures, ...] = ()  # by number


Line: TypeAlias = IterationLine | EvaluationLine | GateLine | ImitationLine | WorkersLine
LINES = (IterationLine, EvaluationLine, GateLine, ImitationLine, WorkersLine)
KINDS: dict[str, type[Line]] = {line.kind: line for line in LINES}


class History(NamedTuple):
    """The lines of a run by kind, oldest first; an iteration may come after its evaluation."""

    iterations: list[IterationLine]
    evaluations: list[EvaluationLine]
    gates: list[GateLine]
    imitations: list[ImitationLine]
    workers: list[WorkersLine]


def history(lines: Iterable[Mapping[str, Any]]) -> History:
    """Returns the lines of metrics.jsonl by kind; those of unknown kinds are passed over.

    Raises:
      ValueError: a line is damaged; says which entry.
    """
    by_kind: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for line in lines:
        if line["kind"] in KINDS:
            by_kind[line["kind"]].append(json_objects.read(KINDS[line["kind"]], _gathered(line)))
    return History(*by_kind.values())


def _gathered(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a line with its entries `loss_NAME` together: there is one for each target."""
    losses = {
        name.removeprefix(TARGET_LOSS): value
        for name, value in line.items()
        if name.startswith(TARGET_LOSS)
    }
    return {**line, "target_losses": losses} if losses else line


def parse(text: str, place: str) -> dict[str, Any]:
    """Returns a line of metrics.jsonl with all of its entries, known to be whole.

    Args:
      place: of the line, for messages.

    Raises:
      ValueError: it is damaged; says where and which entry.
    """
    line = json_lines.parse(text, place)
    if not (isinstance(line, dict) and isinstance(line.get("kind"), str)):
        raise ValueError(f"{place}: an object with its 'kind', got {text[:40]!r}")
    try:
        history([line])
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return line
