"""Old names of settings: what they meant they mean, wherever they were written."""

import dataclasses
import re

import pytest

import games
from mcts import SearchConfig
from scripts.flags import imitate as imitate_flags
from scripts.flags import sweep as sweep_flags
from scripts.flags import train as train_flags
from scripts.terminal import console
from selfplay import old_names, player_spec
from selfplay.arena.ladder import from_store
from training import config as config_module
from training.config import RunConfig
from training.imitation.config import ImitationConfig

# What each old name is set to: no default.
OLD = {
    "search.first_play": "parent",
    "search.puct_values": "min_max",
    "search.reuse": 3,
    "search.symmetries": True,
    "replay.reuse": 2.5,
    "learner.final_rate": 0.2,
    "learner.decay_from": 0.1,
    "learner.average_decay": 0.9,
    "learner.symmetries": False,
    "overseer.symmetries": False,
}
OF_COMMANDS = {"symmetries": ImitationConfig(), "jobs": sweep_flags.Args("FILE")}


def get(config, path):
    for name in path.split("."):
        config = getattr(config, name)
    return config


def flag(path, value):
    section, _, name = path.replace("_", "-").rpartition(".")
    if isinstance(value, bool):
        return [f"--{section}.{'' if value else 'no-'}{name}"]
    return [f"--{section}.{name}", str(value)]


def parsed(words):
    return console.parse(train_flags.Args, words, "train", train_flags.defaults(words)).config


def test_every_old_name_is_tried_and_means_a_setting_that_is_there():
    assert {*OLD, *OF_COMMANDS} == set(old_names.SETTINGS)
    for old, new in old_names.SETTINGS.items():
        assert new not in old_names.SETTINGS, old  # one step, however often a setting was renamed
        get(OF_COMMANDS.get(old, RunConfig()), new)


@pytest.mark.parametrize("old", OLD)
@pytest.mark.parametrize("form", ["words", "equals", "underscores"])
def test_an_old_flag_sets_what_the_new_one_sets(old, form):
    words = flag(old, OLD[old])
    if form == "equals" and len(words) == 2:
        words = ["=".join(words)]
    if form == "underscores":
        words = ["--" + words[0][2:].replace("-", "_"), *words[1:]]
    new = old_names.SETTINGS[old]
    assert parsed(words) == parsed(flag(new, OLD[old])) != parsed([])
    assert get(parsed(words), new) == OLD[old]


@pytest.mark.parametrize("command", ["train", "imitate"])
def test_help_shows_no_old_name(command, capsys):
    flags = {"train": train_flags, "imitate": imitate_flags}[command]
    with pytest.raises(SystemExit):
        console.parse(flags.Args, ["--help-all"], command, flags.Args(config=RunConfig()))
    shown = capsys.readouterr().out.replace("-", "_")

    def is_shown(name):
        return re.search(rf"__{re.escape(name)}\b", shown)

    assert all(map(is_shown, map(old_names.current, OLD)))
    assert not [old for old in OLD if is_shown(old)]


def test_the_old_flag_of_an_imitation_is_taken():
    for words in (["--no-symmetries"], ["--no-augment"]):
        args = console.parse(imitate_flags.Args, words, "imitate", imitate_flags.Args(RunConfig()))
        assert not args.imitation.augment


def test_the_old_flag_of_a_sweep_is_taken():
    for words in (["FILE", "--jobs", "3"], ["FILE", "--workers", "3"]):
        assert console.parse(sweep_flags.Args, words, "sweep").workers == 3


def test_an_old_name_in_a_file_of_settings_means_the_new_one_and_both_are_refused():
    for old, value in OLD.items():
        new = old_names.SETTINGS[old]
        section, _, name = old.rpartition(".")
        data = config_module.to_dict(RunConfig())
        del data[section][new.rpartition(".")[2]]
        data[section][name] = value
        assert get(config_module.from_dict(data), new) == value
        data[section][new.rpartition(".")[2]] = value
        with pytest.raises(ValueError, match=f"{new} is given twice"):
            config_module.from_dict(data)


def test_an_old_name_in_a_players_name_means_the_new_one_and_the_player_is_the_same():
    old, new = (
        "uniform:policy=puct,first_play=zero,reuse=0",
        "uniform:policy=puct,fpu=zero,reuse_nodes=0",
    )
    assert old_names.current_player(old) == new
    assert player_spec.split_settings(old)[1] == player_spec.split_settings(new)[1]
    game = games.load("tic_tac_toe")
    players = [player_spec.parse_player(spec, game, 4, None) for spec in (old, new)]
    assert [player.name for player in players] == [new, new]
    assert players[0].act is players[1].act
    assert from_store(old, (), "") == new


@pytest.mark.parametrize(
    "name",
    ["random", "gtp:./x reuse=1", "uci:reuse=1:x", "module:function", "a:b=1:c", "R@5"],
)
def test_what_holds_no_settings_stays_as_it_is(name):
    assert old_names.current_player(name) == name


def test_settings_of_a_search_are_taken_by_their_old_names_from_python(tiny_run):
    import training

    wanted = {"policy": "puct", "dirichlet_fraction": 0.0}
    old = training.load_player(tiny_run, 4, search=wanted | {"first_play": "zero"})
    new = training.load_player(tiny_run, 4, search=wanted | {"fpu": "zero"})
    assert old.act is new.act
    assert dataclasses.asdict(SearchConfig())["fpu"] == "least"
