"""Flags and arguments: read, explained, and corrected. The only file that knows tyro."""

import ast
import contextlib
import dataclasses
import inspect
import io
import os
import shutil
import sys
import textwrap
import typing
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, NamedTuple, TextIO, TypeVar

import tyro
from tyro.conf import Positional

from games import spelling

__all__ = ["Flat", "FromFlag", "Positional", "flag_value", "flag_words", "options", "parse"]

T = TypeVar("T")
Flat = Annotated[T, tyro.conf.arg(name="")]  # its fields are flags without its name
FromFlag = Annotated[str, tyro.conf.arg(name="from")]  # `from` is no name for a Python field
HELP, HELP_ALL = ("-h", "--help"), "--help-all"
WIDEST = 100  # columns of help
# What stands for a flag's value in help, and how it is completed, by the field's name.
METAVARS = {
    **{"game": "GAME", "run": "RUN", "paths": "RUN|FOLDER|FILE", "run_dir": "RUN", "from_": "RUN"},
    **{"player": "PLAYER", "players": "PLAYER", "sprt": "ELO0 ELO1", "name": "NAME"},
    **{"file": "FILE", "records": "FILE", "positions": "FILE", "decisions": "FILE"},
    **{"onnx": "FILE", "safetensors": "FILE"},
    **{"script": "FILE", "openings": "KIND|FILE", "out": "FOLDER", "imitate": "FILE"},
    **{"program": "COMMAND", "moves": "MOVES", "by": "WHO", "shell": "SHELL", "folder": "FOLDER"},
}
METAVARS_OF_TYPES = {int: "N", float: "X", str: "NAME"}
OTHER_NAMES = {  # of flags' last words, as other programs have them
    **{"lr": "learning_rate", "batch_size": "batch", "sims": "simulations"},
    **{"num_simulations": "simulations", "filters": "channels", "layers": "blocks"},
    **{"output": "out", "run": "run_dir", "resume": "run_dir", "env": "game"},
}
ALIASES = {"--network": "--network.name"}  # a flag that is a section's name sets its name
ABOUT = "{about}"  # stands for the text above the flags until it is printed
MORE = f"These are the flags to know first; {HELP_ALL} shows all of them."


def parse(
    args: type,
    argv: Sequence[str],
    command: str,
    default: Any = None,
    in_sight: Collection[str] = (),
) -> Any:
    """Returns `args` filled from the command line; prints help or the mistake and exits (0, 2).

    Args:
      default: an instance whose values stand where no flag is given.
      in_sight: fields that `--help` shows, as in `network.blocks`; needs a default. Empty: all.
        `--help-all` always shows all.
    """
    prog = f"selfplay {command}"
    argv = [_full(word) for word in argv]
    if os.environ.get("NO_COLOR"):  # https://no-color.org, which tyro does not know
        os.environ["TERM"] = "dumb"
    if any(word in (*HELP, HELP_ALL) for word in argv):
        narrow = bool(in_sight) and HELP_ALL not in argv
        about = (inspect.getdoc(args) or "") + (f"\n\n{MORE}" if narrow else "")
        _help(*_as_shown(args, default, in_sight if narrow else ()), prog, about)
    check_flags(argv, options(args))
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return _read(args, default, argv, prog)
    except SystemExit:
        _read(*_as_shown(args, default, ()), argv, prog)  # complains in the words of help
        raise


def _full(word: str) -> str:
    flag, equals, value = word.partition("=")
    return f"{ALIASES.get(flag, flag)}{equals}{value}"


def _read(cls: Any, default: Any, argv: Sequence[str], prog: str) -> Any:
    given = {} if default is None else {"default": default}
    return tyro.cli(cls, args=argv, prog=prog, description=ABOUT, **given)


class _Page(io.StringIO):
    """Help before it is printed: in the colours and letters of the terminal."""

    def __init__(self, terminal: TextIO) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.terminal.encoding


def _help(cls: Any, default: Any, prog: str, about: str) -> None:
    """Prints help and exits."""
    page = _Page(sys.stdout)
    try:
        with contextlib.redirect_stdout(page):
            _read(cls, default, ["--help"], prog)
    finally:  # tyro would not keep the lines of this text
        print(page.getvalue().replace(ABOUT, _wrapped(about)), end="")


