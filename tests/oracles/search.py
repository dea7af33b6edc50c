"""Searches in plain Python and float64, one tree, one node at a time: what `mcts` must agree with.

Written from the papers (Danihelka et al. 2022; Silver et al. 2017; Schrittwieser et al. 2020); no
code is shared with `mcts`, `games` or mctx. A position is `(board, seat)`, a board a tuple of -1, 0
and 1. Values in a tree are kept for seat 0.
"""

import math

import numpy as np

TIC_TAC_TOE_LINES = [
    *[(3 * r, 3 * r + 1, 3 * r + 2) for r in range(3)],
    *[(c, c + 3, c + 6) for c in range(3)],
    (0, 4, 8),
    (2, 4, 6),
]
TANDEM_LINES = [(c, c + 1, c + 2) for c in range(6)]


class Rules:
    """A game of placing stones in cells until a line is full."""

    def __init__(self, lines, double_moves):
        self.lines, self.double_moves = lines, double_moves

    def winner(self, board):
        for line in self.lines:
            if board[line[0]] >= 0 and len({board[cell] for cell in line}) == 1:
                return board[line[0]]
        return None

    def result(self, board):
        """Returns seat 0's return, or None while play goes on."""
        if (winner := self.winner(board)) is not None:
            return 1.0 if winner == 0 else -1.0
        return None if -1 in board else 0.0

    def seat(self, board):
        stones = sum(cell >= 0 for cell in board)
        return (stones + 1) // 2 % 2 if self.double_moves else stones % 2

    def moves(self, board):
        return [cell for cell, owner in enumerate(board) if owner < 0]

    def play(self, board, cell):
        return (*board[:cell], self.seat(board), *board[cell + 1 :])

    def observe(self, board):
        """Returns the flat observation of the game's `observe`."""
        me = self.seat(board)
        planes = [[c == me for c in board], [c == 1 - me for c in board]]
        if self.double_moves:
            planes.append([sum(c >= 0 for c in board) % 2 == 0] * len(board))
        return np.array(planes, np.float64).T.reshape(-1)

    def negamax(self, board, memo):
        """Returns seat 0's return under perfect play."""
        if board not in memo:
            result = self.result(board)
            if result is None:
                below = [self.negamax(self.play(board, cell), memo) for cell in self.moves(board)]
                result = max(below) if self.seat(board) == 0 else min(below)
            memo[board] = result
        return memo[board]


def clip(value, bounds):
    return min(max(value, bounds[0]), bounds[1])


class Node:
    def __init__(self, rules, network, board, proven=False):
        self.board, self.children, self.proven = board, {}, proven
        self.sign = 1 if rules.seat(board) == 0 else -1
        self.result = rules.result(board)
        self.moves = [] if self.result is not None else rules.moves(board)
        self.visits = dict.fromkeys(self.moves, 0)
        self.total = dict.fromkeys(self.moves, 0.0)
        self.value0 = self.result
        if self.result is None:
            logits, value = network(rules.observe(board))
            exps = {move: math.exp(logits[move]) for move in self.moves}
            self.prior = {move: exps[move] / sum(exps.values()) for move in self.moves}
            self.raw, self.value0 = value, self.sign * value

    def bounds(self, move=None):
        """Returns what seat 0 gets at least and at most here, or after `move`, by what is known."""
        if not self.proven:
            return (-2.0, 2.0)
        if move is not None:
            return self.children[move].bounds() if move in self.children else (-1.0, 1.0)
        if self.result is not None:
            return (self.result, self.result)
        below = [self.bounds(move) for move in self.moves]
        best = max if self.sign > 0 else min
        return best(low for low, _ in below), best(high for _, high in below)

    def own_bounds(self, move=None):
        """The same for the seat to play."""
        return self.bounds(move) if self.sign > 0 else tuple(-x for x in self.bounds(move)[::-1])

    def open(self):
        """Returns the moves that may still improve on what is sure, or all."""
        sure = self.own_bounds()[0]
        return [move for move in self.moves if self.own_bounds(move)[1] > sure] or self.moves

    def candidates(self):
        """Returns the moves to decide among."""
        if not self.proven:
            return self.moves
        sure, hope = self.own_bounds()
        safe = [move for move in self.moves if self.own_bounds(move)[0] == sure]
        if sure == hope:
            return safe
        gains = [move for move in self.moves if self.own_bounds(move)[1] > sure]
        return sorted({*gains, *(safe if sure > -1 else [])})

    def q(self, move):
        return self.sign * clip(self.total[move] / self.visits[move], self.bounds(move))

    def tried(self):
        return [move for move in self.moves if self.visits[move]]

    def value(self):
        mean0 = (self.sign * self.raw + sum(self.total.values())) / (1 + sum(self.visits.values()))
        return self.sign * clip(mean0, self.bounds())


