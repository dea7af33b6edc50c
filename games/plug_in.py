"""Functions of a user's own, named on a command line as `module:function`."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax

from games import consent, import_plug_in
from games.laws import described


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
        except jax.errors.JaxRuntimeError:
            raise  # a device's fault, such as a lack of memory
        except Exception as error:
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