class Option(NamedTuple):
    """A flag or an argument as the command line knows it."""

    flag: str  # without its hyphens; empty for an argument
    metavar: str  # empty for one that takes no value
    choices: tuple[str, ...] = ()


def options(args: Any, prefix: str = "") -> list[Option]:
    """The options of a command; a flag of both signs twice."""
    listed = []
    for field in dataclasses.fields(args):
        kind, settings = _kind(args, field.name)
        if dataclasses.is_dataclass(kind):
            below = prefix if _is_flat(settings) else f"{prefix}{_words(field.name)}."
            listed += options(kind, below)
            alias = f"--{below.rstrip('.')}"
            if alias in ALIASES:
                listed.append(Option(alias[2:], "NAME"))
            continue
        flag = f"{prefix}{_words(field.name)}"
        if kind is bool:
            listed += [Option(flag, ""), Option(f"{prefix}no-{_words(field.name)}", "")]
            continue
        positional = tyro.conf.Positional in settings
        choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
        listed.append(Option("" if positional else flag, _metavar(field.name, kind), choices))
    return listed


def check_flags(argv: Sequence[str], known: Sequence[Option]) -> None:
    """Raises ValueError for a flag that there is not, and for a value that is none of its choices.

    tyro refuses both too; it does not see what may have been meant.
    """
    flags = {option.flag: option for option in known if option.flag}
    for word, value in zip(argv, [*argv, ""][1:], strict=True):
        if not word.startswith("--") or word == "--":
            continue
        name, equals, text = word[2:].partition("=")
        option = flags.get(name.replace("_", "-"))
        if option is None:
            raise ValueError(f"unknown flag --{name}{_flag_meant(name, flags)}")
        value = text if equals else value
        if option.choices and value not in option.choices:
            near = spelling.did_you_mean(value, option.choices)
            raise ValueError(
                f"--{option.flag} must be one of {', '.join(option.choices)}, got {value!r}{near}"
            )


def _flag_meant(name: str, flags: Collection[str]) -> str:
    """The nearest flag to a misspelt one: by its whole name or its last word."""
    section, _, last = name.replace("_", "-").rpartition(".")
    last = _words(OTHER_NAMES.get(last.replace("-", "_"), last))
    by_end = {flag.rpartition(".")[2]: flag for flag in reversed(list(flags))}  # the first one
    whole = f"{section}.{last}" if section else last
    nearest = (
        (whole if whole in flags else "")
        or (by_end.get(last, "") if not section else "")
        or spelling.near(whole, flags)
        or by_end.get(spelling.near(last, by_end), "")
    )
    return f" (did you mean --{nearest}?)" if nearest else "; --help-all lists them"


def _kind(args: type, name: str) -> tuple[Any, tuple[Any, ...]]:
    """Returns the type of a field, and what `Annotated` adds to it."""
    hint = typing.get_type_hints(args, include_extras=True)[name]
    if typing.get_origin(hint) is not Annotated:
        return hint, ()
    kind, *settings = typing.get_args(hint)
    return kind, tuple(settings)


def _metavar(name: str, kind: Any) -> str:
    """The placeholder of a value in help: by name, by type, or its choices."""
    if typing.get_origin(kind) is typing.Literal:
        return "|".join(typing.get_args(kind))
    kind = next((one for one in typing.get_args(kind) if type(None) in typing.get_args(kind)), kind)
    several = typing.get_origin(kind) is tuple
    of = typing.get_args(kind)[0] if several else kind
    word = METAVARS_OF_TYPES.get(of, "VALUE")
    if of is str or name == "sprt":
        word = METAVARS.get(name, word)
    return f"{word} ..." if several else word


def _words(name: str) -> str:
    return name.strip("_").replace("_", "-")


