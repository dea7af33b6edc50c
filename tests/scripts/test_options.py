"""Flags as help shows them, and what is said of those that are nearly right."""

import re

import pytest

from scripts import cli


def helped(command, capsys, monkeypatch, columns=80, flag="--help"):
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit) as stop:
        cli.run([*command.split(), flag])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_help_fits_80_columns_and_its_placeholders_are_words(command, capsys, monkeypatch):
    text = helped(command, capsys, monkeypatch)
    usage, _, rest = text.partition("\n\n")
    assert usage.startswith(f"usage: selfplay {command}")
    assert max(map(len, rest.splitlines())) <= 80
    for ugly in ("STR", "INT", "FLOAT", "{None}", "(default: '')", "(default: None)", "[["):
        assert ugly not in text
    assert not re.search(r"\n\s*\n\s*\n[A-Z]", text), "more than one blank line"


def test_help_says_what_stands_for_a_value(capsys, monkeypatch):
    text = helped("arena", capsys, monkeypatch)
    for words in ("PLAYER ...", "--game GAME", "--sprt ELO0 ELO1", "--out FOLDER", "--games N"):
        assert words in text
    assert "--run-dir RUN" in helped("train", capsys, monkeypatch)
    assert "--evaluation.positions N" in helped("train", capsys, monkeypatch, flag="--help-all")


def test_a_paragraph_of_help_fills_its_lines(capsys, monkeypatch):
    """The line ends of the source leave every second line a stub."""
    for columns in (60, 100):
        text = helped("arena", capsys, monkeypatch, columns)
        [about] = re.findall(r"--openings KIND\|FILE (.*?)--opening-plies", text, re.DOTALL)
        lines = [line.strip("│ ") for line in about.splitlines()[:-2]]
        widest = max(map(len, lines))
        assert min(map(len, lines)) > widest - 20, lines


def test_no_color_is_heard_in_help(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b" in helped("game list", capsys, monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in helped("game list", capsys, monkeypatch)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("train --learner.lr 1", "--learner.lr (did you mean --learner.learning-rate?)"),
        ("train --lr 1", "--lr (did you mean --learner.learning-rate?)"),
        ("train --blocks 3", "--blocks (did you mean --network.blocks?)"),
        ("train --network.chanels=3", "--network.chanels (did you mean --network.channels?)"),
        ("train --serch.simulations 3", "(did you mean --search.simulations?)"),
        ("train --xyzzy", "unknown flag --xyzzy; --help-all lists them"),
        ("arena random --minute 3", "(did you mean --minutes?)"),
        ("evaluate . --against randm", "got 'randm' (did you mean random?)"),
        ("train --search.policy=pukt", "must be one of gumbel, puct, got 'pukt'"),
        ("tran", "unknown command 'tran' (did you mean train?)"),
        ("arena randm random", "there is no such run folder (did you mean random?)"),
        ("arena uniform:simulation=4 random", "is no setting (did you mean simulations?)"),
        ("doctor runs/mine", "no such run folder: runs/mine (did you mean runs/mine-1?)"),
        ("evaluate mine-1", "no such run folder: mine-1 (did you mean runs/mine-1?)"),
        ("play runs/mine@12", "(did you mean runs/mine-1@12?)"),
        ("play hex_5x5", "(did you mean shipped:hex_5x5?)"),
        ("arena tictactoe random", "(did you mean shipped:tic_tac_toe?)"),
        ("doctor runs/other", "no such run folder: runs/other\n"),  # like in nothing but the folder
        ("doctor mine", "(did you mean runs/mine-1?)"),
    ],
)
def test_a_word_that_is_nearly_right_is_answered_with_the_right_one(
    argv, said, tmp_path, capsys, monkeypatch
):
    (tmp_path / "runs" / "mine-1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert cli.run(argv.split()) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("runs /nope --number", "--number"),
        ("doctor", "RUN"),
        ("train --minutes abc", "--minutes X"),
    ],
)
def test_a_complaint_names_a_value_as_help_does(argv, said, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(argv.split())
    assert stop.value.code == 2
    text = capsys.readouterr().err
    assert said in text
    assert not re.search("STR|FLOAT", text)
    assert text.count("For full helptext") == 1, "said twice"


def test_every_flag_of_help_is_accepted(monkeypatch, capsys):
    """The check of flags before tyro's must know each one, of both signs, with _ and with =."""
    from scripts.flags.train import Args, defaults
    from scripts.terminal.options import options, parse

    signs = [option.flag for option in options(Args) if option.flag and not option.metavar]
    for flag in signs:
        section, dot, last = flag.rpartition(".")
        both = [flag] if last.startswith("no-") else [flag, f"{section}{dot}no-{last}"]
        for sign in both:
            parse(Args, [f"--{sign.replace('-', '_')}"], "train", defaults([]))
    config = parse(Args, ["--search.simulations=7"], "train", defaults([])).config
    assert config.search.simulations == 7


@pytest.mark.parametrize("columns", [60, 100])
def test_the_list_of_commands_fits_the_terminal(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.run(["--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= columns
    assert all(f"\n  {command} " in text for command in cli.COMMANDS)
