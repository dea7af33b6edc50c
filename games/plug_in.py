"""Plug-ins: modules and functions of a user's own, named as `module:function`."""

import contextlib
import functools
import importlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from games import consent


def import_plug_in(module_name: str, what: str, folders: Sequence[str] = ()) -> ModuleType:
    """Returns a module.

    Args:
      folders: where to look for it after the import path, so that it does not shadow a library, and
        for this import only: other modules look for things as well, jax for `libtpu`.

    Raises:
      ValueError: there is none of that name; `what` begins the message.
    """
    with on_path([] if _is_there(module_name) else folders):
        try:
            return _import(module_name, what)
        except ModuleNotFoundError:
            where = f", nor in {', '.join(folders)}" if folders else ""
            raise ValueError(
                f"{what}: there is no module {module_name!r} on the import path{where}; "
                f"with --allow, a name is looked for in the current folder, {os.getcwd()}"
            ) from None


def _is_there(module_name: str) -> bool:
    """Whether a module is on the import path as it is, where the user's own folder is not."""
    top = module_name.partition(".")[0]
    try:
        return top in sys.modules or importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


@contextlib.contextmanager
def on_path(folders: Sequence[str]) -> Iterator[None]:
    """Looks for modules in `folders` too, after the import path."""
    added = [folder for folder in folders if folder not in sys.path]
    sys.path += added
    try:
        yield
    finally:
        for folder in added:
            if folder in sys.path:
                sys.path.remove(folder)


def _import(module_name: str, what: str) -> ModuleType:
    """Returns a module. Raises ModuleNotFoundError if there is none, ValueError if it is broken."""
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ValueError(_broken(module_name, what, error)) from error
        raise
    except Exception as error:
        if not module_name or module_name.startswith("."):
            raise ValueError(f"{what}: {module_name!r} is not a module's name") from None
        raise ValueError(_broken(module_name, what, error)) from error


def _broken(module_name: str, what: str, error: Exception) -> str:
    """Returns where and why the import of a module that is there failed."""
    return (
        f"{what}: module {module_name!r} cannot be imported: {type(error).__name__}: {error} "
        f"({line_of(error)})"
    )


def line_of(error: Exception) -> str:
    """Returns the innermost line that is not the standard library's, such as `dataclasses.py`.

    Of a file that cannot be read as Python, the line that is wrong.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    standard = sysconfig.get_path("stdlib") + os.sep
    own = [
        frame
        for frame in frames
        if "site-packages" in frame.filename or not frame.filename.startswith((standard, "<"))
    ]
    return f"{(own or frames)[-1].filename}, line {(own or frames)[-1].lineno}"


class PlugInError(RuntimeError):
    """A function of a user's own has raised; the message names it, the error and its line."""


def import_function(spec: str, what: str) -> Callable[..., Any]:
    """Returns the function that `module:function` names, found as `import_plug_in` does.

    What it raises when it is called becomes a `PlugInError` that begins with `what`.

    Raises:
      ValueError: there is none, or it may not run (`games/consent.py`); `what` begins the message.
    """
    folders = consent.require(consent.module(spec), what)
    module_name, _, function_name = spec.partition(":")
    if not function_name.isidentifier():
        raise ValueError(f"{what}: {function_name!r} is no name of a function")
    module = import_plug_in(module_name, what, folders)
    function: Any = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"{what}: module {module_name!r} has no function {function_name!r}")
    return _blamed(function, what)


@functools.cache  # of one function, one wrapper: what is compiled for it is found again
def _blamed(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        try:
            return function(*args, **keywords)
        except Exception as error:
            if type(error).__name__ == "JaxRuntimeError":
                raise  # a device's fault, such as a lack of memory
            raise PlugInError(f"{what} raised {described(error)}") from error

    return call


def check_call(function: Callable[..., Any], given: tuple[str, ...], what: str) -> None:
    """Raises ValueError, beginning with `what`, unless `function` takes the arguments `given`."""
    try:
        inspect.signature(function).bind(*given)
    except TypeError as error:
        raise ValueError(
            f"{what} is called with ({', '.join(given)}), but does not take that: {error}"
        ) from None


def fill_keywords(function: Callable[..., Any], offered: dict[str, Any]) -> Callable[..., Any]:
    """Returns `function` with those of the `offered` values that it has keyword-only names for."""
    parameters = inspect.signature(function).parameters.values()
    wanted = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} & offered.keys()
    return functools.partial(function, **{name: offered[name] for name in sorted(wanted)})


def described(error: BaseException) -> str:
    """Returns the exception in one line, with the source line that raised it."""
    return f"{type(error).__name__}: {_first_line(error)}{own_line(error)}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


def own_line(error: BaseException) -> str:
    """Returns the innermost line outside of installed libraries, which is the user's own."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not installed(f.filename)]
    return f" (at {frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def installed(filename: str) -> bool:
    """Returns whether a source file is part of Python or of an installed library."""
    standard = sysconfig.get_path("stdlib") + os.sep
    return "site-packages" in filename or filename.startswith((standard, "<"))
