"""PGN: written and read against python-chess; damaged games named with their place."""

import io
import random
import time

import chess
import chess.pgn
import numpy as np
import pytest

import games
from games.pgx_chess_moves import Move, action_of, move_of
from selfplay import positions
from selfplay.files.game_lines import parse
from selfplay.records import chess_position, game_record, pgn, san
from selfplay.records.game_record import scan_records

# Castling to both sides, a capture en passant, a knight told from another, a promotion with capture
# to a queen and to a knight, mate.
SPECIAL = [
    "1. e4 e5 2. Nf3 Nf6 3. d4 exd4 4. e5 Ne4 5. Qxd4 d5 6. exd6 Nxd6 7. Nc3 Nc6 8. Qf4 g6 9. Be3 "
    "Bg7 10. O-O-O O-O 11. Nb5 Be6 12. Nbd4 Nxd4 13. Nxd4 1/2-1/2",
    "1. a4 b5 2. axb5 a6 3. bxa6 Bb7 4. axb7 Nc6 5. bxa8=Q Nb8 6. Qxb8 Qxb8 7. Ra8 1-0",
    "1. a4 b5 2. axb5 a6 3. bxa6 Bb7 4. axb7 Nc6 5. bxa8=N 1-0",
    "1. e4 a6 2. e5 d5 3. exd6 Qxd6 4. h3 Qd4 1/2-1/2",  # through where the pawn was taken
    "1. f3 e5 2. g4 Qh4# 0-1",
]
PLIES = 60


def played(seed, plies=PLIES):
    """Returns a random game of python-chess, with comments, variations and annotations in it."""
    rng, game = random.Random(seed), chess.pgn.Game()
    game.headers["Black"], game.headers["Result"] = "Großmeister", "0-1"
    node = game
    for _ in range(plies):
        legal = list(node.board().legal_moves)
        if not legal or node.board().is_game_over():
            break
        if rng.random() < 0.1 and node.move:
            aside = node.add_variation(rng.choice(legal), comment="(aside) [%clk 1:00] 1-0 ;")
            aside.nags.add(3)
        node = node.add_main_variation(rng.choice(legal))
        if rng.random() < 0.1:
            node.comment, node.nags = 'good ) "e4" [x', {1}
    return game


GAMES = [played(seed) for seed in range(8)]


def moves_of(game):
    return [
        Move(move.from_square, move.to_square, promoted(move)) for move in game.mainline_moves()
    ]


def promoted(move):
    return chess.piece_symbol(move.promotion) if move.promotion else ""


def actions_of(game):
    return [action_of(move, ply % 2) for ply, move in enumerate(moves_of(game))]


def read(text):
    """Returns the only game of a text."""
    ((_, fields),) = pgn.read_games(text)
    return fields


def test_what_python_chess_writes_is_read_and_it_reads_what_we_write():
    for game in GAMES:
        fields = read(str(game))
        assert fields["moves"] == actions_of(game), fields
        assert fields["players"][1] == "Großmeister"
        text = pgn.write_game(fields | {"players": ['a "b" \\', "c"], "seed": 7})
        theirs = chess.pgn.read_game(io.StringIO(text))
        assert not theirs.errors
        assert [*theirs.mainline_moves()] == [*game.mainline_moves()]
        assert theirs.headers["Result"] == "0-1"
        assert read(text) == fields | {"players": ['a "b" \\', "c"], "seed": 7}
        assert max(map(len, text.splitlines()[8:])) < 80


@pytest.mark.parametrize("text", SPECIAL)
def test_special_moves_are_read_and_written_as_python_chess_does(text):
    fields = read(text)
    if isinstance(fields, str):
        pytest.fail(fields)
    assert fields["moves"] == actions_of(chess.pgn.read_game(io.StringIO(text)))
    assert " ".join(pgn.write_game(fields).split("\n\n")[1].split()) == text


