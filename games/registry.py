"""The registry of games by name: ours, an installed package's, or a class of a user's own.

Nothing here imports jax: a game's module does, once it is loaded.
"""

import functools
import importlib.metadata
import importlib.util
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from games import consent, spelling
from games.catalogue import GAMES
from games.plug_in import import_plug_in, line_of

if TYPE_CHECKING:
    from games.game import Game

BUILT_IN = {name: listed.target for name, listed in GAMES.items()}
PGX, PGX_ADAPTER = "pgx:", "games.pgx_adapter:PgxGame"
PGX_GAMES = ("animal_shogi", "chess", "gardner_chess", "shogi")  # that are not ours as well
OTHER_NAMES = {  # that people use
    **{name: f"{PGX}{name}" for name in PGX_GAMES},
    **{"minichess": "pgx:gardner_chess", "reversi": "othello", "baduk": "go", "weiqi": "go"},
    **{"noughts_and_crosses": "tic_tac_toe", "ttt": "tic_tac_toe", "xo": "tic_tac_toe"},
    **{"c4": "connect_four", "four_in_a_row": "connect_four", "five_in_a_row": "gomoku"},
    **{"renju": "gomoku", "dots": "dots_and_boxes"},
}
ENTRY_POINTS = "selfplay.games"
_NO_ADAPTER = "there is no adapter for its environments: write the rules, docs/new-game.md says how"
FOREIGN = {  # libraries of games that people name here, and what to do
    "open_spiel": "games of OpenSpiel serve only as a reference, in selfplay game check --against",
    "pyspiel": "games of OpenSpiel serve only as a reference, in selfplay game check --against",
    **dict.fromkeys(("gymnasium", "gym", "pettingzoo"), _NO_ADAPTER),
}
SIZE, SEVERAL = "size", "+"  # `go:size=5+7+9`: boards of several sizes
SIZES = "games.sizes"
READABLE = (bool, int, float, str)  # the types of options: what text can be read as
# What every game has and no option may set, even where a plug-in made it a dataclass field.
NOT_OPTIONS = {"num_actions", "observation_shape", "max_plies", "misere"}