def _as_shown(
    args: Any, default: Any, in_sight: Collection[str], prefix: str = ""
) -> tuple[Any, Any]:
    """Returns a class with the same fields as help shows them, and its default, if there is one.

    Args:
      in_sight: the fields that are shown; empty: all.
    """
    kinds, values, texts = {}, {}, _all_documented(args)
    for field in dataclasses.fields(args):
        name = field.name
        kind, settings = _kind(args, name)
        values[name] = value = getattr(default, name, field.default)
        if dataclasses.is_dataclass(kind):
            below = prefix if _is_flat(settings) else f"{prefix}{name}."
            shown, values[name] = _as_shown(kind, value, in_sight, below)
            kinds[name] = Annotated[(shown, *settings)] if settings else shown
        elif in_sight and prefix + name not in in_sight:
            kinds[name] = tyro.conf.Suppress[kind]  # type: ignore[valid-type, misc]
        else:
            kinds[name] = _explained(kind, name, value, texts.get(name), settings)
    about = {"__doc__": args.__doc__}  # dataclasses would write one
    cls = dataclasses.make_dataclass(
        args.__name__,
        list(kinds.items()),
        bases=(args,),
        frozen=True,
        namespace=about,
    )
    return cls, None if default is None else cls(**values)


def _explained(
    kind: Any, name: str, value: Any, text: str | None, settings: tuple[Any, ...]
) -> Any:
    """Returns a field's type with what help says of it."""
    metavar = None if kind is bool else _metavar(name, kind)
    if tyro.conf.Positional in settings and value == "":
        metavar = f"[{metavar}]"
    about = tyro.conf.arg(
        name="from" if name == "from_" else None,
        metavar=metavar,
        help=text,
        help_behavior_hint=_hint,
    )
    signs = (tyro.conf.FlagCreatePairsOff,) if value is False else ()
    others = (setting for setting in settings if not hasattr(setting, "metavar"))
    return Annotated[(kind, *others, *signs, about)]


def _is_flat(settings: tuple[Any, ...]) -> bool:
    return any(getattr(setting, "name", None) == "" for setting in settings)


def flag_words(argv: Sequence[str], name: str) -> list[str] | None:
    """Returns the words after a flag, None without it: what defaults of other flags hang on."""
    words: list[str] | None = None
    ours = False
    for word in argv:
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            ours = flag[2:].replace("_", "-") == name
            if ours:
                words = [value] if equals else []  # as in tyro, the last one counts
        elif ours and words is not None:
            words.append(word)
    return words


def flag_value(argv: Sequence[str], name: str) -> str:
    """Returns the word after a flag, or an empty text; tyro says later what is wrong with it."""
    return next(iter(flag_words(argv, name) or []), "")


def documented(cls: type) -> dict[str, str]:
    """Returns the text below each field of a class, which Python itself does not keep."""
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    texts, field = {}, ""
    for node in getattr(tree, "body", []):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            field = node.target.id
        elif field and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts[field] = " ".join(str(node.value.value).split())
            field = ""
        else:
            field = ""
    return texts


def _all_documented(cls: type) -> dict[str, str]:
    """`documented` of a class and its bases."""
    bases = filter(dataclasses.is_dataclass, reversed(cls.__mro__))
    return {name: text for base in bases for name, text in documented(base).items()}


def _hint(default: str) -> str:
    """A flag's default in help, unless it is empty."""
    return "" if default in ("", "''", "None", "False") else f"(default: {default})"


def _wrapped(text: str) -> str:
    """Returns a docstring with its paragraphs filled anew; its examples stay commands."""
    width = min(shutil.get_terminal_size().columns, WIDEST)
    parts = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("Examples:"):
            lines = [part for line in paragraph.splitlines() for part in _example(line, width)]
            parts.append("\n".join(lines))
        else:
            lines = textwrap.wrap(" ".join(paragraph.split()), width, break_on_hyphens=False)
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _example(line: str, width: int) -> Iterator[str]:
    """Yields a command as lines of at most `width` that can be copied together."""
    if len(line) > width and "#" in line:
        line, _, comment = line.partition("#")
        yield f"  #{comment}"
        line = line.rstrip()
    while len(line) > width and (cut := line.rfind(" ", 6, width - 1)) > 6:
        yield f"{line[:cut]} \\"
        line = f"      {line[cut + 1 :]}"
    yield line