def test_names_of_moves_are_python_chess_s_in_positions_with_many_like_pieces():
    rng, seen = random.Random(1), 0
    for _ in range(20):  # without a black king, which would stand in check
        board = chess.Board(None)
        squares = rng.sample(range(64), 14)
        for square, symbol in zip(squares, "KNNNNBBRRQQQnr", strict=True):
            board.set_piece_at(square, chess.Piece.from_symbol(symbol))
        pieces = (board.piece_at(square) for square in range(64))
        cells = "".join(piece.symbol() if piece else "." for piece in pieces)
        position = chess_position.Position(cells, 0, "", -1)
        for move in board.legal_moves:
            mine = Move(move.from_square, move.to_square)
            assert san.write(position, mine) == board.san(move), board.fen()
            assert san.read(position, board.san(move)) == mine
            seen += len(board.san(move).strip("+#x")) > 4
    assert seen > 5, "some are told from others by file and rank"


GOOD = '[Event "x"]\n[Result "1-0"]\n\n1. e4 e5 1-0\n'
TAGS = '[Event "y"]\n[White "w"]\n\n'
BAD = {
    TAGS + "1. e4 e5 2. Ke3 1-0": "line 9, move 2. Ke3 is illegal: no king may go to e3",
    TAGS + "1. e4 e5\n2. Nf3 Nc7 1-0": "line 10, move 2... Nc7 is illegal: no knight may go to c7",
    TAGS + "1. e4 1... d5 2. exd5 e5 3. e4 1-0": "move 3. e4 is illegal: no pawn may go to e4",
    TAGS + "1. Nf3 d5 2. Nd4 d6 1-0": "move 2... d6 is illegal: no pawn",
    TAGS + "1. Nf3 d5 2. d3 e6 3. Nd2 1-0":
        "move 3. Nd2 may be any of the moves of the knights on b1 and f3",
    TAGS + "1. d4 e6 2. Nc3 Bb4 3. Ne4 1-0": "move 3. Ne4 is illegal",  # for it is pinned
    TAGS + "1. e4 e5 2. O-O 1-0": "move 2. O-O is illegal: the king may not castle there",
    TAGS + "1. e4 e5 2. Xf3 1-0": "move 2. 'Xf3' is no move",
    TAGS + "1. e4=Q 1-0": "move 1. e4=Q promotes where nothing can",
    TAGS + "1. a4 b5 2. axb5 a6 3. bxa6 Bb7 4. axb7 Nc6 5. bxa8 1-0":
        "move 5. bxa8 does not say what the pawn becomes",
    TAGS + "1. e4 e5 *": "it has no result",
    TAGS + "1. e4 e5": "line 11: it ends within its moves, without a result",
    TAGS + "1. e4 (1. d4 e5 1-0": "it ends within a variation that nothing closes",
    TAGS + "1. e4 ) e5 1-0": "line 9: ')' closes no variation",
    TAGS + "1. e4 {open e5 1-0": "line 9: a comment is not closed by }",
    TAGS + "1. e4 <x> 1-0": "line 9: '<x>' is not PGN",
    TAGS + "1. e4 \x00 1-0": "is not PGN",
    '[Event "y"]\n[White w]\n\n1. e4 1-0': "line 7: '[White w]' is no tag pair",
    '[Event "y"]\n[Result "0-1"]\n\n1. e4 1-0': "its tag says '0-1', its moves end with 1-0",
    '[Event "y"]\n[FEN "8/8/8/8/8/8/8/K1k5 w - - 0 1"]\n\n1-0': "here a game begins from the open",
    '[Event "y"]\n[Variant "Atomic"]\n\n1. e4 1-0': "Variant 'Atomic' is another game",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_a_bad_game_is_named_with_its_place_and_the_third_is_read(text):
    third = GOOD.replace("1. e4 e5", "1. d4 {a } d5")
    first, second, last = pgn.read_games(f"{GOOD}\n{text}\n\n{third}")
    assert (first[0], last[1]["moves"]) == ("game 1 (line 1)", read(third)["moves"])
    assert second[0] == "game 2 (line 6)"
    assert BAD[text] in second[1]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "[", '[Event "x"]', GOOD[:-5], GOOD[:30], "1. e4 {", "1. e4 (", "\x00"]
)
def test_a_file_that_is_cut_off_gives_a_sentence_with_its_line(text):
    for place, found in pgn.read_games(text):
        assert place.startswith("game 1 (line ")
        assert found.startswith("line "), found
    assert [*pgn.read_games(text)] or not text.strip()


