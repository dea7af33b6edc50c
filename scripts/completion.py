"""`selfplay completion`."""

import importlib
from collections.abc import Iterable, Iterator

from games import registry
from scripts.cli import COMMANDS
from scripts.flags.completion import Args
from scripts.terminal.console import print_text
from scripts.terminal.options import Option, options
from selfplay import player_spec, shipped

FLAGS_OF_ALL = ("--help", "--debug", "--allow")
PLAYERS = (*player_spec.WORDS, *(shipped.PREFIX + name for name in shipped.names()))
# What bash and zsh share: CASES sets `kind`, what is completed, or `list`, the words themselves.
CHOOSE = """\
  local kind= list=
  if [ "$command" = game ] && [ "$at" -gt 2 ]; then
    command="game $second"
  fi
  if [ "$at" -eq 1 ]; then
    list="COMMANDS"
  elif [ "$command" = game ]; then
    list="OF_GAME"
  else
    case "$current" in
      -*) case "$command" in
FLAGS
        esac ;;
      *) case "$command $before" in
VALUES
        *) case "$command" in
ARGUMENTS
          esac ;;
        esac ;;
    esac
  fi
  case "$kind" in
    GAME) list="GAMES" ;;
    PLAYER) list="PLAYERS" ;;
  esac
"""
BASH = """\
# Completion of selfplay for bash, written by `selfplay completion bash`.
_selfplay() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  local command=${COMP_WORDS[1]} second=${COMP_WORDS[2]} at=$COMP_CWORD path
CHOOSE
  COMPREPLY=($(compgen -W "$list" -- "$current"))
  local IFS=$'\\n'
  case "$kind" in
    RUN|PLAYER)
      for path in "$current"*/config.json "$current"*/*/config.json; do
        [ -f "$path" ] && COMPREPLY+=("${path%/config.json}")
      done
      compopt -o filenames 2> /dev/null ;;
    FILE) COMPREPLY=($(compgen -f -- "$current")); compopt -o filenames 2> /dev/null ;;
    FOLDER) COMPREPLY=($(compgen -d -- "$current")); compopt -o filenames 2> /dev/null ;;
  esac
}
complete -F _selfplay selfplay
"""
ZSH = """\
#compdef selfplay
# Completion of selfplay for zsh, written by `selfplay completion zsh`.
_selfplay() {
  local current="$words[CURRENT]" before="$words[CURRENT-1]"
  local command="$words[2]" second="$words[3]" at=$((CURRENT - 1))
  local -a runs
CHOOSE
  [ -n "$list" ] && compadd -- ${=list}
  case "$kind" in
    RUN|PLAYER)
      runs=(${~current}*/config.json(N) ${~current}*/*/config.json(N))
      compadd -f -- ${runs%/config.json} ;;
    FILE) _files ;;
    FOLDER) _files -/ ;;
  esac
}
compdef _selfplay selfplay
"""
FISH = """\
# Completion of selfplay for fish, written by `selfplay completion fish`.
function __selfplay_runs
    for path in (commandline -ct)*/config.json (commandline -ct)*/*/config.json
        string replace /config.json '' -- $path
    end
end
complete -c selfplay -f
"""


def run(args: Args) -> int:
    """Prints the script."""
    known = {name: _options(name) for name in COMMANDS}
    if args.shell == "fish":
        print_text(FISH + "\n".join(_fish(known)))
    else:
        template = BASH if args.shell == "bash" else ZSH
        print_text(template.replace("CHOOSE", _choose(known)).rstrip())
    return 0


def _options(command: str) -> list[Option]:
    flags = importlib.import_module(f"scripts.flags.{command.replace(' ', '_')}")
    return options(flags.Args)


def _of_game(known: Iterable[str]) -> list[str]:
    """The words that follow `game`."""
    return [name.removeprefix("game ") for name in known if name.startswith("game ")]


def _kind(option: Option) -> str:
    """The kind of an option's value: GAME, RUN, PLAYER, FILE, FOLDER, or nothing."""
    kind = option.metavar.removesuffix(" ...").rpartition("|")[2]
    return kind if kind in ("GAME", "RUN", "PLAYER", "FILE", "FOLDER") else ""


def _choose(known: dict[str, list[Option]]) -> str:
    """Returns the part of a script that knows the commands."""
    flags, values, arguments = [], [], []
    first, of_game = dict.fromkeys(name.split()[0] for name in known), _of_game(known)
    for command, options_ in known.items():
        names = " ".join(
            [*(f"--{option.flag}" for option in options_ if option.flag), *FLAGS_OF_ALL]
        )
        flags.append(f'          "{command}") list="{names}" ;;')
        for option in options_:
            what = (
                f'list="{" ".join(option.choices)}"' if option.choices else f"kind={_kind(option)}"
            )
            if option.flag and option.metavar:
                values.append(f'          "{command} --{option.flag}") {what} ;;')
            elif not option.flag:
                arguments.append(f'            "{command}") {what} ;;')
    text = CHOOSE.rstrip()
    for name, lines in (("FLAGS", flags), ("VALUES", values), ("ARGUMENTS", arguments)):
        text = text.replace(f"\n{name}\n", "\n" + "\n".join(lines) + "\n")
    for name, words in (
        ("COMMANDS", first),
        ("OF_GAME", of_game),
        ("GAMES", registry.names()),
        ("PLAYERS", PLAYERS),
    ):
        text = text.replace(f'list="{name}"', f'list="{" ".join(words)}"')
    return text


def _fish(known: dict[str, list[Option]]) -> Iterator[str]:
    words = {
        "GAME": " ".join(registry.names()),
        "RUN": "(__selfplay_runs)",
        "PLAYER": f"{' '.join(PLAYERS)} (__selfplay_runs)",
        "FILE": "(__fish_complete_path (commandline -ct))",
        "FOLDER": "(__fish_complete_directories (commandline -ct))",
    }
    for command, options_ in known.items():
        about = COMMANDS[command].replace("'", "\\'")
        first, _, second = command.partition(" ")
        seen = f"__fish_seen_subcommand_from {first}"
        if second:
            others = " ".join(_of_game(known))
            yield f"complete -c selfplay -n __fish_use_subcommand -a {first} -d 'list, new, check'"
            unseen = f"{seen}; and not __fish_seen_subcommand_from {others}"
            yield f"complete -c selfplay -n '{unseen}' -a {second} -d '{about}'"
            seen += f"; and __fish_seen_subcommand_from {second}"
        else:
            yield f"complete -c selfplay -n __fish_use_subcommand -a {first} -d '{about}'"
        when = f"complete -c selfplay -n '{seen}'"
        for option in options_:
            given = " ".join(option.choices) or words.get(_kind(option), "")
            flag = f" -l {option.flag}" if option.flag else ""
            value = f" -a '{given}'" if given else ""
            if flag or value:
                yield f"{when}{flag}{' -x' if flag and option.metavar else ''}{value}"
        for name in FLAGS_OF_ALL:
            yield f"{when} -l {name.removeprefix('--')}"