def simulate(rules, network, root, first, choose, max_depth):
    """Makes one simulation that starts with the move `first`."""
    node, move, trail = root, first, []
    while True:
        trail.append((node, move))
        if move not in node.children:
            board = rules.play(node.board, move)
            node.children[move] = Node(rules, network, board, node.proven)
            break
        if node.children[move].result is not None or len(trail) == max_depth:
            break
        node = node.children[move]
        move = choose(node)
    value0 = node.children[move].value0
    for node, move in reversed(trail):
        value0 = clip(value0, node.bounds(move))
        node.visits[move] += 1
        node.total[move] += value0


def puct(rules, network, board, simulations, config, max_depth=10**6, root=None):
    """Returns the root after a PUCT search without noise, from a searched `root` if given."""

    def choose(node):
        tried = node.tried()
        here = node.value()
        if config.q_transform == "parent_and_siblings":
            seen = [here, *(node.q(move) for move in tried)]
            low, high = min(seen), max(seen)
        else:
            low, high = -1.0, 1.0
        first = {"least": low, "zero": min(max(0.0, low), high), "parent": here}[config.fpu]
        count = 1 + sum(node.visits.values())
        weight = config.pb_c_init + math.log((count + config.pb_c_base + 1) / config.pb_c_base)

        def score(move):
            q = node.q(move) if node.visits[move] else first
            if config.q_transform != "plain":
                q = (q - low) / max(high - low, 1e-8)
            bonus = weight * node.prior[move] * math.sqrt(count) / (1 + node.visits[move])
            return q + bonus

        return max(node.open(), key=score)

    root = root or Node(rules, network, board, config.proven)
    for _ in range(simulations):
        simulate(rules, network, root, choose(root), choose, max_depth)
    return root


def completed_q(node, config):
    """Returns the value of each move, for the seat to play; those not tried filled in."""
    tried = node.tried()
    filler = node.raw
    if tried and config.mixed_value:
        weight = sum(node.prior[move] for move in tried)
        mean = sum(node.prior[move] * node.q(move) for move in tried) / weight
        total = sum(node.visits.values())
        filler = (node.raw + total * mean) / (1 + total)
    return {move: node.q(move) if node.visits[move] else filler for move in node.moves}


def sigma(node, config):
    """Returns the values on the scale of logits; the paper's values lie in [0, 1]."""
    scale = (config.c_visit + max(node.visits.values())) * config.c_scale
    return {move: scale * (1 + q) / 2 for move, q in completed_q(node, config).items()}


def improved_policy(node, moves, config):
    values = sigma(node, config)
    logit = {move: math.log(node.prior[move]) + values[move] for move in moves}
    top = max(logit.values())
    exps = {move: math.exp(logit[move] - top) for move in moves}
    return {move: exps[move] / sum(exps.values()) for move in moves}


def reported(root, config):
    """Returns the value of a searched root, and that of each of its moves."""
    if config.policy == "puct":
        value = root.value()
        return value, {m: root.q(m) if root.visits[m] else value for m in root.moves}
    q = completed_q(root, config)
    improved = improved_policy(root, root.candidates(), config)
    value = sum(share * q[move] for move, share in improved.items())
    return clip(value, root.own_bounds()), q


def gumbel(rules, network, board, simulations, config, noise, max_depth=10**6, root=None):
    """Returns the root after a Gumbel search, and the move it decides on; `root` as for `puct`."""

    def choose(node):
        improved = improved_policy(node, node.moves, config)
        share = 1 + sum(node.visits.values())
        return max(node.open(), key=lambda m: improved[m] - node.visits[m] / share)

    root = root or Node(rules, network, board, config.proven)
    inherited = dict(root.visits)

    def new_visits(move):
        return root.visits[move] - inherited[move]

    def merit(move):
        return noise[move] + math.log(root.prior[move]) + sigma(root, config)[move]

    used = 0
    racing = min(config.max_considered_actions, len(root.moves))
    phases = max(1, math.ceil(math.log2(racing))) if racing > 1 else 1
    while used < simulations:
        visits_each = max(1, simulations // (phases * racing)) if racing > 1 else simulations
        for _ in range(visits_each):
            # One more visit for each place in the race: the best of those visited equally often.
            level = max(map(new_visits, root.moves))
            for _ in range(min(racing, simulations - used)):
                move = max((m for m in root.moves if new_visits(m) == level), key=merit)
                simulate(rules, network, root, move, choose, max_depth)
                used += 1
        racing = min(racing, max(2, racing // 2))
    allowed = root.candidates()
    most = max(map(new_visits, allowed))
    return root, max((m for m in allowed if new_visits(m) == most), key=merit)


def search(rules, network, board, simulations, config, actions, max_depth=10**6, root=None):
    """Returns the root after a search without noise, and the move; None where that is drawn."""
    given = rules, network, board, simulations, config
    if config.policy == "puct":
        return puct(*given, max_depth, root), None
    return gumbel(*given, np.zeros(actions), max_depth, root)
