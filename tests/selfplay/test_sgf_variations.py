"""Variations in SGF: written and read against sgfmill; damage and excess spoil no main line."""

import random
import warnings

import pytest

from selfplay.records import sgf
from selfplay.records.sgf_draft import kept, read_drafts

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # an invalid escape in a docstring of it, if not yet compiled
    from sgfmill import sgf as sgfmill

SIZE = 5
PASS = SIZE**2
ROOT = f"(;GM[1]SZ[{SIZE}]KM[0.5]"
FIELDS = {"game": "go:size=5,komi=0.5", "returns": None, "players": ["a", "b"]}

# A tree is here what follows a position: (action, tree) of each move, the main line first.


def random_tree(rng, moves):
    """Returns a tree of so many moves; most positions have one after them."""
    tree = []
    while moves:
        share = moves if rng.random() < 0.7 else rng.randint(1, moves)
        action = rng.choice([one for one in range(PASS + 1) if one not in dict(tree)])
        tree.append((action, random_tree(rng, share - 1)))
        moves -= share
    return tree


def as_moves(tree):
    """Returns a tree as its main line and the moves beside it, as `sgf.write_game` numbers them."""
    main, variations, later = [], [], []
    while tree:
        later += [(len(main), one) for one in tree[1:]]
        main.append(tree[0][0])
        tree = tree[0][1]

    def add(parent, move):
        variations.append((parent, move[0]))
        number = len(main) + len(variations)
        for child in move[1]:
            add(number, child)

    for parent, move in later:
        add(parent, move)
    return main, variations


def as_tree(main, variations):
    after = [[] for _ in range(1 + len(main) + len(variations))]
    for number, (parent, action) in enumerate([*enumerate(main), *variations], start=1):
        after[parent].append((action, after[number]))
    return after[0]


def of_peer(node):
    """Returns what follows a node of sgfmill's as a tree; its row 0 is the bottom line."""
    tree = []
    for child in node:
        _, point = child.get_move()
        action = PASS if point is None else (SIZE - 1 - point[0]) * SIZE + point[1]
        tree.append((action, of_peer(child)))
    return tree


def to_peer(node, tree, ply=0):
    for action, after in tree:
        row, col = divmod(action, SIZE)
        child = node.new_child()
        child.set_move("bw"[ply % 2], None if action == PASS else (SIZE - 1 - row, col))
        to_peer(child, after, ply + 1)


def written(tree):
    main, variations = as_moves(tree)
    return sgf.write_game(FIELDS | {"moves": main}, None, "", variations)


def one(text):
    (draft,) = read_drafts(text)
    return draft


def tree_of(draft):
    return as_tree(draft.moves, draft.variations)


TREES = [random_tree(random.Random(seed), 60) for seed in range(40)]


def test_the_trees_of_these_tests_branch():
    counts = [len(as_moves(tree)[1]) for tree in TREES]
    assert sum(count > 10 for count in counts) > 10, counts


@pytest.mark.parametrize("tree", TREES, ids=range(40))
def test_a_tree_is_written_and_read_as_sgfmill_does(tree):
    text = written(tree)
    peer = sgfmill.Sgf_game.from_string(text)
    assert of_peer(peer.get_root()) == tree
    assert len(peer.get_main_sequence()) - 1 == len(as_moves(tree)[0])  # it is written first
    mine = one(text)
    assert (tree_of(mine), mine.problem, mine.notes) == (tree, "", [])
    game = sgfmill.Sgf_game(size=SIZE)
    to_peer(game.get_root(), tree)
    theirs = one(game.serialise().decode())
    assert (tree_of(theirs), theirs.problem, theirs.notes) == (tree, "", [])


def test_a_side_that_is_not_to_play_passes_in_a_variation_too():
    draft = one(ROOT + "AB[aa][bb];W[cc](;B[dd])(;W[ee];W[ed]))")
    assert draft.moves == [0, PASS, 6, 12, 18]
    assert draft.variations == [(4, PASS), (6, 24), (7, PASS), (8, 19)]
    assert "2 passes were put in where a colour moves out of turn" in draft.notes


def test_nodes_without_a_move_part_no_line_and_equal_moves_are_one():
    draft = one(ROOT + ";B[aa];C[?](;C[!](;W[bb])(;W[cc]))(;W[bb];B[dd])(;W[bb];B[ee]))")
    assert tree_of(draft) == [(0, [(6, [(18, []), (24, [])]), (12, [])])]
    assert draft.notes == ["left out of the file: comments"]


