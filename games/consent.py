"""Untrusted code: consent to import a module, or to start a command, that a text names.

Whoever types such a name wants it to run. A file that names one may be somebody else's, such as a
run's settings: there a name counts only if it was typed too, or if the file was made here by this
user (`training/storage/trust.py`), who typed it then.

On a command line, `close` takes what was typed, and from then on nothing else runs. A Python
program that calls us names what it wants by calling, but for what a file has named (`named_by`).
"""

import os
import shlex
from collections.abc import Sequence
from typing import Literal, NamedTuple

# Flags whose value names code; `--amplify player:R` may name a folder, these do not. A value of
# another flag does not name code, nor does the path of a file: who types that does not mean a
# program of its name.
NAMING = ("--game", "--distil", "--network", "--network.name")
AMPLIFY, PROGRAM = "--amplify", "--program"  # the latter's value is a command
BARE = (  # flags without a value
    *("--json", "--text", "--play", "--dry-run", "--dry_run", "--deterministic", "--tensorboard"),
    *("--until-fixed-point", "--until_fixed_point", "--help", "--help-all", "-h"),
)
ENGINES = ("gtp:", "uci:")  # in a player's spec, the command of an engine follows
COMMANDS = ("engine:", *ENGINES, "human:")  # in a spec, a command follows
OVERSEER = "player:"  # in a spec, that of a player follows
SHIPPED = "shipped:"  # of a player that comes with the package, and is no code


class Code(NamedTuple):
    """What a name would run."""

    kind: Literal["module", "command"]
    name: str  # `module:name` without options, or the command

    def __str__(self) -> str:
        return f"engine:{self.name}" if self.kind == "command" else self.name


_allowed: dict[Code, list[str]] = {}  # and the folders where a module may be looked for
_named: dict[Code, str] = {}  # what a file that this user did not make names, and that file
_closed = False


def module(spec: str) -> Code:
    """Returns the module of `module:name`, with options or without."""
    head, colon, tail = spec.rpartition(":")
    return Code("module", head if colon and "=" in tail else spec)


def command(text: str) -> Code:
    """Returns a command, to be split as a shell would."""
    return Code("command", text)


def code_of(spec: str) -> Code:
    """The code that a spec names: a command, as in `engine:COMMAND`, else a module."""
    spec = spec.removeprefix(OVERSEER)
    kind = next((kind for kind in COMMANDS if spec.startswith(kind)), None)
    return module(spec) if kind is None else command(spec.removeprefix(kind))


def code_of_player(spec: str) -> Code | None:
    """Returns the code that a player's spec would run beside ours, if any.

    A run folder whose path has a colon counts as code: what is one here may be none elsewhere.
    """
    if spec.removeprefix(OVERSEER).startswith(SHIPPED):
        return None
    code = code_of(spec)
    return code if code.kind == "command" or ":" in code.name else None


def allow(code: Code | str, folder: str = "") -> None:
    """Lets code run that a file names.

    Args:
      code: it, or its spec: `module:name`, or a command as in `engine:COMMAND`.
      folder: where a module may be looked for, after the import path.
    """
    folders = _allowed.setdefault(code_of(code) if isinstance(code, str) else code, [])
    if folder and folder not in folders:
        folders.append(folder)


def close(argv: Sequence[str], allowed: Sequence[str] = ()) -> None:
    """Lets run what a command line names, and from now on nothing that is not allowed.

    Args:
      argv: its words.
      allowed: names, or plain commands, that it allows wherever they stand.
    """
    global _closed
    _closed, here = True, os.getcwd()
    for name in allowed:
        for code in (code_of(name), command(name)):
            allow(code, here)
    flag = ""
    for word in argv:
        value = word
        if word.startswith("--") or word in BARE:
            flag, equals, value = word.partition("=")
            if flag in BARE or flag.lstrip("-").rpartition(".")[2].startswith("no-"):
                flag = ""  # the next word is no value of it
            if not equals:
                continue
        if flag == PROGRAM:
            allow(command(value), here)
        elif _names_code(flag, value):
            allow(value, here)
        flag = ""


def _names_code(flag: str, word: str) -> bool:
    code = code_of(word)
    if code.kind == "module" and not _is_module(code.name):
        return False
    if flag in NAMING:
        return True
    path = module(word.removeprefix(OVERSEER)).name
    paths = (word, path, path.rpartition("@")[0])  # R:simulations=8, R@STEP
    return flag in ("", AMPLIFY) and not any(path and os.path.exists(path) for path in paths)


def _is_module(name: str) -> bool:
    """Whether it is `module:name`, and no name of ours with options."""
    path, _, attribute = name.partition(":")
    return attribute.isidentifier() and all(part.isidentifier() for part in path.split("."))


def allowed() -> list[str]:
    """The code that may run, as `--allow` takes it, for a process of ours."""
    return sorted({str(code) for code in _allowed})


def reset() -> None:
    """Forgets what is allowed, as at the start of a program."""
    global _closed
    _closed = False
    _allowed.clear()
    _named.clear()


def named_by(file: str, code: Code) -> None:
    """Notes that a file which this user did not make names some code."""
    _named.setdefault(code, file)


def means_the_same(code: Code, folder: str) -> bool:
    """Whether a name means here what it meant to this user in `folder`.

    A folder may be another's by now, and a command's relative path leads elsewhere from here.
    """
    try:
        owned = not folder or os.stat(folder).st_uid == os.geteuid()
    except FileNotFoundError:
        owned = True  # the module is looked for on the import path only
    if code.kind == "module" or not owned:
        return owned
    return os.path.realpath(folder) == os.path.realpath(os.getcwd()) or not _has_path(code.name)


def _has_path(text: str) -> bool:
    """Whether a command has a relative path of a file in it."""
    try:
        words = shlex.split(text)
    except ValueError:  # it cannot be started
        return True
    # A first word without a slash is looked for on PATH.
    relative = [word for word in words[:1] if os.sep in word] + [
        word for word in words[1:] if os.path.exists(word)
    ]
    return any(not os.path.isabs(word) for word in relative)


def folders_of(module_name: str) -> list[str]:
    """Returns where a module whose code may run was looked for, after the import path."""
    places = [
        folder
        for code, folders in _allowed.items()
        if code.kind == "module" and code.name.partition(":")[0] == module_name
        for folder in folders
    ]
    return places if _closed else [*places, os.getcwd()]


def require(code: Code, what: str) -> list[str]:
    """Returns the folders where a module may be looked for, after the import path.

    Args:
      what: begins the message.

    Raises:
      ValueError: the code may not run.
    """
    if code in _allowed:
        return _allowed[code]
    if not (_closed or code in _named):
        return [os.getcwd()]
    whose = f", as {_named[code]} says, which was not made here by you" if code in _named else ""
    raise ValueError(
        f"{what} would run {code.name!r}{whose}: if you trust that, add --allow "
        f"{shlex.quote(str(code))} (in Python, games.allow({str(code)!r}) before)"
    )