def names() -> tuple[str, ...]:
    """Returns the names that `load` knows: our games, then those of installed plug-in packages."""
    plugged = {point.name for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    return (*sorted(BUILT_IN), *sorted(plugged - set(BUILT_IN)))


def load(spec: str) -> "Game[Any]":
    """Returns the game that `spec` names.

    Args:
      spec: `NAME`, `package.module:Class` (looked up on the import path, the current folder last)
        or `pgx:NAME` (one of pgx's games); options follow, as in `my_pkg.my_game:MyGame:size=5`.

    Raises:
      ValueError: no such game, class or option, a value that the game refuses, or a class that may
        not run here (`games/consent.py`).

    Example:
      >>> import games
      >>> game = games.load("go:size=9")
      >>> game.num_actions, game.observation_shape[:2]
      (82, (9, 9))
    """
    target, texts = split_options(spec, f"game {spec!r}")
    _refuse_foreign(target, spec)
    if SEVERAL in texts.get(SIZE, ""):
        return _several_sizes(target, texts, spec)
    if target.startswith(PGX):
        adapter = _find_class(PGX_ADAPTER, spec)
        return _construct(functools.partial(adapter, target.removeprefix(PGX)), texts, spec)
    if target in BUILT_IN:
        target = BUILT_IN[target]
    elif ":" not in target:
        target = _entry_point(target)
    elif _is_code(target):
        folders = consent.require(consent.module(target), f"game {spec!r}")
        return _construct(_find_class(target, spec, folders), texts, spec)
    return _construct(_find_class(target, spec), texts, spec)


def _several_sizes(target: str, texts: dict[str, str], spec: str) -> "Game[Any]":
    """Returns the game on boards of the sizes that `size=5+7+9` names."""
    each = [_with_options(target, texts | {SIZE: size}) for size in _sizes(texts[SIZE])]
    games = [load(one) for one in each]
    if len(games) == 1:
        return games[0]
    try:
        game: Game[Any] = importlib.import_module(SIZES).several(games)
    except ValueError as error:
        raise ValueError(f"game {spec!r}: {error}") from None
    return game


def without_size(spec: str) -> str:
    """Returns a game's text without the size of its board: what boards of all sizes share."""
    name, texts = split_options(spec, f"game {spec!r}")
    return _with_options(name, {key: text for key, text in texts.items() if key != SIZE})


def largest(spec: str) -> str:
    """Returns the game on the largest of its boards; another text as it is."""
    name, texts = split_options(spec, f"game {spec!r}")
    if SEVERAL not in texts.get(SIZE, ""):
        return spec
    return _with_options(name, texts | {SIZE: _sizes(texts[SIZE])[-1]})


def _sizes(text: str) -> list[str]:
    """Returns sizes, such as `5+7+9`, each once, in their order."""
    sizes = set(text.split(SEVERAL))
    if "" in sizes:
        raise ValueError(f"size {text!r} lacks a number: several sizes are as in size=5+7+9")
    return sorted(sizes, key=lambda size: (len(size), size))


def spec_of(game: "Game[Any]") -> str:
    """Returns a game as a command line names it, with those of its options that differ."""
    if boards := getattr(game, "games", ()):  # of several sizes
        name, texts = split_options(spec_of(boards[-1]), "")
        size = SEVERAL.join(str(board.size) for board in boards)
        return _with_options(name, {SIZE: size} | {k: v for k, v in texts.items() if k != SIZE})
    cls = type(game)
    target = f"{cls.__module__}:{cls.__qualname__}"
    name = {known: short for short, known in BUILT_IN.items()}.get(target, target)
    if target == PGX_ADAPTER:
        name = f"{PGX}{game.name}"  # type: ignore[attr-defined]
    chosen = {
        option: value
        for option, default in options(cls).items()
        if (value := getattr(game, option, default)) != default
    }
    return _with_options(name, chosen)


def _with_options(name: str, chosen: Mapping[str, bool | int | float | str]) -> str:
    """Returns a game's name with options behind it."""
    texts = [
        f"{option}={str(value).lower() if isinstance(value, bool) else value}"
        for option, value in chosen.items()
    ]
    return ":".join([name, *([",".join(texts)] if texts else [])])


def canonical(spec: str) -> str:
    """Returns the one text of a game of ours, as `spec_of` writes it; any other text as it is.

    `go:komi=7.5,size=9` is `go`. It imports no game, and raises nothing: what is wrong in a text is
    for `load` to find.
    """
    try:
        target, texts = split_options(spec, f"game {spec!r}")
        usual = GAMES[target].options
        values = usual | _read_game(usual, texts, f"game {spec!r}")
    except (KeyError, ValueError):
        return spec
    return _with_options(target, {name: one for name, one in values.items() if one != usual[name]})


def check_name(spec: str) -> None:
    """Raises ValueError if `load` knows no such name, or one of our games no such option.

    It imports no game: a value that the game itself refuses is for `load` to find.
    """
    target, texts = split_options(spec, f"game {spec!r}")
    _refuse_foreign(target, spec)
    if target in GAMES:
        _read_game(GAMES[target].options, texts, f"game {spec!r}")
    elif ":" not in target:
        _entry_point(target)


def _read_game(
    known: Mapping[str, bool | int | float | str], texts: dict[str, str], what: str
) -> dict[str, Any]:
    """Returns the values of a game's options; of several sizes their text."""
    if SEVERAL not in texts.get(SIZE, ""):
        return read_options(known, texts, what)
    sizes = _sizes(texts[SIZE])
    values = [read_options(known, texts | {SIZE: size}, what) for size in sizes]
    return values[-1] | {SIZE: SEVERAL.join(sizes)}


def are_other_games(one: str, other: str, any_size: bool = False) -> bool:
    """Whether two texts are known to name different games of ours, without loading them.

    Args:
      any_size: whether boards that differ in size alone are the same game.
    """
    specs = [spec for spec in (one, other) if spec.partition(":")[0] in GAMES]
    ours = {canonical(without_size(spec) if any_size else spec) for spec in specs}
    return len(ours) == 2


def names_a_module(spec: str) -> bool:
    """Returns whether `load` would import a module of the spec's choice, as a file's must not."""
    target, _ = split_options(spec, f"game {spec!r}")
    return _is_code(target) and not target.startswith(PGX)


def _refuse_foreign(target: str, spec: str) -> None:
    """Raises ValueError for the name of another library's game."""
    library = target.partition(":")[0].partition(".")[0]
    if library in FOREIGN:
        raise ValueError(f"game {spec!r}: {FOREIGN[library]}")


def _is_code(target: str) -> bool:
    """Whether it is `module:Class`, and not `go:9` or `go:size=9`, wrong options of a game."""
    module_name, colon, class_name = target.partition(":")
    return bool(colon) and (class_name.isidentifier() or module_name not in BUILT_IN)


def split_options(spec: str, what: str) -> tuple[str, dict[str, str]]:
    """Returns what is before the options of `NAME:key=value,...`, and these as texts.

    Raises:
      ValueError: they are not of this form; `what` begins the message.
    """
    head, colon, tail = spec.rpartition(":")
    if not colon or "=" not in tail:
        return spec, {}
    options: dict[str, str] = {}
    for item in tail.split(","):
        name, equals, value = item.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{what}: option {item!r} is not of the form key=value")
        if name in options:
            raise ValueError(f"{what}: option {name!r} is given twice")
        options[name] = value
    return head, options


def shadowed() -> dict[str, str]:
    """Returns name and `module:Class` of installed games that have the name of one of ours.

    `load` gives ours, so that installing a package never changes what a known name means.
    """
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return {point.name: point.value for point in points if point.name in BUILT_IN}


def _entry_point(name: str) -> str:
    points = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
    targets = sorted({point.value for point in points})
    if len(targets) > 1:
        raise ValueError(
            f"several installed packages have a game {name!r}; name one: {', '.join(targets)}"
        )
    if targets:
        return targets[0]
    raise ValueError(
        f"unknown game {name!r}{_meant(name)}; known: {', '.join(names())}; "
        "or give pgx:NAME for one of pgx's, package.module:Class for a game of your own"
    )


def _meant(name: str) -> str:
    """The game that may have been meant: `go9` is Go with an option."""
    sized = re.fullmatch(r"([a-z_]+?)[-_]?(\d+)(?:x(\d+))?", name.lower())
    if sized and sized[1] in GAMES:
        sides = {"size": sized[2], "rows": sized[2], "cols": sized[3] or sized[2]}
        options = [f"{n}={side}" for n, side in sides.items() if n in GAMES[sized[1]].options]
        if options:
            return f" (did you mean {sized[1]}:{','.join(options)}?)"
    return spelling.did_you_mean(name, names(), OTHER_NAMES)


def _find_class(target: str, spec: str, folders: Sequence[str] = ()) -> Any:
    module_name, _, class_name = target.partition(":")
    try:
        if not class_name.isidentifier():
            raise ValueError(
                f"game {spec!r}: there is no module {module_name!r} with a class {class_name!r}"
            )
        module = import_plug_in(module_name, f"game {spec!r}", folders)
    except ValueError as error:
        if module_name not in names() or importlib.util.find_spec(module_name):
            raise
        raise ValueError(  # `go:9`
            f"{error}; if you mean the game {module_name!r}, its options are "
            f"{module_name}:key=value,key=value"
        ) from None
    if hasattr(module, "__path__") and getattr(module, "__file__", None) is None:
        raise ValueError(f"game {spec!r}: {module_name!r} is a folder; name a module in it")
    # A class, not just anything that can be called: a spec may come from somebody else's file.
    if not inspect.isclass(getattr(module, class_name, None)):
        classes = ", ".join(
            name
            for name, value in vars(module).items()
            if inspect.isclass(value) and hasattr(value, "step")
        )
        raise ValueError(
            f"game {spec!r}: module {module_name!r} has no class {class_name!r}; "
            f"games in it: {classes or 'none'}"
        )
    return getattr(module, class_name)


def _construct(cls: Any, texts: dict[str, str], spec: str) -> "Game[Any]":
    what = f"game {spec!r}"
    try:
        game: Game[Any] = cls(**_values(cls, texts, what))
    except (TypeError, ValueError, AssertionError) as error:
        told = str(error) or f"{type(error).__name__} ({line_of(error)})"
        raise ValueError(told if told.startswith(what) else f"{what}: {told}") from error
    return game


def options(cls: Any) -> dict[str, bool | int | float | str]:
    """Returns the options of a game's class, with their defaults."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(cls).parameters.items()
        if name not in NOT_OPTIONS and type(parameter.default) in READABLE
    }


def _values(cls: Any, texts: dict[str, str], what: str) -> dict[str, Any]:
    known = options(cls)
    for name in texts:
        if name not in known and name in inspect.signature(cls).parameters.keys() - NOT_OPTIONS:
            raise ValueError(
                f"{what}: option {name!r} cannot be given as text: it needs a default in the "
                "class, a bool, int, float or str, which says how it is read"
            )
    return read_options(known, texts, what)


def read_options(
    known: Mapping[str, bool | int | float | str], texts: dict[str, str], what: str
) -> dict[str, Any]:
    """Returns the values of options, each read as its default in `known` is."""
    values = {}
    for name, text in texts.items():
        if name not in known:
            raise ValueError(
                f"{what}: unknown option {name!r}{spelling.did_you_mean(name, known)}; "
                f"known: {', '.join(known) or 'none'}"
            )
        values[name] = _parse(text, known[name], f"{what}: option {name}")
    return values


def _parse(text: str, default: bool | int | float | str, what: str) -> bool | int | float | str:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{what} must be true or false, got {text!r}")
        return text.lower() == "true"
    kind = "a whole number" if isinstance(default, int) else "a number"
    try:
        return type(default)(text)
    except ValueError:
        raise ValueError(f"{what} must be {kind}, got {text!r}") from None
