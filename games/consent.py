"""Which code may run that a text names: a module to import, or a command to start.

Whoever types such a name wants it to run. A file that names one may be somebody else's, such as a
run's settings: there a name counts only if it was typed too, or if the file was made here by this
user (`training/trust.py`), who typed it then.

On a command line, `close` takes what was typed, and from then on nothing else runs. A Python
program that calls us names what it wants by calling; for what it reads from a file there is
`require(..., of_file=True)`.
"""

import os
import shlex
from collections.abc import Sequence
from typing import Literal, NamedTuple

# Flags whose value names code. That of another flag does not, nor does the path of a file: who
# types it does not mean a program of that name.
NAMING = ("--game", "--amplify", "--distil")
PROGRAM = "--program"  # its value is a command
COMMANDS = ("engine:", "gtp:", "human:")  # in a spec, a command follows
OVERSEER = "player:"  # in a spec, that of a player follows


class Code(NamedTuple):
    """What a name would run."""

    kind: Literal["module", "command"]
    name: str  # `module:name` without options, or the command

    def __str__(self) -> str:
        return f"engine:{self.name}" if self.kind == "command" else self.name


_allowed: dict[Code, list[str]] = {}  # and the folders where a module may be looked for
_named: dict[Code, str] = {}  # the file that named it, for messages
_closed = False


def module(spec: str) -> Code:
    """Returns the module of `module:name`, with options or without."""
    head, colon, tail = spec.rpartition(":")
    return Code("module", head if colon and "=" in tail else spec)


def command(text: str) -> Code:
    """Returns a command, to be split as a shell would."""
    return Code("command", text)


def code_of(spec: str) -> Code:
    """Returns what a spec names: a command, as in `engine:COMMAND`, else a module."""
    spec = spec.removeprefix(OVERSEER)
    kind = next((kind for kind in COMMANDS if spec.startswith(kind)), None)
    return module(spec) if kind is None else command(spec.removeprefix(kind))


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
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            if not equals:
                continue
        if flag == PROGRAM:
            allow(command(value), here)
        elif _names_code(flag, value):
            allow(value, here)
        flag = ""


def _names_code(flag: str, word: str) -> bool:
    if ":" not in word or (flag and flag not in NAMING):
        return False
    code = code_of(word)
    return code.kind == "command" or not (os.path.exists(code.name) or os.path.exists(word))


def reset() -> None:
    """Forgets what is allowed, as at the start of a program."""
    global _closed
    _closed = False
    _allowed.clear()
    _named.clear()


def named_by(file: str, code: Code) -> None:
    """Notes the file that names some code, so that a refusal can say it."""
    _named.setdefault(code, file)


def folders_of(module_name: str) -> list[str]:
    """Returns where a module whose code may run was looked for, after the import path."""
    found = [
        folder
        for code, folders in _allowed.items()
        if code.kind == "module" and code.name.partition(":")[0] == module_name
        for folder in folders
    ]
    return found if _closed else [*found, os.getcwd()]


def require(code: Code, what: str, of_file: bool = False) -> list[str]:
    """Returns the folders where a module may be looked for, after the import path.

    Args:
      what: begins the message.
      of_file: the name comes from a file, whoever calls.

    Raises:
      ValueError: the code may not run.
    """
    if code in _allowed:
        return _allowed[code]
    if not (_closed or of_file):
        return [os.getcwd()]
    whose = f", as {_named[code]} says, which was not made here by you" if code in _named else ""
    raise ValueError(
        f"{what} would run {code.name!r}{whose}: if you trust that, add --allow "
        f"{shlex.quote(str(code))} (in Python, games.allow({str(code)!r}) before)"
    )