@pytest.mark.parametrize(
    ("variations", "kept", "why"),
    [
        ("(;W[cc])(;W[zz];B[dd])", [(1, 12)], "1 variation is cut short: move 2: [zz]"),
        ("(;W[cc];AB[dd];B[ee])", [(1, 12)], "1 variation is cut short: move 3: AB sets up"),
        ("(;W[cc]B[dd])(;W[a](;B[bb])(;B[cc]))", [], "2 variations are cut short, the first: move"),
        ("(;W[cc](;B[dd])(;B[ee]", [(1, 12), (4, 18), (4, 24)], "short: the file ends within it"),
        ("(;W[cc];B[dd", [(1, 12)], "short: a value is not closed by ]"),
        ("(;W[cc]];B[dd])", [(1, 12)], "short: ']' is not SGF"),
        ("(;W[cc];[dd])", [(1, 12)], "short: the value [dd] belongs to no property"),
    ],
)
def test_a_damaged_variation_is_cut_and_the_main_line_is_not(variations, kept, why):
    whole = variations.endswith(")")
    draft = next(read_drafts(f"{ROOT};B[aa](;W[bb];B[cc]){variations}{')' if whole else ''}"))
    assert (draft.moves, draft.problem) == ([0, 6, 12], "")
    assert draft.variations == kept
    (note,) = draft.notes
    assert why in note


def test_where_the_main_line_is_cut_so_are_the_variations_behind_it():
    draft = one(ROOT + ";B[aa](;W[zz](;B[bb])(;B[cc]))(;W[dd]))")
    assert (draft.moves, draft.variations) == ([0], [(1, 18)])
    assert draft.problem.startswith("move 2: [zz]")
    assert draft.notes == []
    # By the rules: of the moves 0 to 3 only two are left, and what hangs on the others goes.
    variations = [(0, 9), (5, 8), (3, 7), (7, 6), (6, 5)]
    assert kept(variations, 4, 2) == [(0, 9), (3, 8), (4, 5)]


def test_too_many_nodes_of_variations_are_left_out_and_said():
    most = sgf.MAX_NODES
    draft = one(f"{ROOT};B[aa](;W[bb])(;W[cc]" + ";B[aa];W[aa]" * (most // 2) + ")(;W[dd]))")
    assert (draft.moves, draft.problem, len(draft.variations)) == ([0, 6], "", most - 3)
    assert draft.notes == ["variations are left out: of a game, 10,000 nodes are shown"]


def test_hostile_nesting_takes_linear_time():
    # Quadratic, or recursive, each would take hours, or fail.
    for text in (
        "(" * 100_000,
        ")" * 100_000,
        "()" * 100_000,
        "(;W[cc]" * 9_000 + ")" * 9_000,
        "(;W[cc])" * 100_000,
        "(;W[bb])(;W[cc]" * 9_000,
        "(;W[bb])(;C[" * 9_000,
        "(;W[bb])(;\\" * 9_000,
        "(;W[bb])(;W" * 30_000 + "[",
    ):
        for draft in read_drafts(f"{ROOT};B[aa]{text}"):
            assert draft.problem or draft.moves
            assert len(draft.variations) < 2 * sgf.MAX_NODES  # each behind a pass


def test_no_text_with_variations_makes_it_crash():
    rng = random.Random(1)
    pieces = ["(", "(;", ")", ";", "B[aa]", "W[bb]", "B[", "]", "AB[aa]", "tt", "W[]", "\\", "x"]
    for _ in range(3000):
        text = "".join(rng.choice(pieces) for _ in range(30))
        for draft in read_drafts(f"{ROOT};B[cc](;W[dd])(;W[ee]{text}"):
            total = len(draft.moves)
            for number, (parent, action) in enumerate(draft.variations, start=total + 1):
                assert 0 <= parent < number, text
                assert 0 <= action <= PASS or draft.game != "go:size=5,komi=0.5", text


def test_a_deep_tree_is_written_without_recursion():
    # Beside each second move lies another one, which ends there; and all within the one variation.
    lines = 5_000
    later = [move for k in range(lines) for move in ((2 + 2 * k, 2), (2 + 2 * k, 3))]
    text = sgf.write_game(FIELDS | {"moves": [0]}, None, "", [(0, 1), *later])
    assert text.count("(") == text.count(")") == 2 * lines + 3
    assert text.endswith(")" * (lines + 2) + "\n")
