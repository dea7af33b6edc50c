"""The settings of the search: each with its source, the paper's value and ours."""

import dataclasses
from typing import Literal, get_args

from mcts.setting import problems, setting

Engine = Literal["tree", "mctx"]
Policy = Literal["gumbel", "puct"]
QTransform = Literal["parent_and_siblings", "min_max", "plain"]
Fpu = Literal["least", "zero", "parent"]

DEEPEST = 64  # the automatic depth cap: lines this long are nearly all forced


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """How to search. Sources: Gumbel, Danihelka et al., ICLR 2022; PUCT, Silver et al. 2017."""

    policy: Policy = setting("gumbel", choices=get_args(Policy))
    """Gumbel improves the policy at any number of simulations; PUCT is AlphaGo Zero's."""
    simulations: int = setting(32, at_least=1)
    """Network evaluations a move, beside the root's. Gumbel paper: 2 to 200, on Go 9x9; AlphaZero:
    800."""
    engine: Engine = setting("tree", choices=get_args(Engine))
    """tree: our own batched search; mctx: the library that it is tested against."""
    max_depth: int = setting(0, at_least=0, note="0: automatic")
    """Plies below the root beyond which the tree does not grow: a node there is scored again by its
    own value. 0: the smallest of `simulations`, the game's `max_plies` and 64. Papers: no limit."""
    proven: bool = False
    """Back up wins, losses and draws exactly where the search has proven them, and use them in its
    moves, targets and values. Papers and mctx: no."""
    reuse_nodes: int = setting(0, at_least=0, note="0: off")
    """In self-play: how many nodes of the last move's tree the next search goes on from, at most.
    Its `simulations` come on top, and may be fewer then. 0: each search starts anew. AlphaGo Zero:
    all below the move played."""
    leaves: int = setting(1, at_least=1)
    """Simulations that share one network call, kept apart by virtual losses, so that a single game
    fills a device. The more, the less each of them knows of the others. AlphaGo Zero: 8."""
    average_symmetries: bool = False
    """Average the root's evaluation over the game's symmetries. AlphaGo Zero: a random one."""
    max_considered_actions: int = setting(16, at_least=1)
    """Gumbel: actions that sequential halving starts from. Paper: 16."""
    gumbel_scale: float = setting(1.0, at_least=0)
    """Gumbel: scale of the root noise; 0 plays the best action. Paper: 1."""
    c_visit: float = setting(50.0, at_least=0)
    """Gumbel: visits added to the largest count when values are scaled. Paper: 50."""
    c_scale: float = setting(1.0, above=0)
    """Gumbel: scale of values in [0, 1] against logits. Paper: 1.0 for Go and chess, 0.1 Atari."""
    rescale_values: bool = False
    """Gumbel: stretch each node's values to [0, 1]. Paper: off for Go and chess, on for Atari."""
    mixed_value: bool = True
    """Gumbel: an unvisited action has the mixed value of the paper's appendix D. Off: it has the
    network's value of the node. Paper: on."""
    pb_c_init: float = setting(1.25, above=0)
    """PUCT: weight of the prior. AlphaZero: 1.25."""
    pb_c_base: float = setting(19652.0, above=0)
    """PUCT: visits over which the prior's weight grows. AlphaZero: 19652."""
    q_transform: QTransform = setting("parent_and_siblings", choices=get_args(QTransform))
    """PUCT: the scale of values beside the prior's bonus. parent_and_siblings: stretched to [0, 1]
    by the range of the node and its visited actions (MuZero); min_max: from [-1, 1] to [0, 1]
    (AlphaZero); plain: left in [-1, 1] (AlphaGo Zero)."""
    fpu: Fpu = setting("least", choices=get_args(Fpu))
    """PUCT, first-play urgency: the value of an unvisited action. least: the lower end of the range
    that `q_transform` looks at (AlphaZero, MuZero); zero: 0, kept within that range (AlphaGo Zero);
    parent: the searched value of the node."""
    dirichlet_fraction: float = setting(0.25, at_least=0, at_most=1)
    """PUCT: share of noise in the root's prior; 0: none. AlphaGo Zero: 0.25."""
    dirichlet_alpha: float = setting(0.0, at_least=0, note="0: automatic")
    """PUCT: concentration of the noise; 0: 10 / (number of legal actions). AlphaGo Zero, on Go
    19x19: 0.03."""

    def problems(self) -> list[str]:
        """The faults of these settings, a sentence each."""
        with_mctx = self.engine == "mctx"
        rules = [
            (
                not with_mctx or self.fpu == "least",
                "fpu",
                "least with the engine mctx, which has no other",
            ),
            (not with_mctx or not self.proven, "proven", "off with the engine mctx"),
            (not with_mctx or self.reuse_nodes == 0, "reuse_nodes", "0 with the engine mctx"),
            (not with_mctx or self.leaves == 1, "leaves", "1 with the engine mctx"),
            (self.reuse_nodes <= 0 or self.leaves == 1, "leaves", "1 with search.reuse_nodes"),
        ]
        return problems(self, "search") + [
            f"search.{name} must be {wanted}, got {getattr(self, name)!r}"
            for holds, name, wanted in rules
            if not holds
        ]

    def depth(self, max_plies: int) -> int:
        """Returns the depth cap in a game of at most `max_plies` plies."""
        return min(self.simulations + self.reuse_nodes, max_plies, self.max_depth or DEEPEST)

    def without_noise(self) -> "SearchConfig":
        """Returns the same search with its root noise off, as evaluation wants it."""
        return dataclasses.replace(self, gumbel_scale=0.0, dirichlet_fraction=0.0)
