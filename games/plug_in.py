"""Functions of a user's own, named on a command line as `module:function`."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from games import import_plug_in


def import_function(spec: str, what: str) -> Callable[..., Any]:
    """Returns the function that `module:function` names, found as `import_plug_in` does.

    Raises:
      ValueError: there is none; `what` begins the message.
    """
    module_name, _, function_name = spec.partition(":")
    module = import_plug_in(module_name, what)
    function: Any = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"{what}: module {module_name!r} has no function {function_name!r}")
    return function


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