def test_what_a_record_holds_beside_moves_is_kept_and_what_others_say_is_understood():
    record = {
        "game": "pgx:chess", "moves": read(GOOD)["moves"], "returns": [-1.0, 1.0],
        "players": ["a", "b"], "ended_by": "time", "note": '"]\n\\ {}',
    }  # fmt: skip
    text = pgn.write_game(record)
    assert '[Termination "time forfeit"]' in text
    assert read(text) == record
    assert read(text.replace("[Selfplay", "[Other"))["ended_by"] == "time"
    assert read("% a line to skip\n" + GOOD + "% another\n") == read(GOOD)
    latin = pgn.decoded(GOOD.replace('"x"', '"x"]\n[White "Müller"').encode("latin-1"))
    assert read(latin)["players"][0] == "Müller"


def test_random_edits_give_a_game_or_a_sentence():
    rng, text = random.Random(0), "\n".join(str(played(seed, 12)) for seed in range(3))
    for _ in range(250):
        edited = list(text)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(edited))
            edited[at : at + rng.randint(0, 3)] = rng.choice([*'[]{}()"\\;%x1*\n\x00é', "O-O", ""])
        for place, found in pgn.read_games("".join(edited)):
            assert place.startswith("game ")
            assert isinstance(found, str) or not isinstance(parse(found), str), found


def test_large_damaged_files_take_linear_time():
    began = time.monotonic()
    for part in ("{", "(", '[A "b', '[A "b"]', "1. ", "$1 ", '\n\n[A "b"]\n\n{', "(;", "1" * 9):
        for k, _ in enumerate(pgn.read_games(part * 50_000)):
            if k == 300:
                break
    assert time.monotonic() - began < 30  # quadratic, it would be hours


@pytest.mark.slow  # pgx's names of moves are compared elsewhere, with OpenSpiel's
def test_pgx_plays_these_games_and_knows_the_same_moves_after_them(tmp_path):
    """One shape for both replays, for compiling takes ten seconds."""
    path, game = tmp_path / "games.pgn", games.load("pgx:chess")
    played_here = [played(seed, PLIES // 2) for seed in range(4)]
    path.write_text("\n\n".join(map(str, played_here)))
    scan = scan_records(path)
    assert not scan.problems
    assert [list(record.moves) for record in scan.records] == [*map(actions_of, played_here)]
    assert {record.ended_by for record in scan.records} == {"agreement"}
    game_record.write_records(path, scan.records)
    after = positions.replay(game, [record.moves for record in scan.records])
    for k, theirs in enumerate(played_here):
        board = theirs.end().board()
        mask = np.asarray(after.states.legal_action_mask[k])
        pawns = board.pieces(chess.PAWN, board.turn)
        seat = int(not board.turn)
        mine = {
            move_of(action, seat, move_of(action, seat, False).origin in pawns)
            for action in np.flatnonzero(mask).tolist()
        }
        assert {Move(m.from_square, m.to_square, promoted(m)) for m in board.legal_moves} == mine
    assert scan_records(path) == scan


def test_who_waits_in_check_is_told_as_by_python_chess():
    found = set()
    for game in GAMES:
        for node in game.mainline():
            board = node.board()
            for board.turn in (chess.WHITE, chess.BLACK):
                told = chess_position.waits_in_check(board.fen())
                assert told == board.was_into_check(), board.fen()
                found.add((told, board.turn))
    assert len(found) == 4
